"""Small models of every architecture, of random weights or counts, behind one Scorer."""

import numpy as np
import pytest

from nplm_cli.config import CacheConfig, ModelConfig
from nplm_cli.corpus.vocabulary import EOS_ID, Vocabulary
from nplm_cli.ngram import NgramModel
from nplm_cli.query import FORWARD
from nplm_cli.query.mixture import MixScorer
from nplm_cli.query.scorer import NeuralScorer, NgramScorer, Scorer

V = 11
NEURAL = sorted(FORWARD)
COUNTS = {
    "kn": {"order": 3, "smoothing": "kn"},
    "addk": {"order": 2, "smoothing": "addk", "k": 0.5},
    "unigram": {"order": 1, "smoothing": "kn"},
    "stream": {"order": 3, "smoothing": "kn", "context": "stream"},
    "mle": {"order": 3, "smoothing": "mle"},
}


def neural_scorer(arch: str, **settings: object) -> NeuralScorer:
    """A model of random weights, large enough that its distributions are far from uniform."""
    values = {"order": 4, "dim": 8, "hidden": 8, **settings}
    config = ModelConfig(arch=arch, **values).resolved()
    random = np.random.default_rng(5)
    shapes = FORWARD[arch].expected_shapes(config, V)
    weights = {
        name: (random.standard_normal(shape) * 0.6).astype(np.float32)
        for name, shape in shapes.items()
    }
    return NeuralScorer(weights, config)


def ngram_scorer(name: str) -> NgramScorer:
    random = np.random.default_rng(8)
    ids = [
        i
        for length in random.integers(1, 7, 80)
        for i in (*np.where(random.random(length) < 0.1, 0, random.integers(2, V, length)), EOS_ID)
    ]
    return NgramScorer(NgramModel.train(np.array(ids), vocab_size=V, **COUNTS[name]))


def mix_scorer() -> MixScorer:
    """A network, counts and both caches, which each sentence finds empty."""
    caches = [CacheConfig("neural", size=4), CacheConfig("unigram", size=3)]
    scorers = [neural_scorer("lstm"), ngram_scorer("kn")]
    return MixScorer(scorers, [0.4, 0.3, 0.2, 0.1], caches, across=False)


@pytest.fixture
def arrays():
    """All arrays of a state, whatever tuples they are in."""

    def flat(state):
        return [state] if isinstance(state, np.ndarray) else [a for s in state for a in flat(s)]

    return flat


@pytest.fixture(params=[*NEURAL, *COUNTS, "mixture"])
def scorer(request) -> Scorer:
    """Every architecture, counts of several kinds, and a mixture."""
    name = request.param
    if name == "mixture":
        return mix_scorer()
    return ngram_scorer(name) if name in COUNTS else neural_scorer(name)


@pytest.fixture(params=NEURAL)
def neural(request) -> NeuralScorer:
    return neural_scorer(request.param)


@pytest.fixture
def ffn() -> NeuralScorer:
    return neural_scorer("ffn")


@pytest.fixture
def counted():
    """Counts by the name of their smoothing."""
    return ngram_scorer


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(["<unk>", "</s>", *(f"w{i}" for i in range(2, V))], [1] * V)
