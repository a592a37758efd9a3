"""The language model of self-attention alone in numpy: the twin of ``models/attention.py``.

Shape suffixes: B rows, T positions, R rows and L ids of a pass, E word vectors.
"""

import numpy as np

from nplm_cli.config import ModelConfig
from nplm_cli.query.layers import Shapes, State, Weights, outer_shapes
from nplm_cli.query.window_cache import (
    Cache,
    attention,
    embed,
    extended,
    initial_state,
    read,
    split_heads,
)

__all__ = ["expected_shapes", "forward", "initial_state"]


def expected_shapes(config: ModelConfig, vocabulary_size: int) -> Shapes:
    """Return the shape of every tensor that a model of these settings has."""
    shapes = outer_shapes(config, vocabulary_size, config.dim)
    if config.positions == "learned":
        shapes["encoder.positions.weight"] = (config.window, config.dim)
    for layer in range(config.layers):
        for name in ("query", "key", "value"):
            shapes[f"encoder.layers.{layer}.{name}.weight"] = (config.dim, config.dim)
    return shapes


def forward(
    weights: Weights, config: ModelConfig, ids_BT: np.ndarray, state: State
) -> tuple[np.ndarray, State]:
    """Return hidden states (B, T, E) that the output layer reads, and the new state."""
    heads = config.heads or 1

    def encode(
        ids_RL: np.ndarray, place: int, past: list[Cache] | None
    ) -> tuple[np.ndarray, list[Cache]]:
        x_RLE = embed(weights, config, ids_RL, place)
        caches = []
        for layer in range(config.layers):
            q, k, v = (
                split_heads(x_RLE @ weights[f"encoder.layers.{layer}.{name}.weight"].T, heads)
                for name in ("query", "key", "value")
            )
            caches.append(extended(past, layer, k, v))
            x_RLE = attention(q, *caches[-1])
        return x_RLE, caches

    return read(config, encode, ids_BT, state)
