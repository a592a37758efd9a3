"""``nplm compare``: runs side by side, ranked only where they are alike."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.cli.arguments import Context, Json, Quiet, checked_context
from nplm_cli.cli.progress import ProgressView
from nplm_cli.errors import ConfigError

LEDGER = (
    "ppl",
    "ppl_without_eos",
    "ppl_excluding_oov",
    "ppl_oov_adjusted",
    "bits_per_char",
    "oov_share",
    "predictions",
    "context",
    "order",
)
FIGURES = {"ppl": "perplexity", "bits_per_char": "OOV-adjusted bits per character"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare_cli)


def compare_cli(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Two or more finished runs.")],
    part: Annotated[
        str | None,
        typer.Option(
            metavar="valid|test",
            help="Which of the runs' own stored texts.",
            show_default="valid",
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(help="Score this text, read as each run's own was.", metavar="FILE"),
    ] = None,
    context: Context = None,
    bootstrap: Annotated[
        int,
        typer.Option(help="Resamples of the 95 % intervals.", metavar="N", min=100, max=100_000),
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.", min=0)] = 1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare runs on one text: ledgers side by side, ratios with intervals."""
    from nplm_cli.comparison import compare
    from nplm_cli.evaluation.ledger import OOV_WARNING_SHARE

    if part not in (None, "valid", "test"):
        raise ConfigError(f"--part {part!r}: expected valid or test")
    if on and part:
        raise ConfigError("--part is a text that the runs keep, --on another one: choose one")
    with ProgressView(quiet=quiet) as view:
        result = compare(
            runs,
            part="test" if part == "test" else "valid",
            on=on or (),
            context=checked_context(context),
            resamples=bootstrap,
            seed=seed,
            on_event=view,
        )
    if not quiet:
        output.note(_header(result, context))
    shares = [record["ledger"]["oov_share"] for record in result["runs"]]
    if result["ranked_by"] == "ppl" and max(shares) > OOV_WARNING_SHARE:
        output.warn(
            f"{max(shares):.1%} of the words are unknown, and predicting <unk> well counts, too: "
            "see ppl_excluding_oov and bits_per_char"
        )
    for text in _remarks(result):
        output.warn(text)
    if json:
        output.write_json(result)
        return
    records = [_row(record, result["ranked_by"]) for record in result["runs"]]
    if output.to_terminal():  # so many columns fit no window: a column a run
        columns = ["figure", *(record.pop("run") for record in records)]
        rows = [[name, *(record[name] for record in records)] for name in records[0]]
        output.write_table(columns, rows)
    else:
        output.write_table(list(records[0]), [list(record.values()) for record in records])


def _header(result: dict[str, Any], forced: str | None) -> str:
    text = ", ".join(result["on"]) if result["on"] else f"each run's own {result['part']} text"
    policy = result["context"] or "each run's own"
    note = " (for all runs, by --context)" if forced else ""
    if result["ranked_by"] is None:
        return f"{text}; context: {policy}{note}; not ranked"
    return (
        f"{text}; context: {policy}{note}; ranked by {FIGURES[result['ranked_by']]}; 95 % "
        f"intervals of {result['bootstrap']:,} paired resamples of sentences, seed {result['seed']}"
    )


def _remarks(result: dict[str, Any]) -> Iterator[str]:
    """Why runs are not ranked, or ranked by something else."""
    for reason in result["reasons"]:
        yield f"perplexities are not ranked: {reason}"
    for record in result["runs"]:
        if record["rank"] is None and record["reason"] not in (None, "; ".join(result["reasons"])):
            yield f"{record['run']} is not ranked: {record['reason']}"


def _row(record: dict[str, Any], ranked_by: str | None) -> dict[str, Any]:
    ledger = record["ledger"]
    kneser_ney = (ledger["baselines"] or {}).get("kneser_ney", {})
    to_baseline = ledger["ppl_ratio_to_kneser_ney"] or {}
    ratio = record[f"{ranked_by}_ratio"] if ranked_by else None
    interval = ratio and ratio["interval_95"]
    row = {
        "run": record["run"],
        "arch": record["arch"],
        "parameters": record["parameters"],
        "tokens_per_second": record["tokens_per_second"],
        "training_seconds": record["training_seconds"],
        **{name: ledger[name] for name in LEDGER},
        "kneser_ney_ppl": kneser_ney.get("ppl"),
        "ppl_ratio_to_kneser_ney": to_baseline.get("ratio"),
        "rank": record["rank"],
        "ranked_by": ranked_by,
        "ratio_to_best": ratio and ratio["ratio"],
        "interval_95": interval and f"{interval[0]:.4g} to {interval[1]:.4g}",
    }
    if ledger["order"] is None:
        row["order"] = "unbounded"
    return row
