"""Numbers and words of a lesson that a student may change: ``--set NAME=VALUE``.

The kind of a parameter is that of its default: a number, a choice, words (by spaces), a vector
``1,0.5,2`` or a matrix, its rows parted by semicolons: ``1,2;3,4``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nplm_cli.bilingual import Text
from nplm_cli.errors import ConfigError, did_you_mean

LONGEST = 128  # numbers or words of a row, rows of a matrix


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A value of a lesson: what it is by default, what it means, and what it may be.

    ``low`` and ``high`` bound each number. A vector or matrix has the default's shape, and there
    are as many words as in the default, unless ``free``.
    """

    default: Any
    help: Text
    low: float = -1e6
    high: float = 1e6
    choices: tuple[str, ...] = ()
    free: bool = False

    def read(self, name: str, text: str) -> Any:
        """The value that a text says. Raises ConfigError, naming what was expected."""
        value = self._read(name, text)
        if not self.free and _shape(value) != _shape(self.default):
            raise ConfigError(
                f"--set {name}={text!r:.60}: expected the shape of {shown(self.default)}"
            )
        return value

    def check(self, name: str, value: Any) -> None:
        """Raise ConfigError for a value of another kind than the default, or out of bounds."""
        read = self.read(name, shown(value))
        if not _alike(read, value):
            raise ConfigError(f"{name}={value!r:.60}: expected a value such as {self.default!r}")

    def _read(self, name: str, text: str) -> Any:
        default = self.default
        if isinstance(default, str):
            if self.choices and text not in self.choices:
                raise ConfigError(
                    f"--set {name}={text!r:.60}: expected one of {', '.join(self.choices)}"
                    f"{did_you_mean(text, self.choices)}"
                )
            return text
        if not isinstance(default, tuple):
            return self._number(name, text, type(default))
        if isinstance(default[0], str):
            return self._row(name, text.split(), lambda word: word)
        kind = type(default[0][0] if isinstance(default[0], tuple) else default[0])

        def row(cells: str) -> tuple[Any, ...]:
            return self._row(name, cells.split(","), lambda t: self._number(name, t, kind))

        return self._row(name, text.split(";"), row) if _is_matrix(default) else row(text)

    def _row(self, name: str, cells: Sequence[str], read: Any) -> tuple[Any, ...]:
        if not 0 < len(cells) <= LONGEST:
            raise ConfigError(f"--set {name}: expected 1 to {LONGEST} values, found {len(cells)}")
        return tuple(read(cell) for cell in cells)

    def _number(self, name: str, text: str, kind: type) -> float | int:
        if text.strip().startswith(("[", "(")):
            raise ConfigError(f"--set {name}: write vectors without brackets: 1,0.5,2")
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not self.low <= value <= self.high:
            what = "a whole number" if kind is int else "a number"
            raise ConfigError(
                f"--set {name}={text.strip()!r:.60}: expected {what} "
                f"from {self.low:g} to {self.high:g}"
            )
        return value


def _is_matrix(value: Any) -> bool:
    return isinstance(value, tuple) and isinstance(value[0], tuple)


def _shape(value: Any) -> Any:
    if not isinstance(value, tuple):
        return None
    return [_shape(item) for item in value]


def _alike(read: Any, value: Any) -> bool:
    """Whether a value is what its text was read as: "5" is no number, though it reads as one."""
    if isinstance(read, tuple):
        return isinstance(value, tuple) and all(map(_alike, read, value))
    if isinstance(read, str):
        return isinstance(value, str)
    return isinstance(value, int | float)


def shown(value: Any) -> str:
    """A value as ``--set`` reads it.

    >>> shown(((1.0, 0.5), (2.0, 0.0)))
    '1,0.5;2,0'
    """
    if _is_matrix(value):
        return ";".join(shown(row) for row in value)
    if isinstance(value, tuple):
        return (" " if isinstance(value[0], str) else ",").join(shown(item) for item in value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def read_settings(
    lesson: str, parameters: Mapping[str, Parameter], settings: Sequence[str]
) -> dict[str, Any]:
    """Values of all parameters of a lesson: the defaults but for ``NAME=VALUE`` settings.

    Raises ConfigError for a name that the lesson does not have and for an impossible value.
    """
    values = {name: parameter.default for name, parameter in parameters.items()}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise ConfigError(
                f"--set {setting!r:.60}: the lesson {lesson} has no {name!r:.40} to set "
                f"(it has: {known}){did_you_mean(name, parameters)}"
            )
        if not equals:
            raise ConfigError(f"--set {name}: expected {name}=VALUE")
        values[name] = parameters[name].read(name, text)
    return values
