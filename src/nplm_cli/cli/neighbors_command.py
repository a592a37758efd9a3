"""``nplm neighbors``: word vectors, queried."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from nplm_cli.cli import output
from nplm_cli.cli.arguments import Json, Quiet
from nplm_cli.cli.parameters import Argument, Option, Registry
from nplm_cli.cli.vector_source import open_vectors
from nplm_cli.errors import ConfigError, InputError, UnknownWordError

if TYPE_CHECKING:
    from nplm_cli.vectors.nearest import Metric


def register(app: Registry) -> None:
    """Add the command."""
    app.command("neighbors")(neighbors_cli)


def neighbors_cli(
    source: Annotated[
        Path, Argument(metavar="RUN_OR_VECTORS", help="Run directory or vector file.")
    ],
    words: Annotated[
        list[str] | None, Argument(metavar="WORD|-", help="Words; - for stdin.")
    ] = None,
    k: Annotated[int, Option("-k", "--top", help="Neighbours of each word.", min=1)] = 10,
    random: Annotated[
        int | None, Option(help="Draw so many words instead of naming them.", min=1)
    ] = None,
    seed: Annotated[int, Option(help="Seed of --random.", min=0)] = 1,
    band: Annotated[
        str | None,
        Option(metavar="LOW-HIGH", help="Frequency ranks that --random draws from."),
    ] = None,
    all_tokens: Annotated[
        bool, Option("--all-tokens", help="--random may draw punctuation and digits.")
    ] = False,
    metric: Annotated[
        str, Option(metavar="cosine|euclidean|correlation", help="What near means.")
    ] = "cosine",
    vectors: Annotated[
        str, Option(metavar="input|output", help="Word vectors, or rows of the output layer.")
    ] = "input",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the most similar words, the word itself and the specials left out."""
    keyed, run = open_vectors(source, vectors)
    queries = _queries(keyed, words or [], random, seed, band, all_tokens)
    spelled = {word: word if run is None else run.spelled(word) for word in queries}
    known = [word for word in queries if keyed.index_of(spelled[word]) is not None]
    near = keyed.neighbors([spelled[w] for w in known], k=k, metric=cast("Metric", metric))
    found = dict(zip(known, near, strict=True))
    column = {"cosine": "cosine", "correlation": "correlation", "euclidean": "distance"}[metric]
    unknown = {}
    for word in queries:
        if word not in found and word not in unknown:
            unknown[word] = _explained(spelled[word], keyed, run)
    rows = []
    for word in queries:
        if word in unknown:
            if len(queries) == 1 and words != ["-"]:
                raise UnknownWordError(unknown[word].describe())
            if not json:
                output.warn(unknown[word].describe())
        if json:
            output.write_json(_record(word, found.get(word), unknown.get(word), metric))
        for rank, neighbor in enumerate(found.get(word, []), 1):
            rows.append([word, rank, *neighbor])
    if not json:
        output.write_table(["query", "rank", "word", column, "count"], rows)


def _explained(word: str, keyed: Any, run: Any) -> Any:
    """Why a word is unknown, and what is known instead."""
    from nplm_cli.corpus.vocabulary import MAX_UNKNOWN_LISTED
    from nplm_cli.vectors.unknown import explain_unknown

    counts = run.unknown_counts if run is not None else None
    complete = counts is None or len(counts) < MAX_UNKNOWN_LISTED
    return explain_unknown(word, keyed.index, counts, unknown_complete=complete)


def _record(word: str, neighbors: Any, unknown: Any, metric: str) -> dict[str, Any]:
    record: dict[str, Any] = {"schema": 1, "query": word, "oov": neighbors is None}
    if unknown is not None:
        import dataclasses

        record |= {k: v for k, v in dataclasses.asdict(unknown).items() if k != "word"}
    record["metric"] = metric
    record["neighbors"] = [n._asdict() for n in neighbors or []]
    return record


def _queries(
    keyed: Any,
    words: list[str],
    random: int | None,
    seed: int,
    band: str | None,
    all_tokens: bool,
) -> list[str]:
    if random is not None:
        if words:
            raise ConfigError("--random draws the words: name none beside it")
        from nplm_cli.config import parse_band

        keep = (lambda word: True) if all_tokens else None
        drawn = keyed.sample_words(random, seed=seed, band=parse_band(band), keep=keep)
        if len(drawn) < random:
            output.warn(f"only {len(drawn):,} words qualify of the {random:,} asked for")
        return drawn
    if band is not None or all_tokens:
        raise ConfigError("--band and --all-tokens belong to --random")
    if words == ["-"]:
        try:
            text = sys.stdin.buffer.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"standard input: byte {error.start} is not UTF-8: convert it first"
            ) from error
        words = text.removeprefix("\ufeff").split()
    elif "-" in words:
        raise ConfigError("'-' stands alone: either words or standard input")
    if not words:
        raise ConfigError("no word: name some, or - for standard input, or --random 20")
    return words
