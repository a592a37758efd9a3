"""Word similarity against people's ratings: rating files, Spearman's rho and its interval.

The test of Finkelstein et al. 2002 (WordSim-353): how well does the order of cosines agree with
the order of mean ratings? Coverage belongs to the figure, for a pair with an unknown word has no
cosine; so two figures are given, over the covered pairs and over all.
"""

import csv
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from nplm_cli.corpus.readers import Line, read_lines, shown_name
from nplm_cli.errors import InputError
from nplm_cli.vectors.lookup import Lookup

MIN_PAIRS = 3  # two pairs are always in perfect order, or in perfect disorder
# What headers call the column of the score; the first name that a column holds decides.
SCORE_NAMES = (
    *("simlex", "mean", "average", "score", "similarity", "relatedness", "rating", "human"),
    *("平均", "相似", "分"),
)
_WORD_NAME = re.compile(r"(?:word|w|单?词语?)[ _-]?[12ab]?", re.IGNORECASE)
_LEMMA_TAG = re.compile(r".+-[njv]", re.DOTALL)
_EXPECTED = (
    "expected 'word word score' with tabs, spaces or commas between, or a header that names the "
    "score (word1, word2, score)"
)


class RatedPair(NamedTuple):
    """Two words and how similar people find them."""

    word1: str
    word2: str
    rating: float


class _Layout(NamedTuple):
    separator: str | None  # None is white space
    word1: int
    word2: int
    score: int
    header: bool


def read_ratings(
    file: str,
    encoding: str = "auto",
    *,
    stdin: BinaryIO | None = None,
    on_event: Callable[[str], None] | None = None,
) -> list[RatedPair]:
    """Read a rating file (``-`` for standard input) as it is distributed.

    A line is ``word word score`` and whatever follows, separated by tabs, commas (CSV, quotes
    allowed) or white space; the first line decides which. It may be a header: the score is then
    in the column that is called so (``SCORE_NAMES``), the words in those called word, or the
    first two. Blank lines and lines that begin with # are skipped. When all words carry MEN's
    part-of-speech tags (sun-n) these are dropped. Repeated pairs stay. Encodings, compression and
    ``on_event`` are those of ``read_lines``, and so are the errors; InputError as well, with file
    and line, for a line that is something else, and for a file without pairs.
    """
    layout: _Layout | None = None
    pairs = []
    for line in read_lines([file], encoding, stdin=stdin, on_event=on_event):
        if not line.text.strip() or line.text.startswith("#"):
            continue
        if layout is None:
            layout = _layout(line)
            if layout.header:
                continue
        pairs.append(_pair(line, layout))
    if not pairs:
        raise InputError(f"{shown_name(file)}: no pair of words: {_EXPECTED}")
    if all(_LEMMA_TAG.fullmatch(word) for pair in pairs for word in pair[:2]):
        if on_event is not None:
            on_event(f"{shown_name(file)}: part-of-speech tags (-n, -j, -v) dropped from the words")
        pairs = [RatedPair(p.word1[:-2], p.word2[:-2], p.rating) for p in pairs]
    return pairs


def _layout(line: Line) -> _Layout:
    """Separator and columns, from the first line with content."""
    for separator in ("\t", ",", None):
        fields = _fields(line, separator)
        if len(fields) < 3:
            continue
        if _number(fields[2]) is not None:
            return _Layout(separator, 0, 1, 2, header=False)
        found = _header_columns(fields)
        if found is not None:
            return _Layout(separator, *found, header=True)
    raise _malformed(line, _EXPECTED)


def _header_columns(fields: Sequence[str]) -> tuple[int, int, int] | None:
    word_columns = [i for i, name in enumerate(fields) if _WORD_NAME.fullmatch(name)]
    word1, word2 = word_columns[:2] if len(word_columns) > 1 else (0, 1)
    for wanted in SCORE_NAMES:
        for i, name in enumerate(fields):
            if wanted in name.lower() and i not in (word1, word2):
                return word1, word2, i
    return None


def _pair(line: Line, layout: _Layout) -> RatedPair:
    fields = _fields(line, layout.separator)
    columns = (layout.word1, layout.word2, layout.score)
    if len(fields) <= max(columns):
        between = {"\t": "tabs", ",": "commas", None: "spaces"}[layout.separator]
        raise _malformed(
            line,
            f"expected at least {max(columns) + 1} fields ({between} between), found {len(fields)}",
        )
    word1, word2, score = (fields[i] for i in columns)
    rating = _number(score)
    if rating is None:
        raise _malformed(line, f"expected a number in column {layout.score + 1}, found {score!r}")
    if not (word1 and word2):
        raise _malformed(line, "expected two words, found an empty one")
    return RatedPair(word1, word2, rating)


def _fields(line: Line, separator: str | None) -> list[str]:
    if separator is None:
        return line.text.split()
    if separator == "\t":
        return [field.strip() for field in line.text.split("\t")]
    try:
        [fields] = csv.reader([line.text], skipinitialspace=True, strict=True)
    except csv.Error:
        return []
    return [field.strip() for field in fields]


def _number(field: str) -> float | None:
    try:
        number = float(field)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in field else None


