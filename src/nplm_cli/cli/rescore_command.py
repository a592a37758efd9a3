"""``nplm rescore``: the n-best lists of other programs, with a model's log-probability added."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.cli.adaptation import (
    CacheDecays,
    Caches,
    CacheSizes,
    CacheThetas,
    CacheWeights,
    SentenceCacheReach,
    given_caches,
    sentence_reach,
    tell_caches,
)
from nplm_cli.cli.arguments import Quiet, RunArgument, Segmented, warn_of_relative
from nplm_cli.cli.progress import ProgressView
from nplm_cli.cli.score_formats import BASES
from nplm_cli.errors import ConfigError
from nplm_cli.plain import counted

if TYPE_CHECKING:
    from nplm_cli.nbest.lists import NBest
    from nplm_cli.nbest.rescoring import Hypothesis, Ranking, References

# Ends of the names of added columns, and the base in words.
LOGPROBS = {"e": "logprob_e", "2": "logprob_log2", "10": "logprob_log10"}
SELF_NORMALISED = {
    "e": "self_normalised_e",
    "2": "self_normalised_log2",
    "10": "self_normalised_log10",
}
RATES = {"wer": "WER", "cer": "CER", "ser": "SER"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rescore")(rescore_cli)


def rescore_cli(
    run: RunArgument,
    nbest: Annotated[str, typer.Argument(metavar="NBEST", help="N-best list; - for stdin.")],
    format: Annotated[
        str, typer.Option(metavar="auto|moses|tsv|jsonl", help="Layout of the list.")
    ] = "auto",
    output_file: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File for the rescored list (default: stdout)."),
    ] = None,
    base: Annotated[
        str, typer.Option(metavar="e|2|10", help="Base of the log-probabilities.")
    ] = "e",
    name: Annotated[
        str, typer.Option(help="Name of the feature, and beginning of added columns.")
    ] = "nplm",
    weight: Annotated[
        float | None,
        typer.Option(help="Add so many times the log-probability to the total.", min=0),
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="A reference a line, one an id: tunes a weight not given."
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="wer|cer|ser",
            help="Of --references: errors in words, characters or sentences.",
            show_default="wer",
        ),
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Write the best line of each id.")] = False,
    id_column: Annotated[
        str, typer.Option(help="Column (TSV) or key (JSON lines) of the id.")
    ] = "id",
    text_column: Annotated[
        str, typer.Option(help="Column or key of the hypothesis.")
    ] = "hypothesis",
    total_column: Annotated[
        str | None, typer.Option(help="Column or key of the total.", show_default="total")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Integer ids may leave some out.")
    ] = False,
    unit: Annotated[
        str,
        typer.Option(
            "--sentences",
            metavar="line|split",
            help="A hypothesis is scored as one sentence, or split as the training text was.",
        ),
    ] = "line",
    segmented: Segmented = False,
    encoding: Annotated[str, typer.Option(help="Encoding of the list and references.")] = "auto",
    compiled: Annotated[
        bool,
        typer.Option("--compiled", help="Self-normalised scores from the tables of nplm compile."),
    ] = False,
    cache: Caches = None,
    cache_size: CacheSizes = None,
    cache_theta: CacheThetas = None,
    cache_decay: CacheDecays = None,
    cache_weight: CacheWeights = None,
    cache_reach: SentenceCacheReach = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Write a summary as JSON; the list then goes to -o alone."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Rescore an n-best list: log-probabilities added, lines otherwise as they were."""
    import numpy as np

    from nplm_cli.corpus.exact_text import read_exact
    from nplm_cli.corpus.readers import STDIN, list_files, read_lines, shown_name
    from nplm_cli.nbest.distance import count_errors
    from nplm_cli.nbest.layouts import Names
    from nplm_cli.nbest.lists import read_nbest
    from nplm_cli.nbest.rescoring import rank, references_of, score_hypotheses
    from nplm_cli.query.cache_use import use_caches
    from nplm_cli.query.run import Run
    from nplm_cli.query.sentences import SentenceReader

    if base not in LOGPROBS:
        raise ConfigError(f"--base {base!r}: expected e, 2 or 10")
    if unit not in ("line", "split"):
        raise ConfigError(f"--sentences {unit!r}: expected line or split")
    if metric not in (None, "wer") and references is None:
        raise ConfigError("--metric acts on --references: give that, too")
    if weight is not None and not np.isfinite(weight):
        raise ConfigError(f"--weight {weight}: expected a number from 0 on")
    if json and str(output_file) == STDIN:
        raise ConfigError("--json writes the summary to standard output: name a file with -o")
    if json and best and output_file is None:
        raise ConfigError("--best --json: the best lines have nowhere to go; name a file with -o")
    output.refuse_same_file(output_file, [nbest, *list_files([references] if references else [])])
    if nbest == references == STDIN:
        raise ConfigError("'-' stands twice: standard input can be read only once")
    if compiled and cache:
        raise ConfigError("--cache mixes probabilities, which --compiled does not give: choose one")
    ends = SELF_NORMALISED if compiled else LOGPROBS
    names = Names(id_column, text_column, total_column or "total", name, ends[base])
    opened = Run(run)
    more = given_caches(cache, cache_size, cache_theta, cache_decay, cache_weight)
    use = use_caches(opened, more, sentence_reach(cache_reach), running=False)
    scorer: Any
    if compiled:
        from nplm_cli.query.tables import open_tables_scorer

        scorer, caches = open_tables_scorer(opened), []
        warn_of_relative(opened)
    else:
        scorer, caches = use.open(), use.records()
    tell = output.teller(quiet)
    found = read_nbest(
        read_exact(nbest, encoding, on_event=tell), format, names, allow_missing=allow_missing
    )
    if total_column is not None and not found.has_totals:
        raise ConfigError(f"--total-column {total_column!r}: {found.text.name} has no such totals")
    errors = None
    if references is not None:
        lines = [line.text for line in read_lines([references], encoding, on_event=tell)]
        right = references_of(found, lines, shown_name(references), allow_missing=allow_missing)
        errors = count_errors(found.hypotheses, found.groups(), right.texts, metric or "wer")
        if not quiet:
            _tell_references(right, shown_name(references))
    if weight is not None and not found.has_totals:
        raise ConfigError(f"--weight {weight:g}: {found.text.name} has no totals to add to")
    if not quiet:
        tell_caches(use, one_sentence=True)
    reader = SentenceReader(opened.recipe, segmented, unit == "split")
    with ProgressView(quiet=quiet) as view:
        scored = score_hypotheses(opened, scorer, found.hypotheses, reader, view)
    for text in reader.warnings:
        output.warn(text)
    scores = np.array([own.logprob_e for own in scored]) / BASES[base].nats
    ranking = rank(found, scores, weight=weight, errors=errors)
    summary = _summary(run, found, scored, ranking, base, name, caches)
    summary["self_normalised"] = compiled
    if output_file is not None or not json:
        places = ranking.best().tolist() if best else range(len(found.entries))
        with output.data_out(output_file) as file:
            file.writelines(_lines(found, ranking, places))
    if json:
        output.write_json(summary)
    if not quiet:
        _tell(summary)


