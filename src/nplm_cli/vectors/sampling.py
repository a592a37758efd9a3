"""Words drawn for a look at their neighbours: frequent and rare ones, of letters."""

import math
import unicodedata
from collections.abc import Callable
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from nplm_cli.errors import ConfigError

if TYPE_CHECKING:
    from nplm_cli.vectors.keyed import KeyedVectors

# Words that are common enough to be trained well and are not yet the most frequent function words.
DEFAULT_BAND = (101, 10_000)
STRATA = 5


def sample_words(
    vectors: "KeyedVectors",
    n: int,
    seed: int,
    band: tuple[int, int] | None = None,
    keep: Callable[[str], bool] | None = None,
) -> list[str]:
    """Draw n words; what ``KeyedVectors.sample_words`` promises."""
    if n < 1:
        raise ConfigError(f"cannot draw {n} words: expected at least 1")
    if band is not None and not 1 <= band[0] <= band[1]:
        raise ConfigError(f"band {band[0]} to {band[1]}: expected ranks from 1, low to high")
    low, high = ranks_to_sample(vectors, n, band, keep)
    eligible = _eligible(vectors, low, high, keep)
    return _drawn(eligible, n, low, high, np.random.default_rng(seed))


def ranks_to_sample(
    vectors: "KeyedVectors",
    n: int,
    band: tuple[int, int] | None = None,
    keep: Callable[[str], bool] | None = None,
) -> tuple[int, int]:
    """First and last frequency rank that ``sample_words`` draws n words from."""
    last = len(vectors.rows_by_frequency())
    low, high = DEFAULT_BAND if band is None else band
    if band is None and len(_eligible(vectors, low, high, keep)) < n:
        low, high = 1, last
    return low, min(high, last)


def _eligible(
    vectors: "KeyedVectors", low: int, high: int, keep: Callable[[str], bool] | None
) -> list[tuple[int, str]]:
    """Ranks from ``low`` to ``high`` and their words, of those that may be drawn."""
    ranked = vectors.rows_by_frequency()[low - 1 : high].tolist()
    chosen = enumerate((vectors.words[row] for row in ranked), start=low)
    return [(rank, word) for rank, word in chosen if (keep or is_plain_word)(word)]


def _drawn(
    eligible: list[tuple[int, str]], n: int, low: int, high: int, rng: np.random.Generator
) -> list[str]:
    """Up to n words of ``eligible`` (ranks and words), in order of rank.

    The ranks from ``low`` to ``high`` are cut into strata of equal width in log rank, which are
    drawn from in turn.
    """
    width = (math.log(max(high, low) + 1) - math.log(low)) / STRATA
    strata: list[list[tuple[int, str]]] = [[] for _ in range(STRATA)]
    for rank, word in eligible:
        stratum = int((math.log(rank) - math.log(low)) / width)
        strata[min(stratum, STRATA - 1)].append((rank, word))
    shuffled = [[stratum[i] for i in rng.permutation(len(stratum))] for stratum in strata]
    in_turn = [pair for turn in zip_longest(*shuffled) for pair in turn if pair is not None]
    return [word for _, word in sorted(in_turn[:n])]


def is_plain_word(word: str) -> bool:
    """Whether a word is of letters alone; hyphens and apostrophes may stand between letters."""
    # Letters, with the marks that belong to them (accents, vowel signs).
    letters = [unicodedata.category(c)[0] in "LM" for c in word]
    if not (letters and letters[0] and letters[-1]):
        return False
    return all(letter or c in "-'’" for letter, c in zip(letters, word, strict=True))
