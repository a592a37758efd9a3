"""Right gradients hold, wrong ones are found where they are, kinks are told from both."""

import pytest
import torch

from nplm_cli.errors import ConfigError
from nplm_cli.models import attention, recurrent
from nplm_cli.training import losses, sampled_losses
from nplm_cli.training.checked_models import (
    VARIANTS,
    check_run,
    check_variants,
    chosen_variants,
    random_batches,
    small_random_model,
)
from nplm_cli.training.gradient_check import check_gradients
from nplm_cli.training.losses import FullLoss

QUICK = ("ffn-relu", "ffn-self-normalize", "ffn-nce", "lstm", "attention", "transformer")


def checked(name):
    (check,) = check_variants({name: VARIANTS[name]})
    return check


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in VARIANTS]
)
def test_every_architecture_holds_in_every_number(name):
    check = checked(name)
    assert check.holds
    assert check.relative_error < 5e-6
    model = small_random_model(VARIANTS[name], 1)
    assert sum(t.entries for t in check.tensors) == sum(p.numel() for p in model.parameters())
    assert all(p.dtype == torch.float64 for p in model.parameters())


def test_the_variants_are_of_all_architectures():
    from nplm_cli.models import MODELS

    assert {variant.arch for variant in VARIANTS.values()} == set(MODELS)
    assert set(chosen_variants("lstm")) == {n for n in VARIANTS if n.startswith("lstm")}
    with pytest.raises(ConfigError, match="did you mean 'lstm'"):
        chosen_variants("lstmm")


def wrong(check):
    return [tensor.name for tensor in check.tensors if not tensor.holds]


def scaled_backward(monkeypatch, function, place):
    """Let one gradient of a hand-written backward pass be 1 % too large."""
    backward = function.backward

    def off(ctx, *grads):
        found = list(backward(ctx, *grads))
        found[place] = found[place] * 1.01
        return tuple(found)

    monkeypatch.setattr(function, "backward", staticmethod(off))


def test_a_wrong_gradient_of_the_output_matrix_is_found_there(monkeypatch):
    scaled_backward(monkeypatch, losses._LinearCrossEntropy, 1)
    check = checked("ffn")
    assert wrong(check) == ["output.weight"]
    assert check.relative_error == pytest.approx(0.01 / 1.01, rel=1e-3)


def test_a_wrong_gradient_of_the_hidden_layer_is_found_in_all_below(monkeypatch):
    scaled_backward(monkeypatch, losses._LinearCrossEntropy, 0)
    below = ["embedding.weight", "encoder.layers.0.weight", "encoder.layers.0.bias"]
    assert wrong(checked("ffn")) == below


def test_a_wrong_gradient_of_nce_is_found(monkeypatch):
    scaled_backward(monkeypatch, sampled_losses._LinearNce, 2)
    assert wrong(checked("ffn-nce")) == ["output.bias"]


class OffBy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.factor, None


def test_a_wrong_cell_is_found_in_what_it_reads(monkeypatch):
    step = recurrent.lstm_step

    def off(a, h, c, recurrent_weight, peephole=None):
        return step(a, h, c, OffBy.apply(recurrent_weight, 1.01), peephole)

    monkeypatch.setattr(recurrent, "lstm_step", off)
    assert wrong(checked("lstm-peephole-diagonal")) == ["encoder.layers.0.recurrent.weight"]


def test_a_gradient_that_is_lost_is_found(monkeypatch):
    real = attention.split_heads
    calls = []

    def lost(x, heads):  # queries, keys and values in turn
        calls.append(x)
        return real(x.detach() if len(calls) % 3 == 1 else x, heads)

    monkeypatch.setattr(attention, "split_heads", lost)
    check = checked("attention-learned")
    query = next(t for t in check.tensors if t.name == "encoder.layers.0.query.weight")
    assert not query.holds
    assert query.relative_error == 1.0  # 0 against something
    held = {t.name for t in check.tensors if t.holds}
    assert {"encoder.layers.0.value.weight", "output.weight"} <= held


def relu_on_a_kink():
    """A ReLU whose sums are exactly 0: unit 0 reads nothing."""
    model = small_random_model(VARIANTS["ffn-relu"], 1)
    with torch.no_grad():
        model.encoder.layers[0].weight[0] = 0
        model.encoder.layers[0].bias[0] = 0
    return model


def test_kinks_are_counted_and_not_compared():
    model = relu_on_a_kink()
    check = check_gradients(model, random_batches(1), FullLoss(model), name="kink")
    kinks = {tensor.name: tensor.kinks for tensor in check.tensors if tensor.kinks}
    assert kinks["encoder.layers.0.bias"] == 1
    assert set(kinks) == {"encoder.layers.0.bias", "encoder.layers.0.weight"}
    assert check.holds


def test_a_kink_does_not_hide_a_wrong_gradient(monkeypatch):
    scaled_backward(monkeypatch, losses._LinearCrossEntropy, 2)
    model = relu_on_a_kink()
    check = check_gradients(model, random_batches(1), FullLoss(model), name="kink")
    assert wrong(check) == ["output.bias"]
    assert next(t for t in check.tensors if t.name == "output.bias").kinks == 0


def test_entries_of_a_large_tensor_are_mostly_those_that_the_text_touches(random_part):
    variant = VARIANTS["ffn"]
    model = small_random_model(variant, 1)
    part = random_part(4, 5)
    from nplm_cli.config import TrainingConfig

    def check(seed):
        return check_run(
            model, part, TrainingConfig(), part.ids_N, name="run", entries=10,
            tokens=12, seed=seed,
        )  # fmt: skip

    first = check(1)
    assert first.predictions == 12
    assert first.holds
    assert [t.entries for t in first.tensors] == [10, 10, 5, 10, 10]
    assert check(1) == first
    assert check(2) != first


def test_nan_never_holds():
    model = small_random_model(VARIANTS["ffn"], 1)
    with torch.no_grad():
        model.output.bias[0] = torch.nan
    check = check_gradients(model, random_batches(1), FullLoss(model), name="nan")
    assert not check.holds
