"""One unit with a threshold on two inputs: what it says, and a proof of what none can say."""

import itertools
from collections.abc import Sequence

import torch

from nplm_cli.lessons.small_models import hidden_of, network, numbers
from nplm_cli.lessons.truth_tables import INPUTS
from nplm_cli.models.feedforward import FeedforwardLM

# Weights and biases that are tried to find a unit: enough for all that two inputs allow.
TRIED = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)


def unit(w: Sequence[float] = (0, 0), b: float = 0) -> FeedforwardLM:
    """A unit without a hidden layer: the output layer reads the two numbers themselves."""
    return network(2, {"output.weight": [w], "output.bias": [b]}, layers=0)


def sums(model: FeedforwardLM) -> torch.Tensor:
    """z = w · x + b of the four inputs."""
    return model.logits(hidden_of(model, numbers(INPUTS)))[:, 0]


def answers(model: FeedforwardLM) -> tuple[int, ...]:
    """1 where z > 0, else 0."""
    return tuple((sums(model) > 0).int().tolist())


def inequalities(target: Sequence[int]) -> list[list[int]]:
    """What each input asks of (w1, w2, b), as coefficients of a sum that must not be negative.

    z itself where 1 is wanted (and then it must be above 0), -z where 0 is. z is linear in the
    weights, so its gradient gives the coefficients exactly.
    """
    model = unit()
    assert model.output.bias is not None
    of = (model.output_weight, model.output.bias)
    rows = []
    for z, wanted in zip(sums(model), target, strict=True):
        w, b = torch.autograd.grad(z, of, retain_graph=True)
        sign = 1 if wanted else -1
        rows.append([sign * round(v) for v in (*w[0].tolist(), *b.tolist())])
    return rows


def certificate(target: Sequence[int]) -> tuple[int, ...] | None:
    """How often to add each inequality so that 0 > 0 comes out; None if no such sum is found.

    The coefficients of w1, w2 and b must cancel, and one that says "above 0" must be among them.
    """
    rows = inequalities(target)
    for times in itertools.product((0, 1, 2), repeat=len(rows)):
        total = [sum(t * row[k] for t, row in zip(times, rows, strict=True)) for k in range(3)]
        if not any(total) and any(t and y for t, y in zip(times, target, strict=True)):
            return times
    return None


def tried_units() -> dict[tuple[int, ...], tuple[float, ...]]:
    """The smallest weights (w1, w2, b) of those tried for each truth table that a unit says.

    All of them stand side by side in one output layer.
    """
    weights = sorted(itertools.product(TRIED, repeat=3), key=lambda w: sum(map(abs, w)))
    rows = {"output.weight": [w[:2] for w in weights], "output.bias": [w[2] for w in weights]}
    model = network(2, rows, layers=0, outputs=len(weights))
    z_NU = model.logits(hidden_of(model, numbers(INPUTS)))
    units: dict[tuple[int, ...], tuple[float, ...]] = {}
    for w, said in zip(weights, (z_NU > 0).int().T.tolist(), strict=True):
        units.setdefault(tuple(said), w)
    return units
