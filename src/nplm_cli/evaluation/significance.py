"""Is a difference between two models more than chance? Paired bootstrap over sentences."""

import math

import numpy as np

RESAMPLES = 1000
_BLOCK_CELLS = 2_000_000


def paired_bootstrap_ratio(
    nats_a_S: np.ndarray,
    nats_b_S: np.ndarray,
    predictions_S: np.ndarray,
    *,
    random: np.random.Generator,
    resamples: int = RESAMPLES,
) -> tuple[float, tuple[float, float] | None]:
    """Ratio of the perplexities of a and b on the same sentences, with a 95 % interval.

    Sentences are drawn with replacement, both models scored on the same draw (Koehn 2004); the
    interval is the 2.5th to 97.5th percentile, None where there are fewer than two sentences.
    """
    difference_S = nats_a_S - nats_b_S
    ratio = _exp(difference_S.sum() / predictions_S.sum())
    sentences = len(difference_S)
    if sentences < 2:
        return ratio, None
    means = np.empty(resamples)
    block = max(1, _BLOCK_CELLS // sentences)
    for begin in range(0, resamples, block):
        end = min(begin + block, resamples)
        drawn = random.integers(0, sentences, (end - begin, sentences))
        means[begin:end] = difference_S[drawn].sum(1) / predictions_S[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return ratio, (_exp(low), _exp(high))


def _exp(nats: float) -> float:
    return math.exp(min(nats, 700.0))  # a little more is no float any longer
