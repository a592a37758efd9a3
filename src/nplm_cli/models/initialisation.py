"""First weights. A module with parameters of its own kind has a method ``init_parameter(name,
parameter, generator)``; all others follow the rule of matrices and biases here.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from nplm_cli.config import ModelConfig
from nplm_cli.vectors.counted import count_vectors

if TYPE_CHECKING:
    from nplm_cli.models.base import LanguageModel


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
    counts     as small; then ``first_weights_from_counts`` gives word vectors and
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


def first_weights_from_counts(model: "LanguageModel", ids_N: np.ndarray, seed: int) -> None:
    """Let word vectors and output biases begin with what a text says of the words.

    Vectors are those of ``count_vectors``, as long as random ones would be; words without a
    neighbour keep their random vector. Biases are log frequencies, so that the first guess is the
    unigram model.
    """
    words, dim = model.embedding.weight.shape
    vectors_RD = count_vectors(ids_N, words, dim, seed)
    rows_R = np.flatnonzero(vectors_RD.any(axis=1))
    length = model.embedding.deviation * math.sqrt(dim) * model.config.init_scale
    with torch.no_grad():
        table = torch.from_numpy(vectors_RD[rows_R] * np.float32(length))
        model.embedding.weight[torch.from_numpy(rows_R), : table.shape[1]] = table
        if model.output.bias is not None:
            counts_V = np.maximum(np.bincount(ids_N, minlength=words), 1)
            model.output.bias.copy_(torch.from_numpy(np.log(counts_V / counts_V.sum())))
