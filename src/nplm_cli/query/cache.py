"""Caches: a word that was read a while ago is likely to come again.

With the tokens x_i of a file, and h_i what the output layer read before x_i came, the word at t is

    unigram    p(w) = sum_i [x_i = w] d^(t-1-i)        / sum_i d^(t-1-i)
    neural     p(w) = sum_i [x_i = w] exp(theta h_t . h_i) / sum_i exp(theta h_t . h_i)

with i over the last N tokens before t (Kuhn & De Mori 1990, d = 1 without decay; Grave, Joulin &
Usunier 2017, equations 2 and 3). An empty cache has no distribution: its log-probabilities are
nan, and whoever mixes goes on without it.

Shape suffixes: C caches, T tokens of a text in order, Q queries of a block, K keys that a block
sees, B rows, M tokens in memory, D what the output layer reads, V vocabulary.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from nplm_cli.config import CacheConfig

# Queries of a block, and the most keys they are compared with at once: these bound the memory.
BLOCK = 256
MAX_LAGS = 8192


class CacheReader:
    """Caches that read a text in order, in pieces of any size; they are empty at first."""

    def __init__(self, caches: Sequence[CacheConfig]):
        self.caches = tuple(caches)
        self.size = max((cache.size for cache in caches), default=0)
        self.neural = any(cache.kind == "neural" for cache in caches)
        self.clear()

    def clear(self) -> None:
        """Forget everything: a new file begins."""
        self._ids_M = np.zeros(0, np.int64)
        self._states_MD: np.ndarray | None = None

    def read(self, ids_T: np.ndarray, states_TD: np.ndarray | None = None) -> np.ndarray:
        """Natural log-probabilities (C, T), float64, of the next tokens, which are then kept.

        ``states_TD`` is what the output layer reads before each of them; only neural caches need
        it. -inf where the cache does not hold the token, nan where the cache is empty.
        """
        known = len(self._ids_M)
        ids_K = np.concatenate([self._ids_M, np.asarray(ids_T, np.int64)])
        states_KD = states_TD if self.neural else None
        if states_KD is not None and self._states_MD is not None:
            states_KD = np.concatenate([self._states_MD, states_KD])
        log_p_CT = np.full((len(self.caches), len(ids_T)), np.nan)
        for begin in range(known, len(ids_K), BLOCK):
            block = slice(begin, min(begin + BLOCK, len(ids_K)))
            log_p_CT[:, block.start - known : block.stop - known] = self._block(
                ids_K, states_KD, block
            )
        kept = max(0, len(ids_K) - self.size)
        self._ids_M = ids_K[kept:]
        self._states_MD = None if states_KD is None else states_KD[kept:].copy()
        return log_p_CT

    def _block(self, ids_K: np.ndarray, states_KD: np.ndarray | None, block: slice) -> np.ndarray:
        """Log-probabilities (C, Q) of the tokens of a block.

        Caches of several sizes share the work: the sums over a size are those over the next
        smaller one and over what lies further back.
        """
        at_Q = np.arange(block.start, block.stop)
        log_p_CQ = np.full((len(self.caches), len(at_Q)), np.nan)
        sums: dict[tuple[str, float], tuple[np.ndarray, np.ndarray]] = {}
        longest = block.stop - 1
        for low, high in _lag_ranges({cache.size for cache in self.caches}, longest):
            keys = slice(max(0, block.start - high), longest - low)
            lag_QK = at_Q[:, None] - np.arange(keys.start, keys.stop)
            seen_QK = (lag_QK > low) & (lag_QK <= high)
            same_QK = seen_QK & (ids_K[block, None] == ids_K[keys])
            dot_QK = None if states_KD is None else states_KD[block] @ states_KD[keys].T
            for kind, setting in {_score_of(c) for c in self.caches if c.size > low}:
                score_QK = _scores(kind, setting, lag_QK, dot_QK)
                both = _log_sums(score_QK, seen_QK, same_QK)
                if (kind, setting) in sums:
                    old = sums[kind, setting]
                    both = np.logaddexp(old[0], both[0]), np.logaddexp(old[1], both[1])
                sums[kind, setting] = both
            for c, cache in enumerate(self.caches):
                if low < min(cache.size, longest) <= high:
                    all_Q, own_Q = sums[_score_of(cache)]
                    filled_Q = at_Q > 0
                    log_p_CQ[c, filled_Q] = own_Q[filled_Q] - all_Q[filled_Q]
        return log_p_CQ


def _lag_ranges(sizes: set[int], longest: int) -> list[tuple[int, int]]:
    """Ranges (low, high] of lags that end at each size, or at the longest lag there is."""
    ends = {min(size, longest) for size in sizes} - {0}
    ends |= set(range(MAX_LAGS, max(ends, default=0), MAX_LAGS))
    return list(itertools.pairwise([0, *sorted(ends)]))


def _score_of(cache: CacheConfig) -> tuple[str, float]:
    return cache.kind, cache.theta if cache.kind == "neural" else cache.decay


def _scores(kind: str, setting: float, lag_QK: np.ndarray, dot_QK: np.ndarray | None) -> np.ndarray:
    """Logarithm of what a key counts for a query."""
    if kind == "unigram":
        return (lag_QK - 1).astype(np.float32) * np.float32(np.log(setting))
    if dot_QK is None:
        raise ValueError("a neural cache reads states beside ids")
    return np.float32(setting) * dot_QK


def _log_sums(
    score_QK: np.ndarray, seen_QK: np.ndarray, same_QK: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log of the sums of exp(score), float64 (Q,), over the keys seen, and over the same words."""
    score_QK = np.where(seen_QK, score_QK, np.float32(-np.inf))
    top_Q = score_QK.max(axis=1)
    top_Q = np.where(np.isfinite(top_Q), top_Q, np.float32(0))
    weight_QK = np.exp(score_QK - top_Q[:, None])
    queries, keys = np.nonzero(same_QK)
    own_Q = np.bincount(queries, weight_QK[queries, keys], minlength=len(top_Q))
    with np.errstate(divide="ignore"):
        return np.log(weight_QK.sum(axis=1).astype(np.float64)) + top_Q, np.log(own_Q) + top_Q


def distribution(
    cache: CacheConfig,
    ids_BM: np.ndarray,
    states_BMD: np.ndarray | None,
    query_BD: np.ndarray | None,
    size: int,
) -> np.ndarray:
    """Natural log-probabilities (B, V), float64, of the next word given what each row has read.

    ``size`` is V. nan where nothing was read, -inf for words that are not among the last ones.
    """
    ids_BM = ids_BM[:, max(0, ids_BM.shape[1] - cache.size) :]
    rows, length = ids_BM.shape
    if not length:
        return np.full((rows, size), np.nan)
    if cache.kind == "unigram":
        score_BM = np.arange(length - 1, -1, -1.0)[None] * np.log(cache.decay)
    else:
        if states_BMD is None or query_BD is None:
            raise ValueError("a neural cache reads states beside ids")
        states_BMD = states_BMD[:, -length:].astype(np.float64)
        score_BM = cache.theta * (states_BMD @ query_BD.astype(np.float64)[:, :, None])[:, :, 0]
    weight_BM = np.exp(score_BM - score_BM.max(axis=1, keepdims=True))
    p_BV = np.zeros((rows, size))
    np.add.at(p_BV, (np.arange(rows)[:, None], ids_BM), weight_BM / weight_BM.sum(1, keepdims=True))
    with np.errstate(divide="ignore"):
        return np.log(p_BV)
