"""The machinery of settings: fields with help and bounds, checks, JSON both ways.

The files beside this one hold the settings themselves.
"""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from nplm_cli.errors import ConfigError, did_you_mean


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    no: str | None = None,
    metavar: str | None = None,
) -> Any:
    """Describe a setting: default, help text and bounds.

    ``low``/``high`` are inclusive bounds, ``above``/``below`` exclusive ones, ``no`` is the name
    of the flag that switches a boolean off (``--no-NAME`` unless given).
    """
    metadata = {
        "help": help,
        "low": low,
        "high": high,
        "above": above,
        "below": below,
        "no": no,
        "metavar": metavar,
    }
    return dataclasses.field(default=default, metadata=metadata)


class Section:
    """What all stage configurations share: checks when built, JSON both ways."""

    def __post_init__(self) -> None:
        """Check each field against its type and bounds; raises ConfigError naming the option."""
        hints = get_type_hints(type(self))
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            _check(field, hints[field.name], getattr(self, field.name))

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON object."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, values: object, where: str) -> Self:
        """Build from a JSON object; missing keys take the default, unknown keys are refused."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where}: expected an object with settings, found {values!r:.40}")
        known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        hints = get_type_hints(cls)
        for key in values:
            if key not in known:
                raise ConfigError(
                    f"{where}: unknown key {key!r:.60}{did_you_mean(str(key), known)}"
                )
        lists = {  # JSON has no tuples
            key: tuple(value)
            for key, value in values.items()
            if isinstance(value, list) and get_origin(hints[key]) is tuple
        }
        try:
            return cls(**{**values, **lists})
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error


def _check(field: dataclasses.Field[Any], hint: Any, value: Any) -> None:
    name = "--" + field.name.replace("_", "-")
    if value is None and type(None) in get_args(hint):
        return
    accepted = [t for t in get_args(hint) if t is not type(None)] if _is_union(hint) else [hint]
    for kind in accepted:
        if get_origin(kind) is Literal:
            if value in get_args(kind):
                break
        elif get_origin(kind) is tuple:
            if type(value) is tuple and all(type(item) is get_args(kind)[0] for item in value):
                break
        elif (kind is float and type(value) in (int, float)) or type(value) is kind:
            break
    else:
        choices = [c for t in accepted if get_origin(t) is Literal for c in get_args(t)]
        expected = (
            "one of " + ", ".join(map(str, choices))
            if choices
            else " or ".join("a list" if get_origin(t) is tuple else t.__name__ for t in accepted)
        )
        hint_text = did_you_mean(value, map(str, choices)) if isinstance(value, str) else ""
        raise ConfigError(f"{name} {value!r:.60}: expected {expected}{hint_text}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    bounds = field.metadata
    # nan, infinity, and numbers that neither a float nor a word of the machine holds.
    if not abs(value) < (1e308 if float in accepted else 2**63):
        raise ConfigError(f"{name} {value!r:.60}: expected a finite number")
    for key, broken, words in (
        ("low", lambda b: value < b, "at least"),
        ("high", lambda b: value > b, "at most"),
        ("above", lambda b: value <= b, "more than"),
        ("below", lambda b: value >= b, "less than"),
    ):
        bound = bounds.get(key)
        if bound is not None and broken(bound):
            raise ConfigError(f"{name} {value}: expected {words} {bound}")


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)
