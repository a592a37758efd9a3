"""Files, folders and standard input become lines of text: encodings, gzip, line ends, limits.

A file passes three steps, each a generator that holds one block: raw bytes, decompressed bytes
(``COMPRESSIONS``, recognised by magic number), text (``encodings.Decoder``), lines.
"""

import contextlib
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from nplm_cli.corpus.encodings import Decoder, checked_encoding
from nplm_cli.errors import InputError

BLOCK_BYTES = 1 << 20
MAGIC_BYTES = 8
STDIN = "-"


class Digest(Protocol):
    """What ``hashlib`` returns, as far as it is needed here."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""


class Line(NamedTuple):
    """A line of a file: text without its end, the file's name and index, number from 1."""

    text: str
    file: str
    file_index: int
    number: int


def list_files(inputs: Sequence[str]) -> list[str]:
    """Return the files behind ``inputs``: files as they are, folders recursively, ``-`` as it is.

    A folder's files come sorted by name, then its subfolders; hidden ones and run directories
    are skipped. Raises
    InputError for a missing path, a folder without files and for standard input given twice.
    """
    if sum(name == STDIN for name in inputs) > 1:
        raise InputError("- given twice: standard input can be read only once")
    files: list[str] = []
    for name in inputs:
        if name == STDIN or not os.path.isdir(name):
            if name != STDIN and not os.path.exists(name):
                raise InputError(f"{name}: no such file or folder")
            files.append(name)
            continue
        found = list(_files_below(name))
        if not found:
            raise InputError(f"{name}: a folder without files (hidden ones are skipped)")
        files.extend(found)
    return files


def _files_below(folder: str) -> Iterator[str]:
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
        for name in sorted(names):
            path = os.path.join(parent, name)
            if not name.startswith(".") and os.path.isfile(path):
                yield path


def read_lines(
    inputs: Sequence[str],
    encoding: str = "auto",
    *,
    stdin: BinaryIO | None = None,
    digest: Digest | None = None,
    on_event: Callable[[str], None] | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> Iterator[Line]:
    r"""Yield the lines of all ``inputs`` in order, in memory bounded by the longest line.

    A line ends at LF, CRLF or CR and nowhere else: U+2028, U+0085 and form feeds are white space
    inside a line. The last line counts with or without an end. ``encoding`` is ``auto`` or a name
    that Python knows. ``digest`` takes all bytes as they lie on disk, ``on_bytes`` their number
    block by block, ``on_event`` the encoding of each file that is not plain UTF-8.

    Raises ConfigError for an unknown encoding; InputError, naming file, line and byte, for what
    cannot be opened, decompressed or decoded.
    """
    encoding = checked_encoding(encoding)
    for index, name in enumerate(list_files(inputs)):
        number = 0
        with _open(name, stdin) as file:
            blocks = _decompressed(_raw_blocks(file, name, digest, on_bytes), name)
            decoder = Decoder(shown_name(name), encoding, on_event)
            for texts in _split_lines(decoder.decode(blocks)):
                for number, text in enumerate(texts, number + 1):  # noqa: B020 (runs on)
                    yield Line(text, name, index, number)


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


def _decompressed(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    first = _first_block(blocks)
    whole: Iterator[bytes] = chain([first], blocks)
    for magic, decompress in COMPRESSIONS.items():
        if first.startswith(magic):
            whole = decompress(whole, shown_name(name))
            return chain([_first_block(whole)], whole)
    return whole


def _first_block(blocks: Iterator[bytes]) -> bytes:
    """Return the first block, long enough for any magic number or byte order mark."""
    first = b""
    while len(first) < MAGIC_BYTES and (block := next(blocks, b"")):
        first += block
    return first


def _gunzip(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Decompress gzip members one after another; never more than a block in memory."""
    member = zlib.decompressobj(wbits=31)
    for block in blocks:
        data = block
        while data:
            if member.eof:  # another member may follow, or padding with zeros
                data = data.lstrip(b"\0")
                if not data:
                    break
                if data[0] != 0x1F:
                    raise InputError(f"{name}: other bytes after the gzip data; fetch it again")
                member = zlib.decompressobj(wbits=31)
            try:
                text = member.decompress(data, BLOCK_BYTES)
            except zlib.error as error:
                raise InputError(
                    f"{name}: corrupt gzip data ({error}); fetch the file again"
                ) from error
            if text:
                yield text
            data = member.unused_data if member.eof else member.unconsumed_tail
    while not member.eof:  # what the limit on a block's size held back
        text = member.decompress(b"", BLOCK_BYTES)
        if not text:
            raise InputError(f"{name}: gzip data cut short; fetch the file again")
        yield text


# Magic number -> decompressor of a stream of blocks.
COMPRESSIONS: dict[bytes, Callable[[Iterator[bytes], str], Iterator[bytes]]] = {
    b"\x1f\x8b": _gunzip,
}


def _split_lines(texts: Iterator[str]) -> Iterator[list[str]]:
    """Cut text at LF, CRLF and CR; pieces of an unfinished line wait in a list."""
    pending: list[str] = []
    for text in texts:
        if pending and pending[-1].endswith("\r"):  # the CR of a CRLF may end a block
            text = "\r" + text
            pending[-1] = pending[-1][:-1]
        held = text.endswith("\r")
        if held:
            text = text[:-1]
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        first, *lines = text.split("\n")
        pending.append(first)
        if lines:
            rest = lines.pop()
            yield ["".join(pending), *lines]
            pending = [rest]
        if held:
            pending.append("\r")
    if pending and pending[-1] == "\r":  # a lone CR at the very end is a line end
        yield ["".join(pending[:-1])]
    elif last := "".join(pending):
        yield [last]
