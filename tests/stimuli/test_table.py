"""Tables come back byte for byte, and are read by the rules that they were written by."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus.exact_text import read_exact
from nplm_cli.errors import ConfigError, InputError
from nplm_cli.stimuli.table import SEPARATORS, read_table


def bytes_of(found, added=()):
    rows = [found.header, *found.records]
    ahead = found.source.mark + found.source.encode(found.ahead)
    return ahead + b"".join(
        found.extended(r, added if r.cells else [], last=i == len(rows) - 1)
        for i, r in enumerate(rows)
    )


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)


@settings(max_examples=150)
@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=2, max_size=5),
    st.sampled_from(sorted(SEPARATORS)),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_csv_wrote_is_read_and_comes_back(rows, separator, quoting, end):
    rows[0] = [f"n{i}" + cell.replace("\r", "").replace("\n", "") for i, cell in enumerate(rows[0])]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=SEPARATORS[separator], quoting=quoting, lineterminator=end)
    writer.writerows(rows)
    data = out.getvalue().encode()
    found = read_table(read_exact("-", "utf-8", stdin=io.BytesIO(data)), separator, "csv")
    assert found.columns == rows[0]
    assert [record.cells for record in found.records] == rows[1:]
    assert bytes_of(found) == data
    more = bytes_of(found, ["a", 'b"' + SEPARATORS[separator]]).decode()
    again = list(csv.reader(io.StringIO(more, newline=""), delimiter=SEPARATORS[separator]))
    assert again == [[*row, "a", 'b"' + SEPARATORS[separator]] for row in rows]


@pytest.mark.parametrize(
    ("text", "separator", "quoting", "cells"),
    [
        ("a\tb\n1\t2\n", "\t", "none", ["1", "2"]),
        ("sep=;\r\na,b;c\r\n1,5;2\r\n", ";", "csv", ["1,5", "2"]),
        ("SEP=,\na;b,c\n1;5,2\n", ",", "csv", ["1;5", "2"]),
        ("sep=\t\na,b\tc\n1\t2\n", "\t", "none", ["1", "2"]),
        ("a,b\n1,2", ",", "csv", ["1", "2"]),
        ("a;b\n1,5;2\n", ";", "csv", ["1,5", "2"]),
        ("a\n1,5;2\n", "\t", "none", ["1,5;2"]),
        ("a,b\tc\n1,\t2\n", "\t", "none", ["1,", "2"]),
        ('a,b\n"x, ""y""\nz",2\n', ",", "csv", ['x, "y"\nz', "2"]),
        ('a\tb\n"x"\t2\n', "\t", "csv", ["x", "2"]),
        ('a\tb\n"x\ty"\t2\n', "\t", "csv", ["x\ty", "2"]),
        # Marks of speech in a table without quoting, which as CSV would swallow a row.
        ('a\tb\n"Yes,\t1\nit."\t1\n', "\t", "none", ['"Yes,', "1"]),
        ('a\tb\n"No!"x\t1\n', "\t", "none", ['"No!"x', "1"]),
    ],
)
def test_separator_and_quotes_are_found(table, text, separator, quoting, cells):
    found = table(text)
    assert (found.separator, found.quoting) == (separator, quoting)
    assert found.records[0].cells == cells
    assert bytes_of(found) == text.encode()


def test_quotes_as_told(table):
    assert table('a\tb\n"x"\t1\n', "auto", "none").records[0].cells == ['"x"', "1"]
    assert table("a,b\n'x',1\n", "comma").records[0].cells == ["'x'", "1"]
    assert table("a,b\n1,2\n", "tab").columns == ["a,b"]


def test_blank_lines_and_empty_rows(table):
    found = table("a\tb\r\n1\t2\r\n\r\n\t\r\n \n")
    assert [record.cells for record in found.records] == [["1", "2"], [], ["", ""], []]
    assert [record.line for record in found.records] == [2, 3, 4, 5]
    assert bytes_of(found, ["x"]) == b"a\tb\tx\r\n1\t2\tx\r\n\r\n\t\tx\r\n \n"


def test_lines_are_counted_through_quoted_line_ends(table):
    found = table('a,b\n"1\n2",3\n4,5\n')
    assert [record.line for record in found.records] == [2, 4]
    assert found.records[0].text == '"1\n2",3'


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "expected a header"),
        ("\na\n", 1, "expected a header"),
        ("sep=;\n", 2, "expected a header"),
        ("sep=|\na|b\n1|2\n", 1, "tab, comma and semicolon are known"),
        ("sep=;\na;b\n1;2\n3\n", 4, "1 cell, the header has 2"),
        ('sep=;\na;b\n"1;2\n', 3, "quotes"),
        ("a\tb\n1\t2\n3\n", 3, "1 cell, the header has 2"),
        ("a,b\n1,2,3\n", 2, "3 cells, the header has 2"),
        ('a,b\n"1,2\n3,4\n', 2, "quotes"),
        ('a,b\n1,2\n"x"y,4\n', 3, "--quoting none"),
        ('a\tb\n"1\t2\t3\n4\t5\n', 2, "quotes"),
    ],
)
def test_what_does_not_fit_is_named_by_its_line(table, text, line, why):
    with pytest.raises(InputError, match=f"^standard input:{line}: ") as caught:
        table(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_columns_by_name(table):
    found = table("word\titem\titem\n1\t2\t3\n")
    assert found.column("word", "--word-column") == 0
    with pytest.raises(InputError, match="two columns are called 'item'"):
        found.column("item", "--item-column")
    with pytest.raises(InputError, match="did you mean 'word'"):
        found.column("wrd", "--word-column")
    with pytest.raises(InputError, match=r"there are 'word', 'item', 'item'; .* must be a header"):
        found.column("sentence", "--text-column")
    with pytest.raises(InputError, match=r"no separator found in .* 'word\|item'.* are known"):
        table("word|item\n1|2\n").column("word", "--word-column")
    with pytest.raises(ConfigError, match="--prefix"):
        found.refuse_clashes(["x", "word"])
    for wrong in ({"separator": "pipe"}, {"quoting": "some"}):
        with pytest.raises(ConfigError, match="expected auto"):
            read_table(found.source, **wrong)


def test_a_cell_of_any_length(table):
    """Python's reader takes 131,072 characters unless it is told otherwise."""
    before = csv.field_size_limit()
    found = table('a,b\n"' + "x," * 200_000 + '",1\n')
    assert [len(cell) for cell in found.records[0].cells] == [400_000, 1]
    with pytest.raises(InputError, match="quotes"):
        table('a,b\n"' + "x," * 200_000)
    assert csv.field_size_limit() == before


def test_what_json_cannot_hold(table):
    table("a,b\n1,2\n").refuse_as_objects()
    for head, why in (("a,a", "two columns 'a'"), ("a,schema", "'schema', which --json")):
        with pytest.raises(InputError, match=why):
            table(f"{head}\n1,2\n").refuse_as_objects()


def test_a_header_without_rows(table):
    with pytest.raises(InputError, match="no row"):
        table("a\tb\n\n")
