"""Run directories that can be trained: made from text, or alike another run."""

import dataclasses
import os
import platform
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nplm_cli import __version__, events
from nplm_cli.artifacts import FORMAT_VERSION, sha256_of_file, write_json, write_tensors
from nplm_cli.atomic import copy_file
from nplm_cli.config import DEFAULT_EPOCHS, DEFAULT_LR, Config
from nplm_cli.corpus.preparation import DATA_FOLDER, Prepared, Sources, prepare
from nplm_cli.corpus.shards import Part, open_parts
from nplm_cli.errors import ConfigError
from nplm_cli.locking import exclusive
from nplm_cli.ngram import NgramModel
from nplm_cli.placement import (
    check_target,
    link_or_copy,
    move_into_place,
    restore_old,
    staging_folder,
)
from nplm_cli.query.run import Run
from nplm_cli.threads import available_cores

if TYPE_CHECKING:
    from nplm_cli.models.base import LanguageModel


def prepare_run(
    sources: Sources,
    folder: Path,
    config: Config,
    *,
    argv: Sequence[str] = (),
    on_event: events.OnEvent = events.ignore,
) -> None:
    """Make a run from text that ``resume`` can train. Raises what ``train`` does."""
    folder = folder.resolve()
    with exclusive(folder):
        restore_old(folder)
        check_target(folder, False)
        make_run(sources, folder, resolved(config), argv, on_event, workers=None)


# What of a run depends on its text, context policy and baseline alone.
_TEXT_FILES = ("vocabulary.tsv", "unknown.tsv", "tokenizer.json")
_BASELINE = "baseline.safetensors"


def prepare_alike(run: Run, folder: Path, config: Config) -> None:
    """Make a run on the very text, split and vocabulary of another one, without reading it anew.

    Its ids and baseline are the other run's, by hard links where the file system has them.
    Raises ConfigError when ``config`` asks for another text, or ``folder`` is taken.
    """
    folder, config = folder.resolve(), resolved(config)
    for ours, theirs in (
        (config.corpus, run.config.corpus),
        (config.split, run.config.split),
        (config.vocabulary, run.config.vocabulary),
        (config.training.context, run.config.training.context),
        (config.training.baseline_order, run.config.training.baseline_order),
    ):
        if ours != theirs:
            raise ConfigError(f"{folder}: {ours} instead of {theirs}: not the text of {run.folder}")
    with exclusive(folder):
        restore_old(folder)
        check_target(folder, False)
        with staging_folder(folder) as staging:
            for name in _TEXT_FILES:
                copy_file(run.folder / name, staging / name)
            link_or_copy(run.folder / _BASELINE, staging / _BASELINE)
            shutil.copytree(
                run.folder / DATA_FOLDER, staging / DATA_FOLDER, copy_function=link_or_copy
            )
            record = {
                **run.record,
                "settings": config.to_json(),
                "environment": _environment(config),
            }
            write_json(staging / "config.json", record)
            move_into_place(staging, folder)


def make_run(
    sources: Sources,
    folder: Path,
    config: Config,
    argv: Sequence[str],
    on_event: events.OnEvent,
    given: Collection[str] | None = None,
    started: float | None = None,
    workers: int | None = 1,
) -> "LanguageModel | None":
    """Make a run that can be trained, beside its place, and move it there when it is whole.

    Raw text is cut by ``workers`` processes (None: as many as is worth it).

    With a budget, which runs since ``started`` of the monotonic clock, settings that are not among
    those ``given`` are chosen for it (None: no setting is).
    """
    with staging_folder(folder) as staging:
        prepared = prepare(staging, sources, config, on_event, workers)
        if given is not None and config.training.budget is not None and config.model.neural:
            elapsed = 0.0 if started is None else time.monotonic() - started
            config = _sized(config, given, prepared, elapsed, on_event)
        environment = _environment(config)
        if config.model.neural:
            environment["precision"] = _precision(config, prepared)
        record: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "nplm": __version__,
            "settings": config.to_json(),
            "data": prepared.record,
            "environment": environment,
            "argv": list(argv),
        }
        if config.model.vectors is not None:
            record["vectors_sha256"] = sha256_of_file(config.model.vectors)
        _train_baseline(staging, config, prepared.record["vocabulary_size"], on_event)
        write_json(staging / "config.json", record)
        # A wrong device or vector file shows here, before an old run gives way.
        network = None
        if config.model.neural:
            from nplm_cli.training.session import build_network

            network = build_network(Run(staging), on_event)
        move_into_place(staging, folder)
    return network


def resolved(config: Config) -> Config:
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
    changes["user_dict"] = tuple(map(os.path.abspath, config.corpus.user_dict))
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


def _sized(
    config: Config,
    given: Collection[str],
    prepared: Prepared,
    elapsed: float,
    on_event: events.OnEvent,
) -> Config:
    """Choose for the budget what the user did not choose, and say what was chosen."""
    from nplm_cli.training.devices import pick_device
    from nplm_cli.training.precision import pick_precision
    from nplm_cli.training.sizing import sized

    device = pick_device(config.training.device)
    train = prepared.parts["train"]
    words: int = prepared.record["vocabulary_size"]

    def precision(shape: Mapping[str, Any], config: Config = config) -> str:
        return pick_precision(config.replace(**shape), device, words)[0]

    config, chosen = sized(
        config,
        given,
        vocabulary=words,
        tokens=train["predictions"],
        sentences=train["sentences"],
        cores=config.training.threads or available_cores(),
        device=device.type,
        precision=precision,
        elapsed=elapsed,
    )
    if chosen:
        options = [
            f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
            for name, value in chosen.items()
        ]
        on_event(
            events.Message(f"chosen for --budget {config.training.budget}: {' '.join(options)}")
        )
    return resolved(config)


def _precision(config: Config, prepared: Prepared) -> str:
    """Number format of the training: with the settings it says how the weights came about."""
    from nplm_cli.training.devices import pick_device
    from nplm_cli.training.precision import pick_precision

    device = pick_device(config.training.device)
    return pick_precision(config, device, prepared.record["vocabulary_size"])[0]


def _train_baseline(
    folder: Path, config: Config, vocabulary_size: int, on_event: events.OnEvent
) -> None:
    part = open_parts(folder / DATA_FOLDER)["train"]
    model = count_ngrams(
        part, config, vocabulary_size, config.training.baseline_order, "kn", on_event
    )
    write_tensors(folder / _BASELINE, model.tensors(), model.metadata())


def count_ngrams(
    part: Part,
    config: Config,
    vocabulary_size: int,
    order: int,
    smoothing: Any,
    on_event: events.OnEvent,
    max_tokens: int | None = 20_000_000,
) -> NgramModel:
    """Count a part; a baseline looks at no more than its first ``max_tokens`` (None: all)."""
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
