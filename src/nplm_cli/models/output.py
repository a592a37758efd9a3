"""The output layer: one row of weights a word, and the exact softmax over them.

A layer is one softmax or several (``adaptive.py``); ``Softmax`` is what it asks of one, so that
losses and evaluation need not know which. The loss that trains it is in ``training/losses.py``.
Shape suffixes: V vocabulary or words of one softmax, D width of what the layer reads, N
predictions in a row, M of them in one softmax, C a chunk of them, W a block of words.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nplm_cli.models.initialisation import normal_

# Logits of one chunk: large enough for an efficient product, small enough to stay in reach.
CHUNK_LOGITS = 4_000_000
# Larger vocabularies are read in blocks of words, so that a chunk has rows enough for a product.
WHOLE_WORDS, BLOCK_WORDS, BLOCK_ROWS = 16_384, 4_096, 1_024


class Softmax(NamedTuple):
    """One choice among words: ``targets_M`` under softmax(weight h + bias).

    ``rows_M`` are the predictions that make the choice; None: all of them.
    """

    hidden_MD: Tensor
    weight_VD: Tensor
    bias_V: Tensor | None
    targets_M: Tensor
    rows_M: Tensor | None = None


class OutputLayer(nn.Module):
    """Parameters of the output layer; ``weight`` is None when tied to the word vectors."""

    def __init__(self, vocabulary_size: int, width: int, *, tied: bool, bias: bool):
        super().__init__()
        self.weight = None if tied else nn.Parameter(torch.empty(vocabulary_size, width))
        self.bias = nn.Parameter(torch.empty(vocabulary_size)) if bias else None

    def init_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> None:
        """Biases 0, rows as ``init_rows``."""
        init_rows(name, parameter, generator)

    @torch.no_grad()
    def start_at(self, log_p_V: Tensor) -> None:
        """Let the biases alone give these log-probabilities; without biases nothing happens."""
        if self.bias is not None:
            self.bias.copy_(log_p_V)

    def softmaxes(
        self, hidden_ND: Tensor, targets_N: Tensor, words_VD: Tensor
    ) -> Iterator[Softmax]:
        """The choices whose negative log-likelihoods add up to that of the targets.

        ``words_VD`` are the word vectors: the output matrix of a tied layer.
        """
        weight_VD = words_VD if self.weight is None else self.weight
        yield Softmax(hidden_ND, weight_VD, self.bias, targets_N)

    def logits(self, hidden: Tensor, words_VD: Tensor) -> Tensor:
        """Unnormalised log-probabilities (..., V) of hidden states (..., D)."""
        weight_VD = words_VD if self.weight is None else self.weight
        return nn.functional.linear(hidden, weight_VD, self.bias)


def init_rows(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    """Rows of deviation 1/sqrt(10 D), so that the first loss is near ln V; biases 0."""
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
    if len(weight_VD) > WHOLE_WORDS:
        pieces = [
            _nll_in_blocks(h_CD, weight_VD, bias_V, y_C)
            for h_CD, y_C in zip(
                hidden_ND.split(BLOCK_ROWS), targets_N.split(BLOCK_ROWS), strict=True
            )
        ]
        return torch.cat(pieces)
    pieces = []
    rows = chunk_rows(len(weight_VD))
    for start in range(0, len(hidden_ND), rows):
        logits_CV = nn.functional.linear(hidden_ND[start : start + rows], weight_VD, bias_V)
        y_C = targets_N[start : start + rows]
        pieces.append(torch.logsumexp(logits_CV, 1) - logits_CV.gather(1, y_C[:, None])[:, 0])
    return torch.cat(pieces) if pieces else hidden_ND.new_zeros(0)


def _nll_in_blocks(h_CD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, y_C: Tensor) -> Tensor:
    """The same from blocks of words; logarithms to base 2, of which powers are cheaper."""
    sums, at_targets = [], h_CD.new_zeros(len(y_C))
    h_CD = h_CD / math.log(2)
    buffer = h_CD.new_empty(len(h_CD) * BLOCK_WORDS)
    for start in range(0, len(weight_VD), BLOCK_WORDS):
        weight_WD = weight_VD[start : start + BLOCK_WORDS]
        shape = (len(h_CD), len(weight_WD))
        logits_CW = buffer[: math.prod(shape)].view(shape)
        if bias_V is None:
            torch.mm(h_CD, weight_WD.T, out=logits_CW)
        else:
            bias_W = bias_V[start : start + BLOCK_WORDS] / math.log(2)
            torch.addmm(bias_W, h_CD, weight_WD.T, out=logits_CW)
        here_C = ((y_C >= start) & (y_C < start + BLOCK_WORDS)).nonzero()[:, 0]
        at_targets[here_C] = logits_CW[here_C, y_C[here_C] - start]
        top_C1 = logits_CW.amax(1, keepdim=True)
        powers_CW = torch.exp2(logits_CW.sub_(top_C1), out=logits_CW)
        sums.append(powers_CW.sum(1).double().log2() + top_C1[:, 0])
    log2_z_C = torch.logsumexp(torch.stack(sums) * math.log(2), 0)
    return (log2_z_C - at_targets.double() * math.log(2)).to(h_CD.dtype)
