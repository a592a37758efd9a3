"""W-20 to W-23: the recurrent models of the lecture, by the real models and their numpy twins.

Source: Zong Chengqing, ch. 5 "Neural networks and neural language models", s. 4 (RNN) and s. 5
(LSTM, peepholes). The lecture gives the inputs and the formulas; exact values are float64.
"""

import numpy as np
import pytest
import torch

from nplm_cli.config import ModelConfig
from nplm_cli.models import build
from nplm_cli.models.cells import lstm_cell, lstm_hidden
from nplm_cli.query import FORWARD
from nplm_cli.training.losses import OutputLoss

TABLE = [[0.2, 0.2], [0.3, 0.1], [0.2, 0.1], [0.1, 0.3], [0.1, 0.2], [0.1, 0.1]]  # 这本书很好看
CROSSED = [[0, 0.1], [0.1, 0]]
STRAIGHT = [[0.1, 0], [0, 0.1]]
WORDS = torch.arange(6)[None]
EXACT = 1e-6


def lecture(arch, inputs=CROSSED, recurrent=STRAIGHT, **changes):
    """A tied model of two units and no bias, the same two matrices at each of its gates."""
    config = ModelConfig(
        arch=arch, dim=2, hidden=2, tie=True, output_bias=False, hidden_bias=False, **changes
    )
    model = build(config, len(TABLE)).double()
    layer = model.encoder.layers[0]
    with torch.no_grad():
        model.embedding.weight.copy_(torch.tensor(TABLE))
        layer.input.weight.copy_(torch.tensor(inputs).repeat(layer.gates, 1))
        layer.recurrent.weight.copy_(torch.tensor(recurrent).repeat(layer.gates, 1))
    return model.double()


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def twin(model, ids, state=None):
    """What the numpy twin makes of the same weights."""
    weights = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
    module, config = FORWARD[model.config.arch], model.config
    start = module.initial_state(config, len(ids)) if state is None else state
    return module.forward(weights, config, ids.numpy(), start)


def hidden_of(model, ids=WORDS):
    return model(ids, model.initial_state(1))[0]


def close(values, expected):
    np.testing.assert_allclose(np.asarray(values), expected, rtol=0, atol=EXACT)


RNN_STATES = [
    [0.019997, 0.019997],
    [0.011999, 0.031989],
    [0.011199, 0.023195],
    [0.031110, 0.012319],
    [0.023107, 0.011231],
    [0.012310, 0.011123],
]
RNN_PROBABILITIES = [
    [0.166889, 0.166889, 0.166555, 0.166889, 0.166555, 0.166223],
    [0.166911, 0.166578, 0.166378, 0.167245, 0.166711, 0.166178],
    [0.166858, 0.166658, 0.166471, 0.167058, 0.166671, 0.166285],
    [0.166908, 0.167222, 0.166702, 0.166594, 0.166389, 0.166184],
    [0.166857, 0.167056, 0.166670, 0.166659, 0.166472, 0.166285],
]


def test_w20_states():
    model = lecture("rnn")
    close(hidden_of(model)[0].detach(), RNN_STATES)
    close(twin(model, WORDS)[0][0], RNN_STATES)
    model.encoder.layers[0].kernel = None
    close(hidden_of(model)[0].detach(), RNN_STATES)


def test_w20_probabilities():
    model = lecture("rnn")
    close(model.logits(hidden_of(model))[0, :5].softmax(-1).detach(), RNN_PROBABILITIES)
    logits = twin(model, WORDS)[0][0, :5] @ np.array(TABLE).T
    close(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), RNN_PROBABILITIES)


def test_w20_perplexity():
    """Five predictions: each word but the first."""
    model = lecture("rnn")
    hidden = hidden_of(model)[0, :5]
    nats = OutputLoss()(hidden, model.output_weight, model.output.bias, WORDS[0, 1:])
    assert nats.item() == pytest.approx(8.960811, abs=EXACT)
    assert (nats / 5).exp().item() == pytest.approx(6.002417, abs=EXACT)


@pytest.mark.parametrize("fused", [True, False])
def test_w20_gradient_of_the_loss(fused):
    """Table (read and predicted with), U and W against finite differences."""
    model = lecture("rnn")
    if not fused:
        model.encoder.layers[0].kernel = None
    parameters = dict(model.named_parameters())

    def nats(*values):
        named = dict(zip(parameters, values, strict=True))
        hidden, _ = torch.func.functional_call(model, named, (WORDS, model.initial_state(1)))
        return OutputLoss()(hidden[0, :5], named["embedding.weight"], None, WORDS[0, 1:])

    assert len(parameters) == 3
    assert torch.autograd.gradcheck(nats, tuple(parameters.values()))


def test_w20_swapped_roles_show():
    """U reads the word and W the state; the other way round the second state differs."""
    swapped = lecture("rnn", inputs=STRAIGHT, recurrent=CROSSED)
    expected = [RNN_STATES[0], [0.031989, 0.011999], [0.021197, 0.013198]]
    close(hidden_of(swapped)[0, :3].detach(), expected)
    close(twin(swapped, WORDS)[0][0, :3], expected)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("weight", "scale"), [(0.5, 9.536743e-07), (1.5, 3325.256730)])
