"""The output layer in numpy: blocks of words, clusters."""

import math

import numpy as np
import pytest

from nplm_cli.config import ModelConfig
from nplm_cli.query import output
from nplm_cli.query.layers import outer_shapes
from nplm_cli.query.output import Choice, Output

V, D = 50, 7


def problem(n, *, bias=True, scale=1.0, dtype=np.float64):
    random = np.random.default_rng(1)
    hidden_ND, rows_VD = random.normal(size=(n, D)), random.normal(size=(V, D)) * scale
    bias_V = random.normal(size=V) if bias else None
    targets_N = random.integers(0, V, n)
    arrays = [None if a is None else a.astype(dtype) for a in (hidden_ND, rows_VD, bias_V)]
    return *arrays, targets_N


def formula(hidden_ND, rows_VD, bias_V, targets_N):
    logits_NV = hidden_ND @ rows_VD.T + (0 if bias_V is None else bias_V)
    log_z_N = np.log(np.exp(logits_NV).sum(1))
    return log_z_N - logits_NV[np.arange(len(targets_N)), targets_N]


@pytest.fixture(params=["whole", "blocks"])
def size(request, monkeypatch):
    """All words at once, or 7 words and 5 predictions."""
    if request.param == "blocks":
        for name, value in (("BLOCK_WORDS", 7), ("BLOCK_ROWS", 5)):
            monkeypatch.setattr(output, name, value)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n", [0, 1, 5, 33])
@pytest.mark.usefixtures("size")
def test_nats_of_targets(n, bias):
    hidden_ND, rows_VD, bias_V, targets_N = problem(n, bias=bias)
    nll_N = Choice(rows_VD, bias_V).nll(hidden_ND, targets_N)
    assert nll_N.dtype == np.float64
    np.testing.assert_allclose(nll_N, formula(hidden_ND, rows_VD, bias_V, targets_N), rtol=1e-12)


@pytest.mark.usefixtures("size")
def test_large_scores_overflow_nothing():
    hidden_ND, rows_VD, bias_V, targets_N = problem(20, scale=300.0, dtype=np.float32)
    nll_N = Choice(rows_VD, bias_V).nll(hidden_ND, targets_N)
    assert np.isfinite(nll_N).all()
    assert (nll_N > -1e-3).all()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.usefixtures("size")
def test_predictions_of_one_context_share_its_row(bias):
    hidden_ND, rows_VD, bias_V, _ = problem(9, bias=bias)
    rows_M = np.array([3, 3, 0, 8, 3, 5, 0])
    targets_M = np.array([1, 49, 7, 0, 6, 14, 48])
    nll_M = Choice(rows_VD, bias_V).nll(hidden_ND, targets_M, rows_M)
    expected = formula(hidden_ND[rows_M], rows_VD, bias_V, targets_M)
    np.testing.assert_allclose(nll_M, expected, rtol=1e-12)


@pytest.mark.parametrize("far", [-120.0, -60.0, 0.0, 60.0, 120.0])
@pytest.mark.usefixtures("size")
def test_logits_beyond_the_range_of_float32_powers(far):
    """All logits of some rows lie where exp gives 0 or inf; their neighbours stay as they are."""
    hidden_ND, rows_VD, bias_V, targets_N = problem(12)
    rows_VD[:, 0] = 1.0
    hidden_ND[::3, 0] = far
    expected = formula(hidden_ND, rows_VD, bias_V, targets_N)
    arrays = [a.astype(np.float32) for a in (hidden_ND, rows_VD, bias_V)]
    nll_N = Choice(arrays[1], arrays[2]).nll(arrays[0], targets_N)
    np.testing.assert_allclose(nll_N, expected, atol=5e-5)


