"""Sections of an explanation on a terminal: nothing wider than 80 columns, whatever the words."""

from collections.abc import Sequence
from typing import Any

from nplm_cli.bilingual import Language, Text, said
from nplm_cli.cli import output
from nplm_cli.cli.page import (
    GAP,
    WIDTH,
    table_lines,
    width_of,
    write_heading,
    write_rows,
    write_text,
)
from nplm_cli.explain.sections import Heat, Section
from nplm_cli.plain import shortened

# Columns of a terminal that a word takes at most, at the head of a column and in a row.
HEAD_COLUMNS, WORD_COLUMNS = 14, 20


def write_sections(sections: Sequence[Section], lang: Language) -> None:
    """Write sections one below the other."""
    for number, section in enumerate(sections, 1):
        if number > 1:
            output.write_line("")
        write_heading(f"{number}. {section.title.within(lang)}")
        for block in section.blocks:
            if isinstance(block, Text):
                write_text(block.within(lang))
            elif isinstance(block, str):
                write_text(block, "    ")
            elif isinstance(block, Heat):
                write_text(block.caption.within(lang))
                _write_table(*_table_of(block, lang), block.places)
            else:
                _write_table(*block.within(lang), block.places)


def _table_of(heat: Heat, lang: Language) -> tuple[list[str], list[list[Any]]]:
    columns = ["", *[said(column, lang) for column in heat.columns]]
    rows = [
        [said(name, lang), *values] for name, values in zip(heat.rows, heat.values, strict=True)
    ]
    return columns, rows


def _write_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], places: int) -> None:
    """Write a table, in pieces one below the other where it is too wide for one.

    Every piece begins with the columns of words at the left.
    """
    columns = [shortened(column, HEAD_COLUMNS) for column in columns]
    rows = [[shortened(c, WORD_COLUMNS) if isinstance(c, str) else c for c in row] for row in rows]
    widths = [_width(column, [row[i] for row in rows], places) for i, column in enumerate(columns)]
    words = [all(isinstance(row[i], str) for row in rows) for i in range(len(columns))]
    kept = max(1, words.index(False) if False in words else len(words))
    pieces, used = [list(range(kept))], sum(widths[:kept])
    for i in range(kept, len(columns)):
        if used + widths[i] > WIDTH and len(pieces[-1]) > kept:
            pieces.append(list(range(kept)))
            used = sum(widths[:kept])
        pieces[-1].append(i)
        used += widths[i]
    for piece in pieces:
        write_rows([columns[i] for i in piece], [[row[i] for i in piece] for row in rows], places)


def _width(column: str, cells: Sequence[Any], places: int) -> int:
    """Columns that a column of a table takes, with the gap before it."""
    lines = table_lines([column], [[cell] for cell in cells], places)
    return len(GAP) + max(map(width_of, lines))
