"""Words of a corpus in a page, a drawing or a Markdown table: always text, never markup."""

import re

from nplm_cli.plain import plain

# What starts something in GitHub's Markdown, wherever it stands: as a number it never does.
_MARKDOWN = re.compile(
    r"[\\`*_\[\]<>|$~&]"  # code, emphasis, links, HTML, cells, formulas, strikethrough, entities
    r"|:(?=//|[\w+-]+:)|(?<=www)\.|@(?=\S)"  # addresses, :smile:, mentions
    r"|^(?:\#{1,6}|[+-]|\d+[.)])(?=\s|$)|^[=-]+$",  # headings, lists, underlined headings
    re.M,
)


def shown(text: str) -> str:
    """Text with what is no character (U+FFFF, half a surrogate pair, controls) as an escape.

    XML and HTML do not hold them, not even escaped.
    """
    return re.sub(
        "[\ufffe\uffff]", lambda found: found[0].encode("unicode_escape").decode(), plain(text)
    )


def markdown(text: str) -> str:
    """Text for a cell or paragraph of GitHub's Markdown: punctuation that means something escaped.

    >>> markdown("a|b")
    'a&#124;b'
    """
    return _MARKDOWN.sub(
        lambda found: "".join(f"&#{ord(c)};" for c in found[0]),
        shown(text),
    )
