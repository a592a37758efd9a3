"""Contexts that return: each prediction finds the first one that follows the same words."""

import numpy as np
import pytest

from nplm_cli.corpus.shards import Part
from nplm_cli.query.contexts import same_beginnings, same_rows, windows

# Two files, of two sentences and of one; 1 ends a sentence.
PART = Part(
    np.array([5, 6, 1, 7, 1, 5, 6, 8, 1], np.uint32), np.array([0, 3, 5, 9]), np.array([0, 5]), 0
)
ALONE = [[1, 1], [1, 5], [5, 6], [1, 1], [1, 7], [1, 1], [1, 5], [5, 6], [6, 8]]
RUNNING = [[1, 1], [1, 5], [5, 6], [6, 1], [1, 7], [1, 1], [1, 5], [5, 6], [6, 8]]


@pytest.mark.parametrize(("context", "expected"), [("sentence", ALONE), ("stream", RUNNING)])
def test_windows_begin_anew_with_a_sentence_or_a_file(context, expected):
    np.testing.assert_array_equal(windows(PART, context, 2, 0, 9), expected)
    for begin, end in ((3, 9), (1, 2), (4, 8), (6, 7)):
        np.testing.assert_array_equal(windows(PART, context, 2, begin, end), expected[begin:end])


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 1), (40, 1), (60, 3), (60, 6)])
def test_same_rows(rows, columns):
    ids_NK = np.random.default_rng(rows).integers(0, 3, (rows, columns))
    first_U, kind_N = same_rows(ids_NK)
    assert len(first_U) == len({tuple(row) for row in ids_NK})
    np.testing.assert_array_equal(ids_NK[first_U][kind_N], ids_NK)


def test_same_beginnings():
    random = np.random.default_rng(3)
    ids_BT = random.integers(0, 3, (30, 7))
    ids_BT[20:] = ids_BT[3]
    kinds_BT = same_beginnings(ids_BT)
    of = {}
    for row, kinds in zip(ids_BT, kinds_BT, strict=True):
        for t, kind in enumerate(kinds):
            of.setdefault(kind, set()).add(tuple(row[: t + 1]))
    assert all(len(beginnings) == 1 for beginnings in of.values())
    assert len(of) == len(set().union(*of.values()))
    # All rows differ from the first word on: nothing is compared any more.
    kinds_BT = same_beginnings(np.array([[1, 5, 5], [2, 5, 5]]))
    assert len(np.unique(kinds_BT)) == 6
