"""N-best lists as files: lines by layout, and ids that are checked.

A list out of step with its references, or one that lost the first word of each hypothesis for want
of an id, is worse than none; so every line is checked before anything is scored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, NoReturn

from nplm_cli.corpus.exact_text import ExactLine, ExactText
from nplm_cli.errors import ConfigError, InputError
from nplm_cli.nbest.layouts import (
    SEPARATOR,
    Fields,
    JsonLines,
    Layout,
    MalformedError,
    Moses,
    Names,
    Tsv,
)

Format = Literal["moses", "tsv", "jsonl"]
FORMATS: tuple[Format, ...] = ("moses", "tsv", "jsonl")


class Entry(NamedTuple):
    """A hypothesis and the line that it stands in."""

    fields: Fields
    line: ExactLine


@dataclass(frozen=True)
class NBest:
    """A list as it was read: its layout, its entries in order, and where each id begins.

    ``starts`` has one place more than there are ids. ``header`` is that of TSV.
    """

    text: ExactText
    format: Format
    layout: Layout
    entries: list[Entry]
    starts: list[int]
    header: ExactLine | None = None

    @property
    def ids(self) -> list[str]:
        """Each id once, in order."""
        return [self.entries[start].fields.id for start in self.starts[:-1]]

    @property
    def hypotheses(self) -> list[str]:
        """Every hypothesis."""
        return [entry.fields.hypothesis for entry in self.entries]

    @property
    def has_totals(self) -> bool:
        """Whether the lines have totals; raises InputError where only some have one."""
        missing = [entry for entry in self.entries if entry.fields.total is None]
        if missing and len(missing) < len(self.entries):
            raise InputError(
                f"{self.text.name}:{missing[0].line.number}: no total, which other lines have"
            )
        return not missing

    def groups(self) -> list[tuple[int, int]]:
        """First entry of each id and the one after its last."""
        return list(pairwise(self.starts))

    def head(self, totals: bool) -> bytes:
        """Return what goes before the entries: the mark, and the header with what is added."""
        if self.header is None or not isinstance(self.layout, Tsv):
            return self.text.mark
        line = self.layout.header(self.header.text, totals) + (self.header.end or "\n")
        return self.text.mark + self.text.encode(line)

    def line(self, entry: Entry, score: float, total: float | None) -> bytes:
        """Bytes of a line with what is added."""
        text = self.layout.written(entry.line.text, score, total)
        return self.text.encode(text + entry.line.end)


def read_nbest(
    text: ExactText,
    format: str = "auto",
    names: Names | None = None,
    *,
    allow_missing: bool = False,
) -> NBest:
    """Read a list; the first line decides the layout unless ``format`` names one.

    The hypotheses of an id stand together. Ids that are integers begin with 0 or 1 and go up by
    one, unless ``allow_missing`` lets them leave some out. Raises InputError with the line of what
    is otherwise, and of every malformed one.
    """
    names = names or Names()
    lines = list(text.lines())
    if not lines:
        raise InputError(f"{text.name}: empty; expected an n-best list")
    kind = _format(text.name, lines[0], format)
    refuse = _refuser(text.name)
    header = None
    layout: Layout
    try:
        if kind == "tsv":
            header = lines.pop(0)
            layout = Tsv(header.text, names)
        else:
            layout = Moses(lines[0].text, names) if kind == "moses" else JsonLines(names)
    except MalformedError as error:
        refuse(1, str(error))
    entries = []
    for line in lines:
        if not line.text.strip():
            refuse(line.number, "a blank line, expected a hypothesis with its id; take it out")
        try:
            entries.append(Entry(layout.parse(line.text), line))
        except MalformedError as error:
            refuse(line.number, str(error))
    if not entries:
        raise InputError(f"{text.name}: a header and no hypothesis")
    starts = _grouped(entries, refuse, allow_missing)
    return NBest(text, kind, layout, entries, starts, header)


def _format(name: str, line: ExactLine, format: str) -> Format:
    for known in FORMATS:
        if format == known:
            return known
    if format != "auto":
        raise ConfigError(f"--format {format!r}: expected one of {', '.join(FORMATS)}")
    if line.text.lstrip().startswith("{"):
        return "jsonl"
    if SEPARATOR in line.text:
        return "moses"
    if "\t" in line.text:
        return "tsv"
    raise InputError(
        f"{name}:1: no n-best list: expected 'id ||| hypothesis ||| features ||| total', a header "
        f"with tabs, or a JSON object, found {line.text[:40]!r}"
    )


def _refuser(name: str) -> Callable[[int, str], NoReturn]:
    def refuse(line: int, why: str) -> NoReturn:
        raise InputError(f"{name}:{line}: {why}")

    return refuse


def _grouped(
    entries: Sequence[Entry], refuse: Callable[[int, str], NoReturn], allow_missing: bool
) -> list[int]:
    """Where each id begins, and the end; refuses ids that are missing, torn or out of order."""
    starts: list[int] = []
    seen: set[str] = set()
    before: str | None = None
    for place, (fields, line) in enumerate(entries):
        own = fields.id
        if own == before:
            continue
        if not own:
            refuse(line.number, "no id before the hypothesis")
        if own in seen:
            refuse(
                line.number,
                f"id {own} again, after id {before}: the hypotheses of an id stand together; sort "
                "the list by id",
            )
        if is_integer(own) and (before is None or is_integer(before)):
            previous = -1 if before is None else int(before)
            expected = previous + 1
            if int(own) <= previous:
                refuse(line.number, f"id {own} after id {before}: ids go up; sort the list by id")
            if int(own) != expected and not (before is None and own == "1") and not allow_missing:
                last = int(own) - 1
                gap = f"id {expected} is" if last == expected else f"ids {expected} to {last} are"
                where = "first" if before is None else f"after id {before}"
                refuse(
                    line.number,
                    f"id {own} {where}: {gap} missing; --allow-missing takes the list as it is",
                )
        seen.add(own)
        starts.append(place)
        before = own
    return [*starts, len(entries)]


def is_integer(text: str) -> bool:
    """Whether an id is a number of at most 18 digits."""
    return text.isascii() and text.isdecimal() and len(text) < 19
