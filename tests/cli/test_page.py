"""Wrapped text for a terminal: where a line may end."""

from hypothesis import given
from hypothesis import strategies as st

from nplm_cli.cli.page import width_of, wrapped


def test_what_an_opening_quote_begins_fits_its_line():
    text = "在这里不变，因为“这”"
    assert list(wrapped(text, width_of(text) - 1)) == ["在这里不变，因为", "“这”"]
    assert list(wrapped(text, width_of(text))) == [text]


def test_an_opening_quote_does_not_end_a_line():
    assert list(wrapped("ab “这这这", 5)) == ["ab", "“这这", "这"]


@given(st.text(alphabet="ab 这，。“”（）", max_size=60), st.integers(8, 30))
def test_no_character_is_lost(text, width):
    lines = list(wrapped(text, width))
    assert "".join("".join(lines).split()) == "".join(text.split())
