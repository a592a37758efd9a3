"""The feedforward window model in numpy: an independent twin of ``models/feedforward.py``.

Shape suffixes: B rows, T positions, S = T + window + far - 1, E word vectors, D hidden.
"""

from itertools import pairwise

import numpy as np

from nplm_cli.config import ModelConfig
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.query.far_context import far_features, far_shapes
from nplm_cli.query.layers import (
    ACTIVATIONS,
    Shapes,
    State,
    Weights,
    layer_norm,
    outer_shapes,
    project,
)

# Vectors of a batch with a far context that are held at once.
MAX_VECTORS = 262_144


def expected_shapes(config: ModelConfig, vocabulary_size: int) -> Shapes:
    """Return the shape of every tensor that a model of these settings has."""
    sizes = [_combined_width(config)] + [config.hidden] * config.layers
    shapes = outer_shapes(config, vocabulary_size, sizes[-1]) | far_shapes(config)
    for layer, (before, after) in enumerate(pairwise(sizes)):
        for name in ("layers", "gates") if config.gate else ("layers",):
            shapes[f"encoder.{name}.{layer}.weight"] = (after, before)
            if config.hidden_bias:
                shapes[f"encoder.{name}.{layer}.bias"] = (after,)
    for layer, width in enumerate(_norm_widths(config)):
        shapes[f"encoder.norms.{layer}.weight"] = (width,)
        shapes[f"encoder.norms.{layer}.bias"] = (width,)
    return shapes


def _combined_width(config: ModelConfig) -> int:
    vectors = config.order - 1 if config.combine == "concat" else 1
    if config.far:
        vectors += config.kernels + config.averages
    return vectors * config.dim


def _norm_widths(config: ModelConfig) -> list[int]:
    if not config.layers or config.norm == "none":
        return []
    if config.norm == "post":
        return [config.hidden] * config.layers
    return [config.dim] + [config.hidden] * (config.layers - 1 + config.residual)


def initial_state(config: ModelConfig, batch: int) -> State:
    """Return the context before the first word: ``</s>`` in all its places."""
    return (np.full((batch, config.order - 1 + config.far), EOS_ID, np.int64),)


def forward(
    weights: Weights, config: ModelConfig, ids_BT: np.ndarray, state: State
) -> tuple[np.ndarray, State]:
    """Return hidden states (B, T, D) that the output layer reads, and the new state."""
    ids_BS = np.concatenate([state[0], ids_BT], axis=1)
    new_state = (ids_BS[:, -state[0].shape[1] :],)
    rows = max(1, len(ids_BS))
    if config.far:
        vectors = ids_BS.shape[1] * (1 + config.kernels + config.averages)
        rows = max(1, MAX_VECTORS // vectors)
    parts = [
        project(weights, _hidden_states(weights, config, ids_BS[start : start + rows]))
        for start in range(0, max(1, len(ids_BS)), rows)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts), new_state


def _hidden_states(weights: Weights, config: ModelConfig, ids_BS: np.ndarray) -> np.ndarray:
    x_BSE = weights["embedding.weight"][ids_BS[:, 1:]]
    pre, post = config.norm == "pre", config.norm == "post"
    activation = ACTIVATIONS[config.activation or "tanh"]
    if not config.layers:
        return np.concatenate(_combined(weights, config, x_BSE), axis=-1)
    hidden = x_BSE
    for layer in range(config.layers):
        before = hidden
        read = _normalised(weights, config, layer, before) if pre else before
        pieces = [read] if layer else _combined(weights, config, read)
        hidden = activation(_product(weights, "layers", layer, pieces))
        if config.gate:
            gate = _product(weights, "gates", layer, pieces)
            hidden = hidden * ACTIVATIONS["sigmoid"](gate)
        if config.residual and layer:
            hidden = hidden + before
        elif config.residual and _combined_width(config) == config.hidden:
            hidden = hidden + np.concatenate(_combined(weights, config, before), axis=-1)
        if post:
            hidden = _normalised(weights, config, layer, hidden)
    if pre and config.residual:
        hidden = _normalised(weights, config, config.layers, hidden)
    return hidden


def _combined(weights: Weights, config: ModelConfig, x_BSE: np.ndarray) -> list[np.ndarray]:
    """Return what the first layer reads, in pieces (B, T, ...) that stand side by side."""
    window = config.order - 1
    positions = x_BSE.shape[1] - config.far - window + 1
    pieces = [x_BSE[:, config.far + k :][:, :positions] for k in range(window)]
    if config.combine != "concat":
        pieces = [sum(pieces[1:], start=pieces[0])]
    if config.combine == "mean":
        pieces[0] = pieces[0] / np.float32(window)
    if config.far:
        pieces.append(far_features(weights, config, x_BSE[:, : positions + config.far - 1]))
    return pieces


def _product(weights: Weights, name: str, layer: int, pieces: list[np.ndarray]) -> np.ndarray:
    """Return W [pieces side by side] + b, each piece times its own columns of W."""
    ends = np.cumsum([piece.shape[-1] for piece in pieces])
    blocks = np.split(weights[f"encoder.{name}.{layer}.weight"], ends[:-1], axis=1)
    z = sum(piece @ block.T for piece, block in zip(pieces, blocks, strict=True))
    bias = f"encoder.{name}.{layer}.bias"
    return z + weights[bias] if bias in weights else z


def _normalised(weights: Weights, config: ModelConfig, norm: int, x: np.ndarray) -> np.ndarray:
    name = f"encoder.norms.{norm}"
    return layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], config.norm_eps)
