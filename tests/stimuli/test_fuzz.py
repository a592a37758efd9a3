"""Whatever the bytes, a table is read and comes back, or one line says why not."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus.exact_text import read_exact
from nplm_cli.errors import InputError
from nplm_cli.stimuli.table import read_table

PIECES = [
    "a", "b", "我", '"', '""', ",", ";", "\t", "\n", "\r\n", "\r", " ", "'", "x y", "\u2028", "\ufeff",
    "1.5", "word\titem\n", "word,item\n", '"a",', "\x00", "sep=;\n",
]  # fmt: skip


def check(data, *settings):
    try:
        found = read_table(read_exact("-", stdin=io.BytesIO(data)), *settings)
    except InputError as error:
        told = str(error)
        return told.startswith("standard input") and "\n" not in told
    records = [found.header, *found.records]
    parts = [
        found.extended(record, [], last=at == len(records) - 1) for at, record in enumerate(records)
    ]
    ahead = found.source.mark + found.source.encode(found.ahead)
    assert ahead + b"".join(parts) == data
    widths = {len(record.cells) for record in records if record.cells}
    return len(widths) == 1


@settings(max_examples=400)
@given(
    st.lists(st.sampled_from(PIECES), max_size=20).map("".join),
    st.sampled_from(["auto", "tab", "comma"]),
    st.sampled_from(["auto", "csv", "none"]),
)
def test_pieces_of_tables(text, separator, quoting):
    assert check(text.encode(), separator, quoting)


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes(data):
    assert check(data)
