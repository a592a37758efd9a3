"""Decimal commas: found where they can be nothing else, read, and written."""

import pytest

from nplm_cli.errors import ConfigError, InputError
from nplm_cli.stimuli.columns import numbers, shown
from nplm_cli.stimuli.decimals import decimal_of, number


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("word;RT\na;443,5\nb;NA\n", "comma"),
        ("word;RT\na;443\nb;-0,5e3\n", "comma"),
        ("word;RT\n3,5;443\n", "point"),
        ("word;RT\na;443.5\nb;1,500\n", "point"),
        ("word;RT\na;443\n", "point"),
        ("word\tRT\na\t443,5\n", "point"),
        ('word,RT\na,"443,5"\n', "point"),
    ],
)
def test_what_a_table_has(table, text, decimal):
    assert decimal_of(table(text), "auto", [0]) == decimal
    for told in ("point", "comma"):
        assert decimal_of(table(text), told, [0]) == told


def test_refused(table):
    with pytest.raises(ConfigError, match="expected auto, point or comma"):
        decimal_of(table("a;b\n1;2\n"), "dot", [])
    with pytest.raises(ConfigError, match="--quoting none"):
        decimal_of(table("a,b\n1,2\n", "comma", "none"), "comma", [])


def test_numbers_both_ways(table):
    found = table("word;RT\na;443,5\nb;NA\nc;12\n")
    assert numbers(found, 1, "RT", "comma") == [443.5, None, 12.0]
    with pytest.raises(InputError, match=r":2: RT is '443,5'.*--decimal comma"):
        numbers(found, 1, "RT")
    with pytest.raises(InputError, match=r":2: RT is '443.5'.*--decimal point"):
        numbers(table("word;RT\na;443.5\n"), 1, "RT", "comma")
    assert [number(text, "comma") for text in ("1,5", "1.5", "1.000,5", "1,5,0", "inf")] == [
        1.5, None, None, None, None,
    ]  # fmt: skip
    assert [shown(value, "comma") for value in (1.25, -0.0, 1e-7, 3, None, True)] == [
        "1,25", "0,0", "1e-07", "3", "", "1",
    ]  # fmt: skip
