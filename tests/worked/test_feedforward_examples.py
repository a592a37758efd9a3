"""W-10, W-06, W-07 and W-39: the feedforward language model of the lecture, end to end.

Sources: Zong Chengqing, ch. 5 "Neural networks and neural language models", s. 3 (W-10);
Jurafsky & Martin, Speech and Language Processing (3rd ed. draft), 7.3, eq. 7.9 (W-06);
Hangzhou Normal University text-mining course, lecture 7, s. 5 (W-07, W-10c).

Context 这 本 书 很, target 乏味; the vocabulary is these five words. Exact values are float64;
the lecture prints two or three places, the hidden layer rounded to two before it goes on.
"""

import math

import numpy as np
import pytest
import torch

from nplm_cli.artifacts import TensorFile, write_tensors
from nplm_cli.config import ModelConfig, TrainingConfig
from nplm_cli.models import build
from nplm_cli.models.output import prediction_nll
from nplm_cli.query.scorer import NeuralScorer
from nplm_cli.training.losses import OutputLoss
from nplm_cli.training.optimizers import build_optimizer
from nplm_cli.training.weights import FlatWeights

TABLE = [[0.2, 0.1], [0.1, 0.3], [0.4, 0.2], [0.5, 0.4], [0.3, 0.2]]
W1 = [[0.1, 0, 0.2, 0.4, 0.2, 0.1, 0, 0.3], [0.5, 0.4, 0.2, 0, 0.2, 0.6, 0, 0.2]]
CONTEXT, TARGET = [0, 1, 2, 3], 4
EXACT = 1e-6


def lecture(**changes):
    settings = {
        "order": 5, "dim": 2, "hidden": 2, "tie": True, "output_bias": False, "hidden_bias": False,
        **changes,
    }  # fmt: skip
    model = build(ModelConfig(**settings), len(TABLE)).double()
    with torch.no_grad():
        model.embedding.weight.copy_(torch.tensor(TABLE, dtype=torch.float64))
        if model.config.layers:
            model.encoder.layers[0].weight.copy_(torch.tensor(W1, dtype=torch.float64))
        if not model.config.tie:
            model.output.weight.copy_(torch.tensor(TABLE, dtype=torch.float64))
    return model


def hidden_of(model):
    """What the output layer reads after the four words (the last position)."""
    hidden, _ = model(torch.tensor([CONTEXT]), model.initial_state(1))
    return hidden[0, -1]


def nll_of(model):
    target = torch.tensor([TARGET])
    return OutputLoss()(hidden_of(model)[None], model.output_weight, model.output.bias, target)


def close(values, expected, tolerance=EXACT):
    assert values.tolist() == pytest.approx(expected, abs=tolerance)


def test_w10_hidden_layer():
    close(hidden_of(lecture()).atanh(), [0.380000, 0.440000])
    close(hidden_of(lecture()), [0.362707, 0.413644])
    close(hidden_of(lecture()), [0.36, 0.41], 5e-3)


def test_w10_scores():
    model = lecture()
    scores = model.logits(hidden_of(model))
    close(scores, [0.113906, 0.160364, 0.227812, 0.346812, 0.191541])
    close(scores, [0.113, 0.159, 0.226, 0.344, 0.190], 3e-3)


def test_w10_probabilities():
    model = lecture()
    p = model.logits(hidden_of(model)).softmax(-1)
    close(p, [0.181449, 0.190078, 0.203340, 0.229036, 0.196097])
    close(p, [0.182, 0.190, 0.203, 0.229, 0.196], 1e-3)
    assert 1 / p[TARGET].item() == pytest.approx(5.099516, abs=5e-6)


def test_w10_from_the_rounded_hidden_layer():
    """The lecture rounds H to two places; then its printed figures come out to the digit."""
    model = lecture()
    scores = model.logits(torch.tensor([0.36, 0.41], dtype=torch.float64))
    close(scores, [0.113, 0.159, 0.226, 0.344, 0.190], EXACT)
    p = scores.softmax(-1)
    close(p, [0.181600, 0.190149, 0.203325, 0.228790, 0.196136])
    close(p, [0.182, 0.190, 0.203, 0.229, 0.196], 5e-4)


