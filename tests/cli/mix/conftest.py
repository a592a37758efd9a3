"""Runs of one vocabulary, a text that none was trained on, and a mixture of them."""

import numpy as np
import pytest

SAME = ("--max-size", 30)
# Enough to know more than counts do of the words that may follow each other.
TRAINED = ("--steps", 300, "--lr", 0.02)


@pytest.fixture(scope="session")
def kn(texts, tmp_path_factory, train):
    folder = tmp_path_factory.mktemp("kn") / "run"
    train(texts / "seg.txt", folder, "--arch", "ngram", "--order", 3, *SAME).ok()
    return folder


@pytest.fixture(scope="session")
def train_ffn(texts, train):
    """Train a window model of these words; options given win."""
    return lambda folder, *options: train(texts / "seg.txt", folder, *SAME, *TRAINED, *options).ok()


@pytest.fixture(scope="session")
def ffn(tmp_path_factory, train_ffn):
    folder = tmp_path_factory.mktemp("window") / "run"
    train_ffn(folder)
    return folder


@pytest.fixture(scope="session")
def lstm(texts, tmp_path_factory, train, ffn):
    folder = tmp_path_factory.mktemp("lstm") / "run"
    # Another policy splits the text otherwise: other words, unless they are told.
    options = ("--context", "stream", "--vocab", ffn / "vocabulary.tsv")
    train(texts / "seg.txt", folder, "--arch", "lstm", *options, *TRAINED).ok()
    return folder


@pytest.fixture(scope="session")
def tune(tmp_path_factory, texts):
    """The words of other lines put together anew, so that counts alone do not know them."""
    lines = [line.split() for line in (texts / "seg.txt").read_text("utf-8").splitlines()]
    random = np.random.default_rng(2)
    columns = [[line[k] for line in lines] for k in range(4)]
    rows = [[str(random.choice(column)) for column in columns] for _ in range(50)]
    path = tmp_path_factory.mktemp("tune") / "tune.txt"
    path.write_text("".join(" ".join([*row, "。"]) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="session")
def mixed(nplm, ffn, kn, lstm, tune, tmp_path_factory):
    """A window model, counts and an LSTM with a neural cache. Read only."""
    folder = tmp_path_factory.mktemp("mixed") / "mix"
    caches = ("--cache", "neural", "--cache-size", 20)
    return folder, nplm("mix", kn, ffn, lstm, "--tune", tune, *caches, "-o", folder, "--json").ok()
