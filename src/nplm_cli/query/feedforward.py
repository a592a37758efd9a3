"""The feedforward window model in numpy: an independent twin of ``models/feedforward.py``.

Shape suffixes: B rows, T positions, S = T + window + far - 1, U different words,
E word vectors, D hidden.
"""

from itertools import pairwise
from typing import NamedTuple

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


class _Words(NamedTuple):
    """Vectors of the words at some places, each word's once: ``vectors_UE[at]``."""

    vectors_UE: np.ndarray
    at: np.ndarray

    def spread(self) -> np.ndarray:
        """The vector at each place."""
        return self.vectors_UE[self.at]

    def product(self, block_HE: np.ndarray) -> np.ndarray:
        """The vector at each place times a block of weights: one product a word."""
        return (self.vectors_UE @ block_HE.T)[self.at]


def _hidden_states(weights: Weights, config: ModelConfig, ids_BS: np.ndarray) -> np.ndarray:
    words, at_BS = np.unique(ids_BS[:, 1:], return_inverse=True)
    at_BS = at_BS.reshape(len(ids_BS), -1)
    vectors_UE = weights["embedding.weight"][words]
    pre, post = config.norm == "pre", config.norm == "post"
    activation = ACTIVATIONS[config.activation or "tanh"]
    if not config.layers:
        return _joined(_combined(weights, config, _Words(vectors_UE, at_BS)))
    raw = _Words(vectors_UE, at_BS)
    first = _Words(_normalised(weights, config, 0, vectors_UE), at_BS) if pre else raw
    hidden = np.empty(0, np.float32)
    for layer in range(config.layers):
        before = hidden
        pieces: list[_Words | np.ndarray]
        if layer:
            pieces = [_normalised(weights, config, layer, before) if pre else before]
        else:
            pieces = _combined(weights, config, first)
        hidden = activation(_product(weights, "layers", layer, pieces))
        if config.gate:
            hidden *= ACTIVATIONS["sigmoid"](_product(weights, "gates", layer, pieces))
        if config.residual and layer:
            hidden += before
        elif config.residual and _combined_width(config) == config.hidden:
            hidden += _joined(_combined(weights, config, raw))
        if post:
            hidden = _normalised(weights, config, layer, hidden)
    if pre and config.residual:
        hidden = _normalised(weights, config, config.layers, hidden)
    return hidden


def _combined(weights: Weights, config: ModelConfig, words: _Words) -> list[_Words | np.ndarray]:
    """Return what the first layer reads, in pieces (B, T, ...) that stand side by side."""
    window = config.order - 1
    positions = words.at.shape[1] - config.far - window + 1
    places = [words.at[:, config.far + k :][:, :positions] for k in range(window)]
    pieces: list[_Words | np.ndarray] = [_Words(words.vectors_UE, at) for at in places]
    if config.combine != "concat":
        total = words.vectors_UE[places[0]]
        for at in places[1:]:
            total += words.vectors_UE[at]
        pieces = [total / np.float32(window) if config.combine == "mean" else total]
    if config.far:
        x_BSE = words.vectors_UE[words.at[:, : positions + config.far - 1]]
        pieces.append(far_features(weights, config, x_BSE))
    return pieces


def _joined(pieces: list[_Words | np.ndarray]) -> np.ndarray:
    """The pieces side by side."""
    return np.concatenate(
        [piece.spread() if isinstance(piece, _Words) else piece for piece in pieces], axis=-1
    )


def _product(
    weights: Weights, name: str, layer: int, pieces: list[_Words | np.ndarray]
) -> np.ndarray:
    """Return W [pieces side by side] + b, each piece times its own columns of W."""
    weight = weights[f"encoder.{name}.{layer}.weight"]
    z: np.ndarray | None = None
    begin = 0
    for piece in pieces:
        width = (piece.vectors_UE if isinstance(piece, _Words) else piece).shape[-1]
        block = weight[:, begin : begin + width]
        begin += width
        if isinstance(piece, _Words):
            share = piece.product(block)
        else:  # rows of all batches in one product
            share = (piece.reshape(-1, width) @ block.T).reshape(*piece.shape[:-1], len(block))
        if z is None:
            z = share
        else:
            z += share
    assert z is not None
    bias = f"encoder.{name}.{layer}.bias"
    if bias in weights:
        z += weights[bias]
    return z


def _normalised(weights: Weights, config: ModelConfig, norm: int, x: np.ndarray) -> np.ndarray:
    name = f"encoder.norms.{norm}"
    return layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], config.norm_eps)
