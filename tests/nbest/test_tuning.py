"""The weight with the fewest errors: a list by hand, and every weight tried on random ones."""

import itertools
import math
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.nbest.distance import Errors
from nplm_cli.nbest.tuning import chosen, combined, envelope, errors_at, oracle, search


def errors_of(*counts):
    return Errors("wer", np.array(counts, np.int64), max(1, sum(counts)))


def test_the_envelope_of_four_lines():
    """3; 2 + W; W + 1 (never highest); 2W: 3 up to W = 1, then 2 + W up to W = 2, then 2W."""
    line, crossings = envelope(np.array([3.0, 2, 1, 0]), np.array([0.0, 1, 1, 2]))
    assert (line, crossings) == (0, [(1.0, 1), (2.0, 3)])


def test_lines_that_begin_together_and_equal_ones():
    """Right after 0 the steepest of the highest is ahead; of equal lines the first."""
    assert envelope(np.array([1.0, 1, 1]), np.array([-2.0, -1, -1])) == (1, [])


def test_impossible_hypotheses_are_chosen_only_among_themselves():
    nothing = -math.inf
    assert envelope(np.array([5.0, 1]), np.array([nothing, -9])) == (1, [])
    assert envelope(np.array([1.0, 5]), np.array([nothing, nothing])) == (1, [])
    totals, scores = np.array([5.0, 1]), np.array([nothing, -9])
    assert combined(totals, scores, 0.0).tolist() == [5, 1]
    assert combined(totals, scores, 1.0).tolist() == [nothing, -8]
    found = search(totals, scores, errors_of(1, 0), [(0, 2)])
    assert (found.before, found.after, found.oracle) == (1, 0, 0)
    assert 0 < found.weight < math.inf


def test_a_list_by_hand():
    """Two ids. The first is right from W = 1 on (2 - 2W < -W ... crosses at 1), the second up to 3.

    id 0: totals 2, 1 and scores -2, -1: lines 2 - 2W and 1 - W cross at W = 1.
    id 1: totals 3, 0 and scores -2, -1: lines 3 - 2W and -W cross at W = 3.
    Errors of id 0: 1 then 0; of id 1: 0 then 2. Fewest, 0, between 1 and 3; the middle is 2.
    """
    totals, scores = np.array([2.0, 1, 3, 0]), np.array([-2.0, -1, -2, -1])
    errors, groups = errors_of(1, 0, 0, 2), [(0, 2), (2, 4)]
    found = search(totals, scores, errors, groups)
    assert found == (2.0, 1.0, 3.0, 1, 0, 0, 3)
    assert errors_at(totals, scores, errors, groups, 2.0) == 0
    assert errors_at(totals, scores, errors, groups, 4.0) == 2


def test_an_interval_without_an_end():
    """Right from W = 1 on for ever: taken as ending at 3, so that the weight is 2."""
    found = search(np.array([2.0, 1]), np.array([-2.0, -1]), errors_of(1, 0), [(0, 2)])
    assert (found.weight, found.low, found.high) == (2.0, 1.0, math.inf)


def test_no_weight_where_none_helps():
    found = search(np.array([2.0, 1]), np.array([-2.0, -1]), errors_of(0, 1), [(0, 2)])
    assert (found.weight, found.before, found.after) == (0.0, 0, 0)


def test_the_first_of_equal_totals_is_chosen():
    assert chosen(np.array([1.0, 1, 0, 2]), [(0, 2), (2, 4)]).tolist() == [0, 3]


