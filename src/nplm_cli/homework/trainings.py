"""All trainings of a homework, several at a time, each in a process of its own.

One thread a process: two small models side by side use two cores better than one model does, and
a model's bytes do not depend on how many run beside it.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from nplm_cli import events
from nplm_cli.artifacts import is_figure, read_json
from nplm_cli.errors import ArtifactError, ConfigError, InputError, NplmError, TrainingError
from nplm_cli.homework.plan import PlannedRun

# Seconds that workers have to leave checkpoints when they are told to stop.
STOP_PATIENCE = 60.0


class Stopped(KeyboardInterrupt):
    """The user stopped the homework; the trainings left checkpoints."""


@dataclass
class Worker:
    """A process that trains one run; ``share`` of it is over."""

    run: PlannedRun
    process: subprocess.Popen[bytes]
    stderr: IO[bytes]
    began: float
    share_at_start: float | None = None
    share: float = 0.0
    detail: str = ""
    seconds: float | None = None
    failure: NplmError | None = None

    def stop(self) -> None:
        """Ask it to leave a checkpoint and end."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def seconds_left(self, now: float) -> float | None:
        """Estimate of the time it still needs; None when it has not come far enough to tell."""
        began = self.share_at_start
        if began is None or self.share - began < 0.02:
            return None
        return (now - self.began) * (1 - self.share) / (self.share - began)


@dataclass
class Timing:
    """What trainings of an architecture took, to tell how long the others will."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, arch: str, seconds: float) -> None:
        """Note a training's whole time."""
        self.seconds.setdefault(arch, []).append(seconds)

    def expected(self, arch: str) -> float | None:
        """Mean time of this architecture's trainings, or of all; None before the first."""
        known = self.seconds.get(arch) or [s for all_of in self.seconds.values() for s in all_of]
        return sum(known) / len(known) if known else None


