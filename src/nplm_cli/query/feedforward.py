"""The feedforward window model in numpy: an independent twin of ``models/feedforward.py``.

Shape suffixes: B rows, T positions, S = T + window - 1, E word vectors, D hidden.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from nplm_cli.artifacts import TensorFile
from nplm_cli.config import ModelConfig
from nplm_cli.corpus.vocabulary import EOS_ID

State = tuple[np.ndarray, ...]


def _gelu(z: np.ndarray) -> np.ndarray:
    # The tanh form of Hendrycks & Gimpel (2016), which the torch model uses too.
    return 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    # exp of a large positive number overflows; tanh does not.
    "sigmoid": lambda z: 0.5 * (1 + np.tanh(0.5 * z)),
    "gelu": _gelu,
}


def expected_shapes(config: ModelConfig, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor that a model of these settings has."""
    combined = config.dim * (config.order - 1 if config.combine == "concat" else 1)
    sizes = [combined] + [config.hidden] * config.layers
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (vocabulary_size, config.dim)}
    for layer, (before, after) in enumerate(pairwise(sizes)):
        shapes[f"encoder.layers.{layer}.weight"] = (after, before)
        if config.hidden_bias:
            shapes[f"encoder.layers.{layer}.bias"] = (after,)
    if config.tie and sizes[-1] != config.dim:
        shapes["encoder.projection.weight"] = (config.dim, sizes[-1])
    if not config.tie:
        shapes["output.weight"] = (vocabulary_size, sizes[-1])
    if config.output_bias:
        shapes["output.bias"] = (vocabulary_size,)
    return shapes


def initial_state(config: ModelConfig, batch: int) -> State:
    """Return the window before the first word: ``</s>`` in all its places."""
    return (np.full((batch, config.order - 1), EOS_ID, np.int64),)


def forward(
    weights: TensorFile, config: ModelConfig, ids_BT: np.ndarray, state: State
) -> tuple[np.ndarray, State]:
    """Return hidden states (B, T, D) that the output layer reads, and the new state."""
    window = config.order - 1
    ids_BS = np.concatenate([state[0], ids_BT], axis=1)
    x_BSE = weights["embedding.weight"][ids_BS[:, 1:]]
    positions = ids_BT.shape[1]
    shifted = [x_BSE[:, k : k + positions] for k in range(window)]
    activation = ACTIVATIONS[config.activation]
    layers = list(range(config.layers))
    if config.combine == "concat" and layers:
        blocks = np.split(weights[f"encoder.layers.{layers.pop(0)}.weight"], window, axis=1)
        hidden = sum(x @ block.T for x, block in zip(shifted, blocks, strict=True))
        if config.hidden_bias:
            hidden = hidden + weights["encoder.layers.0.bias"]
        hidden = activation(hidden)
    elif config.combine == "concat":
        hidden = np.concatenate(shifted, axis=-1)
    else:
        hidden = sum(shifted[1:], start=shifted[0])
        if config.combine == "mean":
            hidden = hidden / np.float32(window)
    for layer in layers:
        hidden = hidden @ weights[f"encoder.layers.{layer}.weight"].T
        if config.hidden_bias:
            hidden = hidden + weights[f"encoder.layers.{layer}.bias"]
        hidden = activation(hidden)
    if "encoder.projection.weight" in weights:
        hidden = hidden @ weights["encoder.projection.weight"].T
    return hidden, (ids_BS[:, -window:],)
