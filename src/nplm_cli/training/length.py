"""How long a training is: a number of steps, or what the clock leaves of a time budget.

A budget runs from the start of the program to the report, so the training ends early by a
``reserve``: the seconds that are expected of what follows the last step. All expectations come
from measurements (a few tokens before the first step, then each evaluation, checkpoint and step).
"""

import time
from collections import deque
from collections.abc import Callable

from nplm_cli.config import DEFAULT_EPOCHS, TrainingConfig, budget_seconds
from nplm_cli.training.progress import Progress

# Settings that end a training: one that is over goes on when they change.
LENGTHS = ("epochs", "steps", "budget", "patience")
# Under a budget an epoch ends without an evaluation that would take a larger share of the time
# since the last one.
EVALUATION_SHARE = 0.02
# What follows the last step besides evaluations: files, baselines, the report.
LEAST_RESERVE = 1.0
# Steps whose mean duration is that of the next one.
LAST_STEPS = 8


class Length:
    """The share of a training that is over, by steps or by the clock."""

    def __init__(
        self,
        config: TrainingConfig,
        steps_per_epoch: int,
        started: float,
        *,
        valid_tokens: int = 0,
        report_tokens: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ):
        """``started`` is the time of ``clock`` at which a budget began to run.

        An evaluation is of ``valid_tokens``; ``report_tokens`` more are evaluated for the report.
        """
        self.started, self.clock = started, clock
        self.budget = budget_seconds(config.budget) if config.budget else None
        epochs = config.epochs or (None if config.steps or self.budget else DEFAULT_EPOCHS)
        self.total_steps = config.steps or (epochs * steps_per_epoch if epochs else None)
        self.valid_tokens, self.report_tokens = valid_tokens, report_tokens
        # Whether the report has to evaluate the validation part once more.
        self.valid_again = False
        # Seconds of a budget that were over before the first step.
        self.began = 0.0
        self.seconds_a_token = self.save_seconds = 0.0
        self._steps: deque[float] = deque(maxlen=LAST_STEPS)
        # Share that was over when somebody asked last.
        self.furthest = 0.0

    @property
    def reason(self) -> str:
        """What a training has ended for when this is over."""
        return "budget" if self.budget else "length"

    @property
    def seconds(self) -> float:
        """Time since the training began."""
        return self.clock() - self.started

    @property
    def step_share(self) -> float:
        """Share of the training that a step is; 0 under a budget."""
        return 1 / self.total_steps if self.total_steps else 0.0

    @property
    def evaluation_seconds(self) -> float:
        """What an evaluation is expected to take."""
        return self.valid_tokens * self.seconds_a_token

    @property
    def tokens_to_follow(self) -> int:
        """Tokens that are evaluated after the last step."""
        return self.valid_tokens * (2 if self.valid_again else 1) + self.report_tokens

    @property
    def reserve(self) -> float:
        """Seconds of a budget that belong to what follows the last step."""
        if self.budget is None:
            return 0.0
        # A checkpoint, and the weights alone.
        saving = 2 * self.save_seconds
        return LEAST_RESERVE + self.tokens_to_follow * self.seconds_a_token + saving

    @property
    def is_tight(self) -> bool:
        """Whether a budget does not hold what follows it and as much training besides."""
        return self.budget is not None and self.reserve > (self.budget - self.began) / 2

    @property
    def training_ends(self) -> float:
        """When the training under a budget is over, in seconds since it began to run."""
        assert self.budget is not None
        # However short the budget, half of what reading the text left is for training.
        left = max(self.budget - self.began, 1e-9)
        return self.began + max(left - self.reserve, left / 2)

    @property
    def is_used_up(self) -> bool:
        """Whether a budget has no time left for another step."""
        return self.budget is not None and self.seconds >= self.training_ends

    @property
    def overrun(self) -> float:
        """Seconds by which everything is expected to end after a budget."""
        if self.budget is None:
            return 0.0
        return max(0.0, self.training_ends + self.reserve - self.budget)

    def is_late(self) -> bool:
        """Whether a budget has been over for a while."""
        return self.budget is not None and self.seconds > 1.1 * self.budget + LEAST_RESERVE

    def done(self, step: int) -> float:
        """Share of the training that is over after ``step`` steps.

        It never falls: an evaluation that was shorter than expected only lets it stand still.
        """
        if self.total_steps is not None:
            return step / self.total_steps
        share = (self.seconds - self.began) / (self.training_ends - self.began)
        self.furthest = max(self.furthest, min(share, 1.0))
        return self.furthest

    def is_over(self, step: int) -> bool:
        """Whether the training ends after ``step`` steps.

        Under a budget it does, too, where most of another step would be too late.
        """
        if self.done(step) >= 1:
            return True
        if self.budget is None or not self._steps:
            return False
        mean = sum(self._steps) / len(self._steps)
        return self.seconds + mean / 2 > self.training_ends

    def note_in(self, progress: Progress) -> None:
        """Put into a checkpoint's progress what ``take_up`` needs."""
        if progress.finished is None:  # evaluations and checkpoints are of a budget, too
            progress.seconds = self.seconds
        progress.furthest = self.furthest
        progress.seconds_a_token, progress.save_seconds = self.seconds_a_token, self.save_seconds

    def take_up(self, progress: Progress) -> None:
        """Go on where a checkpoint stands; the time since this process began counts."""
        self.started -= progress.seconds
        self.began, self.furthest = progress.began, progress.furthest
        self.seconds_a_token, self.save_seconds = progress.seconds_a_token, progress.save_seconds

    def note_step(self, seconds: float) -> None:
        """Take in how long a step took."""
        self._steps.append(seconds)

    def note_evaluation(self, tokens: int, seconds: float) -> None:
        """Take in how long an evaluation took."""
        self.seconds_a_token = seconds / max(tokens, 1)

    def has_time_to_evaluate(self) -> bool:
        """Whether an evaluation before the last one ends within the training's time."""
        if self.budget is None:
            return True
        return not self.is_tight and self.seconds + self._look_seconds < self.training_ends

    def worth_evaluating(self, seconds_since_last: float) -> bool:
        """Whether an evaluation at the end of an epoch costs little enough."""
        if self.budget is None:
            return True
        cheap = self._look_seconds <= EVALUATION_SHARE * seconds_since_last
        return cheap and self.has_time_to_evaluate()

    @property
    def _look_seconds(self) -> float:
        """An evaluation with what it writes: a checkpoint, and the weights when they are best."""
        return self.evaluation_seconds + 2 * self.save_seconds
