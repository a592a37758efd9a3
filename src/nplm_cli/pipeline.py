"""The stages in a row: text -> parts -> baseline -> training -> ledger, resumable.

A run is prepared in a folder beside its final place and moved there when it is complete enough to
be resumed, so that an input error leaves nothing behind.
"""

import dataclasses
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nplm_cli import __version__, events
from nplm_cli.artifacts import (
    FORMAT_VERSION,
    TEMPORARY_SUFFIX,
    remove_stale_temporaries,
    write_json,
    write_tensors,
)
from nplm_cli.config import DEFAULT_EPOCHS, DEFAULT_LR, Config
from nplm_cli.corpus.preparation import DATA_FOLDER, Sources, check_sources, prepare
from nplm_cli.corpus.shards import Part, open_parts
from nplm_cli.errors import ConfigError, InputError
from nplm_cli.locking import exclusive
from nplm_cli.measure import part_ledger
from nplm_cli.ngram import NgramModel
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer

if TYPE_CHECKING:
    from nplm_cli.models.base import LanguageModel
    from nplm_cli.training.loop import Trainer


def train(
    sources: Sources,
    folder: Path,
    config: Config,
    *,
    force: bool = False,
    argv: Sequence[str] = (),
    on_event: events.OnEvent = events.ignore,
    interrupted: Callable[[], bool] = lambda: False,
    started: float | None = None,
) -> dict[str, Any]:
    """Train a model from text and return its report; everything is in ``folder`` afterwards.

    Raises ConfigError when ``folder`` exists and neither is empty nor may be replaced
    (``force``), InputError for the sources, TrainingError while training.
    """
    started = time.monotonic() if started is None else started
    folder = folder.resolve()
    if folder == Path.cwd():
        raise ConfigError(f"{folder} is where you stand: name a new directory for the run")
    config = _resolved(config)
    with exclusive(folder):
        _restore_old(folder)
        _check_target(folder, force)
        network = _prepare_run(sources, folder, config, argv, on_event)
        run, parts, trainer = Run(folder), open_parts(folder / DATA_FOLDER), None
        if network is not None:
            from nplm_cli.training.session import open_trainer

            trainer = open_trainer(run, network, parts, started, on_event, interrupted)
        return _fit(run, parts, started, on_event, trainer)


