"""The far context of the feedforward model: its features, reach, gradients and memory."""

import math
import tracemalloc

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nplm_cli.config import ModelConfig
from nplm_cli.models import build, far_context
from nplm_cli.models.far_context import DecayingAverages, FarContext, position_sums
from nplm_cli.query import far_context as far_twin
from nplm_cli.query import feedforward as twin

V = 11


def made(vocabulary=V, **settings):
    """A float64 model whose every parameter is random."""
    config = ModelConfig(**{"order": 4, "dim": 3, "hidden": 5, **settings})
    model = build(config, vocabulary).double().eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.normal_(0, 0.7, generator=generator)
    return model


def ids_of(rows, positions):
    return torch.from_numpy(np.random.default_rng(0).integers(0, V, (rows, positions)))


def hidden_of(model, ids_BT):
    return model(ids_BT, model.initial_state(len(ids_BT)))[0]


def weights_of(model):
    """The weights as the numpy twin reads them."""
    return {name: tensor.numpy().astype(np.float32) for name, tensor in model.state_dict().items()}


def words_before(model, ids_T, t, count):
    """Vectors of the word at t, the one before it ...; </s> before the text."""
    table = model.embedding.weight.detach().numpy()
    return [table[ids_T[t - k] if t >= k else 1] for k in range(count)]


def far_by_loops(weights, config, far_words):
    """All features of one prediction, word by word; ``far_words`` from the nearest on."""
    features = []
    for kernel in weights.get("encoder.far.kernels.weight", []):
        features += list(sum(w * y for w, y in zip(kernel, far_words, strict=True)))
    for k in range(config.averages):
        decay = 1 / (1 + math.exp(-weights["encoder.far.averages.decay"][k]))
        total, norm = np.zeros(config.dim), 0.0
        for j, y in enumerate(far_words):
            score = float(weights["encoder.far.averages.weight"][k] @ y)
            share = decay**j * math.exp(min(10.0, max(-10.0, score)))
            total, norm = total + share * y, norm + share
        features += list(total / norm)
    return np.array(features)


FAR = [
    {"far": 5, "kernels": 2, "averages": 0},
    {"far": 5, "kernels": 0, "averages": 3},
    {"far": 4, "kernels": 2, "averages": 1, "order": 2},
    {"far": 1, "kernels": 1, "averages": 1},
]


@pytest.mark.parametrize("combine", ["concat", "sum", "mean"])
@pytest.mark.parametrize("settings", FAR)
def test_window_and_far_features_are_those_of_a_double_loop(settings, combine, monkeypatch):
    """In blocks of any size; the output layer of a model without hidden layers reads them."""
    model = made(layers=0, combine=combine, **settings)
    config, window = model.config, model.config.order - 1
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    ids = ids_of(2, 9)
    expected = np.zeros((2, 9, model.output_weight.shape[1]))
    for row in range(2):
        for t in range(9):
            words = words_before(model, ids[row], t, window + config.far)
            near = np.concatenate(words[:window][::-1])
            if combine != "concat":
                near = sum(words[:window]) / (window if combine == "mean" else 1)
            far = far_by_loops(weights, config, words[window:])
            expected[row, t] = np.concatenate([near, far])
    for block in (1, 2, 4, 32):
        monkeypatch.setattr(far_context, "BLOCK", block)
        monkeypatch.setattr(far_twin, "BLOCK", block)
        torch.testing.assert_close(
            hidden_of(model, ids), torch.from_numpy(expected), atol=1e-12, rtol=1e-12
        )
        hidden, _ = twin.forward(
            weights_of(model), config, ids.numpy(), twin.initial_state(config, 2)
        )
        np.testing.assert_allclose(hidden, expected, atol=1e-5)


