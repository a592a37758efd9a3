"""Neural language models (torch), one family a file; ``build`` makes one from its settings."""

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.models.attention import AttentionLM
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.feedforward import FeedforwardLM
from nplm_cli.models.recurrent import GruLM, LstmLM, SimpleRecurrentLM
from nplm_cli.models.transformer import TransformerLM

MODELS: dict[str, type[LanguageModel]] = {
    "ffn": FeedforwardLM,
    "rnn": SimpleRecurrentLM,
    "gru": GruLM,
    "lstm": LstmLM,
    "attention": AttentionLM,
    "transformer": TransformerLM,
}


def build(
    config: ModelConfig, vocabulary_size: int, rates: DropoutRates | None = None
) -> LanguageModel:
    """Make a model with uninitialised weights; call ``init_weights`` or load some."""
    return MODELS[config.arch](config.resolved(), vocabulary_size, rates or DropoutRates())
