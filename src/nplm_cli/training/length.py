"""How long a training is: a number of steps, or what the clock leaves of a time budget."""

import time

from nplm_cli.config import DEFAULT_EPOCHS, TrainingConfig, budget_seconds

# Under a budget an epoch ends without an evaluation that would take a larger share of the time
# since the last one.
EVALUATION_SHARE = 0.02
# What follows the last step besides evaluations: files, baselines, the report.
LEAST_RESERVE = 1.0


class Length:
    """The share of a training that is over, by steps or by the clock."""

    def __init__(self, config: TrainingConfig, steps_per_epoch: int, started: float):
        """``started`` is the monotonic clock's time at which a budget began to run."""
        self.started = started
        self.budget = budget_seconds(config.budget) if config.budget else None
        epochs = config.epochs or (None if config.steps or self.budget else DEFAULT_EPOCHS)
        self.total_steps = config.steps or (epochs * steps_per_epoch if epochs else None)
        # Seconds of a budget that were over before the first step ...
        self.began = 0.0
        # ... and seconds that belong to what follows the last one.
        self.reserve = LEAST_RESERVE if self.budget else 0.0
        self.evaluation_seconds = 0.0

    @property
    def seconds(self) -> float:
        """Time since the training began."""
        return time.monotonic() - self.started

    @property
    def step_share(self) -> float:
        """Share of the training that a step is; 0 under a budget."""
        return 1 / self.total_steps if self.total_steps else 0.0

    def done(self, step: int) -> float:
        """Share of the training that is over after ``step`` steps."""
        if self.total_steps is not None:
            return step / self.total_steps
        assert self.budget is not None
        # However short the budget, half of what reading the text left is for training.
        left = max(self.budget - self.began, 1e-9)
        return (self.seconds - self.began) / max(left - self.reserve, left / 2)

    def expect(self, evaluation_seconds: float, report_seconds: float, save_seconds: float) -> None:
        """Keep time for what follows the last step; all are estimates."""
        self.evaluation_seconds = evaluation_seconds
        self.reserve = LEAST_RESERVE + evaluation_seconds + report_seconds + 2 * save_seconds

    def worth_evaluating(self, seconds_since_last: float) -> bool:
        """Whether an evaluation at the end of an epoch costs little enough."""
        if self.budget is None:
            return True
        return self.evaluation_seconds <= EVALUATION_SHARE * seconds_since_last
