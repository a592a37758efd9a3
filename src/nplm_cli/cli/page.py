"""Pages of text for a terminal: wrapped text, aligned tables, Chinese counted as two columns.

Nothing is wider than ``WIDTH``, so that nothing is wrapped at 80 columns.
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from nplm_cli.cli import output
from nplm_cli.plain import plain, shown_number

WIDTH = 80
# Narrower terminals wrap by themselves.
LEAST_WIDTH = 40
# A Latin word or one full-width character, each with the punctuation that may not begin a line.
_PIECE = re.compile(r"\s+|(?:[^\s\u2e80-\uffff]+|[\u2e80-\uffff])[，。；：、？！）》」』”’]*")
_OPENING = "（《「『“‘"
GAP = "  "


def width_of(text: str) -> int:
    """Columns of a terminal that a text takes."""
    from rich.cells import cell_len

    return cell_len(text)


def wrapped(text: str, width: int = WIDTH) -> Iterator[str]:
    """Lines of at most ``width`` columns; between Chinese characters a line may end anywhere."""
    line = ""
    for piece in _PIECE.findall(plain(text)):
        if piece.isspace():
            line += " " if line else ""
        elif line and width_of(line + piece) > width:
            kept = line.rstrip()
            if kept[-1] in _OPENING and len(kept) > 1:
                kept, piece = kept[:-1].rstrip(), kept[-1] + piece
            yield kept
            line = piece
        else:
            line += piece
    if line.strip():
        yield line.rstrip()


def table_lines(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], places: int = 6
) -> Iterator[str]:
    """A header and rows, numbers to the right, words to the left."""
    cells = [
        [
            shown_number(value, places) if isinstance(value, float) else output.cell(value)
            for value in row
        ]
        for row in rows
    ]
    numeric = [
        all(isinstance(row[i], int | float | None) and not isinstance(row[i], bool) for row in rows)
        for i in range(len(columns))
    ]
    shown = [[output.cell(column) for column in columns], *cells]
    widths = [max(width_of(row[i]) for row in shown) for i in range(len(columns))]
    for row in shown:
        padded = []
        for cell, width, right in zip(row, widths, numeric, strict=True):
            space = " " * (width - width_of(cell))
            padded.append(space + cell if right else cell + space)
        yield GAP.join(padded).rstrip()


def write_heading(text: str) -> None:
    """Write a heading, in bold on a terminal that has colours."""
    bold = output.to_terminal() and not os.environ.get("NO_COLOR")
    for line in wrapped(text, text_width()):
        output.write_line(f"\x1b[1m{line}\x1b[0m" if bold else line)


def text_width() -> int:
    """Columns that text is wrapped to: those of the terminal or of COLUMNS, at most ``WIDTH``."""
    return max(LEAST_WIDTH, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))


def write_text(text: str, indent: str = "") -> None:
    """Write text, wrapped, each line behind ``indent``."""
    for line in wrapped(text, text_width() - len(indent)):
        output.write_line(indent + line)


def write_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], places: int = 6) -> None:
    """Write an aligned table, two columns from the left."""
    for line in table_lines(columns, rows, places):
        output.write_line(GAP + line)
