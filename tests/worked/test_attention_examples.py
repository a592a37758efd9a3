"""W-25 to W-28: positions, heads, the attention language model, layer norm.

Source: Hangzhou Normal University text-mining course, lecture on neural language models, s. 6
(after Zong Chengqing, ch. 5). The lecture gives the steps and the formula of the positions; values
are computed from them (W-25, W-27) or printed (W-26).
"""

import math

import numpy as np
import pytest
import torch

from nplm_cli.config import ModelConfig
from nplm_cli.models import build
from nplm_cli.models.attention import attention, sinusoidal_positions, split_heads
from nplm_cli.query import attention as twin
from nplm_cli.query import window_cache as query_window_cache
from nplm_cli.query.layers import layer_norm

# 这 本 书 很 好 看
TABLE = [[0.2, 0.2], [0.3, 0.1], [0.2, 0.1], [0.1, 0.3], [0.1, 0.2], [0.1, 0.1]]
TEXT = [0, 1, 2]
EXACT = 1e-6


def close(values, expected, tolerance=EXACT):
    assert np.asarray(values).tolist() == pytest.approx(expected, abs=tolerance)


# W-25


D4 = [
    [0.841471, 0.540302, 0.010000, 0.999950],
    [0.909297, -0.416147, 0.019999, 0.999800],
    [0.141120, -0.989992, 0.029996, 0.999550],
    [-0.756802, -0.653644, 0.039989, 0.999200],
    [-0.958924, 0.283662, 0.049979, 0.998750],
    [-0.279415, 0.960170, 0.059964, 0.998201],
]
D500 = {
    1: [0.841471, 0.540302, 0.821382, 0.570379],
    2: [0.909297, -0.416147, 0.936998, -0.349335],
    6: [-0.279415, 0.960170, -0.479611, 0.877481],
}


def in_numpy(count, dim):
    return query_window_cache.sinusoidal_positions(0, count, dim)


@pytest.mark.parametrize("table", [sinusoidal_positions, in_numpy])
def test_w25_positions(table):
    for values, expected in zip(table(6, 4), D4, strict=True):
        close(values, expected)
    wide = table(6, 500)
    assert wide.shape == (6, 500)
    for pos, expected in D500.items():
        close(wide[pos - 1][:4], expected)


@pytest.mark.parametrize("table", [sinusoidal_positions, in_numpy])
def test_w25_a_shift_is_a_rotation(table):
    """sin(a + b) = sin a cos b + cos a sin b, cos(a + b) = cos a cos b - sin a sin b."""
    y = np.asarray(table(6, 4))
    for pos in (1, 2):
        for k in (1, 2, 4):
            sin, cos, sin_k, cos_k = (
                y[pos - 1, ::2],
                y[pos - 1, 1::2],
                y[k - 1, ::2],
                y[k - 1, 1::2],
            )
            close(y[pos + k - 1, ::2], list(sin * cos_k + cos * sin_k), 1e-15)
            close(y[pos + k - 1, 1::2], list(cos * cos_k - sin * sin_k), 1e-15)


def test_w25_an_odd_dimension_ends_with_a_sine():
    odd = sinusoidal_positions(3, 5)
    assert odd.shape == (3, 5)
    close(odd[1, 4:], [math.sin(2 / 10_000 ** (4 / 5))], 1e-15)
    np.testing.assert_allclose(odd, in_numpy(3, 5), atol=1e-15)


@pytest.mark.parametrize("arch", ["attention", "transformer"])
def test_w25_the_model_adds_them(arch):
    config = ModelConfig(arch=arch, dim=4, hidden=4, window=6, positions="sinusoidal")
    for values, expected in zip(build(config, 9).encoder.positions.table, D4, strict=True):
        close(values, expected)


# W-26


def test_w26_heads():
    q = torch.tensor([0.1, 0.2, 0.2, 0.5], dtype=torch.float64).view(1, 1, 4)
    heads = split_heads(q, 2)
    assert heads[0, :, 0].tolist() == [[0.1, 0.2], [0.2, 0.5]]
    in_numpy = query_window_cache.split_heads(q.numpy(), 2)
    assert in_numpy[0, :, 0].tolist() == [[0.1, 0.2], [0.2, 0.5]]


def test_w26_scores():
    """q as its own key: 0.05 / sqrt(2) and 0.29 / sqrt(2); a key of zeros scores 0 beside it."""
    q = torch.tensor([0.1, 0.2, 0.2, 0.5], dtype=torch.float64).view(1, 1, 4)
    heads = split_heads(q, 2)
    keys = torch.cat([heads, torch.zeros_like(heads)], dim=2)
    _, weights = attention(heads, keys, keys, torch.ones(1, 2, dtype=torch.bool))
    close((weights[0, :, 0, 0] / weights[0, :, 0, 1]).log(), [0.035355, 0.205061])


# W-27


