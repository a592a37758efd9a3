"""``nplm train``: from text to a run directory in one command."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from nplm_cli import pipeline
from nplm_cli.cli import output
from nplm_cli.cli.interruption import SigintFlag
from nplm_cli.cli.ledger_table import write_report
from nplm_cli.cli.options import (
    Workers,
    chosen_settings,
    given,
    idle_options,
    settings_of_file,
    with_settings,
)
from nplm_cli.cli.progress import ProgressView
from nplm_cli.config import PRESETS
from nplm_cli.corpus.preparation import Sources
from nplm_cli.errors import ConfigError
from nplm_cli.plain import quoted
from nplm_cli.process_age import process_age

# What may change when a training goes on.
RESUMABLE = (
    "epochs",
    "steps",
    "budget",
    "patience",
    "device",
    "precision",
    "threads",
    "checkpoint_every",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train_cli)


@with_settings("model", "training", "vocabulary", "corpus", "split")
def train_cli(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Files, folders, or - for standard input."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="RUN", help="Run directory to write.")
    ] = None,
    valid: Annotated[
        list[str] | None, typer.Option(help="Validation text (else split off).", metavar="FILE")
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option(help="Test text (else split off).", metavar="FILE")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Bundle of settings: " + ", ".join(PRESETS) + ".")
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", help="Settings of another run (RUN/config.json).", metavar="FILE"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted training in RUN.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that is in RUN.")] = False,
    workers: Workers = None,
    progress: Annotated[
        str, typer.Option(help="Progress on stderr.", metavar="auto|bar|plain|none")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Write the report as JSON.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.")
    ] = False,
    **settings: Any,
) -> None:
    """Train a language model on text and write a run directory."""
    started = time.monotonic() - process_age()
    if progress not in ("auto", "bar", "plain", "none"):
        raise ConfigError(f"--progress {progress!r}: expected auto, bar, plain or none")
    chosen = given(settings)
    if folder is None:
        raise ConfigError("where to? name the run directory with -o RUN")
    before = [_state(folder / name) for name in WRITTEN]
    try:
        with ProgressView(progress, quiet) as view, SigintFlag() as interrupted:
            common: dict[str, Any] = {
                "on_event": view,
                "interrupted": interrupted,
                "started": started,
            }
            if resume:
                _refuse_beside_resume(
                    [inputs, valid, test, force, preset, config_file, workers], chosen
                )
                report = pipeline.resume(folder, changes=chosen, **common)
            else:
                if not inputs:
                    raise ConfigError("no input: name files or folders, or - for standard input")
                config = chosen_settings(settings_of_file(config_file), preset, chosen)
                for name in idle_options(config, chosen):
                    output.warn(f"--{name.replace('_', '-')} has no effect with these settings")
                report = pipeline.train(
                    Sources(tuple(inputs), tuple(valid or ()), tuple(test or ())),
                    folder,
                    config,
                    force=force,
                    argv=sys.argv[1:],
                    # A file of settings has chosen everything.
                    given=None if config_file else {*chosen, *PRESETS.get(preset or "", ())},
                    workers=workers,
                    **common,
                )
    except KeyboardInterrupt as error:
        left = str(error) or _how_to_go_on(folder, resume, before)
        raise KeyboardInterrupt(left) from error
    if json:
        output.write_json(report)
    else:
        write_report(report)
    if not quiet:
        question = "count" if report["arch"] == "ngram" else "neighbors"
        output.note(f"run written to {folder}; try: nplm {question} {folder} WORD")


# First and last of what a training writes.
WRITTEN = ("config.json", "report.json")


def _refuse_beside_resume(elsewhere: list[Any], chosen: dict[str, Any]) -> None:
    if any(elsewhere):
        raise ConfigError("--resume takes its text and settings from RUN: give only -o RUN")
    for name in chosen:
        if name not in RESUMABLE:
            allowed = ", ".join("--" + n.replace("_", "-") for n in RESUMABLE)
            raise ConfigError(
                f"--{name.replace('_', '-')} cannot change on --resume (only {allowed})"
            )
    lengths = ("epochs", "steps", "budget")
    if any(name in chosen for name in lengths):
        chosen.update({name: chosen.get(name) for name in lengths})


def _state(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that takes its place; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _how_to_go_on(folder: Path, resumed: bool, before: list[tuple[int, int] | None]) -> str:
    """Return what Ctrl-C left behind; ``before`` is the state of ``WRITTEN`` before."""
    on = f"nplm train --resume -o {quoted(folder)}"
    run, report = (_state(folder / name) for name in WRITTEN)
    untouched = run == before[0] if not resumed else report is not None and report == before[1]
    if run is None or untouched:
        as_it_was = f"{folder} is as it was" if run else "nothing was written"
        return f"interrupted before the first step; {as_it_was}"
    if report is not None:
        return f"interrupted, but {folder} is finished: nplm info {quoted(folder)}"
    if (folder / "model.safetensors").exists():
        return f"interrupted; the model so far is usable, and this goes on with it: {on}"
    return f"interrupted before the first step; the text is read, and this trains on it: {on}"
