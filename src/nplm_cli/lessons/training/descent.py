"""Steps of the trainer's optimisers on a small model."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nplm_cli.config import TrainingConfig
from nplm_cli.lessons.small_models import hidden_of
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.feedforward import FeedforwardLM
from nplm_cli.training.losses import FullLoss
from nplm_cli.training.optimizers import build_optimizer
from nplm_cli.training.weights import FlatWeights


class Descent:
    """A model with its flat weights and optimiser, as the trainer has them."""

    def __init__(self, model: LanguageModel, **settings: Any):
        """``settings`` are those of ``TrainingConfig``."""
        self.weights = FlatWeights(model)
        self.optimizer = build_optimizer(self.weights, TrainingConfig(**settings))

    def down(self, loss: Callable[[], Tensor], steps: int = 1) -> None:
        """Steps against the gradient of a loss."""
        for _ in range(steps):
            self.weights.clear_gradients()
            loss().backward()
            self._step()

    def along(self, gradient: float, steps: int = 1) -> None:
        """Steps as if the gradient of every weight were this."""
        for parameter in self.weights.parameters.values():
            parameter.grad = torch.full_like(parameter, gradient)
        for _ in range(steps):
            self._step()

    def _step(self) -> None:
        self.weights.collect_gradients()
        self.optimizer.step()


def mean_loss(model: FeedforwardLM, x_NI: Tensor, targets_N: Tensor) -> Tensor:
    """Mean of -ln p over the rows that a ``network`` reads, through which gradients flow."""
    return FullLoss(model)(hidden_of(model, x_NI), targets_N) / len(x_NI)


def seeded(model: FeedforwardLM, seed: int) -> FeedforwardLM:
    """A ``network`` with the first weights that its ``init`` says, drawn from a seed.

    Its word vectors, which nothing reads, stay 0.
    """
    model.init_weights(torch.Generator().manual_seed(seed))
    torch.nn.init.zeros_(model.embedding.weight)
    return model
