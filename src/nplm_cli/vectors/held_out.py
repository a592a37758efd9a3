"""Translations by maps that have not seen them: ranks, accuracies, and the permutation test."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nplm_cli.vectors.procrustes import rotation
from nplm_cli.vectors.retrieval import mean_of_top, query_blocks, ranks_of, top_rows

CUTS = (1, 5, 10)


@dataclass(frozen=True)
class Pairs:
    """Rows of the source and of the target, and the fold in which the source word is held out."""

    sources_P: np.ndarray
    targets_P: np.ndarray
    folds_P: np.ndarray

    def __len__(self) -> int:
        return len(self.sources_P)


class Scores(NamedTuple):
    """Of some pairs (positions in ``Pairs``): cosines and CSLS with all targets."""

    where_Q: np.ndarray
    cosines_QT: np.ndarray
    csls_QT: np.ndarray


@dataclass(frozen=True)
class Translator:
    """Centred unit rows (float32) of both sides, and the k of CSLS."""

    source_SD: np.ndarray
    target_TD: np.ndarray
    csls: int

    def fit(self, pairs: Pairs, held: int | None) -> np.ndarray:
        """The rotation (D, D, float32) by all pairs outside the fold ``held``."""
        use = slice(None) if held is None else pairs.folds_P != held
        sources_PD = self.source_SD[pairs.sources_P[use]].astype(np.float64)
        targets_PD = self.target_TD[pairs.targets_P[use]].astype(np.float64)
        return rotation(sources_PD.T @ targets_PD).astype(np.float32)

    def scores(self, fitted_on: Pairs, asked: Pairs) -> Iterator[Scores]:
        """Scores of the source words asked, block by block, fold by fold.

        Each is asked of the map without its fold; a fold that ``fitted_on`` does not have stands
        for a word that no map has seen, and the map of all pairs answers.
        """
        for fold in np.unique(asked.folds_P).tolist():
            mapped_SD = self.source_SD @ self.fit(fitted_on, fold)
            hubs_T = mean_of_top(self.target_TD, mapped_SD, self.csls)
            where = np.flatnonzero(asked.folds_P == fold)
            for block in query_blocks(len(where), len(self.target_TD)):
                queries_QD = mapped_SD[asked.sources_P[where[block]]]
                cosines_QT = queries_QD @ self.target_TD.T
                own_Q1 = mean_of_top(queries_QD, self.target_TD, self.csls)[:, None]
                yield Scores(where[block], cosines_QT, csls(cosines_QT, own_Q1, hubs_T))


def csls(cosines_QT: np.ndarray, own_Q1: np.ndarray, hubs_T: np.ndarray) -> np.ndarray:
    """2 cos(x, y) - r_T(x) - r_S(y) (Conneau et al. 2018, section 2.3).

    ``own_Q1`` is r_T, a query's mean cosine to its nearest targets, ``hubs_T`` is r_S, a target's
    mean cosine to its nearest mapped source words: targets that are near to everything lose.
    """
    scores_QT: np.ndarray = 2 * cosines_QT - own_Q1 - hubs_T
    return scores_QT


@dataclass(frozen=True)
class Outcome:
    """Of held-out pairs: the best rank of each source word's targets, and the cosines."""

    csls_ranks_W: np.ndarray
    cosine_ranks_W: np.ndarray
    cosines_P: np.ndarray

    def accuracies(self) -> dict[str, dict[str, float]]:
        """Share of source words with a target among the first n, by CSLS and by cosine."""
        ranks = {"csls": self.csls_ranks_W, "cosine": self.cosine_ranks_W}
        return {
            by: {str(n): float((ranks_W <= n).mean()) for n in CUTS}
            for by, ranks_W in ranks.items()
        }

    @property
    def pair_cosine(self) -> float:
        """Mean cosine of the pairs."""
        return float(self.cosines_P.mean())


