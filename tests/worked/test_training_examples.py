"""W-13, W-14, W-15: dropout, first steps of the optimisers, L2; as the real classes do them.

Sources: W-13 Hangzhou Normal University lecture 7, s. 6 (rule), SLP3 6.6.5; W-14 the formulas of
AdaGrad (Duchi et al. 2011), RMSprop (Hinton 2012) and Adam (Kingma & Ba 2015); W-15 Zong
Chengqing ch. 5, eq. 6-2 to 6-5. Numbers chosen here (theta = 1, g = 0.1, lr = 0.1).
"""

import math

import pytest
import torch

from nplm_cli.config import ModelConfig, TrainingConfig
from nplm_cli.models import build
from nplm_cli.models.regularisation import Dropout
from nplm_cli.training.optimizers import Schedule, build_optimizer
from nplm_cli.training.weights import FlatWeights


def one_weight():
    """The smallest model: its matrices get the gradient 0.1, its value starts at 1."""
    model = build(ModelConfig(order=2, dim=2, hidden=2), 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    return model


def step(model, config):
    weights = FlatWeights(model)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.1)
    weights.collect_gradients()
    optimizer = build_optimizer(weights, config)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("sgd", 0.990000),
        ("momentum", 0.990000),
        ("adagrad", 0.900000),
        ("rmsprop", 0.000001),  # rho = 0.99
        ("adam", 0.900000),
        ("adamw", 0.900000),
    ],
)
def test_w14_first_step(optimizer, expected):
    model = one_weight()
    step(model, TrainingConfig(optimizer=optimizer, lr=0.1))
    for name, parameter in model.named_parameters():
        values = parameter.detach().flatten().tolist()
        assert values == pytest.approx([expected] * len(values), abs=2e-6), name


def test_w14_rmsprop_of_the_formula():
    """theta - lr g / (sqrt(0.01 g^2) + eps) with rho = 0.99; rho = 0.9 would give 0.683772."""
    model = one_weight()
    optimizer = step(model, TrainingConfig(optimizer="rmsprop", lr=0.1))
    group = optimizer.param_groups[0]
    assert group["alpha"] == 0.99
    for group in optimizer.param_groups:
        group["alpha"] = 0.9
    optimizer.state.clear()
    with torch.no_grad():
        model.output.bias.fill_(1.0)
    optimizer.step()
    assert model.output.bias[0].item() == pytest.approx(0.683772, abs=1e-6)


def test_w14_momentum_grows():
    """The second step with the same gradient is 1 + 0.9 times as long."""
    model = one_weight()
    optimizer = step(model, TrainingConfig(optimizer="momentum", lr=0.1, momentum=0.9))
    optimizer.step()
    assert model.output.bias[0].item() == pytest.approx(1 - 0.01 - 0.019, abs=1e-6)


def test_w14_adam_is_bias_corrected():
    """With a constant gradient every step is lr long."""
    model = one_weight()
    optimizer = step(model, TrainingConfig(optimizer="adam", lr=0.1))
    optimizer.step()
    optimizer.step()
    assert model.output.bias[0].item() == pytest.approx(0.7, abs=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_w15_l2(optimizer):
    """W <- W - lr (g + eps W) = [[.9, -1.95], [.425, -.05]]; b <- b - lr g."""
    model = one_weight()
    start = torch.tensor([[1.0, -2.0], [0.5, 0.0]])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.copy_(start)
    assert (start**2).sum().item() * 0.1 / 2 == pytest.approx(0.262500, abs=1e-6)
    step(model, TrainingConfig(optimizer=optimizer, lr=0.5, l2=0.1))
    for parameter in model.parameters():
        if parameter.ndim == 2:  # word vectors, hidden and output matrix
            expected = [0.9, -1.95, 0.425, -0.05]
            assert parameter.detach().flatten().tolist() == pytest.approx(expected, abs=1e-6)
        else:
            assert parameter.tolist() == pytest.approx([0.95] * 2, abs=1e-6)


def test_w15_adam_takes_l2_into_the_gradient_and_adamw_beside_it():
    """Adam's first step is lr whatever the size; AdamW takes lr * l2 * W besides."""
    adam, adamw = one_weight(), one_weight()
    step(adam, TrainingConfig(optimizer="adam", lr=0.1, l2=0.5))
    step(adamw, TrainingConfig(optimizer="adamw", lr=0.1, l2=0.5))
    assert adam.output.weight[0, 0].item() == pytest.approx(0.9, abs=1e-6)
    assert adamw.output.weight[0, 0].item() == pytest.approx(1 - 0.05 - 0.1, abs=1e-6)
    assert adamw.output.bias[0].item() == pytest.approx(0.9, abs=1e-6)


def test_w13_inverted_dropout():
    """p = 0.5, mask [1, 0, 1, 0]: [1, 2, 3, 4] -> [2, 0, 6, 0]; unchanged in eval."""
    dropout = Dropout(0.5)
    activations = torch.tensor([1.0, 2.0, 3.0, 4.0])
    keep = torch.tensor([True, False, True, False])
    for seed in range(200):
        dropout.generator = torch.Generator().manual_seed(seed)
        if torch.equal(dropout.kept((4,), activations.device), keep):
            break
    else:
        pytest.fail("no seed draws the mask")
    dropout.generator = torch.Generator().manual_seed(seed)
    assert dropout(activations).tolist() == [2, 0, 6, 0]
    assert dropout.eval()(activations) is activations


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_w13_the_mean_is_preserved(share):
    dropout = Dropout(share)
    dropout.generator = torch.Generator().manual_seed(1)
    dropped = dropout(torch.full((200_000,), 3.0))
    assert dropped.unique().tolist() == pytest.approx([0, 3 / (1 - share)])
    assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert dropped.mean().item() == pytest.approx(3, abs=0.05)


def test_dropout_of_0_asks_for_no_random_number():
    dropout = Dropout(0.0)
    dropout.generator = torch.Generator().manual_seed(1)
    before = dropout.generator.get_state()
    ones = torch.ones(3)
    assert dropout(ones) is ones
    assert torch.equal(dropout.generator.get_state(), before)


@pytest.mark.parametrize(
    ("kind", "warmup", "done", "expected"),
    [
        ("constant", 0.0, 0.0, 1.0),
        ("constant", 0.2, 0.1, 0.5),
        ("constant", 0.2, 0.9, 1.0),
        ("linear", 0.0, 0.0, 1.0),
        ("linear", 0.0, 0.25, 0.75),
        ("linear", 0.2, 0.1, 0.5),
        ("linear", 0.2, 0.6, 0.5),
        ("linear", 0.0, 1.0, 1e-3),
        ("cosine", 0.0, 0.5, 0.5),
        ("cosine", 0.0, 1 / 3, 0.75),
        ("cosine", 0.0, 1.5, 1e-3),
        ("plateau", 0.0, 0.7, 1.0),
        ("linear", 0.1, 0.0, 1e-3),
    ],
)
def test_schedules(kind, warmup, done, expected):
    schedule = Schedule(TrainingConfig(schedule=kind, warmup=warmup))
    assert schedule.factor(done) == pytest.approx(expected, abs=1e-12)


def test_plateau_halves_only_where_nothing_improved():
    plateau = Schedule(TrainingConfig(schedule="plateau", warmup=0))
    for improved, expected in ((True, 1), (False, 0.5), (True, 0.5), (False, 0.25)):
        plateau.after_evaluation(improved)
        assert math.isclose(plateau.factor(0.5), expected)
    linear = Schedule(TrainingConfig(schedule="linear", warmup=0))
    linear.after_evaluation(False)
    assert linear.factor(0.0) == 1
