"""What a window model sees of the words before its window, in a few vectors.

    kernel k    f_k(t) = sum_j w_kj y_{t-j},                          j = 0 .. F-1
    average k   a_k(t) = sum_j d_k^j g_k(y_{t-j}) y_{t-j} / sum_j d_k^j g_k(y_{t-j})

y_{t-j} is the word j places before the oldest one of the window of the prediction after t; F is
the setting ``far``. Position kernels are the learned global kernels of Sun & Iyyer (2021),
"Revisiting Simple Neural Probabilistic Language Models"; the averages are the fixed-size forgetting
encoding of Zhang et al. (2015) with learned decays d_k = sigmoid(decay_k) and a learned importance
of each word, g_k(y) = exp(u_k . y), u_k . y clamped to -10 .. 10. (The clamp, unlike a maximum
over the words at hand, does not depend on how a text is cut into pieces.)

Shape suffixes: B rows, T predictions, F far words, S = T + F - 1 words read, E word vectors,
K kernels, A averages; G groups, N columns and C positions of a block in ``BandedProduct``.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nplm_cli.config import ModelConfig

# Positions of one product: a block reads BLOCK + F - 1 words to use F of them at each position.
BLOCK = 32
IMPORTANCE_LIMIT = 10.0
# Between these the first decays stand at even distances of their logits.
FIRST_DECAYS = (0.6, 0.97)


class FarContext(nn.Module):
    """Vectors of S = T + F - 1 words -> features (B, T, (K + A) E): kernels first, then averages.

    The feature of prediction t is made of words t .. t + F - 1 of those handed in.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.far = config.far
        self.width = (config.kernels + config.averages) * config.dim
        self.kernels = PositionKernels(config.kernels, config.far) if config.kernels else None
        self.averages = DecayingAverages(config.averages, config.dim) if config.averages else None

    def forward(self, y_BSE: Tensor) -> Tensor:
        """Return the features of T = S - F + 1 predictions; memory grows with S, not with S F."""
        # Positions first: every product has all rows and units as its columns.
        y_SBE = y_BSE.transpose(0, 1).contiguous()
        features = []
        if self.kernels is not None:
            features.append(self.kernels(y_SBE))
        if self.averages is not None:
            features.append(self.averages(y_SBE, self.far))
        # (kernels and averages, T, B, E) -> (B, T, features side by side)
        return torch.cat(features).permute(2, 1, 0, 3).flatten(2)


class PositionKernels(nn.Module):
    """K weighted sums of the far words; ``weight`` (K, F), column j for the word at distance j."""

    def __init__(self, kernels: int, far: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(kernels, far))

    def forward(self, y_SBE: Tensor) -> Tensor:
        """Return the sums (K, T, B, E)."""
        sums_1KTN = position_sums(self.weight[None], y_SBE.flatten(1)[None])
        return sums_1KTN[0].unflatten(-1, y_SBE.shape[1:])


class DecayingAverages(nn.Module):
    """A averages of the far words: ``weight`` (A, E) is the u_k, ``decay`` (A,) a logit each."""

    def __init__(self, averages: int, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(averages, dim))
        self.decay = nn.Parameter(torch.empty(averages))

    def init_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> None:
        """All words equally important; decays spread between 0.6 and 0.97."""
        if name == "weight":
            parameter.zero_()
        else:
            low, high = (math.log(decay / (1 - decay)) for decay in FIRST_DECAYS)
            steps = torch.arange(len(parameter)) + 0.5
            parameter.copy_(low + (high - low) * steps / len(parameter))

    def forward(self, y_SBE: Tensor, far: int) -> Tensor:
        """Return the averages (A, T, B, E)."""
        scores_SBA = nn.functional.linear(y_SBE, self.weight)
        g_ASB = scores_SBA.clamp(-IMPORTANCE_LIMIT, IMPORTANCE_LIMIT).exp().permute(2, 0, 1)
        # A last unit of 1: its weighted sum is the denominator.
        one_SB1 = y_SBE.new_ones(*y_SBE.shape[:2], 1)
        weighted = g_ASB.unsqueeze(-1) * torch.cat([y_SBE, one_SB1], dim=-1)
        distances_F = torch.arange(far, device=y_SBE.device)
        kernels_AF = (nn.functional.logsigmoid(self.decay)[:, None] * distances_F).exp()
        sums_A1TN = position_sums(kernels_AF[:, None], weighted.flatten(2))
        sums = sums_A1TN[:, 0].unflatten(-1, weighted.shape[2:])
        return sums[..., :-1] / sums[..., -1:]


def position_sums(kernels_GKF: Tensor, y_GSN: Tensor) -> Tensor:
    """Return (G, K, T, N): at t the sum over j of kernel[j] times y[t + F - 1 - j].

    A product with a banded Toeplitz matrix, whose blocks of ``BLOCK`` rows are all the same.
    """
    far = kernels_GKF.shape[-1]
    block = max(1, min(BLOCK, y_GSN.shape[1] - far + 1))
    # Rows of length F + block repeated, then read in rows one shorter: each shifts by one.
    padded = nn.functional.pad(kernels_GKF.flip(-1), (0, block))
    repeated = padded.unsqueeze(-2).expand(-1, -1, block, -1).flatten(2)
    width = far + block - 1
    band_GKCW = repeated[..., : block * width].unflatten(-1, (block, width))
    return BandedProduct.apply(band_GKCW, y_GSN)


class BandedProduct(torch.autograd.Function):
    """The same band (G, K, C, C + F - 1) times each C positions of y (G, S, N), S = T + F - 1.

    Written with its own gradient, because that of slices takes the memory of y for each of them.
    """

    @staticmethod
    def forward(ctx: Any, band_GKCW: Tensor, y_GSN: Tensor) -> Tensor:
        """Return the sums (G, K, T, N)."""
        ctx.save_for_backward(band_GKCW, y_GSN)
        groups, kernels, block, width = band_GKCW.shape
        positions = y_GSN.shape[1] - (width - block)
        sums_GKTN = y_GSN.new_empty(groups, kernels, positions, y_GSN.shape[2])
        for start, count, seen in _blocks(positions, block, width):
            rows = band_GKCW[:, :, :count, :seen].flatten(1, 2)
            product = torch.bmm(rows, y_GSN[:, start : start + seen])
            sums_GKTN[:, :, start : start + count] = product.unflatten(1, (kernels, count))
        return sums_GKTN

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_GKTN: Tensor) -> tuple[Tensor, Tensor]:
        """Add up what each block contributes to the gradients of band and words."""
        band_GKCW, y_GSN = ctx.saved_tensors
        kernels, block, width = band_GKCW.shape[1:]
        d_band, d_y = torch.zeros_like(band_GKCW), torch.zeros_like(y_GSN)
        for start, count, seen in _blocks(gradient_GKTN.shape[2], block, width):
            rows = band_GKCW[:, :, :count, :seen].flatten(1, 2)
            d_rows = gradient_GKTN[:, :, start : start + count].flatten(1, 2)
            y = y_GSN[:, start : start + seen]
            d_y[:, start : start + seen] += torch.bmm(rows.mT, d_rows)
            d_band[:, :, :count, :seen] += torch.bmm(d_rows, y.mT).unflatten(1, (kernels, count))
        return d_band, d_y


def _blocks(positions: int, block: int, width: int) -> list[tuple[int, int, int]]:
    """First position of each block, its positions, and the words that they see."""
    counts = [(start, min(block, positions - start)) for start in range(0, positions, block)]
    return [(start, count, width - block + count) for start, count in counts]
