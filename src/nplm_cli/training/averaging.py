"""Averaged weights: what is evaluated and kept is a mean over steps, not the last step's weights.

ema    m <- d m + (1 - d) w, with d = min(decay, (1 + n) / (10 + n)) after n updates, so that the
       first weights are soon forgotten
tail   m <- mean of w over all steps since a share of the training was done (Polyak & Juditsky
       1992; averaged SGD)
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from nplm_cli.config import TrainingConfig
from nplm_cli.training.weights import FlatWeights


class WeightAverage:
    """The average of a training's weights, and the exchange of the two."""

    def __init__(self, weights: FlatWeights, config: TrainingConfig):
        self.kind, self.decay, self.start = (
            config.average,
            config.average_decay,
            config.average_from,
        )
        self.weights = weights
        self.updates = 0
        self.mean_P: Tensor | None = None

    @torch.no_grad()
    def update(self, done: float) -> None:
        """Take in the weights after a step; ``done`` is the share of the training that is over."""
        if self.kind == "none":
            return
        if self.kind == "tail" and done < self.start:
            self.mean_P, self.updates = None, 0  # a training that was lengthened averages anew
            return
        self.updates += 1
        if self.mean_P is None:
            self.mean_P = self.weights.master_P.clone()
            return
        if self.kind == "ema":
            share = 1 - min(self.decay, self.updates / (9 + self.updates))
        else:
            share = 1 / self.updates
        self.mean_P.lerp_(self.weights.master_P, share)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averaged weights, in fp32, inside the ``with``.

        Without an average, the fp32 weights themselves.
        """
        self.weights.settle()
        self._exchange()
        try:
            with self.weights.exact():
                yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        if self.mean_P is not None:
            kept_P = self.weights.master_P.clone()
            self.weights.master_P.copy_(self.mean_P)
            self.mean_P.copy_(kept_P)

    def means(self) -> dict[str, Tensor]:
        """The average by name of the parameter; empty without one."""
        return {} if self.mean_P is None else self.weights.split(self.mean_P)

    def restore(self, means: dict[str, Tensor], updates: int) -> None:
        """Take up an average from a checkpoint; raises ValueError where it does not fit."""
        self.mean_P = self.weights.joined(means, "average") if means else None
        self.updates = updates
