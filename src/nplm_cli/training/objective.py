"""What a step minimises: a loss over the words, and penalties on the activations."""

import numpy as np
import torch

from nplm_cli.config import TrainingConfig
from nplm_cli.corpus.batches import Batch
from nplm_cli.corpus.shards import Part, count_ids
from nplm_cli.models.base import LanguageModel, State
from nplm_cli.training.losses import FullLoss, activation_penalty
from nplm_cli.training.sampled_losses import (
    Lookup,
    NceLoss,
    SampledLoss,
    sampled_loss,
    start_at_shares,
)


class Objective:
    """The mean loss of a step with its penalties, a batch after another."""

    def __init__(
        self,
        model: LanguageModel,
        train: Part,
        config: TrainingConfig,
        generator: torch.Generator,
        lookup: Lookup,
    ):
        """``lookup`` finds rows of a table of the model, as ``FlatWeights.lookup``."""
        self.model, self.config = model, config
        self.device = model.embedding.weight.device
        counts_V = np.zeros(0, np.int64) if config.loss == "full" else _counts(model, train)
        self.full_loss = FullLoss(model, config.self_normalize)
        self.sampled_loss = sampled_loss(model, counts_V, config, generator, lookup)
        # What a stream carries from one batch to the next.
        self.state: State | None = None

    def backward(self, batch: Batch, predictions: int, done: float) -> float:
        """Add the gradient of the mean loss over a step; returns the batch's nats in all.

        ``predictions`` are those of all batches of the step; ``done`` is the share of the training
        that is over.
        """
        model = self.model
        state = model.carried_state(self.state, self._to_device(batch.fresh_B))
        hidden_BTD, state = model(self._to_device(batch.ids_BT), state)
        self.state = tuple(tensor.detach() for tensor in state)
        hidden_ND = hidden_BTD.flatten(0, 1)
        counted = np.flatnonzero(batch.targets_BT >= 0)
        if len(counted) < len(hidden_ND):
            hidden_ND = hidden_ND.index_select(0, self._to_device(counted))
        targets_N = self._to_device(batch.targets_BT.ravel()[counted])
        total = self._loss(done)(hidden_ND, targets_N)
        objective = total / predictions
        if self.config.ar or self.config.tar:
            states = model.last_states()
            counted_BT = self._to_device(batch.targets_BT >= 0)
            penalty = activation_penalty(*states, counted_BT, self.config.ar, self.config.tar)
            objective = objective + penalty * (batch.predictions / predictions)
        objective.backward()
        return float(total.detach())

    def takes_over(self, done: float) -> bool:
        """Whether the full softmax has followed a loss over samples."""
        share = self.config.full_from
        # A budget may run out within a step: 1 stands for never.
        return self.sampled_loss is not None and done >= share and share < 1

    def _loss(self, done: float) -> FullLoss | SampledLoss | NceLoss:
        if self.sampled_loss is None or self.takes_over(done):
            return self.full_loss
        return self.sampled_loss

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        """Copy to the device; from pinned memory a GPU fetches it while it computes."""
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def start_biases(model: LanguageModel, train: Part, config: TrainingConfig) -> None:
    """Give output biases the first values that ``config.loss`` asks for, before any step."""
    if config.loss == "nce" or config.self_normalize:  # both take scores for log-probabilities
        start_at_shares(model, _counts(model, train))


def _counts(model: LanguageModel, train: Part) -> np.ndarray:
    return count_ids(train.ids_N, model.embedding.num_embeddings)
