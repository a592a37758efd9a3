"""The stages in a row: text -> parts -> baseline -> training -> ledger, resumable."""

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nplm_cli import events
from nplm_cli.artifacts import (
    remove_stale_temporaries,
    write_json,
    write_tensors,
)
from nplm_cli.config import Config, TrainingConfig
from nplm_cli.corpus.preparation import DATA_FOLDER, Sources, check_sources
from nplm_cli.corpus.shards import Part, check_ids, open_parts
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.evaluation.normalisation import TargetScores
from nplm_cli.locking import exclusive
from nplm_cli.measure import part_ledger, target_scores
from nplm_cli.placement import check_target, restore_old
from nplm_cli.plain import quoted
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer
from nplm_cli.run_folders import count_ngrams, make_run, resolved
from nplm_cli.training.length import LENGTHS
from nplm_cli.vectors.binary import read_binary
from nplm_cli.vectors.formats import detect_format, load_vectors
from nplm_cli.vectors.text import read_layout

if TYPE_CHECKING:
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
    given: Collection[str] | None = None,
    workers: int | None = 1,
) -> dict[str, Any]:
    """Train a model from text and return its report; everything is in ``folder`` afterwards.

    With a budget, settings that are not among those ``given`` are chosen for it
    (``training/sizing.py``); None: no setting is.
    ``workers`` processes cut raw text (None: as many as is worth it), with the same result.
    Raises ConfigError when ``folder`` exists and neither is empty nor may be replaced
    (``force``), InputError for the sources, TrainingError while training.
    """
    started = time.monotonic() if started is None else started
    folder = folder.resolve()
    if folder == Path.cwd():
        raise ConfigError(f"{folder} is where you stand: name a new directory for the run")
    config = resolved(config)
    check_vectors(config)
    with exclusive(folder):
        restore_old(folder)
        check_target(folder, force)
        network = make_run(sources, folder, config, argv, on_event, given, started, workers)
        run, parts, trainer = Run(folder), open_parts(folder / DATA_FOLDER), None
        if given is not None and "patience" not in given:
            changes = _whole_budget(run.config.training, parts, on_event)
            if changes:
                run.config = run.config.replace(**changes)
                run.record["settings"] = run.config.to_json()
                write_json(run.folder / "config.json", run.record)
        if network is not None:
            from nplm_cli.training.session import open_trainer

            trainer = open_trainer(run, network, parts, started, on_event, interrupted)
        return _fit(run, parts, started, on_event, trainer)


def check_vectors(config: Config) -> None:
    """See that the file ``--vectors`` is there and of dimension ``--dim``, before text is read.

    Raises ArtifactError for a file that is none of vectors, ConfigError for another dimension.
    """
    path, dim = config.model.vectors, config.model.dim
    if path is None:
        return
    match detect_format(path):
        case "npy" | "safetensors":
            found = load_vectors(path).dim
        case "word2vec-bin":
            found, _ = read_binary(Path(path))
        case _:
            found = read_layout(Path(path)).dim
    if found != dim:
        raise ConfigError(
            f"{path} has vectors of {found} dimensions, --dim is {dim}: give --dim {found}"
        )


def _whole_budget(
    training: TrainingConfig, parts: dict[str, Part], on_event: events.OnEvent
) -> dict[str, int]:
    """Return the patience of a budget: the training loss is no reason to end it early."""
    if training.budget is None or not training.patience or "valid" in parts:
        return {}
    on_event(events.Message("no validation text: --patience 0, so that the budget is used"))
    return {"patience": 0}


