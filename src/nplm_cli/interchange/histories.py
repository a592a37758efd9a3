"""The places of a text in the order of their histories, read backwards from each place.

In that order all places whose last k words are the same stand side by side, for every k at once:
averages over the occurrences of each history can be taken in one go, without a table of them.

Shape suffixes: T tokens, R rows (places, or classes of places with the same history).
"""

from dataclasses import dataclass

import numpy as np

from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.ngram.counting import context_nodes, sequence_starts
from nplm_cli.ngram.trie import Trie

NO_WORD = -1


@dataclass(frozen=True)
class Histories:
    """Histories of up to n - 1 words within sentences, which begin with ``</s>``.

    places_R   a place (index of the predicted token) for each row
    weights_R  for how many places the row stands
    new        by length k from 0 to n - 1: bool (R,), whether the last k words are others than
               those of the row before
    nodes      by length k: node of the last k words (R,) in the trie of order k; -1: not listed
    """

    places_R: np.ndarray
    weights_R: np.ndarray
    new: list[np.ndarray]
    nodes: list[np.ndarray]

    @property
    def longest(self) -> int:
        """The longest histories have so many words."""
        return len(self.new) - 1


def sort_histories(ids_T: np.ndarray, trie: Trie, *, seen: int | None) -> Histories:
    """Sort the places of sentences; ``seen``: how many words a prediction sees (None: all).

    Where it sees no more than the longest histories, a row stands for all places of its history.
    """
    words_T = np.asarray(ids_T, np.int64)
    starts_T = sequence_starts(words_T, "sentence", None)
    places_T = np.arange(len(words_T))
    first_T = np.maximum.accumulate(np.where(starts_T, places_T, 0))
    columns = []
    for back in range(1, trie.order):
        at_T = places_T - back
        column_T = np.where(at_T >= first_T, words_T[np.maximum(at_T, 0)], NO_WORD)
        column_T[at_T == first_T - 1] = EOS_ID
        columns.append(column_T.astype(np.int32))
    order_T = np.lexsort(columns[::-1]) if columns else places_T
    new = [places_T == 0]
    for column_T in columns:
        sorted_T = column_T[order_T]
        new_T = new[-1].copy()
        new_T[1:] |= sorted_T[1:] != sorted_T[:-1]
        new.append(new_T)
    rows = places_T
    if seen is not None and seen < trie.order:
        rows = np.flatnonzero(new[-1])
    places_R = order_T[rows]
    return Histories(
        places_R,
        np.diff(rows, append=len(words_T)).astype(np.float64),
        [new_T[rows] for new_T in new],
        [node_T[places_R] for node_T in _nodes(trie, words_T, starts_T)],
    )


def _nodes(trie: Trie, words_T: np.ndarray, starts_T: np.ndarray) -> list[np.ndarray]:
    """Node of the history of each length at each place."""
    found, node_T = [], np.zeros(len(words_T), np.int64)
    for order in range(1, trie.order + 1):
        found.append(context_nodes(node_T, starts_T, order))
        known = np.flatnonzero(found[-1] >= 0)
        node_T = np.full(len(words_T), NO_WORD, np.int64)
        node_T[known] = trie.find(order, found[-1][known], words_T[known])
    return found
