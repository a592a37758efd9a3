"""Token streams to tables of n-grams.

The n-grams of one order form a table sorted by key, and the key of an n-gram is
``(index of its first n-1 words in the table before) * V + (its last word)``: a trie without
pointers, in which every look-up of many n-grams at once is one binary search a word. The
words that follow a context lie side by side.

Order 1 is dense (the index is the word's id), so it has no keys.
Suffixes: T tokens, V words of the vocabulary, N n-grams of one order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nplm_cli.errors import ConfigError, InputError

BOUNDARY = 1
"""Id of ``</s>``, which ends each sentence and fills the context before the first word."""

ContextPolicy = Literal["sentence", "stream"]


@dataclass(frozen=True)
class Counts:
    """The n-grams of one order.

    ``keys_N`` ascend (order 1: empty). ``raw_N`` is how often the n-gram occurs.
    ``adjusted_N`` is in how many different words its occurrences are continued to the left; an
    occurrence with nothing to its left (the first context of a sentence or file) counts as one
    of its own. At the highest order ``adjusted_N`` is ``raw_N``.
    """

    keys_N: np.ndarray
    raw_N: np.ndarray
    adjusted_N: np.ndarray


def checked_ids(ids: np.ndarray, vocab_size: int) -> np.ndarray:
    """Return the ids as int64; raises InputError for what is no flat array of ids below V."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise InputError(
            f"token ids of shape {ids.shape} and type {ids.dtype}: expected a flat array of "
            "whole numbers"
        )
    if ids.size and (ids.min() < 0 or ids.max() >= vocab_size):
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise InputError(
            f"token id {wrong}: expected 0 to {vocab_size - 1}; "
            "was the text prepared with another vocabulary?"
        )
    return ids.astype(np.int64)


def sequence_starts(
    ids_T: np.ndarray, context: ContextPolicy, file_starts: Sequence[int] | np.ndarray | None
) -> np.ndarray:
    """Mark the tokens (bool, T) whose context is the boundary alone.

    ``sentence``: the first token of each sentence. ``stream``: the first token of each file,
    the offsets of which are ``file_starts`` (None: one file).
    """
    if context not in ("sentence", "stream"):
        raise ConfigError(f"context {context!r}: expected sentence or stream")
    starts_T = np.zeros(len(ids_T), dtype=bool)
    starts_T[:1] = True
    if file_starts is not None:
        offsets = np.asarray(file_starts, dtype=np.int64)
        if offsets.size and offsets.min() < 0:
            raise InputError(f"start of a file at token {offsets.min()}: expected 0 or more")
        starts_T[offsets[offsets < len(ids_T)]] = True
    if context == "sentence":
        starts_T[1:] |= ids_T[:-1] == BOUNDARY
    return starts_T


def window_lengths(starts_T: np.ndarray) -> np.ndarray:
    """Length of the longest n-gram that ends at each token, the boundary before it included."""
    positions_T = np.arange(len(starts_T))
    last_start_T = np.maximum.accumulate(np.where(starts_T, positions_T, 0))
    return positions_T - last_start_T + 2


def count_ngrams(
    ids_T: np.ndarray, starts_T: np.ndarray, *, order: int, vocab_size: int
) -> list[Counts]:
    """Count the n-grams of orders 1 to ``order`` of a stream of int64 ids.

    The boundary before a sequence is context only: it is never counted as predicted.
    """
    window_T = window_lengths(starts_T)
    keys_N = np.zeros(0, dtype=np.int64)
    raw_N = np.bincount(ids_T, minlength=vocab_size)
    node_T = ids_T  # index of the n-gram that ends at each token, in the table of its order
    tables = []
    for n in range(2, order + 1):
        context_T = context_nodes(node_T, starts_T, n)
        positions = np.flatnonzero(window_T >= n)
        key = context_T[positions] * vocab_size + ids_T[positions]
        by_key = np.argsort(key)
        key = key[by_key]
        is_new = np.ones(len(key), dtype=bool)
        np.not_equal(key[1:], key[:-1], out=is_new[1:])
        first = np.flatnonzero(is_new)
        longer_T = np.full(len(ids_T), -1, dtype=np.int64)
        longer_T[positions[by_key]] = np.cumsum(is_new) - 1

        # Each n-gram type adds one to the (n-1)-gram that it ends with.
        suffix = node_T[positions[by_key[first]]]
        adjusted_N = np.bincount(suffix, minlength=len(raw_N))
        adjusted_N += np.bincount(node_T[window_T == n - 1], minlength=len(raw_N))
        tables.append(Counts(keys_N, raw_N, adjusted_N))

        keys_N, raw_N, node_T = key[first], np.diff(first, append=len(key)), longer_T
    tables.append(Counts(keys_N, raw_N, raw_N))
    return tables


def context_nodes(node_T: np.ndarray, starts_T: np.ndarray, order: int) -> np.ndarray:
    """Index of the ``order - 1`` words before each token, given that of those ending at each.

    -1 where the context does not reach so far back (or was not found to begin with). At a start
    it is the empty n-gram for order 1 and the boundary for order 2.
    """
    context_T = np.empty_like(node_T)
    context_T[1:] = node_T[:-1]
    context_T[starts_T] = {1: 0, 2: BOUNDARY}.get(order, -1)
    return context_T
