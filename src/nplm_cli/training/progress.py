"""Where a training stands, and when it is over."""

import json
from dataclasses import dataclass, fields

from nplm_cli.artifacts import is_count, is_figure
from nplm_cli.config import TrainingConfig


@dataclass
class Progress:
    """All that the next step depends on besides tensors."""

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    tokens: int = 0
    seconds: float = 0.0
    # Of ``Length``: when the first step of a budget was, what share of it is over at least, and
    # what evaluations and checkpoints take.
    began: float = 0.0
    furthest: float = 0.0
    seconds_a_token: float = 0.0
    save_seconds: float = 0.0
    best_nats: float | None = None
    best_step: int = 0
    evaluations_without_improvement: int = 0
    halvings: int = 0
    averaged: int = 0
    # Steps that were over when the full softmax took over from samples, and 1; 0: it has not.
    full_since: int = 0
    # Since the last evaluation: training loss, and the least strength of the noise under it.
    interval_nats: float = 0.0
    interval_predictions: int = 0
    interval_noise: float = 1.0
    reference_nats: float | None = None
    first_nats: float | None = None
    finished: str | None = None
    # The settings of its length under which it got this far (JSON).
    lengths: str | None = None

    def check(self) -> None:
        """Raise ValueError unless counts are counts and figures are figures."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "finished":
                good = value in (None, "length", "budget", "converged")
            elif field.name == "lengths":
                good = value is None or isinstance(json.loads(value), dict)
            elif field.type in (int, "int"):
                good = is_count(value)
            else:
                good = (value is None and field.default is None) or is_figure(value)
            if not good:
                raise ValueError(f"{field.name} is {value!r}")

    def changed_lengths(self, config: TrainingConfig) -> set[str]:
        """Names of the settings of its length that are others in ``config``."""
        before = {} if self.lengths is None else json.loads(self.lengths)
        return {name for name, value in before.items() if getattr(config, name, value) != value}

    def note_evaluation(self, watched: float, config: TrainingConfig, by_training: bool) -> bool:
        """Take in an evaluation of the watched loss (nats); returns whether it improved.

        ``best_step`` becomes this step when it is the best so far. Patience measures from the last
        improvement that counted, so that a creep is seen. While the noise rises, each training
        loss (``by_training``) is lower than the next can be: none of them is compared.
        """
        if self.best_nats is None or watched < self.best_nats:
            self.best_nats, self.best_step = watched, self.step
        improved = self.reference_nats is None or watched < self.reference_nats - config.tolerance
        if improved:
            self.reference_nats = watched
            self.evaluations_without_improvement = 0
        else:
            self.evaluations_without_improvement += 1
        if by_training and self.interval_noise < 1:
            self._watch_anew()
        self._begin_interval()
        return improved

    def note_full_softmax(self, by_training: bool) -> None:
        """Say that the full softmax trains from here on.

        Its loss is not to be compared with an estimate from samples: a watched training loss
        (``by_training``) is watched anew.
        """
        self.full_since = self.step + 1
        self._begin_interval()
        if by_training:
            self._watch_anew()

    def _begin_interval(self) -> None:
        self.interval_nats, self.interval_predictions, self.interval_noise = 0.0, 0, 1.0

    def _watch_anew(self) -> None:
        self.best_nats = self.reference_nats = None
        self.evaluations_without_improvement = 0

    def out_of_patience(self, config: TrainingConfig) -> bool:
        """Whether too many evaluations in a row brought nothing."""
        return bool(config.patience) and self.evaluations_without_improvement >= config.patience
