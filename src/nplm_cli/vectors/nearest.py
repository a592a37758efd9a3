"""Exact nearest rows of a matrix, in blocks, with ties that are stable to the bit.

Two passes. A fast float32 product gives every row a score with a bound on its rounding error;
the rows that can be among the best k for all the rounding permits are the candidates. These few
are scored again in float64, each row on its own, so that equal rows get equal scores wherever
they stand, and sorted by score and row.
"""

from typing import Literal, get_args

import numpy as np

from nplm_cli.errors import ConfigError, did_you_mean

Metric = Literal["cosine", "euclidean", "correlation"]

# Bounds of one block: numbers copied to float64, and scores (queries x rows) held at once.
_COPY_NUMBERS = 1 << 20
_BLOCK_SCORES = 1 << 22
_QUERY_BATCH = 256
_UNIT_ROUNDOFF = 2.0**-24
# Outside these lengths float32 products may overflow or lose digits to underflow: score exactly.
_SAFE_LENGTHS = (1e-12, 1e12)


def check(metric: str, k: int) -> None:
    """Raise ConfigError for an unknown metric or a k below 1."""
    if metric not in get_args(Metric):
        raise ConfigError(
            f"unknown metric {metric!r}: expected {', '.join(get_args(Metric))}"
            f"{did_you_mean(metric, get_args(Metric))}"
        )
    if k < 1:
        raise ConfigError(f"k is {k}: expected at least 1 neighbour")


def _centred(rows_ND: np.ndarray) -> np.ndarray:
    centred: np.ndarray = rows_ND - rows_ND.mean(axis=-1, keepdims=True)
    return centred


def _lengths(rows_ND: np.ndarray) -> np.ndarray:
    # A sum along the last axis treats each row alike, where a matrix product may not.
    lengths: np.ndarray = np.sqrt((rows_ND * rows_ND).sum(axis=-1))
    return lengths


def unit(vector_D: np.ndarray) -> np.ndarray:
    """The vector divided by its length; the zero vector stays zero."""
    length = _lengths(vector_D)
    return vector_D / length if length > 0 else vector_D


