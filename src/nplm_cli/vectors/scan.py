"""One pass over a matrix: which rows can be among the best k of each of many queries.

A block of rows and all queries make one float32 product, small enough to stay in the cache. A
row is kept if its score, with all that rounding may have taken from it, reaches the k-th best of
the scores that are certain. These few rows are then to be scored exactly (``nearest.py``).

Shape suffixes: Q queries, B rows of a block, D dimensions, H rows kept with their queries.
"""

from collections.abc import Iterator

import numpy as np

from nplm_cli.vectors.row_lengths import SAFE_LENGTHS, RowLengths, centred, products

# Scores (queries x rows) and numbers of a block of rows: both stay in the cache.
_BLOCK_SCORES = 1 << 20
_BLOCK_NUMBERS = 1 << 19
_FEWEST_ROWS = 256
# For one query more rows a block, in parts whose lengths are taken while they are in the cache.
_SINGLE_ROWS = 1 << 15
_PART_NUMBERS = 1 << 18
_UNIT_ROUNDOFF = 2.0**-24


def unit(vector_D: np.ndarray) -> np.ndarray:
    """The vector divided by its length; the zero vector stays zero."""
    length = np.sqrt((vector_D * vector_D).sum(axis=-1))
    return vector_D / length if length > 0 else vector_D