def _malformed(line: Line, what: str) -> InputError:
    text = line.text if len(line.text) <= 60 else line.text[:60] + "..."
    return InputError(f"{shown_name(line.file)}:{line.number}: {text!r}: {what}")


def rate_similarity(
    lookup: Lookup, pairs: Sequence[RatedPair], *, resamples: int = 1000, seed: int = 1
) -> dict[str, Any]:
    """Compare cosines of word pairs with their ratings.

    Keys: ``pairs``, ``covered`` (pairs with both words known) and ``coverage`` (their share);
    ``words`` (different ones) and ``unknown_words`` (list, in order of the file); ``spearman`` of
    the covered pairs with its ``interval_95`` (``spearman_interval``); ``pearson``;
    ``spearman_uncovered_as_mean``, over all pairs, those without a cosine given the mean of the
    others'; ``per_pair``, dicts of ``word1``, ``word2``, ``rating`` and ``cosine`` (None when
    uncovered). Correlations are None below ``MIN_PAIRS`` covered pairs and when all ratings or
    all cosines are equal. Raises ArtifactError when a vector is not finite.
    """
    lookup.vectors.check_finite()
    rows = {word: lookup.row(word) for pair in pairs for word in pair[:2]}
    cosines: list[float | None] = []
    for pair in pairs:
        row1, row2 = rows[pair.word1], rows[pair.word2]
        cosine = None
        if row1 is not None and row2 is not None:
            cosine = lookup.vectors.similarity(row1, row2)
        cosines.append(cosine)
    covered = np.array([cosine is not None for cosine in cosines], bool)
    ratings_N = np.array([pair.rating for pair in pairs])
    scores_N = np.array(cosines, np.float64)  # None becomes nan
    x, y = scores_N[covered], ratings_N[covered]
    enough = len(x) >= MIN_PAIRS
    filled_N = np.where(covered, scores_N, x.mean() if enough else 0.0)
    return {
        "pairs": len(pairs),
        "covered": len(x),
        "coverage": len(x) / len(pairs) if pairs else None,
        "words": len(rows),
        "unknown_words": [word for word, row in rows.items() if row is None],
        "spearman": spearman(x, y) if enough else None,
        "interval_95": spearman_interval(x, y, resamples=resamples, seed=seed),
        "pearson": pearson(x, y) if enough else None,
        "spearman_uncovered_as_mean": spearman(filled_N, ratings_N) if enough else None,
        "per_pair": [
            {**pair._asdict(), "cosine": cosine}
            for pair, cosine in zip(pairs, cosines, strict=True)
        ],
    }


def average_ranks(values_N: np.ndarray) -> np.ndarray:
    """Ranks (N) from 1, equal values sharing the mean of their ranks (Kendall 1945)."""
    _, level_N = np.unique(values_N, return_inverse=True)
    return _ranks_of_levels(level_N)


def _ranks_of_levels(level_N: np.ndarray) -> np.ndarray:
    """Average ranks of values given as the places of their levels in ascending order."""
    counts_L = np.bincount(level_N)
    ranks_N: np.ndarray = (np.cumsum(counts_L) - (counts_L - 1) / 2)[level_N]
    return ranks_N


def pearson(x_N: np.ndarray, y_N: np.ndarray) -> float | None:
    """Pearson's r; None for fewer than two pairs and where all x or all y are equal."""
    centred = []
    for values_N in (x_N, y_N):
        if len(values_N) < 2 or values_N.min() == values_N.max():
            return None
        scaled_N = values_N / np.abs(values_N).max()  # squares neither overflow nor vanish
        centred.append(scaled_N - scaled_N.mean())
    x, y = centred
    r = float((x @ y) / (math.sqrt(x @ x) * math.sqrt(y @ y)))
    return min(1.0, max(-1.0, r))


def spearman(x_N: np.ndarray, y_N: np.ndarray) -> float | None:
    """Spearman's rho: Pearson's r of the average ranks. None as for ``pearson``."""
    return pearson(average_ranks(x_N), average_ranks(y_N))


def spearman_interval(
    x_N: np.ndarray, y_N: np.ndarray, *, resamples: int = 1000, seed: int = 1
) -> list[float] | None:
    """95 % percentile interval of rho, pairs drawn with replacement (Efron 1979).

    Resamples in which rho is undefined are left out. None below ``MIN_PAIRS`` pairs and where rho
    itself is undefined. The same seed gives the same interval.
    """
    size = len(x_N)
    if size < MIN_PAIRS or spearman(x_N, y_N) is None:
        return None
    # The order of values is found once; a resample only counts how often each value was drawn.
    levels = [np.unique(values, return_inverse=True)[1] for values in (x_N, y_N)]
    random = np.random.default_rng(seed)
    drawn_rhos = []
    for _ in range(resamples):
        drawn = random.integers(0, size, size)
        rho = pearson(*(_ranks_of_levels(level[drawn]) for level in levels))
        if rho is not None:
            drawn_rhos.append(rho)
    if not drawn_rhos:
        return None
    low, high = np.quantile(drawn_rhos, [0.025, 0.975])
    return [float(low), float(high)]
