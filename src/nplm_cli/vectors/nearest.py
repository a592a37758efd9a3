"""Exact nearest rows of a matrix, in blocks, with ties that are stable to the bit.

Two passes. A fast float32 product gives every row a score with a bound on its rounding error;
the rows that can be among the best k for all the rounding permits are the candidates. These few
are scored again in float64, each row on its own, so that equal rows get equal scores wherever
they stand, and sorted by score and row.
"""

from typing import Literal, get_args

import numpy as np

from nplm_cli.errors import ConfigError, did_you_mean
from nplm_cli.vectors.row_lengths import COPY_NUMBERS, RowLengths, centred, exact_lengths
from nplm_cli.vectors.scan import Scan
from nplm_cli.vectors.scan import unit as unit

Metric = Literal["cosine", "euclidean", "correlation"]

# Queries whose scores are computed together.
QUERY_BATCH = 1024


def check(metric: str, k: int) -> None:
    """Raise ConfigError for an unknown metric or a k below 1."""
    if metric not in get_args(Metric):
        raise ConfigError(
            f"unknown metric {metric!r}: expected {', '.join(get_args(Metric))}"
            f"{did_you_mean(metric, get_args(Metric))}"
        )
    if k < 1:
        raise ConfigError(f"k is {k}: expected at least 1 neighbour")


def exact_scores(query_D: np.ndarray, rows_ND: np.ndarray, metric: Metric) -> np.ndarray:
    """Scores (N, float64) of float64 rows against a query; equal rows, equal scores."""
    if metric == "euclidean":
        return exact_lengths(rows_ND - query_D)
    if metric == "correlation":
        query_D, rows_ND = centred(query_D), centred(rows_ND)
    products_N = (rows_ND * query_D).sum(axis=-1)
    lengths_N = exact_lengths(rows_ND) * exact_lengths(query_D)
    scores_N = np.divide(products_N, lengths_N, out=np.zeros(len(rows_ND)), where=lengths_N > 0)
    # Rounding may leave 1 + 2e-16 for parallel vectors; adding 0 turns -0 into 0.
    clipped: np.ndarray = np.clip(scores_N, -1.0, 1.0) + 0.0
    return clipped


def search(
    vectors_VD: np.ndarray,
    norms_V: np.ndarray | None,
    lengths: RowLengths,
    queries: list[np.ndarray],
    excluded: list[frozenset[int]],
    k: int,
    metric: Metric,
) -> list[list[tuple[int, float]]]:
    """For each float64 query the best k ``(row, score)`` pairs outside ``excluded``, in order.

    ``norms_V`` are the rows' norms by the metric, None where these are their lengths. Raises
    NotFiniteError for the first row that is not finite.
    """
    found = []
    for start in range(0, len(queries), QUERY_BATCH):
        batch = slice(start, start + QUERY_BATCH)
        # Excluded rows may be among the best: so many more are looked for, and then left out.
        more = max(map(len, excluded[batch]))
        scan = Scan(vectors_VD, queries[batch], k + more, metric)
        for block in scan.blocks():
            scan.look_at(block, norms_V, lengths)
        for query_D, rows, out in zip(queries[batch], scan.rows(), excluded[batch], strict=True):
            kept = rows[~np.isin(rows, list(out), kind="sort")] if out else rows
            found.append(_best(vectors_VD, query_D, kept, k, metric))
    return found


def _best(
    vectors_VD: np.ndarray, query_D: np.ndarray, rows: np.ndarray, k: int, metric: Metric
) -> list[tuple[int, float]]:
    scores = np.empty(len(rows))
    size = max(1, COPY_NUMBERS // max(1, len(query_D)))
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        scores[start : start + len(some)] = exact_scores(
            query_D, vectors_VD[some].astype(np.float64), metric
        )
    order = np.lexsort((rows, scores if metric == "euclidean" else -scores))[:k]
    return [(int(rows[i]), float(scores[i])) for i in order]
