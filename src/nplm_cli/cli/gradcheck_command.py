"""``nplm gradcheck``: back-propagation against differences, tensor by tensor."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.cli.arguments import Json, Quiet
from nplm_cli.cli.progress import ProgressView
from nplm_cli.errors import ArtifactError, ConfigError, InputError, TrainingError
from nplm_cli.plain import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nplm_cli.corpus.shards import Part
    from nplm_cli.events import OnEvent
    from nplm_cli.query.run import Run
    from nplm_cli.training.gradient_check import Check, TensorCheck


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gradcheck")(gradcheck_cli)


def gradcheck_cli(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]",
            help="Run directory of nplm train, checked under the loss of its training without "
            "penalties (--l2, --ar, --tar), noise and schedule; without RUN a small random model "
            "of each architecture is checked.",
        ),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Without RUN: this architecture alone, or one of its variants (ffn-relu).",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="Of a RUN: the sentence to read (else its own validation or training text)."
        ),
    ] = None,
    entries: Annotated[
        int | None,
        typer.Option(
            min=1, help="Of a RUN: numbers checked of each tensor.", show_default="20", metavar="N"
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100_000,
            help="Of a RUN: how much of its own text is read.",
            show_default="64",
            metavar="N",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Largest relative error that holds, above 0.")
    ] = 1e-5,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**63 - 1, help="Seed of the small models, or of the choice of entries."
        ),
    ] = 1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check back-propagation: autograd against finite differences, in float64."""
    given = {"text": text, "entries": entries, "tokens": tokens}
    idle = [name for name, value in given.items() if value is not None and run is None]
    if idle:
        raise ConfigError(f"--{idle[0]} is for the model of a run: name the RUN")
    if run is not None and arch is not None:
        raise ConfigError("--arch chooses among the small models: leave it out beside a RUN")
    if not 0 < tolerance < math.inf:
        raise ConfigError(f"--tolerance {tolerance}: expected a number above 0, such as 1e-5")
    if text is not None and tokens is not None:
        raise ConfigError("--tokens cuts the run's own text: leave it out beside --text")
    with ProgressView(quiet=quiet) as view:
        if run is None:
            from nplm_cli.training.checked_models import check_variants, chosen_variants

            variants = chosen_variants(arch)
            found = list(check_variants(variants, seed=seed, tolerance=tolerance, on_event=view))
        else:
            settings = {"entries": entries or 20, "tokens": tokens or 64}
            found = [_check_run(run, text, view, seed=seed, tolerance=tolerance, **settings)]
    _write(found, run, seed, tolerance, json=json)
    _tell(found, quiet=quiet)


def _check_run(folder: Path, text: str | None, view: "OnEvent", **settings: Any) -> "Check":
    from nplm_cli.query.run import Run

    run = Run(folder)
    run.require_single()
    if not run.config.model.neural:
        raise ConfigError(
            f"{folder}: an n-gram count model has no gradients; check a network "
            "(nplm train --arch ffn ...), or the small models (nplm gradcheck)"
        )
    part = _own_text(run) if text is None else _typed_text(run, text)
    if text is not None:
        settings["tokens"] = part.predictions

    from nplm_cli.training.checked_models import check_run
    from nplm_cli.training.checkpoints import load_network

    model, config, counts_V = load_network(run), run.config.training, run.vocabulary.counts
    return check_run(model, part, config, counts_V, name=str(folder), on_event=view, **settings)


def _own_text(run: "Run") -> "Part":
    """Validation text of a run, or its training text. Raises ArtifactError when both are gone."""
    from nplm_cli.corpus.shards import check_ids, open_parts

    folder = run.folder / "data"
    if not folder.is_dir():
        raise ArtifactError(
            f"{run.folder}: its text is gone (no data folder): say what to read with --text"
        )
    parts = open_parts(folder)
    check_ids(folder, parts, len(run.vocabulary))
    for name in ("valid", "train"):
        if name in parts and parts[name].predictions:
            return parts[name]
    raise ArtifactError(f"{folder}: no text: say what to read with --text")


def _typed_text(run: "Run", text: str) -> "Part":
    from nplm_cli.cli.arguments import tell_prompt
    from nplm_cli.corpus.shards import sentences_of_ids
    from nplm_cli.query.predict import read_prompt

    prompt = read_prompt(run, text)
    if not prompt.ids:
        raise InputError("--text is empty: expected a sentence")
    tell_prompt(prompt)
    return sentences_of_ids([prompt.ids])


def _write(
    found: "list[Check]", run: Path | None, seed: int, tolerance: float, *, json: bool
) -> None:
    from nplm_cli.training.gradient_check import FLOOR, STEP, all_hold

    if json:
        output.write_json(
            {
                "schema": 1,
                "run": None if run is None else str(run),
                "seed": seed,
                "tolerance": tolerance,
                "step": STEP,
                "floor": FLOOR,
                "holds": all_hold(check.holds for check in found),
                "models": [
                    {
                        "model": check.model,
                        "arch": check.arch,
                        "loss": check.loss,
                        "predictions": check.predictions,
                        "relative_error": check.relative_error,
                        "holds": check.holds,
                        "tensors": [_record(tensor) for tensor in check.tensors],
                    }
                    for check in found
                ],
            }
        )
        return
    columns = ["model", "tensor", "shape", "entries", "kinks", "relative_error"]
    columns += ["absolute_error", "at", "verdict"]
    output.write_table(columns if run is None else columns[1:], _rows(found, run))


def _rows(found: "list[Check]", run: Path | None) -> "Iterable[list[Any]]":
    for check in found:
        for tensor in check.tensors:
            row = [
                tensor.name,
                "x".join(map(str, tensor.shape)),
                tensor.entries,
                tensor.kinks,
                _short(tensor.relative_error),
                _short(tensor.absolute_error),
                None if tensor.worst is None else ",".join(map(str, tensor.worst.index)),
                {True: "holds", False: "WRONG", None: "kinks"}[tensor.holds],
            ]
            yield row if run is not None else [check.model, *row]


def _short(error: float | None) -> str | None:
    return None if error is None else f"{error:.1e}"


def _record(tensor: "TensorCheck") -> dict[str, Any]:
    worst = tensor.worst
    return {
        "tensor": tensor.name,
        "shape": list(tensor.shape),
        "entries": tensor.entries,
        "kinks": tensor.kinks,
        "relative_error": tensor.relative_error,
        "absolute_error": tensor.absolute_error,
        "worst": None
        if worst is None
        else {
            "index": list(worst.index),
            "gradient": worst.gradient,
            "difference": worst.difference,
        },
        "holds": tensor.holds,
    }


def _tell(found: "list[Check]", *, quiet: bool) -> None:
    """Tell of kinks; raise TrainingError, naming the tensors, when gradients are wrong."""
    kinks = sum(tensor.kinks for check in found for tensor in check.tensors)
    checked = sum(tensor.entries for check in found for tensor in check.tensors)
    if kinks and not quiet:
        output.note(
            f"{counted(kinks, 'kink')} among {checked:,} entries: the slopes to the left and to "
            "the right differ there (a ReLU at 0), so there is nothing to compare with"
        )
    wrong = [
        f"{check.model} {tensor.name}"
        for check in found
        for tensor in check.tensors
        if tensor.holds is False
    ]
    if wrong:
        more = f" and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise TrainingError(f"wrong gradients: {', '.join(wrong[:8])}{more}")
    if checked == kinks:
        output.warn("all entries are kinks: nothing was compared")
    elif not quiet:
        compared = f"{counted(len(found), 'model')}, {checked - kinks:,} entries"
        output.note(f"all gradients that were compared hold ({compared})")
