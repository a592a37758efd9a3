"""Maps: PCA against what is known, t-SNE on few points, the same map twice."""

import numpy as np
import pytest

from nplm_cli.reports.projection import maps


def test_pca_of_points_in_a_plane_keeps_all_distances():
    random = np.random.default_rng(0)
    angles_N = random.uniform(0, 2 * np.pi, 12)
    plane_N2 = np.stack([np.cos(angles_N), np.sin(angles_N)], axis=1)
    basis, _ = np.linalg.qr(random.standard_normal((6, 6)))
    found = maps(plane_N2 @ basis[:2], 1)
    pca_N2 = np.array(found["pca"])
    between = lambda points: np.linalg.norm(points[:, None] - points[None], axis=2)  # noqa: E731
    np.testing.assert_allclose(between(pca_N2), between(plane_N2), atol=2e-5)
    assert sum(found["pca_explained"]) == pytest.approx(1, abs=1e-5)
    assert found["pca_explained"][0] >= found["pca_explained"][1]


def test_length_of_a_vector_does_not_matter():
    vectors_ND = np.random.default_rng(1).standard_normal((4, 3))
    scaled_ND = vectors_ND * np.array([[1], [2], [30], [0.1]])
    assert maps(vectors_ND, 1) == maps(scaled_ND, 1)


def test_explained_shares_are_those_of_the_covariance():
    vectors_ND = np.random.default_rng(2).standard_normal((4, 5))
    unit_ND = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    variances = np.sort(np.linalg.eigvalsh(np.cov(unit_ND.T)))[::-1]
    np.testing.assert_allclose(
        maps(vectors_ND, 1)["pca_explained"], variances[:2] / variances.sum(), atol=1e-6
    )


def test_tsne_puts_two_groups_apart_and_repeats():
    random = np.random.default_rng(3)
    centres = np.repeat(np.eye(2, 8) * 5, 6, axis=0)
    vectors_ND = centres + 0.3 * random.standard_normal((12, 8))
    found = maps(vectors_ND, 7)
    points_N2 = np.array(found["tsne"])
    a, b = points_N2[:6], points_N2[6:]
    apart = np.linalg.norm(a.mean(0) - b.mean(0))
    assert apart > 2 * max(np.linalg.norm(group - group.mean(0), axis=1).max() for group in (a, b))
    assert maps(vectors_ND, 7) == found


@pytest.mark.parametrize("n", [0, 1, 2, 4])
def test_few_points_have_no_tsne(n):
    found = maps(np.eye(5)[:n], 1)
    assert found["tsne"] == []
    assert len(found["pca"]) == n
    assert len(found["pca_explained"]) == 2


def test_five_points_of_one_dimension():
    found = maps(np.array([[1.0], [-1.0], [1.0], [-1.0], [1.0]]), 1)
    assert found["pca_explained"] == [1.0, 0.0]
    assert [y for _, y in found["pca"]] == [0.0] * 5
    assert len(found["tsne"]) == 5


@pytest.mark.parametrize("vector", [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
def test_vectors_all_alike_have_no_direction(vector):
    found = maps(np.array([vector] * 6), 1)
    assert found == {"pca": [[0.0, 0.0]] * 6, "pca_explained": [0.0, 0.0], "tsne": []}


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="nan or inf"):
        maps(np.array([[1.0, np.nan]]), 1)
