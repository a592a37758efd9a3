"""Agreement of vector spaces between groups, measured against the agreement within them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

MEASURES = ("overlap", "aligned_cosine", "rsa")
MOST_DIFFERENT = 10
# Their number grows like 4 to the power of the seeds.
MAX_GROUPINGS = 200


@dataclass(frozen=True)
class Agreement:
    """Of the spaces a < b: each measure's value, its values by word (N), why one is None."""

    a: int
    b: int
    values: Mapping[str, float | None]
    by_word: Mapping[str, np.ndarray]
    reasons: Mapping[str, str]


class NoiseFloor:
    """Pairs of spaces by group: ``group_of`` names the group of each space, ``seed_of`` its seed.

    Models of one seed begin with the same word vectors, whatever their architecture, and keep a
    trace of them. Pairs within a group never share a seed, so pairs between groups that do are
    left out where there are others. Keys of the results: ``comparison.compare_vectors``.
    """

    def __init__(
        self,
        group_of: Sequence[str],
        seed_of: Sequence[int | None],
        agreements: Sequence[Agreement],
    ):
        self._group_of = list(group_of)
        self._all = {frozenset((pair.a, pair.b)): pair for pair in agreements}
        self.groups = list(dict.fromkeys(group_of))
        self.sizes = {group: list(group_of).count(group) for group in self.groups}
        self._pairs: dict[frozenset[str], list[Agreement]] = {}
        for pair in agreements:
            key = frozenset((group_of[pair.a], group_of[pair.b]))
            self._pairs.setdefault(key, []).append(pair)
        for key, pairs in self._pairs.items():
            others = [p for p in pairs if seed_of[p.a] is None or seed_of[p.a] != seed_of[p.b]]
            if len(key) == 2 and others:
                self._pairs[key] = others

    def _between(self, a: str, b: str) -> list[Agreement]:
        """Pairs of a space of group a and one of b, or (a = b) of two spaces of a."""
        return self._pairs.get(frozenset((a, b)), [])

    def warnings(self) -> list[str]:
        """What the figures cannot say."""
        single = [group for group in self.groups if self.sizes[group] == 1]
        if not single:
            return []
        names = ", ".join(single)
        return [
            f"no noise floor for {names}: a difference may be that of two seeds; "
            "give at least two runs that differ in --seed alone"
        ]

    def within(self) -> dict[str, dict[str, Any]]:
        """Mean of each measure over the pairs of a group, None with one member."""
        found: dict[str, dict[str, Any]] = {}
        for group in self.groups:
            pairs = self._between(group, group)
            found[group] = {measure: _mean(pairs, measure) for measure in MEASURES}
            found[group]["runs"] = self.sizes[group]
        return found

    def group_pairs(self, resamples: int, seed: int) -> list[dict[str, Any]]:
        """Each measure between two groups, beside the floor."""
        return [
            {"a": a, "b": b}
            | {
                # The same draws of words for all, so that intervals can be held side by side.
                measure: self._against_floor(
                    a, b, measure, resamples, np.random.default_rng([seed, 2])
                )
                for measure in MEASURES
            }
            for a, b in combinations(self.groups, 2)
        ]

    def _against_floor(
        self, a: str, b: str, measure: str, resamples: int, random: np.random.Generator
    ) -> dict[str, Any]:
        between, within_a, within_b = (self._between(*g) for g in ((a, b), (a, a), (b, b)))
        mean = _mean(between, measure)
        record: dict[str, Any] = {
            "between": mean,
            "floor": None,
            "difference": None,
            "interval_95": None,
            "below_floor": None,
            "between_range": _range(between, measure),
            "floor_range": None,
            "reason": _reason([*between, *within_a, *within_b], measure),
        }
        floors = _mean(within_a, measure), _mean(within_b, measure)
        if mean is None or floors[0] is None or floors[1] is None:
            if record["reason"] is None:
                single = [g for g in (a, b) if self.sizes[g] == 1]
                record["reason"] = f"one run of {' and of '.join(single)}: no noise floor"
            return record
        record["floor"] = float(expected(measure, floors[0], floors[1]))
        record["difference"] = mean - record["floor"]
        record["floor_range"] = _range([*within_a, *within_b], measure)
        record["below_floor"] = record["between_range"][1] < record["floor_range"][0]
        if measure in between[0].by_word:
            by_word_GN = np.stack(
                [_mean_by_word(pairs, measure) for pairs in (between, within_a, within_b)]
            )
            record["interval_95"] = bootstrap_interval(
                by_word_GN, lambda m_G: m_G[0] - expected(measure, *m_G[1:]), resamples, random
            )
        return record

    def most_different(self, words: Sequence[str]) -> list[dict[str, Any]]:
        """For two groups that have a floor, the words whose neighbours differ most below it.

        Among many words some differ much by chance. ``by_chance`` is the largest difference of
        any word when the same spaces are dealt out to two groups in other ways, all of them or
        MAX_GROUPINGS drawn ones; None where there is no other way.
        """
        found = []
        for a, b in combinations(self.groups, 2):
            floor_N, between_N = self._by_word(a, b)
            if floor_N is None:
                continue
            # Rounded: sums of tenths that are equal stay equal, and the frequent word comes first.
            rows = np.argsort(np.round(between_N - floor_N, 12), kind="stable")[:MOST_DIFFERENT]
            largest = [float((f_N - b_N).max()) for f_N, b_N in self._dealt_anew(a, b)]
            found.append(
                {
                    "a": a,
                    "b": b,
                    "by_chance": max(largest, default=None),
                    "words": [
                        {
                            "word": words[row],
                            "floor": float(floor_N[row]),
                            "between": float(between_N[row]),
                        }
                        for row in rows.tolist()
                    ],
                }
            )
        return found

    def _dealt_anew(self, a: str, b: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Overlap by word, floor and between, for the other ways to make the two groups."""
        members = [i for i, group in enumerate(self._group_of) if group in (a, b)]
        pairs = [self._all[frozenset(pair)] for pair in combinations(members, 2)]
        own = {i for i in members if self._group_of[i] == a}
        for one in _groupings(members, self.sizes[a]):
            other = set(members) - one
            mirrored = len(one) == len(other) and members[0] in other
            if one == own or other == own or mirrored:
                continue
            within_one = [p for p in pairs if {p.a, p.b} <= one]
            within_other = [p for p in pairs if {p.a, p.b} <= other]
            between = [p for p in pairs if len({p.a, p.b} & one) == 1]
            yield (
                _floor_by_word(within_one, within_other),
                _mean_by_word(between, "overlap"),
            )

    def of_words(self, rows: Mapping[str, int]) -> list[dict[str, Any]]:
        """For two groups, then within each, the overlap of single words, given with their rows."""
        repeated = [(group, group) for group in self.groups if self.sizes[group] > 1]
        found = []
        for a, b in [*combinations(self.groups, 2), *repeated] if rows else []:
            floor_N, between_N = self._by_word(a, b)
            records = [
                {
                    "word": word,
                    "floor": None if floor_N is None or a == b else float(floor_N[row]),
                    "between": float(between_N[row]),
                }
                for word, row in rows.items()
            ]
            found.append({"a": a, "b": b, "words": records})
        return found

    def _by_word(self, a: str, b: str) -> tuple[np.ndarray | None, np.ndarray]:
        """Overlap by word: the floor (None where there is none), and between the groups."""
        within_a, within_b = self._between(a, a), self._between(b, b)
        between_N = _mean_by_word(self._between(a, b), "overlap")
        if not within_a or not within_b:
            return None, between_N
        return _floor_by_word(within_a, within_b), between_N


def _groupings(members: Sequence[int], size: int) -> Iterator[set[int]]:
    """Choices of ``size`` members: all, or MAX_GROUPINGS drawn ones where there are more."""
    if comb(len(members), size) <= 2 * MAX_GROUPINGS:
        yield from map(set, combinations(members, size))
        return
    random = np.random.default_rng(0)
    for _ in range(MAX_GROUPINGS):
        chosen = set(random.permutation(members)[:size].tolist())
        # Of two groups of one size, the one with the first member stands for both.
        swap = 2 * size == len(members) and members[0] not in chosen
        yield set(members) - chosen if swap else chosen


def expected(measure: str, within_a: Any, within_b: Any) -> Any:
    """What two groups agree in when nothing but noise lies between them.

    One group may be noisier than the other. Two noisy copies of one space correlate by the
    geometric mean of what each correlates with its own kind (attenuation, Spearman 1904): so for
    ``rsa`` and ``aligned_cosine``. Lists of neighbours follow no such rule, but agree no less than
    the noisier group with itself: so for ``overlap``, and where a mean is below 0.
    """
    lower = np.minimum(within_a, within_b)
    if measure == "overlap":
        return lower
    return np.where(lower > 0, np.sqrt(np.abs(within_a * within_b)), lower)


def bootstrap_interval(
    values_GN: np.ndarray,
    figure: Callable[[np.ndarray], Any],
    resamples: int,
    random: np.random.Generator,
) -> list[float]:
    """2.5th and 97.5th percentile of a ``figure`` of G means, over draws of N words."""
    size = values_GN.shape[1]
    figures_R = np.empty(resamples)
    for i in range(resamples):  # one draw at a time: N may be large
        figures_R[i] = figure(values_GN[:, random.integers(0, size, size)].mean(1))
    return [float(bound) for bound in np.percentile(figures_R, [2.5, 97.5])]


def _values(pairs: Sequence[Agreement], measure: str) -> list[float] | None:
    values = [value for pair in pairs if (value := pair.values[measure]) is not None]
    return values if values and len(values) == len(pairs) else None


def _mean(pairs: Sequence[Agreement], measure: str) -> float | None:
    values = _values(pairs, measure)
    return None if values is None else float(np.mean(values))


def _range(pairs: Sequence[Agreement], measure: str) -> list[float] | None:
    values = _values(pairs, measure)
    return None if values is None else [min(values), max(values)]


def _reason(pairs: Sequence[Agreement], measure: str) -> str | None:
    return next((pair.reasons[measure] for pair in pairs if measure in pair.reasons), None)


def _mean_by_word(pairs: Sequence[Agreement], measure: str) -> np.ndarray:
    mean_N: np.ndarray = np.mean([pair.by_word[measure] for pair in pairs], axis=0)
    return mean_N


def _floor_by_word(within_a: Sequence[Agreement], within_b: Sequence[Agreement]) -> np.ndarray:
    """Overlap by word within the group that agrees less with itself (``expected``)."""
    by_word = [_mean_by_word(pairs, "overlap") for pairs in (within_a, within_b)]
    return min(by_word, key=lambda overlap_N: float(overlap_N.mean()))
