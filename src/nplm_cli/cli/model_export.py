"""``nplm export --format arpa|nplm``: a run's model in the files of other programs."""

from pathlib import Path
from typing import Any

from nplm_cli.cli import output
from nplm_cli.errors import ConfigError

MODEL_FORMATS = ("arpa", "nplm")


def export_model(
    source: Path,
    file: Path,
    format: str,
    *,
    order: int | None,
    min_count: int | None,
    weight: float | None,
    threshold: float | None,
    json: bool,
    quiet: bool,
) -> None:
    """Write the file and say what it holds and what it loses."""
    from nplm_cli.cli.progress import ProgressView
    from nplm_cli.interchange.export import export_arpa, export_isi
    from nplm_cli.query.run import Run

    if str(file) == "-":
        raise ConfigError(
            f"--format {format} cannot go to stdout, where its figures go: name a file"
        )
    if source.is_file():
        raise ConfigError(f"{source} is a file: --format {format} needs a run directory")
    with ProgressView(quiet=quiet) as view:
        if format == "arpa":
            record = export_arpa(
                Run(source),
                file,
                order=order,
                min_count=min_count,
                weight=weight,
                threshold=threshold,
                on_event=view,
            )
        elif (order, min_count, weight, threshold) != (None,) * 4:
            raise ConfigError(
                "--order, --min-count, --network-weight and --prune belong to --format arpa"
            )
        else:
            record = export_isi(Run(source), file, on_event=view)
    if json:
        output.write_json({"schema": 1, "run": str(source), "file": str(file), **record})
        return
    output.write_table(["what", "value"], _rows(record))
    if not quiet:
        output.note(f"written: {file}")


def _rows(record: dict[str, Any]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for name, value in record.items():
        if name == "ngrams":
            rows += [[f"ngrams_{order}", count] for order, count in enumerate(value, 1)]
        elif name == "held_out":  # the weight was chosen on the other sentences
            rows += [[f"held_out {key}", figure] for key, figure in (value or {}).items()]
        else:
            rows.append([name, value])
    return rows