def test_w10_loss():
    nll = nll_of(lecture())
    assert nll.item() == pytest.approx(1.629146, abs=EXACT)
    assert -math.log(0.196) == pytest.approx(1.629641, abs=EXACT)  # from the printed probability


def test_w10_numpy_twin(tmp_path):
    weights = {
        "embedding.weight": np.array(TABLE),
        "encoder.layers.0.weight": np.array(W1),
    }
    write_tensors(tmp_path / "w", weights)
    scorer = NeuralScorer(TensorFile(tmp_path / "w"), lecture().config)
    p = np.exp(scorer.next_log_probs(CONTEXT))
    close(p, [0.181449, 0.190078, 0.203340, 0.229036, 0.196097])


def test_w10_with_4995_words_of_zero():
    """The slide's table has 5000 columns; were the others 0, p(乏味) = 0.000242."""
    model = build(lecture().config, 5000).double()
    with torch.no_grad():
        model.embedding.weight.zero_()[:5] = torch.tensor(TABLE, dtype=torch.float64)
    p = model.logits(hidden_of(lecture())).softmax(-1)
    assert p[TARGET].item() == pytest.approx(0.000242, abs=5e-7)


def test_w10b_sum_and_mean():
    close(hidden_of(lecture(combine="sum", layers=0)), [1.2, 1.0])
    close(hidden_of(lecture(combine="mean", layers=0)), [0.3, 0.25])


def test_w10b_concatenation_is_the_windows_order():
    model = build(ModelConfig(order=5, dim=2, layers=0), len(TABLE)).double()
    with torch.no_grad():
        model.embedding.weight.copy_(torch.tensor(TABLE, dtype=torch.float64))
    close(hidden_of(model), [0.2, 0.1, 0.1, 0.3, 0.4, 0.2, 0.5, 0.4])


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("relu", [0.38, 0.44]), ("sigmoid", [0.593873, 0.608259]), ("tanh", [0.362707, 0.413644])],
)
def test_w10d_activations(activation, expected):
    close(hidden_of(lecture(activation=activation)), expected)


D_W1 = [
    [0.001734, 0.000867, 0.000867, 0.002600, 0.003467, 0.001734, 0.004334, 0.003467],
    [0.007737, 0.003868, 0.003868, 0.011605, 0.015474, 0.007737, 0.019342, 0.015474],
]
UNTIED = [
    [0.065813, 0.075055],
    [0.068943, 0.078625],
    [0.073753, 0.084111],
    [0.083073, 0.094740],
    [-0.291582, -0.332530],
]
TIED = [
    [0.086022, 0.090529],
    [0.078413, 0.082092],
    [0.083224, 0.108188],
    [0.083073, 0.105077],
    [-0.291582, -0.332530],
]
D_X = [[0.020209, 0.015474], [0.009471, 0.003467], [0.009471, 0.024078], [0, 0.010337]]


@pytest.mark.parametrize("tie", [True, False])
def test_w10f_gradient_of_the_hidden_layer(tie):
    model = lecture(tie=tie)
    nll_of(model).backward()
    gradient = model.encoder.layers[0].weight.grad
    for row, expected in zip(gradient, D_W1, strict=True):
        close(row, expected)


def test_w10f_gradient_of_the_scores_and_of_h():
    model = lecture()
    hidden = hidden_of(model).detach().requires_grad_()
    scores = model.logits(hidden)
    scores.retain_grad()
    (-scores.log_softmax(-1)[TARGET]).backward()
    close(scores.grad, [0.181449, 0.190078, 0.203340, 0.229036, -0.803903])
    fused = hidden_of(model).detach().requires_grad_()
    OutputLoss()(fused[None], model.output_weight, None, torch.tensor([TARGET])).backward()
    close(fused.grad, [0.009981, 0.046670])


