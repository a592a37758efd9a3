"""``nplm similarity`` and ``nplm analogy``: word vectors against people's ratings and analogies."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.cli.arguments import Json, Quiet
from nplm_cli.cli.progress import ProgressView
from nplm_cli.cli.word_lookup import known_row, nothing_covered, open_lookup, warn_unknown
from nplm_cli.corpus.readers import STDIN, list_files, shown_name
from nplm_cli.errors import ConfigError, InputError

Source = Annotated[
    Path, typer.Argument(metavar="RUN_OR_VECTORS", help="Run directory or vector file.")
]
Vectors = Annotated[
    str, typer.Option(metavar="input|output", help="Word vectors, or rows of the output layer.")
]
IgnoreCase = Annotated[
    bool,
    typer.Option(
        "--ignore-case", help="Words that differ in case are one: the most frequent spelling."
    ),
]
ANALOGY_FORMS = "expected three words, A B C (A is to B as C is to what), or files of questions"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("similarity")(similarity_cli)
    app.command("analogy")(analogy_cli)


def similarity_cli(
    source: Source,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Ratings: word word score; - for stdin.")
    ],
    vectors: Vectors = "input",
    ignore_case: IgnoreCase = False,
    bootstrap: Annotated[
        int,
        typer.Option(help="Resamples of the 95 % interval.", metavar="N", min=100, max=100_000),
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.", min=0)] = 1,
    per_pair: Annotated[bool, typer.Option("--per-pair", help="A row a pair.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare cosines with people's ratings of similarity: Spearman's rho and coverage."""
    from nplm_cli.vectors.ratings import MIN_PAIRS, rate_similarity, read_ratings

    tell = output.teller(quiet)
    rated = [(shown_name(file), read_ratings(file, on_event=tell)) for file in list_files(files)]
    lookup, _ = open_lookup(source, vectors, ignore_case)
    results = []
    for name, pairs in rated:
        result = {"file": name, **rate_similarity(lookup, pairs, resamples=bootstrap, seed=seed)}
        if not result["covered"]:
            raise InputError(nothing_covered(result, "pair", result["pairs"]))
        warn_unknown(result)
        if result["spearman"] is None:
            few = result["covered"] < MIN_PAIRS
            reason = f"at least {MIN_PAIRS} are needed" if few else "one column is constant"
            output.warn(f"{name}: no rho of {result['covered']} covered pairs: {reason}")
        results.append(result)
    if per_pair and not json and not quiet:
        for result in results:
            output.note(_rho_line(result))
    if json:
        shown = [result if per_pair else _without(result, "per_pair") for result in results]
        settings = {"vectors": vectors, "ignore_case": ignore_case}
        output.write_json(
            {"schema": 1, **settings, "bootstrap": bootstrap, "seed": seed, "files": shown}
        )
    elif per_pair:
        output.write_table(
            ["file", "word1", "word2", "rating", "cosine"],
            [[r["file"], *pair.values()] for r in results for pair in r["per_pair"]],
        )
    else:
        _write_similarity(results)


def _write_similarity(results: Sequence[dict[str, Any]]) -> None:
    plain_keys = ("file", "pairs", "covered", "coverage", "words", "spearman")
    last = ("pearson", "spearman_uncovered_as_mean")
    output.write_table(
        [*plain_keys[:5], "unknown_words", "spearman", "interval_low", "interval_high", *last],
        [
            [
                *(r[key] for key in plain_keys[:5]),
                len(r["unknown_words"]),
                r["spearman"],
                *(r["interval_95"] or (None, None)),
                *(r[key] for key in last),
            ]
            for r in results
        ],
    )


def _rho_line(result: dict[str, Any]) -> str:
    low, high = result["interval_95"] or (None, None)
    return (
        f"{result['file']}: Spearman {output.cell(result['spearman'])} (95 %: {output.cell(low)} "
        f"to {output.cell(high)}), {result['covered']:,} of {result['pairs']:,} pairs covered"
    )


