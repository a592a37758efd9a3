"""Words of a corpus as text that drives nothing: no terminal, no page, no table."""

import unicodedata


def plain(text: str) -> str:
    """Text with control characters shown as escapes: a word of a corpus never drives a terminal.

    Tabs and line ends are escaped too, so that a row stays a row.
    """
    if text.isprintable():
        return text
    return "".join(
        c
        if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else c.encode("unicode_escape", "backslashreplace").decode()
        for c in text
    )
