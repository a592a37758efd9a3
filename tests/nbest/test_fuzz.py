"""Whatever the bytes, a list is read and comes back, or one line says why not."""

import io
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus.exact_text import read_exact
from nplm_cli.errors import InputError
from nplm_cli.nbest.lists import read_nbest
from nplm_cli.nbest.rescoring import references_of

PIECES = [
    "0", "1", "2", " ||| ", "|||", "|", "a b", "我", "-1.5", "1e999", "nan", "f= -2", "\t", "\n",
    "\r\n", "\r", "", " ", "id", "hypothesis", "total", '{"id": 0, "hypothesis": "x"}', "{", "}",
    '"id":', '"hypothesis": "', '"', ",", "\\u0000", "\ud7ff", "\ufeff", "\u2028", "<unk>", "</s>",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)


def with_score(kind, line, first):
    """A line of the list with a score of -1.25 in it."""
    match kind:
        case "moses":
            [head, body, space, tail] = re.fullmatch(
                r"((?:.*?\|\|\|){2})(.*?)(\s*)(\|\|\|.*)", line, re.DOTALL
            ).groups()
            return f"{head}{body} nplm= -1.25{space or ' '}{tail}"
        case "tsv":
            return line + ("\tnplm_logprob_e" if first else "\t-1.25")
        case _:
            [head, tail] = re.fullmatch(r"(.*?)(\s*\}\s*)", line, re.DOTALL).groups()
            return f'{head}, "nplm_logprob_e": -1.25{tail}'


def check(data):
    try:
        found = read_nbest(read_exact("-", stdin=io.BytesIO(data)))
    except InputError as error:
        told = str(error)
        return told.startswith("standard input") and "\n" not in told
    written = found.head(False) + b"".join(found.line(e, -1.25, None) for e in found.entries)
    text = data.removeprefix(found.text.mark).decode(found.text.encoding)
    lines = re.split(r"(\r\n|\r|\n)", text)
    expected = "".join(
        part if i % 2 or not part else with_score(found.format, part, not i)
        for i, part in enumerate(lines)
    )
    if found.format == "tsv" and len(lines) == 1:
        expected += "\n"
    assert written == found.text.mark + expected.encode(found.text.encoding)
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


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(st.integers(0, 9).map(str), st.sampled_from(["a", "9" * 5_000, "01"])),
        min_size=1,
        max_size=6,
        unique=True,
    ).map(sorted),
    st.integers(0, 10),
    st.booleans(),
)
def test_references(ids, lines, allow_missing):
    """A line an id; else line k for id k, where it can be counted in one way alone."""
    data = "".join(f"{own} ||| x ||| f= 1 ||| -1\n" for own in ids).encode()
    try:
        found = read_nbest(read_exact("-", stdin=io.BytesIO(data)), allow_missing=allow_missing)
    except InputError:
        return
    texts = [f"line {k}" for k in range(lines)]
    expected = None
    if lines == len(ids):
        expected = texts
    elif (
        allow_missing and lines > len(ids) and all(own.isdecimal() and len(own) < 9 for own in ids)
    ):
        ways = [[int(own) - base for own in ids] for base in (0, 1)]
        if int(ids[0]) < 2:
            ways = [ways[int(ids[0])]]
        fitting = [way for way in ways if way[0] >= 0 and way[-1] < lines]
        expected = [texts[k] for k in fitting[0]] if len(fitting) == 1 else None
    try:
        own = references_of(found, texts, "refs", allow_missing=allow_missing).texts
    except InputError as error:
        own, told = None, str(error)
        assert told.startswith("refs: ")
    assert own == expected