def resume(
    folder: Path,
    *,
    changes: dict[str, Any] | None = None,
    on_event: events.OnEvent = events.ignore,
    interrupted: Callable[[], bool] = lambda: False,
    started: float | None = None,
) -> dict[str, Any]:
    """Go on with an interrupted training where its last checkpoint stands.

    ``changes`` may lengthen it (``LENGTHS``) or change its precision, both kept in config.json, or
    say where and how to go on (device, threads, checkpoint_every; for this time only). Raises
    InputError when the text has changed since (or, before the first checkpoint, the file of
    ``--vectors``), ArtifactError when the run's vocabulary has.
    """
    started = time.monotonic() if started is None else started
    folder = folder.resolve()
    with exclusive(folder):
        restore_old(folder)
        run = Run(folder)
        run.require_trainable()
        remove_stale_temporaries(folder)
        for path in check_sources(run.record["data"]):
            on_event(events.Message(f"{path} is gone; going on with the ids stored in {folder}"))
        run.check_vocabulary()
        lengths = {name: value for name, value in (changes or {}).items() if name in LENGTHS}
        parts, trainer = open_parts(folder / DATA_FOLDER), None
        check_ids(folder / DATA_FOLDER, parts, len(run.vocabulary))
        if "train" not in parts:
            raise ArtifactError(f"{folder / DATA_FOLDER}: no training text: damaged; train anew")
        had_budget = run.config.training.budget is not None
        if "budget" in lengths and "patience" not in lengths and not had_budget:
            longer = run.config.replace(**lengths).training
            lengths |= _whole_budget(longer, parts, on_event)
        # Weights of another number format are in what follows, whoever goes on with it.
        stored = {name: value for name, value in (changes or {}).items() if name == "precision"}
        kept = {**run.record, "settings": run.config.replace(**lengths, **stored).to_json()}
        run.config = run.config.replace(**{**(changes or {}), **lengths})
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
                changed=lengths,
            )
        if trainer is not None:
            environment = run.record["environment"]
            kept["environment"] = {**environment, "precision": trainer.precision}
            if environment.get("precision") not in (None, trainer.precision):
                on_event(
                    events.Message(
                        f"the training began in {environment['precision']}, it goes on in "
                        f"{trainer.precision}: not the bytes of a run that never stopped",
                        warning=True,
                    )
                )
        # Only now: a checkpoint that does not fit leaves everything as it was.
        if kept != run.record:
            write_json(folder / "config.json", kept)
        return _fit(run, parts, started, on_event, trainer)


def _fit(
    run: Run,
    parts: dict[str, Part],
    started: float,
    on_event: events.OnEvent,
    trainer: "Trainer | None",
) -> dict[str, Any]:
    """Train (or go on), then write and return the report; without a trainer, count.

    Raises KeyboardInterrupt, which says what is missing, when the user stops the report.
    """
    (run.folder / "report.json").unlink(missing_ok=True)  # it would speak of other weights
    config = run.config
    context = config.training.context
    nll: Callable[[Part, TargetScores | None], np.ndarray]
    if trainer is None:
        model = count_ngrams(
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

        def nll(part: Part, scores: TargetScores | None) -> np.ndarray:
            return scorer.nll(part, context)
    else:
        from nplm_cli.evaluation.evaluator import evaluate

        going_on = trainer.progress.finished is None
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

        def nll(part: Part, scores: TargetScores | None) -> np.ndarray:
            if part is trainer.valid and trainer.best_nll_N is not None and scores is None:
                return trainer.best_nll_N  # by these very weights
            return evaluate(trained, part, context, on_progress=stop_if_asked, on_states=scores)

    def stop_if_asked(done: int = 0) -> None:
        if trainer is not None and trainer.interrupted():
            raise KeyboardInterrupt

    report: dict[str, Any] = {
        "schema": 1,
        "run": run.folder.name,
        "arch": config.model.arch,
        "training": summary,
        "notes": run.record["data"].get("notes", []),
    }
    try:
        for name in ("valid", "test"):
            stop_if_asked()
            report[name] = None
            if name in parts:
                on_event(events.Progress(f"evaluating {name}", 0, None))
                scores = target_scores(run, parts[name])
                nll_N = nll(parts[name], scores)
                stop_if_asked()
                figures = None if scores is None else scores.figures(nll_N)
                report[name] = part_ledger(
                    run, parts[name], nll_N, context, self_normalisation=figures
                )
        stop_if_asked()
        write_json(run.folder / "report.json", report)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            "interrupted; the model is trained, its report is not written yet; this writes it: "
            f"nplm train --resume -o {quoted(run.folder)}"
        ) from error
    if trainer is not None and going_on and trainer.length.is_late():
        whole, after = trainer.length.seconds, trainer.length.seconds - progress.seconds
        on_event(
            events.Message(
                f"took {whole:.0f} s instead of --budget {config.training.budget}: "
                f"{after:.0f} s of them after the last step, to evaluate and to write"
            )
        )
    return report
