"""Nearest rows between many vectors at once, from float32 products in blocks.

For statistics over whole vocabularies; ``nearest`` is for questions, exact to the bit.
"""

from collections.abc import Iterator

import numpy as np

# Scores (queries x rows) that are held at once.
_BLOCK_SCORES = 1 << 22


def query_blocks(queries: int, rows: int) -> Iterator[slice]:
    """Slices of the queries, so that a slice's scores of all rows fit a block."""
    size = max(1, _BLOCK_SCORES // max(1, rows))
    for start in range(0, queries, size):
        yield slice(start, min(start + size, queries))


def top_rows(scores_QN: np.ndarray, k: int) -> np.ndarray:
    """The k rows of the highest scores (Q, k), best first, equal scores in order of rows.

    Needs 1 <= k <= N and no nan.
    """
    queries, rows = scores_QN.shape
    least_Q1 = np.partition(scores_QN, rows - k, axis=1)[:, rows - k, None]
    keep_QN = scores_QN >= least_Q1
    for query in np.flatnonzero(keep_QN.sum(axis=1) > k):
        equal = np.flatnonzero(scores_QN[query] == least_Q1[query])
        excess = int(keep_QN[query].sum()) - k
        keep_QN[query, equal[len(equal) - excess :]] = False
    best_QK = np.nonzero(keep_QN)[1].reshape(queries, k)
    order_QK = np.argsort(-np.take_along_axis(scores_QN, best_QK, 1), axis=1, kind="stable")
    return np.take_along_axis(best_QK, order_QK, 1)


def neighbor_rows(units_ND: np.ndarray, k: int) -> np.ndarray:
    """The k nearest other rows of each row by cosine, ascending by row number: (N, k).

    ``units_ND`` are float32 rows of length 1 (or 0), k < N; equal scores in order of rows.
    """
    found_NK = np.empty((len(units_ND), k), np.int32)
    for block in query_blocks(len(units_ND), len(units_ND)):
        scores_BN = units_ND[block] @ units_ND.T
        itself = np.arange(block.start, block.stop)
        scores_BN[itself - block.start, itself] = -np.inf
        found_NK[block] = np.sort(top_rows(scores_BN, k), axis=1)
    return found_NK


def shared(neighbors_NK: np.ndarray, others_NK: np.ndarray) -> np.ndarray:
    """How many row numbers two lists (N, k) without repetitions share, line by line: (N,)."""
    both = np.sort(np.concatenate([neighbors_NK, others_NK], axis=1), axis=1)
    counts_N: np.ndarray = (both[:, 1:] == both[:, :-1]).sum(axis=1)
    return counts_N


def mean_of_top(units_ND: np.ndarray, others_MD: np.ndarray, k: int) -> np.ndarray:
    """Mean cosine (N) of each row to its k nearest among ``others_MD`` (all, where fewer).

    r of CSLS (Conneau et al. 2018, section 2.3): high for hubs, which are near to everything.
    """
    k = min(k, len(others_MD))
    means_N = np.empty(len(units_ND), units_ND.dtype)
    for block in query_blocks(len(units_ND), len(others_MD)):
        scores_BM = units_ND[block] @ others_MD.T
        scores_BM.partition(len(others_MD) - k, axis=1)
        means_N[block] = scores_BM[:, len(others_MD) - k :].mean(axis=1)
    return means_N


def ranks_of(scores_QN: np.ndarray, rows_Q: np.ndarray) -> np.ndarray:
    """Rank (Q), from 1, of row ``rows_Q[q]`` among the scores of query q; ties by row."""
    own_Q1 = np.take_along_axis(scores_QN, rows_Q[:, None], 1)
    before_QN = np.arange(scores_QN.shape[1]) < rows_Q[:, None]
    ahead_QN = (scores_QN > own_Q1) | ((scores_QN == own_Q1) & before_QN)
    ranks_Q: np.ndarray = 1 + ahead_QN.sum(axis=1)
    return ranks_Q
