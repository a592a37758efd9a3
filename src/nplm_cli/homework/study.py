"""A homework from text to report: prepared, trained, compared, written; it goes on after a kill.

What is done stays done: the same command trains what is missing and writes the report anew.
"""

import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from nplm_cli import events
from nplm_cli.artifacts import remove_stale_temporaries, write_json
from nplm_cli.corpus.preparation import check_sources
from nplm_cli.errors import ArtifactError, ConfigError, InputError
from nplm_cli.homework.plan import CORPORA, PLAN_FILE, Plan, PlannedRun, load_plan
from nplm_cli.homework.results import gather
from nplm_cli.homework.trainings import train_all, worker_count
from nplm_cli.homework.words import choose_words
from nplm_cli.locking import exclusive
from nplm_cli.query.run import Run
from nplm_cli.run_folders import available_cores, prepare_alike, prepare_run

ReportLanguage = Literal["zh", "en"]
RESULTS_FILE = "results.json"
_OURS = (*CORPORA.values(), "figures", PLAN_FILE, RESULTS_FILE, "report.html", "report.md")

Interruption = contextlib.AbstractContextManager[Callable[[], bool]]


def do_homework(
    plan: Plan,
    folder: Path,
    *,
    lang: ReportLanguage | None = None,
    force: bool = False,
    argv: Sequence[str] = (),
    on_event: events.OnEvent = events.ignore,
    stop_gently: Callable[[], Interruption] = lambda: contextlib.nullcontext(lambda: False),
) -> dict[str, Any]:
    """Do all of a plan that is not done yet in ``folder`` and return the results.

    Afterwards ``folder`` holds config.json, the runs, results.json and the report in ``lang``
    (None: Chinese for a Chinese corpus). ``stop_gently`` is entered while models are trained and
    gives a function that says when to stop with checkpoints. Raises ConfigError when ``folder``
    holds something else or a homework of other settings (``force`` replaces that one), InputError
    for the texts, TrainingError when a training fails, KeyboardInterrupt when it was stopped.
    """
    from nplm_cli import reports

    reports.require()
    began = time.monotonic()
    folder = folder.resolve()
    with exclusive(folder):
        fresh = _open_folder(plan, folder, force)
        runs = plan.runs(folder)
        try:
            write_json(folder / PLAN_FILE, plan.to_json(argv))
            _prepare(plan, runs, on_event)
            # What is wrong with a list of words shows before the training, not after.
            choose_words(Run(runs[0].folder), plan.homework, on_event)
        except BaseException:
            if fresh:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        resumed = any((run.folder / "report.json").exists() for run in runs)
        device = plan.config.training.device
        workers = worker_count(
            plan.homework.workers, available_cores(), len(runs), on_gpu=_on_gpu(device)
        )
        with stop_gently() as interrupted:
            train_all(runs, workers, device=device, on_event=on_event, interrupted=interrupted)
        trained = time.monotonic() - began
        results = gather(
            plan,
            folder,
            argv,
            wall_seconds=None if resumed else trained,
            workers=workers,
            on_event=on_event,
        )
        write_json(folder / RESULTS_FILE, results)
        on_event(events.Progress("writing the report", 0, None))
        reports.write_report(folder, results, lang or report_language(results))
        return results


def report_language(results: dict[str, Any]) -> ReportLanguage:
    """Chinese for a first corpus in Chinese, English for any other."""
    return "zh" if results["corpora"][0]["lang"] == "zh" else "en"


def _open_folder(plan: Plan, folder: Path, force: bool) -> bool:
    """Make sure that the plan may be carried out in ``folder``; whether it is a new one."""
    if folder == Path.cwd():
        raise ConfigError(f"{folder} is where you stand: name a new directory with --out")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: name a directory with --out")
    if not folder.exists() or not any(folder.iterdir()):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot create {folder}: {error.strerror or error}") from error
        return True
    remove_stale_temporaries(folder)
    path = folder / PLAN_FILE
    if not path.exists():
        raise ConfigError(f"{folder} exists and is no homework: name another directory with --out")
    try:
        difference = plan.trains_like(load_plan(path))
    except ArtifactError as error:
        raise ConfigError(f"{error}; name another directory with --out") from error
    if difference is None:
        return False
    if not force:
        raise ConfigError(
            f"{folder} holds a homework that differs in {difference}: --force replaces it, or "
            "name another directory with --out"
        )
    for name in _OURS:
        where = folder / name
        if where.is_dir() and not where.is_symlink():
            shutil.rmtree(where)
        else:
            where.unlink(missing_ok=True)
    return True


def _prepare(plan: Plan, runs: Sequence[PlannedRun], on_event: events.OnEvent) -> None:
    """Make the run directories; the text of a corpus is read once."""
    for key, sources in zip(CORPORA, plan.sources, strict=False):
        mine = [run for run in runs if run.corpus == key]
        made = [run for run in mine if (run.folder / "config.json").exists()]
        if made:
            gone = check_sources(Run(made[0].folder).record["data"])
            for path in gone:
                on_event(
                    events.Message(f"{path} is gone; going on with the ids stored in the runs")
                )
        else:
            made = mine[:1]
            prepare_run(sources, made[0].folder, made[0].config, on_event=on_event)
        first = Run(made[0].folder)
        _check_parts(first.record["data"]["sources"])
        for run in mine:
            if not (run.folder / "config.json").exists():
                prepare_alike(first, run.folder, run.config)


def _check_parts(sources: dict[str, Any]) -> None:
    """Refuse to validate or test on the training text."""
    for name in ("valid", "test"):
        if name in sources and sources[name]["sha256"] == sources["train"]["sha256"]:
            raise InputError(
                f"{', '.join(sources[name]['inputs'])}: the {name} text is the training text: give "
                "another one, or none (a part of the documents is then kept apart)"
            )


def _on_gpu(device: str) -> bool:
    from nplm_cli.training.devices import pick_device

    return pick_device(device).type != "cpu"
