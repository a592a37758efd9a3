"""The lines that ``nplm score`` reads: arguments, standard input as it arrives, files."""

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator

from nplm_cli.cli import output
from nplm_cli.errors import InputError


def batches_of_lines(
    sentences: list[str], files: list[str], encoding: str, *, whole: bool
) -> Iterator[tuple[list[str], list[int]]]:
    """Yield batches of lines, and the lines of each at which a new text begins.

    ``sentences`` are lines, or ``-`` alone for standard input; the lines of ``files`` follow.
    What is there is scored at once, and standard input never waits; but ``whole`` makes all lines
    one batch: the arguments or standard input as a text, then each file.
    """
    own: Iterator[list[str]]
    own = _stdin_lines(encoding) if sentences == ["-"] else iter([sentences] if sentences else [])
    if not whole:
        yield from ((batch, [0]) for batch in own)
        lines = _file_lines(files, encoding)
        while batch := [text for _, text in itertools.islice(lines, 256)]:
            yield batch, [0]
        return
    texts = [text for batch in own for text in batch]
    starts, before = [0], None
    for index, text in _file_lines(files, encoding):
        if index != before:
            starts.append(len(texts))
            before = index
        texts.append(text)
    yield texts, starts


def _file_lines(files: list[str], encoding: str) -> Iterator[tuple[int, str]]:
    """Lines of files, each with the number of its file."""
    if files:
        from nplm_cli.corpus.readers import read_lines

        yield from ((line.file_index, line.text) for line in read_lines(files, encoding))


def _stdin_lines(encoding: str) -> Iterator[list[str]]:
    """Whole lines as they arrive, in batches of what has arrived."""
    rest = b""
    number = 0
    codecs = ("utf-8", "gb18030") if encoding == "auto" else (encoding,)
    while True:
        block = os.read(sys.stdin.fileno(), 1 << 16)
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if not block and rest:
            lines.append(rest)
        texts = []
        for line in lines:
            number += 1
            text = _decoded(line, number, codecs)
            texts.append(text.removesuffix("\r").removeprefix("\ufeff" if number == 1 else ""))
        if texts:
            yield texts
            output.flush()
        if not block:
            return


def _decoded(line: bytes, number: int, codecs: tuple[str, ...]) -> str:
    """Text of a line in the first encoding that it is valid in."""
    for codec in codecs:
        with contextlib.suppress(UnicodeDecodeError):
            return line.decode(codec)
    raise InputError(
        f"standard input:{number}: neither {' nor '.join(codecs)}; give --encoding NAME"
        if len(codecs) > 1
        else f"standard input:{number}: not {codecs[0]}; give another --encoding"
    )
