"""What a lesson is made of: steps with texts, tables, values and checked claims.

A lesson is worked out anew each time by the code that nplm trains and asks its models with; none of
its numbers is stored. ``values`` hold them in full, tables show them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nplm_cli.bilingual import NOTHING, Language, Table, Text

# A number, or numbers in lists; None is what cannot be said (0 divided by 0).
Value = float | int | str | bool | None | Sequence["Value"]


@dataclass(frozen=True)
class Claim:
    """A sentence about the numbers, and whether it is true of them; both are worked out."""

    text: Text
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thought: what is done, by which formula, what comes out, and what can be said of it.

    ``formula`` has lines that are shown as they stand. ``values`` are named once in a lesson.
    """

    title: Text
    text: Text = NOTHING
    formula: Sequence[str] = ()
    tables: Sequence[Table] = ()
    values: Mapping[str, Value] = field(default_factory=dict)
    claims: Sequence[Claim] = ()


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue. ``topic`` is the folder of the lesson's module.

    ``examples`` are the ids of the worked examples (``tests/worked/examples/``) that it
    reproduces, ``source`` names lectures and sections, their names shortened as in
    ``catalogue.SOURCES``.
    """

    name: str
    topic: str
    title: Text
    source: str
    examples: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """Name of the module that works the lesson out."""
        return f"nplm_cli.lessons.{self.topic}.{self.name.replace('-', '_')}"


@dataclass(frozen=True)
class Lesson:
    """A lesson, worked out with the parameters ``given`` it.

    ``runs`` are the functions and classes of nplm whose results the numbers are.
    """

    entry: Entry
    given: Mapping[str, Any]
    runs: Sequence[str]
    steps: Sequence[Step]

    @property
    def values(self) -> dict[str, Value]:
        """All values of all steps by name."""
        return {name: value for step in self.steps for name, value in step.values.items()}

    def record(self, lang: Language) -> dict[str, Any]:
        """The lesson as one JSON object."""
        return {
            "lesson": self.entry.name,
            "title": self.entry.title.within(lang),
            "lang": lang,
            "source": self.entry.source,
            "examples": list(self.entry.examples),
            "runs": list(self.runs),
            "parameters": dict(self.given),
            "steps": [_step_record(step, lang) for step in self.steps],
        }


def _step_record(step: Step, lang: Language) -> dict[str, Any]:
    return {
        "title": step.title.within(lang),
        "text": step.text.within(lang),
        "formula": list(step.formula),
        "tables": [
            dict(zip(("columns", "rows"), table.within(lang), strict=True)) for table in step.tables
        ],
        "values": dict(step.values),
        "claims": [{"text": c.text.within(lang), "holds": c.holds} for c in step.claims],
    }
