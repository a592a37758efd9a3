"""A run in a few lines: what ``nplm info`` shows."""

import dataclasses
from typing import Any

from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.query.mixture import first_neural, joint_order
from nplm_cli.query.run import Run

# Settings that are told even where they are the default; others only where they are not.
SHAPE = ("combine", "hidden", "activation", "window", "stride", "heads", "positions")


def describe(run: Run) -> dict[str, Any]:
    """Model, text, vocabulary and result of a run, by name.

    Layers are counted as the lectures do: hidden layers and the output layer, the input not.
    """
    model, training = run.config.model, run.config.training
    data = run.record.get("data", {})
    parts = data.get("parts", {})
    own = ARCHITECTURES[model.arch].settings
    record: dict[str, Any] = {
        "run": str(run.folder),
        "arch": model.arch,
        "architecture": ARCHITECTURES[model.arch].title,
        "order": None if model.context is None else model.context + 1,
        "context": training.context,
    }
    if run.mixture is not None:
        record |= _mixed(run)
    elif not model.neural:
        record["smoothing"] = model.smoothing
    else:
        record |= {
            "layers": model.layers + 1,
            "layers_counted": f"{model.layers} hidden + output, input not counted",
            "dim": model.dim,
            "tied": model.tie,
        }
        without = () if model.layers else ("hidden", "activation", "norm")
        for field in dataclasses.fields(model):
            if field.name in own and field.name not in (*record, *without):
                value = getattr(model, field.name)
                if value != field.default or field.name in SHAPE:
                    record[field.name] = value
        record["parameters"] = run.parameters
    record |= {
        "vocabulary": len(run.vocabulary),
        "unknown_types": run.unknown_types.types,
        "language": run.recipe.lang,
        "format": run.recipe.format,
        "sentences": run.recipe.sentences,
    }
    if run.recipe.user_words:
        record["user_words"] = len(run.recipe.user_words)
    for name, counts in parts.items():
        record[f"{name}_sentences"] = counts["sentences"]
        record[f"{name}_words"] = counts["words"]
        record[f"{name}_oov_share"] = counts["oov"] / counts["words"] if counts["words"] else 0.0
    report = run.report()
    if report is None:
        record["finished"] = False
    else:
        record["finished"] = True
        record |= {f"training_{key}": value for key, value in report["training"].items()}
        for name in ("valid", "test"):
            if report[name]:
                record[f"{name}_ppl"] = report[name]["ppl"]
                baselines = report[name]["baselines"]
                if baselines:
                    record[f"{name}_ppl_kneser_ney"] = baselines["kneser_ney"]["ppl"]
    if run.mixture is None:
        record["seed"] = training.seed
    record["nplm"] = run.record.get("nplm")
    return record


def _mixed(run: Run) -> dict[str, Any]:
    """What is said of a mixture: its components and caches, each with its weight."""
    assert run.mixture is not None
    orders = [part.config.model.context for part in run.components]
    record: dict[str, Any] = {
        "arch": run.arch,
        "architecture": "linear interpolation (Jelinek & Mercer 1980)",
        "order": joint_order(
            [None if order is None else order + 1 for order in orders],
            run.mixture.caches,
            first_neural(run.components),
        ),
    }
    for number, part in enumerate(run.mixture.components, 1):
        record[f"component_{number}"] = f"{part.arch}, {part.run}, weight {part.weight:.4g}"
    for number, cache in enumerate(run.mixture.caches, 1):
        record[f"cache_{number}"] = str(cache)
    return record | {"parameters": run.parameters}
