"""Back-off n-gram models: what an ARPA file holds, and what a reader of it computes.

With h' the history h without its first word (Katz 1987; Stolcke 2002, "SRILM", ngram-format):

    p(w | h) = P(hw)            where the n-gram hw is listed
             = b(h) p(w | h')   where it is not, with b(h) = 1 for a history that is not listed

Shape suffixes: T tokens, N n-grams of one order.
"""

from dataclasses import dataclass

import numpy as np

from nplm_cli.ngram import NgramModel
from nplm_cli.ngram.counting import sequence_starts
from nplm_cli.ngram.kneser_ney import discount_of
from nplm_cli.ngram.trie import Table, Trie

NOTHING = np.zeros(0)
NEVER = -99.0
"""Log10 that stands for a probability of 0 in ARPA files."""
NEVER_E = NEVER * np.log(10)


@dataclass(frozen=True)
class BackoffModel:
    """N-grams of orders 1 to n, their probabilities and the back-off weights of histories.

    ``trie`` holds the n-grams (see ``ngram.trie``); id 1 is ``</s>`` at the end of an n-gram and
    ``<s>`` anywhere before. ``log_p`` and ``log_b`` are natural logarithms (N,) by order, from 0
    (which has one n-gram, the empty one, and no probability) up; all words are listed.
    """

    trie: Trie
    log_p: list[np.ndarray]
    log_b: list[np.ndarray]

    @property
    def order(self) -> int:
        """The longest n-grams have so many words."""
        return self.trie.order

    @property
    def sizes(self) -> list[int]:
        """How many n-grams there are of each order from 1 up."""
        return [len(log_p_N) for log_p_N in self.log_p[1:]]

    def log_probs(self, ids_T: np.ndarray) -> np.ndarray:
        """Natural log-probabilities (T,) of sentences, each read on its own to its ``</s>``."""
        words_T = np.asarray(ids_T, np.int64)
        log_p_T = np.zeros(len(words_T))
        starts_T = sequence_starts(words_T, "sentence", None)
        for order, positions, contexts, nodes in self.trie.walk(words_T, starts_T):
            log_p_T[positions] += self.log_b[order - 1][contexts]
            found = nodes >= 0
            log_p_T[positions[found]] = self.log_p[order][nodes[found]]
        return log_p_T


def suffixes(trie: Trie) -> list[np.ndarray]:
    """Node of each n-gram without its first word, by order; -1 where it is not listed.

    Of order 1: the empty n-gram.
    """
    found = [np.zeros(1, np.int64), np.zeros(trie.vocab_size, np.int64)]
    for order in range(2, trie.order + 1):
        contexts, words = np.divmod(trie.tables[order].keys_N, trie.vocab_size)
        shorter = found[order - 1][contexts]
        nodes = trie.find(order - 1, np.maximum(shorter, 0), words)
        found.append(np.where(shorter >= 0, nodes, -1))
    return found


def from_counts(model: NgramModel) -> BackoffModel:
    """Write interpolated Kneser-Ney as a back-off model: the same probabilities.

    p(w | h) = own(hw) + b(h) p(w | h') is P(hw) where hw was seen; elsewhere own is 0. A model of
    another smoothing has order 1. N-grams across ``</s>`` (of a model counted under
    ``--context stream``) are left out: no sentence has them.
    """
    trie, size = model.trie, model.vocab_size
    shorter = suffixes(trie)
    log_p, log_b, p_N = [NOTHING], [np.zeros(1)], np.full(1, 1 / size)
    for order in range(1, model.order + 1):
        table = trie.tables[order]
        contexts = np.zeros(size, np.int64) if order == 1 else table.keys_N // size
        totals = trie.tables[order - 1].totals_N[contexts].astype(np.float64)
        if model.smoothing == "kn":
            freed = discount_of(table.adjusted_N, model.discounts[order - 1])
            own_N = np.divide(
                table.adjusted_N - freed, totals, out=np.zeros(len(contexts)), where=totals > 0
            )
            p_N = own_N + trie.tables[order - 1].backoffs_N[contexts] * p_N[shorter[order]]
        else:
            added = model.k if model.smoothing == "addk" else 0.0
            p_N = (table.counts_N + added) / (totals + added * size)
        log_p.append(logarithm(p_N))
        if order < model.order:
            log_b.append(logarithm(table.backoffs_N))
    return _within_sentences(BackoffModel(trie, log_p, [*log_b, NOTHING]))


def logarithm(p_N: np.ndarray) -> np.ndarray:
    """Natural logarithm; 10^-99 stands for 0."""
    return np.log(np.maximum(p_N, np.exp(NEVER_E)))


