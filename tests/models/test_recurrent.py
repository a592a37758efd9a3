"""Recurrent layers: fused kernels against the written-out steps, noise, first weights, reach."""

import numpy as np
import pytest
import torch
from torch import nn

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.models import build
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.cells import gru_step, lstm_step, rnn_step
from nplm_cli.models.recurrent import one_chunk
from nplm_cli.query import FORWARD

V = 11
KINDS = {
    "rnn": {},
    "rnn-relu": {"activation": "relu"},
    "gru": {},
    "lstm": {},
    "rnn-no-bias": {"hidden_bias": False},
    "gru-no-bias": {"hidden_bias": False},
    "lstm-no-bias": {"hidden_bias": False},
}
UNFUSED = {
    "rnn-sigmoid": {"activation": "sigmoid"},
    "rnn-gelu": {"activation": "gelu"},
    "lstm-diagonal": {"peephole": "diagonal"},
    "lstm-full": {"peephole": "full"},
}
SETTINGS = {**KINDS, **UNFUSED}


def made(name, rates=None, **changes):
    """A small model in float64, biases too away from 0."""
    arch, settings = name.split("-")[0], {**SETTINGS.get(name, {}), **changes}
    model = build(ModelConfig(**{"arch": arch, "dim": 3, "hidden": 4, **settings}), V, rates)
    generator = torch.Generator().manual_seed(4)
    model.init_weights(generator)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.normal_(0, 0.6, generator=generator)
    return model.double()


def random(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def ids_of(rows, positions, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, V, (rows, positions)))


