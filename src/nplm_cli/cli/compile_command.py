"""``nplm compile``: the tables of a window model, and what they lose."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.cli.ask import Json, Quiet, RunArgument
from nplm_cli.cli.progress import ProgressView


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compile")(compile_cli)


def compile_cli(
    run: RunArgument,
    dtype: Annotated[
        str, typer.Option(metavar="fp32|fp16|int8", help="Number format of the tables.")
    ] = "fp32",
    output_file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write (default: in the run)."),
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            help="Text on which scores are compared (default: the run's validation part).",
            metavar="FILE",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compile a window model into tables for self-normalised scores (nplm score --compiled)."""
    from nplm_cli.query.run import Run
    from nplm_cli.table_report import compile_and_compare

    with ProgressView(quiet=quiet) as view:
        report = compile_and_compare(Run(run), output_file, dtype, file or [], view)
    if json:
        output.write_json(report)
        return
    output.write_table(["figure", "value", "remark"], _rows(report))


def _rows(report: dict[str, Any]) -> list[list[Any]]:
    size = report["bytes"]
    rows: list[list[Any]] = [
        ["file", report["file"], f"{report['dtype']}, {report['positions']} tables of positions"],
        ["bytes", size["all"], f"model.safetensors: {size['model']:,}"],
        ["bytes of tables", size["tables"], "rows of the first hidden layer"],
        ["bytes of rows", size["rows"], "rows of the output layer"],
    ]
    compared = report["compared"]
    if compared is None:
        return rows
    log_z, off = compared["self_normalisation"], compared["difference"]
    return [
        *rows,
        ["compared on", compared["on"], f"{compared['predictions']:,} predictions"],
        ["ppl", compared["ppl"], "exact, of the model: the tables have none"],
        ["log_z_mean", log_z["log_z_mean"], "of the model; 0: scores are log-probabilities"],
        ["log_z_sd", log_z["log_z_sd"], "nats"],
        ["log_z_abs_max", log_z["log_z_abs_max"], "nats"],
        ["difference mean", off["mean"], "score of the tables less the model's, nats"],
        ["difference mean_abs", off["mean_abs"], "nats"],
        ["difference max_abs", off["max_abs"], "nats"],
    ]
