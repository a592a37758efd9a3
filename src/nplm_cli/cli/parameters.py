"""Options and arguments of commands as plain records, and plain command lines read by them.

The option parser (typer) takes longer to load than most questions take to answer. A line that
only gives arguments and known options their values is therefore read here; whatever else there is
(help, abbreviations, errors, ``--``) is left to typer, which is made from the same records.
"""

import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

# What the plain reader minds of the settings of a parameter, and what only the help shows.
_BOUNDS = {"min", "max"}
_SHOWN = {"help", "metavar", "rich_help_panel", "show_default"}
_LONGEST_NUMBER = 15  # digits, of which a float loses none


class Parameter:
    """What typer is told of a parameter: flags, and settings by name."""

    def __init__(self, *flags: str, **settings: Any):
        self.flags, self.settings = flags, settings


class Option(Parameter):
    """The same as ``typer.Option`` in an annotation."""


class Argument(Parameter):
    """The same as ``typer.Argument`` in an annotation."""


class Registry:
    """Takes the commands of a module as typer would."""

    def __init__(self) -> None:
        self.functions: dict[str, Callable[..., None]] = {}

    def command(self, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Return what takes the function of a command."""

        def register(function: Callable[..., None]) -> Callable[..., None]:
            self.functions[name] = function
            return function

        return register


def with_typer(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function with typer's records in its annotations in place of ours."""
    hints = function.__annotations__
    if not any(isinstance(record, Parameter) for hint in hints.values() for record in _of(hint)):
        return function
    import typer

    made: dict[str, Any] = {}
    for name, hint in hints.items():
        record = next(iter(_of(hint)), None)
        if isinstance(record, Parameter):
            kind: Any = typer.Option if isinstance(record, Option) else typer.Argument
            hint = Annotated[hint.__origin__, kind(*record.flags, **record.settings)]
        made[name] = hint
    code: Any = function
    copy = types.FunctionType(
        code.__code__, code.__globals__, code.__name__, code.__defaults__, code.__closure__
    )
    copy.__doc__, copy.__module__ = function.__doc__, function.__module__
    copy.__kwdefaults__, copy.__annotations__ = code.__kwdefaults__, made
    return copy


def plain_call(
    function: Callable[..., None], arguments: Sequence[str]
) -> Callable[[], None] | None:
    """Return the call that a plain command line asks for; None of a line that typer must read."""
    values = plain_values(function, arguments)
    return None if values is None else lambda: function(**values)


def plain_values(function: Callable[..., None], arguments: Sequence[str]) -> dict[str, Any] | None:
    """Values of all parameters of a command, as typer gives them; None where typer must read."""
    flags: dict[str, tuple[str, bool | None]] = {}
    kinds: dict[str, tuple[type, bool, Parameter]] = {}
    positional: list[str] = []
    for name, hint in function.__annotations__.items():
        if name == "return":
            continue
        found = _kind(hint)
        if found is None:
            return None
        kind, _, record = kinds[name] = found
        if isinstance(record, Argument):
            positional.append(name)
            continue
        for flag in record.flags or ("--" + name.replace("_", "-"),):
            on, _, off = flag.partition("/")
            flags[on] = (name, True if kind is bool else None)
            if off:
                flags[off] = (name, False)
    given = _sorted_out(arguments, flags)
    if given is None:
        return None
    options, words = given
    if not _place(positional, words, kinds, options):
        return None
    return _converted(function, options, kinds)


def _of(hint: Any) -> tuple[Any, ...]:
    return hint.__metadata__ if get_origin(hint) is Annotated else ()


def _kind(hint: Any) -> tuple[type, bool, Parameter] | None:
    """Type of a value, whether there may be several, and the record; None of what typer knows."""
    record = next(iter(_of(hint)), None)
    if not isinstance(record, Parameter) or not set(record.settings) <= _BOUNDS | _SHOWN:
        return None
    kind = hint.__origin__
    if isinstance(kind, types.UnionType):
        kinds = [k for k in get_args(kind) if k is not type(None)]
        if len(kinds) != 1:
            return None
        kind = kinds[0]
    several = get_origin(kind) is list
    if several:
        (kind,) = get_args(kind)
    if kind not in (str, int, float, Path, bool) or (kind is bool and not record.flags):
        return None
    return kind, several, record


def _sorted_out(
    arguments: Sequence[str], flags: dict[str, tuple[str, bool | None]]
) -> tuple[dict[str, list[Any]], list[str]] | None:
    """Values of options by name, and the words that are no options."""
    options: dict[str, list[Any]] = {}
    words = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-") or argument == "-":
            words.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        if flag not in flags or (equals and not flag.startswith("--")):
            return None
        name, switch = flags[flag]
        if switch is not None:
            if equals:
                return None
            options.setdefault(name, []).append(switch)
            continue
        if not equals:
            value = next(rest, "-")
            if value.startswith("-"):  # the end of the line, or perhaps another option
                return None
        options.setdefault(name, []).append(value)
    return options, words


def _place(
    positional: list[str],
    words: list[str],
    kinds: dict[str, tuple[type, bool, Parameter]],
    options: dict[str, list[Any]],
) -> bool:
    """Give each argument its word, the last one all that are left if it may have several."""
    for i, name in enumerate(positional):
        last = i == len(positional) - 1
        if kinds[name][1]:
            if not last:
                return False
            if words[i:]:
                options[name] = words[i:]
            return True
        if i >= len(words):
            return False
        options[name] = [words[i]]
    return len(words) == len(positional)


def _converted(
    function: Any,
    options: dict[str, list[Any]],
    kinds: dict[str, tuple[type, bool, Parameter]],
) -> dict[str, Any] | None:
    """Values of the right types and within their bounds, the defaults among them."""
    names = list(kinds)
    defaults = function.__defaults__ or ()
    values = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    for name, texts in options.items():
        kind, several, record = kinds[name]
        if not several and len(texts) > 1:
            return None
        read = [_value(text, kind, record) for text in texts]
        if None in read:
            return None
        values[name] = read if several else read[0]
    return values if set(values) == set(kinds) else None


def _value(text: Any, kind: type, record: Parameter) -> Any:
    """The value of a text, None unless it is written in the plainest way."""
    if kind in (bool, str):
        return text
    if kind is Path:
        return Path(text) if text else None
    digits = text.replace(".", "", 1) if kind is float else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST_NUMBER):
        return None
    value = kind(text)
    low, high = record.settings.get("min"), record.settings.get("max")
    return value if (low is None or value >= low) and (high is None or value <= high) else None
