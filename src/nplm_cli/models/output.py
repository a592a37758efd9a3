"""The output layer: one row of weights a word, exact softmax in chunks.

The loss that trains it is in ``training/losses.py``. Shape suffixes: V vocabulary, D width of what
the layer reads, N predictions in a row.
"""

import math

import torch
from torch import Tensor, nn

from nplm_cli.models.initialisation import normal_

# Logits of one chunk: large enough for an efficient product, small enough to stay in reach.
CHUNK_LOGITS = 4_000_000


class OutputLayer(nn.Module):
    """Parameters of the output layer; ``weight`` is None when tied to the word vectors."""

    def __init__(self, vocabulary_size: int, width: int, *, tied: bool, bias: bool):
        super().__init__()
        self.weight = None if tied else nn.Parameter(torch.empty(vocabulary_size, width))
        self.bias = nn.Parameter(torch.empty(vocabulary_size)) if bias else None

    def init_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> None:
        """Matrix of deviation 1/sqrt(10 D), so that the first loss is near ln V; biases 0."""
        if name == "bias":
            parameter.zero_()
        else:
            normal_(parameter, 1 / math.sqrt(10 * parameter.shape[1]), generator)


def chunk_rows(vocabulary_size: int, logits: int | None = None) -> int:
    """Predictions handled at once, by how many ``logits`` may be (``CHUNK_LOGITS``)."""
    return max(16, (logits or CHUNK_LOGITS) // vocabulary_size)


@torch.no_grad()
def prediction_nll(
    hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor
) -> Tensor:
    """Negative log-likelihood (nats) of each of N predictions, exact, without gradients."""
    pieces = []
    rows = chunk_rows(len(weight_VD))
    for start in range(0, len(hidden_ND), rows):
        logits_CV = nn.functional.linear(hidden_ND[start : start + rows], weight_VD, bias_V)
        y_C = targets_N[start : start + rows]
        pieces.append(torch.logsumexp(logits_CV, 1) - logits_CV.gather(1, y_C[:, None])[:, 0])
    return torch.cat(pieces) if pieces else hidden_ND.new_zeros(0)
