"""Files, folders and standard input become lines of text.

A file passes up to five steps, each a generator that holds one block: raw bytes, decompressed
bytes (``compression``), text (``decoder``), of a page the visible text (``pages``), lines.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

from nplm_cli.corpus.compression import decompressed, gathered
from nplm_cli.corpus.decoder import Decoder
from nplm_cli.corpus.encodings import checked_encoding, checked_errors
from nplm_cli.corpus.foreign import refuse_foreign
from nplm_cli.corpus.line_blocks import Line, LineBlock, lines_of, split_lines, whole_lines
from nplm_cli.corpus.pages import HEAD_BYTES, declared_encoding, is_page, visible_text
from nplm_cli.errors import ConfigError, InputError, did_you_mean

__all__ = ["Line", "LineBlock", "lines_of", "read_blocks", "read_lines", "split_lines"]

BLOCK_BYTES = 1 << 20
STDIN = "-"
MARKUPS = ("auto", "text", "html")
# Enough for the longest byte order mark.
MARK_BYTES = 8


class Digest(Protocol):
    """What ``hashlib`` returns, as far as it is needed here."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""


def list_files(inputs: Sequence[str], on_event: Callable[[str], None] | None = None) -> list[str]:
    """Return the files behind ``inputs``: files as they are, folders recursively, ``-`` as it is.

    A folder's files come sorted by name, then its subfolders; hidden ones and run directories are
    skipped. So are links to folders, which may lead anywhere and round in circles, and each is told
    to ``on_event``; links to files are read. Raises InputError for a missing path, a broken link, a
    folder without files and for standard input given twice.
    """
    tell = on_event or (lambda event: None)
    if sum(name == STDIN for name in inputs) > 1:
        raise InputError("- given twice: standard input can be read only once")
    files: list[str] = []
    for name in inputs:
        if name == STDIN or not os.path.isdir(name):
            if name != STDIN and not os.path.exists(name):
                raise InputError(f"{name}: no such file or folder")
            files.append(name)
            continue
        found = list(_files_below(name, tell))
        if not found:
            raise InputError(f"{name}: a folder without files (hidden ones are skipped)")
        files.extend(found)
    return files


def _files_below(folder: str, tell: Callable[[str], None]) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}") from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(
            name
            for name in folders
            # A run beside its text is no text.
            if not name.startswith(".")
            and not os.path.exists(os.path.join(parent, name, "tokenizer.json"))
        )
        for name in folders:
            path = os.path.join(parent, name)
            if os.path.islink(path):
                tell(f"{path}: a link to a folder, left out; name that folder to read it")
        for name in sorted(names):
            path = os.path.join(parent, name)
            if not name.startswith(".") and not os.path.exists(path):
                raise InputError(
                    f"{path}: a link to nothing ({os.readlink(path)}); mend or remove it"
                    if os.path.islink(path)
                    else f"{path}: no such file or folder"
                )
            if not name.startswith(".") and os.path.isfile(path):
                yield path


def read_lines(
    inputs: Sequence[str],
    encoding: str = "auto",
    *,
    errors: str = "strict",
    markup: str = "auto",
    stdin: BinaryIO | None = None,
    digest: Digest | None = None,
    on_event: Callable[[str], None] | None = None,
    on_bytes: Callable[[int], None] | None = None,
    on_replaced: Callable[[str, int], None] | None = None,
    cure: str = "",
) -> Iterator[Line]:
    """Yield the lines of all ``inputs`` in order; parameters and errors of ``read_blocks``."""
    return lines_of(
        read_blocks(
            inputs,
            encoding,
            errors=errors,
            markup=markup,
            stdin=stdin,
            digest=digest,
            on_event=on_event,
            on_bytes=on_bytes,
            on_replaced=on_replaced,
            cure=cure,
        )
    )


