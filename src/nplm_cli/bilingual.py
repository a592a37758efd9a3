"""Texts and tables in English and Chinese, for lessons, explanations and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


class Text(NamedTuple):
    """The same in English and Chinese."""

    en: str
    zh: str

    def within(self, lang: Language) -> str:
        """The text in a language."""
        return self.zh if lang == "zh" else self.en


Cell = Text | str | int | float | bool | None
NOTHING = Text("", "")


def said(value: Text | Any, lang: Language) -> Any:
    """A text in a language; anything else as it is."""
    return value.within(lang) if isinstance(value, Text) else value


@dataclass(frozen=True)
class Table:
    """Rows under columns; numbers that are no integers are shown to so many ``places``."""

    columns: Sequence[Text | str]
    rows: Sequence[Sequence[Cell]]
    places: int = 6

    def within(self, lang: Language) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows, their texts in a language."""
        columns = [said(column, lang) for column in self.columns]
        return columns, [[said(cell, lang) for cell in row] for row in self.rows]