@pytest.mark.parametrize("block", [1, 3, 32])
def test_gradients_of_the_position_sums(block, monkeypatch):
    """The gradient that is written by hand, full and partial blocks."""
    monkeypatch.setattr(far_context, "BLOCK", block)
    generator = torch.Generator().manual_seed(1)
    kernels = torch.randn(2, 3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    words = torch.randn(2, 10, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    assert position_sums(kernels, words).shape == (2, 3, 7, 5)
    assert torch.autograd.gradcheck(position_sums, (kernels, words))


@pytest.mark.parametrize("settings", FAR)
def test_reach_is_the_window_and_the_far_words(settings):
    model = made(vocabulary=40, **settings)
    ids = torch.arange(2, 17)[None]
    (gradient,) = torch.autograd.grad(hidden_of(model, ids)[0, -1].sum(), model.embedding.weight)
    reached = [k for k in range(15) if gradient[ids[0, k]].abs().max() > 0]
    reach = model.config.order - 1 + model.config.far
    assert reached == list(range(15 - reach, 15))
    assert model.context == reach == model.initial_state(1)[0].shape[1]


def test_far_context_before_the_text_is_the_boundary():
    model = made(far=6, kernels=2, averages=2)
    ids = ids_of(1, 5)
    after_boundaries = torch.cat([torch.ones(1, 30, dtype=torch.int64), ids], dim=1)
    torch.testing.assert_close(
        hidden_of(model, after_boundaries)[:, 30:], hidden_of(model, ids), atol=1e-12, rtol=0
    )


def test_extreme_importance_and_decay_stay_finite():
    """Importance is clamped to e^-10 .. e^10; a decay of 0 leaves the nearest word."""
    averages = DecayingAverages(3, 2).double()
    y = torch.tensor([[1.0, 0], [-1, 0], [0, 2], [5, 1]]).double()[:, None]
    with torch.no_grad():
        averages.weight.copy_(torch.tensor([[1e6, 0], [0, 0], [-1e6, 0]]))
        averages.decay.copy_(torch.tensor([80.0, -1e5, 80.0]))
        a = averages(y, 4)[:, 0, 0]
    e = math.exp(10)
    heavy = (e * y[0] + y[1] / e + y[2] + e * y[3])[0] / (2 * e + 1 / e + 1)
    light = (y[0] / e + e * y[1] + y[2] + y[3] / e)[0] / (e + 1 + 2 / e)
    torch.testing.assert_close(a, torch.stack([heavy, y[3, 0], light]), atol=1e-12, rtol=0)


def test_first_decays_are_spread_and_words_equally_important():
    for averages in (1, 4):
        model = build(ModelConfig(far=8, averages=averages, kernels=1), V)
        model.init_weights(torch.Generator().manual_seed(1))
        module = model.encoder.far.averages
        d = torch.sigmoid(module.decay)
        assert 0.6 < d.min() <= d.max() < 0.97
        assert d.diff().min() > 0.02 if averages > 1 else 0.8 < d < 0.9
        assert not module.weight.any()
        kernels = model.encoder.far.kernels.weight
        assert kernels.shape == (1, 8)
        assert 0.1 < kernels.std() < 0.8  # 1/sqrt(8) = 0.35


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def test_memory_of_a_long_text_grows_with_its_length():
    """16,384 words with 64 far ones: forward and backward stay at a few numbers a feature."""
    model = made(dim=2, hidden=2, far=64, kernels=2, averages=1).float()
    ids = ids_of(1, 16_384)
    with Largest() as largest:
        hidden_of(model, ids).sum().backward()
    words = 16_384 + 64 + 3
    assert words * 2 < largest.elements <= words * 3 * 2  # three features of dimension 2
    weights, state = weights_of(model), twin.initial_state(model.config, 1)
    tracemalloc.start()
    twin.forward(weights, model.config, ids.numpy(), state)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < words * 4 * 40


def test_many_short_rows_are_read_in_parts_without_gradient(monkeypatch):
    model = made(far=40, kernels=1, averages=1, norm="pre")
    ids = ids_of(50, 2)
    at_once = hidden_of(model, ids)  # a gradient is asked for
    monkeypatch.setattr("nplm_cli.models.feedforward.MAX_VECTORS", 1000)
    monkeypatch.setattr(twin, "MAX_VECTORS", 1000)
    with torch.no_grad(), Largest() as largest:
        in_parts, state = model(ids, model.initial_state(50))
    torch.testing.assert_close(in_parts, at_once, atol=1e-12, rtol=0)
    assert state[0].shape == (50, 43)
    assert largest.elements < 45 * 50 * 3  # all word vectors at once
    weights, config = weights_of(model), model.config
    hidden, twin_state = twin.forward(weights, config, ids.numpy(), twin.initial_state(config, 50))
    np.testing.assert_allclose(hidden, at_once.detach(), atol=1e-5)
    assert (twin_state[0] == state[0].numpy()).all()


def test_far_context_alone():
    far = FarContext(ModelConfig(far=3, kernels=2, averages=1, dim=4))
    torch.nn.init.ones_(far.kernels.weight)
    torch.nn.init.zeros_(far.averages.weight)
    torch.nn.init.zeros_(far.averages.decay)
    y = torch.arange(5.0)[None, :, None].expand(1, 5, 4)
    features = far(y)
    assert features.shape == (1, 3, 12) == (1, 3, far.width)
    sums = [3.0, 6, 9]
    halved = [(2 + 0.5 * 1) / 1.75, (3 + 0.5 * 2 + 0.25) / 1.75, (4 + 0.5 * 3 + 0.25 * 2) / 1.75]
    torch.testing.assert_close(features[0, :, 7], torch.tensor(sums))
    torch.testing.assert_close(features[0, :, 8], torch.tensor(halved))


def test_a_far_word_is_learned():
    """The word after the cue is told by the first word, out of the window's sight."""
    rows = torch.tensor([[2, 4, 5, 6, 7, 8], [3, 4, 5, 6, 7, 9]])
    model = build(ModelConfig(order=3, dim=6, hidden=12, far=6, kernels=1, averages=1), V)
    model.init_weights(torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        logits = model.logits(hidden_of(model, rows[:, :-1]))[:, -1]
        loss = torch.nn.functional.cross_entropy(logits, rows[:, -1])
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 < math.log(2)
