"""The training loop, the same for every architecture."""

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from nplm_cli import events
from nplm_cli.config import DEFAULT_LR, TrainingConfig
from nplm_cli.corpus.batches import Batch, TrainingBatches
from nplm_cli.corpus.shards import Part, beginning, count_ids
from nplm_cli.errors import TrainingError
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.models.base import LanguageModel, State
from nplm_cli.training.averaging import WeightAverage
from nplm_cli.training.checkpoints import (
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from nplm_cli.training.length import Length
from nplm_cli.training.losses import FullLoss, activation_penalty
from nplm_cli.training.optimizers import Schedule, build_optimizer
from nplm_cli.training.progress import Progress
from nplm_cli.training.rows import in_rows
from nplm_cli.training.sampled_losses import (
    NceLoss,
    SampledLoss,
    sampled_loss,
    start_at_shares,
)
from nplm_cli.training.store import RunFiles
from nplm_cli.training.weights import FlatWeights

# A mean loss beyond this many nats a prediction (p < e^-1000) is no longer learning.
DIVERGED_NATS = 1000.0
# Tokens whose evaluation is timed to estimate that of all.
TRIAL_TOKENS = 2_000


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
    ):
        """``started`` is the monotonic clock's time at which a budget began to run.

        ``dtype`` is what the model computes in while it is trained; ``report_tokens`` is how many
        tokens besides ``valid`` are evaluated afterwards: a budget leaves time for them.
        """
        self.model, self.valid, self.config, self.files = model, valid, config, files
        self.on_event, self.interrupted = on_event, interrupted
        self.device = model.embedding.weight.device
        self.batches = TrainingBatches(
            train, config.context, config.batch, config.bptt, config.seed
        )
        words = model.embedding.num_embeddings
        counts_V = np.zeros(words, np.int64)
        if config.loss != "full":
            counts_V = count_ids(train.ids_N, words)
        if config.loss == "nce":
            start_at_shares(model, counts_V)
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        tables = in_rows(model.config, config, trained, words)
        self.weights = FlatWeights(model, dtype, tables=tables, table_decay=config.l2)
        self.optimizer = build_optimizer(self.weights, config)
        self.average = WeightAverage(self.weights, config)
        self.base_lr = float(self.optimizer.param_groups[0]["lr"])
        self.schedule = Schedule(config)
        self.generator = torch.Generator(self.device).manual_seed(config.seed)
        self.full_loss = FullLoss(model)
        lookup = self.weights.lookup
        self.sampled_loss = sampled_loss(model, counts_V, config, self.generator, lookup)
        model.use_generator(self.generator)
        self.progress = Progress()
        self.state: State | None = None
        self.length = Length(
            config,
            self.batches.steps_per_epoch,
            time.monotonic() if started is None else started,
        )
        self.report_tokens = report_tokens
        # Nats of the validation part under the best weights, where this process found them.
        self.best_nll_N: np.ndarray | None = None
        self._save_seconds = 0.0
        self._last_checkpoint = time.monotonic()
        self._interval_began = (time.monotonic(), 0)

    @property
    def precision(self) -> str:
        """What the model computes in while it is trained: ``fp32`` or ``bf16``."""
        return "bf16" if self.weights.dtype == torch.bfloat16 else "fp32"

    def resume(self) -> None:
        """Take up the last checkpoint; without one, start from the beginning."""
        if self.files.checkpoint.exists():
            self.progress, self.state = load_checkpoint(
                self.files.checkpoint, self.weights, self.optimizer, self.average, self.generator
            )
            if self.progress.best_step == self.progress.step > 0:
                self._save_weights()
            self.schedule.halvings = self.progress.halvings
            self.length.started = time.monotonic() - self.progress.seconds
            self._interval_began = (time.monotonic(), self.progress.tokens)
        self.files.keep_metrics_up_to(self.progress.step)

    def reopen(self) -> None:
        """Let a finished training go on, because its length or patience was changed."""
        if self._done() >= 1:
            self.progress.finished = "length"
            if not self.files.weights.exists():
                self._evaluate(over=True)
        else:
            self.progress.finished = None
            self.progress.evaluations_without_improvement = 0

    def fit(self) -> Progress:
        """Train to the end; the best weights are in ``files.weights`` and in the model.

        Raises TrainingError when the loss is no longer a number, Interrupted when the user
        stopped it; both leave a usable model and a checkpoint.
        """
        if not self.progress.step and not self.files.checkpoint.exists():
            self._save()
        if self.length.budget and self.progress.finished is None:
            self._plan()
            if not self.progress.step:
                self.progress.began = self.length.seconds
            self.length.began = self.progress.began
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
            every = self.config.eval_every
            over = self._done() >= 1
            if over or (progress.step % every == 0 if every else last_of_epoch and self._worth()):
                self._evaluate(over)
            elif time.monotonic() - self._last_checkpoint > self.config.checkpoint_every:
                self._save()
            if progress.finished is not None:
                return
            if self.interrupted():
                self._interrupt()

    def _done(self) -> float:
        """Share of the training that is over."""
        return self.length.done(self.progress.step)

    def _plan(self) -> None:
        """Estimate what the evaluations of a budget take, from one of a few tokens."""
        part = self.batches.part if self.valid is None else self.valid
        few = beginning(part, TRIAL_TOKENS)
        with self.average.in_place():
            # The first call sets things up.
            evaluate(self.model, beginning(part, 1), self.config.context)
            began = time.monotonic()
            evaluate(self.model, few, self.config.context)
            seconds_a_token = (time.monotonic() - began) / few.predictions
        self.length.expect(
            seconds_a_token * (0 if self.valid is None else self.valid.predictions),
            seconds_a_token * self.report_tokens,
            self._save_seconds,
        )

    def _worth(self) -> bool:
        return self.length.worth_evaluating(time.monotonic() - self._interval_began[0])

    def _step(self, step: list[Batch]) -> None:
        progress, model = self.progress, self.model
        model.train()
        model.set_noise(self.schedule.noise(self._done()))
        lr = self.base_lr * self.schedule.factor(self._done(), self.length.step_share)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.weights.clear_gradients()
        predictions = sum(batch.predictions for batch in step)
        nats = 0.0
        for batch in step:
            nats += self._backward(batch, predictions)
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
        self.on_event(
            events.Progress(
                "training",
                self._done(),
                1.0,
                f"step {progress.step}, train ppl "
                f"{math.exp(min(progress.interval_nats / progress.interval_predictions, 700)):.1f}"
                f", {self._speed():,.0f} tokens/s",
            )
        )

    def _backward(self, batch: Batch, predictions: int) -> float:
        """Add the gradient of the mean loss over a step; returns the batch's nats in all."""
        model = self.model
        state = model.carried_state(self.state, self._to_device(batch.fresh_B))
        hidden_BTD, state = model(self._to_device(batch.ids_BT), state)
        self.state = tuple(tensor.detach() for tensor in state)
        hidden_ND = hidden_BTD.flatten(0, 1)
        counted = np.flatnonzero(batch.targets_BT >= 0)
        if len(counted) < len(hidden_ND):
            hidden_ND = hidden_ND.index_select(0, self._to_device(counted))
        targets_N = self._to_device(batch.targets_BT.ravel()[counted])
        total = self._loss()(hidden_ND, targets_N)
        objective = total / predictions
        if self.config.ar or self.config.tar:
            states = model.last_states()
            counted_BT = self._to_device(batch.targets_BT >= 0)
            penalty = activation_penalty(*states, counted_BT, self.config.ar, self.config.tar)
            objective = objective + penalty * (batch.predictions / predictions)
        objective.backward()
        return float(total.detach())

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        """Copy to the device; from pinned memory a GPU fetches it while it computes."""
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _loss(self) -> FullLoss | SampledLoss | NceLoss:
        """What trains now: a loss over samples until the full softmax takes over."""
        share = self.config.full_from
        # A budget may run out within a step: 1 stands for never.
        if self.sampled_loss is None or (share < 1 and self._done() >= share):
            return self.full_loss
        return self.sampled_loss

    def _speed(self) -> float:
        began, tokens = self._interval_began
        return (self.progress.tokens - tokens) / max(time.monotonic() - began, 1e-9)

    def _evaluate(self, over: bool) -> None:
        progress, config = self.progress, self.config
        speed = self._speed()
        train_nats = progress.interval_nats / max(progress.interval_predictions, 1)
        record: dict[str, Any] = {
            "step": progress.step,
            "epoch": progress.epoch + progress.step_in_epoch / self.batches.steps_per_epoch,
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 3),
            "train_nats": train_nats,
            "train_ppl": math.exp(min(train_nats, 700)),
            "valid_nats": None,
            "valid_ppl": None,
            "valid_oov_share": None,
            "lr": self.optimizer.param_groups[0]["lr"],
            "tokens_per_second": round(speed, 1),
        }
        watched, nll_N = train_nats, None
        if self.valid is not None:
            with self.average.in_place():
                nll_N = evaluate(self.model, self.valid, config.context)
            if not math.isfinite(nll_N.sum()):
                self._diverged(float(nll_N.mean()), record["lr"], self.weights.gradient_norm())
            record["valid_nats"] = float(nll_N.mean())
            record["valid_ppl"] = math.exp(min(record["valid_nats"], 700))
            record["valid_oov_share"] = self.valid.oov() / max(self.valid.words, 1)
            if config.stop_on == "valid":
                watched = record["valid_nats"]
        self.schedule.after_evaluation(progress.note_evaluation(watched, config))
        progress.halvings = self.schedule.halvings
        record["best"] = is_best = progress.best_step == progress.step
        if over:
            progress.finished = "budget" if self.length.budget else "length"
        elif progress.out_of_patience(config):
            progress.finished = "converged"
        self.files.add_metrics(record)
        self._save()
        if is_best:  # after the checkpoint, from which ``resume`` can repeat this write
            self._save_weights()
            self.best_nll_N = nll_N
        self.on_event(events.Evaluated(record))
        self._interval_began = (time.monotonic(), progress.tokens)

    def _save(self) -> None:
        began = time.monotonic()
        save_checkpoint(
            self.files.checkpoint,
            self.weights,
            self.optimizer,
            self.average,
            self.generator,
            self.state if self.config.context == "stream" else None,
            self.progress,
        )
        self._last_checkpoint = time.monotonic()
        self._save_seconds = self._last_checkpoint - began

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
                load_checkpoint(
                    self.files.checkpoint,
                    self.weights,
                    self.optimizer,
                    self.average,
                    self.generator,
                )
                self._save_weights()
        lower = min(self.base_lr / 2, DEFAULT_LR[self.config.optimizer])
        clip = "a smaller --clip" if self.config.clip else "--clip 5"
        raise TrainingError(
            f"training diverged at step {progress.step + 1} (epoch {progress.epoch + 1}, batch "
            f"{progress.step_in_epoch + 1}): loss {mean:.6g} nats, learning rate {lr:.3g}, "
            f"gradient norm {norm:.3g}; the last good state is in {self.files.checkpoint}; "
            f"start anew with --force and --lr {lower:.3g} or {clip}"
        )
