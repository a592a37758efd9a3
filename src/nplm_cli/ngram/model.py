"""Count models of order n: Kneser-Ney, relative frequencies, add-k."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from nplm_cli.artifacts import TensorFile
from nplm_cli.errors import ArtifactError, ConfigError, InputError
from nplm_cli.ngram import storage
from nplm_cli.ngram.counting import (
    BOUNDARY,
    ContextPolicy,
    checked_ids,
    count_ngrams,
    sequence_starts,
    window_lengths,
)
from nplm_cli.ngram.description import Description, Smoothing, from_metadata
from nplm_cli.ngram.kneser_ney import discount_of
from nplm_cli.ngram.trie import Trie, build

FileStarts = Sequence[int] | np.ndarray | None

SMALLEST = np.finfo(np.float64).tiny
"""Stands for a Kneser-Ney probability that is none in float64 (hundreds of backoff weights)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NgramModel(Description):
    """An n-gram model of order n: a prediction sees n-1 words.

    ``smoothing`` is "kn" (interpolated modified Kneser-Ney, see ``kneser_ney``), "mle"
    (p = c(hw) / c(h), and 0 for everything after a context never seen) or "addk"
    (p = (c(hw) + k) / (c(h) + k V)); c(h) counts the occurrences of h that a word follows.
    The context h is the last n-1 words, fewer at the start of a sentence (of a file, with
    ``context`` "stream"), where it begins with the boundary. The event space is all V words of
    the vocabulary, ``<unk>`` and ``</s>`` included. Probabilities are float64.
    """

    trie: Trie = field(repr=False)
    discounts: np.ndarray = field(repr=False)

    @classmethod
    def train(
        cls,
        ids: np.ndarray,
        *,
        order: int,
        vocab_size: int,
        context: ContextPolicy = "sentence",
        file_starts: FileStarts = None,
        smoothing: Smoothing = "kn",
        k: float = 1.0,
        max_tokens: int = 20_000_000,
        on_event: Callable[[str], None] | None = None,
    ) -> Self:
        """Count a stream of sentences, each ended by ``</s>`` (id 1).

        At most ``max_tokens`` first tokens are used, cut at a sentence end. ``on_event``
        receives each of ``notes``. Raises InputError for an empty stream or an id outside the
        vocabulary, ConfigError for an impossible setting.
        """
        if len(ids) == 0:
            raise InputError("no tokens to count: expected at least one sentence")
        if not 1 <= max_tokens < 2**32:
            raise ConfigError(f"max_tokens {max_tokens}: expected 1 to {2**32 - 1}")
        description = Description(
            order=order, vocab_size=vocab_size, smoothing=smoothing, k=float(k), context=context
        )
        words_T = checked_ids(ids[: _sentence_end(ids, max_tokens)], vocab_size)
        starts_T = sequence_starts(words_T, context, file_starts)
        trie, discounts, notes = build(
            count_ngrams(words_T, starts_T, order=order, vocab_size=vocab_size),
            tokens=len(words_T),
            vocab_size=vocab_size,
            is_kneser_ney=smoothing == "kn",
        )
        if len(words_T) < len(ids):
            notes.insert(0, f"n-gram counts: the first {len(words_T)} of {len(ids)} tokens")
        if on_event is not None:
            for note in notes:
                on_event(note)
        description.notes.extend(notes)
        return cls(**vars(description), trie=trie, discounts=discounts)

    def log_probs(
        self,
        ids: np.ndarray,
        *,
        context: ContextPolicy | None = None,
        file_starts: FileStarts = None,
    ) -> np.ndarray:
        """Natural log-probability (float64, T) of every token of a stream, ``</s>`` included.

        The layout is that of training; ``context`` overrides the model's policy. -inf occurs
        only with "mle". Raises InputError for an id outside the vocabulary.
        """
        words_T = checked_ids(ids, self.vocab_size)
        starts_T = sequence_starts(words_T, context or self.context, file_starts)
        tables = self.trie.tables
        if self.smoothing == "kn":
            p_T = np.full(len(words_T), 1 / self.vocab_size)
            for order, positions, contexts, nodes in self.trie.walk(words_T, starts_T):
                adjusted = _at(tables[order].adjusted_N, nodes)
                p_T[positions] = self._interpolated(order, contexts, adjusted, p_T[positions])
            return _log(np.maximum(p_T, SMALLEST))
        counts_T = np.zeros(len(words_T))
        totals_T = np.zeros(len(words_T))
        window_T = window_lengths(starts_T)
        for order, positions, contexts, nodes in self.trie.walk(words_T, starts_T):
            # The longest context decides alone, even if it was never seen.
            counts_T[window_T >= order] = totals_T[window_T >= order] = 0
            counts_T[positions] = _at(tables[order].counts_N, nodes)
            totals_T[positions] = tables[order - 1].totals_N[contexts]
        return _log(self._relative_frequencies(counts_T, totals_T))

    def next_log_probs(self, history: Sequence[int]) -> np.ndarray:
        """Natural log p(w | history) of all words (float64, V).

        ``history`` is what was seen so far; a sentence begins with the boundary: ``[1, ...]``.
        A shorter history that begins with another word is a shorter context, ``[]`` none at
        all. Raises InputError for an id outside the vocabulary.
        """
        window = self.window(history)
        if self.smoothing == "kn":
            p_V = np.full(self.vocab_size, 1 / self.vocab_size)
            for length in range(len(window) + 1):
                node = self.trie.node(window[len(window) - length :])
                if node is None:
                    break
                words, nodes = self.trie.children(length, node)
                adjusted_V = np.zeros(self.vocab_size, dtype=np.uint32)
                adjusted_V[words] = self.trie.tables[length + 1].adjusted_N[nodes]
                p_V = self._interpolated(length + 1, np.array([node]), adjusted_V, p_V)
            return _log(np.maximum(p_V, SMALLEST))
        counts_V = np.zeros(self.vocab_size)
        total = np.zeros(1)
        node = self.trie.node(window)
        if node is not None:
            words, nodes = self.trie.children(len(window), node)
            counts_V[words] = self.trie.tables[len(window) + 1].counts_N[nodes]
            total[:] = self.trie.tables[len(window)].totals_N[node]
        return _log(self._relative_frequencies(counts_V, total))

    def count(self, ngram: Sequence[int]) -> int:
        """How often an n-gram of at most ``order`` words occurs; ``[]``: the predicted tokens.

        ``[1, w]`` counts the sentences (stream: and the files) that begin with w.
        """
        if len(ngram) > self.order:
            raise ConfigError(f"count of {len(ngram)} words: the model is of order {self.order}")
        node = self.trie.node(self._checked(ngram))
        return 0 if node is None else int(self.trie.tables[len(ngram)].counts_N[node])

    def continuations(self, history: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Words seen after the last n-1 words of ``history``: ids and counts, most frequent first.

        int64, ties by id; empty when nothing was seen.
        """
        window = self.window(history)
        node = self.trie.node(window)
        if node is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        words, nodes = self.trie.children(len(window), node)
        counts = self.trie.tables[len(window) + 1].counts_N[nodes].astype(np.int64)
        words, counts = words[counts > 0], counts[counts > 0]
        by_count = np.lexsort((words, -counts))
        return words[by_count], counts[by_count]

    def tensors(self) -> dict[str, np.ndarray]:
        """The model's arrays, for ``artifacts.write_tensors`` together with ``metadata()``."""
        return storage.to_tensors(self.trie, self.discounts)

    @classmethod
    def from_tensors(
        cls, mapping: TensorFile | Mapping[str, np.ndarray], metadata: Mapping[str, str]
    ) -> Self:
        """Build a model on stored arrays, which may be memory-mapped and are not copied.

        Raises ArtifactError for anything that ``tensors`` and ``metadata`` do not write.
        """
        fields = from_metadata(metadata)
        trie, discounts = storage.from_tensors(
            mapping,
            order=fields["order"],
            vocab_size=fields["vocab_size"],
            is_kneser_ney=fields["smoothing"] == "kn",
        )
        return cls(**fields, trie=trie, discounts=discounts)

    def _interpolated(
        self, order: int, contexts: np.ndarray, adjusted: np.ndarray, shorter_p: np.ndarray
    ) -> np.ndarray:
        """Equation of ``kneser_ney``: p after known contexts, given p one order below."""
        table = self.trie.tables[order - 1]
        totals = table.totals_N[contexts]
        discounted = adjusted - discount_of(adjusted, self.discounts[order - 1])
        own_p = np.divide(discounted, totals, out=np.zeros(len(adjusted)), where=totals > 0)
        return own_p + table.backoffs_N[contexts] * shorter_p

    def _relative_frequencies(self, counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
        added = self.k if self.smoothing == "addk" else 0.0
        totals = totals + added * self.vocab_size
        return np.divide(counts + added, totals, out=np.zeros(len(counts)), where=totals > 0)

    def _checked(self, ids: Sequence[int]) -> list[int]:
        for word in ids:
            if not 0 <= word < self.vocab_size:
                raise InputError(f"token id {word}: expected 0 to {self.vocab_size - 1}")
        return [int(word) for word in ids]

    def window(self, history: Sequence[int]) -> list[int]:
        """Return what of a history the model sees."""
        ids = self._checked(history)
        if self.context == "sentence" and BOUNDARY in ids:
            ids = ids[len(ids) - 1 - ids[::-1].index(BOUNDARY) :]
        return ids[max(0, len(ids) - self.order + 1) :]


def _sentence_end(ids: np.ndarray, max_tokens: int) -> int:
    """Number of tokens to use: all, or the whole sentences within the first ``max_tokens``."""
    if len(ids) <= max_tokens:
        return len(ids)
    ends = np.flatnonzero(ids[:max_tokens] == BOUNDARY)
    return int(ends[-1]) + 1 if len(ends) else max_tokens


def _at(values_N: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Return the value of each node, 0 where it is -1."""
    found = nodes >= 0
    values = np.zeros(len(nodes), dtype=values_N.dtype)
    values[found] = values_N[nodes[found]]
    return values


def _log(p: np.ndarray) -> np.ndarray:
    """Natural logarithm, -inf of 0. Raises ArtifactError unless these are probabilities."""
    if not ((p >= 0) & (p <= 1 + 1e-9)).all():
        raise ArtifactError("n-gram model: its counts contradict each other: corrupt")
    with np.errstate(divide="ignore"):
        return np.log(p)
