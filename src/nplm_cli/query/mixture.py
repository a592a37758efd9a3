"""Several models as one: p(w | h) = sum_k lambda_k p_k(w | h), caches among them.

Linear interpolation (Jelinek & Mercer 1980). Where a component has no distribution (an empty
cache) the others share its weight, so that the mixture always sums to 1.

Shape suffixes: K components and caches, N predictions, T tokens in order, B rows, M tokens in a
cache's memory, D what the output layer reads, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nplm_cli.config import CacheConfig, Context
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.query.cache import distribution
from nplm_cli.query.layers import State
from nplm_cli.query.readers import NO_STATES, component_log_probs, numpy_reader
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import NeuralScorer, Scorer, open_scorer


def mixed_log_probs(log_p_KN: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """log sum_k lambda_k p_k over the first axis; where p_k is nan the others share its weight."""
    shape = (len(weights), *[1] * (log_p_KN.ndim - 1))
    with np.errstate(divide="ignore"):
        weighted = np.log(np.asarray(weights, np.float64)).reshape(shape) + log_p_KN
        missing = np.isnan(log_p_KN)
        weighted[missing] = -np.inf
        mixed = np.logaddexp.reduce(weighted, axis=0)
        if missing.any():
            there = np.where(missing, 0, np.reshape(weights, shape)).sum(axis=0)
            mixed -= np.log(there)
    return mixed


def joint_order(
    orders: Sequence[int | None], caches: Sequence[CacheConfig], source: int | None
) -> int | None:
    """Order of a mixture: 1 and the most tokens that a component or cache sees; None: no bound."""
    reach = [None if order is None else order - 1 for order in orders]
    reach += [_reach(cache, orders, source) for cache in caches]
    bounded = [r for r in reach if r is not None]
    return 1 + max(bounded) if len(bounded) == len(reach) else None


def _reach(cache: CacheConfig, orders: Sequence[int | None], source: int | None) -> int | None:
    """Tokens that a cache sees: those it holds, and what the oldest state knows of others."""
    if cache.kind == "unigram":
        return cache.size
    order = None if source is None else orders[source]
    return None if order is None else cache.size + order - 1


class MixState(NamedTuple):
    """What a mixture has read: states of its components, and what its caches remember.

    ``memory`` is empty without caches; else the ids (B, M), then, with a neural cache, the states
    (B, M, D) before them and the newest (B, D).
    """

    components: tuple[Any, ...]
    memory: State


class MixScorer:
    """A mixture behind the calls of ``Scorer``.

    Caches of ``nll`` run over each file, over each sentence with ``across`` False; in the other
    calls they hold the sentence at hand.
    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        weights: Sequence[float],
        caches: Sequence[CacheConfig] = (),
        *,
        across: bool = True,
    ):
        """``weights`` of the scorers, then of the caches, sum to 1."""
        self.scorers, self.caches = tuple(scorers), tuple(caches)
        self.weights, self.across = tuple(weights), across
        neural = [k for k, s in enumerate(self.scorers) if isinstance(s, NeuralScorer)]
        self.source = neural[0] if neural else None
        self._neural_cache = any(cache.kind == "neural" for cache in self.caches)
        if self._neural_cache and self.source is None:
            raise ConfigError(NO_STATES)
        self._memory = max((cache.size for cache in self.caches), default=0)

    @property
    def order(self) -> int | None:
        """The largest of the components' orders; a cache sees further (``joint_order``)."""
        return joint_order([scorer.order for scorer in self.scorers], self.caches, self.source)

    def seen(self, read: int, in_file: int | None = None, in_sentence: int | None = None) -> int:
        """The most that any component or cache sees of what was read.

        An upper bound for a neural cache that runs over sentences read one by one: its oldest
        state may know no more than the beginning of its own.
        """
        seen = [scorer.seen(read) for scorer in self.scorers]
        given = in_file if self.across else in_sentence
        since_empty = read if given is None else given
        for cache in self.caches:
            held = min(cache.size, max(0, since_empty - 1))  # all but the boundary
            if cache.kind == "neural":  # the oldest state knows of tokens before it
                order = None if self.source is None else self.scorers[self.source].order
                most = max(read, since_empty)
                held = most if order is None else min(most, held + order - 1)
            seen.append(held)
        return max(seen)

    def nll(self, part: Part, context: Context) -> np.ndarray:
        """Nats of each prediction of a part."""
        log_p_KN = component_log_probs(
            part,
            context,
            [numpy_reader(scorer) for scorer in self.scorers],
            self.caches,
            source=self.source,
            across=self.across,
        )
        return 0.0 - mixed_log_probs(log_p_KN, self.weights)

    def begin(self, history: Sequence[int], rows: int = 1) -> tuple[np.ndarray, MixState]:
        """Log-probabilities (B, V) after a sentence's first ids, all rows alike, and the state."""
        return self._mixed(*self._begin(history, rows))

    def _begin(
        self, history: Sequence[int], rows: int
    ) -> tuple[list[tuple[np.ndarray, Any]], State]:
        """What the components answer, and what the caches remember."""
        states: State = ()
        results = []
        for k, scorer in enumerate(self.scorers):
            if not (self._neural_cache and k == self.source):
                results.append(scorer.begin(history, rows))
                continue
            assert isinstance(scorer, NeuralScorer)
            hidden_1TD, after = scorer.read(np.array([[EOS_ID, *history]], np.int64))
            hidden_BTD = hidden_1TD.repeat(rows, axis=0)
            log_p_BV = scorer.output.log_probs(hidden_1TD[:, -1]).repeat(rows, axis=0)
            results.append((log_p_BV, tuple(piece.repeat(rows, axis=0) for piece in after)))
            states = (hidden_BTD[:, :-1][:, -self._memory :], hidden_BTD[:, -1])
        memory: State = ()
        if self.caches:
            memory = (np.tile(np.asarray(history, np.int64), (rows, 1))[:, -self._memory :],)
        return results, memory + states

    def advance(self, ids_B: np.ndarray, state: MixState) -> tuple[np.ndarray, MixState]:
        """Log-probabilities (B, V) after one more id in each row, and the state."""
        ids_B = np.asarray(ids_B, np.int64)
        results = []
        query_BD: np.ndarray | None = None
        for k, (scorer, own) in enumerate(zip(self.scorers, state.components, strict=True)):
            if not (self._neural_cache and k == self.source):
                results.append(scorer.advance(ids_B, own))
                continue
            assert isinstance(scorer, NeuralScorer)
            hidden_BTD, after = scorer.read(ids_B[:, None], own)
            query_BD = hidden_BTD[:, -1]
            results.append((scorer.output.log_probs(query_BD), after))
        memory = state.memory
        if memory:
            ids_BM, *states = memory
            kept = slice(max(0, ids_BM.shape[1] + 1 - self._memory), None)
            memory = (np.column_stack([ids_BM, ids_B])[:, kept],)
            if query_BD is not None:
                states_BMD, before_BD = states
                states_BMD = np.concatenate([states_BMD, before_BD[:, None]], axis=1)[:, kept]
                memory += (states_BMD, query_BD)
        return self._mixed(results, memory)

    def next_log_probs(self, history: Sequence[int]) -> np.ndarray:
        """Natural log-probabilities (V,) of the next id after a sentence's first ids."""
        return self.begin(history)[0][0]

    def component_log_probs(self, history: Sequence[int]) -> np.ndarray:
        """Natural log-probabilities (K, V) under each component, then each cache; nan: empty."""
        return self._rows(*self._begin(history, 1))[:, 0]

    def _mixed(
        self, results: list[tuple[np.ndarray, Any]], memory: State
    ) -> tuple[np.ndarray, MixState]:
        """Mix what the components answered and what the caches say."""
        state = MixState(tuple(own for _, own in results), memory)
        return mixed_log_probs(self._rows(results, memory), self.weights), state

    def _rows(self, results: list[tuple[np.ndarray, Any]], memory: State) -> np.ndarray:
        """What the components answered and what the caches say (K, B, V)."""
        log_p = [log_p_BV for log_p_BV, _ in results]
        for k, log_p_BV in enumerate(log_p):
            if np.isnan(log_p_BV).any():  # of a cache that would say that it is empty
                raise ArtifactError(f"component {k + 1} gives no numbers: its weights are damaged")
        size = log_p[0].shape[1]
        ids_BM, states_BMD, query_BD = (*memory, None, None, None)[:3]
        for cache in self.caches:
            assert ids_BM is not None
            log_p.append(distribution(cache, ids_BM, states_BMD, query_BD, size))
        return np.stack(log_p)


