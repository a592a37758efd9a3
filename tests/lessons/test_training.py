"""Lessons on training: what their claims say when numbers are changed, and second answers."""

import math

import numpy as np
import pytest
import torch

from nplm_cli.lessons import run_lesson
from nplm_cli.lessons.small_models import network, numbers
from nplm_cli.lessons.training.descent import Descent, mean_loss, seeded
from nplm_cli.threads import one_thread


def unheld(lesson):
    return [c.text.en for step in lesson.steps for c in step.claims if not c.holds]


@pytest.mark.parametrize(
    ("a", "b", "c"), [(0.0, 0.0, 0.0), (100.0, -50.0, 100.0), (-0.3, 7.0, 1e-6), (1.0, 2.0, 0.0)]
)
def test_the_graph_of_any_numbers(a, b, c):
    lesson = run_lesson("graph", {"a": a, "b": b, "c": c})
    assert unheld(lesson) == []
    found = [lesson.values[f"dL/d{name}"] for name in "abcde"]
    assert found == pytest.approx([c, 2 * c, a + 2 * b, c, c], rel=1e-15)
    assert lesson.values["dL/da_shared"] == pytest.approx(3 * c)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu", "relu"])
def test_backprop_follows_the_rules_with_every_activation(activation):
    settings = {"activation": activation, "deep_activation": activation, "layers": 5, "seed": 7}
    lesson = run_lesson("backprop", settings)
    assert unheld(lesson) == []
    values = lesson.values
    if activation != "relu":  # no other has a kink
        assert values["dW1_slope_1"] == pytest.approx(np.array(values["dW1"]))


def test_backprop_in_numpy():
    """The 2-2-1 network of W-09 with tanh, written out."""
    x, W1, b1 = np.array([0.5, -1.5]), np.array([[0.3, -0.2], [1.0, 0.7]]), np.array([0.1, -0.4])
    W2, b2, y = np.array([0.8, -1.1]), 0.2, 1
    a1 = np.tanh(W1 @ x + b1)
    dz2 = 1 / (1 + math.exp(-(W2 @ a1 + b2))) - y
    dz1 = dz2 * W2 * (1 - a1**2)
    values = run_lesson(
        "backprop",
        {
            "x": (tuple(x), (0.0, 0.0)),
            "y": (y, 0),
            "W1": tuple(map(tuple, W1)),
            "b1": tuple(b1),
            "W2": tuple(W2),
            "b2": b2,
            "activation": "tanh",
        },
    ).values
    assert values["dz2"][0] == pytest.approx(dz2, abs=1e-15)
    assert values["dW2"][0] == pytest.approx(dz2 * a1, abs=1e-15)
    assert values["dz1"][0] == pytest.approx(dz1, abs=1e-15)
    assert np.array(values["dW1"][0]) == pytest.approx(np.outer(dz1, x), abs=1e-15)


def test_l2_without_a_penalty_is_plain_descent():
    values = run_lesson("l2", {"l2": 0.0}).values
    assert values["penalty"] == 0
    assert np.array(values["W_after"]) == pytest.approx(np.array([[0.95, -2.05], [0.45, -0.05]]))
    assert len(set(values["lengths"])) == 1
    assert len(set(values["learned_squared"])) == 1


def test_l2_decays_by_a_factor_a_step():
    lengths = run_lesson("l2", {"l2": 1.0, "lr": 0.5, "steps": 3}).values["lengths"]
    assert lengths == pytest.approx([math.sqrt(5.25) * 0.5**n for n in range(4)])


def test_dropout_of_nothing():
    lesson = run_lesson("dropout", {"p": 0.0})
    assert lesson.values["drawn"] == [[1, 2, 3, 4]] * 5
    assert lesson.values["silent"] == 0
    assert unheld(lesson) == ["two answers in training differ"]


@pytest.mark.parametrize("p", [0.1, 0.9])
def test_dropout_drops_its_share(p):
    lesson = run_lesson("dropout", {"p": p, "seed": 5})
    assert lesson.values["silent"] == pytest.approx(p, abs=0.01)
    assert set(np.array(lesson.values["drawn"])[:, 0]) <= {0, 1 / (1 - p)}
    assert unheld(lesson) == []


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "gelu"])
def test_symmetry_is_never_broken(activation):
    lesson = run_lesson("symmetry", {"activation": activation, "hidden": 5})
    assert lesson.values["equal_spread"] < 1e-12
    assert "from zero: word vectors and hidden weights are still 0 to the bit" not in unheld(lesson)


@pytest.mark.slow
def test_one_unit_is_what_equal_units_are_worth():
    """No monotone unit of x1 + x2 tells (0, 0), (1, 1) both from (0, 1): 2/3 is its best there."""
    best = (3 * math.log(3) - 2 * math.log(2)) / 4
    values = run_lesson("symmetry", {"steps": 500}).values
    assert best < values["equal_loss"] < best + 0.001
    assert values["random_loss"] < 0.01


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.99])
def test_rmsprop_of_any_rho(rho):
    values = run_lesson("optimizers", {"rho": rho, "g": -2.0}).values
    assert values["rmsprop_rho"] == pytest.approx(1 + 0.1 / math.sqrt(1 - rho), abs=1e-6)
    assert values["rmsprop"] == pytest.approx(2, abs=1e-6)


def test_plain_descent_diverges_where_the_valley_is_too_steep():
    """A step multiplies y by 1 - lr * curvature: -9."""
    lesson = run_lesson("optimizers", {"lr": 0.1, "curvature": 100.0, "start": (0.0, 1.0)})
    assert [y for _, y in lesson.values["sgd_path"][:4]] == pytest.approx([1, -9, 81, -729])
    assert unheld(lesson) == ["after 40 steps all are lower than at the start"]


def test_a_descent_is_that_of_torch():
    x_NI, targets = numbers([[0.0, 1.0], [1.0, 1.0]]), torch.tensor([0, 1])

    def model():
        return seeded(network(2, {}, outputs=2, hidden=3), 3)

    ours, plain = model(), model()
    Descent(ours, optimizer="momentum", lr=0.1).down(lambda: mean_loss(ours, x_NI, targets), 4)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    for _ in range(4):
        optimizer.zero_grad()
        mean_loss(plain, x_NI, targets).backward()
        optimizer.step()
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.equal(model().output.weight, ours.output.weight)


def test_lessons_compute_with_one_thread_and_leave_the_others():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        run_lesson("graph")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
