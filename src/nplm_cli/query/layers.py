"""What the numpy twins of all architectures share: activations, shapes around the encoder.

Shape suffixes: B rows, T positions, V vocabulary, E word vectors, D what the output layer reads.
"""

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np

from nplm_cli.config import ModelConfig

# Tensors by name: a memory-mapped file or plain arrays.
Weights = Mapping[str, np.ndarray]
State = tuple[np.ndarray, ...]
Shapes = dict[str, tuple[int, ...]]


def _gelu(z: np.ndarray) -> np.ndarray:
    # The tanh form of Hendrycks & Gimpel (2016), which the torch model uses too.
    with np.errstate(over="ignore"):  # tanh of an infinite cube is the 1 or -1 that is meant
        # Written over one array, in the dtype of z; z * z * z is far cheaper than z**3.
        inner = z * z
        inner *= z
        inner *= 0.044715
        inner += z
        inner *= math.sqrt(2 / math.pi)
        np.tanh(inner, out=inner)
        inner += 1
        inner *= 0.5
        inner *= z
        return inner


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    # exp of a large positive number overflows; tanh does not.
    "sigmoid": lambda z: 0.5 * (1 + np.tanh(0.5 * z)),
    "gelu": _gelu,
}


def outer_shapes(config: ModelConfig, vocabulary_size: int, width: int) -> Shapes:
    """Return the shapes of word vectors, projection and output layer around an encoder.

    ``width`` is the last axis of the encoder's hidden states, before the projection.
    """
    shapes: Shapes = {"embedding.weight": (vocabulary_size, config.dim)}
    if config.tie and width != config.dim:
        shapes["encoder.projection.weight"] = (config.dim, width)
    first, *_ = bounds = config.softmax_bounds(vocabulary_size)
    if not config.tie:
        shapes["output.weight"] = (first, width)
    if config.output_bias:
        shapes["output.bias"] = (vocabulary_size,)
    if len(bounds) > 1:
        shapes |= _cluster_shapes(config, bounds, config.dim if config.tie else width)
    return shapes


def _cluster_shapes(config: ModelConfig, bounds: tuple[int, ...], width: int) -> Shapes:
    """Return what an adaptive softmax has besides the rows of its head's words."""
    clusters = len(bounds) - 1
    shapes: Shapes = {"output.clusters.weight": (clusters, width)}
    if config.output_bias:
        shapes["output.clusters.bias"] = (clusters,)
    for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
        own = width if config.tie else config.tail_width(width, number)
        shapes[f"output.projections.{number}.weight"] = (own, width)
        if not config.tie:
            shapes[f"output.tails.{number}.weight"] = (end - begin, own)
    return shapes


def project(weights: Weights, hidden_BTH: np.ndarray) -> np.ndarray:
    """Return what the output layer reads: the projection of a tied model, if it has one."""
    if "encoder.projection.weight" in weights:
        # Rows of all batches in one product.
        rows_NH = hidden_BTH.reshape(-1, hidden_BTH.shape[-1])
        return (rows_NH @ weights["encoder.projection.weight"].T).reshape(
            *hidden_BTH.shape[:-1], -1
        )
    return hidden_BTH


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """Mean 0 and variance 1 (of the population) over the last axis, then scaled and shifted.

    Ba, Kiros & Hinton (2016); ``eps`` is added to the variance.
    """
    x = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(x).mean(axis=-1, keepdims=True)
    return x / np.sqrt(variance + x.dtype.type(eps)) * weight + bias