def test_w21_the_gradient_shrinks_or_grows_by_the_same_factor_each_step(weight, scale, fused):
    """Where relu is open, h_20 = w^20 h_0; positions between are powers, too."""
    config = ModelConfig(arch="rnn", activation="relu", dim=1, hidden=1, hidden_bias=False)
    model = build(config, 3).double()
    with torch.no_grad():
        model.embedding.weight.zero_()
        model.encoder.layers[0].input.weight.fill_(1)
        model.encoder.layers[0].recurrent.weight.fill_(weight)
    if not fused:
        model.encoder.layers[0].kernel = None
    start = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    hidden, (last,) = model(torch.zeros(1, 20, dtype=torch.int64), (start,))
    (gradient,) = torch.autograd.grad(last.sum(), start)
    assert gradient.item() == weight**20
    assert gradient.item() == pytest.approx(scale, rel=1e-6)
    assert hidden[0, :, 0].tolist() == [weight ** (t + 1) for t in range(20)]


def test_w22_cell_update_with_the_gates_given():
    """No sigmoid yields a gate of exactly 0: the slide's gates go into the update directly."""
    candidate = torch.tanh(double(CROSSED) @ double([0.2, 0.2]))
    close(candidate, [0.019997, 0.019997])
    np.testing.assert_allclose(candidate, [0.02, 0.02], atol=5e-3)  # printed
    gate = double([0.1, 0.0])
    cell = lstm_cell(double([0.1, 0.1]), gate, gate, candidate)
    np.testing.assert_allclose(cell, [0.01199973, 0], rtol=0, atol=5e-9)
    np.testing.assert_allclose(cell, [0.012, 0], rtol=0, atol=5e-4)  # printed
    hidden = lstm_hidden(cell, gate)
    np.testing.assert_allclose(hidden, [0.00119992, 0], rtol=0, atol=5e-9)
    rounded = lstm_hidden(double([0.012, 0]), gate)
    np.testing.assert_allclose(rounded, [0.00119994, 0], rtol=0, atol=5e-9)


LSTM_HIDDEN = [[0.005100, 0.005100], [0.005206, 0.010460], [0.005274, 0.010632]]
LSTM_CELLS = [[0.010099, 0.010099], [0.010358, 0.020609], [0.010494, 0.021045]]


@pytest.mark.parametrize("fused", [True, False])
def test_w22b_whole_cell(fused):
    model = lecture("lstm")
    if not fused:
        model.encoder.layers[0].kernel = None
    close(hidden_of(model)[0, :3].detach(), LSTM_HIDDEN)
    close(twin(model, WORDS)[0][0, :3], LSTM_HIDDEN)
    state, twin_state = model.initial_state(1), None
    for t, cell in enumerate(LSTM_CELLS):
        _, state = model(WORDS[:, t : t + 1], state)
        _, twin_state = twin(model, WORDS[:, t : t + 1], twin_state)
        close(state[1][0].detach(), cell)
        close(twin_state[1][0], cell)


def test_w22b_gates():
    """One gate at .505 (sigmoid of .02); c and h of the first step come from it alone."""
    gate = torch.sigmoid(double(CROSSED) @ double([0.2, 0.2]))
    close(gate, [0.505, 0.505])
    cell = lstm_cell(torch.zeros(2).double(), gate, gate, torch.tanh(double([0.02, 0.02])))
    close(cell, LSTM_CELLS[0])
    close(lstm_hidden(cell, gate), LSTM_HIDDEN[0])


@pytest.mark.parametrize(
    ("peephole", "gate", "cell", "output", "hidden"),
    [
        ("diagonal", 0.507499, 0.060899, 0.506522, 0.030808),
        ("full", 0.507499, 0.060899, 0.506522, 0.030808),
        ("none", 0.505000, 0.060599, 0.505000, 0.030565),
    ],
)
def test_w23_peephole(peephole, gate, cell, output, hidden):
    """f and i see the old cell, o the new one (V_f = V_i = V_o = 0.1 I, c_0 = [.1, .1])."""
    model = lecture("lstm", peephole=peephole)
    if peephole != "none":
        scale = 0.1 * (torch.ones(2) if peephole == "diagonal" else torch.eye(2))
        with torch.no_grad():
            model.encoder.layers[0].peephole.weight.copy_(scale)
    start = (torch.zeros(1, 2).double(), double([[0.1, 0.1]]))
    out, (h, c) = model(WORDS[:, :1], start)
    close(out.detach(), [[[hidden] * 2]])
    close(h.detach(), [[hidden] * 2])
    close(c.detach(), [[cell] * 2])
    seen = 0.0 if peephole == "none" else 0.1
    close(torch.sigmoid(0.02 + seen * start[1]), [[gate] * 2])
    close((h / torch.tanh(c)).detach(), [[output] * 2])
    twin_out, (twin_h, twin_c) = twin(model, WORDS[:, :1], tuple(s.float().numpy() for s in start))
    close(twin_out, [[[hidden] * 2]])
    close(twin_h, [[hidden] * 2])
    close(twin_c, [[cell] * 2])


@pytest.mark.parametrize("peephole", ["none", "diagonal", "full"])
def test_w22b_w23_gradients(peephole):
    """Of every weight, of a loss in which all units count, against finite differences."""
    model = lecture("lstm", peephole=peephole)
    if peephole != "none":
        with torch.no_grad():
            model.encoder.layers[0].peephole.weight.fill_(0.1)
    parameters = dict(model.named_parameters())

    def nats(*values):
        named = dict(zip(parameters, values, strict=True))
        hidden, _ = torch.func.functional_call(model, named, (WORDS, model.initial_state(1)))
        return OutputLoss()(hidden[0, :5], named["embedding.weight"], None, WORDS[0, 1:])

    assert torch.autograd.gradcheck(nats, tuple(parameters.values()))
