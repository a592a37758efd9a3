"""First weights. A module with parameters of its own kind has a method ``init_parameter(name,
parameter, generator)``; all others follow the rule of matrices and biases here.
"""

import math

import torch
from torch import Tensor, nn

from nplm_cli.config import ModelConfig


def init_weights(model: nn.Module, config: ModelConfig, generator: torch.Generator) -> None:
    """Give every parameter its first value.

    ========== ==================================================================
    small      matrices: normal, standard deviation 1/sqrt(fan-in) (word vectors
               0.1 or less, output matrix 1/sqrt(10 D), so that the first loss is
               near ln V; positions 0.02; what writes to a Transformer's residual
               stream divided by the root of the number of writers); biases 0, an
               LSTM's forget gate 1, decays of far words from 0.6 to 0.97
    uniform01  all, biases too: uniform in 0..1
    gaussian01 all, biases too: normal of mean 0.5 and deviation 0.2, clipped to 0..1
    zero       all 0 (symmetry: hidden units stay equal for ever)
    counts     as small; then ``training/first_weights.py`` gives word vectors and
               output biases what the training text says of them
    ========== ==================================================================

    ``init_scale`` multiplies all of them. Layer norm starts as the identity under all four.
    """
    with torch.no_grad():
        for path, parameter in sorted(model.named_parameters()):
            owner_path, _, name = path.rpartition(".")
            owner = model.get_submodule(owner_path)
            if isinstance(owner, nn.LayerNorm):
                parameter.fill_(1.0 if name == "weight" else 0.0)
                continue
            match config.init:
                case "zero":
                    parameter.zero_()
                case "uniform01":
                    parameter.uniform_(0, 1, generator=generator)
                case "gaussian01":
                    parameter.normal_(0.5, 0.2, generator=generator).clamp_(0, 1)
                case "small" | "counts":
                    getattr(owner, "init_parameter", init_parameter)(name, parameter, generator)
            parameter.mul_(config.init_scale)


def init_parameter(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    """Matrices (..., out, in): normal, deviation 1/sqrt(fan-in); vectors: 0."""
    if parameter.ndim < 2:
        parameter.zero_()
    else:
        normal_(parameter, 1 / math.sqrt(parameter.shape[-1]), generator)


def normal_(parameter: Tensor, deviation: float, generator: torch.Generator) -> None:
    """Fill with normal random numbers around 0."""
    parameter.normal_(0, deviation, generator=generator)
