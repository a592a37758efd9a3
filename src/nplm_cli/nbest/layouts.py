"""Layouts of n-best lists: what a line says, and the line with a score added.

Moses: ``id ||| hypothesis ||| features ||| total``, further fields allowed. TSV with a header,
split at tabs and nowhere else. JSON lines, an object a line. Nothing of a line changes but for what
is added and, in Moses, the total.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from nplm_cli.errors import ConfigError, did_you_mean
from nplm_cli.plain import counted

SEPARATOR = "|||"


@dataclass(frozen=True)
class Names:
    """Names of what is read (columns or keys of TSV and JSON lines) and of what is added.

    ``score`` is the feature of Moses and the beginning of added columns; ``unit`` is what follows
    it there, ``logprob_e`` for natural logarithms.
    """

    id: str = "id"
    hypothesis: str = "hypothesis"
    total: str = "total"
    score: str = "nplm"
    unit: str = "logprob_e"

    def __post_init__(self) -> None:
        """Refuse a name that a feature or column cannot have."""
        bare = self.score.replace("_", "").replace("-", "").replace(".", "")
        if not (bare.isascii() and bare.isalnum()):
            raise ConfigError(
                f"--name {self.score!r}: expected ASCII letters, digits, '_', '-' and '.'"
            )

    @property
    def added(self) -> tuple[str, str]:
        """Columns of the score and of the new total."""
        return f"{self.score}_{self.unit}", f"{self.score}_total"


class Fields(NamedTuple):
    """What a line says; ``total`` is None where it says none."""

    id: str
    hypothesis: str
    total: float | None


class MalformedError(Exception):
    """Why a line is none of its layout; the list knows file and number."""


class Layout(Protocol):
    """How lines are read and written; ``parse`` raises MalformedError."""

    def parse(self, text: str) -> Fields:
        """Read a line."""

    def written(self, text: str, score: float, total: float | None) -> str:
        """Return the line with the score, and with the new total unless that is None."""


def figure(value: float) -> str:
    """A figure of a list: eight significant digits; -inf for probability 0."""
    return f"{value + 0.0:.8g}"


class Moses:
    """``id ||| hypothesis ||| features ||| total``; all lines have as many fields."""

    def __init__(self, first: str, names: Names):
        self.count, self.names = first.count(SEPARATOR) + 1, names

    def parse(self, text: str) -> Fields:
        """Read a line; the total is a number."""
        fields = text.split(SEPARATOR)
        if len(fields) < 4:
            raise MalformedError(
                f"{counted(len(fields), 'field')} between '|||', expected "
                "'id ||| hypothesis ||| features ||| total'"
            )
        if len(fields) != self.count:
            raise MalformedError(
                f"{counted(len(fields), 'field')} between '|||', the first line has {self.count}"
            )
        if any(feature.startswith(f"{self.names.score}=") for feature in fields[2].split()):
            raise MalformedError(
                f"the features hold {self.names.score}= already; name the new one with --name"
            )
        total = _number(fields[3].strip())
        if total is None:
            raise MalformedError(f"the total {fields[3].strip()!r} is no number")
        return Fields(fields[0].strip(), fields[1].strip(), total)

    def written(self, text: str, score: float, total: float | None) -> str:
        """Append a feature to the features; a new total takes the place of the old one."""
        fields = text.split(SEPARATOR)
        body = fields[2].rstrip()
        fields[2] = f"{body} {self.names.score}= {figure(score)}{fields[2][len(body) :] or ' '}"
        if total is not None:
            fields[3] = fields[3].replace(fields[3].strip(), figure(total), 1)
        return SEPARATOR.join(fields)


class Tsv:
    """Columns named in a header; no quotes: a tab always parts."""

    def __init__(self, header: str, names: Names):
        self.columns = header.split("\t")
        self.names = names
        for name in names.added:
            if name in self.columns:
                raise MalformedError(
                    f"a column {name} is there already; name the new ones with --name"
                )
        self.id, self.hypothesis = self._place(names.id), self._place(names.hypothesis)
        self.total = self._place(names.total) if names.total in self.columns else None

    def _place(self, name: str) -> int:
        if self.columns.count(name) != 1:
            problem = "no" if name not in self.columns else "more than one"
            raise MalformedError(
                f"{problem} column {name!r}{did_you_mean(name, self.columns)}; the first line must "
                "be a header that names the columns (--id-column, --text-column and --total-column "
                "call them otherwise)"
            )
        return self.columns.index(name)

    def parse(self, text: str) -> Fields:
        """Read a row, whose total may be empty."""
        cells = text.split("\t")
        if len(cells) != len(self.columns):
            raise MalformedError(
                f"{counted(len(cells), 'column')}, the header has {len(self.columns)}"
            )
        total = None
        if self.total is not None and cells[self.total].strip():
            total = _number(cells[self.total].strip())
            if total is None:
                raise MalformedError(f"the total {cells[self.total]!r} is no number")
        return Fields(cells[self.id].strip(), cells[self.hypothesis], total)

    def header(self, text: str, totals: bool) -> str:
        """Return the header with the new columns."""
        return "\t".join([text, *self.names.added[: 1 + totals]])

    def written(self, text: str, score: float, total: float | None) -> str:
        """Append columns."""
        return "\t".join([text, figure(score), *([] if total is None else [figure(total)])])


class JsonLines:
    """An object a line with an id (text or integer), a hypothesis and perhaps a total."""

    def __init__(self, names: Names):
        self.names = names

    def parse(self, text: str) -> Fields:
        """Read an object."""
        names = self.names
        try:
            pairs = json.loads(text, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError) as error:
            told = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            reason = told.split(":")[0]
            where = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise MalformedError(f"not JSON ({reason[:1].lower()}{reason[1:]}{where})") from error
        if not isinstance(pairs, _Pairs):
            raise MalformedError("expected a JSON object, {...}")
        record = dict(pairs)
        for name in names.added:
            if name in record:
                raise MalformedError(
                    f"a key {name!r} is there already; name the new ones with --name"
                )
        for name in (names.id, names.hypothesis, names.total):
            if sum(key == name for key, _ in pairs) > 1:
                raise MalformedError(f"the key {name!r} stands there twice")
        for name in (names.id, names.hypothesis):
            if name not in record:
                raise MalformedError(
                    f"no key {name!r}{did_you_mean(name, record)}; name the keys with "
                    "--id-column, --text-column and --total-column"
                )
        own, hypothesis, total = (record.get(n) for n in (names.id, names.hypothesis, names.total))
        if type(own) not in (str, int):
            raise MalformedError(f"the id {_shown(own)} is neither text nor an integer")
        if not isinstance(hypothesis, str):
            raise MalformedError(f"the hypothesis {_shown(hypothesis)} is no text")
        if total is not None and (
            type(total) not in (int, float) or not math.isfinite(total := _as_float(total))
        ):
            raise MalformedError(f"the total {_shown(total)} is no number")
        return Fields(str(own).strip(), hypothesis, total)

    def written(self, text: str, score: float, total: float | None) -> str:
        """Append keys; a score of -inf, which JSON does not have, is null."""
        values = zip(self.names.added, (score, total), strict=True)
        added = [
            f", {json.dumps(name)}: {json.dumps(value + 0.0 if math.isfinite(value) else None)}"
            for name, value in values
            if value is not None
        ]
        inside = text.rstrip()[:-1]
        at = len(inside.rstrip())
        return text[:at] + "".join(added) + text[at:]


class _Pairs(list[tuple[str, Any]]):
    """Keys and values of an object, keys that stand twice included."""


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _shown(value: object) -> str:
    text = "{...}" if isinstance(value, _Pairs) else repr(value)
    return text if len(text) <= 40 else text[:40] + "..."


def _number(text: str) -> float | None:
    """A finite number in ASCII, nothing of what else Python takes for one."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
