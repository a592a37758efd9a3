"""Words that stay bytes against a plain list and a dict of them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.vectors.formats import load_vectors
from nplm_cli.vectors.line_words import LineWords

WORDS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20))
# Words that share beginnings, ends and lengths: 7 and 15 bytes are bounds of what is told apart.
ALIKE = st.lists(st.text("ab书", min_size=0, max_size=3).map(lambda w: w + "x" * 5 + w))


def lines(words):
    return LineWords("".join(f"{word}\n" for word in words).encode())


@settings(max_examples=200, deadline=None)
@given(WORDS | ALIKE)
def test_words_and_rows_are_those_of_a_list(words):
    found = lines(words)
    assert len(found) == len(words)
    assert found.words() == words
    assert [found.word(row) for row in range(len(words))] == words
    assert [found.row(word) for word in words] == [words.index(word) for word in words]
    for word in ("absent", "x", "\n", "a\nb", "\ud800"):
        assert found.row(word) == (words.index(word) if word in words else None)


@settings(max_examples=300, deadline=None)
@given(WORDS | ALIKE)
def test_only_words_that_stand_twice_are_suspected(words):
    # Two different words could be, with a chance of one in 2^64.
    assert lines(words).may_repeat() is (len(set(words)) < len(words))


@pytest.mark.parametrize("length", [1, 7, 8, 15, 16, 40])
def test_one_word_twice_among_many(length):
    words = [f"{i:0{max(length, 4)}d}" for i in range(5000)]
    assert lines(words).may_repeat() is False
    for first, second in [(0, 4999), (17, 18), (2500, 3)]:
        assert lines([*words[:second], words[first], *words[second + 1 :]]).may_repeat() is True


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize(
    "words", [["a", ",", ""], ['","', "b"], ["a\\", "\n", "x"], ["书", "a b", "e\u0301"], [""]]
)
def test_words_in_the_header_of_safetensors(tmp_path, words, separators):
    from safetensors.numpy import save_file

    text = json.dumps(words, ensure_ascii=False, separators=separators)
    vectors = np.eye(len(words), 3, dtype=np.float32)
    save_file({"embedding.weight": vectors}, tmp_path / "v.safetensors", {"words": text})
    assert load_vectors(tmp_path / "v.safetensors").words == words
