"""The training loop, the same for every architecture."""

import contextlib
import json
import math
import time
from collections.abc import Callable

import numpy as np
import torch

from nplm_cli import events
from nplm_cli.config import TrainingConfig
from nplm_cli.corpus.batches import Batch, TrainingBatches
from nplm_cli.corpus.shards import Part
from nplm_cli.errors import TrainingError
from nplm_cli.models.base import LanguageModel, State
from nplm_cli.training.averaging import WeightAverage
from nplm_cli.training.checkpoints import (
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from nplm_cli.training.evaluations import evaluation_record, time_a_few, timed_evaluation
from nplm_cli.training.length import LENGTHS, Length
from nplm_cli.training.messages import (
    converged_message,
    divergence_message,
    overrun_warning,
    step_event,
)
from nplm_cli.training.objective import Objective, start_biases
from nplm_cli.training.optimizers import Schedule, build_optimizer
from nplm_cli.training.progress import Progress
from nplm_cli.training.rows import in_rows
from nplm_cli.training.store import RunFiles
from nplm_cli.training.weights import FlatWeights

# A mean loss beyond this many nats a prediction (p < e^-1000) is no longer learning.
DIVERGED_NATS = 1000.0
# A checkpoint before the first step is smaller than the next by what the optimiser remembers.
FIRST_SAVE = 3


class Interrupted(KeyboardInterrupt):
    """The user stopped the training; the state is on disk."""


class Trainer:
    """Trains a model on one part, watches another, and keeps the best weights on disk."""

    def __init__(
        self,
        model: LanguageModel,
        train: Part,
        valid: Part | None,
        config: TrainingConfig,
        files: RunFiles,
        *,
        on_event: events.OnEvent = events.ignore,
        interrupted: Callable[[], bool] = lambda: False,
        started: float | None = None,
        dtype: torch.dtype = torch.float32,
        report_tokens: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ):
        """``started`` is the time of ``clock`` at which a budget began to run.

        ``dtype`` is what the model computes in while it is trained; ``report_tokens`` is how many
        tokens besides ``valid`` are evaluated afterwards: a budget leaves time for them.
        """
        self.model, self.valid, self.config, self.files = model, valid, config, files
        self.on_event, self.interrupted, self.clock = on_event, interrupted, clock
        self.batches = TrainingBatches(
            train, config.context, config.batch, config.bptt, config.seed
        )
        start_biases(model, train, config)
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        tables = in_rows(model.config, config, trained, model.embedding.num_embeddings)
        self.weights = FlatWeights(model, dtype, tables=tables, table_decay=config.l2)
        self.optimizer = build_optimizer(self.weights, config)
        self.average = WeightAverage(self.weights, config)
        self.generator = torch.Generator(model.embedding.weight.device).manual_seed(config.seed)
        self.base_lr = float(self.optimizer.param_groups[0]["lr"])
        self.schedule = Schedule(config)
        self._tensors = (self.weights, self.optimizer, self.average, self.generator)
        model.use_generator(self.generator)
        self.objective = Objective(model, train, config, self.generator, self.weights.lookup)
        self.progress = Progress()
        self.length = Length(
            config,
            self.batches.steps_per_epoch,
            clock() if started is None else started,
            valid_tokens=0 if valid is None else valid.predictions,
            report_tokens=report_tokens,
            clock=clock,
        )
        # Nats of the validation part under the best weights, where this process found them.
        self.best_nll_N: np.ndarray | None = None
        self._last_checkpoint = clock()
        self._interval_began = (clock(), 0)

    @property
    def precision(self) -> str:
        """What the model computes in while it is trained: ``fp32`` or ``bf16``."""
        return "bf16" if self.weights.dtype == torch.bfloat16 else "fp32"

    def resume(self) -> None:
        """Take up the last checkpoint; without one, start from the beginning."""
        if self.files.checkpoint.exists():
            self.progress, self.objective.state = self._load()
            if self.progress.best_step == self.progress.step > 0:
                self._save_weights()
            self.schedule.halvings = self.progress.halvings
            self.length.take_up(self.progress)
            self.length.valid_again = self.valid is not None and self.progress.best_step > 0
            self._interval_began = (self.clock(), self.progress.tokens)
        self.files.keep_metrics_up_to(self.progress.step)

    def reopen(self, *, lengthened: bool = True) -> None:
        """Let a finished training go on, because its length (``lengthened``) or patience changed.

        It is over where the new length is, with an evaluation of the steps that had none.
        """
        if lengthened:
            # At the higher rate of a longer schedule the loss first rises: patience starts anew.
            self.length.furthest, self.progress.full_since = 0.0, 0
            self.progress.reference_nats = None
        ended = not lengthened and self.progress.finished == self.length.reason
        if self.progress.step and (ended or self._done() >= 1):
            self.progress.finished = self.length.reason
            if self.progress.interval_predictions or not self.files.weights.exists():
                self._evaluate(over=True)
            else:
                self._save()
        else:
            self.progress.finished = None
            self.progress.evaluations_without_improvement = 0

    def fit(self) -> Progress:
        """Train to the end; the best weights are in ``files.weights`` and in the model.

        Raises TrainingError when the loss is no longer a number, Interrupted when the user
        stopped it; both leave a usable model and a checkpoint.
        """
        has_state = self.progress.step > 0 or self.files.checkpoint.exists()
        going_on = self.length.budget is not None and self.progress.finished is None
        if not has_state or going_on:  # a budget has to know how long it takes
            self._save()
        if going_on:
            self._plan()
        while self.progress.finished is None:
            self._epoch()
        self.weights.stay_exact()
        load_weights(self.files.weights, self.model)
        return self.progress

    def _epoch(self) -> None:
        progress = self.progress
        for step in self.batches.epoch(progress.epoch, progress.step_in_epoch):
            self._step(step)
            last_of_epoch = progress.step_in_epoch == self.batches.steps_per_epoch
            if last_of_epoch:
                progress.epoch += 1
                progress.step_in_epoch = 0
            over = self.length.is_over(progress.step)
            if over or self._is_due(last_of_epoch):
                self._evaluate(over)
            elif self.clock() - self._last_checkpoint > self.config.checkpoint_every:
                self._save()
            if progress.finished is not None:
                return
            if self.interrupted():
                self._interrupt()

    def _done(self) -> float:
        """Share of the training that is over."""
        return self.length.done(self.progress.step)

    @property
    def _by_training(self) -> bool:
        """Whether the training loss decides which weights are best."""
        return self.valid is None or self.config.stop_on == "train"

    def _plan(self) -> None:
        """See what follows the last step of a budget, and say so where it does not fit."""
        progress, length = self.progress, self.length
        part = self.batches.part if self.valid is None else self.valid
        length.note_evaluation(*time_a_few(self.average, part, self.config.context, self.clock))
        if not progress.step:
            progress.began = length.seconds
        length.began = progress.began
        if warning := overrun_warning(length, self.config):
            self.on_event(events.Message(warning, warning=True))

    def _is_due(self, last_of_epoch: bool) -> bool:
        """Whether the training is evaluated now, though it goes on."""
        if self.config.eval_every:
            due = self.progress.step % self.config.eval_every == 0
            return due and self.length.has_time_to_evaluate()
        since = self.clock() - self._interval_began[0]
        return last_of_epoch and self.length.worth_evaluating(since)

    def _step(self, step: list[Batch]) -> None:
        progress, model, began = self.progress, self.model, self.clock()
        if not progress.full_since and self.objective.takes_over(self._done()):
            progress.note_full_softmax(self._by_training)
        model.train()
        noise = self.schedule.noise(self._done())
        model.set_noise(noise)
        progress.interval_noise = min(progress.interval_noise, noise)
        lr = self.base_lr * self.schedule.factor(self._done(), self.length.step_share)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.weights.clear_gradients()
        predictions = sum(batch.predictions for batch in step)
        nats = 0.0
        for number, batch in enumerate(step):
            if number:
                self.weights.add_up()
            nats += self.objective.backward(batch, predictions, self._done())
        self.weights.collect_gradients()
        norm = self.weights.gradient_norm()
        mean = nats / predictions
        if progress.first_nats is None and math.isfinite(mean):
            progress.first_nats = mean
        if not math.isfinite(norm) or not mean < DIVERGED_NATS + 10 * (progress.first_nats or 0):
            self._diverged(mean, lr, norm)
        if self.config.clip and norm > self.config.clip:
            self.weights.scale_gradients(self.config.clip / norm)
        self.optimizer.step()
        if not self.weights.are_finite():
            self._diverged(mean, lr, norm)
        self.weights.publish()
        progress.step += 1
        self.average.update(self._done())
        progress.averaged = self.average.updates
        progress.step_in_epoch += 1
        progress.tokens += predictions
        progress.interval_nats += nats
        progress.interval_predictions += predictions
        progress.seconds = self.length.seconds
        self.length.note_step(self.clock() - began)
        self.on_event(step_event(progress, self._done(), self._speed()))

    def _speed(self) -> float:
        began, tokens = self._interval_began
        return (self.progress.tokens - tokens) / max(self.clock() - began, 1e-9)

    def _evaluate(self, over: bool) -> None:
        progress, config = self.progress, self.config
        speed, lr, nll_N = self._speed(), float(self.optimizer.param_groups[0]["lr"]), None
        if self.valid is not None:
            nll_N, seconds = timed_evaluation(self.average, self.valid, config.context, self.clock)
            self.length.note_evaluation(self.valid.predictions, seconds)
            if not math.isfinite(nll_N.sum()):
                self._diverged(float(nll_N.mean()), lr, self.weights.gradient_norm())
        record = evaluation_record(
            progress, self.batches.steps_per_epoch, self.valid, nll_N, lr, speed
        )
        watched = record["train_nats" if self._by_training else "valid_nats"]
        improved = progress.note_evaluation(watched, config, self._by_training)
        self.schedule.after_evaluation(improved)
        progress.halvings = self.schedule.halvings
        record["best"] = is_best = progress.best_step == progress.step
        if over or self.length.is_over(progress.step):
            progress.finished = self.length.reason
        elif progress.out_of_patience(config):
            progress.finished = "converged"
        self.files.add_metrics(record)
        self._save()
        if is_best:  # after the checkpoint, from which ``resume`` can repeat this write
            self._save_weights()
            self.best_nll_N, self.length.valid_again = nll_N, False
        self.on_event(events.Evaluated(record))
        if progress.finished == "converged":
            self.on_event(events.Message(converged_message(progress, config, self._by_training)))
        self._interval_began = (self.clock(), progress.tokens)

    def _save(self) -> None:
        began = self.clock()
        self.length.note_in(self.progress)
        self.progress.lengths = json.dumps({n: getattr(self.config, n) for n in LENGTHS})
        state = self.objective.state if self.config.context == "stream" else None
        save_checkpoint(self.files.checkpoint, *self._tensors, state, self.progress)
        self._last_checkpoint = self.clock()
        seconds = self._last_checkpoint - began
        self.length.save_seconds = seconds if self.progress.step else FIRST_SAVE * seconds

    def _load(self) -> tuple[Progress, State | None]:
        return load_checkpoint(self.files.checkpoint, *self._tensors)

    def _save_weights(self) -> None:
        with self.average.in_place():
            save_weights(self.files.weights, self.model)

    def _interrupt(self) -> None:
        """Leave a usable model and a checkpoint behind."""
        self._save()
        if not self.files.weights.exists():
            self._save_weights()
        raise Interrupted

    def _diverged(self, mean: float, lr: float, norm: float) -> None:
        progress = self.progress
        if not self.files.weights.exists():
            with contextlib.suppress(Exception):
                self._load()
                self._save_weights()
        raise TrainingError(
            divergence_message(
                progress, self.config, self.base_lr, mean, lr, norm, self.files.checkpoint
            )
        )