LINES = st.lists(
    st.lists(
        st.tuples(st.integers(-6, 6), st.integers(-6, 0), st.integers(0, 3)), min_size=1, max_size=5
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200)
@given(LINES)
def test_no_weight_of_a_fine_grid_does_better(lists):
    """All crossings of such lines are fractions p/q with q up to 6: between any two is a step."""
    totals, scores, counts = (
        np.array(c, float) for c in zip(*itertools.chain(*lists), strict=True)
    )
    errors = errors_of(*counts.astype(int))
    bounds = np.cumsum([0, *map(len, lists)]).tolist()
    groups = list(itertools.pairwise(bounds))
    found = search(totals, scores, errors, groups)
    grid = [0.0, *(np.arange(1, 60 * 13 + 2) / 60 + 1 / 240)]
    best = min(errors_at(totals, scores, errors, groups, weight) for weight in grid)
    assert found.after == best
    assert found.after == errors_at(totals, scores, errors, groups, found.weight)
    assert found.oracle == oracle(errors, groups) <= found.after <= found.before
    assert found.before == errors_at(totals, scores, errors, groups, 0.0)


def test_crossings_that_only_rounding_tells_apart():
    """Both ids cross at W = 1/3, in doubles at two weights; nothing between them is a weight."""
    totals, scores = np.array([-10, -10.1, -20, -20.1]), np.array([-5.3, -5.0, -7.3, -7.0])
    found = search(totals, scores, errors_of(1, 0, 0, 1), [(0, 2), (2, 4)])
    assert (found.weight, found.before, found.after, found.intervals) == (0.0, 1, 1, 1)
    found = search(totals, scores, errors_of(1, 0, 1, 0), [(0, 2), (2, 4)])
    assert (found.weight, found.after) == (pytest.approx(2 / 3), 0)


def test_a_crossing_beyond_all_numbers():
    found = search(np.array([1e300, -1e300]), np.array([0.0, 1e-10]), errors_of(1, 0), [(0, 2)])
    assert (found.weight, found.after) == (0.0, 1)


TENTHS = st.integers(-60, 60).map(lambda tenths: tenths / 10)
OFFSET_LISTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, -10.0, -20.3, 1e4 / 3]),
        st.lists(st.tuples(TENTHS, TENTHS, st.integers(0, 2)), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200)
@given(OFFSET_LISTS)
def test_decimals_with_an_offset_an_id(lists):
    """No weight between two crossings does better: all of them tried, as exact fractions."""
    rows = [(F(a) + F(up), F(b), wrong) for up, own in lists for a, b, wrong in own]
    totals, scores = (np.array([float(row[i]) for row in rows]) for i in (0, 1))
    errors = errors_of(*(wrong for _, _, wrong in rows))
    groups = list(itertools.pairwise(np.cumsum([0, *(len(own) for _, own in lists)]).tolist()))
    found = search(totals, scores, errors, groups)
    assert found.after == errors_at(totals, scores, errors, groups, found.weight)
    assert found.oracle <= found.after <= found.before
    tenth = F(1, 10)
    exact = [tuple(F(round(x * 10)) * tenth for x in (a, b)) for _, o in lists for a, b, _ in o]
    crossings = {F(0)}
    for begin, end in groups:
        for (a, b), (c, d) in itertools.combinations(exact[begin:end], 2):
            if b != d and (a - c) / (d - b) > 0:
                crossings.add((a - c) / (d - b))
    at = sorted(crossings)
    for low, high in zip(at, [*at[1:], at[-1] + 2], strict=True):
        weight = (low + high) / 2
        chosen_rows = [
            max(range(begin, end), key=lambda i: (exact[i][0] + weight * exact[i][1], -i))
            for begin, end in groups
        ]
        assert found.after <= sum(rows[i][2] for i in chosen_rows)


@settings(max_examples=100)
@given(LINES)
def test_the_envelope_is_the_highest_line_everywhere(lists):
    for own in lists:
        a, b, _ = (np.array(c, float) for c in zip(*own, strict=True))
        line, crossings = envelope(a, b)
        at = [0.0, *(weight for weight, _ in crossings)]
        assert at == sorted(at)
        ends = [*at[1:], at[-1] + 10]
        for chosen_line, low, high in zip(
            [line, *(following for _, following in crossings)], at, ends, strict=True
        ):
            middle = (low + high) / 2
            assert a[chosen_line] + middle * b[chosen_line] == pytest.approx((a + middle * b).max())
