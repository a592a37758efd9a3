"""Neural language models (torch), one family a file; ``build`` makes one from its settings."""

from collections.abc import Callable

from nplm_cli.config import ModelConfig
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.feedforward import FeedforwardLM

ARCHITECTURES: dict[str, Callable[[ModelConfig, int, float], LanguageModel]] = {
    "ffn": FeedforwardLM
}


def build(config: ModelConfig, vocabulary_size: int, dropout: float = 0.0) -> LanguageModel:
    """Make a model with uninitialised weights; call ``init_weights`` or load some."""
    return ARCHITECTURES[config.arch](config, vocabulary_size, dropout)
