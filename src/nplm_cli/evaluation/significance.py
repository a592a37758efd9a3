"""Is a difference between two models more than chance? Paired bootstrap over sentences."""

import math
from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000
_BLOCK_CELLS = 2_000_000


def paired_bootstrap_ratio(
    nats_a_S: np.ndarray,
    nats_b_S: np.ndarray,
    predictions_S: np.ndarray,
    *,
    random: "np.random.Generator",
    resamples: int = RESAMPLES,
) -> tuple[float, tuple[float, float] | None]:
    """Ratio of the perplexities of a and b on the same sentences, with a 95 % interval.

    Sentences are drawn with replacement, both models scored on the same draw (Koehn 2004); the
    interval is the 2.5th to 97.5th percentile, None where there are fewer than two sentences.
    """
    difference_S = nats_a_S - nats_b_S
    ratio = bounded_exp(difference_S.sum() / predictions_S.sum())
    if len(difference_S) < 2:
        return ratio, None
    nats_R, predictions_R = resampled_sums(
        [difference_S, predictions_S], random=random, resamples=resamples
    )
    low, high = interval_95(nats_R / predictions_R)
    return ratio, (bounded_exp(low), bounded_exp(high))


def resampled_sums(
    columns: Sequence[np.ndarray], *, random: "np.random.Generator", resamples: int = RESAMPLES
) -> np.ndarray:
    """Sums of each column (S,) over draws of S sentences with replacement: (columns, resamples).

    One draw serves all columns. Generators of one seed draw the same sentences for any columns of
    the same S, so that models may be resampled one by one and stay paired. S is at least 1.
    """
    sentences = len(columns[0])
    sums = np.empty((len(columns), resamples))
    block = max(1, _BLOCK_CELLS // sentences)
    for begin in range(0, resamples, block):
        end = min(begin + block, resamples)
        drawn = random.integers(0, sentences, (end - begin, sentences))
        for row, column_S in zip(sums, columns, strict=True):
            row[begin:end] = column_S[drawn].sum(1)
    return sums


def interval_95(values_R: np.ndarray) -> tuple[float, float]:
    """The 2.5th and the 97.5th percentile."""
    low, high = np.percentile(values_R, [2.5, 97.5])
    return float(low), float(high)


def bounded_exp(nats: float) -> float:
    """exp, at most that of 700 nats: a little more is no float any longer."""
    return math.exp(min(nats, 700.0))
