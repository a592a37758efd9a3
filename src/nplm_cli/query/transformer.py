"""The decoder-only Transformer in numpy: the twin of ``models/transformer.py``.

Shape suffixes: B rows, T positions, R rows and L ids of a pass, E word vectors.
"""

import numpy as np

from nplm_cli.config import ModelConfig
from nplm_cli.query.layers import (
    ACTIVATIONS,
    Shapes,
    State,
    Weights,
    layer_norm,
    outer_shapes,
)
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
    dim, hidden = config.dim, config.hidden
    shapes = outer_shapes(config, vocabulary_size, dim)
    if config.positions == "learned":
        shapes["encoder.positions.weight"] = (config.window, dim)
    norms = ["encoder.norm"] if config.norm == "pre" else []
    for layer in range(config.layers):
        block = f"encoder.layers.{layer}"
        for name, after, before in (
            ("attention.query", dim, dim),
            ("attention.key_value", 2 * dim, dim),
            ("attention.output", dim, dim),
            ("feedforward.inner", hidden, dim),
            ("feedforward.outer", dim, hidden),
        ):
            shapes[f"{block}.{name}.weight"] = (after, before)
            if config.hidden_bias:
                shapes[f"{block}.{name}.bias"] = (after,)
        if config.norm != "none":
            norms += [f"{block}.attention_norm", f"{block}.feedforward_norm"]
    for norm in norms:
        shapes[f"{norm}.weight"] = shapes[f"{norm}.bias"] = (dim,)
    return shapes


def forward(
    weights: Weights, config: ModelConfig, ids_BT: np.ndarray, state: State
) -> tuple[np.ndarray, State]:
    """Return hidden states (B, T, E) that the output layer reads, and the new state."""
    heads = config.heads or 1
    activation = ACTIVATIONS[config.activation or "gelu"]

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        product = x @ weights[f"{name}.weight"].T
        return product + weights[f"{name}.bias"] if config.hidden_bias else product

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        return layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], config.norm_eps)

    def encode(
        ids_RL: np.ndarray, place: int, past: list[Cache] | None
    ) -> tuple[np.ndarray, list[Cache]]:
        x = embed(weights, config, ids_RL, place)
        caches = []
        for layer in range(config.layers):
            block = f"encoder.layers.{layer}"
            y = norm(f"{block}.attention_norm", x) if config.norm == "pre" else x
            q = split_heads(linear(f"{block}.attention.query", y), heads)
            key_value = linear(f"{block}.attention.key_value", y)
            k, v = (split_heads(half, heads) for half in np.split(key_value, 2, axis=2))
            caches.append(extended(past, layer, k, v))
            x = x + linear(f"{block}.attention.output", attention(q, *caches[-1]))
            x = norm(f"{block}.attention_norm", x) if config.norm == "post" else x
            y = norm(f"{block}.feedforward_norm", x) if config.norm == "pre" else x
            y = activation(linear(f"{block}.feedforward.inner", y))
            x = x + linear(f"{block}.feedforward.outer", y)
            x = norm(f"{block}.feedforward_norm", x) if config.norm == "post" else x
        return norm("encoder.norm", x) if config.norm == "pre" else x, caches

    return read(config, encode, ids_BT, state)
