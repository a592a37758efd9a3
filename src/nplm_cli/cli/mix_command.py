"""``nplm mix``: several runs become one, their weights fitted on a text."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.cli.adaptation import PANEL, Caches, cache_requests, cache_text
from nplm_cli.cli.arguments import Json, Quiet, checked_context
from nplm_cli.cli.progress import ProgressView
from nplm_cli.config import CacheSearch
from nplm_cli.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mix")(mix_cli)


def mix_cli(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Runs of one vocabulary, of any kind.")
    ],
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="MIX", help="Run directory to write.")
    ] = None,
    tune: Annotated[
        list[str] | None,
        typer.Option(
            help="Text that the weights are fitted on: never the one to be measured.",
            metavar="FILE",
        ),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(
            metavar="sentence|stream",
            help="Context policy (default: that of the first neural run).",
        ),
    ] = None,
    cache: Caches = None,
    cache_size: Annotated[
        list[int] | None,
        typer.Option(
            help="Words that the cache holds (fitted unless given).", rich_help_panel=PANEL
        ),
    ] = None,
    cache_theta: Annotated[
        list[float] | None,
        typer.Option(
            help="Of --cache neural: sharpness of the match (fitted unless given).",
            rich_help_panel=PANEL,
        ),
    ] = None,
    cache_decay: Annotated[
        list[float] | None,
        typer.Option(
            help="Of --cache unigram: decay a word (fitted unless given).", rich_help_panel=PANEL
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or auto.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace the run that is in MIX.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Mix runs into one: p = sum of weight times p of each, weights by EM on a text."""
    from nplm_cli.mixing import mix

    if folder is None:
        raise ConfigError("where to? name the run directory with -o MIX")
    if not tune:
        raise ConfigError("what to fit the weights on? name a validation text with --tune FILE")
    requests = cache_requests(cache, cache_size, cache_theta, cache_decay)
    with ProgressView(quiet=quiet) as view:
        report = mix(
            runs,
            folder,
            tune,
            caches=[CacheSearch(**request) for request in requests],
            context=checked_context(context),
            device=device,
            force=force,
            argv=sys.argv[1:],
            on_event=view,
        )
    if json:
        output.write_json(report)
    else:
        output.write_table(["part", "what", "ppl", "weight"], _rows(report))
    if not quiet:
        ledger, training = report["tune"], report["training"]
        output.note(
            f"context: {ledger['context']}; {training['iterations']} iterations of EM on "
            f"{ledger['predictions']:,} predictions; fitted on this very text, so measure the "
            f"mixture on another one: nplm eval {folder} FILE"
        )


def _rows(report: dict[str, Any]) -> list[list[Any]]:
    rows = [
        [f"components/{c['component']}", f"{c['arch']}, {c['run']}", c["ppl"], c["weight"]]
        for c in report["components"]
    ]
    rows += [["cache", cache_text(c), None, c["weight"]] for c in report["caches"] or ()]
    fitted = f"fitted on {', '.join(report['tuned_on'])}"
    return [*rows, ["mixture", fitted, report["tune"]["ppl"], 1.0]]