def _prepare_run(
    sources: Sources,
    folder: Path,
    config: Config,
    argv: Sequence[str],
    on_event: events.OnEvent,
) -> "LanguageModel | None":
    """Make a run that can be trained, beside its place, and move it there when it is whole."""
    staging = folder.parent / f".{folder.name}{TEMPORARY_SUFFIX}"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir()
    except OSError as error:
        raise InputError(f"cannot create {folder}: {error.strerror or error}") from error
    try:
        prepared = prepare(staging, sources, config, on_event)
        record = {
            "format_version": FORMAT_VERSION,
            "nplm": __version__,
            "settings": config.to_json(),
            "data": prepared.record,
            "environment": _environment(config),
            "argv": list(argv),
        }
        _train_baseline(staging, config, prepared.record["vocabulary_size"], on_event)
        write_json(staging / "config.json", record)
        # A wrong device or vector file shows here, before an old run gives way.
        network = None
        if config.model.neural:
            from nplm_cli.training.session import build_network

            network = build_network(Run(staging), on_event)
        _move_into_place(staging, folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return network


# What makes a finished training go on when it changes; the rest is how, not how long.
LENGTHS = ("epochs", "steps", "budget", "patience")


def resume(
    folder: Path,
    *,
    changes: dict[str, Any] | None = None,
    on_event: events.OnEvent = events.ignore,
    interrupted: Callable[[], bool] = lambda: False,
    started: float | None = None,
) -> dict[str, Any]:
    """Go on with an interrupted training where its last checkpoint stands.

    ``changes`` may lengthen it (``LENGTHS``; kept in config.json) or say where and how to go on
    (device, checkpoint_every; for this time only). Raises InputError when the text has changed
    since.
    """
    started = time.monotonic() if started is None else started
    folder = folder.resolve()
    with exclusive(folder):
        _restore_old(folder)
        run = Run(folder)
        remove_stale_temporaries(folder)
        for path in check_sources(run.record["data"]):
            on_event(events.Message(f"{path} is gone; going on with the ids stored in {folder}"))
        lengths = {name: value for name, value in (changes or {}).items() if name in LENGTHS}
        kept = {**run.record, "settings": run.config.replace(**lengths).to_json()}
        run.config = run.config.replace(**(changes or {}))
        parts, trainer = open_parts(folder / DATA_FOLDER), None
        if run.config.model.neural:
            from nplm_cli.training.session import build_network, open_trainer

            network = build_network(run, on_event, resumed=True)
            trainer = open_trainer(
                run,
                network,
                parts,
                started,
                on_event,
                interrupted,
                resumed=True,
                reopened=bool(lengths),
            )
        # Only now: a checkpoint that does not fit leaves everything as it was.
        if lengths:
            write_json(folder / "config.json", kept)
        return _fit(run, parts, started, on_event, trainer)


def _check_target(folder: Path, force: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file: name a directory for the run")
    if not (folder / "config.json").exists():
        raise ConfigError(f"{folder} exists and is no run of nplm: name another directory")
    if not force:
        raise ConfigError(
            f"{folder} holds a run already: --resume goes on with it, --force replaces it"
        )


def _resolved(config: Config) -> Config:
    """Fill in what depends on other settings, so that config.json says what was done."""
    training = config.training
    config = dataclasses.replace(config, model=config.model.resolved())
    changes: dict[str, Any] = {}
    if training.lr is None:
        changes["lr"] = DEFAULT_LR[training.optimizer]
    if training.epochs is None and training.steps is None and training.budget is None:
        changes["epochs"] = DEFAULT_EPOCHS
    for name, path in (("vectors", config.model.vectors), ("vocab", config.vocabulary.vocab)):
        if path is not None:
            changes[name] = os.path.abspath(path)
    return config.replace(**changes)


def _environment(config: Config) -> dict[str, Any]:
    """What besides the settings a result may depend on."""
    record: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "numpy": np.__version__,
        "threads": config.training.threads or available_cores(),
    }
    if config.model.neural:
        from importlib.metadata import version

        record["torch"] = version("torch")
    return record


def available_cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _old_folder(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.old{TEMPORARY_SUFFIX}"


def _restore_old(folder: Path) -> None:
    """Put an old run back whose successor never got to its place."""
    old = _old_folder(folder)
    if old.is_dir() and not folder.exists():
        os.replace(old, folder)


def _move_into_place(staging: Path, folder: Path) -> None:
    """Put the prepared run where it belongs; an old run gives way only now."""
    old = _old_folder(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(staging, folder)
    except BaseException:
        _restore_old(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _train_baseline(
    folder: Path, config: Config, vocabulary_size: int, on_event: events.OnEvent
) -> None:
    part = open_parts(folder / DATA_FOLDER)["train"]
    model = _train_ngram(
        part, config, vocabulary_size, config.training.baseline_order, "kn", on_event
    )
    write_tensors(folder / "baseline.safetensors", model.tensors(), model.metadata())


def _train_ngram(
    part: Part,
    config: Config,
    vocabulary_size: int,
    order: int,
    smoothing: Any,
    on_event: events.OnEvent,
    max_tokens: int | None = 20_000_000,
) -> NgramModel:
    return NgramModel.train(
        part.ids_N,
        order=order,
        vocab_size=vocabulary_size,
        context=config.training.context,
        file_starts=part.file_starts,
        smoothing=smoothing,
        k=config.model.k,
        max_tokens=max_tokens if max_tokens is not None else part.predictions,
        on_event=lambda text: on_event(events.Message(text)),
    )


def _fit(
    run: Run,
    parts: dict[str, Part],
    started: float,
    on_event: events.OnEvent,
    trainer: "Trainer | None",
) -> dict[str, Any]:
    """Train (or go on), then write and return the report; without a trainer, count."""
    (run.folder / "report.json").unlink(missing_ok=True)  # it would speak of other weights
    config = run.config
    context = config.training.context
    nll: Callable[[Part], np.ndarray]
    if trainer is None:
        model = _train_ngram(
            parts["train"],
            config,
            len(run.vocabulary),
            config.model.order,
            config.model.smoothing,
            on_event,
            max_tokens=None,
        )
        write_tensors(run.folder / "model.safetensors", model.tensors(), model.metadata())
        scorer = open_scorer(run)
        summary: dict[str, Any] = {"seconds": round(time.monotonic() - started, 3)}

        def nll(part: Part) -> np.ndarray:
            return scorer.nll(part, context)
    else:
        from nplm_cli.evaluation.evaluator import evaluate

        progress = trainer.fit()
        trained = trainer.model
        summary = {
            "parameters": sum(p.numel() for p in trained.parameters()),
            "steps": progress.step,
            "epochs": progress.epoch,
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 3),
            "best_step": progress.best_step,
            "stopped": progress.finished,
        }

        def nll(part: Part) -> np.ndarray:
            return evaluate(trained, part, context)

    report: dict[str, Any] = {
        "schema": 1,
        "run": run.folder.name,
        "arch": config.model.arch,
        "training": summary,
        "notes": run.record["data"].get("notes", []),
    }
    for name in ("valid", "test"):
        report[name] = None
        if name in parts:
            on_event(events.Progress(f"evaluating {name}", 0, None))
            report[name] = part_ledger(run, parts[name], nll(parts[name]), context)
    write_json(run.folder / "report.json", report)
    return report
