"""Models of a few numbers, of the classes that ``nplm train`` trains, in float64.

What the lectures draw as a network that reads numbers is a window model whose word vectors have
one dimension: its hidden layer multiplies the numbers, side by side, by its weights.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nplm_cli.config import ModelConfig
from nplm_cli.models import build
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.feedforward import FeedforwardLM, WindowEncoder, product


def numbers(values: Any) -> Tensor:
    """Numbers, in lists or not, as a float64 tensor."""
    return torch.tensor(values, dtype=torch.float64)


def small_model(vocabulary_size: int, weights: Mapping[str, Any], **settings: Any) -> LanguageModel:
    """A model of these settings (``ModelConfig``) with these weights by name, all others 0."""
    model = build(ModelConfig(**settings), vocabulary_size).double().eval()
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.zero_()
        for name, values in weights.items():
            parameters[name].copy_(numbers(values))
    return model


def network(
    inputs: int, weights: Mapping[str, Any], *, outputs: int = 1, **settings: Any
) -> FeedforwardLM:
    """A network that reads so many numbers: a window model with word vectors of one dimension.

    Hidden layers are ``encoder.layers.0.weight`` (hidden, inputs) and ``.bias``, the rows of the
    output layer ``output.weight`` (outputs, hidden) and ``output.bias``.
    """
    shape = {"order": inputs + 1, "dim": 1, "tie": False, **settings}
    model = small_model(outputs, weights, **shape)
    assert isinstance(model, FeedforwardLM)
    return model


def encoder_of(model: FeedforwardLM) -> WindowEncoder:
    """The hidden layers of a window model."""
    assert isinstance(model.encoder, WindowEncoder)
    return model.encoder


def hidden_of(model: FeedforwardLM, x_NI: Tensor) -> Tensor:
    """The last hidden layer (N, H) for N rows of the numbers that a ``network`` reads."""
    hidden: Tensor = encoder_of(model)(x_NI[:, :, None])[:, 0]
    return hidden


def pre_activation(model: FeedforwardLM, x_NI: Tensor, layer: int = 0) -> Tensor:
    """Weighted sums z = W x + b (N, H) of a hidden layer, from what that layer reads (N, I)."""
    return product(encoder_of(model).layers[layer], [x_NI])


def slope(activation: str, z: Tensor) -> Tensor:
    """Derivative of an activation at each z, by autograd, as back-propagation multiplies by it."""
    z = z.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(ACTIVATIONS[activation](z).sum(), z)
    return found
