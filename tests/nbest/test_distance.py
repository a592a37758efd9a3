"""Edit distance against the textbook table, and the error rates by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nplm_cli.errors import ConfigError, InputError
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
