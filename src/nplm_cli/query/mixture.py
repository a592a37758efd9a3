"""Several models as one: p(w | h) = sum_k lambda_k p_k(w | h), caches among them.

Linear interpolation (Jelinek & Mercer 1980). Where a component has no distribution (an empty
cache) the others share its weight, so that the mixture always sums to 1.

Shape suffixes: K components and caches, N predictions, T tokens in order, B rows, M tokens in a
cache's memory, D what the output layer reads, V vocabulary.
"""

from collections.abc import Sequence

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


class MixScorer:
    """A mixture behind the calls of ``Scorer``.

    A state is the states of all components one after the other, then, with caches, the ids (B, M)
    they remember and, with a neural cache, the states (B, M, D) before them and the newest (B, D).
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
        self._lengths: list[int] = []  # of the components' states, once there are some

    @property
    def order(self) -> int | None:
        """The largest of the components' orders; a cache sees further (``joint_order``)."""
        return joint_order([scorer.order for scorer in self.scorers], self.caches, self.source)

    def seen(self, read: int) -> int:
        """The most that any component sees of what was read."""
        orders = [scorer.order for scorer in self.scorers]
        reach = [_reach(cache, orders, self.source) for cache in self.caches]
        seen = [scorer.seen(read) for scorer in self.scorers]
        return max(*seen, *(read if r is None else min(read, r) for r in reach), 0)

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

    def begin(self, history: Sequence[int], rows: int = 1) -> tuple[np.ndarray, State]:
        """Log-probabilities (B, V) after a sentence's first ids, all rows alike, and the state."""
        results = [scorer.begin(history, rows) for scorer in self.scorers]
        self._lengths = [len(state) for _, state in results]
        memory: State = ()
        if self.caches:
            memory = (np.tile(np.asarray(history, np.int64), (rows, 1))[:, -self._memory :],)
        if self._neural_cache:
            source = self._source()
            hidden_BTD = source.hidden(np.array([[EOS_ID, *history]], np.int64)).repeat(
                rows, axis=0
            )
            memory += (hidden_BTD[:, :-1][:, -self._memory :], hidden_BTD[:, -1])
        return self._mixed([log_p_BV for log_p_BV, _ in results], [s for _, s in results], memory)

    def advance(self, ids_B: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Log-probabilities (B, V) after one more id in each row, and the state."""
        ids_B = np.asarray(ids_B, np.int64)
        pieces, memory = self._split(state)
        results = [s.advance(ids_B, own) for s, own in zip(self.scorers, pieces, strict=True)]
        if self.caches:
            ids_BM, *states = memory
            kept = slice(max(0, ids_BM.shape[1] + 1 - self._memory), None)
            memory = (np.column_stack([ids_BM, ids_B])[:, kept],)
            if states:
                states_BMD, query_BD = states
                states_BMD = np.concatenate([states_BMD, query_BD[:, None]], axis=1)[:, kept]
                memory += (states_BMD, self._next_query(ids_B, pieces))
        return self._mixed([log_p_BV for log_p_BV, _ in results], [s for _, s in results], memory)

    def next_log_probs(self, history: Sequence[int]) -> np.ndarray:
        """Natural log-probabilities (V,) of the next id after a sentence's first ids."""
        return self.begin(history)[0][0]

    def _source(self) -> NeuralScorer:
        assert self.source is not None
        scorer = self.scorers[self.source]
        assert isinstance(scorer, NeuralScorer)
        return scorer

    def _next_query(self, ids_B: np.ndarray, pieces: Sequence[State]) -> np.ndarray:
        assert self.source is not None
        scorer = self._source()
        hidden_BTD, _ = scorer.module.forward(
            scorer.weights, scorer.config, ids_B[:, None], pieces[self.source]
        )
        return hidden_BTD[:, -1]

    def _split(self, state: State) -> tuple[list[State], State]:
        pieces, at = [], 0
        for length in self._lengths:
            pieces.append(state[at : at + length])
            at += length
        return pieces, state[at:]

    def _mixed(
        self, log_p: list[np.ndarray], states: list[State], memory: State
    ) -> tuple[np.ndarray, State]:
        ids_BM, states_BMD, query_BD = (*memory, None, None, None)[:3]
        for k, log_p_BV in enumerate(log_p):
            if np.isnan(log_p_BV).any():  # of a cache that would say that it is empty
                raise ArtifactError(f"component {k + 1} gives no numbers: its weights are damaged")
        size = log_p[0].shape[1]
        for cache in self.caches:
            assert ids_BM is not None
            log_p.append(distribution(cache, ids_BM, states_BMD, query_BD, size))
        joined = tuple(piece for state in states for piece in state)
        return mixed_log_probs(np.stack(log_p), self.weights), joined + memory


def blended(
    run: Run, caches: Sequence[CacheConfig] = ()
) -> tuple[list[float], tuple[CacheConfig, ...]]:
    """Weights of a run's components and caches, and the caches, with further ``caches`` added.

    What the further ones take is taken from all others in proportion. Raises ConfigError when
    they leave nothing.
    """
    own = run.mixture
    left = 1 - sum(cache.weight for cache in caches)
    if left <= 0:
        raise ConfigError(f"--cache-weight: {1 - left:g} in all leaves nothing for the model")
    weights = [left * weight for weight in (own.weights if own else [1.0])]
    return weights + [cache.weight for cache in caches], (*(own.caches if own else ()), *caches)


def first_neural(runs: Sequence[Run]) -> int | None:
    """Which run is the first network, whose states neural caches compare; None: all are counts."""
    neural = (k for k, run in enumerate(runs) if run.config.model.neural)
    return next(neural, None)


def open_mixture(run: Run, caches: Sequence[CacheConfig] = (), *, across: bool = True) -> MixScorer:
    """Return the scorer of a mixture, or of a single model, with further ``caches``."""
    weights, all_caches = blended(run, caches)
    scorers = [open_scorer(component) for component in run.components]
    return MixScorer(scorers, weights, all_caches, across=across)
