"""Sampled softmax: the sum over the vocabulary estimated from the words that a step draws.

    Z ~ e^{s_y} + sum over drawn w != y of e^{s_w} / pi_w

s are scores, y is the target, pi_w the probability that w is drawn. Each word is drawn on its own
(Poisson sampling), with pi_w = min(1, c q_w) and q its count to the power 3/4, so that frequent
words are always there and count exactly; the other targets of the step are drawn with them. The
expectation of the estimate is Z itself (Horvitz & Thompson 1952); with importance sampling of the
kind of Bengio & Senecal (2008) and Jean et al. (2015), all predictions of a step share the words.

Shape suffixes: V vocabulary, C drawn words, N predictions.
"""

import numpy as np
import torch
from torch import Tensor

DISTORTION = 0.75


class WordSampler:
    """Draws about ``samples`` words a step, all targets among them."""

    def __init__(self, counts_V: np.ndarray, samples: int, device: torch.device):
        """``counts_V`` are the words' counts in the training text."""
        self.pi_V = torch.from_numpy(inclusion(counts_V, samples)).to(device)
        u_V = np.maximum(counts_V, 1) / np.maximum(counts_V, 1).sum()
        self.log_absent_V = torch.from_numpy(np.log1p(-np.minimum(u_V, 1 - 1e-9))).to(device)
        self._place_V = torch.zeros(len(counts_V), dtype=torch.int64, device=device)

    def draw(self, targets_N: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return the drawn ids (C,), log pi (C,) in fp32, and where the targets are in them (N,).

        A word's pi counts both ways in: drawn, or a target of a step of N predictions.
        """
        drawn_V = torch.rand(self.pi_V.shape, generator=generator, device=self.pi_V.device)
        chosen_V = drawn_V < self.pi_V
        chosen_V[targets_N] = True
        ids_C = chosen_V.nonzero()[:, 0]
        self._place_V[ids_C] = torch.arange(len(ids_C), device=ids_C.device)
        absent_C = (1 - self.pi_V[ids_C]) * (self.log_absent_V[ids_C] * len(targets_N)).exp()
        return ids_C, torch.log1p(-absent_C).float(), self._place_V[targets_N]


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
