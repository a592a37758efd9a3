"""Components of a mixture read a text: each its own way, the states of one for a cache.

Shape suffixes: K components and caches, C caches, N predictions, T tokens in order, D what the
output layer reads.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from nplm_cli.config import CacheConfig, Context
from nplm_cli.corpus.shards import Part
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.query.cache import CacheReader
from nplm_cli.query.scorer import NeuralScorer, OnBatch, Scorer

# Tokens whose states are held at once.
PIECE_TOKENS = 16_384

NO_STATES = "a neural cache compares hidden states: it needs a neural model, counts have none"

# Takes what the output layer read before each token of the text, piece by piece, in order.
OnStates = Callable[[np.ndarray], None]


class Reader(Protocol):
    """How a component reads a part: in numpy, in torch, with weights that follow the text ..."""

    def __call__(
        self, part: Part, context: Context, on_states: OnStates | None = None
    ) -> np.ndarray:
        """Nats of each prediction (N,), float64; ``on_states`` gets the states (T, D) on the way.

        Raises ConfigError when states are asked of a model that has none.
        """


def component_log_probs(
    part: Part,
    context: Context,
    readers: Sequence[Reader],
    caches: Sequence[CacheConfig] = (),
    *,
    source: int | None = None,
    across: bool = True,
) -> np.ndarray:
    """Natural log-probabilities (K, N), float64, of a part under each component, then each cache.

    Neural caches remember the states of component ``source``. Caches are empty at the start of
    each file, or (``across`` False) of each sentence, whatever the context policy.
    """
    log_p_KN = np.empty((len(readers) + len(caches), part.predictions))
    starts = part.sequence_starts("stream" if across else "sentence")
    follower = _Follower(part, CacheReader(caches), starts, log_p_KN[len(readers) :])
    if not follower.cache.neural:
        source = None
    elif source is None:
        raise ConfigError(NO_STATES)
    for k, read in enumerate(readers):
        log_p_KN[k] = 0.0 - read(part, context, follower.read if k == source else None)
        if np.isnan(log_p_KN[k]).any():  # of a cache that would say that it is empty
            raise ArtifactError(f"component {k + 1} gives no numbers: its weights are damaged")
    if source is None and caches:
        follower.read(None)
    return log_p_KN


class _Follower:
    """Lets caches read a part from its start on, emptied at the ``starts``."""

    def __init__(self, part: Part, cache: CacheReader, starts: np.ndarray, out_CN: np.ndarray):
        self.part, self.cache, self.starts, self.out_CN = part, cache, starts, out_CN
        self.done = 0

    def read(self, states_TD: np.ndarray | None) -> None:
        """Go on by as many tokens as there are states, or (None) to the end."""
        begin = self.done
        self.done = self.part.predictions if states_TD is None else begin + len(states_TD)
        fresh = set(self.starts[(self.starts >= begin) & (self.starts < self.done)].tolist())
        for start, end in itertools.pairwise(sorted({begin, *fresh, self.done})):
            if start in fresh:
                self.cache.clear()
            for at in range(start, end, PIECE_TOKENS):
                stop = min(at + PIECE_TOKENS, end)
                states = None if states_TD is None else states_TD[at - begin : stop - begin]
                self.out_CN[:, at:stop] = self.cache.read(self.part.ids_N[at:stop], states)


def in_order(
    read: Callable[[Part, Context, OnBatch], np.ndarray],
    part: Part,
    context: Context,
    on_states: OnStates,
) -> np.ndarray:
    """Let ``read`` score a part whose sentences it may take in any order; returns the nats.

    ``read(part, context, take)`` calls ``take(positions, states)``; ``on_states`` gets the states
    in the order of the text, a run of whole sentences or a stretch of a stream at a time.
    """
    if context == "stream":  # in order as it is
        return read(part, context, lambda positions, states_TD: on_states(states_TD))
    nll_N = np.zeros(part.predictions)
    for start, piece in _sentence_runs(part):
        gathered: list[tuple[np.ndarray, np.ndarray]] = []
        nll_N[start : start + piece.predictions] = read(
            piece, context, lambda *pair, to=gathered: to.append(pair)
        )
        order = np.argsort(np.concatenate([positions for positions, _ in gathered]))
        on_states(np.concatenate([states for _, states in gathered])[order])
    return nll_N


def _sentence_runs(part: Part) -> Iterator[tuple[int, Part]]:
    """Runs of whole sentences with the place where each begins."""
    first = 0
    while first < part.sentences:
        begin = int(part.starts[first])
        last = int(np.searchsorted(part.starts, begin + PIECE_TOKENS, "right")) - 1
        last = max(last, first + 1)
        end = int(part.starts[last])
        starts = np.asarray(part.starts[first : last + 1]) - begin
        yield begin, Part(part.ids_N[begin:end], starts, np.zeros(1, np.int64), 0)
        first = last


def numpy_reader(scorer: Scorer) -> Reader:
    """Let a component be read by its scorer."""

    def read(part: Part, context: Context, on_states: OnStates | None = None) -> np.ndarray:
        if on_states is None:
            return scorer.nll(part, context)
        if not isinstance(scorer, NeuralScorer):
            raise ConfigError(NO_STATES)
        return in_order(scorer.nll, part, context, on_states)

    return read
