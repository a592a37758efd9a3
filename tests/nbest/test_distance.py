"""Edit distance against the textbook table, and the error rates by hand."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nplm_cli.errors import ConfigError, InputError
from nplm_cli.nbest import distance
from nplm_cli.nbest.distance import count_errors, edit_distances

WORDS = st.lists(st.sampled_from("abcd"), max_size=7)


def table_distance(a, b):
    """Wagner & Fischer 1974, cell by cell."""
    d = {(i, 0): i for i in range(len(a) + 1)} | {(0, j): j for j in range(len(b) + 1)}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = d[i - 1, j - 1] + (a[i - 1] != b[j - 1])
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, change)
    return d[len(a), len(b)]


@given(st.lists(WORDS, min_size=1, max_size=5), WORDS)
def test_distances_of_all_hypotheses_at_once(hypotheses, reference):
    expected = [table_distance(own, reference) for own in hypotheses]
    assert edit_distances(hypotheses, reference).tolist() == expected


def test_known_distances():
    assert edit_distances([list("kitten"), list("sitting"), []], list("sitting")).tolist() == [
        3,
        0,
        7,
    ]
    assert edit_distances([[], ["a"]], []).tolist() == [0, 1]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(1, 200))
def test_batches_are_of_similar_length_and_bounded(lengths, cells):
    """a^n against a b a b a: n units of which up to 3 are right, in a table of few cells."""
    whole, distance.CELLS = distance.CELLS, cells
    try:
        found = edit_distances([["a"] * n for n in lengths], list("ababa"))
    finally:
        distance.CELLS = whole
    assert found.tolist() == [table_distance("a" * n, "ababa") for n in lengths]


def test_one_long_hypothesis_does_not_pad_the_others():
    """600 of 6 words and one of 20,000: padded to one width they would be 96 MB of numbers."""
    others = [["a", "b", "c"] * 2] * 600
    tracemalloc.start()
    found = edit_distances([*others, ["a"] * 20_000], list("abc"))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.tolist() == [3] * 600 + [19_999]
    assert most < 10e6


HYPOTHESES = ["the cat sat", "a cat sat down", "我 买书", "我买 书"]
GROUPS = [(0, 2), (2, 4)]
REFERENCES = ["the cat sat down", "我 买 书"]


@pytest.mark.parametrize(
    ("metric", "errors", "units"),
    [
        ("wer", [1, 1, 2, 2], 4 + 3),
        ("cer", [4, 3, 0, 0], 13 + 3),
        ("ser", [1, 1, 1, 1], 2),
    ],
)
def test_error_rates(metric, errors, units):
    """thecatsat(down): 4 characters missing; a for the: one changed, two missing."""
    found = count_errors(HYPOTHESES, GROUPS, REFERENCES, metric)
    assert (found.metric, found.errors.tolist(), found.units) == (metric, errors, units)
    assert found.errors.dtype == np.int64


def test_blank_references():
    found = count_errors(["", "a b"], [(0, 1), (1, 2)], ["", "b"], "wer")
    assert (found.errors.tolist(), found.units) == ([0, 1], 1)
    with pytest.raises(InputError, match="blank"):
        count_errors(["a"], [(0, 1)], [""], "wer")
    assert count_errors(["a"], [(0, 1)], [""], "ser").units == 1
    with pytest.raises(ConfigError, match="wer, cer, ser"):
        count_errors(["a"], [(0, 1)], ["a"], "bleu")
