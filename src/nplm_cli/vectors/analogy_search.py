"""The search behind ``analogy``: exact scores of answers, and the best answers of many questions.

Of many questions, each word's cosines with a block of the vocabulary are computed once in
float32. A bound of a score is a term of (a, b), which most questions of a file share with others,
and a term of c: the largest of each in a tile of the block bound all scores of the tile, and only
tiles in which a better answer may stand are looked at. The rows that can still be best are scored
exactly, each on its own, so that equal rows get equal scores wherever they stand. Questions x
vocabulary never exists: memory is bounded by a block.

Shape suffixes: Q questions, U their words, P their pairs (a, b), B rows of a block (filled up to
whole tiles), T tiles, L rows of a tile, N pairs of question and row.
"""

from collections.abc import Callable

import numpy as np

from nplm_cli.vectors import nearest
from nplm_cli.vectors.keyed import KeyedVectors

METHODS = ("cosadd", "cosmul")
EXACT_NUMBERS = 1 << 20  # numbers of candidates copied to float64 at a time
# A block of rows and a batch of questions: what is computed at a time stays in the cache.
_BLOCK_ROWS = 2048
_TILE_ROWS = 64
_BATCH = 2048
_BOUNDS = 1 << 19  # bounds looked at together
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
        places_Q3 = where.reshape(rows_Q3.shape)  # of a question's words in units_UD
        self._c_Q = places_Q3[:, 2]
        pairs_P2, pair_Q = np.unique(places_Q3[:, :2], axis=0, return_inverse=True)
        self._a_P, self._b_P = pairs_P2.T
        self._pair_Q = pair_Q.reshape(-1)
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
        cosines_UB = self._units_UD @ units_BD.T
        pairs_PB = cosines_UB[self._b_P] - cosines_UB[self._a_P] + 3 * self._slack
        self._improve(0, pairs_PB, cosines_UB, np.add, rows_B, self._lengths_Q)
        high_UB = (1 + cosines_UB) / 2
        low_UB = np.maximum(high_UB - self._slack, 0)
        high_UB += self._slack
        inverse_UB = np.float32(1 + 16 * _UNIT_ROUNDOFF) / (low_UB + np.float32(self._epsilon))
        pairs_PB = high_UB[self._b_P] * inverse_UB[self._a_P]
        self._improve(1, pairs_PB, high_UB, np.multiply, rows_B, np.ones(len(self._c_Q)))

    def _improve(
        self,
        m: int,
        pairs_PB: np.ndarray,
        words_UB: np.ndarray,
        joined: np.ufunc,
        rows_B: np.ndarray,
        scale_Q: np.ndarray,
    ) -> None:
        """Find better answers.

        No score, times ``scale_Q``, is above what is ``joined`` of the terms of its pair and of c.
        Sums, and products of what is not negative, grow with their terms, in float32 as well: the
        bound of a tile is above that of each of its rows.
        """
        pairs_PTL, words_UTL = _tiles(pairs_PB), _tiles(words_UB)
        most_PT, most_UT = pairs_PTL.max(axis=2), words_UTL.max(axis=2)
        tile = pairs_PTL.shape[2]
        floor_Q = self._best_score[m] * scale_Q
        column_Q3 = np.minimum(np.searchsorted(rows_B, self._rows_Q3), len(rows_B) - 1)
        # Few questions at a time: while nothing is found yet, every tile of theirs is looked at.
        step = max(1, _BOUNDS // len(rows_B))
        for start in range(0, len(self._c_Q), step):
            some = slice(start, start + step)
            bounds_QT = joined(most_PT[self._pair_Q[some]], most_UT[self._c_Q[some]])
            question, tiles = np.nonzero(bounds_QT >= _down(floor_Q[some, None]))
            if not len(question):
                continue
            place_QT = np.full(bounds_QT.shape, -1)
            place_QT[question, tiles] = np.arange(len(question))
            question += start
            bounds_NL = joined(
                pairs_PTL[self._pair_Q[question], tiles], words_UTL[self._c_Q[question], tiles]
            )
            # Neither words of the question answer it nor what fills the last tile up.
            q, i = np.nonzero(rows_B[column_Q3[some]] == self._rows_Q3[some])
            tile_of, lane = np.divmod(column_Q3[some][q, i], tile)
            place = place_QT[q, tile_of]
            bounds_NL[place[place >= 0], lane[place >= 0]] = -np.inf
            if len(rows_B) % tile:
                bounds_NL[tiles == len(rows_B) // tile, len(rows_B) % tile :] = -np.inf
            # The likeliest row first: its score leaves few others that may be better.
            top_N = bounds_NL.argmax(axis=1)
            highest_N = bounds_NL[np.arange(len(top_N)), top_N]
            order = np.lexsort((-highest_N, question))
            live, first = np.unique(question[order], return_index=True)
            likeliest = order[first]
            found = highest_N[likeliest] >= _down(floor_Q[live])
            live, likeliest = live[found], likeliest[found]
            self._take(m, live, rows_B[tiles[likeliest] * tile + top_N[likeliest]])
            bounds_NL[likeliest, top_N[likeliest]] = -np.inf
            floor_Q[live] = self._best_score[m, live] * scale_Q[live]
            hit, lane = np.nonzero(bounds_NL >= _down(floor_Q[question, None]))
            self._take(m, question[hit], rows_B[tiles[hit] * tile + lane])
            floor_Q[live] = self._best_score[m, live] * scale_Q[live]

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


def _tiles(terms_NB: np.ndarray) -> np.ndarray:
    """Columns in tiles (N, T, L), the last one filled up with zeros."""
    tile = min(_TILE_ROWS, terms_NB.shape[1])
    missing = -terms_NB.shape[1] % tile
    if missing:
        terms_NB = np.pad(terms_NB, ((0, 0), (0, missing)))
    return terms_NB.reshape(len(terms_NB), -1, tile)


def _down(floor: np.ndarray) -> np.ndarray:
    """Numbers not above these, in float32: comparing with float64 would copy all bounds.

    Never -inf, for what can be no answer is not above that.
    """
    lower: np.ndarray = np.nextafter(floor.astype(np.float32), np.float32(-np.inf))
    return np.maximum(lower, np.finfo(np.float32).min)
