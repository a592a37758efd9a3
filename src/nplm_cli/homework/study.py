"""A homework from text to report: prepared, trained, compared, written; it goes on after a kill.

What is done stays done: the same command trains what is missing and writes the report anew.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from nplm_cli import events
from nplm_cli.artifacts import write_json
from nplm_cli.homework.folder import RESULTS_FILE, open_folder
from nplm_cli.homework.plan import Plan
from nplm_cli.homework.questions import Questions
from nplm_cli.homework.results import gather
from nplm_cli.homework.trainings import train_all, worker_count
from nplm_cli.locking import exclusive
from nplm_cli.threads import available_cores

ReportLanguage = Literal["zh", "en"]

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
    questions = Questions.read(plan.homework)
    with exclusive(folder):
        runs = open_folder(
            plan,
            folder,
            force=force,
            argv=argv,
            check=lambda runs: questions.put_to(runs, on_event),
            on_event=on_event,
        )
        begun = ("checkpoint.safetensors", "report.json")
        resumed = any((run.folder / name).exists() for run in runs for name in begun)
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
            questions,
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


def _on_gpu(device: str) -> bool:
    from nplm_cli.training.devices import pick_device

    return pick_device(device).type != "cpu"
