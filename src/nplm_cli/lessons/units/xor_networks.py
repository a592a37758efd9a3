"""Networks with one hidden layer for XOR: with given weights, and with learned ones."""

from functools import partial
from typing import Any

import torch

from nplm_cli.bilingual import Text
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import hidden_of, network, numbers
from nplm_cli.lessons.training.descent import Descent, mean_loss, seeded
from nplm_cli.lessons.truth_tables import INPUTS, XOR
from nplm_cli.models.feedforward import FeedforwardLM

# Two ReLUs whose output is XOR: Goodfellow, Bengio & Courville (2016), 6.1.
GIVEN = {
    "W": Parameter(
        default=((1.0, 1.0), (1.0, 1.0)), help=Text("weights of the hidden layer", "隐藏层的权重")
    ),
    "b": Parameter(default=(0.0, -1.0), help=Text("its biases", "它的偏置")),
    "u": Parameter(default=(1.0, -2.0), help=Text("weights of the output unit", "输出单元的权重")),
    "c": Parameter(default=0.0, help=Text("its bias", "它的偏置")),
}
STEPS, LR = 100, 1.0  # of learning, where nothing else is said


def given(W: Any, b: Any, u: Any, c: float, activation: str = "relu") -> FeedforwardLM:
    """A network of two hidden units with these weights (``GIVEN``)."""
    weights = {
        "encoder.layers.0.weight": W,
        "encoder.layers.0.bias": b,
        "output.weight": [u],
        "output.bias": [c],
    }
    return network(2, weights, hidden=2, activation=activation)


class Learned:
    """A network with one hidden layer and a softmax over the answers 0 and 1, trained on XOR."""

    def __init__(
        self,
        units: int,
        activation: str,
        seed: int,
        steps: int = STEPS,
        lr: float = LR,
    ):
        shape = {"hidden": units, "activation": activation}
        self.model = seeded(network(2, {}, outputs=2, **shape), seed)
        self.seed, x, targets = seed, numbers(INPUTS), torch.tensor(XOR)
        loss = partial(mean_loss, self.model, x, targets)
        self.before = loss().item()
        Descent(self.model, optimizer="sgd", lr=lr).down(loss, steps)
        with torch.no_grad():
            self.h = hidden_of(self.model, x)
            scores = self.model.logits(self.h)
            self.loss = loss().item()
        self.p = scores.softmax(-1)[:, 1].tolist()
        self.right = int((scores.argmax(-1) == targets).sum())
        # A unit that says 0 for every input, and an input for which every unit says 0.
        self.dead = int((self.h == 0).all(0).sum())
        self.silent = int((self.h == 0).all(1).sum())

    @property
    def confused(self) -> bool:
        """Whether two inputs with different answers have the same hidden layer."""
        points = [tuple(point) for point in self.h.tolist()]
        return len(set(zip(points, XOR, strict=True))) > len(set(points))
