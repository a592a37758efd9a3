"""Laying the vectors of two languages on one another by a dictionary, and testing the map.

Both spaces are centred and their rows given length 1 (Artetxe et al. 2016), the source is rotated
onto the target (orthogonal Procrustes; Xing et al. 2015), translations are retrieved by CSLS
(Conneau et al. 2018). What is reported is held out: a map is asked only about source words that it
was not fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nplm_cli.errors import ConfigError, InputError, UnknownWordError
from nplm_cli.events import OnEvent, Progress, ignore
from nplm_cli.vectors import held_out
from nplm_cli.vectors.held_out import Pairs, Translator
from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.procrustes import centred_unit_rows, mean_vector, random_folds
from nplm_cli.vectors.unknown import explain_unknown

DEFAULT_WORDS = 5_000
MIN_SOURCE_WORDS = 10
# Below so many pairs a dimension a rotation is hardly determined.
PAIRS_A_DIMENSION = 5

WordPair = tuple[str, str]


def align(
    source: KeyedVectors,
    target: KeyedVectors,
    dictionary: Sequence[WordPair],
    *,
    pairs: Sequence[WordPair] | None = None,
    folds: int = 5,
    csls: int = 10,
    k: int = 5,
    permutations: int = 20,
    words: int | None = None,
    seed: int = 1,
    on_event: OnEvent = ignore,
) -> dict[str, Any]:
    """Rotate ``source`` onto ``target`` by a dictionary and test it on words held out.

    Both spaces lose their mean (over all words but the specials), rows get length 1, the smaller
    dimension is filled up with zeros; the rotation is ``procrustes.rotation`` of the pairs that
    both vocabularies cover. Candidates are the ``words`` (5,000 unless told) most frequent words
    of each side and all words of the pairs. A mapped source word x retrieves targets y by cosine
    or by CSLS(x, y) = 2 cos(x, y) - r_T(x) - r_S(y), r being the mean cosine to the ``csls``
    nearest words of the other side (Conneau et al. 2018, section 2.3); ties in order of frequency.

    The dictionary's source words are dealt into ``folds`` by ``seed``, all pairs of a word
    into one (a target that two source words share may be known to the map from the other one).
    Each fold is asked of a map fitted on the others; a source word is right at n when any of its
    targets is among the first n. ``permutation`` is the same with the targets shuffled
    among the pairs, ``permutations`` times; p = (1 + times at least as good) / (1 + times).

    Returns ``schema`` 1, ``dim``, ``folds``, ``csls``, ``k``, ``seed``, ``warnings`` (texts),
    ``candidates`` {source, target}, ``pairs_in_dictionary``, ``pairs_covered``, ``source_words``
    (different ones among the covered pairs), ``oov`` {source, target: different words without a
    vector}, ``accuracy`` {csls, cosine: {"1", "5", "10"}}, ``interval_95`` (the same keys;
    Wilson 1927, over source words; a little narrow, for words share a map), ``permutation``
    {n, accuracy_mean, accuracy_max, p_value (of CSLS at 1), accuracy_10, pair_cosine: each {mean,
    max, p_value}; null for 0}, ``pair_cosine`` (mean of the held-out pairs), ``random_cosine``
    and ``random_cosine_sd`` (the same words paired wrongly: what is nothing), and ``pairs``:
    of each covered pair of the dictionary, or of ``pairs`` if given,

    - ``source``, ``target``, ``in_dictionary``;
    - ``cosine_before``: of the vectors as they are; it means nothing, for the axes of two spaces
      have nothing to do with each other; None where the dimensions differ;
    - ``cosine_after``: by the map that has not seen the source word (that of all folds for a word
      outside the dictionary), ``rank`` of the target by CSLS, ``neighbors``, the ``k`` nearest
      target words by CSLS, and ``neighbor_csls``, their scores.

    Raises InputError when fewer than ten source words are covered, ConfigError for bad numbers,
    UnknownWordError for a word of ``pairs`` without a vector, ArtifactError for nan and inf.
    """
    spaces = _Spaces(source, target)
    limit = DEFAULT_WORDS if words is None else words
    distinct = list(dict.fromkeys(dictionary))
    covered = spaces.covered(distinct)
    sources = list(dict.fromkeys(a for a, _ in covered))
    _check(len(sources), len(distinct), folds, csls=csls, k=k, words=limit)
    asked = covered if pairs is None else list(dict.fromkeys(pairs))
    spaces.check_known(asked)
    rows_S, row_of_source = _candidates(source, limit, [a for a, _ in [*covered, *asked]])
    rows_T, row_of_target = _candidates(target, limit, [b for _, b in [*covered, *asked]])
    translator = Translator(spaces.prepared(source, rows_S), spaces.prepared(target, rows_T), csls)
    fold_of = dict(
        zip(
            sources,
            random_folds(len(sources), folds, np.random.default_rng([seed, 0])).tolist(),
            strict=True,
        )
    )

    def as_rows(of: Sequence[WordPair]) -> Pairs:
        return Pairs(
            np.array([row_of_source[a] for a, _ in of], np.int64),
            np.array([row_of_target[b] for _, b in of], np.int64),
            np.array([fold_of.get(a, folds) for a, _ in of], np.int64),
        )

    known = as_rows(covered)
    on_event(Progress("aligning", 0, 1 + permutations, "held-out words"))
    outcome = held_out.outcome(translator, known)
    shuffled = []
    random = np.random.default_rng([seed, 1])
    for done in range(permutations):
        on_event(Progress("aligning", 1 + done, 1 + permutations, "shuffled dictionary"))
        targets_P = random.permutation(known.targets_P)
        shuffled.append(held_out.outcome(translator, replace(known, targets_P=targets_P)))
    on_event(Progress("aligning", 1 + permutations, 1 + permutations))
    records = held_out.pair_records(translator, known, as_rows(asked), k)
    in_dictionary = set(distinct)
    random_mean, random_sd = held_out.random_cosines(translator, known)
    return {
        "schema": 1,
        "dim": spaces.dim,
        "folds": folds,
        "csls": csls,
        "k": k,
        "seed": seed,
        "warnings": _warnings(len(covered), len(distinct), spaces),
        "candidates": {"source": len(rows_S), "target": len(rows_T)},
        "pairs_in_dictionary": len(distinct),
        "pairs_covered": len(covered),
        "source_words": len(sources),
        "oov": {
            "source": len({a for a, _ in distinct if spaces.row(source, a) is None}),
            "target": len({b for _, b in distinct if spaces.row(target, b) is None}),
        },
        "accuracy": outcome.accuracies(),
        "interval_95": {
            by: {n: wilson_interval(share, len(sources)) for n, share in shares.items()}
            for by, shares in outcome.accuracies().items()
        },
        "permutation": held_out.permutation_test(outcome, shuffled),
        "pair_cosine": outcome.pair_cosine,
        "random_cosine": random_mean,
        "random_cosine_sd": random_sd,
        "pairs": [
            {
                "source": a,
                "target": b,
                "in_dictionary": (a, b) in in_dictionary,
                "cosine_before": spaces.cosine_before(a, b),
                "cosine_after": record.cosine,
                "rank": record.rank,
                "neighbors": [target.words[rows_T[row]] for row, _ in record.nearest],
                "neighbor_csls": [score for _, score in record.nearest],
            }
            for (a, b), record in zip(asked, records, strict=True)
        ],
    }


def aligned_spaces(
    source: KeyedVectors, target: KeyedVectors, dictionary: Sequence[WordPair]
) -> tuple[KeyedVectors, KeyedVectors]:
    """Both spaces, all words, so that cosines between them are those of the map of all pairs.

    Both are centred and of unit rows, the source is rotated: a rotation alone would not do, for it
    was fitted on such rows. The dimension is the larger of the two. Raises InputError when fewer
    than ten source words are covered.
    """
    spaces = _Spaces(source, target)
    covered = spaces.covered(list(dict.fromkeys(dictionary)))
    _check(len({a for a, _ in covered}), len(dictionary), 2, csls=1, k=1, words=1)
    source_VD = spaces.prepared(source, np.arange(len(source)))
    target_VD = spaces.prepared(target, np.arange(len(target)))
    pairs = Pairs(
        np.array([source.index[a] for a, _ in covered]),
        np.array([target.index[b] for _, b in covered]),
        np.zeros(len(covered), np.int64),
    )
    fitted_DD = Translator(source_VD, target_VD, csls=1).fit(pairs, held=None)
    return (
        KeyedVectors(source.words, source_VD @ fitted_DD, source.counts, source.skip),
        KeyedVectors(target.words, target_VD, target.counts, target.skip),
    )


def wilson_interval(share: float, size: int) -> list[float]:
    """95 % score interval of a share of ``size`` trials (Wilson 1927); size is at least 1."""
    z = 1.959963984540054
    middle = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * np.sqrt(share * (1 - share) / size + (z / (2 * size)) ** 2)
    # At 0 and 1 the formula ends there, but for rounding.
    low = 0.0 if share == 0 else float(middle - half)
    return [low, 1.0 if share == 1 else float(middle + half)]


@dataclass(frozen=True)
class _Spaces:
    """Two vocabularies, their common dimension, and vectors prepared for a rotation."""

    source: KeyedVectors
    target: KeyedVectors

    @property
    def dim(self) -> int:
        return max(self.source.dim, self.target.dim)

    @staticmethod
    def row(keyed: KeyedVectors, word: str) -> int | None:
        row = keyed.index_of(word)
        return None if row in keyed.skip else row

    def covered(self, pairs: Sequence[WordPair]) -> list[WordPair]:
        return [
            (a, b)
            for a, b in pairs
            if self.row(self.source, a) is not None and self.row(self.target, b) is not None
        ]

    def check_known(self, pairs: Sequence[WordPair]) -> None:
        for pair in pairs:
            for keyed, word in zip((self.source, self.target), pair, strict=True):
                if self.row(keyed, word) is None:
                    raise UnknownWordError(explain_unknown(word, keyed.index).describe())

    def prepared(self, keyed: KeyedVectors, rows_N: np.ndarray) -> np.ndarray:
        mean_D = mean_vector(keyed, keyed.rows_by_frequency())
        return centred_unit_rows(keyed, rows_N, mean_D, dim=self.dim, dtype=np.float32)

    def cosine_before(self, a: str, b: str) -> float | None:
        if self.source.dim != self.target.dim:
            return None
        both = KeyedVectors(["source", "target"], np.stack([self.source[a], self.target[b]]))
        return both.similarity(0, 1)


def _candidates(
    keyed: KeyedVectors, limit: int, needed: Sequence[str]
) -> tuple[np.ndarray, dict[str, int]]:
    """Rows of the most frequent words and of the needed ones, frequent first; row by word."""
    rows_N = keyed.rows_by_frequency()
    wanted = {keyed.index[word] for word in needed}
    rest_N = rows_N[limit:]
    kept = [row for row in rest_N.tolist() if row in wanted]
    chosen_N = np.concatenate([rows_N[:limit], np.array(kept, rows_N.dtype)])
    return chosen_N, {keyed.words[row]: i for i, row in enumerate(chosen_N.tolist())}


def _check(source_words: int, pairs: int, folds: int, **least_1: int) -> None:
    if source_words < MIN_SOURCE_WORDS:
        raise InputError(
            f"{source_words} source words of {pairs} pairs have a vector on both sides: expected "
            f"at least {MIN_SOURCE_WORDS}; give a dictionary of words of both vocabularies"
        )
    if not 2 <= folds <= source_words:
        raise ConfigError(
            f"{folds} folds of {source_words} source words: expected 2 to {source_words}"
        )
    for name, value in least_1.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}: expected at least 1")


def _warnings(covered: int, pairs: int, spaces: _Spaces) -> list[str]:
    found = []
    if covered < pairs:
        found.append(
            f"{pairs - covered:,} of {pairs:,} pairs of the dictionary have a word without a "
            "vector: left out"
        )
    enough = PAIRS_A_DIMENSION * spaces.dim
    if covered < enough:
        found.append(
            f"{covered:,} pairs for {spaces.dim} dimensions: expected at least {enough:,} "
            f"({PAIRS_A_DIMENSION} a dimension); the map is hardly determined, so trust the "
            "held-out figures and the shuffled dictionary, no single pair"
        )
    return found
