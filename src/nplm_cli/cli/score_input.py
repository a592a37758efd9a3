"""The lines that ``nplm score`` reads: arguments, standard input as it arrives, files."""

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator

from nplm_cli.cli import output
from nplm_cli.corpus.encodings import MARKS, decode_replacing, replaced_note
from nplm_cli.errors import InputError

# Of standard input each line is decided on its own, for more may be long in coming.
CANDIDATES = ("utf-8", "gb18030")
# ... unless the whole is UTF-16 or UTF-32, whose lines end otherwise.
WIDE_MARKS = tuple(
    mark for mark, encoding in MARKS.items() if encoding.startswith(("utf-16", "utf-32"))
)
# Lines of a file that are scored together: enough for large products.
FILE_LINES = 1_024
_BLOCK_BYTES = 1 << 16
_STDIN = "standard input"


def batches_of_lines(
    sentences: list[str],
    files: list[str],
    encoding: str,
    *,
    whole: bool,
    errors: str = "strict",
    on_event: Callable[[str], None] | None = None,
) -> Iterator[tuple[list[str], list[int]]]:
    """Yield batches of lines, and the lines of each at which a new text begins.

    ``sentences`` are lines, or ``-`` alone for standard input; the lines of ``files`` follow.
    What is there is scored at once, and standard input never waits; but ``whole`` makes all lines
    one batch: the arguments or standard input as a text, then each file.
    """
    own: Iterator[list[str]]
    if sentences == ["-"]:
        own = _stdin_lines(encoding, errors, on_event)
    else:
        own = iter([sentences] if sentences else [])
    if not whole:
        yield from ((batch, [0]) for batch in own)
        lines = _file_lines(files, encoding, errors, on_event)
        while batch := [text for _, text in itertools.islice(lines, FILE_LINES)]:
            yield batch, [0]
        return
    texts = [text for batch in own for text in batch]
    starts, before = [0], None
    for index, text in _file_lines(files, encoding, errors, on_event):
        if index != before:
            starts.append(len(texts))
            before = index
        texts.append(text)
    yield texts, starts


def _file_lines(
    files: list[str], encoding: str, errors: str, on_event: Callable[[str], None] | None
) -> Iterator[tuple[int, str]]:
    """Lines of files, each with the number of its file."""
    if files:
        from nplm_cli.corpus.readers import read_lines

        for line in read_lines(files, encoding, errors=errors, on_event=on_event):
            yield line.file_index, line.text


def _stdin_lines(
    encoding: str, errors: str, on_event: Callable[[str], None] | None
) -> Iterator[list[str]]:
    """Whole lines as they arrive, in batches of what has arrived."""
    blocks = _stdin_blocks()
    first = next(blocks, b"")
    blocks = itertools.chain([first] if first else [], blocks)
    if encoding == "auto" and not first.startswith(WIDE_MARKS):
        batches = _decided_lines(blocks, errors, on_event)
    else:
        from nplm_cli.corpus.decoder import Decoder
        from nplm_cli.corpus.readers import split_lines

        decoder = Decoder(_STDIN, encoding, on_event, errors=errors)
        batches = split_lines(decoder.decode(blocks), _STDIN)
    for texts in batches:
        yield texts
        output.flush()


def _stdin_blocks() -> Iterator[bytes]:
    while block := os.read(sys.stdin.fileno(), _BLOCK_BYTES):
        yield block


def _decided_lines(
    blocks: Iterator[bytes], errors: str, on_event: Callable[[str], None] | None
) -> Iterator[list[str]]:
    """Lines, each in the first of the candidates that it is valid in; a bad one after the good."""
    rest = b""
    number = replaced = 0
    for block in itertools.chain(blocks, [b""]):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if not block and rest:
            lines.append(rest)
        texts: list[str] = []
        for line in lines:
            number += 1
            try:
                text, bad = _decoded(line, number, errors)
            except InputError:
                if texts:
                    yield texts
                raise
            replaced += bad
            texts.append(text.removesuffix("\r").removeprefix("\ufeff" if number == 1 else ""))
        if texts:
            yield texts
    if replaced and on_event is not None:
        on_event(f"warning: {replaced_note(_STDIN, replaced)}")


def _decoded(line: bytes, number: int, errors: str) -> tuple[str, int]:
    for codec in CANDIDATES:
        with contextlib.suppress(UnicodeDecodeError):
            return line.decode(codec), 0
    if errors == "replace":
        return decode_replacing(line, CANDIDATES[0])
    raise InputError(
        f"{_STDIN}:{number}: neither {' nor '.join(CANDIDATES)}; give --encoding NAME, or replace "
        "what is bad with --errors replace"
    )
