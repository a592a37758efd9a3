"""nplm: neural language models over n-gram windows, trained and queried from the command line.

The names below are the public Python API. They are imported when first used, so that importing
the package costs nothing and nothing loads torch but training and evaluation.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_API = {
    "Config": "nplm_cli.config",
    "KeyedVectors": "nplm_cli.vectors.keyed",
    "NgramModel": "nplm_cli.ngram",
    "NplmError": "nplm_cli.errors",
    "Run": "nplm_cli.query.run",
    "SentenceReader": "nplm_cli.query.sentences",
    "Sources": "nplm_cli.corpus.preparation",
    "Vocabulary": "nplm_cli.corpus.vocabulary",
    "evaluate_text": "nplm_cli.measure",
    "load_vectors": "nplm_cli.vectors.formats",
    "open_scorer": "nplm_cli.query.scorer",
    "read_sentences": "nplm_cli.corpus.formats",
    "resume": "nplm_cli.pipeline",
    "score_sentences": "nplm_cli.query.sentences",
    "train": "nplm_cli.pipeline",
}
__all__ = sorted(["__version__", *_API])


def __getattr__(name: str) -> Any:
    if name in _API:
        return getattr(import_module(_API[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