def norms(vectors_VD: np.ndarray, metric: Metric) -> np.ndarray:
    """Euclidean length (V, float64) of each row, for correlation of each row less its mean."""
    lengths_V = np.empty(len(vectors_VD))
    size = max(1, _COPY_NUMBERS // max(1, vectors_VD.shape[1]))
    for start in range(0, len(vectors_VD), size):
        block = vectors_VD[start : start + size].astype(np.float64)
        if metric == "correlation":
            block = _centred(block)
            lengths_V[start : start + len(block)] = _lengths(block)
        else:
            lengths_V[start : start + len(block)] = np.sqrt(np.einsum("nd,nd->n", block, block))
    return lengths_V


def exact_scores(query_D: np.ndarray, rows_ND: np.ndarray, metric: Metric) -> np.ndarray:
    """Scores (N, float64) of float64 rows against a query; equal rows, equal scores."""
    if metric == "euclidean":
        return _lengths(rows_ND - query_D)
    if metric == "correlation":
        query_D, rows_ND = _centred(query_D), _centred(rows_ND)
    products_N = (rows_ND * query_D).sum(axis=-1)
    lengths_N = _lengths(rows_ND) * _lengths(query_D)
    scores_N = np.divide(products_N, lengths_N, out=np.zeros(len(rows_ND)), where=lengths_N > 0)
    # Rounding may leave 1 + 2e-16 for parallel vectors; adding 0 turns -0 into 0.
    clipped: np.ndarray = np.clip(scores_N, -1.0, 1.0) + 0.0
    return clipped


def search(
    vectors_VD: np.ndarray,
    norms_V: np.ndarray,
    lengths_V: np.ndarray,
    queries: list[np.ndarray],
    excluded: list[frozenset[int]],
    k: int,
    metric: Metric,
) -> list[list[tuple[int, float]]]:
    """For each float64 query the best k ``(row, score)`` pairs outside ``excluded``, in order.

    ``norms_V`` are ``norms(vectors_VD, metric)`` and ``lengths_V`` the rows' plain lengths.
    """
    found = []
    for start in range(0, len(queries), _QUERY_BATCH):
        batch = slice(start, start + _QUERY_BATCH)
        candidates = _candidates(
            vectors_VD, norms_V, lengths_V, queries[batch], excluded[batch], k, metric
        )
        for query_D, rows in zip(queries[batch], candidates, strict=True):
            found.append(_best(vectors_VD, query_D, rows, k, metric))
    return found


def _best(
    vectors_VD: np.ndarray, query_D: np.ndarray, rows: np.ndarray, k: int, metric: Metric
) -> list[tuple[int, float]]:
    scores = np.empty(len(rows))
    size = max(1, _COPY_NUMBERS // max(1, len(query_D)))
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        scores[start : start + len(some)] = exact_scores(
            query_D, vectors_VD[some].astype(np.float64), metric
        )
    order = np.lexsort((rows, scores if metric == "euclidean" else -scores))[:k]
    return [(int(rows[i]), float(scores[i])) for i in order]


def _candidates(
    vectors_VD: np.ndarray,
    norms_V: np.ndarray,
    lengths_V: np.ndarray,
    queries: list[np.ndarray],
    excluded: list[frozenset[int]],
    k: int,
    metric: Metric,
) -> list[np.ndarray]:
    """Rows (ascending) that may be among the best k of each query."""
    if metric == "correlation":
        queries = [_centred(query) for query in queries]
    if metric != "euclidean":
        queries = [unit(query) for query in queries]
    queries_QD = np.stack(queries).astype(np.float32) if queries else np.zeros((0, 1), np.float32)
    query_lengths = [float(_lengths(query)) for query in queries]
    kept_rows = [np.zeros(0, np.int64) for _ in queries]
    kept_lower, kept_upper = ([np.zeros(0) for _ in queries] for _ in range(2))
    size = max(1024, _BLOCK_SCORES // max(1, len(queries)))
    for start in range(0, len(vectors_VD), size):
        block = slice(start, min(start + size, len(vectors_VD)))
        with np.errstate(over="ignore", invalid="ignore"):
            products_QB = queries_QD @ vectors_VD[block].T
        for q, length in enumerate(query_lengths):
            scores_B, errors_B = _bounded(
                products_QB[q],
                norms_V[block],
                lengths_V[block],
                length,
                vectors_VD.shape[1],
                metric,
            )
            lower_B, upper_B = scores_B - errors_B, scores_B + errors_B
            for row in excluded[q]:
                if block.start <= row < block.stop:
                    upper_B[row - start] = lower_B[row - start] = np.nan
            # Rows that cannot reach the k best so far are dropped before anything is merged.
            floor = _kth_largest(kept_lower[q], k)
            here = np.flatnonzero(upper_B >= floor)
            rows = np.concatenate([kept_rows[q], here + start])
            lower = np.concatenate([kept_lower[q], lower_B[here]])
            upper = np.concatenate([kept_upper[q], upper_B[here]])
            reach = upper >= _kth_largest(lower, k)
            kept_rows[q], kept_lower[q], kept_upper[q] = rows[reach], lower[reach], upper[reach]
    return kept_rows


def _kth_largest(values: np.ndarray, k: int) -> float:
    if len(values) < k:
        return -np.inf
    return float(np.partition(values, len(values) - k)[len(values) - k])


def _bounded(
    products_B: np.ndarray,
    norms_B: np.ndarray,
    lengths_B: np.ndarray,
    query_length: float,
    dim: int,
    metric: Metric,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores that grow with nearness, and a bound on how far each is from the exact one.

    A float32 dot product of length d is off by at most about d u |q| |x| (Higham 2002, s.3.1);
    a few u more cover the rounded query and the later steps.
    """
    relative = (dim + 8) * _UNIT_ROUNDOFF
    scores_B = products_B.astype(np.float64)
    if metric == "euclidean":
        # 2 q.x - |x|^2 orders the rows as -|q - x|^2 does.
        squares_B = norms_B * norms_B
        scores_B = 2 * scores_B - squares_B
        errors_B = relative * (2 * query_length * norms_B + squares_B + query_length**2)
    else:
        nonzero_B = norms_B > 0
        scores_B = np.divide(
            scores_B, norms_B, out=np.zeros_like(scores_B), where=nonzero_B & (query_length > 0)
        )
        errors_B = relative * (
            1 + np.divide(lengths_B, norms_B, out=np.zeros_like(norms_B), where=nonzero_B)
        )
    low, high = _SAFE_LENGTHS
    unsafe_B = (lengths_B > high) | ((norms_B < low) & (lengths_B > 0))
    if not (low < query_length < high or query_length == 0):
        unsafe_B = np.ones_like(unsafe_B)
    unsafe_B |= ~np.isfinite(scores_B)
    scores_B[unsafe_B] = 0.0
    errors_B[unsafe_B] = np.inf
    return scores_B, errors_B