def read_blocks(
    inputs: Sequence[str],
    encoding: str = "auto",
    *,
    errors: str = "strict",
    markup: str = "auto",
    stdin: BinaryIO | None = None,
    digest: Digest | None = None,
    on_event: Callable[[str], None] | None = None,
    on_bytes: Callable[[int], None] | None = None,
    on_replaced: Callable[[str, int], None] | None = None,
    cure: str = "",
) -> Iterator[LineBlock]:
    r"""Yield all ``inputs`` in blocks of whole lines, in memory bounded by the longest line.

    A line ends at LF, CRLF or CR and nowhere else: U+2028, U+0085 and form feeds are white space
    inside a line. The last line counts with or without an end. ``encoding`` is ``auto`` or a name
    that Python knows; with ``errors="replace"`` U+FFFD takes the place of what is bad, and
    ``on_replaced`` is told each file with any and their number. Of HTML pages the visible text is
    read (``markup`` text: never, html: of all files). ``digest`` takes all bytes as they lie on
    disk, ``on_bytes`` their number block by block, ``on_event`` what was decided about a file
    that is not plain UTF-8. ``cure`` is what to do about a file that no option is for; of such a
    file the encoding is not guessed.

    Raises ConfigError for an unknown encoding; InputError, naming file, line and byte, for what
    cannot be opened, decompressed or decoded.
    """
    encoding, errors = checked_encoding(encoding), checked_errors(errors)
    if markup not in MARKUPS:
        near = did_you_mean(markup, MARKUPS)
        raise ConfigError(f"--markup {markup!r}: expected auto, text or html{near}")
    tell = on_event or (lambda event: None)
    for index, name in enumerate(list_files(inputs, on_event)):
        number = 1
        shown = shown_name(name)
        with open_blocks(name, stdin, digest, on_bytes) as (head, blocks):
            page = markup == "html" or (markup == "auto" and is_page(name, head))
            declared = declared_encoding(head) if page else ""
            decoder = Decoder(
                shown, encoding, on_event, errors=errors, declared=declared, cure=cure
            )
            texts = decoder.decode(blocks)
            if page:
                tell(f"{shown}: an HTML page, its visible text is read")
                texts = visible_text(texts, shown)
            for text in whole_lines(texts, shown):
                yield LineBlock(text, name, index, number)
                number += text.count("\n") + 1
            if decoder.replaced and on_replaced is not None:
                on_replaced(shown, decoder.replaced)


@contextlib.contextmanager
def open_blocks(
    name: str,
    stdin: BinaryIO | None = None,
    digest: Digest | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> Iterator[tuple[bytes, Iterator[bytes]]]:
    """Open one input; gives its beginning and all its bytes, decompressed, block by block.

    The parameters and the errors are those of ``read_lines``.
    """
    shown = shown_name(name)
    with _open(name, stdin) as file:
        head, blocks = _head(decompressed(_raw_blocks(file, name, digest, on_bytes), shown))
        refuse_foreign(head, shown)
        yield head, blocks


def shown_name(name: str) -> str:
    """Return the name of an input as messages have it."""
    return "standard input" if name == STDIN else name


def _open(name: str, stdin: BinaryIO | None) -> contextlib.AbstractContextManager[BinaryIO]:
    if name == STDIN:
        return contextlib.nullcontext(sys.stdin.buffer if stdin is None else stdin)
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from error


def _raw_blocks(
    file: BinaryIO,
    name: str,
    digest: Digest | None,
    on_bytes: Callable[[int], None] | None,
) -> Iterator[bytes]:
    while True:
        try:
            block = file.read(BLOCK_BYTES)
        except OSError as error:
            raise InputError(f"{shown_name(name)}: {error.strerror or error}") from error
        if not block:
            return
        if digest is not None:
            digest.update(block)
        if on_bytes is not None:
            on_bytes(len(block))
        yield block


def _head(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The beginning of a file, as far as it tells what the file is, and all its blocks."""
    _, blocks = gathered(blocks, MARK_BYTES)
    kept = []
    size = 0
    while size < HEAD_BYTES and (block := next(blocks, b"")):
        kept.append(block)
        size += len(block)
    return b"".join(kept), chain(kept, blocks)
