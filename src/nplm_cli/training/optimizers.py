"""Optimisers by the names of the lectures, and the learning rate over time."""

import math
from typing import Any

import torch

from nplm_cli.config import DEFAULT_LR, TrainingConfig
from nplm_cli.training.rows import RowTables
from nplm_cli.training.weights import FlatWeights


class AdamWithRows(torch.optim.AdamW):
    """AdamW on the flat vector and on the rows of tables that a step used (``row_table.py``)."""

    def __init__(self, groups: list[dict[str, Any]], lr: float, rows: RowTables):
        super().__init__(groups, lr=lr, fused=True)
        self.rows = rows

    def step(self, closure: Any = None) -> Any:
        """Update all weights."""
        found = super().step(closure)
        self.rows.step(float(self.param_groups[0]["lr"]))
        return found


def build_optimizer(weights: FlatWeights, config: TrainingConfig) -> torch.optim.Optimizer:
    """Make the optimiser; L2 acts on matrices only (``LanguageModel.regularised``).

    The penalty is (l2 / 2) |W|^2, so its gradient is l2 W; AdamW subtracts lr * l2 * W beside
    the step instead (Loshchilov & Hutter 2019).
    """
    groups = [
        {"params": [part], "weight_decay": config.l2 if is_regularised else 0.0}
        for part, is_regularised in weights.groups()
    ]
    lr = config.lr if config.lr is not None else DEFAULT_LR[config.optimizer]
    if weights.rows is not None:
        return AdamWithRows(groups, lr, weights.rows)
    match config.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=lr, fused=True)
        case "momentum":
            return torch.optim.SGD(groups, lr=lr, momentum=config.momentum, fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=lr, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=lr, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=lr)
        case "adagrad":
            # The tiny floor makes the first step lr * sign(g), as the formula has it.
            return torch.optim.Adagrad(groups, lr=lr, fused=not torch.cuda.is_available())


class Schedule:
    """Learning rate as a factor on the base rate, from the share of the training that is done."""

    def __init__(self, config: TrainingConfig):
        self.kind = config.schedule
        self.warmup = config.warmup
        self.ramp = config.dropout_ramp
        self.halvings = 0

    def noise(self, done: float) -> float:
        """Strength of all dropout: from a fifth to the whole over the ramp."""
        return min(1.0, 0.2 + 0.8 * done / self.ramp) if self.ramp else 1.0

    def factor(self, done: float, step_share: float = 0.0) -> float:
        """Factor at ``done`` in 0..1 of a step that is ``step_share`` of the training.

        A rise over the warm-up, whose last step has the whole rate, then the schedule.
        """
        if done + step_share < self.warmup:
            return max((done + step_share) / self.warmup, 1e-3)
        rest = min(1.0, max(0.0, done - self.warmup) / (1 - self.warmup))
        match self.kind:
            case "linear":
                return max(1 - rest, 1e-3)
            case "cosine":
                return max(0.5 * (1 + math.cos(math.pi * rest)), 1e-3)
            case "plateau":
                return 0.5**self.halvings
            case _:
                return 1.0

    def after_evaluation(self, improved: bool) -> None:
        """Halve the rate of ``plateau`` when the evaluation brought no improvement."""
        if self.kind == "plateau" and not improved:
            self.halvings += 1