def _lines(nbest: "NBest", ranking: "Ranking", places: Iterable[int]) -> Iterable[bytes]:
    totals = ranking.new_totals
    yield nbest.head(totals is not None)
    for place in places:
        total = None if totals is None else float(totals[place])
        yield nbest.line(nbest.entries[place], float(ranking.scores[place]), total)


def _summary(
    run: Path,
    nbest: "NBest",
    scored: list["Hypothesis"],
    ranking: "Ranking",
    base: str,
    name: str,
    caches: list[dict[str, Any]],
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "schema": 1,
        "run": str(run),
        "format": nbest.format,
        "ids": len(nbest.ids),
        "hypotheses": len(scored),
        "distinct": len(set(nbest.hypotheses)),
        "blank": sum(not own.words for own in scored),
        "words": sum(own.words for own in scored),
        "oov": sum(own.oov for own in scored),
        "zero_probability": sum(own.logprob_e == float("-inf") for own in scored),
        "base": base,
        "context": "sentence",
        "name": name,
        "weight": ranking.weight,
        "references": ranking.report,
    }
    return record | ({"caches": caches} if caches else {})


def _tell_references(right: "References", name: str) -> None:
    if right.base is not None:
        output.note(f"{name}: id k has line k, counted from {right.base}")
    blank = sum(not text.strip() for text in right.texts)
    if blank:
        output.warn(f"{name}: {counted(blank, 'reference')} of {len(right.texts):,} blank")


def _tell(summary: dict[str, Any]) -> None:
    kind = "self-normalised scores" if summary["self_normalised"] else "log-probabilities"
    output.note(
        f"{counted(summary['hypotheses'], 'hypothesis')} of {counted(summary['ids'], 'id')}; "
        f"{kind} of base {summary['base']}, </s> counted; context: sentence"
    )
    if summary["blank"]:
        blank = counted(summary["blank"], "hypothesis")
        output.warn(f"{blank} without a word, scored as </s> alone")
    if summary["zero_probability"]:
        impossible = counted(summary["zero_probability"], "hypothesis")
        output.note(f"{impossible} to which the model gives probability 0 (-inf)")
    if summary["words"] and summary["oov"]:
        share = summary["oov"] / summary["words"]
        output.note(f"{counted(summary['oov'], 'unknown word')} ({share:.1%}), scored as <unk>")
    report = summary["references"]
    if report is None:
        return
    rate = RATES[report["metric"]]
    before, after, oracle = (report[key]["rate"] for key in ("before", "after", "oracle"))
    rates = f"{rate} {before:.2%} before, {after:.2%} after, {oracle:.2%} oracle"
    weight = f"weight {summary['weight'] or 0:.6g} of base {summary['base']}"
    if summary["weight"] is None:
        output.note(f"{rates}; no totals: the first of each id before, the likeliest after")
    elif not report["tuned"]:
        output.note(f"{weight}: {rates}")
    elif not summary["weight"]:
        output.note(f"{rates}; weight 0: no weight makes fewer errors than the totals alone")
    else:
        low, high = report["interval"]
        end = f"to {high:.4g}" if high < float("inf") else "on"
        output.note(
            f"{weight} ({low:.4g} {end} is as good): {rates}; tuned on these "
            "ids, so measure it on others with --weight"
        )
