"""A few sentences as a corpus, and models that are trained on it within a second."""

from collections import Counter
from collections.abc import Sequence

import torch

from nplm_cli.config import ModelConfig, TrainingConfig, VocabularyConfig
from nplm_cli.corpus.batches import TrainingBatches
from nplm_cli.corpus.reading_results import Sentence
from nplm_cli.corpus.shards import Part, encode_sentences
from nplm_cli.corpus.vocabulary import Vocabulary, cut_vocabulary
from nplm_cli.errors import ConfigError, did_you_mean
from nplm_cli.models import build
from nplm_cli.models.base import LanguageModel
from nplm_cli.training.objective import Objective
from nplm_cli.training.optimizers import build_optimizer
from nplm_cli.training.weights import FlatWeights


def corpus_of(sentences: Sequence[str]) -> tuple[Vocabulary, Part]:
    """Vocabulary (every word) and ids of sentences whose words stand between spaces."""
    tokens = [sentence.split() for sentence in sentences]
    counts = Counter(word for words in tokens for word in words)
    cut = cut_vocabulary(counts, len(sentences), VocabularyConfig(min_count=1))
    read = [Sentence(words, 0, 0, line, 0) for line, words in enumerate(tokens)]
    return cut.vocabulary, encode_sentences(read, cut.vocabulary)


def ids_of(vocabulary: Vocabulary, words: Sequence[str], what: str) -> list[int]:
    """Ids of the words of a parameter ``what``. Raises ConfigError for one the corpus lacks."""
    for word in words:
        if word not in vocabulary:
            near = did_you_mean(word, vocabulary.tokens)
            raise ConfigError(f"{what}: {word!r:.40} is no word of the lesson's sentences{near}")
    return vocabulary.encode(words)


def trained(
    config: ModelConfig, vocabulary: Vocabulary, part: Part, *, steps: int, lr: float, seed: int
) -> LanguageModel:
    """A model in float64 after so many steps of AdamW over all sentences at once."""
    settings = TrainingConfig(batch=0, lr=lr, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    model = build(config, len(vocabulary)).double().train()
    model.init_weights(generator)
    weights = FlatWeights(model)
    optimizer = build_optimizer(weights, settings)
    objective = Objective(model, part, settings, generator, weights.lookup)
    batches = TrainingBatches(part, settings.context, settings.batch, settings.bptt, seed)
    for step in range(steps):
        weights.clear_gradients()
        for batch in next(batches.epoch(step)):
            objective.backward(batch, part.predictions, step / steps)
        weights.collect_gradients()
        optimizer.step()
    return model.eval()
