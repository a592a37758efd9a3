"""Bilingual dictionaries: a word and its translation a line."""

from collections.abc import Callable

from nplm_cli.corpus.readers import read_lines, shown_name
from nplm_cli.errors import InputError
from nplm_cli.plain import plain


def read_dictionary(
    path: str, encoding: str = "auto", *, on_event: Callable[[str], None] | None = None
) -> list[tuple[str, str]]:
    """Pairs (source word, target word) in order, repetitions dropped.

    A line is a pair with a tab or blanks between; a word with several translations has several
    lines; blank lines and those that begin with # are skipped. Encoding, gzip, line ends and
    ``-`` as in ``corpus.readers.read_lines``, whose errors it raises. Raises InputError, with
    the line, where there are not two words, and for a file without pairs.
    """
    pairs: dict[tuple[str, str], None] = {}
    for line in read_lines([path], encoding, on_event=on_event):
        text = line.text.strip().removeprefix("\ufeff")
        if not text or text.startswith("#"):
            continue
        words = [field.strip() for field in text.split("\t")] if "\t" in text else text.split()
        if len(words) != 2 or not all(words):
            found = f"{len(words)} field{'s' * (len(words) != 1)} in {plain(text[:60])!r}"
            raise InputError(
                f"{shown_name(path)}:{line.number}: {found}: expected a source word and a target "
                "word with a tab or a space between (# begins a comment)"
            )
        pairs[words[0], words[1]] = None
    if not pairs:
        raise InputError(
            f"{shown_name(path)}: no pair: expected a source word and a target word a line"
        )
    return list(pairs)