def _within_sentences(model: BackoffModel) -> BackoffModel:
    """Leave out n-grams that have ``</s>`` elsewhere than at their ends."""
    trie, size = model.trie, model.trie.vocab_size
    keep = [np.ones(1, bool), np.ones(size, bool)]
    last = [np.zeros(1, np.int64), np.arange(size)]
    for order in range(2, trie.order + 1):
        contexts, words = np.divmod(trie.tables[order].keys_N, size)
        crossed = (last[order - 1][contexts] == 1) if order > 2 else np.zeros(len(words), bool)
        keep.append(keep[order - 1][contexts] & ~crossed)
        last.append(words)
    return select(model, keep)


def select(model: BackoffModel, keep: list[np.ndarray]) -> BackoffModel:
    """Leave out n-grams (``keep``: bool (N,) by order), with all that begin with one of them."""
    trie, size = model.trie, model.trie.vocab_size
    tables, kept = [trie.tables[0], trie.tables[1]], [np.ones(1, bool), np.ones(size, bool)]
    for order in range(2, trie.order + 1):
        contexts, words = np.divmod(trie.tables[order].keys_N, size)
        stays = keep[order] & kept[order - 1][contexts]
        places = np.cumsum(kept[order - 1]) - 1
        keys = places[contexts[stays]] * size + words[stays]
        tables.append(Table(keys, NOTHING, NOTHING, NOTHING, NOTHING))
        kept.append(stays)
    log_p = [NOTHING, *(model.log_p[n][kept[n]] for n in range(1, trie.order + 1))]
    log_b = [*(model.log_b[n][kept[n]] for n in range(trie.order)), NOTHING]
    return BackoffModel(Trie(tables, size), log_p, log_b)


def count_model(
    ids_T: np.ndarray, *, order: int, vocab_size: int, min_count: int = 1
) -> BackoffModel:
    """Kneser-Ney counts of sentences; n-grams from order 2 up that occur ``min_count`` times.

    Left-out n-grams leave histories that do not sum to 1: ``normalised`` mends them.
    """
    counts = NgramModel.train(ids_T, order=order, vocab_size=vocab_size, max_tokens=2**32 - 1)
    keep = [np.ones(1, bool), np.ones(vocab_size, bool)]
    keep += [table.counts_N >= min_count for table in counts.trie.tables[2:]]
    return select(from_counts(counts), keep)


def normalised(trie: Trie, p: list[np.ndarray]) -> BackoffModel:
    """Give histories the back-off weights by which their probabilities sum to 1.

        b(h) = (1 - sum of P(hw) over listed w) / (1 - sum of p(w | h') over the same w)

    ``p`` is P(hw) (N,) by order. Words that are all listed after h are scaled to sum to 1.
    """
    size = trie.vocab_size
    shorter = suffixes(trie)
    log_p, log_b = [NOTHING, logarithm(p[1] / p[1].sum())], [np.zeros(1)]
    for order in range(2, trie.order + 1):
        contexts = trie.tables[order].keys_N // size
        histories = len(log_p[order - 1])
        lower_N = np.exp(lower_log_p(trie, shorter, log_p, log_b, order))
        listed = np.bincount(contexts, p[order], histories)
        left = 1 - listed
        listed_lower = np.bincount(contexts, lower_N, histories)
        left_lower = 1 - listed_lower
        # Rounding of float32 sums: nothing is left where less than this is.
        full = (left < 1e-7) | (left_lower < 1e-7)
        scale = np.where(full & (listed > 0), 1 / np.maximum(listed, 1e-300), 1.0)
        p_N = p[order] * scale[contexts]
        # Words that are all listed, and all of probability 0 to a float32: the shorter history's.
        lost = (full & (listed == 0))[contexts]
        p_N[lost] = (lower_N / np.maximum(listed_lower, 1e-300)[contexts])[lost]
        log_p.append(logarithm(p_N))
        empty = np.bincount(contexts, minlength=histories) == 0
        b = np.where(full, np.exp(NEVER_E), left / np.where(full, 1.0, left_lower))
        log_b.append(np.where(empty, 0.0, np.log(b)))
    return BackoffModel(trie, log_p, [*log_b, NOTHING])


def lower_log_p(
    trie: Trie,
    shorter: list[np.ndarray],
    log_p: list[np.ndarray],
    log_b: list[np.ndarray],
    order: int,
) -> np.ndarray:
    """log p(w | h') of each n-gram hw of an order (N,); lower orders have all their weights.

    Raises nothing: h' is listed, for with a history all its endings are.
    """
    contexts, words = np.divmod(trie.tables[order].keys_N, trie.vocab_size)
    chain = []  # nodes of the endings of h, the longest first
    for n in range(order - 1, 0, -1):
        contexts = shorter[n][contexts]
        chain.append((n - 1, contexts))
    log_N = np.zeros(len(words))
    for length, nodes in reversed(chain):
        log_N += log_b[length][nodes] if length else 0.0
        found = trie.find(length + 1, nodes, words)
        there = found >= 0
        log_N[there] = log_p[length + 1][found[there]]
    return log_N