def test_w10f_gradient_of_the_tied_table():
    model = lecture()
    nll_of(model).backward()
    for row, expected in zip(model.embedding.weight.grad, TIED, strict=True):
        close(row, expected)


def test_w10f_w10g_gradients_of_the_untied_tables():
    """Output rows: dL/dw_ki = -(y_k - p_k) h_i; input rows: dx of each word."""
    model = lecture(tie=False)
    nll_of(model).backward()
    for row, expected in zip(model.output.weight.grad, UNTIED, strict=True):
        close(row, expected)
    for row, expected in zip(model.embedding.weight.grad, [*D_X, [0, 0]], strict=True):
        close(row, expected)
    p = torch.tensor([0.181449, 0.190078, 0.203340, 0.229036, 0.196097]).double()
    y = torch.eye(5).double()[TARGET]
    rule = -(y - p)[:, None] * hidden_of(model).detach()
    torch.testing.assert_close(model.output.weight.grad, rule, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("train_table", "expected"), [(False, 1.628546), (True, 1.524431)])
def test_w10h_one_step_of_gradient_descent(train_table, expected):
    model = lecture()
    model.embedding.weight.requires_grad_(train_table)
    weights = FlatWeights(model)
    optimizer = build_optimizer(weights, TrainingConfig(optimizer="sgd", lr=0.5))
    nll_of(model).backward()
    weights.collect_gradients()
    optimizer.step()
    assert nll_of(model).item() == pytest.approx(expected, abs=EXACT)


def test_w06_softmax():
    """Printed: [0.055, 0.090, 0.0067, 0.10, 0.74, 0.010]."""
    z = torch.tensor([0.6, 1.1, -1.5, 1.2, 3.2, -1.1], dtype=torch.float64)
    model = build(ModelConfig(order=2, dim=1, layers=0), 6).double()
    with torch.no_grad():
        model.output.weight.copy_(z[:, None])
        model.output.bias.zero_()
    one = torch.ones(6, 1, dtype=torch.float64)
    nll = prediction_nll(one, model.output_weight, model.output.bias, torch.arange(6))
    close(nll, [2.903602, 2.403602, 5.003602, 2.303602, 0.303602, 4.603602])
    close(torch.exp(-nll), [0.054825, 0.090392, 0.006714, 0.099898, 0.738155, 0.010016])
    assert [f"{p:.2g}" for p in torch.exp(-nll).tolist()] == [
        "0.055", "0.09", "0.0067", "0.1", "0.74", "0.01",
    ]  # fmt: skip


def test_w07_softmax_over_two_is_the_sigmoid():
    one = torch.ones(2, 1, dtype=torch.float64)
    weight = torch.tensor([[0.0], [0.87]], dtype=torch.float64)
    p = torch.exp(-prediction_nll(one, weight, None, torch.arange(2)))
    close(p, [0.295254, 0.704746])


@pytest.mark.parametrize(
    ("vocabulary", "expected"),
    [(1000, 6.907755), (5000, 8.517193), (50_000, 10.819778), (100_000, 11.512925)],
)
def test_w39_a_model_of_zeros_loses_ln_v(vocabulary, expected):
    model = build(ModelConfig(order=4, dim=4, hidden=3, init="zero"), vocabulary).double()
    model.init_weights(torch.Generator())
    hidden, _ = model(torch.tensor([[5, 7]]), model.initial_state(1))
    total = OutputLoss()(hidden[0], model.output_weight, model.output.bias, torch.tensor([3, 1]))
    assert total.item() / 2 == pytest.approx(expected, abs=EXACT)


def test_w39_parameter_count():
    """1000 * 10 word vectors, (3 * 10 + 1) * 20 hidden, 20 * 1000 output."""
    model = build(ModelConfig(order=4, dim=10, hidden=20, output_bias=False), 1000)
    assert sum(p.numel() for p in model.parameters()) == 30_620