def outcome(translator: Translator, pairs: Pairs) -> Outcome:
    """Ask each source word of the map that was fitted without its fold."""
    ranks = {by: np.empty(len(pairs), np.int64) for by in ("csls", "cosine")}
    cosines_P = np.empty(len(pairs))
    for where_Q, cosines_QT, csls_QT in translator.scores(pairs, pairs):
        targets_Q = pairs.targets_P[where_Q]
        ranks["csls"][where_Q] = ranks_of(csls_QT, targets_Q)
        ranks["cosine"][where_Q] = ranks_of(cosines_QT, targets_Q)
        own_Q = np.take_along_axis(cosines_QT, targets_Q[:, None], 1)[:, 0]
        cosines_P[where_Q] = np.clip(own_Q, -1, 1)  # rounding adds to 1
    words, word_P = np.unique(pairs.sources_P, return_inverse=True)
    best = {}
    for by, ranks_P in ranks.items():
        best[by] = np.full(len(words), len(translator.target_TD))
        np.minimum.at(best[by], word_P, ranks_P)
    return Outcome(best["csls"], best["cosine"], cosines_P)


def permutation_test(observed: Outcome, shuffled: Sequence[Outcome]) -> dict[str, Any]:
    """Held-out figures against those of shuffled dictionaries; keys as in ``alignment.align``."""

    def figures(of: Outcome) -> tuple[float, float, float]:
        by_csls = of.accuracies()["csls"]
        return by_csls["1"], by_csls["10"], of.pair_cosine

    tests = []
    for column, value in enumerate(figures(observed)):
        chance = [figures(one)[column] for one in shuffled]
        tests.append(
            {
                "mean": float(np.mean(chance)) if chance else None,
                "max": max(chance, default=None),
                "p_value": (1 + sum(c >= value for c in chance)) / (1 + len(chance))
                if chance
                else None,
            }
        )
    at_1, at_10, cosine = tests
    return {
        "n": len(shuffled),
        "accuracy_mean": at_1["mean"],
        "accuracy_max": at_1["max"],
        "p_value": at_1["p_value"],
        "accuracy_10": at_10,
        "pair_cosine": cosine,
    }


def random_cosines(translator: Translator, pairs: Pairs) -> tuple[float, float]:
    """Mean and standard deviation of held-out cosines between words that are no pair."""
    count, total, squares = 0, 0.0, 0.0
    targets = np.unique(pairs.targets_P)
    sources, first = np.unique(pairs.sources_P, return_index=True)
    size = len(translator.target_TD)
    known = pairs.sources_P * size + pairs.targets_P
    for fold in np.unique(pairs.folds_P).tolist():
        asked = sources[pairs.folds_P[first] == fold]
        fitted_DD = translator.fit(pairs, fold)
        for block in query_blocks(len(asked), len(targets)):
            mapped_QD = translator.source_SD[asked[block]] @ fitted_DD
            cosines_QT = (mapped_QD @ translator.target_TD[targets].T).astype(np.float64)
            wrong_QT = np.isin(asked[block, None] * size + targets, known, invert=True)
            cosines = cosines_QT[wrong_QT]
            count += len(cosines)
            total += float(cosines.sum())
            squares += float(cosines @ cosines)
    mean = total / max(1, count)
    return mean, float(np.sqrt(max(0.0, squares / max(1, count) - mean * mean)))


class PairRecord(NamedTuple):
    """Of a pair: cosine, rank by CSLS, nearest targets as (row, CSLS)."""

    cosine: float
    rank: int
    nearest: list[tuple[int, float]]


def pair_records(
    translator: Translator, fitted_on: Pairs, asked: Pairs, k: int
) -> list[PairRecord]:
    """Each pair asked, by the map that has not seen its source word, in order."""
    k = min(k, len(translator.target_TD))
    records: dict[int, PairRecord] = {}
    for where_Q, cosines_QT, csls_QT in translator.scores(fitted_on, asked):
        targets_Q = asked.targets_P[where_Q]
        ranks_Q = ranks_of(csls_QT, targets_Q)
        best_QK = top_rows(csls_QT, k)
        for q, pair in enumerate(where_Q.tolist()):
            records[pair] = PairRecord(
                float(np.clip(cosines_QT[q, targets_Q[q]], -1, 1)),
                int(ranks_Q[q]),
                [(row, float(csls_QT[q, row])) for row in best_QK[q].tolist()],
            )
    return [records[pair] for pair in range(len(asked))]
