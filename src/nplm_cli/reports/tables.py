"""Tables as values: built once, written in HTML and in Markdown alike."""

from dataclasses import dataclass, field
from typing import Any

from nplm_cli.reports.texts import Texts


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and what sorting goes by (the text itself unless given).

    ``extra`` is smaller print after it; a ``word`` is one of the corpus.
    """

    text: str
    sort: float | None = None
    code: bool = False
    word: bool = False
    extra: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a report. ``name`` is its id; ``folded`` hides it behind a line to click."""

    name: str
    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    note: str = ""
    folded: bool = False
    figures: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        """A column of figures is one whose cells all have a number to sort by."""
        for row in self.rows:
            assert len(row) == len(self.columns), (self.name, row)
        if not self.figures:
            self.figures.extend(
                any(row[i].sort is not None for row in self.rows)
                and all(row[i].sort is not None or row[i].text == "–" for row in self.rows)
                for i in range(len(self.columns))
            )


def labelled(name: str, texts: Texts, key: str, rows: list[list[Cell]], **options: Any) -> Table:
    """A table whose caption, columns (with | between) and note stand in the texts under a key."""
    values = options.pop("values", {})
    note = texts(f"table.{key}.note", **values) if texts.has(f"table.{key}.note") else ""
    return Table(
        name,
        texts(f"table.{key}.caption", **values),
        texts(f"table.{key}.columns").split("|"),
        rows,
        **({"note": note} | options),
    )


NOTHING = Cell("–")


def text(value: object, *, code: bool = False, extra: str = "") -> Cell:
    """A cell of text; ``code`` for paths, checksums and settings."""
    return NOTHING if value is None or value == "" else Cell(str(value), code=code, extra=extra)


def word(value: str) -> Cell:
    """A cell with a word of the corpus."""
    return Cell(value, word=True)


def whole(value: int | None) -> Cell:
    """A cell with a whole number, digits grouped."""
    return NOTHING if value is None else Cell(f"{value:,}", sort=value)


def share(value: float | None, digits: int = 1) -> Cell:
    """A cell with a share, in per cent."""
    return NOTHING if value is None else Cell(percent(value, digits), sort=value)


def decimal(value: float | None, digits: int = 2) -> Cell:
    """A cell with a number of so many decimals."""
    return NOTHING if value is None else Cell(fixed(value, digits), sort=value)


def perplexity(value: float | None) -> Cell:
    """A cell with a perplexity, to about four digits."""
    return NOTHING if value is None else Cell(rounded(value), sort=value)


def spread_cell(value: Any, write: Any) -> Cell:
    """A cell with mean and range of several seeds, ``27.8 (27.2–28.1)``."""
    if value is None:
        return NOTHING
    mean = write(value.mean)
    if value.low == value.high:
        return Cell(mean, sort=value.mean)
    return Cell(mean, sort=value.mean, extra=f"({write(value.low)}–{write(value.high)})")


def fixed(value: float, digits: int = 2) -> str:
    """A number with a true minus sign, and no sign before zero.

    >>> fixed(-0.5), fixed(-0.001)
    ('−0.50', '0.00')
    """
    written = f"{value:,.{digits}f}"
    if not written.strip("-0.,"):
        written = written.lstrip("-")
    return written.replace("-", "−")


def rounded(value: float) -> str:
    """About four digits: two decimals below 100, one below 1,000, then none."""
    return fixed(value, 2 if abs(value) < 100 else 1 if abs(value) < 1000 else 0)


def percent(value: float, digits: int = 1) -> str:
    """A share in per cent; the sign stays with its number.

    >>> percent(0.3366)
    '33.7\\xa0%'
    """
    return f"{fixed(100 * value, digits)}\N{NO-BREAK SPACE}%"
