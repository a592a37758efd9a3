"""Unknown words that are known in lower case or without their marks."""

from collections import Counter

import pytest

from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.stimuli.unknown import cures, unknown_words
from nplm_cli.stimuli.words import Figures, Scored, spaced_words

KNOWN = {"the", "cat", "sees", "tea", "do", "n't", "May", "<unk>"}


def recipe(format="segmented"):
    return TextRecipe(lang="en", format=format, sentences="line")


@pytest.mark.parametrize(
    ("words", "known", "expected"),
    [
        # unknown, lower, raw, raw_lower, bare, bare_lower
        ({"The": 3, "zebra": 1}, KNOWN, (4, 3, 0, 3, 0, 3)),
        ({"tea,": 2, "Tea,": 1}, KNOWN, (3, 0, 0, 0, 2, 3)),
        ({"tea,": 2, "Tea,": 1}, {*KNOWN, ","}, (3, 0, 2, 3, 2, 3)),
        ({"don't": 5, "Don't": 1}, KNOWN, (6, 0, 5, 6, 0, 0)),
        ({"--": 5, "zebra": 2, "May,": 1}, KNOWN, (8, 0, 0, 0, 1, 1)),
    ],
)
def test_what_the_model_would_know(words, known, expected):
    assert cures(words, recipe(), known) == expected


def test_raw_text_is_cut_already():
    assert cures({"tea,": 2, "The": 1}, recipe("raw"), KNOWN) == (3, 1, 0, 1, 2, 3)


@pytest.mark.parametrize(
    ("words", "known", "parts"),
    [
        ({"The": 3, "zebra": 1}, KNOWN, "of 4 unknown words the model knows 3 in lower case"),
        ({"tea,": 2}, KNOWN, "2 without attached marks"),
        ({"tea,": 2}, {*KNOWN, ","}, "2 with marks and contractions cut off (--raw)"),
        (
            {"The": 3, "tea,": 2, "Tea,": 1},
            KNOWN,
            "3 in lower case, 2 without attached marks, 6 both ways",
        ),
        ({"Tea,": 1}, KNOWN, "knows 1 without attached marks in lower case"),
    ],
)
def test_what_is_told(words, known, parts):
    assert cures(words, recipe(), known).told().endswith(parts)


def test_nothing_is_told_of_few():
    assert cures({"zebra": 11, "The": 1}, recipe(), KNOWN).told() is None
    assert cures({"zebra": 9, "The": 1}, recipe(), KNOWN).told() is not None


def test_the_words_that_are_unknown():
    text = spaced_words("The cat  The")
    words = [Figures(1, 3, oov) for oov in (True, False, True)]
    assert unknown_words([text], [Scored(words, Figures(1, 0))]) == Counter({"The": 2})