@pytest.mark.usefixtures("size")
def test_biases_that_are_far_apart():
    """The word of the largest score has a bias whose power, beside the largest, is 0 in float32."""
    hidden_ND, rows_VD, bias_V, targets_N = problem(12)
    rows_VD[3, 0], hidden_ND[:, 0] = 30.0, 5.0
    bias_V[3], bias_V[4], rows_VD[4] = -110.0, 20.0, 0.0
    expected = formula(hidden_ND, rows_VD, bias_V, targets_N)
    arrays = [a.astype(np.float32) for a in (hidden_ND, rows_VD, bias_V)]
    nll_N = Choice(arrays[1], arrays[2]).nll(arrays[0], targets_N)
    np.testing.assert_allclose(nll_N, expected, atol=5e-5)


def adaptive(*, tie, bias, cutoffs="4,15,16"):
    config = ModelConfig(
        dim=D, softmax="adaptive", cutoffs=cutoffs, tail_division=2.0, tie=tie, output_bias=bias
    ).resolved()
    random = np.random.default_rng(2)
    shapes = outer_shapes(config, V, D)
    weights = {name: random.normal(size=shape) for name, shape in shapes.items()}
    return weights, Output(weights, config)


def softmax(z):
    return np.exp(z) / np.exp(z).sum()


def clustered_formula(weights, hidden_D, tie, bias):
    """p of each word, cluster by cluster, from the definition."""
    bounds = [0, 4, 15, 16, V]
    words_VD = weights["embedding.weight"]
    bias_V = weights["output.bias"] if bias else np.zeros(V)
    rows_HD = words_VD[:4] if tie else weights["output.weight"]
    scores = list(rows_HD @ hidden_D + bias_V[:4])
    for k in range(3):
        score = weights["output.clusters.weight"][k] @ hidden_D
        score += weights["output.clusters.bias"][k] if bias else 0
        scores.append(score + math.log(bounds[k + 2] - bounds[k + 1]))
    p_head = softmax(np.array(scores))
    p = list(p_head[:4])
    for k in range(3):
        words = slice(bounds[k + 1], bounds[k + 2])
        inner = weights[f"output.projections.{k}.weight"] @ hidden_D
        assert len(inner) == (D if tie else [3, 1, 1][k])
        rows = words_VD[words] if tie else weights[f"output.tails.{k}.weight"]
        p += list(p_head[4 + k] * softmax(rows @ inner + bias_V[words]))
    return np.array(p)


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.usefixtures("size")
def test_clusters_are_their_formula(tie, bias):
    weights, layer = adaptive(tie=tie, bias=bias)
    hidden_ND, _, _, targets_N = problem(40)
    p_NV = np.stack([clustered_formula(weights, h_D, tie, bias) for h_D in hidden_ND])
    np.testing.assert_allclose(p_NV.sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.exp(layer.log_probs(hidden_ND)), p_NV, rtol=1e-10)
    targets_N[:5] = [0, 3, 4, 15, 16]  # borders
    expected = -np.log(p_NV[np.arange(40), targets_N])
    np.testing.assert_allclose(layer.nll(hidden_ND, targets_N), expected, rtol=1e-10)


def test_cutoffs_beyond_the_vocabulary_are_left_out():
    _, layer = adaptive(tie=False, bias=True, cutoffs="40,50,60")
    assert layer.bounds == (40, 50)
    assert len(layer.tails) == 1
    _, layer = adaptive(tie=False, bias=True, cutoffs="50")
    assert layer.bounds == (50,)
    assert not layer.tails


def test_clusters_of_zeros_are_uniform():
    """The number of words in a cluster stands in its score."""
    weights, _ = adaptive(tie=False, bias=True)
    config = ModelConfig(dim=D, softmax="adaptive", cutoffs="4,15,16").resolved()
    zeros = {name: np.zeros(shape) for name, shape in outer_shapes(config, V, D).items()}
    log_p_BV = Output(zeros, config).log_probs(np.ones((1, D)))
    np.testing.assert_allclose(log_p_BV, -math.log(V), rtol=1e-12)
    assert set(weights) == set(zeros)
