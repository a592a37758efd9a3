"""Words of a corpus as text that drives nothing (no terminal, page or table); words of commands;
numbers.
"""

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


def shown_number(value: float, places: int) -> str:
    """A number to so many places; very small and very large ones by their powers of ten."""
    size = abs(value)
    if size and (size < 0.5 * 10**-places or size >= 1e9):
        return f"{value:.{min(places, 4)}e}"
    text = f"{value:.{places}f}"
    return text[1:] if text.startswith("-") and not float(text) else text


def shortened(text: str, columns: int) -> str:
    """Text of at most so many columns of a terminal, full-width characters two; … for the rest."""
    text, width = plain(text), 0
    for place, c in enumerate(text):
        own = 2 if unicodedata.east_asian_width(c) in "WF" else 1
        if width + own > columns - 1 and place < len(text) - 1:
            return text[:place] + "…"
        width += own
    return text if width <= columns else text[:-1] + "…"
