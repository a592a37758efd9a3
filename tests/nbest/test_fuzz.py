"""Whatever the bytes, a list is read and comes back, or one line says why not."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus.exact_text import read_exact
from nplm_cli.errors import InputError
from nplm_cli.nbest.lists import read_nbest

PIECES = [
    "0", "1", "2", " ||| ", "|||", "|", "a b", "我", "-1.5", "1e999", "nan", "f= -2", "\t", "\n",
    "\r\n", "\r", "", " ", "id", "hypothesis", "total", '{"id": 0, "hypothesis": "x"}', "{", "}",
    '"id":', '"hypothesis": "', '"', ",", "\\u0000", "\ud7ff", "\ufeff", "\u2028", "<unk>", "</s>",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)


def check(data):
    try:
        found = read_nbest(read_exact("-", stdin=io.BytesIO(data)))
    except InputError as error:
        told = str(error)
        return told.startswith("standard input") and "\n" not in told
    written = found.head(False) + b"".join(found.line(e, -1.25, None) for e in found.entries)
    for added in (b" nplm= -1.25 ", b" nplm= -1.25", b"\t-1.25", b', "nplm_logprob_e": -1.25'):
        written = written.replace(added, b"")
    assert written.replace(b"\tnplm_logprob_e", b"").replace(b" ", b"") == data.replace(b" ", b"")
    return True


@settings(max_examples=300)
@given(TEXTS)
def test_pieces_of_lists(text):
    assert check(text.encode())


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes(data):
    assert check(data)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 2), TEXTS, st.integers(-3, 3)), min_size=1, max_size=6))
def test_lists_that_are_nearly_right(rows):
    lines = [f"{i} ||| {text} ||| f= 1 ||| {total}" for i, text, total in sorted(rows)]
    assert check("\n".join(lines).encode())
