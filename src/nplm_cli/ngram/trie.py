"""The tables of a model, order by order, and how n-grams are found in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nplm_cli.ngram import kneser_ney
from nplm_cli.ngram.counting import Counts, context_nodes


@dataclass(frozen=True)
class Table:
    """The n-grams of one order (order 0: one, the empty n-gram). An index into it is a node.

    keys_N      int64, ascending; see ``counting`` (orders 0 and 1 have none: empty)
    counts_N    uint32, how often the n-gram occurs
    adjusted_N  uint32, the counts that probabilities are made of: Kneser-Ney's, or counts_N
    totals_N    uint32, sum of the adjusted counts of what follows (highest order: empty)
    backoffs_N  float64, Kneser-Ney's b(h) (highest order and other smoothings: empty)
    """

    keys_N: np.ndarray
    counts_N: np.ndarray
    adjusted_N: np.ndarray
    totals_N: np.ndarray
    backoffs_N: np.ndarray


@dataclass(frozen=True)
class Trie:
    """Tables of orders 0 to n over a vocabulary of V words."""

    tables: list[Table]
    vocab_size: int

    @property
    def order(self) -> int:
        """The highest order n."""
        return len(self.tables) - 1

    def find(self, order: int, contexts: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Node of each n-gram, given the node of its first n-1 words and its last; -1: unseen."""
        if order == 1:
            return words
        keys_N = self.tables[order].keys_N
        if not len(keys_N):
            return np.full(len(words), -1, dtype=np.int64)
        wanted = contexts * self.vocab_size + words
        nodes = np.minimum(np.searchsorted(keys_N, wanted), len(keys_N) - 1)
        nodes[keys_N[nodes] != wanted] = -1
        return nodes

    def node(self, ngram: Sequence[int]) -> int | None:
        """Node of one n-gram, None if unseen."""
        node = np.zeros(1, dtype=np.int64)
        for order, word in enumerate(ngram, start=1):
            node = self.find(order, node, np.array([word], dtype=np.int64))
            if node[0] < 0:
                return None
        return int(node[0])

    def children(self, order: int, node: int) -> tuple[np.ndarray, slice]:
        """Words that follow an n-gram, ascending, and the slice of their nodes one order up."""
        if order == 0:
            return np.arange(self.vocab_size, dtype=np.int64), slice(0, self.vocab_size)
        keys_N = self.tables[order + 1].keys_N
        first_key = node * self.vocab_size
        ends = np.array([first_key, first_key + self.vocab_size], dtype=np.int64)
        start, end = np.searchsorted(keys_N, ends)
        return keys_N[start:end] - first_key, slice(int(start), int(end))

    def walk(
        self, words_T: np.ndarray, starts_T: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Go through a stream, once for each order n from 1 up.

        Yields n, the positions whose last n-1 words are a known context, the nodes of these
        contexts, and the nodes of the n-grams that end there (-1: unseen).
        """
        node_T = np.zeros(len(words_T), dtype=np.int64)
        for order in range(1, self.order + 1):
            context_T = context_nodes(node_T, starts_T, order)
            positions = np.flatnonzero(context_T >= 0)
            contexts = context_T[positions]
            nodes = self.find(order, contexts, words_T[positions])
            yield order, positions, contexts, nodes
            node_T = np.full(len(words_T), -1, dtype=np.int64)
            node_T[positions] = nodes


def build(
    counted: list[Counts], *, tokens: int, vocab_size: int, is_kneser_ney: bool
) -> tuple[Trie, np.ndarray, list[str]]:
    """Make the tables of a model from counts of orders 1 to n of ``tokens`` tokens.

    Returns the trie, the discounts (n, 4) of counts 0, 1, 2, 3 and more (zeros without
    Kneser-Ney), and a note for each order whose discounts are the fallback.
    """
    discounts = np.zeros((len(counted), 4))
    notes = []
    tables = []
    nothing = np.zeros(0)
    root = np.array([tokens])
    table = Counts(np.zeros(0, dtype=np.int64), root, root)
    for order, longer in enumerate(counted, start=1):
        if not is_kneser_ney:
            longer = Counts(longer.keys_N, longer.raw_N, longer.raw_N)
        context_N = longer.keys_N // vocab_size if order > 1 else np.zeros(vocab_size, np.int64)
        totals = _sums(context_N, longer.adjusted_N, len(table.raw_N))
        backoffs = nothing
        if is_kneser_ney:
            discounts[order - 1], note = kneser_ney.discounts(longer.adjusted_N, order)
            notes += [note] if note else []
            freed_N = kneser_ney.discount_of(longer.adjusted_N, discounts[order - 1])
            freed = _sums(context_N, freed_N, len(totals))
            # A context that no word follows leaves everything to the shorter one.
            backoffs = np.divide(freed, totals, out=np.ones(len(totals)), where=totals > 0)
        tables.append(_table(table, totals, backoffs))
        table = longer
    tables.append(_table(table, nothing, nothing))
    return Trie(tables, vocab_size), discounts, notes


def _sums(group_N: np.ndarray, values_N: np.ndarray, groups: int) -> np.ndarray:
    # Sums of counts stay exact in float64 (far below 2^53).
    return np.bincount(group_N, values_N, minlength=groups)


def _table(counts: Counts, totals: np.ndarray, backoffs: np.ndarray) -> Table:
    raw_N = counts.raw_N.astype(np.uint32)
    is_raw = counts.adjusted_N is counts.raw_N
    adjusted_N = raw_N if is_raw else counts.adjusted_N.astype(np.uint32)
    return Table(counts.keys_N, raw_N, adjusted_N, totals.astype(np.uint32), backoffs)
