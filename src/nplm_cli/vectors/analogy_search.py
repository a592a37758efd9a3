"""The search behind ``analogy``: exact scores of answers, and the best answers of many questions.

Of many questions, each word's cosines with a block of the vocabulary are computed once in
float32; they bound the scores of all questions, and only the rows that can still be best are
scored exactly, each on its own, so that equal rows get equal scores wherever they stand.
Questions x vocabulary never exists: memory is bounded by a block.
"""

from collections.abc import Callable

import numpy as np

from nplm_cli.vectors import nearest
from nplm_cli.vectors.keyed import KeyedVectors

METHODS = ("cosadd", "cosmul")
EXACT_NUMBERS = 1 << 20  # numbers of candidates copied to float64 at a time
# A block of rows and a batch of questions: what is computed at a time stays in the cache.
_BLOCK_ROWS = 2048
_BATCH = 256
_UNIT_ROUNDOFF = 2.0**-24


class ExactScores:
    """Exact scores of rows as answers to questions, given as vectors (Q, 3, d) of a, b and c."""

    def __init__(self, vectors: KeyedVectors, words_Q3D: np.ndarray, epsilon: float):
        self._vectors = vectors
        self._words_Q3D = words_Q3D
        self.offsets_QD = np.array(
            [
                nearest.unit(b) + nearest.unit(c) - nearest.unit(a)
                for a, b, c in (words.astype(np.float64) for words in words_Q3D)
            ]
        )
        self._epsilon = epsilon

    def scores(self, method: str, questions_N: np.ndarray, rows_N: np.ndarray) -> np.ndarray:
        """Score (N, float64) of row ``rows_N[i]`` as the answer to ``questions_N[i]``."""
        rows_ND = self._vectors.vectors[rows_N].astype(np.float64)
        if method == "cosadd":
            return nearest.exact_scores(self.offsets_QD[questions_N], rows_ND, "cosine")
        words_N3D = self._words_Q3D[questions_N].astype(np.float64)
        a, b, c = (
            (1 + nearest.exact_scores(words_N3D[:, i], rows_ND, "cosine")) / 2 for i in range(3)
        )
        scores_N: np.ndarray = b * c / (a + self._epsilon)
        return scores_N


def first_answers(
    vectors: KeyedVectors,
    candidates: np.ndarray,
    rows_Q3: np.ndarray,
    epsilon: float,
    on_rows: Callable[[int], None],
) -> np.ndarray:
    """The best row (2, Q) by each of ``METHODS`` for questions given as rows of a, b and c.

    ``candidates`` are the rows, ascending, that may answer; -1 stands where none is left. Ties
    go to the first row. ``on_rows`` is told how many candidates have been looked at.
    """
    batches = [
        _Batch(vectors, rows_Q3[start : start + _BATCH], epsilon)
        for start in range(0, len(rows_Q3), _BATCH)
    ]
    for start in range(0, len(candidates) if batches else 0, _BLOCK_ROWS):
        on_rows(start)
        rows_B = candidates[start : start + _BLOCK_ROWS]
        units_BD = vectors.unit_rows(rows_B).astype(np.float32)
        for batch in batches:
            batch.look_at(rows_B, units_BD)
    return np.concatenate([np.zeros((2, 0), np.int64), *(b.best_row for b in batches)], axis=1)


class _Batch:
    """Some questions and their best answers among the rows looked at so far."""

    def __init__(self, vectors: KeyedVectors, rows_Q3: np.ndarray, epsilon: float):
        self._rows_Q3 = rows_Q3
        words_U, where = np.unique(rows_Q3, return_inverse=True)
        self._places_Q3 = where.reshape(rows_Q3.shape)  # of a question's words in units_UD
        self._units_UD = vectors.unit_rows(words_U).astype(np.float32)
        self._exact = ExactScores(vectors, vectors.vectors[rows_Q3], epsilon)
        # Never quite 0, for a bound times nothing would be no bound.
        self._lengths_Q = np.sqrt((self._exact.offsets_QD**2).sum(axis=1)) + 1e-30
        self._epsilon = epsilon
        # A float32 product of unit vectors is off by at most about d u (Higham 2002, s.3.1); the
        # rest covers the rounding of the vectors and of the few steps after.
        self._slack = np.float32((vectors.dim + 16) * _UNIT_ROUNDOFF)
        self.best_row = np.full((len(METHODS), len(rows_Q3)), -1)
        self._best_score = np.full((len(METHODS), len(rows_Q3)), -np.inf)

    def look_at(self, rows_B: np.ndarray, units_BD: np.ndarray) -> None:
        """Let rows (ascending, after those before) with their unit vectors answer."""
        a, b, c = self._places_Q3.T
        cosines_UB = self._units_UD @ units_BD.T
        sums_QB = cosines_UB[b] + cosines_UB[c] - cosines_UB[a] + 3 * self._slack
        self._improve(0, sums_QB, rows_B, self._lengths_Q)
        shifted_UB = (1 + cosines_UB) / 2
        high_UB = shifted_UB + self._slack
        low_UB = np.maximum(shifted_UB - self._slack, 0)
        inverse_UB = np.float32(1 + 16 * _UNIT_ROUNDOFF) / (low_UB + np.float32(self._epsilon))
        self._improve(1, high_UB[b] * high_UB[c] * inverse_UB[a], rows_B, 1.0)

    def _improve(
        self, m: int, bounds_QB: np.ndarray, rows_B: np.ndarray, scale_Q: np.ndarray | float
    ) -> None:
        """Find better answers, no score of which, times ``scale_Q``, is above its bound."""
        column_Q3 = np.minimum(np.searchsorted(rows_B, self._rows_Q3), len(rows_B) - 1)
        q, i = np.nonzero(rows_B[column_Q3] == self._rows_Q3)
        bounds_QB[q, column_Q3[q, i]] = -np.inf
        top_Q = bounds_QB.argmax(axis=1)
        highest_Q = bounds_QB[np.arange(len(top_Q)), top_Q]
        live = np.flatnonzero(highest_Q > self._best_score[m] * scale_Q)
        # The likeliest row first: its score leaves few others that may be better.
        self._take(m, live, rows_B[top_Q[live]])
        floor_Q = self._best_score[m] * scale_Q
        hit, column = np.nonzero(bounds_QB[live] >= floor_Q[live, None])
        self._take(m, live[hit], rows_B[column])

    def _take(self, m: int, questions_N: np.ndarray, rows_N: np.ndarray) -> None:
        """Score pairs of question and row; keep the best of each question, the first of equals."""
        size = max(1, EXACT_NUMBERS // max(1, self._units_UD.shape[1]))
        for start in range(0, len(rows_N), size):
            questions, rows = questions_N[start : start + size], rows_N[start : start + size]
            scores = self._exact.scores(METHODS[m], questions, rows)
            order = np.lexsort((rows, -scores, questions))
            which, first = np.unique(questions[order], return_index=True)
            score, row = scores[order][first], rows[order][first]
            old = self._best_score[m, which]
            better = (score > old) | ((score == old) & (row < self.best_row[m, which]))
            self._best_score[m, which[better]] = score[better]
            self.best_row[m, which[better]] = row[better]
