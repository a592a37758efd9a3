"""The weight of a score in the total of an n-best list: total + W score, W at least 0.

Over W each hypothesis is a line, and the chosen one of an id changes only where lines cross on
their upper envelope; so the number of errors is piecewise constant in W, and its least value is
found exactly (Och 2003). Shape suffixes: E entries of a list, H hypotheses of an id.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nplm_cli.nbest.distance import Errors

Groups = Sequence[tuple[int, int]]

# Weights that differ by less than this share of themselves are the same.
TOLERANCE = 1e-9


class Search(NamedTuple):
    """A weight and what it gives: errors before (W = 0), after, and at best (oracle).

    ``low`` and ``high`` bound the weights that give the errors of ``after``; ``high`` is infinite
    where no larger weight changes anything. ``intervals`` is how many pieces the curve has.
    """

    weight: float
    low: float
    high: float
    before: int
    after: int
    oracle: int
    intervals: int


def combined(totals_E: np.ndarray, scores_E: np.ndarray, weight: float) -> np.ndarray:
    """Total + W score (E,); a weight of 0 leaves even a score of -inf without effect."""
    return totals_E + weight * scores_E if weight else totals_E.astype(np.float64)


def chosen(values_E: np.ndarray, groups: Groups) -> np.ndarray:
    """The entry of each id with the highest value; the first of equal ones."""
    return np.array([begin + int(np.argmax(values_E[begin:end])) for begin, end in groups])


def errors_at(
    totals_E: np.ndarray, scores_E: np.ndarray, errors: Errors, groups: Groups, weight: float
) -> int:
    """Errors of the hypotheses that a weight chooses."""
    return int(errors.errors[chosen(combined(totals_E, scores_E, weight), groups)].sum())


def oracle(errors: Errors, groups: Groups) -> int:
    """Errors of the best hypothesis of each id: no weight can do better."""
    return sum(int(errors.errors[begin:end].min()) for begin, end in groups)


def search(totals_E: np.ndarray, scores_E: np.ndarray, errors: Errors, groups: Groups) -> Search:
    """Find the weight with the fewest errors: the middle of the widest interval that has so few.

    An interval without an end counts as ending at three times its beginning. The weight is 0 where
    none has fewer errors than the list's own totals.
    """
    before = errors_at(totals_E, scores_E, errors, groups, 0.0)
    first = 0
    changes: dict[float, int] = {}
    for begin, end in groups:
        wrong_H = errors.errors[begin:end]
        line, crossings = envelope(totals_E[begin:end], scores_E[begin:end])
        first += int(wrong_H[line])
        for weight, following in crossings:
            changes[weight] = changes.get(weight, 0) + int(wrong_H[following] - wrong_H[line])
            line = following
    low, wrong = 0.0, first
    pieces: list[tuple[float, float, int]] = []
    meetings = _merged(changes)
    for nearest, farthest, change in meetings:
        if change:
            pieces.append((low, nearest, wrong))
            low, wrong = farthest, wrong + change
    pieces.append((low, math.inf, wrong))
    fewest = min(wrong for _, _, wrong in pieces)
    best = oracle(errors, groups)
    if fewest >= before:
        return Search(0.0, 0.0, 0.0, before, before, best, len(pieces))
    low, high = max(
        ((low, high) for low, high, wrong in pieces if wrong == fewest),
        key=lambda piece: _bounded(*piece) - piece[0],
    )
    weight = _apart(low, _bounded(low, high), meetings)
    after = errors_at(totals_E, scores_E, errors, groups, weight)
    if after >= before:  # figures so close that rounding decides between the lines
        return Search(0.0, 0.0, 0.0, before, before, best, len(pieces))
    return Search(weight, low, high, before, after, best, len(pieces))


class _Crossing(NamedTuple):
    """Weights at which lines cross, too close to be told apart, and what they change together."""

    begin: float
    end: float
    change: int


def _merged(changes: dict[float, int]) -> list[_Crossing]:
    """Crossings in order; those within 1e-9 of one another are one.

    Between two of them rounding would decide which line is chosen: 10 - 9.9 and 20 - 19.9 differ.
    """
    found: list[_Crossing] = []
    for weight in sorted(changes):
        if found and weight <= found[-1].end * (1 + TOLERANCE):
            found[-1] = _Crossing(found[-1].begin, weight, found[-1].change + changes[weight])
        else:
            found.append(_Crossing(weight, weight, changes[weight]))
    return found


def _apart(low: float, high: float, crossings: Sequence[_Crossing]) -> float:
    """The middle of an interval; where lines tie there, the middle of the gap after that crossing.

    Crossings that change no number of errors lie within an interval, too.
    """
    middle = (low + high) / 2
    following = iter([c for c in crossings if low < c.begin and c.end < high])
    for begin, end, _ in following:
        if begin * (1 - TOLERANCE) <= middle <= end * (1 + TOLERANCE):
            after = next(following, None)
            return (end + (high if after is None else after.begin)) / 2
    return middle


def _bounded(low: float, high: float) -> float:
    return high if math.isfinite(high) else (3 * low or 2.0)


def envelope(a_H: np.ndarray, b_H: np.ndarray) -> tuple[int, list[tuple[float, int]]]:
    """Which of the lines a + W b is highest, for W > 0.

    Returns the line right after 0 and the crossings: at which W which line takes over, W
    ascending. Of equal lines the first counts. A line with b = -inf is chosen where all are so.
    """
    if np.isneginf(b_H).all():
        return int(np.argmax(a_H)), []
    alive = np.isfinite(b_H)
    top = a_H[alive].max()
    ahead = np.flatnonzero(alive & (a_H == top))
    line = first = int(ahead[np.argmax(b_H[ahead])])
    crossings: list[tuple[float, int]] = []
    while True:
        steeper = np.flatnonzero(alive & (b_H > b_H[line]))
        if not len(steeper):
            return first, crossings
        with np.errstate(over="ignore"):
            at = (a_H[line] - a_H[steeper]) / (b_H[steeper] - b_H[line])
        if not np.isfinite(at.min()):  # beyond any weight
            return first, crossings
        nearest = steeper[at == at.min()]
        line = int(nearest[np.argmax(b_H[nearest])])
        # Rounding must not let a crossing come before the last one.
        crossings.append((max(float(at.min()), crossings[-1][0] if crossings else 0.0), line))
