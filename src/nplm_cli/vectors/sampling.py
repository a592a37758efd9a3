"""Words drawn for a look at their neighbours: frequent and rare ones, of letters."""

import math
import unicodedata
from itertools import zip_longest

import numpy as np

# Words that are common enough to be trained well and are not yet the most frequent function words.
DEFAULT_BAND = (101, 10_000)
STRATA = 5


def drawn(
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
