"""Numbers of a table: with decimal points, or with the decimal commas that Excel may write."""

import math
import re
from collections.abc import Collection
from typing import Literal

from nplm_cli.errors import ConfigError
from nplm_cli.stimuli.table import Table

Decimal = Literal["point", "comma"]
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")
_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+([eE][+-]?[0-9]+)?")


def decimal_of(table: Table, decimal: str, words: Collection[int]) -> Decimal:
    """How the numbers of a table are written; ``auto`` looks for it outside the columns ``words``.

    It is a comma where semicolons part the columns, a number has a decimal comma, and none has a
    decimal point: with points about, 1,500 may be thousands. Raises ConfigError for an unknown
    name, and for commas that would part the columns.
    """
    if decimal not in ("auto", "point", "comma"):
        raise ConfigError(f"--decimal {decimal!r}: expected auto, point or comma")
    if decimal == "auto":
        numbers = [
            cell.strip()
            for record in table.records
            for at, cell in enumerate(record.cells)
            if table.separator == ";" and at not in words
        ]
        commas = any(map(_COMMA.fullmatch, numbers)) and not any(map(_POINT.fullmatch, numbers))
        return "comma" if commas else "point"
    if decimal == "comma" and table.separator == "," and table.quoting == "none":
        raise ConfigError("--decimal comma: commas part the columns; leave out --quoting none")
    return "comma" if decimal == "comma" else "point"


def number(text: str, decimal: Decimal) -> float | None:
    """A finite number in ASCII; None for anything else, a number of the other kind included."""
    if decimal == "comma":
        if "." in text:
            return None
        text = text.replace(",", ".")
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def cure(text: str, decimal: Decimal) -> str:
    """What reads a number that was not read; empty where nothing does."""
    if decimal == "point" and _COMMA.fullmatch(text):
        return " (--decimal comma reads decimal commas)"
    if decimal == "comma" and _POINT.fullmatch(text):
        return " (--decimal point reads decimal points)"
    return ""
