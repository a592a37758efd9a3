from itertools import groupby

from nplm_cli.corpus import paragraphs as module
from nplm_cli.corpus.paragraphs import paragraphs, wrap_width
from nplm_cli.corpus.readers import Line

WRAPPED = """\
               A LIST OF THINGS

  The first thing of all
  The second thing

     It was a bright cold day in spring, and all the clocks of the
 town were striking at the same time when a man in a grey coat came
 round the corner and stopped before the house of the old clerk. He
 did not look up.
     Nobody had seen him come, and nobody was to see him go; but on
 the next morning there was a letter on the table, folded four times
 and sealed with red wax.

 "Who wrote this?" asked the clerk, and looked at each of us for so
 long that we
 began to feel guilty.
"""
ONE_A_LINE = """\
It was a bright cold day in spring, and all the clocks of the town.
Nobody had seen him come, and nobody was to see him go, he thought.
On the next morning there was a letter on the table of the old man.
Who wrote this, asked the clerk, and looked at each of us for long.
"""
LOWER_CASED = "\n".join(
    f"the {'very ' * (i % 7)}old clock of the town in the north strikes {'again ' * (i % 5)}. {i}"
    for i in range(50)
)


def lines_of(text, file_index=0):
    return [Line(t, "f", file_index, n) for n, t in enumerate(text.split("\n"), 1)]


def joined(text):
    return [line.text for line in paragraphs(lines_of(text)) if line.text.strip()]


def test_hard_wrapped_paragraphs_are_joined_and_headings_are_not():
    assert 60 <= wrap_width(WRAPPED.split("\n")) <= 70
    result = joined(WRAPPED)
    assert [text[:20] for text in result] == [
        "A LIST OF THINGS",
        "The first thing of a",
        "The second thing",
        "It was a bright cold",
        "Nobody had seen him ",
        '"Who wrote this?" as',
        "began to feel guilty",
    ]
    assert "all the clocks of the town were striking" in result[3]
    assert result[3].endswith("did not look up.")


def test_numbers_are_those_of_the_first_line_and_blank_lines_stay():
    result = list(paragraphs(lines_of(WRAPPED)))
    assert [line.number for line in result if not line.text.strip()] == [2, 5, 13, 17]
    assert [line.number for line in result if line.text.startswith(("It was", "Nobody"))] == [6, 10]


def test_lines_that_are_not_wrapped_stay():
    for text in (
        ONE_A_LINE,
        LOWER_CASED,
        "the cat sat\nthe dog sat\n" * 20,
        "short\nlines\nhere\nare",
    ):
        assert wrap_width(text.split("\n")) is None
        assert joined(text) == [line for line in text.split("\n") if line]


def test_wrapped_chinese_is_joined_without_a_space():
    sentence = "这是一个很长很长的句子它在每一行的末尾都没有标点因为这一行还没有写完。"
    text = sentence * 20
    wrapped = "\n".join(text[i : i + 30] for i in range(0, len(text), 30))
    assert joined(wrapped) == [text]


def test_each_file_is_measured_by_itself():
    result = list(paragraphs(lines_of(ONE_A_LINE, 0) + lines_of(WRAPPED, 1)))
    counts = {
        i: sum(bool(x.text.strip()) for x in g)
        for i, g in groupby(result, key=lambda x: x.file_index)
    }
    assert counts == {0: 4, 1: 7}


def test_a_paragraph_is_never_longer_than_the_limit(monkeypatch):
    monkeypatch.setattr(module, "MAX_PARAGRAPH_CHARACTERS", 1000)
    line = "it was a bright cold day in spring and all the clocks of. the"
    result = joined("\n".join([line] * 500))
    assert 1 < len(result) < 500
    assert max(map(len, result)) < 1200
    assert " ".join(result) == " ".join([line] * 500)


def test_a_book_on_one_line_is_cut_at_white_space_or_a_full_stop(monkeypatch):
    monkeypatch.setattr(module, "MAX_PARAGRAPH_CHARACTERS", 100)
    for text, end in (
        ("lots of words " * 100, " "),
        ("这是一本书。" * 100, "。"),
        ("字" * 500, "字"),
    ):
        result = [line.text for line in paragraphs([Line(text, "f", 0, 1)])]
        assert "".join(result) == text
        assert len(result) >= 5
        assert all(len(part) <= 100 and part.endswith(end) for part in result)
