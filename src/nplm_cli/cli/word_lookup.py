"""The words of a test set on the command line: looked up as a run spells them, or reported."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nplm_cli.cli import output
from nplm_cli.cli.vector_source import open_vectors
from nplm_cli.corpus.vocabulary import MAX_UNKNOWN_LISTED
from nplm_cli.errors import UnknownWordError

if TYPE_CHECKING:
    from nplm_cli.query.run import Run
    from nplm_cli.vectors.lookup import Lookup

SHOWN_UNKNOWN = 5


def open_lookup(
    source: Path, vectors: str, ignore_case: bool, restrict: int | None = None
) -> "tuple[Lookup, Run | None]":
    """Open vectors (and their run); words are looked up as the run's training text has them."""
    from nplm_cli.vectors.lookup import Lookup

    keyed, run = open_vectors(source, vectors)
    normalize = None if run is None else run.recipe.spelled
    lookup = Lookup(keyed, normalize=normalize, ignore_case=ignore_case, restrict=restrict)
    return lookup, run


def known_row(word: str, lookup: "Lookup", run: "Run | None", restrict: int | None) -> int:
    """Row of a word that a query names. Raises UnknownWordError, with what is known instead."""
    from nplm_cli.vectors.unknown import explain_unknown

    row = lookup.row(word)
    if row is not None:
        return row
    word = lookup.normalized(word)
    if restrict is not None and word in lookup.vectors:
        raise UnknownWordError(
            f"{word!r} is not among the {restrict:,} most frequent words: raise --restrict"
        )
    counts = None if run is None else run.unknown_counts
    unknown = explain_unknown(
        word,
        lookup.vectors.index,
        counts,
        unknown_complete=counts is None or len(counts) < MAX_UNKNOWN_LISTED,
    )
    raise UnknownWordError(unknown.describe())


def warn_unknown(result: dict[str, Any], hint: str = "") -> None:
    """Warn of the unknown words in the result of a test: how many and the first few."""
    if result["unknown_words"]:
        output.warn(f"{result['file']}: {_unknown_words(result)}{hint}")


def _unknown_words(result: dict[str, Any]) -> str:
    unknown = result["unknown_words"]
    first = ", ".join(unknown[:SHOWN_UNKNOWN]) + (" ..." if len(unknown) > SHOWN_UNKNOWN else "")
    share = len(unknown) / result["words"]
    return f"{len(unknown):,} of {result['words']:,} words are unknown ({share:.1%}): {first}"


def nothing_covered(result: dict[str, Any], what: str, count: int) -> str:
    """Why a test set says nothing about the vectors."""
    return (
        f"{result['file']}: none of {count:,} {what}s is covered: {_unknown_words(result)}; "
        "--ignore-case may help, or vectors of a larger vocabulary"
    )
