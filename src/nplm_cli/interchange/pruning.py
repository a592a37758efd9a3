"""Leaving out n-grams whose back-off says nearly the same (Stolcke 1998).

"Entropy-based pruning of backoff language models": leaving hw out gives its history the back-off
weight b*(h), and changes the model's perplexity by the factor exp(D) with

    D = -P(h) { p(w|h) [log p(w|h') + log b*(h) - log p(w|h)]
                + [log b*(h) - log b(h)] (1 - sum of p over the listed words of h) }

P(h) is the model's own probability of the words of h, one after another.
Shape suffix: N n-grams of one order.
"""

import numpy as np

from nplm_cli.interchange.backoff import (
    NOTHING,
    BackoffModel,
    lower_log_p,
    normalised,
    select,
    suffixes,
)


def prune(model: BackoffModel, threshold: float) -> BackoffModel:
    """Leave out n-grams of order 2 and more that change perplexity by less than ``threshold``.

    It is a share (1e-7: a ten-millionth), of each n-gram alone. Histories of what stays, and
    their endings, stay. Each history sums to 1 again.
    """
    trie = model.trie
    shorter = suffixes(trie)
    keep = [np.ones(max(1, len(log_p_N)), bool) for log_p_N in model.log_p]
    needed = np.zeros(len(model.log_p[-1]), bool)
    for order in range(trie.order, 1, -1):
        keep[order] = needed | (np.expm1(_cost(model, shorter, order)) >= threshold)
        contexts = trie.tables[order].keys_N // trie.vocab_size
        below = np.zeros(len(model.log_p[order - 1]), bool)
        below[contexts[keep[order]]] = True
        below[shorter[order][needed]] = True
        needed = below
    kept = select(model, keep)
    return normalised(kept.trie, [NOTHING, *(np.exp(log_p_N) for log_p_N in kept.log_p[1:])])


def _cost(model: BackoffModel, shorter: list[np.ndarray], order: int) -> np.ndarray:
    """D of each n-gram of an order."""
    trie = model.trie
    contexts = trie.tables[order].keys_N // trie.vocab_size
    histories = len(model.log_p[order - 1])
    log_p_N = model.log_p[order]
    lower_N = lower_log_p(trie, shorter, model.log_p, model.log_b, order)
    left = np.maximum(1 - np.bincount(contexts, np.exp(log_p_N), histories), 1e-12)
    left_lower = np.maximum(1 - np.bincount(contexts, np.exp(lower_N), histories), 1e-12)
    log_b_N = np.log((left[contexts] + np.exp(log_p_N)) / (left_lower[contexts] + np.exp(lower_N)))
    moved = np.exp(log_p_N) * (lower_N + log_b_N - log_p_N)
    moved += left[contexts] * (log_b_N - np.log(left / left_lower)[contexts])
    return -np.exp(_history_log_p(model, order - 1))[contexts] * moved


def _history_log_p(model: BackoffModel, order: int) -> np.ndarray:
    """Log-probability of the words of each n-gram of an order, one after another."""
    log_p_N = model.log_p[1]
    for n in range(2, order + 1):
        contexts = model.trie.tables[n].keys_N // model.trie.vocab_size
        log_p_N = model.log_p[n] + log_p_N[contexts]
    return log_p_N
