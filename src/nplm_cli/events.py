"""What the library tells while it works; the command line turns it into bars and lines.

Library functions never print: they call ``on_event`` with one of these.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Message:
    """Something the user should know; a warning is about the meaning of the result."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a long piece of work has come; ``total`` is None when nobody knows.

    ``seconds_left`` is a better guess than the share that is done, where there is one.
    """

    what: str
    done: float
    total: float | None
    detail: str = ""
    seconds_left: float | None = None


@dataclass(frozen=True)
class Evaluated:
    """A line of metrics.jsonl was written."""

    record: dict[str, Any]


Event = Message | Progress | Evaluated
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Take no notice."""


def message(text: str) -> Message:
    """The message of a line of the readers, whose warnings begin with ``warning:``."""
    told = text.removeprefix("warning: ")
    return Message(told, warning=told != text)
