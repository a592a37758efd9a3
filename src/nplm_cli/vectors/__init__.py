"""Word vectors, independent of what trained them: neighbours, file formats, unknown words."""

from nplm_cli.vectors.formats import load_vectors, save_vectors, write_vectors
from nplm_cli.vectors.keyed import KeyedVectors, Neighbor
from nplm_cli.vectors.pretrained import Coverage, initial_rows
from nplm_cli.vectors.unknown import Unknown, explain_unknown

__all__ = [
    "Coverage",
    "KeyedVectors",
    "Neighbor",
    "Unknown",
    "explain_unknown",
    "initial_rows",
    "load_vectors",
    "save_vectors",
    "write_vectors",
]
