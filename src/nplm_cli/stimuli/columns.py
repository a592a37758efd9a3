"""The columns that a table gets, and the order in which its rows are read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nplm_cli.errors import ConfigError, InputError
from nplm_cli.stimuli.decimals import Decimal, cure, number
from nplm_cli.stimuli.reading_times import prev
from nplm_cli.stimuli.table import Table
from nplm_cli.stimuli.words import Figures

PLACE = ("row", "position", "word", "start", "end")
# What is also told of previous words.
CARRIED = ("oov", "length", "surprisal", "entropy", "rank", "log10_freq_per_million")
OWN = ("tokens", "oov", "length", "surprisal", "entropy", "rank", "count", "log10_freq_per_million")


@dataclass(frozen=True)
class Columns:
    """Names of the new columns, with a prefix; unit of what is in logarithms (``bits``, log 2)."""

    unit: str
    nats: float
    spillover: int = 1
    prefix: str = ""

    def __post_init__(self) -> None:
        """Refuse a prefix that a column of R or pandas cannot begin with."""
        bare = self.prefix.replace("_", "a").replace(".", "a")
        if bare and not (bare.isascii() and bare.isalnum()):
            raise ConfigError(f"--prefix {self.prefix!r}: expected ASCII letters, digits, _ and .")

    def place(self) -> list[str]:
        """Columns that tell where a word is, of a table with a sentence a row."""
        return [self.prefix + name for name in PLACE]

    def names(self) -> list[str]:
        """Columns of the figures: of the word, then of each of the previous ones."""
        names = [self._named(name) for name in OWN]
        for k in range(1, self.spillover + 1):
            names += [self._named(name) + prev(k) for name in CARRIED]
        return names

    def _named(self, name: str) -> str:
        unit = f"_{self.unit}" if name in ("surprisal", "entropy") else ""
        return f"{self.prefix}{name}{unit}"

    def values(self, words: Sequence[Figures], at: int) -> list[Any]:
        """Figures of word ``at`` and of those before it; None where there is none."""
        values = [self._value(words[at], name) for name in OWN]
        for k in range(1, self.spillover + 1):
            before = words[at - k] if at >= k else None
            values += [None if before is None else self._value(before, name) for name in CARRIED]
        return values

    def _value(self, word: Figures, name: str) -> Any:
        match name:
            case "surprisal":
                return None if word.logprob_e is None else 0.0 - word.logprob_e / self.nats
            case "entropy":
                return None if word.entropy is None else word.entropy / self.nats
            case "log10_freq_per_million":
                return word.frequency
            case "count":
                return word.occurrences
        return getattr(word, name)


def shown(value: Any, decimal: Decimal = "point") -> str:
    """A figure as a cell: all digits, 1 and 0 for yes and no, empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        figure = repr(value + 0.0)
        return figure.replace(".", ",") if decimal == "comma" else figure
    return str(value)


def numbers(table: Table, column: int, name: str, decimal: Decimal = "point") -> list[float | None]:
    """Numbers of a column by record; None for an empty cell and NA. Raises InputError else."""
    found: list[float | None] = []
    for record in table.records:
        text = record.cells[column].strip() if record.cells else ""
        value = None
        if text not in ("", "NA", "NaN", "nan"):
            value = number(text, decimal)
            if value is None:
                raise InputError(
                    f"{table.source.name}:{record.line}: {name} is {record.cells[column]!r}, "
                    "expected a number, or nothing or NA where there is none"
                    f"{cure(text, decimal)}"
                )
        found.append(value)
    return found


def reading_order(
    table: Table, items: Sequence[int], position: str | None, decimal: Decimal = "point"
) -> list[list[int]]:
    """Records of each item (the same cells in columns ``items``) in the order of its words.

    Without a ``position`` column the rows of an item stand together, in order; with one they may
    stand anywhere. Raises InputError for rows that are neither.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    before: tuple[str, ...] | None = None
    for i, record in enumerate(table.records):
        if not record.cells:
            continue
        key = tuple(record.cells[column] for column in items)
        where = f"{table.source.name}:{record.line}"
        if not any(cell.strip() for cell in key):
            raise InputError(f"{where}: no item: the word belongs to no text")
        if position is None and key != before and key in groups:
            raise InputError(
                f"{where}: item {' '.join(key)} again, after item {' '.join(before or ())}: the "
                "words of an item stand together; sort the table, or name the column of their "
                "places with --position-column"
            )
        groups.setdefault(key, []).append(i)
        before = key
    if position is None:
        return list(groups.values())
    places = numbers(table, table.column(position, "--position-column"), position, decimal)
    for key, rows in groups.items():
        rows.sort(key=lambda i: -math.inf if (place := places[i]) is None else place)
        for i, following in zip(rows, [*rows[1:], None], strict=True):
            line = table.records[i].line
            if places[i] is None:
                raise InputError(f"{table.source.name}:{line}: no {position}")
            if following is not None and places[i] == places[following]:
                other = table.records[following].line
                raise InputError(
                    f"{table.source.name}:{other}: {position} {places[i]:g} of item "
                    f"{' '.join(key)} stands in line {line}, too; name all columns that "
                    "tell texts apart with --item-column"
                )
    return list(groups.values())
