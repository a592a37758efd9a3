"""Compressed bytes become plain ones: gzip, bzip2, xz and Zstandard, a piece at a time.

A compression is recognised by its first bytes, whatever the file is called. All decompressors stand
behind the calls of ``bz2.BZ2Decompressor``, which hands out a bounded piece at a time, so that
neither a large file nor a small one that expands without end fills the memory.
"""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple, NoReturn, Protocol

from nplm_cli.errors import InputError

# What a call hands out at most; of Zstandard, what a call is given (see _Zstandard).
PIECE_BYTES = 1 << 20
ZSTANDARD_SLICE = 1 << 10
# Past the first 64 MiB no text has shrunk to a thousandth: what does is a decompression bomb.
FREE_BYTES = 64 << 20
MAX_EXPANSION = 1000
# A member is given its bytes in slices, from the first size to the last, each twice the one before:
# what follows it comes back as a copy, which so is never much larger than the member.
FIRST_SLICE = 64
LAST_SLICE = 1 << 16
# The window that a file may ask for: xz -9 takes 65 MiB, zstd without --long at most 128.
WINDOW_BYTES = 256 << 20
# Enough for the longest magic number.
MAGIC_BYTES = 16


_NOT_ZERO = re.compile(rb"[^\0]")


class Expander(Protocol):
    """What ``bz2`` and ``lzma`` call a decompressor: one member (stream, frame) of a file."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes before more bytes are given."""

    @property
    def unused_data(self) -> bytes:
        """Bytes given that follow the member."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Take ``data`` and return at most ``max_length`` bytes; the rest waits inside."""


class Compression(NamedTuple):
    """How a compression is called, recognised and undone; ``starts``: first bytes of a member.

    ``open`` takes the file's name and the member before, if any.
    """

    name: str
    magic: re.Pattern[bytes]
    starts: bytes
    tool: str
    open: Callable[[str, Any], Expander]


def decompressed(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Blocks of a file as they are, or decompressed; ``name`` is for messages.

    Members may follow one another, and zeros the last one. Raises InputError for data that are
    cut short, corrupt, followed by something else, or that expand more than a thousandfold.
    """
    head, whole = gathered(blocks, MAGIC_BYTES)
    for kind in COMPRESSIONS:
        if kind.magic.match(head):
            return _expanded(kind, whole, name)
    return whole


def gathered(blocks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first block, made ``size`` bytes long where there are so many, and all blocks."""
    head = b""
    while len(head) < size and (block := next(blocks, b"")):
        head += block
    return head, chain([head] if head else [], blocks)


def _expanded(kind: Compression, blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    member = kind.open(name, None)
    taken = given = 0
    size = FIRST_SLICE
    for block in blocks:
        taken += len(block)
        at = 0
        while at < len(block) or not (member.needs_input or member.eof):
            if member.eof:  # another member may follow, or padding with zeros
                if block[at] == 0:
                    at = _past_zeros(block, at)
                    continue
                if block[at] not in kind.starts:
                    raise InputError(
                        f"{name}: other bytes after the {kind.name} data; fetch it again"
                    )
                member, size = kind.open(name, member), FIRST_SLICE
            data = b""
            if member.needs_input:
                data = block[at : at + size]
                at += len(data)
                size = min(2 * size, LAST_SLICE)
            try:
                text = member.decompress(data, PIECE_BYTES)
            except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as error:
                _refuse(kind, name, error)
            if member.eof:
                at -= len(member.unused_data)
            if text:
                given += len(text)
                if given > FREE_BYTES and given > MAX_EXPANSION * taken:
                    raise InputError(
                        f"{name}: {taken:,} bytes of {kind.name} data expand to more than "
                        f"{given >> 20:,} MiB, which no text does (a decompression bomb?); "
                        f"if it is meant, unpack it with {kind.tool} and name that file"
                    )
                yield text
    if not member.eof:
        raise InputError(f"{name}: {kind.name} data cut short; fetch the file again")


def _past_zeros(block: bytes, at: int) -> int:
    found = _NOT_ZERO.search(block, at)
    return found.start() if found else len(block)


def _refuse(kind: Compression, name: str, error: Exception) -> NoReturn:
    if "memory" in str(error).lower():
        raise InputError(
            f"{name}: {kind.name} data that take more than {WINDOW_BYTES >> 20} MiB of memory to "
            f"unpack; unpack it with {kind.tool} and name that file"
        ) from error
    raise InputError(f"{name}: corrupt {kind.name} data ({error}); fetch the file again") from error


class _Gzip:
    """A member of gzip: ``zlib`` behind the calls of ``bz2``."""

    def __init__(self, name: str, before: Any):
        self._member = zlib.decompressobj(wbits=31)
        self._waiting = b""
        self._full = False

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def needs_input(self) -> bool:
        return not (self.eof or self._full or self._waiting)

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        text = self._member.decompress(self._waiting + data, max_length)
        self._waiting = self._member.unconsumed_tail
        self._full = len(text) == max_length  # there may be more without more input
        return text


class _Zstandard:
    """A frame of Zstandard: the package ``zstandard`` behind the calls of ``bz2``.

    Its calls know no ``max_length`` and expand all that they are given. Four bytes can stand for
    a block of 128 KiB, so a call gets ``ZSTANDARD_SLICE`` bytes and gives 32 MiB at the worst.
    """

    def __init__(self, name: str, before: "_Zstandard | None" = None):
        """Take the name of the file, and the frame before, which has ended: that saves time."""
        try:
            import zstandard
        except ImportError as error:
            raise InputError(
                f"{name}: Zstandard data, which take the package zstandard: "
                "pip install 'nplm-cli[zstd]', or unpack it with unzstd and name that file"
            ) from error
        self._error: Any = zstandard.ZstdError
        self._frames: Any = (
            before._frames
            if before is not None
            else zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
        )
        self._member = self._frames.decompressobj()
        self._data = b""
        self._next = 0

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def needs_input(self) -> bool:
        return not self.eof and self._next >= len(self._data)

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data + self._data[self._next :]

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        if data:
            self._data, self._next = self._data[self._next :] + data, 0
        begin, self._next = self._next, self._next + ZSTANDARD_SLICE
        try:
            return self._member.decompress(self._data[begin : self._next])
        except self._error as error:
            raise ValueError(str(error)) from error


def _bzip2(name: str, before: Any) -> Expander:
    return bz2.BZ2Decompressor()


def _xz(name: str, before: Any) -> Expander:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=WINDOW_BYTES)


COMPRESSIONS = (
    Compression("gzip", re.compile(rb"\x1f\x8b"), b"\x1f", "gunzip", _Gzip),
    # "BZh9" may begin a text; what follows it in a file of bzip2 does not.
    Compression(
        "bzip2",
        re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90|\Z)"),
        b"B",
        "bunzip2",
        _bzip2,
    ),
    Compression("xz", re.compile(rb"\xfd7zXZ\0"), b"\xfd", "unxz", _xz),
    # A frame, or a skippable one before it, as parallel compressors write.
    Compression(
        "Zstandard",
        re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
        b"\x28" + bytes(range(0x50, 0x60)),
        "unzstd",
        _Zstandard,
    ),
)
