"""A file that goes out again with something added: its text, and how its bytes come back.

For lists and tables of a user, not for corpora: the whole file is in memory.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from nplm_cli.corpus.decoder import Decoder
from nplm_cli.corpus.encodings import MARKS, checked_encoding
from nplm_cli.corpus.readers import list_files, open_blocks, shown_name
from nplm_cli.errors import InputError

_LINE = re.compile(r"([^\r\n]*)(\r\n|[\r\n]|\Z)")
# Names under which Python writes a mark at each call: the encodings that they leave open.
_WITHOUT_MARK = {
    "utf-8-sig": ("utf-8",),
    "utf-16": ("utf-16-le", "utf-16-be"),
    "utf-32": ("utf-32-le", "utf-32-be"),
}


class ExactLine(NamedTuple):
    """A line: its number from 1, its text, and its end as it stood (empty after the last)."""

    number: int
    text: str
    end: str


@dataclass(frozen=True)
class ExactText:
    """A file's name for messages, its text, and its encoding and byte order mark.

    ``mark + encode(text)`` are the bytes that were read (decompressed).
    """

    name: str
    text: str
    encoding: str
    mark: bytes

    def lines(self) -> Iterator[ExactLine]:
        """Lines with their ends: LF, CRLF, CR; put together they are the text."""
        for number, match in enumerate(_LINE.finditer(self.text), 1):
            if match[0]:
                yield ExactLine(number, match[1], match[2])

    def encode(self, text: str) -> bytes:
        """Bytes of a piece of text in the file's encoding, without the mark."""
        return text.encode(self.encoding)


def read_exact(
    name: str,
    encoding: str = "auto",
    *,
    stdin: BinaryIO | None = None,
    on_event: Callable[[str], None] | None = None,
) -> ExactText:
    """Read a file (``-``: standard input) whole; the encoding is decided as everywhere.

    ``on_event`` and the errors are those of ``read_lines``; InputError as well for a folder, and
    for text that its encoding would write as other bytes.
    """
    encoding = checked_encoding(encoding)
    if list_files([name]) != [name]:
        raise InputError(f"{name}: a folder; name a file")
    with open_blocks(name, stdin) as (_, blocks):
        data = b"".join(blocks)
    decoder = Decoder(shown_name(name), encoding, on_event, replaceable=False, keep_marks=True)
    text = "".join(decoder.decode(iter([data] if data else [])))
    found = decoder.encoding or "utf-8"  # nothing but ASCII: the encoding was left open
    for codec in _WITHOUT_MARK.get(found, (found,)):
        for mark in (b"", *MARKS):
            if data.startswith(mark) and data[len(mark) :] == _encoded(text, codec):
                return ExactText(shown_name(name), text, codec, mark)
    raise InputError(
        f"{shown_name(name)}: {found} would not give the same bytes again; convert it to UTF-8"
    )


def _encoded(text: str, codec: str) -> bytes | None:
    """Bytes of the text written line by line, which some encodings tell from the whole."""
    try:
        return b"".join(match[0].encode(codec) for match in _LINE.finditer(text))
    except UnicodeEncodeError:
        return None