WITHOUT = {
    "scores": [0.042426, 0.049497, 0.035355],
    "weights": [0.333328, 0.335693, 0.330979],
    "context": [0.233569, 0.133333],
    "p": [0.168698, 0.170398, 0.166464, 0.167016, 0.164804, 0.162621],
}
WITH = {
    "scores": [-0.214675, 0.490650, 0.642371],
    "weights": [0.185850, 0.376253, 0.437897],
    "context": [0.797935, -0.371092],
    "p": [0.168549, 0.189450, 0.174921, 0.149953, 0.155622, 0.161506],
}
VARIANTS = pytest.mark.parametrize(
    ("positions", "expected"), [("none", WITHOUT), ("sinusoidal", WITH)]
)


def lecture(positions, **changes):
    """The attention model with the lecture's table and the identity for W_q, W_k, W_v."""
    settings = {"arch": "attention", "dim": 2, "output_bias": False, "positions": positions}
    model = build(ModelConfig(**{**settings, **changes}), len(TABLE)).double().eval()
    with torch.no_grad():
        model.embedding.weight.copy_(torch.tensor(TABLE, dtype=torch.float64))
        for name in ("query", "key", "value"):
            getattr(model.encoder.layers[0], name).weight.copy_(torch.eye(2))
    assert model.config.tie
    return model


def weights_of(model):
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}


def hidden_of(model):
    hidden, _ = model(torch.tensor([TEXT]), model.initial_state(1))
    return hidden[0, -1]


@VARIANTS
def test_w27_the_eight_steps(positions, expected):
    model = lecture(positions)
    a = model.attention_weights(torch.tensor([TEXT]))[0][0, 0, -1].detach()
    close(a, expected["weights"])
    close(a.log() - a.log()[0], [b - expected["scores"][0] for b in expected["scores"]], 3 * EXACT)
    hidden = hidden_of(model).detach()
    close(hidden, expected["context"])
    close(model.logits(hidden).softmax(-1).detach(), expected["p"])


@VARIANTS
def test_w27_scores(positions, expected):
    model = lecture(positions)
    x = model.embedding.weight[TEXT].detach()
    if positions == "sinusoidal":
        x = x + sinusoidal_positions(3, 2)
    close(x @ x[-1] / math.sqrt(2), expected["scores"])


@VARIANTS
def test_w27_numpy_twin(positions, expected):
    model = lecture(positions)
    config, weights = model.config, weights_of(model)
    hidden, _ = twin.forward(weights, config, np.array([TEXT]), twin.initial_state(config, 1))
    close(hidden[0, -1], expected["context"])
    z = np.exp(hidden[0, -1] @ weights["embedding.weight"].T)
    close(z / z.sum(), expected["p"])


@VARIANTS
def test_w27_word_by_word_through_the_cache(positions, expected):
    model = lecture(positions)
    config, weights = model.config, weights_of(model)
    state, twin_state = model.initial_state(1), twin.initial_state(config, 1)
    for word in TEXT:
        hidden, state = model(torch.tensor([[word]]), state)
        twin_hidden, twin_state = twin.forward(weights, config, np.array([[word]]), twin_state)
    close(hidden[0, 0].detach(), expected["context"])
    close(twin_hidden[0, 0], expected["context"])


@VARIANTS
def test_w27_gradient_is_that_of_finite_differences_of_the_twin(positions, expected):
    """-ln p(很 | 这 本 书): torch's gradient of every weight, the twin's central differences."""
    model = lecture(positions)
    loss = -model.logits(hidden_of(model)).log_softmax(-1)[3]
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(expected["p"][3]), abs=1e-5)
    config = model.config

    def nll(weights):
        state = twin.initial_state(config, 1)
        hidden, _ = twin.forward(weights, config, np.array([TEXT]), state)
        z = hidden[0, -1] @ weights["embedding.weight"].T
        return np.log(np.exp(z).sum()) - z[3]

    step = 1e-6
    for name, parameter in model.named_parameters():
        numeric = np.zeros(parameter.shape)
        for cell in np.ndindex(*parameter.shape):
            sides = []
            for sign in (1, -1):
                weights = {key: value.copy() for key, value in weights_of(model).items()}
                weights[name][cell] += sign * step
                sides.append(nll(weights))
            numeric[cell] = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(parameter.grad, numeric, atol=1e-8, err_msg=name)


# W-28


EPS = pytest.mark.parametrize(
    ("eps", "expected"),
    [(0.0, [-1.341641, -0.447214, 0.447214, 1.341641]),
     (1e-5, [-1.341635, -0.447212, 0.447212, 1.341635])],
)  # fmt: skip


@EPS
def test_w28_layer_norm(eps, expected):
    """Population variance of 1 2 3 4 is 1.25."""
    config = ModelConfig(arch="transformer", dim=4, hidden=4, norm_eps=eps)
    model = build(config, 5).double()
    model.init_weights(torch.Generator().manual_seed(1))
    x = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)
    block = model.encoder.layers[0]
    for norm in (model.encoder.norm, block.attention_norm, block.feedforward_norm):
        close(norm(x).detach(), expected)
    close(layer_norm(x.numpy(), np.ones(4), np.zeros(4), eps), expected)
    assert ModelConfig().norm_eps == 1e-5
