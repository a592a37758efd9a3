"""Word vectors from counts, against the tables of the lecture and against formulas."""

import math

import numpy as np
import pytest
import torch

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.models import build
from nplm_cli.models.output import prediction_nll
from nplm_cli.training.first_weights import from_counts
from nplm_cli.vectors.counted import count_vectors, neighbour_counts, ppmi, truncated_svd

# I like deep learning . / I like NLP . / I enjoy flying .  (W-31), 8 stands between sentences
WORDS = ["I", "like", "enjoy", "deep", "learning", "NLP", "flying", "."]
SENTENCES = ("I like deep learning .", "I like NLP .", "I enjoy flying .")
IDS = np.array([i for s in SENTENCES for i in [*map(WORDS.index, s.split()), 8]])
W_31 = np.array(
    [
        [0, 2, 1, 0, 0, 0, 0, 0],
        [2, 0, 0, 1, 0, 1, 0, 0],
        [1, 0, 0, 0, 0, 0, 1, 0],
        [0, 1, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 1],
        [0, 1, 0, 0, 0, 0, 0, 1],
        [0, 0, 1, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 1, 1, 0],
    ]
)


def test_w31_cooccurrence():
    both = neighbour_counts(IDS, -1, 8, 8) + neighbour_counts(IDS, 1, 8, 8)
    np.testing.assert_array_equal(both, W_31)
    assert both.sum() == 20
    assert (both**2).sum() == 24


def test_w32_svd():
    left, values = truncated_svd(W_31.astype(np.float32), 8, np.random.default_rng(0))
    expected = [2.757263, 2.678248, 1.892213, 1.618034, 1.191546, 0.948340, 0.618034, 0.569992]
    np.testing.assert_allclose(values, expected, atol=1e-5)
    left, values = truncated_svd(W_31.astype(np.float32), 2, np.random.default_rng(0))
    np.testing.assert_allclose(values, expected[:2], atol=1e-5)
    projected = left @ (left.T @ W_31)
    assert np.linalg.norm(W_31 - projected) == pytest.approx(3.037185, abs=1e-5)


@pytest.mark.parametrize("place", [-2, -1, 1, 2])
def test_places(place):
    ids = np.array([3, 1, 2, 3, 3, 0])
    expected = np.zeros((4, 3), int)
    for n, w in enumerate(ids):
        if 0 <= n + place < len(ids) and ids[n + place] < 3:
            expected[w, ids[n + place]] += 1
    np.testing.assert_array_equal(neighbour_counts(ids, place, 4, 3), expected)


def test_ppmi_by_its_formula():
    counts = neighbour_counts(IDS, 1, 9, 9)
    found = ppmi(counts, IDS)
    total = np.bincount(IDS)
    for w in range(9):
        for c in range(9):
            n = counts[w, c]
            value = max(0.0, math.log(len(IDS) * n / (total[w] * total[c]))) if n else 0.0
            least = min(total[w], total[c])
            value *= n / (n + 1) * least / (least + 1)
            assert found[w, c] == pytest.approx(value, abs=1e-5)


def test_ppmi_of_words_that_do_not_occur():
    counts = neighbour_counts(np.array([0, 1, 0, 1]), 1, 4, 4)
    found = ppmi(counts, np.array([0, 1, 0, 1]))
    assert np.isfinite(found).all()
    assert not found[2:].any()
    assert not found[:, 2:].any()


def test_words_in_the_same_places_are_neighbours():
    """Two words that stand between the same words get the same direction."""
    random = np.random.default_rng(0)
    text = []
    for _ in range(2_000):
        pair = random.integers(2)
        text += [2 + 4 * pair + random.integers(2), 4 + 4 * pair + random.integers(2), 0]
    vectors = count_vectors(np.array(text), 10, 8, seed=1)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -1)
    nearest = cosine[2:, 2:].argmax(axis=1) + 2
    assert nearest.tolist() == [3, 2, 5, 4, 7, 6, 9, 8]


def test_same_seed_same_numbers():
    ids = np.random.default_rng(1).integers(0, 50, 3_000)
    first = count_vectors(ids, 50, 16, seed=3)
    np.testing.assert_array_equal(first, count_vectors(ids, 50, 16, seed=3))
    assert first.shape == (50, 16)
    assert first.dtype == np.float32
    lengths = np.linalg.norm(first, axis=1)
    assert lengths.min() > 0.49
    assert lengths.max() < 1.51


def test_fewer_dimensions_than_asked_of_a_tiny_text():
    assert count_vectors(IDS, 9, 400, seed=1).shape == (9, 9)


def test_first_weights(make_part):
    part = make_part([[2, 3, 4, 5], [3, 6, 7], [2, 3, 3]])
    model = build(ModelConfig(order=3, dim=6, hidden=5).resolved(), 9, DropoutRates())
    model.init_weights(torch.Generator().manual_seed(1))
    random_rows = model.embedding.weight.detach().clone()
    from_counts(model, part.ids_N, seed=1)
    rows = model.embedding.weight.detach()
    assert torch.equal(rows[8], random_rows[8]), "a word without neighbours keeps its vector"
    assert not torch.equal(rows[3], random_rows[3])
    length = 0.1 * math.sqrt(6)
    assert 0.49 * length < rows[3].norm() < 1.51 * length
    with torch.no_grad():
        nll = prediction_nll(torch.zeros(1, 5), model.output_weight, model.output.bias,
                             torch.tensor([3]))  # fmt: skip
    counts = np.maximum(np.bincount(part.ids_N, minlength=9), 1)
    assert nll.item() == pytest.approx(-math.log(counts[3] / counts.sum()), abs=1e-6)
