"""Reading word2vec's binary format, plain or gzip, as a stream of blocks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nplm_cli.errors import ArtifactError
from nplm_cli.vectors.text import BOM, HEADER, check_header, open_binary

_READ_BYTES = 4 << 20
_MAX_HEADER_BYTES = 64
_MAX_WORD_BYTES = 1 << 16

Blocks = Iterator[tuple[list[str], np.ndarray]]


def read_binary(path: Path) -> tuple[int, Blocks]:
    """d, and blocks of words with their float32 rows (N, d).

    Raises ArtifactError when the header announces what the file cannot hold, when the file ends
    early, and for a word that is not UTF-8 or a vector that is not finite (naming the word's
    number from 1).
    """
    with open_binary(path) as file:
        line = file.readline(_MAX_HEADER_BYTES)
    header = HEADER.fullmatch(line.removeprefix(BOM).removesuffix(b"\n"))
    if header is None:
        raise ArtifactError(f"{path}:1: not a word2vec header: expected the numbers V and d")
    announced, dim = int(header[1]), int(header[2])
    check_header(path, announced, dim, bytes_per_word=4 * dim + 2)
    return dim, _blocks(path, len(line), announced, dim)


def _blocks(path: Path, start: int, announced: int, dim: int) -> Blocks:
    width = 4 * dim
    number = 0
    with open_binary(path) as file:
        file.read(start)
        buffer = b""
        while number < announced:
            chunk = file.read(_READ_BYTES)
            buffer += chunk
            words, rows, used = [], [], 0
            while number < announced:
                space = buffer.find(b" ", used)
                if space - used > _MAX_WORD_BYTES or (
                    space < 0 and len(buffer) - used > _MAX_WORD_BYTES
                ):
                    raise ArtifactError(f"{path}: word {number + 1} has no end: not word2vec's")
                if space < 0 or len(buffer) - space - 1 < width:
                    break
                number += 1
                # Some writers end a vector with LF, some do not.
                words.append(_decode(path, number, buffer[used:space].lstrip(b"\n")))
                rows.append(np.frombuffer(buffer, "<f4", dim, space + 1))
                used = space + 1 + width
            if words:
                rows_ND = np.stack(rows)
                _check_finite(path, number - len(words) + 1, words, rows_ND)
                yield words, rows_ND
            buffer = buffer[used:]
            if not chunk and number < announced:
                raise ArtifactError(
                    f"{path}: ends in word {number + 1} of {announced}: cut short; copy it again"
                )
        if (buffer + file.read(2)).strip(b"\n"):
            raise ArtifactError(
                f"{path}:1: more follows the {announced} words that the header announces"
            )


def _decode(path: Path, number: int, word: bytes) -> str:
    if not word:
        raise ArtifactError(f"{path}: word {number} is empty")
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError(
            f"{path}: word {number} is not UTF-8 at its byte {error.start}: "
            "not word2vec's binary format, or in another encoding"
        ) from error


def _check_finite(path: Path, first: int, words: list[str], rows_ND: np.ndarray) -> None:
    finite = np.isfinite(rows_ND).all(axis=1)
    if not finite.all():
        bad = int(np.flatnonzero(~finite)[0])
        raise ArtifactError(
            f"{path}: the vector of word {first + bad} ({words[bad]!r}) holds nan or inf"
        )