def analogy_cli(
    source: Source,
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="A B C | FILE...", help="Three words, or questions; - for stdin."),
    ],
    k: Annotated[
        int | None, typer.Option("-k", "--top", help="Answers.", min=1, show_default="10")
    ] = None,
    vectors: Vectors = "input",
    restrict: Annotated[
        int | None,
        typer.Option(help="Only the N most frequent words are asked and answer.", min=1),
    ] = None,
    ignore_case: IgnoreCase = False,
    per_question: Annotated[
        bool, typer.Option("--per-question", help="A row a question, with the answers.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Complete "A is to B as C is to what", or measure accuracy on files of such questions."""
    if all(name == STDIN or Path(name).exists() for name in arguments):
        if k is not None:
            raise ConfigError(f"-k belongs to three words: {arguments[0]} is a file of questions")
        _answer_files(
            source, arguments, vectors, restrict, ignore_case, per_question, json=json, quiet=quiet
        )
    elif len(arguments) == 3:
        if per_question:
            raise ConfigError("--per-question belongs to files of questions, not to three words")
        _complete(source, arguments, k or 10, vectors, restrict, ignore_case, json=json)
    elif len(arguments) == 1:
        raise ConfigError(f"{arguments[0]}: no such file: {ANALOGY_FORMS}")
    else:
        raise ConfigError(f"{len(arguments)} arguments, not all files: {ANALOGY_FORMS}")


def _complete(
    source: Path,
    words: Sequence[str],
    k: int,
    vectors: str,
    restrict: int | None,
    ignore_case: bool,
    *,
    json: bool,
) -> None:
    from nplm_cli.vectors.analogy import METHODS, complete_analogy

    lookup, run = open_lookup(source, vectors, ignore_case, restrict)
    a, b, c = (known_row(word, lookup, run, restrict) for word in words)
    answers = complete_analogy(lookup, a, b, c, k)
    if json:
        asked = dict(zip("abc", words, strict=True))
        found = {m: [n._asdict() for n in answers[m]] for m in METHODS}
        output.write_json({"schema": 1, **asked, "restrict": restrict, **found})
        return
    columns = [f"{method}_{part}" for method in METHODS for part in ("word", "score")]
    ranked = enumerate(zip(*(answers[m] for m in METHODS), strict=True), 1)
    output.write_table(
        ["rank", *columns],
        [[rank, *(x for n in both for x in (n.word, n.score))] for rank, both in ranked],
    )


def _answer_files(
    source: Path,
    names: Sequence[str],
    vectors: str,
    restrict: int | None,
    ignore_case: bool,
    per_question: bool,
    *,
    json: bool,
    quiet: bool,
) -> None:
    from nplm_cli.vectors.analogy import answer_questions, read_questions

    tell = output.teller(quiet)
    asked = [(shown_name(file), read_questions(file, on_event=tell)) for file in list_files(names)]
    lookup, _ = open_lookup(source, vectors, ignore_case, restrict)
    results = []
    with ProgressView(quiet=quiet) as view:
        for name, questions in asked:
            result = {"file": name, **answer_questions(lookup, questions, on_event=view)}
            if not result["total"]["covered"]:
                raise InputError(nothing_covered(result, "question", result["total"]["questions"]))
            results.append(result)
    for result in results:
        warn_unknown(result, f" (or not among the {restrict:,} most frequent)" if restrict else "")
    if json:
        shown = [r if per_question else _without(r, "per_question") for r in results]
        settings = {"vectors": vectors, "restrict": restrict, "ignore_case": ignore_case}
        output.write_json({"schema": 1, **settings, "files": shown})
    elif per_question:
        columns = list(results[0]["per_question"][0])
        output.write_table(
            ["file", *columns],
            [[r["file"], *question.values()] for r in results for question in r["per_question"]],
        )
    else:
        _write_accuracies(results)


def _write_accuracies(results: Sequence[dict[str, Any]]) -> None:
    from nplm_cli.vectors.analogy import METHODS

    parts = ("accuracy", "accuracy_of_all")

    def rows() -> Iterator[list[Any]]:
        for result in results:
            for record in [*result["sections"], {"section": "TOTAL", **result["total"]}]:
                figures = (record[method][part] for method in METHODS for part in parts)
                counts = (record[key] for key in ("section", "questions", "covered"))
                yield [result["file"], *counts, *figures]

    columns = [f"{method}_{part}" for method in METHODS for part in parts]
    output.write_table(["file", "section", "questions", "covered", *columns], list(rows()))


def _without(record: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != key}
