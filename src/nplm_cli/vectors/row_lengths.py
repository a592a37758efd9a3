"""Lengths of the rows of a matrix, computed where a search first needs them.

Shape suffixes: V rows of a matrix, B rows of a block, D dimensions.
"""

import numpy as np

# Numbers copied to float64 at once.
COPY_NUMBERS = 1 << 20
# Outside these lengths float32 products may overflow or lose digits to underflow.
SAFE_LENGTHS = (1e-12, 1e12)


class NotFiniteError(ArithmeticError):
    """A row holds nan or inf: ``row``."""

    def __init__(self, row: int):
        super().__init__(f"row {row} is not finite")
        self.row = row


def products(rows_BD: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Dot product (B) of each row with one vector (D), or with a row of its own (B, D).

    Takes several times less time than the product of a matrix and a vector.
    """
    # vecdot (numpy 2) is slow on rows that do not lie together, as those of a Fortran array.
    if hasattr(np, "vecdot") and rows_BD.flags.c_contiguous:
        return np.vecdot(rows_BD, other)
    return np.einsum("nd,d->n" if other.ndim == 1 else "nd,nd->n", rows_BD, other)


def centred(rows_ND: np.ndarray) -> np.ndarray:
    """Rows less their means."""
    less: np.ndarray = rows_ND - rows_ND.mean(axis=-1, keepdims=True)
    return less


def exact_lengths(rows_ND: np.ndarray) -> np.ndarray:
    """Euclidean length (N) of each row, the same for equal rows to the bit."""
    # A sum along the last axis treats each row alike, where a matrix product may not.
    lengths: np.ndarray = np.sqrt((rows_ND * rows_ND).sum(axis=-1))
    return lengths


def centred_norms(vectors_VD: np.ndarray) -> np.ndarray:
    """Euclidean length (V, float64) of each row less its mean."""
    norms_V = np.empty(len(vectors_VD))
    size = max(1, COPY_NUMBERS // max(1, vectors_VD.shape[1]))
    for start in range(0, len(vectors_VD), size):
        block = vectors_VD[start : start + size].astype(np.float64)
        norms_V[start : start + len(block)] = exact_lengths(centred(block))
    return norms_V


class RowLengths:
    """Euclidean length (float64) of each row, off by at most (d/2 + 2) 2^-24 of itself.

    A float32 sum of d squares is off by d u at most (Higham 2002, s.3.1), its root by half of it.
    What float32 might lose to overflow or underflow is computed again in float64.
    """

    def __init__(self, vectors_VD: np.ndarray):
        self._vectors_VD = vectors_VD
        self._lengths_V = np.empty(len(vectors_VD))
        self._known = 0  # the first rows, whose lengths stand there

    def of(self, block: slice) -> np.ndarray:
        """Lengths (B) of a block of rows; raises NotFiniteError for the first that has none."""
        size = max(1, COPY_NUMBERS // max(1, self._vectors_VD.shape[1]))
        while self._known < block.stop:
            part = slice(self._known, min(self._known + size, block.stop))
            self._lengths_V[part] = _checked_lengths(self._vectors_VD[part], part.start)
            self._known = part.stop
        return self._lengths_V[block]

    def all(self) -> np.ndarray:
        """Lengths (V) of all rows; raises NotFiniteError."""
        return self.of(slice(0, len(self._lengths_V)))


def _checked_lengths(rows_BD: np.ndarray, first_row: int) -> np.ndarray:
    low, high = SAFE_LENGTHS
    with np.errstate(over="ignore", invalid="ignore"):
        lengths_B = np.sqrt(products(rows_BD, rows_BD), dtype=np.float64)
        again = np.flatnonzero(~((lengths_B > low) & (lengths_B < high)))
        if len(again):
            lengths_B[again] = exact_lengths(rows_BD[again].astype(np.float64))
            bad = again[~np.isfinite(lengths_B[again])]
            if len(bad):
                raise NotFiniteError(first_row + int(bad[0]))
    return lengths_B