def blended(
    run: Run, caches: Sequence[CacheConfig] = (), *, own: bool = True
) -> tuple[list[float], tuple[CacheConfig, ...]]:
    """Weights of a run's components and caches, and the caches, with further ``caches`` added.

    With ``own`` False the run's own caches are left out; its components share their weight in
    proportion. What the further ones take is taken from all others in proportion. Raises
    ConfigError when they leave nothing.
    """
    mixture = run.mixture
    left = 1 - sum(cache.weight for cache in caches)
    if left <= 0:
        raise ConfigError(f"--cache-weight: {1 - left:g} in all leaves nothing for the model")
    weights = mixture.weights if mixture else [1.0]
    kept = mixture.caches if mixture else ()
    if kept and not own:
        weights = weights[: len(weights) - len(kept)]
        if not sum(weights):
            raise ConfigError(f"{run.folder}: all weight is in its caches: --cache-reach sentence")
        left /= sum(weights)
        kept = ()
    return [left * w for w in weights] + [cache.weight for cache in caches], (*kept, *caches)


def first_neural(runs: Sequence[Run]) -> int | None:
    """Which run is the first network, whose states neural caches compare; None: all are counts."""
    neural = (k for k, run in enumerate(runs) if run.config.model.neural)
    return next(neural, None)


def open_mixture(
    run: Run, caches: Sequence[CacheConfig] = (), *, own: bool = True, across: bool = True
) -> MixScorer:
    """Return the scorer of a mixture, or of a single model, with further ``caches``.

    ``own`` False leaves the run's own caches out; ``across`` False empties caches at each sentence.
    """
    weights, all_caches = blended(run, caches, own=own)
    scorers = [open_scorer(component) for component in run.components]
    return MixScorer(scorers, weights, all_caches, across=across)
