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
from nplm_cli.models.base import LanguageModel


class WeightAverage:
    """The average of a model's trained weights, and the exchange of the two."""

    def __init__(self, model: LanguageModel, config: TrainingConfig):
        self.kind, self.decay, self.start = (
            config.average,
            config.average_decay,
            config.average_from,
        )
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.updates = 0
        self.means: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, done: float) -> None:
        """Take in the weights after a step; ``done`` is the share of the training that is over."""
        if self.kind == "none":
            return
        if self.kind == "tail" and done < self.start:
            self.means, self.updates = {}, 0  # a training that was lengthened averages anew
            return
        self.updates += 1
        weights: list[Tensor] = list(self.parameters.values())
        if not self.means:
            self.means = {name: p.detach().clone() for name, p in self.parameters.items()}
            return
        if self.kind == "ema":
            share = 1 - min(self.decay, self.updates / (9 + self.updates))
        else:
            share = 1 / self.updates
        torch._foreach_lerp_(list(self.means.values()), weights, share)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averaged weights inside the ``with``; without any, nothing."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, mean in self.means.items():
            weight = self.parameters[name]
            kept = weight.detach().clone()
            weight.copy_(mean)
            mean.copy_(kept)

    def restore(self, means: dict[str, Tensor], updates: int) -> None:
        """Take up an average from a checkpoint; raises ValueError where it does not fit."""
        for name, mean in means.items():
            weight = self.parameters.get(name)
            if weight is None or weight.shape != mean.shape:
                raise ValueError(f"average of {name}, which is not trained or of another shape")
        if means and set(means) != set(self.parameters):
            raise ValueError("the average of some weights is missing")
        device = next(iter(self.parameters.values())).device
        # In the order of the parameters: ``update`` takes them side by side.
        self.means = {name: means[name].to(device) for name in self.parameters if means}
        self.updates = updates