def outputs_and_gradients(layer, x_BTI, state):
    """What a layer returns, and the gradients of x, of the state and of all its weights."""
    x, *state = (tensor.detach().requires_grad_() for tensor in (x_BTI, *state))
    output, after = layer(x, tuple(state))
    weights = [random(*part.shape, dtype=x.dtype, seed=5) for part in (output, *after)]
    total = sum((w * part).sum() for w, part in zip(weights, (output, *after), strict=True))
    gradients = torch.autograd.grad(total, [x, *state, *layer.parameters()])
    return output, after, gradients


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("rows", "positions"), [(3, 5), (3, 1), (1, 5), (1, 1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_fused_is_written_out(name, rows, positions, dtype, tolerance):
    """Values and gradients, in train mode, of an input that is not contiguous."""
    layer = made(name).to(dtype).train().encoder.layers[0]
    x = random(positions, rows, 3, dtype=dtype).transpose(0, 1)
    state = [random(rows, 4, dtype=dtype, seed=k) for k in range(layer.memories)]
    assert layer.kernel is not None
    fused = outputs_and_gradients(layer, x, state)
    layer.kernel = None
    written_out = outputs_and_gradients(layer, x, state)
    torch.testing.assert_close(fused, written_out, atol=tolerance, rtol=tolerance)
    assert all(gradient.abs().max() > 0 for gradient in fused[2])


@pytest.mark.parametrize("name", UNFUSED)
def test_where_torch_has_no_kernel_the_steps_run(name):
    assert made(name).encoder.layers[0].kernel is None


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_weights_mean_what_torchs_own_module_means(name):
    """Names, gate order, layers and states of ``torch.nn``, its second bias 0."""
    model = made(name, layers=2)
    kind = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[name]
    other = kind(3, 4, num_layers=2, batch_first=True).double()
    with torch.no_grad():
        for k, layer in enumerate(model.encoder.layers):
            getattr(other, f"weight_ih_l{k}").copy_(layer.input.weight)
            getattr(other, f"weight_hh_l{k}").copy_(layer.recurrent.weight)
            getattr(other, f"bias_ih_l{k}").copy_(layer.bias)
            getattr(other, f"bias_hh_l{k}").zero_()
    memories = model.layer.memories
    state = tuple(random(5, 4, seed=k) for k in range(2 * memories))
    ids = ids_of(5, 6)
    pieces = [torch.stack(state[m::memories]) for m in range(memories)]
    expected, after = other(model.embedding(ids), pieces[0] if memories == 1 else tuple(pieces))
    hidden, new_state = model(ids, state)
    torch.testing.assert_close(hidden, expected, atol=1e-12, rtol=0)
    for m, piece in enumerate(after if memories == 2 else [after]):
        torch.testing.assert_close(torch.stack(new_state[m::memories]), piece)


def test_gradients_of_the_written_out_steps():
    """Against finite differences in float64."""

    def check(step, *shapes):
        values = [random(*shape, seed=k).requires_grad_() for k, shape in enumerate(shapes)]
        assert torch.autograd.gradcheck(step, values)

    state = (2, 3)
    for name in ("tanh", "sigmoid", "gelu"):
        activation = ACTIVATIONS[name]
        check(lambda a, h, u, f=activation: rnn_step(a, h, u, f), state, state, (3, 3))
    check(gru_step, (2, 9), state, (9, 3))
    check(lstm_step, (2, 12), state, state, (12, 3))
    check(lstm_step, (2, 12), state, state, (12, 3), (3, 3))
    check(lstm_step, (2, 12), state, state, (12, 3), (3, 3, 3))


def test_a_diagonal_peephole_is_a_full_one_with_zeros_beside_it():
    diagonal, full = made("lstm-diagonal"), made("lstm-full")
    name = "encoder.layers.0.peephole.weight"
    weights = diagonal.state_dict()
    full.load_state_dict({**weights, name: weights[name].diag_embed()})
    ids = ids_of(3, 7)
    torch.testing.assert_close(
        full(ids, full.initial_state(3)), diagonal(ids, diagonal.initial_state(3))
    )


def test_order_of_the_state():
    """h and c of the first layer, then of the second; the last layer's h is the output."""
    model = made("lstm", layers=2)
    hidden, state = model(ids_of(3, 5), model.initial_state(3))
    assert [tuple(piece.shape) for piece in state] == [(3, 4)] * 4
    assert torch.equal(hidden[:, -1], state[2])
    first, own = model.encoder.layers[0](model.embedding(ids_of(3, 5)), model.initial_state(3)[:2])
    assert torch.equal(first[:, -1], state[0])
    assert torch.equal(own[1], state[1])


@pytest.mark.parametrize("name", SETTINGS)
def test_weight_drop_is_one_mask_on_the_recurrent_matrix(name):
    """All positions of a call see the same zeros, the rest scaled; gradients stop at the zeros."""
    model = made(name, DropoutRates(weight=0.4)).train()
    model.use_generator(torch.Generator().manual_seed(8))
    ids = ids_of(3, 6)
    hidden, _ = model(ids, model.initial_state(3))
    hidden.square().sum().backward()
    weight = model.encoder.layers[0].recurrent.weight
    model.use_generator(torch.Generator().manual_seed(8))
    kept = model.encoder.layers[0].weight_drop.kept(weight.shape, weight.device).double()
    assert 0 < kept.mean() < 1
    assert not weight.grad[kept == 0].any()
    assert model.encoder.layers[0].input.weight.grad.all() or name == "rnn-relu"
    calm = made(name)
    with torch.no_grad():
        calm.encoder.layers[0].recurrent.weight.mul_(kept / 0.6)
    expected, _ = calm(ids, calm.initial_state(3))
    torch.testing.assert_close(hidden, expected, atol=1e-12, rtol=0)
    expected.square().sum().backward()
    by_hand = calm.encoder.layers[0].recurrent.weight.grad * kept / 0.6
    torch.testing.assert_close(weight.grad, by_hand, atol=1e-12, rtol=0)
    assert weight.grad.any()
    again, _ = model(ids, model.initial_state(3))
    assert not torch.equal(again, hidden)  # another call, another mask
    undropped = made(name)
    evaluated = model.eval()(ids, model.initial_state(3))[0]
    assert torch.equal(evaluated, undropped(ids, undropped.initial_state(3))[0])


@pytest.mark.parametrize("locked", [True, False])
def test_hidden_dropout_is_between_layers(locked):
    """Of one layer nothing is dropped; what the second reads has zeros, under ``locked`` whole."""
    rates = DropoutRates(hidden=0.5, locked=locked)
    ids = ids_of(4, 9)
    single, calm = made("lstm", rates).train(), made("lstm")
    assert torch.equal(single(ids, single.initial_state(4))[0], calm(ids, calm.initial_state(4))[0])
    model = made("lstm", rates, layers=2).train()
    model.use_generator(torch.Generator().manual_seed(1))
    read = []
    model.encoder.layers[1].register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    model(ids, model.initial_state(4))
    zero_BTH = read[0] == 0
    assert 0.2 < zero_BTH.double().mean() < 0.8
    assert bool((zero_BTH == zero_BTH[:, :1]).all()) is locked


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_first_weights(scale):
    """Matrices by fan-in; biases 0 but an LSTM's forget gate 1; all times init_scale."""
    config = ModelConfig(arch="lstm", dim=25, hidden=100, init_scale=scale, peephole="full")
    model = build(config, V)
    model.init_weights(torch.Generator().manual_seed(1))
    layer = model.encoder.layers[0]
    i, f, g, o = layer.bias.detach().chunk(4)
    assert f.tolist() == [scale] * 100
    assert not torch.cat([i, g, o]).any()
    for parameter, fan_in in (
        (layer.input.weight, 25),
        (layer.recurrent.weight, 100),
        (layer.peephole.weight, 100),
    ):
        assert parameter.std().item() == pytest.approx(scale / fan_in**0.5, rel=0.05)
        assert parameter.mean().item() == pytest.approx(0, abs=0.01)
    for arch in ("rnn", "gru"):
        other = build(ModelConfig(arch=arch), V)
        other.init_weights(torch.Generator().manual_seed(1))
        assert not other.encoder.layers[0].bias.any()


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_a_prediction_depends_on_a_word_further_back_than_any_window(name):
    """After 40 words the first one still counts, by value and by gradient; a window is blind."""
    first, other_first = 9, 10
    rest = torch.from_numpy(np.random.default_rng(1).integers(0, first, (1, 40)))
    text, other = (torch.cat([torch.tensor([[w]]), rest], 1) for w in (first, other_first))
    model = made(name)
    layer = model.encoder.layers[0]
    with torch.no_grad():  # a layer that keeps what it has: W near I, or gates nearly open
        if name == "rnn":
            layer.recurrent.weight.copy_(torch.eye(4))
            layer.input.weight.mul_(0.1)
            layer.bias.zero_()
        else:
            layer.bias.chunk(layer.gates)[1].fill_(3)

    def reach(model):
        """Change of the last log-probabilities, and the first word's gradient."""
        log_p = [
            model.logits(model(ids, model.initial_state(1))[0][0, -1]).log_softmax(-1)
            for ids in (text, other)
        ]
        (gradient,) = torch.autograd.grad(log_p[0][3], model.embedding.weight)
        return (log_p[0] - log_p[1]).abs().max().item(), gradient[first].abs().max().item()

    assert min(reach(model)) > 1e-6
    window = build(ModelConfig(arch="ffn", order=5, dim=3, hidden=4), V)
    window.init_weights(torch.Generator().manual_seed(1))
    assert reach(window) == (0, 0)


@pytest.mark.parametrize("name", sorted(SETTINGS.keys() - {"rnn-relu", "rnn-gelu"}))
def test_numpy_does_not_overflow(name):
    """Gates far beyond where exp overflows float32 are 0 or 1 (relu and gelu have no bound)."""
    model = made(name).float()
    with torch.no_grad():
        model.embedding.weight.mul_(1e4)
    weights = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    module, ids = FORWARD[model.config.arch], ids_of(4, 8)
    with np.errstate(over="raise", invalid="raise"):
        hidden, state = module.forward(
            weights, model.config, ids.numpy(), module.initial_state(model.config, 4)
        )
    expected, after = model(ids, model.initial_state(4))
    np.testing.assert_allclose(hidden, expected.detach(), atol=1e-5)
    for ours, theirs in zip(state, after, strict=True):
        np.testing.assert_allclose(ours, theirs.detach(), atol=1e-5)


def test_one_chunk_of_memory():
    """Views in order of one buffer, with the values and the gradients of the weights."""
    weights = [random(6, 2).requires_grad_(), random(6, 3).requires_grad_(), random(6)]
    views = one_chunk(weights)
    torch.testing.assert_close(views, weights)
    starts = [view.storage_offset() for view in views]
    assert starts == [0, 12, 30]
    assert len({view.untyped_storage().data_ptr() for view in views}) == 1
    gradients = torch.autograd.grad(views[0].square().sum() + views[1].sum(), weights[:2])
    torch.testing.assert_close(gradients[0], 2 * weights[0].detach())
    torch.testing.assert_close(gradients[1], torch.ones_like(weights[1]))
