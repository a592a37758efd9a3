"""Tables with a header, TSV or CSV, that come back as they went in with columns added.

A record is kept as it stood, quotes, spaces and line end included; what is new is appended to it.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from nplm_cli.corpus.exact_text import ExactLine, ExactText
from nplm_cli.errors import ConfigError, InputError, did_you_mean
from nplm_cli.plain import counted

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";"}
Quoting = Literal["csv", "none"]
# The line before the header by which Excel is told the separator.
_EXCEL = re.compile(r"sep=(.)", re.IGNORECASE | re.DOTALL)


class Record(NamedTuple):
    """Cells of a record, the line that it begins at, its text, and its line end.

    A blank line is a record without cells.
    """

    line: int
    cells: list[str]
    text: str
    end: str


@dataclass(frozen=True)
class Table:
    """Header and records of a file, the separator, and whether quotes are those of CSV.

    ``ahead`` is what stands before the header: Excel's ``sep=;`` with its line end, if it is there.
    """

    source: ExactText
    header: Record
    records: list[Record]
    separator: str
    quoting: Quoting
    ahead: str = ""

    @property
    def columns(self) -> list[str]:
        """Names in the header."""
        return self.header.cells

    @property
    def rows(self) -> int:
        """Number of records, blank lines not counted."""
        return sum(bool(record.cells) for record in self.records)

    def column(self, name: str, option: str) -> int:
        """Place of a column; raises InputError, naming the option, when it is not there once."""
        if self.columns.count(name) == 1:
            return self.columns.index(name)
        where = f"{self.source.name}:{self.header.line}"
        if name in self.columns:
            raise InputError(f"{where}: two columns are called {name!r}")
        found = f"{where}: no column {name!r} ({option})"
        if len(self.columns) == 1:
            raise InputError(
                f"{found}: no separator found in the header {self.columns[0][:80]!r}: tab, comma "
                "and semicolon are known"
            )
        near = did_you_mean(name, self.columns)
        has = near or f"; there are {', '.join(map(repr, self.columns[:20]))}"
        raise InputError(f"{found}{has}; the first line must be a header that names the columns")

    def refuse_as_objects(self) -> None:
        """Raise an error where an object of JSON cannot hold the cells under their names."""
        where = f"{self.source.name}:{self.header.line}"
        for name in self.columns:
            if self.columns.count(name) > 1:
                raise InputError(f"{where}: two columns {name!r}: JSON can hold one")
        if "schema" in self.columns:
            raise InputError(
                f"{where}: a column 'schema', which --json has for its version: name it otherwise, "
                "or leave out --json"
            )

    def refuse_clashes(self, names: Sequence[str]) -> None:
        """Raise ConfigError when a column that would be added is there already."""
        for name in names:
            if name in self.columns:
                raise ConfigError(
                    f"{self.source.name} has a column {name!r} already: give the new ones a "
                    "beginning of their own with --prefix NAME"
                )

    def extended(self, record: Record, added: Sequence[str], *, last: bool) -> bytes:
        """Bytes of a record with further cells; only the ``last`` one may be without its end."""
        text = record.text
        for cell in added:
            text += self.separator + (
                _quoted(cell, self.separator) if self.quoting == "csv" else cell
            )
        end = record.end or ("" if last else self.header.end or "\n")
        return self.source.encode(text + end)


def _quoted(cell: str, separator: str) -> str:
    if any(mark in cell for mark in (separator, '"', "\r", "\n")):
        doubled = cell.replace('"', '""')
        return f'"{doubled}"'
    return cell


def read_table(source: ExactText, separator: str = "auto", quoting: str = "auto") -> Table:
    """Read a table; ``separator`` is a name in ``SEPARATORS``, or auto: what the header holds.

    ``quoting`` csv: a cell in double quotes may hold separators, line ends and doubled quotes.
    none: a quote is a character like any other. auto: csv, but for a table with tabs whose quotes
    belong to its words. Every record has as many cells as the header, blank lines
    apart. Raises InputError with the line of what does not fit.
    """
    if separator not in ("auto", *SEPARATORS):
        raise ConfigError(f"--separator {separator!r}: expected auto, {', '.join(SEPARATORS)}")
    if quoting not in ("auto", "csv", "none"):
        raise ConfigError(f"--quoting {quoting!r}: expected auto, csv or none")
    lines = list(source.lines())
    excel = _EXCEL.fullmatch(lines[0].text) if lines else None
    ahead = lines.pop(0) if excel else None
    if not lines or not lines[0].text.strip():
        raise InputError(
            f"{source.name}:{2 if ahead else 1}: expected a header with the names of the columns"
        )
    head = lines[0].text
    if separator != "auto":
        mark = SEPARATORS[separator]
    elif excel:
        mark = excel[1]
        if mark not in SEPARATORS.values():
            raise InputError(
                f"{source.name}:1: {excel[0]!r}: tab, comma and semicolon are known; write the "
                "table with one of them, or take this line out"
            )
    else:
        by_count = sorted(SEPARATORS.values(), key=head.count, reverse=True)
        mark = "\t" if "\t" in head or not head.count(by_count[0]) else by_count[0]
    if quoting == "auto":
        quoting = "csv" if mark != "\t" or _has_quoted_cells(source, lines) else "none"
    before = ahead.text + ahead.end if ahead else ""
    if quoting == "csv":
        return _checked(source, _csv_records(source.name, lines, mark), mark, "csv", before)
    return _checked(source, list(_plain_records(lines, mark)), mark, "none", before)


def _has_quoted_cells(source: ExactText, lines: Sequence[ExactLine]) -> bool:
    """Whether the quotes of a table with tabs are those of CSV and not marks of its words.

    A word such as ``"Yes`` would open a cell that ends rows later, at a word such as ``it."``. So
    where all rows are even without regard to quotes, no quoted cell may hold a tab or line end.
    """
    if '"' not in source.text:
        return False
    widths = {len(record.cells) for record in _plain_records(lines, "\t") if record.cells}
    try:
        records = _csv_records(source.name, lines, "\t")
    except InputError:
        if len(widths) == 1:
            return False
        raise
    return len(widths) > 1 or not any(
        mark in cell for record in records for cell in record.cells for mark in "\t\r\n"
    )


def _plain_records(lines: Sequence[ExactLine], separator: str) -> Iterator[Record]:
    for number, text, end in lines:
        yield Record(
            number, text.split(separator) if text.strip() or separator in text else [], text, end
        )


def _csv_records(name: str, lines: Sequence[ExactLine], separator: str) -> list[Record]:
    """Records by the rules of CSV, however long their cells are.

    The reader's limit, which is one for the whole program, is put back.
    """
    before = csv.field_size_limit(sum(len(line.text) + 2 for line in lines))
    try:
        return list(_read_csv(name, lines, separator))
    finally:
        csv.field_size_limit(before)


def _read_csv(name: str, lines: Sequence[ExactLine], separator: str) -> Iterator[Record]:
    """The lines that the reader took are the record's text."""
    taken: list[str] = []
    number = lines[0].number

    def ahead() -> Iterator[str]:
        for line in lines:
            taken.append(line.text + line.end)
            yield taken[-1]

    # strict: text after a closing quote, or a quote never closed, is an error and not a guess.
    reader = csv.reader(ahead(), delimiter=separator, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{name}:{number}: quotes that are not those of CSV ({error}); mend them, "
                "or --quoting none takes quotes as characters"
            ) from error
        if cells is None:
            return
        text = "".join(taken)
        bare = text.rstrip("\r\n")
        if not bare.strip() and separator not in bare:
            cells = []
        yield Record(number, cells, bare, text[len(bare) :])
        number += len(taken)
        taken.clear()


def _checked(
    source: ExactText, records: list[Record], separator: str, quoting: Quoting, ahead: str
) -> Table:
    header, *rows = records
    for record in rows:
        if record.cells and len(record.cells) != len(header.cells):
            raise InputError(
                f"{source.name}:{record.line}: {counted(len(record.cells), 'cell')}, the header "
                f"has {len(header.cells)}"
            )
    if not any(record.cells for record in rows):
        raise InputError(f"{source.name}: a header and no row")
    return Table(source, header, rows, separator, quoting, ahead)
