"""Independent readers of the formats, written from their definitions, and small models."""

import gzip
import math

import numpy as np
import pytest

from nplm_cli.config import ModelConfig
from nplm_cli.corpus.shards import Part
from nplm_cli.query import FORWARD
from nplm_cli.query.scorer import NeuralScorer

V = 11


class Arpa:
    """An ARPA file in dictionaries: log10 p and back-off weight by n-gram."""

    def __init__(self, path):
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
        self.announced, self.p, self.b = {}, {}, {}
        order = None
        ended = False
        for line in text.split("\n"):
            if line.startswith("ngram "):
                n, count = line[6:].split("=")
                self.announced[int(n)] = int(count)
            elif line.endswith("-grams:"):
                order = int(line[1 : -len("-grams:")])
            elif line == "\\end\\":
                ended = True
            elif line and line != "\\data\\":
                p, words, *b = line.split("\t")
                ngram = tuple(words.split(" "))
                assert len(ngram) == order
                assert ngram not in self.p
                self.p[ngram] = float(p)
                self.b[ngram] = float(b[0]) if b else 0.0
        assert ended
        self.order = max(self.announced)
        for n, count in self.announced.items():
            assert count == sum(len(ngram) == n for ngram in self.p)

    def log10(self, history, word):
        """What SRILM's manual says a reader computes."""
        history = tuple(history)[max(0, len(history) - self.order + 1) :]
        if (*history, word) in self.p:
            return self.p[(*history, word)]
        return self.b.get(history, 0.0) + self.log10(history[1:], word)

    @property
    def histories(self):
        return {ngram[:-1] for ngram in self.p}

    @property
    def words(self):
        """What can be predicted: all words but ``<s>``."""
        return [ngram[0] for ngram in self.p if len(ngram) == 1 and ngram != ("<s>",)]

    def total(self, history):
        return math.fsum(10 ** self.log10(history, word) for word in self.words)


@pytest.fixture
def arpa():
    return Arpa


@pytest.fixture
def network():
    """A network of random weights over V words, far from uniform."""

    def build(arch="ffn", **settings):
        config = ModelConfig(arch=arch, **{"dim": 5, "hidden": 6, "order": 3, **settings})
        random = np.random.default_rng(5)
        shapes = FORWARD[arch].expected_shapes(config.resolved(), V)
        weights = {
            name: (random.standard_normal(shape) * 0.6).astype(np.float32)
            for name, shape in sorted(shapes.items())
        }
        return NeuralScorer(weights, config.resolved())

    return build


@pytest.fixture
def text():
    """Sentences over V words, some of them empty, ``<unk>`` among them."""
    random = np.random.default_rng(8)
    ids, starts = [], [0]
    for length in random.integers(0, 7, 60):
        ids += [int(i) if i != 1 else 0 for i in random.integers(0, V, length)]
        ids.append(1)
        starts.append(len(ids))
    return Part(np.array(ids, np.uint16), np.array(starts), np.zeros(1, np.int64), 0)


@pytest.fixture
def tokens():
    return ["<unk>", "</s>", *(f"w{i}" for i in range(2, V))]
