"""The hidden layers of the feedforward model: gates, residual sums, layer norm, dropout."""

import numpy as np
import pytest
import torch

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.models import build
from nplm_cli.query import feedforward as twin

V = 11


def made(rates=None, **settings):
    """A float64 model whose every parameter is random."""
    config = ModelConfig(**{"order": 4, "dim": 3, "hidden": 5, **settings})
    model = build(config, V, rates).double().eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.normal_(0, 0.7, generator=generator)
    return model


def ids_of(rows, positions):
    return torch.from_numpy(np.random.default_rng(0).integers(0, V, (rows, positions)))


def hidden_of(model, ids_BT):
    return model(ids_BT, model.initial_state(len(ids_BT)))[0]


def words_before(model, ids_T, t, count):
    """Vectors of the word at t, the one before it ...; </s> before the text."""
    table = model.embedding.weight.detach().numpy()
    return [table[ids_T[t - k] if t >= k else 1] for k in range(count)]


MODERN = [
    {},
    {"gate": True},
    {"gate": True, "hidden_bias": False},
    {"residual": True},
    {"norm": "pre"},
    {"norm": "post", "norm_eps": 0.1},
    {"norm": "pre", "residual": True, "gate": True},
    {"norm": "post", "residual": True, "gate": True},
]
FAR = {"far": 4, "kernels": 2, "averages": 1, "order": 2}


@pytest.mark.parametrize("combine", ["concat", "sum"])
@pytest.mark.parametrize("settings", MODERN)
def test_hidden_layers_by_their_formulas(settings, combine):
    """Each option as written in the module's docstring; sum: the first layer is square, too."""
    hidden_size = 5 if combine == "concat" else 3
    model = made(layers=3, combine=combine, hidden=hidden_size, activation="relu", **settings)
    config = model.config
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}

    def affine(name, layer, x):
        bias = weights.get(f"encoder.{name}.{layer}.bias", 0)
        return weights[f"encoder.{name}.{layer}.weight"] @ x + bias

    def norm(layer, x):
        name = f"encoder.norms.{layer}"
        x = (x - x.mean()) / np.sqrt(x.var() + config.norm_eps)
        return weights[f"{name}.weight"] * x + weights[f"{name}.bias"]

    def together(words):
        return np.concatenate(words) if combine == "concat" else sum(words)

    ids = ids_of(1, 6)
    hidden = hidden_of(model, ids)[0]
    for t in range(6):
        words = words_before(model, ids[0], t, 3)[::-1]
        h = together(words)
        for layer in range(3):
            if config.norm != "pre":
                x = h
            elif layer:
                x = norm(layer, h)
            else:
                x = together([norm(0, word) for word in words])
            y = np.maximum(affine("layers", layer, x), 0)
            if config.gate:
                y = y / (1 + np.exp(-affine("gates", layer, x)))
            h = h + y if config.residual and len(h) == len(y) else y
            h = norm(layer, h) if config.norm == "post" else h
        if config.norm == "pre" and config.residual:
            h = norm(3, h)
        np.testing.assert_allclose(hidden[t].detach(), h, atol=1e-10)


def test_names_of_norms_and_gates():
    names = set(made(layers=2, norm="pre", residual=True, gate=True).state_dict())
    norms = {name for name in names if "norms" in name}
    assert norms == {f"encoder.norms.{k}.{kind}" for k in range(3) for kind in ("weight", "bias")}
    assert {"encoder.gates.0.weight", "encoder.gates.1.bias"} <= names
    assert "encoder.norms.2.weight" not in made(layers=2, norm="pre").state_dict()
    assert "encoder.norms.2.weight" not in made(layers=2, norm="post", residual=True).state_dict()


@pytest.mark.parametrize("settings", [*MODERN, FAR, {"layers": 0, "norm": "pre", "gate": True}])
def test_expected_shapes_are_the_shapes(settings):
    model = made(**settings)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if settings.get("layers") == 0:  # options of hidden layers do nothing without them
        assert set(shapes) == {"embedding.weight", "output.weight", "output.bias"}
    assert twin.expected_shapes(model.config, V) == shapes


def test_hidden_dropout_spares_what_residual_adds():
    """With half of what each layer reads dropped, the sum still carries the rest."""
    rates = DropoutRates(hidden=0.5)
    model = made(rates=rates, layers=2, residual=True, combine="sum", hidden=3)
    with torch.no_grad():
        model.encoder.layers[1].weight.zero_()
        model.encoder.layers[1].bias.zero_()
    ids = ids_of(2, 5)
    calm = hidden_of(model, ids)
    model.train()
    torch.testing.assert_close(hidden_of(model, ids), calm)
    one_layer = made(rates=rates).train()  # nothing between layers: nothing dropped
    torch.testing.assert_close(hidden_of(one_layer, ids), hidden_of(made(), ids))
