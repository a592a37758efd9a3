"""``nplm compile``: tables are written, then their scores stand beside the model's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nplm_cli import events
from nplm_cli.corpus.preparation import DATA_FOLDER
from nplm_cli.corpus.shards import Part, open_parts
from nplm_cli.errors import ConfigError
from nplm_cli.evaluation.ledger import perplexity
from nplm_cli.evaluation.normalisation import TargetScores
from nplm_cli.measure import output_rows, read_text
from nplm_cli.placement import refuse_artifact
from nplm_cli.query.compiling import COMPILED, compile_run, require_compilable
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import NeuralScorer
from nplm_cli.query.tables import Tables, open_tables_scorer

# A deviation of log Z above this is told: probabilities are then off by a tenth.
FAR_FROM_1 = 0.1


def compile_and_compare(
    run: Run,
    path: Path | None,
    dtype: str,
    inputs: Sequence[str] = (),
    on_event: events.OnEvent = events.ignore,
) -> dict[str, Any]:
    """Compile a run and return the record of ``nplm compile --json``.

    Scores are compared on ``inputs``, or on the run's validation part; ``compared`` is None where
    there is neither. Raises ConfigError for a model that has no tables, InputError for the texts.
    """
    path = run.folder / COMPILED if path is None else path
    if str(path) == "-":
        raise ConfigError("the tables cannot go to stdout, where the figures go: name a file")
    refuse_artifact(path, but=COMPILED)
    require_compilable(run)
    text = _text(run, inputs, on_event)
    on_event(events.Progress("compiling", 0, None))
    sizes = compile_run(run, path, dtype)
    scorer = open_tables_scorer(run, path)
    report: dict[str, Any] = {
        "schema": 1,
        "run": str(run.folder),
        "file": str(path),
        "dtype": dtype,
        "positions": len(scorer.tables.tensors["first"]),
        "bytes": {
            **sizes,
            "all": path.stat().st_size,
            "model": run.weights_path.stat().st_size,
        },
        "compared": None,
    }
    if text is None:
        on_event(events.Message("no validation part to compare scores on: name a text with --file"))
        return report
    name, part = text
    on_event(events.Progress(f"comparing on {name}", 0, None))
    report["compared"] = {"on": name, **_compared(run, scorer.tables, part)}
    deviation = report["compared"]["self_normalisation"]["log_z_sd"]
    if not run.config.training.self_normalize:
        text_of = f"log Z deviates by {deviation:.3g} nats: this run was not trained with "
        on_event(events.Message(f"{text_of}--self-normalize, its scores are relative", True))
    elif deviation > FAR_FROM_1:
        on_event(
            events.Message(
                f"log Z deviates by {deviation:.3g} nats; a larger --self-normalize in training "
                "brings it nearer to 0"
            )
        )
    return report


def _text(run: Run, inputs: Sequence[str], on_event: events.OnEvent) -> tuple[str, Part] | None:
    if inputs:
        part: Part | None = read_text(run, inputs, on_event=on_event)
        name = ", ".join(inputs)
    else:
        folder = run.folder / DATA_FOLDER
        part = open_parts(folder).get("valid") if folder.is_dir() else None
        name = "validation part"
        if part is not None and part.predictions and np.max(part.ids_N) >= len(run.vocabulary):
            part = None  # not the text of this run
    return (name, part) if part is not None and part.predictions else None


def _compared(run: Run, tables: Tables, part: Part) -> dict[str, Any]:
    """Exact figures, and how far the tables' scores are from the model's logits."""
    context = run.config.training.context
    scorer = NeuralScorer(run.weights, run.config.model)
    logits = TargetScores(part, *output_rows(run))
    nll_N = scorer.nll(part, context, logits)
    scores_N = tables.scores(part.ids_N, part.sequence_starts(context)).astype(np.float64)
    off_N = scores_N - logits.scores_N
    return {
        "context": context,
        "predictions": part.predictions,
        "ppl": perplexity(float(nll_N.sum()), part.predictions),
        "self_normalisation": logits.figures(nll_N),
        "difference": {
            "mean": float(off_N.mean()),
            "mean_abs": float(np.abs(off_N).mean()),
            "max_abs": float(np.abs(off_N).max()),
        },
    }
