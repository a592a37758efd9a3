"""Orthogonal Procrustes: the rotation that lays one vector space onto another.

Two trainings put the same words around different axes, so a cosine between vectors of two spaces
says nothing. What the spaces have in common shows after both are centred, their rows have length
1, and one is rotated onto the other (Artetxe et al. 2016; Xing et al. 2015).
"""

import numpy as np

from nplm_cli.vectors.keyed import KeyedVectors

_BLOCK_NUMBERS = 1 << 20


def mean_vector(keyed: KeyedVectors, rows_N: np.ndarray) -> np.ndarray:
    """Mean (d, float64) of some rows. Raises ArtifactError when a vector is not finite."""
    keyed.check_finite()
    total_D = np.zeros(keyed.dim)
    for block_N in _blocks(rows_N, keyed.dim):
        total_D += keyed.vectors[block_N].sum(axis=0, dtype=np.float64)
    return total_D / max(1, len(rows_N))


def centred_unit_rows(
    keyed: KeyedVectors,
    rows_N: np.ndarray,
    mean_D: np.ndarray,
    *,
    dim: int | None = None,
    dtype: type[np.floating] = np.float64,
) -> np.ndarray:
    """Rows less ``mean_D``, divided by their lengths, filled up with zeros to ``dim``: (N, dim).

    A row that equals the mean stays zero. Centring comes first, so that all lengths are 1 and a
    product of rows is a cosine.
    """
    units_ND = np.zeros((len(rows_N), dim or keyed.dim), dtype)
    start = 0
    for block_N in _blocks(rows_N, keyed.dim):
        block_ND = keyed.vectors[block_N].astype(np.float64) - mean_D
        units_ND[start : start + len(block_N), : keyed.dim] = unit_rows(block_ND)
        start += len(block_N)
    return units_ND


def unit_rows(rows_ND: np.ndarray) -> np.ndarray:
    """Each row divided by its length; zero rows stay zero."""
    lengths_N1 = np.sqrt(np.einsum("nd,nd->n", rows_ND, rows_ND))[:, None]
    units_ND: np.ndarray = np.divide(
        rows_ND, lengths_N1, out=np.zeros_like(rows_ND), where=lengths_N1 > 0
    )
    return units_ND


def rotation(cross_DD: np.ndarray) -> np.ndarray:
    """Orthogonal W (D, D) with the least |A W - B|, from ``cross_DD`` = A^T B.

    W = U V^T, where U S V^T is the singular value decomposition of A^T B (Schoenemann 1966). It
    takes rows of A to where those of B are: ``rows_ND @ W``. Reflections are allowed. Spaces of
    different dimension are filled up with zeros first, so that W stays square.
    """
    u_DD, _, vt_DD = np.linalg.svd(cross_DD.astype(np.float64))
    product: np.ndarray = u_DD @ vt_DD
    return product


def random_folds(size: int, folds: int, random: np.random.Generator) -> np.ndarray:
    """The fold 0 .. ``folds`` - 1 of each of ``size`` things; folds differ by one at most."""
    return random.permutation(size) % folds


def _blocks(rows_N: np.ndarray, dim: int) -> list[np.ndarray]:
    size = max(1, _BLOCK_NUMBERS // max(1, dim))
    return [rows_N[start : start + size] for start in range(0, len(rows_N), size)]
