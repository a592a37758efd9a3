"""A network as a back-off n-gram model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from nplm_cli.ngram.counting import context_nodes, sequence_starts
from nplm_cli.ngram.trie import Trie

BLOCK_NUMBERS = 4_000_000


def history_nodes(trie: Trie, ids_T: np.ndarray) -> list[np.ndarray]:
    words_T = np.asarray(ids_T, np.int64)
    starts_T = sequence_starts(words_T, "sentence", None)
    found = []
    node_T = np.zeros(len(words_T), np.int64)
    for order in range(1, trie.order + 1):
        context_T = context_nodes(node_T, starts_T, order)
        found.append(context_T)
        positions = np.flatnonzero(context_T >= 0)
        node_T = np.full(len(words_T), -1, dtype=np.int64)
        node_T[positions] = trie.find(order, context_T[positions], words_T[positions])
    return found


def group_starts(ids_T, order):
    """by reversed history"""
    words_T = np.asarray(ids_T, np.int64)
    starts_T = sequence_starts(words_T, "sentence", None)
    T = len(words_T)
    seqstart = np.maximum.accumulate(np.where(starts_T, np.arange(T), 0))
    cols = []
    for back in range(1, order):
        at = np.arange(T) - back
        col = np.where(at >= seqstart, words_T[np.maximum(at, 0)], np.where(at == seqstart - 1, 1, -1))
        cols.append(col)
    by = np.lexsort(cols[::-1])
    new = [np.zeros(T, bool)]
    new[0][0] = True
    for col in cols:
        c = col[by]
        n = new[-1].copy()
        n[1:] |= c[1:] != c[:-1]
        new.append(n)
    return by, new
