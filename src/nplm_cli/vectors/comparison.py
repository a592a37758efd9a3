"""How alike are vector spaces? Three measures that need no common axes, and their noise floor.

A cosine between the vectors of one word in two models means nothing: each training turns the
space as it likes. Compared are the words' neighbours (``overlap``), the spaces after the best
rotation (``aligned_cosine``), and the similarities of pairs of words (``rsa``). Trainings that
differ in the seed alone differ, too (Antoniak & Mimno 2018); how much is the noise floor.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from nplm_cli.errors import ConfigError, InputError, UnknownWordError
from nplm_cli.events import OnEvent, Progress, ignore
from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.noise_floor import MEASURES, Agreement, NoiseFloor
from nplm_cli.vectors.procrustes import (
    centred_unit_rows,
    mean_vector,
    random_folds,
    rotation,
)
from nplm_cli.vectors.ratings import average_ranks
from nplm_cli.vectors.retrieval import neighbor_rows, shared
from nplm_cli.vectors.unknown import explain_unknown

DEFAULT_WORDS = 5_000
MIN_WORDS = 20
FOLDS = 5
RSA_WORDS = 1_500


@dataclass(frozen=True)
class Space:
    """Word vectors with a name; spaces of one ``group`` differ in the ``seed`` alone."""

    name: str
    keyed: KeyedVectors
    group: str
    seed: int | None = None


def compare_vectors(
    spaces: Sequence[Space],
    *,
    k: int = 10,
    words: int | None = None,
    of_words: Iterable[str] = (),
    seed: int = 1,
    resamples: int = 1000,
    on_event: OnEvent = ignore,
) -> dict[str, Any]:
    """Compare each pair of spaces over their common words, and groups against the noise floor.

    The words are the ``words`` (5,000 unless told) most frequent that all spaces have, by the
    counts of the first space that has any, else in its order; specials are left out.

    - ``overlap``: mean over words of the share of the k nearest words by cosine that two spaces
      have in common, neighbours being sought among the common words; by chance k / (n - 1).
    - ``aligned_cosine``: both spaces centred, rows of length 1, one rotated onto the other
      (``procrustes.rotation``); mean cosine of a word with itself, by a rotation fitted on the
      other four of five folds, for a rotation finds agreement even in noise on the words it was
      fitted on; 0 by chance. The smaller dimension is filled up with zeros.
      None, with the reason, with fewer than 2 d words to fit on.
    - ``rsa``: Spearman correlation (average ranks) of the cosines of all pairs of words in the
      two spaces (Kriegeskorte et al. 2008), on at most 1,500 words drawn by ``seed``; 0 by
      chance. None, with the reason, where all cosines of a space are equal.

    All three are 1 for a space and its rotated, scaled copy. Between groups A and B:
    ``between`` is the mean over pairs of a space of A and one of B, without those of one seed
    where there are others (``NoiseFloor``), ``floor`` what noise alone would let them agree in
    (``noise_floor.expected``; None unless both have two members), ``difference`` between - floor.
    Its ``interval_95`` is a percentile bootstrap over words: it says how far the words decide,
    not how other seeds would come out; for that see ``between_range`` and ``floor_range``, lowest
    and highest pair. ``rsa`` has no interval: its cosines share words. ``below_floor`` is true
    when each pair between is lower than every pair within A or B.

    Returns ``schema`` 1, ``k``, ``words`` (n), ``common_words``, ``vocabulary_note``, ``folds``,
    ``rsa_words``, ``resamples``, ``seed``, ``warnings`` (a list of texts),
    ``spaces`` [{name, group, dim, words}], ``groups`` [name], ``chance`` {overlap},
    ``pairs`` [{a, b (numbers of spaces), same_group, overlap, aligned_cosine, rsa, reasons
    {measure: text}}], ``group_pairs`` [{a, b (groups), overlap, aligned_cosine, rsa: each
    {between, floor, difference, interval_95, below_floor, between_range, floor_range, reason}}],
    ``within`` {group: {overlap, aligned_cosine, rsa (None for one member), runs}},
    ``most_different_words`` [{a, b, by_chance, words: ten of {word, floor, between}}]: the
    overlap of single words, largest floor - between first, and how large that gets by chance,
    and ``of_words``, the same of the words asked for: of two groups (floor None where there is
    none), and of a group of several with itself (a = b).

    Raises ConfigError for fewer than two spaces and an impossible k, InputError for fewer than
    20 common words, UnknownWordError for a word of ``of_words`` that is not among them.
    """
    if len(spaces) < 2:
        raise ConfigError(f"{len(spaces)} vector space to compare: expected two or more")
    chosen, total = _common_words(spaces, DEFAULT_WORDS if words is None else words)
    size = len(chosen)
    if not 1 <= k <= size - 2:
        raise ConfigError(f"k is {k}: expected 1 to {size - 2} neighbours among {size} words")
    asked = _asked(of_words, chosen, spaces)
    steps = len(spaces) + len(spaces) * (len(spaces) - 1) // 2
    sample_N = np.arange(size)
    if size > RSA_WORDS:
        sample_N = np.sort(np.random.default_rng([seed, 1]).choice(size, RSA_WORDS, replace=False))
    prepared = []
    for done, space in enumerate(spaces):
        on_event(Progress("comparing vectors", done, steps, f"neighbours in {space.name}"))
        prepared.append(_Prepared(space.keyed, chosen, k, sample_N))
    fold_N = random_folds(size, FOLDS, np.random.default_rng([seed, 0]))
    agreements: list[Agreement] = []
    for a, b in combinations(range(len(spaces)), 2):
        on_event(
            Progress(
                "comparing vectors",
                len(spaces) + len(agreements),
                steps,
                f"{spaces[a].name} and {spaces[b].name}",
            )
        )
        agreements.append(_agreement(a, b, prepared, k, fold_N))
    on_event(Progress("comparing vectors", steps, steps))
    floor = NoiseFloor([s.group for s in spaces], [s.seed for s in spaces], agreements)
    return {
        "schema": 1,
        "k": k,
        "words": size,
        "common_words": total,
        "vocabulary_note": _vocabulary_note(spaces, size, total),
        "folds": FOLDS,
        "rsa_words": len(sample_N),
        "resamples": resamples,
        "seed": seed,
        "warnings": floor.warnings(),
        "spaces": [
            {"name": s.name, "group": s.group, "dim": s.keyed.dim, "words": len(_eligible(s))}
            for s in spaces
        ],
        "groups": floor.groups,
        "chance": {"overlap": k / (size - 1)},
        "pairs": [
            {
                "a": pair.a,
                "b": pair.b,
                "same_group": spaces[pair.a].group == spaces[pair.b].group,
                **{measure: pair.values[measure] for measure in MEASURES},
                "reasons": pair.reasons,
            }
            for pair in agreements
        ],
        "group_pairs": floor.group_pairs(resamples, seed),
        "within": floor.within(),
        "most_different_words": floor.most_different(chosen),
        "of_words": floor.of_words(asked),
    }


def _eligible(space: Space) -> set[str]:
    keyed = space.keyed
    return keyed.index.keys() - {keyed.words[row] for row in keyed.skip}


def _common_words(spaces: Sequence[Space], limit: int) -> tuple[list[str], int]:
    """The most frequent common words in order, and how many are common."""
    common = set.intersection(*(_eligible(space) for space in spaces))
    if len(common) < MIN_WORDS:
        names = ", ".join(space.name for space in spaces)
        raise InputError(
            f"{len(common)} words are common to {names}: expected at least {MIN_WORDS}; "
            "compare spaces of one language and one way of segmenting"
        )
    if limit < MIN_WORDS:
        raise ConfigError(f"the {limit} most frequent words: expected at least {MIN_WORDS}")
    counted = [space.keyed for space in spaces if space.keyed.counts is not None]
    keyed = counted[0] if counted else spaces[0].keyed
    ordered = [
        word for row in keyed.rows_by_frequency().tolist() if (word := keyed.words[row]) in common
    ]
    return ordered[:limit], len(common)


def _vocabulary_note(spaces: Sequence[Space], size: int, total: int) -> str:
    sizes = sorted(len(_eligible(space)) for space in spaces)
    own = f"{sizes[0]:,}" if sizes[0] == sizes[-1] else f"{sizes[0]:,} to {sizes[-1]:,}"
    which = f"{size:,}" if size == total else f"the {size:,} most frequent of {total:,}"
    return f"{which} words common to {len(spaces)} spaces of {own} words"


def _asked(of_words: Iterable[str], chosen: list[str], spaces: Sequence[Space]) -> dict[str, int]:
    index = {word: row for row, word in enumerate(chosen)}
    asked = {}
    for word in of_words:
        if word in index:
            asked[word] = index[word]
        elif all(word in _eligible(space) for space in spaces):
            raise UnknownWordError(
                f"{word!r} is not among the {len(chosen):,} most frequent common words that are "
                "compared: compare more (--words)"
            )
        else:
            raise UnknownWordError(explain_unknown(word, index).describe())
    return asked


class _Prepared:
    """What the measures need of one space, computed once."""

    def __init__(self, keyed: KeyedVectors, chosen: list[str], k: int, sample_N: np.ndarray):
        rows_N = np.array([keyed.index[word] for word in chosen])
        mean_D = mean_vector(keyed, rows_N)
        units_ND = centred_unit_rows(keyed, rows_N, np.zeros(keyed.dim))
        self.neighbors_NK = neighbor_rows(units_ND.astype(np.float32), k)
        self.centred_ND = centred_unit_rows(keyed, rows_N, mean_D)
        self.ranks_P = _standardised_ranks(units_ND[sample_N])

    @property
    def dim(self) -> int:
        return int(self.centred_ND.shape[1])


def _standardised_ranks(units_ND: np.ndarray) -> np.ndarray | None:
    """Ranks of the cosines of all pairs of rows, mean 0 and length 1; None when all are equal."""
    # Rounding noise must not order cosines that are equal.
    cosines_P = np.round((units_ND @ units_ND.T)[np.triu_indices(len(units_ND), 1)], 12)
    ranks_P = average_ranks(cosines_P)
    ranks_P -= ranks_P.mean()
    length = np.sqrt(ranks_P @ ranks_P)
    return ranks_P / length if length > 0 else None


def _agreement(
    a: int, b: int, prepared: Sequence[_Prepared], k: int, fold_N: np.ndarray
) -> Agreement:
    one, other = prepared[a], prepared[b]
    overlap_N = shared(one.neighbors_NK, other.neighbors_NK) / k
    values: dict[str, float | None] = {"overlap": float(overlap_N.mean())}
    by_word = {"overlap": overlap_N}
    reasons = {}
    dim = max(one.dim, other.dim)
    fitted_on = len(fold_N) - int(np.bincount(fold_N).max())
    if fitted_on >= 2 * dim:
        by_word["aligned_cosine"] = _held_out_cosines(one.centred_ND, other.centred_ND, fold_N)
        values["aligned_cosine"] = float(by_word["aligned_cosine"].mean())
    else:
        values["aligned_cosine"] = None
        reasons["aligned_cosine"] = (
            f"{fitted_on} words to fit a rotation of {dim} dimensions: expected at least {2 * dim}"
        )
    if one.ranks_P is None or other.ranks_P is None:
        values["rsa"] = None
        reasons["rsa"] = "all cosines of a space are equal: there is nothing to rank"
    else:
        values["rsa"] = float(one.ranks_P @ other.ranks_P)
    return Agreement(a, b, values, by_word, reasons)


def _held_out_cosines(a_ND: np.ndarray, b_ND: np.ndarray, fold_N: np.ndarray) -> np.ndarray:
    """Cosine (N) of each row of a, rotated by a map fitted on the other folds, with its row of b.

    The rows are centred by the mean of all, held-out ones too: a mean is the same whichever
    words are paired, so it gives nothing of the pairing away.
    """
    dim = max(a_ND.shape[1], b_ND.shape[1])
    a_ND, b_ND = (np.pad(x_ND, ((0, 0), (0, dim - x_ND.shape[1]))) for x_ND in (a_ND, b_ND))
    held_FN = [np.flatnonzero(fold_N == fold) for fold in range(FOLDS)]
    # A^T B of some folds is the sum of those of each: every row is multiplied once, not four times.
    cross_FDD = np.stack([a_ND[held_N].T @ b_ND[held_N] for held_N in held_FN])
    cosines_N = np.empty(len(a_ND))
    for fold, held_N in enumerate(held_FN):
        fitted_DD = rotation(np.delete(cross_FDD, fold, axis=0).sum(axis=0))
        cosines_N[held_N] = np.einsum("nd,nd->n", a_ND[held_N] @ fitted_DD, b_ND[held_N])
    return cosines_N
