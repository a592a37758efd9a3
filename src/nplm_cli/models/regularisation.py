"""Noise that regularises: dropout in its several places, drawn from a generator handed in."""

import math

import torch
from torch import Tensor, nn

from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID


class Noise(nn.Module):
    """A module that is random in training and the identity otherwise.

    ``LanguageModel.use_generator`` gives every one of a model the trainer's generator; without
    one torch's global generator is asked.
    """

    def __init__(self, share: float):
        super().__init__()
        self.full_share = share
        self.strength = 1.0
        self.generator: torch.Generator | None = None

    @property
    def share(self) -> float:
        """What is dropped now: less than the whole while ``strength`` is below 1."""
        return self.full_share * self.strength

    @property
    def acts(self) -> bool:
        """Whether anything is dropped now."""
        return self.training and self.share > 0

    def kept(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Draw which cells stay: false for a ``share`` of them."""
        if device.type != "cpu":
            return torch.rand(shape, generator=self.generator, device=device) >= self.share
        # Sixteen bits a cell, four cells a draw: an eighth of the time of bernoulli_, which would
        # take a tenth of a training step.
        cells = math.prod(shape)
        drawn = torch.empty(-(-cells // 4), dtype=torch.int64)
        drawn.random_(-(2**63), None, generator=self.generator)
        least = min(round(self.share * 2**16) - 2**15, 2**15 - 1)
        return (drawn.view(torch.int16)[:cells] >= least).view(shape)

    def drop(self, x: Tensor, kept: Tensor) -> Tensor:
        """Zero what is not ``kept`` (broadcast) and scale the rest so that the mean stays."""
        return (x * kept).mul_(1 / (1 - self.share))


class Dropout(Noise):
    """Inverted dropout (Srivastava et al. 2014).

    ``locked``: one mask for all positions of a row (B, T, D), as in variational dropout (Gal &
    Ghahramani 2016).
    """

    def __init__(self, share: float, locked: bool = False):
        super().__init__(share)
        self.locked = locked

    def forward(self, x: Tensor) -> Tensor:
        """Zero a ``share`` of x and scale the rest so that the mean stays."""
        if not self.acts:
            return x
        shape = (x.shape[0], 1, x.shape[-1]) if self.locked and x.ndim == 3 else tuple(x.shape)
        return self.drop(x, self.kept(shape, x.device))


class EmbeddingDropout(Noise):
    """Dropout of whole word types: a dropped word's vector is 0 wherever it stands in a step."""

    def forward(self, x_BTE: Tensor, ids_BT: Tensor, vocabulary_size: int) -> Tensor:
        """Return the vectors of ``ids_BT`` with those of dropped types set to 0."""
        if not self.acts:
            return x_BTE
        kept_V = self.kept((vocabulary_size,), x_BTE.device)
        return self.drop(x_BTE, kept_V[ids_BT].unsqueeze(-1))


class WordDropout(Noise):
    """Words are read as ``<unk>`` now and then (Bowman et al. 2016); ``</s>`` never is."""

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Return the ids with a ``share`` of the words replaced."""
        if not self.acts:
            return ids_BT
        drawn = torch.rand(ids_BT.shape, generator=self.generator, device=ids_BT.device)
        return ids_BT.masked_fill((drawn < self.share) & (ids_BT != EOS_ID), UNK_ID)
