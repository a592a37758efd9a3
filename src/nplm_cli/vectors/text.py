"""Reading word2vec and GloVe text: a word, then its numbers, a line each, plain or gzip.

Lines end at LF alone and fields are cut at ASCII blanks, from the right, so that words with
spaces, U+00A0, U+2028 and the like come through. Nothing is allocated on a header's word: rows
grow with what is read.
"""

import contextlib
import gzip
import os
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from nplm_cli.errors import ArtifactError
from nplm_cli.opening import open_regular

GZIP_MAGIC = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
# Far above any vectors in use; a header or line beyond is damage, or an attack.
MAX_DIM = 1_000_000
# Past the first 64 MiB no vectors have shrunk to a hundredth: what does is a decompression bomb.
FREE_BYTES = 64 << 20
MAX_EXPANSION = 100
_BLOCK_BYTES = 4 << 20
_MAX_LINE_BYTES = 64 << 20
_SAMPLED_LINES = 1000
_BLANKS = b" \t\r"
HEADER = re.compile(rb"[ \t]*(\d{1,18})[ \t]+(\d{1,18})[ \t\r]*")


@dataclass(frozen=True)
class Layout:
    """What the head of a text file says: d, the words announced (None: no header), first line."""

    dim: int
    announced: int | None
    first_line: int


class Line(NamedTuple):
    """One line cut in two: its number from 1, the word, the numbers as text."""

    number: int
    word: str
    numbers: bytes


class _Bounded:
    """What a gzip file holds, up to the size that vectors can have in it."""

    def __init__(self, file: IO[bytes], path: Path):
        self._file, self._path, self._given = file, path, 0
        self._most = max(FREE_BYTES, MAX_EXPANSION * os.path.getsize(path))

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; raises ArtifactError for a decompression bomb."""
        return self._counted(self._file.read(size))

    def readline(self, size: int) -> bytes:
        """The next line, up to ``size`` bytes."""
        return self._counted(self._file.readline(size))

    def _counted(self, data: bytes) -> bytes:
        self._given += len(data)
        if self._given > self._most:
            raise ArtifactError(
                f"{self._path}: expands to more than {self._most >> 20:,} MiB, which no vectors do "
                "(a decompression bomb?); if it is meant, unpack it with gunzip and name that file"
            )
        return data


@contextlib.contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain or gzip file for reading, by its magic number.

    Raises ArtifactError when it is missing, unreadable, or its compression is corrupt.
    """
    try:
        with open_regular(path) as file:
            if file.read(2) != GZIP_MAGIC:
                file.seek(0)
                yield file
                return
            file.seek(0)
            with gzip.open(file, "rb") as unpacked:
                yield _Bounded(unpacked, path)  # type: ignore[misc,arg-type]
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ArtifactError(f"{path}: corrupt gzip, or cut short: {error}") from error
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror or error}") from error


def is_gzip(path: Path) -> bool:
    """Whether the file begins with gzip's magic number; raises OSError."""
    with open_regular(path) as file:
        return file.read(2) == GZIP_MAGIC


def check_header(path: Path, announced: int, dim: int, bytes_per_word: int) -> None:
    """Raise ArtifactError when a header announces what the file cannot hold."""
    if not 1 <= dim <= MAX_DIM:
        raise ArtifactError(f"{path}:1: {dim} dimensions: expected 1 to {MAX_DIM:,}")
    size = os.path.getsize(path)
    if not is_gzip(path) and announced * bytes_per_word > size:
        raise ArtifactError(
            f"{path}:1: the header announces {announced} words of {dim} dimensions, "
            f"which a file of {size} bytes cannot hold: cut short, or not vectors"
        )


def read_layout(path: Path) -> Layout:
    """Header, or without one (GloVe) the commonest number of fields of the first lines.

    Raises ArtifactError when the file is empty or does not look like vectors.
    """
    lines = [line for _, line in _first_lines(path)]
    if not lines:
        raise ArtifactError(f"{path}: empty: expected a word and its numbers on each line")
    header = HEADER.fullmatch(lines[0].removeprefix(BOM))
    if header:
        announced, dim = int(header[1]), int(header[2])
        check_header(path, announced, dim, bytes_per_word=2 * dim + 1)
        return Layout(dim, announced, 2)
    fields = Counter(len(line.split()) for line in lines if line.strip())
    dim = fields.most_common(1)[0][0] - 1 if fields else 0
    if not 1 <= dim <= MAX_DIM:
        raise ArtifactError(
            f"{path}:1: not vectors: expected a word and its numbers on each line "
            "(word2vec, GloVe), or npy or safetensors"
        )
    return Layout(dim, None, 1)