class Scan:
    """Rows that may be among the best k of float64 queries by a metric of ``nearest.py``."""

    def __init__(self, vectors_VD: np.ndarray, queries: list[np.ndarray], k: int, metric: str):
        if metric == "correlation":
            queries = [centred(query) for query in queries]
        if metric != "euclidean":
            queries = [unit(query) for query in queries]
        self._vectors_VD, self._k, self._metric = vectors_VD, k, metric
        queries_QD = np.stack(queries)
        self._lengths_Q1 = np.sqrt((queries_QD * queries_QD).sum(axis=1, keepdims=True))
        self._floor_Q = np.full(len(queries), -np.inf)
        low, high = SAFE_LENGTHS
        # Queries that float32 cannot take: for them every row is to be scored exactly.
        lengths_Q = self._lengths_Q1[:, 0]
        self._unsafe = np.flatnonzero(~((lengths_Q > low) & (lengths_Q < high)) & (lengths_Q != 0))
        queries_QD[self._unsafe] = self._lengths_Q1[self._unsafe] = 0
        self._queries_QD = queries_QD.astype(np.float32)
        self._queries_H: list[np.ndarray] = []
        self._rows_H: list[np.ndarray] = []
        self._lower_H: list[np.ndarray] = []
        self._upper_H: list[np.ndarray] = []
        self._everywhere: list[np.ndarray] = []  # rows to be scored exactly for every query
        self._seen = self._settled = 0
        self._floor_Q[self._unsafe] = np.inf

    def blocks(self) -> Iterator[slice]:
        """Slices of the rows to look at, in their order."""
        rows, dim = self._vectors_VD.shape
        size = min(_BLOCK_SCORES // len(self._queries_QD), _BLOCK_NUMBERS // max(1, dim))
        if len(self._queries_QD) == 1:
            size = _SINGLE_ROWS
        # At least k: the best k of the first block are what the others are measured by.
        size = max(size, _FEWEST_ROWS, self._k)
        for start in range(0, rows, size):
            yield slice(start, min(start + size, rows))

    def look_at(self, block: slice, norms_V: np.ndarray | None, lengths: RowLengths) -> None:
        """Look at one block, given the rows' norms by the metric (None: lengths) and lengths.

        Raises NotFiniteError for the first row that is not finite.
        """
        low, high = SAFE_LENGTHS
        products_QB = self._products_of_one(block, lengths) if len(self._queries_QD) == 1 else None
        lengths_B = lengths.of(block)
        norms_B = lengths_B if norms_V is None else norms_V[block]
        unsafe_B = ~((lengths_B < high) & ((norms_B > low) | (lengths_B == 0)))
        with np.errstate(over="ignore", invalid="ignore"):
            scores_QB, errors_B = self._scores(block, products_QB, norms_B, lengths_B)
        if unsafe_B.any():
            self._everywhere.append(np.flatnonzero(unsafe_B) + block.start)
            scores_QB[:, unsafe_B] = -np.inf
            errors_B[unsafe_B] = 0
        # Of most queries no row of a block is good enough: these are let go by their maximum.
        error = float(errors_B.max(initial=0))
        live = np.flatnonzero(scores_QB.max(axis=1) >= self._floor_Q - error)
        part_LB = scores_QB if len(live) == len(scores_QB) else scores_QB[live]
        if not self._seen and part_LB.shape[1] >= self._k:
            self._floor_Q[live] = _kth_largest(part_LB, self._k) - error
        # Rounded downwards: comparing with float64 would make a copy of all scores.
        floor_L1 = np.nextafter((self._floor_Q[live, None] - error).astype(np.float32), -np.inf)
        hit, column = np.nonzero(part_LB >= floor_L1)
        scores_H = part_LB[hit, column].astype(np.float64)
        upper_H = scores_H + errors_B[column]
        kept = upper_H >= self._floor_Q[live[hit]]
        hit, column, scores_H = live[hit[kept]], column[kept], scores_H[kept]
        self._queries_H.append(hit)
        self._rows_H.append(column + block.start)
        self._upper_H.append(upper_H[kept])
        self._lower_H.append(scores_H - errors_B[column])
        self._seen += block.stop - block.start
        if self._seen >= 2 * self._settled:
            self._settle()

    def _products_of_one(self, block: slice, lengths: RowLengths) -> np.ndarray:
        """Products (1, B) of a block with the one query."""
        products_1B = np.empty((1, block.stop - block.start), np.float32)
        size = max(1, _PART_NUMBERS // max(1, self._vectors_VD.shape[1]))
        for start in range(block.start, block.stop, size):
            part = slice(start, min(start + size, block.stop))
            lengths.of(part)
            with np.errstate(over="ignore", invalid="ignore"):
                found_B = products(self._vectors_VD[part], self._queries_QD[0])
            products_1B[0, start - block.start : part.stop - block.start] = found_B
        return products_1B

    def _scores(
        self,
        block: slice,
        products_QB: np.ndarray | None,
        norms_B: np.ndarray,
        lengths_B: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores (Q, B) that grow with nearness, and how far those of each row (B) may be off.

        A float32 dot product of length d is off by at most about d u |q| |x| (Higham 2002, s.3.1),
        the norm, if it is a quick one, by (d/2 + 2) u of itself; a few u more cover the rounded
        query and the other steps.
        """
        rows_BD = self._vectors_VD[block]
        relative = (rows_BD.shape[1] + 8) * _UNIT_ROUNDOFF
        if self._metric == "euclidean":
            # 2 q.x - |x|^2 orders the rows as -|q - x|^2 does.
            squares_B = norms_B * norms_B
            scores_QB = self._queries_QD @ rows_BD.T if products_QB is None else products_QB
            scores_QB *= np.float32(2)
            scores_QB -= squares_B.astype(np.float32)
            longest = float(self._lengths_Q1.max(initial=0))
            errors_B = relative * (2 * longest * norms_B + 2 * squares_B + longest**2)
            return scores_QB, errors_B
        inverse_B = np.divide(1.0, norms_B, out=np.zeros(len(norms_B)), where=norms_B > 0)
        if products_QB is None and len(self._queries_QD) > rows_BD.shape[1]:  # less to multiply
            scores_QB = self._queries_QD @ (rows_BD * inverse_B.astype(np.float32)[:, None]).T
        else:
            scores_QB = self._queries_QD @ rows_BD.T if products_QB is None else products_QB
            scores_QB *= inverse_B.astype(np.float32)
        return scores_QB, relative * (2 + lengths_B * inverse_B)

    def _settle(self) -> None:
        """Raise the floors to the k-th best that is certain, and let go what is below."""
        self._settled = self._seen
        query = np.concatenate(self._queries_H)
        row, lower, upper = (
            np.concatenate(parts) for parts in (self._rows_H, self._lower_H, self._upper_H)
        )
        order = np.lexsort((-lower, query))
        first_Q = np.searchsorted(query[order], np.arange(len(self._floor_Q)))
        counts_Q = np.bincount(query, minlength=len(self._floor_Q))
        enough = np.flatnonzero(counts_Q >= self._k)
        kth = lower[order[first_Q[enough] + self._k - 1]]
        self._floor_Q[enough] = np.maximum(self._floor_Q[enough], kth)
        kept = upper >= self._floor_Q[query]
        self._queries_H, self._rows_H = [query[kept]], [row[kept]]
        self._lower_H, self._upper_H = [lower[kept]], [upper[kept]]

    def rows(self) -> list[np.ndarray]:
        """Rows (ascending) that may be among the best k of each query."""
        if not self._queries_H:
            return [np.zeros(0, np.int64) for _ in self._floor_Q]
        self._settle()
        query, row = self._queries_H[0], self._rows_H[0]
        order = np.lexsort((row, query))
        ends = np.cumsum(np.bincount(query, minlength=len(self._floor_Q)))
        found = np.split(row[order], ends[:-1])
        if self._everywhere:
            more = np.concatenate(self._everywhere)
            found = [np.union1d(rows, more) for rows in found]
        for q in self._unsafe:
            found[q] = np.arange(len(self._vectors_VD))
        return found


def _kth_largest(scores_QB: np.ndarray, k: int) -> np.ndarray:
    at = scores_QB.shape[1] - k
    kth: np.ndarray = np.partition(scores_QB, at, axis=1)[:, at].astype(np.float64)
    return kth
