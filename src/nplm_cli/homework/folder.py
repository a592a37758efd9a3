"""The folder of a homework: made beside its place, checked against the plan, replaced when asked.

Nothing is removed before what comes instead is whole, and nothing that nplm did not write.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nplm_cli import events
from nplm_cli.artifacts import TEMPORARY_SUFFIX, remove_stale_temporaries, write_json
from nplm_cli.atomic import make_folders, sync_folder
from nplm_cli.corpus.preparation import check_sources
from nplm_cli.corpus.readers import list_files
from nplm_cli.errors import ArtifactError, ConfigError, InputError
from nplm_cli.homework.plan import CORPORA, PLAN_FILE, Plan, PlannedRun, load_plan, run_difference
from nplm_cli.opening import check_inside, names_in
from nplm_cli.query.run import Run
from nplm_cli.run_folders import prepare_alike, prepare_run

RESULTS_FILE = "results.json"
_FILES = (RESULTS_FILE, "report.html", "report.md")
_RUN_NAME = re.compile(r"[a-z]+-\d+")

Check = Callable[[Sequence[PlannedRun]], None]


def open_folder(
    plan: Plan,
    folder: Path,
    *,
    force: bool,
    argv: Sequence[str],
    check: Check,
    on_event: events.OnEvent = events.ignore,
) -> list[PlannedRun]:
    """Make or find the runs of a plan in ``folder``, ready to be trained, and return them.

    ``check`` is given prepared runs and raises what speaks against training them; then, as with
    any error here, ``folder`` is what it was. Raises ConfigError when it holds something else, or
    a homework that this plan does not go on with (``force`` replaces that one), InputError for
    the texts.
    """
    _check_place(folder)
    restore_homework(folder)
    inner = [name for base in ("figures", *CORPORA.values()) for name in names_in(folder, base)]
    check_inside(folder, (PLAN_FILE, *_FILES, "figures", *CORPORA.values(), *inner))
    runs = plan.runs(folder)
    old = folder / PLAN_FILE
    if not folder.exists() or not any(folder.iterdir()):
        _make(plan, folder, argv, check, on_event)
        return runs
    remove_stale_temporaries(folder)
    if not old.exists():
        raise ConfigError(f"{folder} exists and is no homework: name another directory with --out")
    try:
        there = load_plan(old)
    except ArtifactError as error:
        raise ConfigError(f"{error}; name another directory with --out") from error
    try:
        _check_goes_on(plan, there, folder, runs, on_event)
    except (ConfigError, InputError, ArtifactError):
        if not force:
            raise
        _make(plan, folder, argv, check, on_event)
        return runs
    _prepare(plan, runs, on_event)
    check(runs)
    write_json(old, plan.to_json(argv))
    left_out = sorted(
        f"{base}/{path.name}" for base, path in _run_folders(folder)
        if path not in {run.folder for run in runs}
    )  # fmt: skip
    if left_out:
        on_event(
            events.Message(f"not in this report: {', '.join(left_out)} (trained before)", True)
        )
    return runs


def _check_place(folder: Path) -> None:
    here = Path.cwd()
    if folder == here or folder in here.parents:
        raise ConfigError(f"you stand in {folder}: name a new directory with --out")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: name a directory with --out")


def _check_goes_on(
    plan: Plan,
    there: Plan,
    folder: Path,
    runs: Sequence[PlannedRun],
    on_event: events.OnEvent,
) -> None:
    """Raise unless the runs that are there serve this plan: it, the texts or a file differ."""
    difference = plan.trains_like(there)
    if difference is not None:
        raise ConfigError(
            f"{folder} holds a homework that differs in {difference}: --force replaces it, or "
            "name another directory with --out"
        )
    for key in CORPORA:
        made = [run for run in runs if run.corpus == key and _is_made(run)]
        if not made:
            continue
        first = Run(made[0].folder)
        for path in check_sources(first.record["data"]):
            on_event(events.Message(f"{path} is gone; going on with the ids stored in the runs"))
        if "-" in plan.sources[list(CORPORA).index(key)].train:
            on_event(
                events.Message("standard input is not read again; going on with the ids stored")
            )
        for planned in made:
            found = Run(planned.folder)
            difference = run_difference(planned.config, found.config)
            if found.record["data"] != first.record["data"]:
                difference = f"its text ({made[0].name} has another one)"
            if difference is not None:
                raise ConfigError(
                    f"{planned.folder} is not of this homework: it differs in {difference}; "
                    "remove it to train it anew, or --force replaces the homework"
                )


def _is_made(run: PlannedRun) -> bool:
    return (run.folder / "config.json").exists()


def _make(
    plan: Plan, folder: Path, argv: Sequence[str], check: Check, on_event: events.OnEvent
) -> None:
    """Prepare all runs beside ``folder`` and move them in; an old homework gives way only then."""
    staging = folder.parent / f".{folder.name}{TEMPORARY_SUFFIX}"
    shutil.rmtree(staging, ignore_errors=True)
    runs = plan.runs(staging)
    for sources in plan.sources:
        for inputs in sources.by_part().values():
            list_files(inputs)  # what is missing shows before the first text is read
    try:
        _make_folder(staging, folder)
        _prepare(plan, runs, on_event)
        check(runs)
        write_json(staging / PLAN_FILE, plan.to_json(argv))
        _make_folder(folder, folder)
        for inner, _, _ in os.walk(staging):
            sync_folder(inner)
        try:
            _put_aside(folder)
            # With its plan in place, runs that a kill keeps from moving are made anew.
            os.replace(staging / PLAN_FILE, folder / PLAN_FILE)
            for run in runs:
                place = folder / run.folder.relative_to(staging)
                place.parent.mkdir(exist_ok=True)
                os.replace(run.folder, place)
            for changed in {folder, *(run.folder.parent for run in plan.runs(folder))}:
                sync_folder(changed)
        except BaseException:
            if not (staging / PLAN_FILE).exists():  # it has come, and goes with its runs
                (folder / PLAN_FILE).unlink()
                for run in plan.runs(folder):
                    shutil.rmtree(run.folder, ignore_errors=True)
                _remove_empty(folder)
            restore_homework(folder)
            raise
        restore_homework(folder)
    except OSError as error:
        if isinstance(error.filename, str):
            error.filename = error.filename.replace(str(staging), str(folder), 1)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _aside(folder: Path) -> Path:
    """Where an old homework waits for the plan of its successor, and is deleted after."""
    return folder / f".old{TEMPORARY_SUFFIX}"


def _put_aside(folder: Path) -> None:
    """Move what a homework wrote aside, its plan first, and leave everything else."""
    if not (folder / PLAN_FILE).exists():
        return
    aside = _aside(folder)
    aside.mkdir()
    for path in (folder / PLAN_FILE, *_written(folder)):
        target = aside / path.relative_to(folder)
        target.parent.mkdir(exist_ok=True)
        os.replace(path, target)
    sync_folder(folder)


def restore_homework(folder: Path) -> None:
    """Put an old homework back that has no successor; delete one that has."""
    aside = _aside(folder)
    if aside.is_symlink() or not aside.is_dir():
        return
    if not (folder / PLAN_FILE).exists():
        # The plan last: until then a kill leaves the rest to the next attempt.
        for path in (*_written(aside), aside / PLAN_FILE):
            place = folder / path.relative_to(aside)
            place.parent.mkdir(exist_ok=True)
            if place.is_dir():  # of a successor that never got its plan
                shutil.rmtree(place)
            if path.exists():
                os.replace(path, place)
        sync_folder(folder)
    shutil.rmtree(aside)
    _remove_empty(folder)


def _make_folder(path: Path, folder: Path) -> None:
    try:
        make_folders(path)
    except OSError as error:
        raise InputError(f"cannot create {folder}: {error.strerror or error}") from error


def _written(folder: Path) -> list[Path]:
    """Files and folders of runs that a homework wrote, but for its plan."""
    return [
        *(folder / name for name in _FILES if (folder / name).exists()),
        *(folder / "figures").glob("*.svg"),
        *(path for _, path in _run_folders(folder)),
    ]


def _remove_empty(folder: Path) -> None:
    for name in ("figures", *CORPORA.values()):
        with contextlib.suppress(OSError):  # not there, or not empty
            (folder / name).rmdir()


def _run_folders(folder: Path) -> list[tuple[str, Path]]:
    """Folders of runs in a homework, each with the name of the folder it lies in."""
    return [
        (base, path)
        for base in CORPORA.values()
        for path in sorted((folder / base).glob("*"))
        if _RUN_NAME.fullmatch(path.name) and (path / "config.json").is_file()
    ]


def _prepare(plan: Plan, runs: Sequence[PlannedRun], on_event: events.OnEvent) -> None:
    """Make the run directories that are missing; the text of a corpus is read once."""
    for key, sources in zip(CORPORA, plan.sources, strict=False):
        mine = [run for run in runs if run.corpus == key]
        made = next((run for run in mine if _is_made(run)), None)
        if made is None:
            made = mine[0]
            prepare_run(sources, made.folder, made.config, on_event=on_event)
        first = Run(made.folder)
        _check_parts(first.record["data"].get("sources", {}))
        for run in mine:
            if not _is_made(run):
                prepare_alike(first, run.folder, run.config)


def _check_parts(sources: dict[str, Any]) -> None:
    """Refuse to validate or test on text that the training saw or that chose its weights."""
    for name, other in (("valid", "train"), ("test", "train"), ("test", "valid")):
        if name in sources and other in sources:
            ours, theirs = sources[name], sources[other]
            if ours["sha256"] == theirs["sha256"]:
                other = {"train": "training", "valid": "validation"}[other]
                raise InputError(
                    f"{', '.join(ours['inputs'])}: the {name} text is the {other} text: "
                    "give another one, or none (a part of the documents is then kept apart)"
                )