def train_all(
    runs: Sequence[PlannedRun],
    workers: int,
    *,
    device: str = "auto",
    on_event: events.OnEvent = events.ignore,
    interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Train (or go on with) all runs, which must be prepared; finished ones are left alone.

    Raises TrainingError (or what the training raised) when one fails, after the others have left
    checkpoints, and Stopped when the user interrupts; a second interruption kills the workers.
    """
    timing = Timing()
    waiting = []
    for run in runs:
        if _is_finished(run.folder):
            timing.add(run.arch, _trained_seconds(run.folder))
        else:
            waiting.append(run)
    finished = len(runs) - len(waiting)
    running: list[Worker] = []
    inbox: queue.Queue[tuple[Worker, dict[str, Any] | None]] = queue.Queue()
    began = time.monotonic()
    patience = STOP_PATIENCE
    try:
        while waiting or running:
            if interrupted():
                raise Stopped
            while waiting and len(running) < workers:
                running.append(_start(waiting.pop(0), device, inbox))
            try:
                worker, record = inbox.get(timeout=0.2)
            except queue.Empty:
                continue
            if record is not None:
                _take_in(worker, record, on_event)
            else:
                _check_ended(worker)
                running.remove(worker)
                finished += 1
                timing.add(worker.run.arch, worker.seconds or time.monotonic() - worker.began)
                on_event(events.Message(f"{_title(worker)} trained: {worker.detail}"))
            left = _seconds_left(waiting, running, workers, timing)
            elapsed = time.monotonic() - began
            on_event(
                events.Progress(
                    "models",
                    finished + sum(worker.share for worker in running),
                    len(runs),
                    f"{finished} of {len(runs)} trained"
                    + "".join(f"; {_title(w)}: {w.detail or 'starting'}" for w in running),
                    seconds_left=left if elapsed > 5 else None,
                )
            )
    except Stopped:
        raise
    except KeyboardInterrupt:
        if interrupted():  # the first one waited to be asked for, this is the second
            patience = 0.0
        raise
    finally:
        _stop_all(running, patience)


def _is_finished(folder: Path) -> bool:
    return all((folder / name).exists() for name in ("report.json", "model.safetensors"))


def _trained_seconds(folder: Path) -> float:
    try:
        seconds = read_json(folder / "report.json")["training"]["seconds"]
    except (ArtifactError, KeyError, TypeError):
        return 0.0
    return float(seconds) if is_figure(seconds) else 0.0


def _title(worker: Worker) -> str:
    second = ", second corpus" if worker.run.corpus == "second" else ""
    return f"{worker.run.arch} seed {worker.run.seed}{second}"


def _start(run: PlannedRun, device: str, inbox: "queue.Queue[Any]") -> Worker:
    stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed when the process has ended)
    changes = {"device": device, "checkpoint_every": run.config.training.checkpoint_every}
    # -P: the user's folder may hold a random.py or numpy.py, which is not to be executed.
    command = [sys.executable, "-P", "-m", "nplm_cli.homework.worker"]
    process = subprocess.Popen(
        [*command, str(run.folder), json.dumps(changes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C is for the parent, which tells the others
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    worker = Worker(run, process, stderr, time.monotonic())

    def listen() -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                try:
                    inbox.put((worker, json.loads(line)))
                except ValueError:
                    continue  # a line cut short by a kill
        inbox.put((worker, None))

    threading.Thread(target=listen, daemon=True).start()
    return worker


def _take_in(worker: Worker, record: dict[str, Any], on_event: events.OnEvent) -> None:
    name = _title(worker)
    match record["what"]:
        case "progress":
            if worker.share_at_start is None:
                worker.share_at_start, worker.began = record["share"], time.monotonic()
            worker.share = min(record["share"], 1.0)
        case "evaluated":
            figures = record["record"]
            ppl = figures["valid_ppl"] or figures["train_ppl"]
            worker.detail = f"epoch {figures['epoch']:.3g}, ppl {ppl:.1f}"
        case "warning":
            on_event(events.Message(f"{name}: {record['text']}", warning=True))
        case "failed":
            kinds = {2: InputError}
            text = f"{name}: {record['text']}"
            worker.failure = kinds.get(record["code"], TrainingError)(text)
        case "done":
            worker.seconds = record["seconds"]


def _check_ended(worker: Worker) -> None:
    """Raise what made the process end before its training was over."""
    worker.stop()
    code = worker.process.wait()
    with worker.stderr:
        if worker.failure is not None:
            raise worker.failure
        if code == 0:
            return
        worker.stderr.seek(0)
        said = worker.stderr.read().decode("utf-8", "replace").strip().splitlines()
    name = _title(worker)
    if code == -9:
        raise TrainingError(
            f"{name}: its process was killed, as the system does when memory runs out; the same "
            "command goes on, --workers 1 needs less memory"
        )
    raise TrainingError(
        f"{name}: its process ended with code {code}: {said[-1] if said else 'no message'}; "
        "the same command goes on"
    )


def _seconds_left(
    waiting: Sequence[PlannedRun], running: Sequence[Worker], workers: int, timing: Timing
) -> float | None:
    """Time until all are trained: each next run goes to the worker that is free first."""
    now = time.monotonic()
    free_at = []
    for worker in running:
        left = worker.seconds_left(now)
        if left is None:
            expected = timing.expected(worker.run.arch)
            if expected is None:
                return None
            left = max(expected * (1 - worker.share), 0.0)
        free_at.append(left)
    whole = {w.run.arch: (now - w.began) + t for w, t in zip(running, free_at, strict=True)}
    free_at += [0.0] * (workers - len(free_at))
    for run in waiting:
        known = run.arch in timing.seconds
        expected = timing.expected(run.arch) if known else whole.get(run.arch)
        if expected is None:
            expected = timing.expected(run.arch) or max(whole.values(), default=0.0)
        earliest = min(range(len(free_at)), key=free_at.__getitem__)
        free_at[earliest] += expected
    return max(free_at, default=0.0)


def _stop_all(running: Sequence[Worker], patience: float) -> None:
    """Let all leave checkpoints; kill who has not after ``patience`` seconds, or at Ctrl-C."""
    deadline = time.monotonic() + patience
    try:
        for worker in running:
            worker.stop()
        for worker in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(deadline - time.monotonic(), 0))
    finally:
        for worker in running:
            worker.process.kill()  # nothing happens to one that has ended
        for worker in running:
            worker.process.wait()
            worker.stderr.close()


def worker_count(asked: int | None, cores: int, runs: int, on_gpu: bool) -> int:
    """How many trainings run at a time. Raises ConfigError for more than a GPU holds."""
    if asked is not None and asked < 1:
        raise ConfigError(f"--workers {asked}: expected at least 1")
    return max(1, min(asked or (1 if on_gpu else cores), runs))
