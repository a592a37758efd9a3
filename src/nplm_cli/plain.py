"""Words of a corpus as text that drives nothing (no terminal, page or table); words of commands."""

import json
import os
import unicodedata
from pathlib import Path


def plain(text: str) -> str:
    """Text with control characters shown as escapes: a word of a corpus never drives a terminal.

    Tabs and line ends are escaped too, so that a row stays a row.
    """
    if text.isprintable():
        return text
    return "".join(
        c if _is_harmless(c) else c.encode("unicode_escape", "backslashreplace").decode()
        for c in text
    )


def _is_harmless(c: str) -> bool:
    return unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def json_plain(text: str) -> str:
    """JSON text on one line with its control characters spelled as JSON does: the same values."""
    if text.isprintable():
        return text
    return "".join(c if _is_harmless(c) else json.dumps(c)[1:-1] for c in text)


def quoted(word: str | Path) -> str:
    """A word of a command line, as a shell of this system reads it."""
    if os.name == "nt":
        from subprocess import list2cmdline

        return list2cmdline([str(word)])
    from shlex import quote

    return quote(str(word))


def counted(number: int, what: str) -> str:
    """A number of things: ``1 word``, ``2 words``."""
    plural = "hypotheses" if what == "hypothesis" else f"{what}s"
    return f"{number:,} {what if number == 1 else plural}"
