"""Training step by step: nplm's trainer and the plain loop, timed and profiled alike."""

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

# The profiler's own messages would stand among the figures.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

import torch
from peers import PlainLstm, PlainStream, PlainWindow
from torch.profiler import ProfilerActivity, profile

from nplm_cli.config import Config
from nplm_cli.corpus.shards import Part
from nplm_cli.models import build
from nplm_cli.training.loop import Trainer
from nplm_cli.training.precision import DTYPES, pick_precision
from nplm_cli.training.store import RunFiles

STREAM: dict[str, Any] = {
    "dim": 256, "hidden": 512, "tie": True, "context": "stream", "lr": 0.002, "clip": 0.5,
    "schedule": "constant", "warmup": 0.0, "steps": 1_000_000,
}  # fmt: skip
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "lstm": {
        "arch": "lstm", "batch": 20, "bptt": 48, "dropout_embedding": 0.25,
        "dropout_output": 0.5, "word_dropout": 0.1, "weight_drop": 0.2,
    },
    "ffn": {
        "arch": "ffn", "order": 10, "layers": 2, "residual": True, "activation": "gelu",
        "batch": 16, "bptt": 64, "dropout": 0.3,
    },
}  # fmt: skip
TITLES = {"lstm": "LSTM 1 x 512 d 256", "ffn": "FFN n 10 d 256 h 512"}
# Operations that are matrix products; the fused LSTM's gates are counted with its products.
PRODUCTS = (
    "aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm",
    "aten::mkldnn_rnn_layer", "aten::mkldnn_rnn_layer_backward",
)  # fmt: skip


Clock = Callable[[], float]


class Training(Protocol):
    """A training that goes one step on when asked."""

    model: torch.nn.Module

    def step(self) -> int:
        """Take a step; returns the number of predictions in it."""


class Stepper:
    """nplm's trainer without its evaluations and files."""

    def __init__(self, name: str, part: Part, vocabulary: int, folder: Path, **settings: Any):
        """``name`` is a key of ``ARCHITECTURES``, ``settings`` are options of nplm train."""
        config = Config().replace(**{**STREAM, **ARCHITECTURES[name], **settings})
        self.precision, _ = pick_precision(config, torch.device("cpu"), vocabulary)
        self.model = build(config.model, vocabulary, config.training.dropout_rates)
        self.model.init_weights(torch.Generator().manual_seed(1))
        self.trainer = Trainer(
            self.model, part, None, config.training, RunFiles(folder),
            dtype=DTYPES[self.precision],
        )  # fmt: skip
        epochs = map(self.trainer.batches.epoch, itertools.count())
        self._batches = itertools.chain.from_iterable(epochs)

    def step(self) -> int:
        """Take a step of the trainer."""
        batches = next(self._batches)
        self.trainer._step(batches)
        return sum(batch.predictions for batch in batches)


def plain(name: str, part: Part, vocabulary: int) -> PlainStream:
    """The plain PyTorch loop of the same architecture."""
    settings = {**STREAM, **ARCHITECTURES[name]}
    dim, hidden = settings["dim"], settings["hidden"]
    torch.manual_seed(1)
    model: PlainLstm | PlainWindow = (
        PlainLstm(vocabulary, dim, hidden)
        if name == "lstm"
        else PlainWindow(vocabulary, settings["order"], dim, hidden)
    )
    return PlainStream(model, part.ids_N, settings["batch"], settings["bptt"], settings["clip"])


def multiplied_weights(model: torch.nn.Module) -> int:
    """Weights that each prediction multiplies: every matrix, as the word vectors are tied."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.ndim == 2)


def flop(model: torch.nn.Module) -> int:
    """Floating-point operations of a training step a token.

    2 a multiplied weight forwards, 4 backwards: for the input's gradient and the weight's.
    """
    return 6 * multiplied_weights(model)


def tokens_a_second(
    training: Training, seconds: float, clock: Clock = time.perf_counter
) -> Callable[[], float]:
    """A side of a comparison: steps for so many seconds, two at least."""

    def measured() -> float:
        tokens, steps, began = 0, 0, clock()
        while steps < 2 or clock() - began < seconds:
            tokens += training.step()
            steps += 1
        return tokens / (clock() - began)

    return measured


class Operation(NamedTuple):
    """What a step spends in one kind of operation, those that it calls not counted."""

    name: str
    calls: float
    seconds: float


class Profile(NamedTuple):
    """Operations of a step, the costliest first, beside the whole of it."""

    operations: list[Operation]
    seconds: float
    predictions: int


def profiled(training: Training, steps: int, clock: Clock = time.perf_counter) -> Profile:
    """Profile some steps; figures are those of one step, in the seconds of ``clock``."""
    predictions = 0
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
        began, wall_began = clock(), time.perf_counter()
        for _ in range(steps):
            predictions += training.step()
        seconds, wall = clock() - began, time.perf_counter() - wall_began
    scale = seconds / wall / 1e6 / steps
    found = [
        Operation(event.key, event.count / steps, event.self_cpu_time_total * scale)
        for event in profiler.key_averages()
    ]
    found.sort(key=lambda operation: -operation.seconds)
    return Profile(found, seconds / steps, predictions // steps)


def product_gflops(training: Training, clock: Clock = time.perf_counter) -> Callable[[], float]:
    """A side of a comparison: GFLOP/s within the matrix products of two steps."""

    def measured() -> float:
        profile = profiled(training, 2, clock)
        seconds = sum(o.seconds for o in profile.operations if o.name in PRODUCTS)
        return flop(training.model) * profile.predictions / seconds / 1e9

    return measured
