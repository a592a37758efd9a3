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
# A block of logits that stays in the processor's cache.
CPU_BLOCK_ROWS, CPU_BLOCK_WORDS = 512, 500
# Sums in between have lost nothing to overflow, and to underflow less than rounding takes ...
LEAST, MOST = 1e-20, 1e30
# ... if the biases are no further apart than this.
BIAS_RANGE = 60.0


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
    hidden_ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    targets_M: Tensor,
    rows_M: Tensor | None = None,
) -> Tensor:
    """Negative log-likelihood (nats) of each of M predictions, exact, without gradients.

    Target m is predicted from row ``rows_M[m]`` of ``hidden_ND`` (None: from row m), so that
    predictions of the same context share one sum over all words.
    """
    on_cpu = hidden_ND.device.type == "cpu"
    log_z_N = (_log_z_on_cpu if on_cpu else _log_z_of_chunks)(hidden_ND, weight_VD, bias_V)
    if rows_M is not None:
        hidden_ND, log_z_N = hidden_ND[rows_M], log_z_N[rows_M]
    nll_M = log_z_N - (hidden_ND * weight_VD[targets_M]).sum(1)
    if bias_V is not None:
        nll_M -= bias_V[targets_M]
    # The sum holds the target itself: below 0 there is nothing but rounding.
    return nll_M.clamp_(min=0.0).to(hidden_ND.dtype)


def _log_z_on_cpu(hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None) -> Tensor:
    """ln sum_v exp(w_v h + b_v) of each row (N,), float64, as ``query/output.py`` works it out.

    Powers are taken of w_v h as it is, in a block that stays in the processor's cache, and a
    product with exp(b) adds them up. Rows whose sums leave the safe range are taken again with
    their largest logit subtracted; when many do, so are all that follow.
    """
    words = len(weight_VD)
    bias = weight_VD.new_zeros(words) if bias_V is None else bias_V
    top = float(bias.max())
    factors_V = torch.exp(bias - top)
    log_z_N = hidden_ND.new_empty(len(hidden_ND), dtype=torch.float64)
    buffer = hidden_ND.new_empty(min(len(hidden_ND), CPU_BLOCK_ROWS) * min(words, CPU_BLOCK_WORDS))
    shifted = not top - float(bias.min()) <= BIAS_RANGE
    for start in range(0, len(hidden_ND), CPU_BLOCK_ROWS):
        h_CD = hidden_ND[start : start + CPU_BLOCK_ROWS]
        if shifted:
            log_z_N[start : start + CPU_BLOCK_ROWS] = _log_z_in_blocks(h_CD, weight_VD, bias_V)
            continue
        sums_C = log_z_N.new_zeros(len(h_CD))
        for begin in range(0, words, CPU_BLOCK_WORDS):
            weight_WD = weight_VD[begin : begin + CPU_BLOCK_WORDS]
            shape = (len(h_CD), len(weight_WD))
            powers_CW = buffer[: math.prod(shape)].view(shape)
            torch.mm(h_CD, weight_WD.T, out=powers_CW).exp_()
            # In float32 within a block, in float64 from block to block.
            sums_C += powers_CW.mv(factors_V[begin : begin + CPU_BLOCK_WORDS])
        log_z_N[start : start + CPU_BLOCK_ROWS] = sums_C.log() + top
        again_C = (~((sums_C > LEAST) & (sums_C < MOST))).nonzero()[:, 0]
        if len(again_C):
            log_z_N[start + again_C] = _log_z_in_blocks(h_CD[again_C], weight_VD, bias_V)
            shifted = 4 * len(again_C) > len(h_CD)
    return log_z_N


def _log_z_of_chunks(hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None) -> Tensor:
    """The same on other devices, where a chunk is read with all its words at once."""
    if len(weight_VD) > WHOLE_WORDS:
        pieces = [_log_z_in_blocks(h, weight_VD, bias_V) for h in hidden_ND.split(BLOCK_ROWS)]
    else:
        pieces = [
            torch.logsumexp(nn.functional.linear(h_CD, weight_VD, bias_V), 1).double()
            for h_CD in hidden_ND.split(chunk_rows(len(weight_VD)))
        ]
    return torch.cat(pieces)


def _log_z_in_blocks(h_CD: Tensor, weight_VD: Tensor, bias_V: Tensor | None) -> Tensor:
    """The same (C,), float64, for logits of any size, from blocks of words.

    Logarithms to base 2, of which powers are cheaper.
    """
    sums = []
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
        top_C1 = logits_CW.amax(1, keepdim=True)
        powers_CW = torch.exp2(logits_CW.sub_(top_C1), out=logits_CW)
        sums.append(powers_CW.sum(1).double().log2() + top_C1[:, 0])
    return torch.logsumexp(torch.stack(sums) * math.log(2), 0)
