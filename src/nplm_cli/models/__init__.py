"""Neural language models (torch), one family a file; ``build`` makes one from its settings."""

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.feedforward import FeedforwardLM

MODELS: dict[str, type[LanguageModel]] = {"ffn": FeedforwardLM}


def build(
    config: ModelConfig, vocabulary_size: int, rates: DropoutRates | None = None
) -> LanguageModel:
    """Make a model with uninitialised weights; call ``init_weights`` or load some."""
    return MODELS[config.arch](config.resolved(), vocabulary_size, rates or DropoutRates())
