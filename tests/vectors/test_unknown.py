"""What is said of a word that the vocabulary lacks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.vectors.unknown import _edit_distance, explain_unknown

KNOWN = ["<unk>", "</s>", "的", "人工", "智能", "人", "工", "智", "能", "paris", "London", "sea"]
KNOWN += ["water", "house", "mouse", "hose", "NASA", "horse"]


@pytest.mark.parametrize(
    ("counts", "complete", "reason"),
    [
        ({"Foo": 3}, True, "seen 3 times in training, below the cut"),
        ({"Foo": 1}, True, "seen once in training, below the cut"),
        ({}, True, "never seen in training"),
        ({}, False, "rare or never seen in training"),
        (None, True, "not in the vocabulary"),
    ],
)
def test_reason(counts, complete, reason):
    found = explain_unknown("Foo", KNOWN, counts, unknown_complete=complete)
    assert found.reason == reason


def test_segmentation_is_of_the_fewest_known_words():
    found = explain_unknown("人工智能", KNOWN, {})
    assert found.segmentation == ["人工", "智能"]
    assert found.describe() == (
        "unknown word '人工智能': never seen in training; known pieces: 人工|智能"
    )
    assert explain_unknown("人工智慧", KNOWN).segmentation is None
    assert explain_unknown("seawater", KNOWN).segmentation == ["sea", "water"]
    # The longest match from the left, AB, leaves a rest that is unknown.
    assert explain_unknown("甲乙丙丁", ["甲乙", "甲", "乙丙丁"]).segmentation == ["甲", "乙丙丁"]
    assert explain_unknown("的" * 10_000, KNOWN).segmentation is None
    assert explain_unknown("", KNOWN).segmentation is None


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("Paris", ["paris"]),
        ("ＰＡＲＩＳ", ["paris"]),
        ("london", ["London"]),
        ("nasa", ["NASA"]),
        ("Nasa", ["NASA"]),
        ("hosue", ["house", "hose"]),
        ("watre", ["water"]),
        ("人智", ["人工", "人", "智"]),
        ("waterie", ["water"]),
        ("xyz", []),
        ("<unq>", []),
        ("q", []),
        ("", []),
    ],
)
def test_near_spellings(word, near):
    assert explain_unknown(word, KNOWN).near == near


def test_a_known_word_is_never_its_own_suggestion():
    assert "house" not in explain_unknown("house", KNOWN).near


def test_near_follows_distance_then_order_and_the_limit():
    words = ["cart", "care", "cars", "cat", "scare"]
    assert explain_unknown("carx", words).near == ["cart", "care", "cars"]
    assert explain_unknown("carx", words, limit=1).near == ["cart"]


def full_distance(a, b):
    """Levenshtein with swaps, the plain table."""
    table = [[i + j if 0 in (i, j) else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            costs = [table[i - 1][j] + 1, table[i][j - 1] + 1]
            costs.append(table[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                costs.append(table[i - 2][j - 2] + 1)
            table[i][j] = min(costs)
    return table[-1][-1]


@settings(max_examples=200, deadline=None)
@given(st.text("abc", max_size=7), st.text("abc", max_size=7), st.integers(0, 3))
def test_edit_distance_is_exact_up_to_its_limit(a, b, limit):
    exact, found = full_distance(a, b), _edit_distance(a, b, limit)
    assert found == exact if exact <= limit else found > limit
