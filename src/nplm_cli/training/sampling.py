"""Words drawn at random, so that a step computes some thousand scores of each prediction, not V.

Each word is drawn on its own (Poisson sampling), with probability pi_w = min(1, c q_w), q its
count to the power 3/4 (Mikolov et al. 2013) and c such that ``samples`` words are drawn in the
mean: frequent words are always there. All predictions of a step share the words (Jean et al. 2015,
Zoph et al. 2016): one matrix product.

Shape suffixes: V vocabulary, C words of a step, N predictions.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

DISTORTION = 0.75
# Probabilities are multiples of 2^-16, so that sixteen random bits decide about a word.
PARTS = 2**16


@dataclass(frozen=True)
class Sample:
    """The words of a step: those drawn, and all targets.

    ``ids_C`` ascend; ``drawn_C`` says which were drawn, with probability exp ``log_pi_C``;
    ``log_present_C`` is the log-probability that a word is here either way, for a prediction of
    another word; ``place_N`` is where the targets are among them. Logarithms are fp32.
    """

    ids_C: Tensor
    drawn_C: Tensor
    log_pi_C: Tensor
    log_present_C: Tensor
    place_N: Tensor


class WordSampler:
    """Draws the words of one step after another."""

    def __init__(self, counts_V: np.ndarray, samples: int, device: torch.device):
        """``counts_V`` are the words' counts in the training text."""
        parts_V = np.clip(np.rint(inclusion(counts_V, samples) * PARTS), 1, PARTS)
        self.pi_V = torch.from_numpy(parts_V / PARTS).to(device)
        share_V = np.exp(log_shares(counts_V))
        self._log_other_V = torch.from_numpy(np.log1p(-np.minimum(share_V, 1 - 1e-9))).to(device)
        self._highest_V = torch.from_numpy((parts_V - 1 - PARTS // 2).astype(np.int16)).to(device)
        self._place_V = torch.zeros(len(counts_V), dtype=torch.int64, device=device)

    def draw(self, targets_N: Tensor, generator: torch.Generator) -> Sample:
        """Draw words for a step with these targets.

        That the N - 1 other targets are none of a word is (1 - u)^(N-1), u its share of the text.
        """
        drawn_V = self._bits(generator) <= self._highest_V
        among_V = drawn_V.clone().index_fill_(0, targets_N, True)
        ids_C = among_V.nonzero()[:, 0]
        self._place_V[ids_C] = torch.arange(len(ids_C), device=ids_C.device)
        pi_C, others = self.pi_V[ids_C], max(len(targets_N) - 1, 0)
        absent_C = (1 - pi_C) * (self._log_other_V[ids_C] * others).exp()
        return Sample(
            ids_C,
            drawn_V[ids_C],
            pi_C.log().float(),
            torch.log1p(-absent_C).float(),
            self._place_V[targets_N],
        )

    def _bits(self, generator: torch.Generator) -> Tensor:
        """Sixteen random bits a word, as numbers from -2^15 to 2^15 - 1."""
        words = len(self._highest_V)
        drawn = torch.empty(-(-words // 4), dtype=torch.int64, device=self._highest_V.device)
        drawn.random_(-(2**63), None, generator=generator)
        return drawn.view(torch.int16)[:words]


def log_shares(counts_V: np.ndarray) -> np.ndarray:
    """Logarithms of the words' shares of a text; a word that is not in it counts as one."""
    counts_V = np.maximum(counts_V, 1)
    return np.log(counts_V) - math.log(counts_V.sum())


def inclusion(counts_V: np.ndarray, samples: int) -> np.ndarray:
    """Probabilities min(1, c q_w) that sum to ``samples`` (or to V, if that is less)."""
    q_V = np.maximum(counts_V, 1).astype(np.float64) ** DISTORTION
    samples = min(samples, len(q_V))
    ordered = np.sort(q_V)[::-1]
    # With the k most frequent words always in, c = (samples - k) / sum of the others.
    rest = np.cumsum(ordered[::-1])[::-1]
    k = np.arange(len(ordered))
    c = (samples - k) / rest
    fits = np.flatnonzero(c * ordered <= 1)
    scale = c[fits[0]] if len(fits) else np.inf
    return np.minimum(1.0, scale * q_V)
