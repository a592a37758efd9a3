"""NgramModel against the formulas written down with dictionaries."""

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.ngram import NgramModel

V = 7


class Reference:
    """The definitions, one word at a time, on sequences that begin with the boundary."""

    def __init__(self, sequences, order, smoothing, k):
        self.order, self.smoothing, self.k = order, smoothing, k
        self.counts = Counter()
        self.lefts = defaultdict(set)
        self.initial = Counter()
        for sequence in sequences:
            for end in range(2, len(sequence) + 1):
                self.counts[()] += 1
                for n in range(1, min(order, end) + 1):
                    ngram = tuple(sequence[end - n : end])
                    self.counts[ngram] += 1
                    if end == n:
                        self.initial[ngram] += 1
                    else:
                        self.lefts[ngram].add(sequence[end - n - 1])
        self.discounts = {n: self.discounts_of(n) for n in range(1, order + 1)}

    def adjusted(self, ngram):
        if len(ngram) == self.order or self.smoothing != "kn":
            return self.counts[ngram]
        return len(self.lefts[ngram]) + self.initial[ngram]

    def discounts_of(self, n):
        of = Counter(self.adjusted(ngram) for ngram in list(self.counts) if len(ngram) == n)
        if of[1] and of[2] and of[3]:
            y = of[1] / (of[1] + 2 * of[2])
            found = [0.0] + [c - (c + 1) * y * of[c + 1] / of[c] for c in (1, 2, 3)]
            if all(0 < found[c] <= c for c in (1, 2, 3)):
                return found
        return [0, 0.5, 1, 1.5]

    def p(self, word, context):
        """P(word | context), the context a tuple of at most order - 1 words."""
        following = [self.adjusted((*context, w)) for w in range(V)]
        total, own = sum(following), following[word]
        if self.smoothing == "mle":
            return own / total if total else 0.0
        if self.smoothing == "addk":
            return (own + self.k) / (total + self.k * V)
        lower = self.p(word, context[1:]) if context else 1 / V
        if not total:
            return lower
        discount = self.discounts[len(context) + 1]
        freed = sum(discount[min(a, 3)] for a in following)
        return (own - discount[min(own, 3)]) / total + freed / total * lower


def sequences_of(ids, context, file_starts):
    starts = set(file_starts)
    sequences = []
    for position, word in enumerate(ids):
        after_end = context == "sentence" and position and ids[position - 1] == 1
        if position in starts or after_end:
            sequences.append([1])
        sequences[-1].append(int(word))
    return sequences


words = st.one_of(st.integers(0, V - 2), st.sampled_from([2, 3]))  # word V-1 is never seen
files = st.lists(
    st.lists(st.lists(words.filter(lambda w: w != 1), max_size=7), min_size=1, max_size=8),
    min_size=1,
    max_size=3,
)


def stream_of(texts):
    parts = [np.array([w for s in text for w in (*s, 1)]) for text in texts]
    offsets = np.cumsum([0] + [len(part) for part in parts])
    return np.concatenate(parts), offsets[:-1]


@given(
    files,
    files,
    st.integers(1, 4),
    st.sampled_from(["sentence", "stream"]),
    st.sampled_from(["kn", "mle", "addk"]),
    st.sampled_from([1.0, 0.25]),
)
@settings(max_examples=150, deadline=None)
def test_equals_the_formulas(train, test, order, context, smoothing, k):
    ids, starts = stream_of(train)
    model = NgramModel.train(
        ids,
        order=order,
        vocab_size=V,
        context=context,
        file_starts=starts,
        smoothing=smoothing,
        k=k,
    )
    reference = Reference(sequences_of(ids, context, starts), order, smoothing, k)

    ids, starts = stream_of(test)
    expected = []
    stepwise = []
    for sequence in sequences_of(ids, context, starts):
        for end in range(1, len(sequence)):
            window = sequence[max(0, end - order + 1) : end]
            expected.append(reference.p(sequence[end], tuple(window)))
            stepwise.append(model.next_log_probs(sequence[:end])[sequence[end]])
    log_p = model.log_probs(ids, file_starts=starts)
    np.testing.assert_allclose(np.exp(log_p), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(log_p, stepwise, rtol=1e-12)
    if smoothing != "mle":
        assert np.isfinite(log_p).all()


@given(files, st.integers(1, 4), st.sampled_from(["sentence", "stream"]))
@settings(max_examples=60, deadline=None)
def test_counts_and_continuations(texts, order, context):
    ids, starts = stream_of(texts)
    model = NgramModel.train(ids, order=order, vocab_size=V, context=context, file_starts=starts)
    reference = Reference(sequences_of(ids, context, starts), order, "mle", 1)
    for ngram, count in reference.counts.items():
        assert model.count(ngram) == count
    assert model.count([V - 1]) == 0
    for history in {ngram[:-1] for ngram in reference.counts if ngram} | {(2, 2), (V - 1,)}:
        if len(history) < order:
            seen = [(-c, w) for w in range(V) if (c := reference.counts[(*history, w)])]
            found, counts = model.continuations(history)
            assert [(-c, w) for w, c in zip(found, counts, strict=True)] == sorted(seen)


histories = st.lists(st.integers(0, V - 1), max_size=5)


@given(files, histories, st.integers(1, 4), st.sampled_from(["kn", "addk"]))
@settings(max_examples=100, deadline=None)
def test_sums_to_one_after_any_history(texts, history, order, smoothing):
    ids, starts = stream_of(texts)
    for context in ("sentence", "stream"):
        model = NgramModel.train(
            ids,
            order=order,
            vocab_size=V,
            context=context,
            file_starts=starts,
            smoothing=smoothing,
            k=0.1,
        )
        p = np.exp(model.next_log_probs(history))
        assert abs(p.sum() - 1) < 1e-9
        assert (p > 0).all()


def test_estimated_discounts_equal_the_formulas(corpus):
    """The random corpora above are small; here no order takes the fallback but the first."""
    starts = [0]
    for context in ("sentence", "stream"):
        model = NgramModel.train(corpus, order=4, vocab_size=45, context=context)
        reference = Reference(sequences_of(corpus, context, starts), 4, "kn", 1)
        for n in range(1, 5):
            np.testing.assert_allclose(model.discounts[n - 1], reference.discounts[n], rtol=1e-12)
        assert [note.split(":")[0] for note in model.notes] == ["Kneser-Ney order 1"]


@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_mle_sums_to_one_after_seen_histories(corpus, context):
    model = NgramModel.train(corpus, order=3, vocab_size=45, context=context, smoothing="mle")
    for history in list(pairwise(corpus[:50].tolist())):
        if context == "stream" or history[1] != 1:
            expected = 1.0 if model.continuations(history)[0].size else 0.0
            assert abs(np.exp(model.next_log_probs(history)).sum() - expected) < 1e-9
