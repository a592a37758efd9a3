"""Pages become text: of HTML what a browser shows, a line for each block.

The parser is lxml's (libxml2): it repairs what real pages get wrong, and it is the one well-kept
parser that can be fed block by block and hands over tags and text as they come, so that a page
is never in memory as a tree. It is an extra (``nplm-cli[html]``).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nplm_cli.corpus.encoding_guess import LARGER
from nplm_cli.corpus.encodings import checked_encoding
from nplm_cli.errors import ConfigError, InputError

# How far the beginning of a page is looked at.
HEAD_BYTES = 4096
_NAMES = re.compile(r"\.(?:x?html?)(?:\.(?:gz|bz2|xz|zst))?\Z", re.IGNORECASE)
# Nothing before the tag can be read in two ways: no backtracking, which would take for ever.
_BEGINNING = re.compile(
    rb"(?>\s+|<\?xml[^>]*+>|<!--.*?-->)*+<(?:!doctype\s++html|html)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_DECLARED = re.compile(
    rb"<(?:meta[^>]+?charset|\?xml[^>]+?encoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE
)
# Elements whose text is not shown, or is not the text (controls, pronunciation above characters).
HIDDEN = frozenset([
    "title", "script", "style", "template", "noscript", "noframes", "iframe", "object", "embed",
    "applet", "audio", "video", "canvas", "svg", "math", "select", "datalist", "textarea", "rp",
    "rt", "dialog",
])  # fmt: skip
VOID = frozenset([
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input",
    "keygen", "link", "meta", "param", "source", "track", "wbr",
])  # fmt: skip
# Elements that a blank line parts from what is around them, and those that begin a line.
BLOCKS = frozenset([
    "address", "article", "aside", "blockquote", "body", "center", "details", "dir", "div", "dl",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hgroup", "hr", "html", "legend", "listing", "main", "menu", "nav", "ol", "p",
    "plaintext", "pre", "search", "section", "summary", "table", "ul", "xmp",
])  # fmt: skip
LINES = frozenset(["br", "caption", "dd", "dt", "li", "option", "tbody", "tfoot", "thead", "tr"])
CELLS = frozenset(["td", "th"])
_PREFORMATTED = frozenset(["pre", "listing", "xmp", "plaintext"])
_NOT_SHOWN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
# What HTML takes for white space; U+00A0 and U+3000 are characters.
_SPACE = re.compile(r"[ \t\n\f\r]+")


def is_page(name: str, head: bytes) -> bool:
    """Whether a file is HTML, by its name or by its first (decompressed) bytes."""
    # Without zeros UTF-16 is as good as ASCII here.
    plain = head[:HEAD_BYTES].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe")
    return _NAMES.search(name) is not None or _BEGINNING.match(plain) is not None


def declared_encoding(head: bytes) -> str:
    """Python's name of the encoding that a page declares, or an empty string.

    As browsers do, the name is taken for the larger encoding that is meant by it, and UTF-16 in
    bytes that can be read as ASCII for the mistake that it is.
    """
    found = _DECLARED.search(head[:HEAD_BYTES])
    if found is None:
        return ""
    try:
        name = checked_encoding(found[1].decode("ascii"))
    except ConfigError:
        return ""
    return "" if name == "auto" or name.startswith("utf") else LARGER.get(name, name)


def visible_text(texts: Iterator[str], name: str) -> Iterator[str]:
    """Lines of the page whose source is ``texts``; raises InputError without lxml."""
    try:
        from lxml import etree
    except ImportError as error:
        raise InputError(
            f"{name}: an HTML page, whose text takes the package lxml: pip install "
            "'nplm-cli[html]'; or read the source as it is with --markup text"
        ) from error
    page = PageText()
    # Bytes in a named encoding: what the page says of its own is about the file.
    parser = etree.HTMLParser(target=page, encoding="utf-8", huge_tree=True)
    fed = False
    try:
        for text in texts:
            if text:
                fed = True
                parser.feed(text.replace("\0", "\ufffd").encode())
                yield from page.take()
        if fed:
            parser.close()
    except etree.LxmlError as error:
        raise InputError(
            f"{name}: lxml cannot read this page ({error}); read its source with --markup text"
        ) from error
    page.close()
    yield from page.take()


class PageText:
    """What lxml tells its events; the text comes out of ``take``, line by line with line ends."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._line: list[str] = []
        self._hidden: list[str] = []  # open elements that are not shown, from the outermost
        self._preformatted = 0
        self._begun = False
        self._parted = False  # a blank line comes before the next one

    def start(self, tag: str, attributes: Mapping[str, Any]) -> None:
        """Take the begin of an element."""
        if self._hidden or tag in HIDDEN or _is_hidden(attributes):
            if tag not in VOID:
                self._hidden.append(tag)
            return
        self._part(tag)
        if tag in _PREFORMATTED:
            self._preformatted += 1

    def end(self, tag: str) -> None:
        """Take the end of an element, which may end others that were left open."""
        if self._hidden:
            if tag in self._hidden:
                while self._hidden.pop() != tag:
                    pass
            return
        if tag in VOID:  # said twice, as begin and end
            return
        self._part(tag)
        if tag in _PREFORMATTED:
            self._preformatted = max(0, self._preformatted - 1)

    def data(self, text: str) -> None:
        """Take text between tags, in pieces of any length."""
        if self._hidden:
            return
        text = text.replace("\u00ad", "")  # where a word may be parted, if it is
        if not self._preformatted:
            self._line.append(text)
            return
        first, *rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._line.append(first)
        for line in rest:
            self._end_line()
            self._line.append(line)

    def close(self) -> None:
        """Take the end of the page."""
        self._end_line()

    def take(self) -> list[str]:
        """The lines since the last call, some with a blank line before."""
        done, self._done = self._done, []
        return done

    def _part(self, tag: str) -> None:
        if tag in BLOCKS:
            self._end_line()
            self._parted = self._begun
        elif tag in LINES:
            self._end_line()
        elif tag in CELLS:
            self._line.append(" ")

    def _end_line(self) -> None:
        line = _SPACE.sub(" ", "".join(self._line)).strip(" ")
        self._line = []
        if line:
            self._done.append(f"\n{line}\n" if self._parted else f"{line}\n")
            self._begun, self._parted = True, False


def _is_hidden(attributes: Mapping[str, Any]) -> bool:
    return "hidden" in attributes or _NOT_SHOWN.search(attributes.get("style") or "") is not None
