"""Text becomes blocks of whole lines, and these become lines."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nplm_cli.errors import InputError

# A line is in memory as a whole: up to 1 GiB as text, and with its words (a sentence, with
# --sentences line) about 50 bytes a character of English. Corpora of one line are known: text8.
MAX_LINE_CHARACTERS = 1 << 28


class Line(NamedTuple):
    """A line of a file: text without its end, the file's name and index, number from 1."""

    text: str
    file: str
    file_index: int
    number: int

    def place(self, offset: int) -> tuple[int, int]:
        """Number of the file's line, and the offset in it, of the character at ``offset``."""
        return self.number, offset


class LineBlock(NamedTuple):
    """Lines of a file, an LF between them, with the number of the first (from 1)."""

    text: str
    file: str
    file_index: int
    number: int


def lines_of(blocks: Iterable[LineBlock]) -> Iterator[Line]:
    """Yield each line of ``blocks``."""
    for text, file, index, first in blocks:
        for number, line in enumerate(text.split("\n"), first):
            yield Line(line, file, index, number)


def whole_lines(texts: Iterable[str], name: str = "text") -> Iterator[str]:
    """Blocks of text become blocks of whole lines, LF between them and none at the end.

    Lines end at LF, CRLF and CR; pieces of an unfinished one wait in a list. Raises InputError for
    a line that would fill the memory.
    """
    pending: list[str] = []
    waiting = 0
    for text in texts:
        if pending and pending[-1].endswith("\r"):  # the CR of a CRLF may end a block
            text = "\r" + text
            pending[-1] = pending[-1][:-1]
        held = text.endswith("\r")
        if held:
            text = text[:-1]
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        first = text.find("\n")
        waiting += len(text) if first < 0 else first
        if waiting > MAX_LINE_CHARACTERS:
            raise InputError(
                f"{name}: a line of more than {MAX_LINE_CHARACTERS:,} characters, expected text "
                "in lines; put line ends between its paragraphs (fold -s does)"
            )
        if first < 0:
            pending.append(text)
        else:
            last = text.rindex("\n")
            yield "".join([*pending, text[:last]])
            pending, waiting = [text[last + 1 :]], len(text) - last - 1
        if held:
            pending.append("\r")
    if pending and pending[-1] == "\r":  # a lone CR at the very end is a line end
        yield "".join(pending[:-1])
    elif rest := "".join(pending):
        yield rest


def split_lines(texts: Iterable[str], name: str = "text") -> Iterator[list[str]]:
    """Lists of the lines of ``whole_lines``."""
    return (block.split("\n") for block in whole_lines(texts, name))
