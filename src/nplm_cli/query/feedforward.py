"""The feedforward window model in numpy: an independent twin of ``models/feedforward.py``.

Shape suffixes: B rows, T positions, S = T + window - 1, E word vectors, D hidden.
"""

from itertools import pairwise

import numpy as np

from nplm_cli.config import ModelConfig
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.query.layers import ACTIVATIONS, Shapes, State, Weights, outer_shapes, project


def expected_shapes(config: ModelConfig, vocabulary_size: int) -> Shapes:
    """Return the shape of every tensor that a model of these settings has."""
    combined = config.dim * (config.order - 1 if config.combine == "concat" else 1)
    sizes = [combined] + [config.hidden] * config.layers
    shapes = outer_shapes(config, vocabulary_size, sizes[-1])
    for layer, (before, after) in enumerate(pairwise(sizes)):
        shapes[f"encoder.layers.{layer}.weight"] = (after, before)
        if config.hidden_bias:
            shapes[f"encoder.layers.{layer}.bias"] = (after,)
    return shapes


def initial_state(config: ModelConfig, batch: int) -> State:
    """Return the window before the first word: ``</s>`` in all its places."""
    return (np.full((batch, config.order - 1), EOS_ID, np.int64),)


def forward(
    weights: Weights, config: ModelConfig, ids_BT: np.ndarray, state: State
) -> tuple[np.ndarray, State]:
    """Return hidden states (B, T, D) that the output layer reads, and the new state."""
    window = config.order - 1
    ids_BS = np.concatenate([state[0], ids_BT], axis=1)
    x_BSE = weights["embedding.weight"][ids_BS[:, 1:]]
    positions = ids_BT.shape[1]
    shifted = [x_BSE[:, k : k + positions] for k in range(window)]
    activation = ACTIVATIONS[config.activation or "tanh"]
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
    return project(weights, hidden), (ids_BS[:, -window:],)
