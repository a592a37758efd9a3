"""Word vectors, independent of what trained them: neighbours, file formats, unknown words."""

from importlib import import_module
from typing import Any

# Imported when first used: to read vectors takes neither the writers nor the reader of text.
_API = {
    "Coverage": "pretrained",
    "KeyedVectors": "keyed",
    "Neighbor": "keyed",
    "Unknown": "unknown",
    "explain_unknown": "unknown",
    "initial_rows": "pretrained",
    "load_vectors": "formats",
    "save_vectors": "export",
    "write_vectors": "export",
}
__all__ = sorted(_API)


def __getattr__(name: str) -> Any:
    if name in _API:
        return getattr(import_module(f"nplm_cli.vectors.{_API[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
