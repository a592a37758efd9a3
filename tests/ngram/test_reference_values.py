"""Perplexities on real corpora (docs/conventions: reference values)."""

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nplm_cli.artifacts import write_tensors
from nplm_cli.ngram import NgramModel, unigram_log_probs

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def real_corpora():
    default = Path(__file__).parents[3] / "shared" / "corpora"
    folder = Path(os.environ.get("NPLM_REAL_CORPORA", default))
    if not folder.is_dir():
        pytest.skip("no real corpora: set NPLM_REAL_CORPORA")
    return folder


def sentences(path):
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line.split() for line in lines if line.strip()]


def encoded(train, valid, size=None):
    """Ids of both parts and V; words by count, then code point; <unk> 0, </s> 1."""
    counts = Counter(word for sentence in train for word in sentence)
    counts.pop("<unk>", None)
    words = sorted(counts, key=lambda w: (-counts[w], w))[:size]
    ids = {word: i for i, word in enumerate(words, start=2)}
    streams = [
        np.array([i for s in part for i in (*(ids.get(w, 0) for w in s), 1)], dtype=np.uint16)
        for part in (train, valid)
    ]
    return *streams, len(words) + 2


@pytest.fixture(scope="module")
def ptb(real_corpora):
    folder = real_corpora / "ptb"
    train, valid, vocab_size = encoded(
        sentences(folder / "ptb.train.txt"), sentences(folder / "ptb.valid.txt")
    )
    assert (len(train), len(valid), vocab_size) == (929_589, 73_760, 10_000)
    return train, valid


def perplexity(log_p):
    return np.exp(-log_p.mean())


@pytest.mark.parametrize(
    ("order", "context", "expected"),
    [
        (2, "sentence", 199.02),
        (3, "sentence", 157.77),
        (5, "sentence", 148.01),
        (5, "stream", 147.74),
    ],
)
def test_penn_treebank(ptb, order, context, expected):
    train, valid = ptb
    model = NgramModel.train(train, order=order, vocab_size=10_000, context=context)
    assert perplexity(model.log_probs(valid)) == pytest.approx(expected, abs=0.05)
    assert model.notes == []


def test_penn_treebank_unigram(ptb):
    train, valid = ptb
    log_p, note = unigram_log_probs(np.bincount(train, minlength=10_000))
    assert perplexity(log_p[valid]) == pytest.approx(687.03, abs=0.005)
    assert note is None


def test_penn_treebank_speed_and_size(ptb, tmp_path):
    """Generous bounds against an accidental loop over words, not a benchmark."""
    train, valid = ptb
    begin = time.process_time()
    NgramModel.train(train, order=5, vocab_size=10_000).log_probs(valid)
    assert time.process_time() - begin < 8
    model = NgramModel.train(train, order=3, vocab_size=10_000)
    write_tensors(tmp_path / "baseline.safetensors", model.tensors(), model.metadata())
    assert (tmp_path / "baseline.safetensors").stat().st_size < 16_000_000


def test_penn_treebank_distributions_sum_to_one(ptb):
    train, valid = ptb
    model = NgramModel.train(train, order=5, vocab_size=10_000)
    log_p = model.log_probs(valid)
    for end in range(0, len(valid), 1500):
        start = int(np.flatnonzero(np.append(1, valid[:end]) == 1)[-1])
        next_log_p = model.next_log_probs([1, *valid[start:end]])
        assert abs(np.exp(next_log_p).sum() - 1) < 1e-9
        assert next_log_p[valid[end]] == pytest.approx(log_p[end], rel=1e-12)


@pytest.mark.parametrize(
    ("size", "unknown", "unigram", "kneser_ney"),
    [(1_000, 29_913, 78.33, 33.15), (10_000, None, None, 186.85)],
)
def test_peoples_daily(real_corpora, size, unknown, unigram, kneser_ney):
    folder = real_corpora / "pku199801"
    train, valid, vocab_size = encoded(
        sentences(folder / "words.train.txt"), sentences(folder / "words.valid.txt"), size
    )
    assert len(valid) == 90_554
    model = NgramModel.train(train, order=3, vocab_size=vocab_size)
    assert perplexity(model.log_probs(valid)) == pytest.approx(kneser_ney, abs=0.005)
    if size == 1_000:
        assert np.count_nonzero(valid == 0) == unknown
        log_p, _ = unigram_log_probs(np.bincount(train, minlength=vocab_size))
        assert perplexity(log_p[valid]) == pytest.approx(unigram, abs=0.005)
        assert [note[:19] for note in model.notes] == ["Kneser-Ney order 1:"]
        assert model.discounts[0].tolist() == [0, 0.5, 1, 1.5]
