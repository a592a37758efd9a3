"""The unigram baseline."""

import numpy as np


def unigram_log_probs(counts_V: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Natural log of the relative frequency of each word, and a note if it had to be smoothed.

    Where a word of the vocabulary has no count, one is added to every count (Laplace), so that
    a perplexity stays finite; the note says so.
    """
    counts_V = np.asarray(counts_V, dtype=np.float64)
    note = None
    unseen = np.count_nonzero(counts_V == 0)
    if unseen:
        counts_V = counts_V + 1
        note = (
            f"unigram: {unseen} of the {len(counts_V)} words of the vocabulary do not occur in "
            "the training text: one is added to every count"
        )
    return np.log(counts_V / counts_V.sum()), note
