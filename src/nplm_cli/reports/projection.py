"""Maps of words: vectors of many dimensions laid out on a plane, by PCA and by t-SNE."""

from typing import Any

import numpy as np

# Below this many points t-SNE has no neighbourhoods to keep.
FEWEST_POINTS = 5
LARGEST_PERPLEXITY = 30.0


def maps(vectors_ND: np.ndarray, seed: int) -> dict[str, Any]:
    """Lay words out on a plane, twice.

    ``vectors_ND`` are N word vectors; each is scaled to length 1 first, because neighbours are
    told by the cosine. Returns ``pca``, N points of the first two principal components (Pearson
    1901), ``pca_explained``, the shares of the variance that the two keep, and ``tsne``, N points
    of t-SNE (van der Maaten & Hinton 2008) started from the PCA, with a perplexity of at most
    (N - 1) / 3; empty where N < 5 or all vectors are alike. The same vectors and seed give the
    same map; ``seed`` is read by t-SNE alone. Raises ValueError when a vector is not finite.
    """
    vectors_ND = np.asarray(vectors_ND, dtype=np.float64)
    if not np.isfinite(vectors_ND).all():
        raise ValueError("a vector holds nan or inf: it has no place on a map")
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    unit_ND = vectors_ND / np.where(lengths_N1 > 0, lengths_N1, 1.0)
    pca_N2, explained = _pca(unit_ND)
    return {
        "pca": _rounded(pca_N2),
        "pca_explained": [round(share, 6) for share in explained],
        "tsne": _rounded(_tsne(unit_ND, pca_N2, seed)),
    }


def _pca(vectors_ND: np.ndarray) -> tuple[np.ndarray, list[float]]:
    n, dim = vectors_ND.shape
    if not n or not dim:
        return np.zeros((n, 2)), [0.0, 0.0]
    centred_ND = vectors_ND - vectors_ND.mean(axis=0)
    _, singular_D, axes_DD = np.linalg.svd(centred_ND, full_matrices=False)
    axes_2D = axes_DD[:2]
    # The sign of an axis is free: its largest entry is made positive, so that a map stays the same.
    largest = np.abs(axes_2D).argmax(axis=1)
    axes_2D = axes_2D * np.where(axes_2D[np.arange(len(axes_2D)), largest] < 0, -1.0, 1.0)[:, None]
    points_N2 = np.zeros((n, 2))
    points_N2[:, : len(axes_2D)] = centred_ND @ axes_2D.T
    variance_D = singular_D**2
    total = float(variance_D.sum())
    # All vectors alike up to rounding: no direction is better than another.
    if total <= 1e-12 * n:
        return np.zeros((n, 2)), [0.0, 0.0]
    shares = [float(v) / total for v in variance_D[:2]]
    return points_N2, [*shares, 0.0][:2]


def _tsne(vectors_ND: np.ndarray, pca_N2: np.ndarray, seed: int) -> np.ndarray:
    n = len(vectors_ND)
    spread = float(pca_N2[:, 0].std()) if n else 0.0
    if n < FEWEST_POINTS or spread == 0:
        return np.zeros((0, 2))
    from sklearn.manifold import TSNE

    # scikit-learn's own requirement.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    model = TSNE(
        perplexity=min(LARGEST_PERPLEXITY, (n - 1) / 3),
        # As scikit-learn's init="pca", but also where vectors have one dimension.
        init=(pca_N2 / spread * 1e-4).astype(np.float32),
        random_state=seed % 2**32,
        n_jobs=1,
    )
    # Sums of several threads differ from run to run, and few points gain nothing by them.
    with threadpool_limits(1):
        points_N2 = model.fit_transform(vectors_ND.astype(np.float32))
    return np.asarray(points_N2, dtype=np.float64)


def _rounded(points_N2: np.ndarray) -> list[list[float]]:
    return [[round(float(x), 5) + 0.0, round(float(y), 5) + 0.0] for x, y in points_N2]