def _first_lines(path: Path) -> list[tuple[int, bytes]]:
    with open_binary(path) as file:
        return next(_numbered_lines(path, file), [])[:_SAMPLED_LINES]


def _numbered_lines(path: Path, file: IO[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """Blocks of (line number, line without its LF)."""
    rest = b""
    number = 1
    while True:
        chunk = file.read(_BLOCK_BYTES)
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop() if chunk else b""
        if not chunk and lines == [b""]:
            return
        if len(rest) > _MAX_LINE_BYTES:
            raise ArtifactError(
                f"{path}:{number + len(lines)}: a line of over {_MAX_LINE_BYTES:,} bytes: "
                "not vectors"
            )
        if lines:
            yield list(enumerate(lines, start=number))
        number += len(lines)
        if not chunk:
            return


def read_lines(path: Path, layout: Layout) -> Iterator[list[Line]]:
    """The file in blocks of cut lines; blank lines are passed over.

    Raises ArtifactError, with the line, for a line without a word, with too few fields or with
    bytes that are not UTF-8, and for more or fewer lines than the header announces.
    """
    seen = 0
    with open_binary(path) as file:
        for block in _numbered_lines(path, file):
            lines = []
            for number, raw in block:
                if number >= layout.first_line:
                    raw = raw.removeprefix(BOM) if number == 1 else raw
                    stripped = raw.rstrip(_BLANKS)
                    if stripped:
                        lines.append(_cut(path, number, stripped, layout.dim))
            seen += len(lines)
            if layout.announced is not None and seen > layout.announced:
                extra = lines[layout.announced - seen].number
                raise ArtifactError(
                    f"{path}:{extra}: more words than the {layout.announced} that line 1 announces"
                )
            yield lines
    if layout.announced is not None and seen < layout.announced:
        raise ArtifactError(
            f"{path}: {seen} words, but line 1 announces {layout.announced}: cut short; "
            "copy it again"
        )


def _cut(path: Path, number: int, line: bytes, dim: int) -> Line:
    word, _, numbers = line.partition(b" ")
    if numbers.count(b" ") != dim - 1 or not numbers:
        # Words with spaces, tabs, doubled spaces: from the right, and slower.
        fields = line.rsplit(None, dim)
        if len(fields) != dim + 1:
            raise ArtifactError(
                f"{path}:{number}: expected a word and {dim} numbers, "
                f"found {len(line.split())} fields"
            )
        word, numbers = fields[0], b" ".join(fields[1:])
    if not word:
        raise ArtifactError(f"{path}:{number}: no word before the numbers")
    try:
        return Line(number, word.decode("utf-8"), numbers)
    except UnicodeDecodeError as error:
        raise ArtifactError(
            f"{path}:{number}: byte {error.start} of the word is not UTF-8; "
            "convert the file to UTF-8 (iconv)"
        ) from error


def parse_numbers(path: Path, lines: list[Line], dim: int) -> np.ndarray:
    """The numbers of some lines as float32 (N, d); ArtifactError with the line of a bad one."""
    if not lines:
        return np.zeros((0, dim), np.float32)
    values = _floats(b" ".join([line.numbers for line in lines]))
    if values is None or len(values) != len(lines) * dim:
        for line in lines:
            one = _floats(line.numbers)
            if one is None or len(one) != dim:
                raise ArtifactError(
                    f"{path}:{line.number}: expected {dim} numbers after {line.word!r}"
                )
        raise ArtifactError(f"{path}:{lines[0].number}: not vectors")
    rows_ND = values.reshape(len(lines), dim)
    if not np.isfinite(rows_ND).all():
        bad = lines[int(np.flatnonzero(~np.isfinite(rows_ND).all(axis=1))[0])]
        raise ArtifactError(
            f"{path}:{bad.number}: the vector of {bad.word!r} holds nan, inf or "
            "a number beyond float32"
        )
    return rows_ND


def _floats(text: bytes) -> np.ndarray | None:
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        # Before numpy 2.3 text that is not a number is a warning, since then an error.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(text, dtype=np.float32, sep=" ")
        except (ValueError, DeprecationWarning):
            return None
