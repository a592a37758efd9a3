"""Losses that score a sample of the words instead of all: sampled softmax and NCE.

Both learn what the full softmax learns, from about ``samples`` scores a prediction; evaluation
stays exact. Shape suffixes: V vocabulary, C words of a step (``sampling.py``), D width of what the
output layer reads, N predictions.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nplm_cli.config import TrainingConfig
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.output import chunk_rows
from nplm_cli.training.losses import CHUNK_LOGITS, OutputLoss
from nplm_cli.training.sampling import Sample, WordSampler, log_shares

# Rows of an output matrix by their ids.
Lookup = Callable[[Tensor, Tensor], Tensor]


class SampledLoss:
    """Softmax over the words of a step: those drawn, and all targets.

        Z ~ e^{s_y} + sum over the other words w of the step of e^{s_w} / p_w

    s are scores, y is the target and p_w the probability that w is among the words of a step. Over
    draws, and targets that come from the text one by one, the expectation of the estimate is Z
    itself (Horvitz & Thompson 1952), so this is importance sampling of the kind of Bengio & Senecal
    (2008) and Jean et al. (2015). Neighbours in a text make that an approximation.
    """

    def __init__(
        self,
        model: LanguageModel,
        sampler: WordSampler,
        generator: torch.Generator,
        lookup: Lookup,
    ):
        """``lookup`` gives the rows of the output matrix (``FlatWeights.lookup``)."""
        self.model, self.sampler, self.generator = model, sampler, generator
        self.lookup, self.softmax = lookup, OutputLoss()

    def __call__(self, hidden_ND: Tensor, targets_N: Tensor) -> Tensor:
        """Return the estimate of the sum of -log p, a scalar through which gradients flow."""
        sample = self.sampler.draw(targets_N, self.generator)
        weight_CD, bias_C = _drawn_rows(self.model, sample, self.lookup, -sample.log_present_C)
        # The target itself counts as it is.
        own_N = sample.log_present_C[sample.place_N]
        return self.softmax(hidden_ND, weight_CD, bias_C, sample.place_N, own_N)


class NceLoss:
    """Noise-contrastive estimation (Gutmann & Hyvarinen 2012; Mnih & Teh 2012).

    A target y is to be told from noise words, of which w is drawn with probability pi_w:

        J = -log sigma(s_y - log pi_y) - sum over drawn w of log sigma(log pi_w - s_w)

    where scores stand for log-probabilities as they are: Z is fixed at 1, and the biases start at
    the words' log-shares of the text, so that it is near 1 from the beginning (Vaswani et al.
    2013); where they do not, or there are none, Z is fixed at V. All predictions of a step share
    the noise words (Zoph et al. 2016). Each word is drawn at most once, with a probability of its
    own; the expectation of J, in which pi takes the place of k times the noise distribution, has
    its minimum at the same scores.
    """

    def __init__(
        self,
        model: LanguageModel,
        sampler: WordSampler,
        generator: torch.Generator,
        lookup: Lookup,
    ):
        """``lookup`` gives the rows of the output matrix (``FlatWeights.lookup``)."""
        self.model, self.sampler, self.generator = model, sampler, generator
        self.lookup, self.buffer = lookup, OutputLoss()
        self.log_z = 0.0 if _starts_at_shares(model) else math.log(len(sampler.pi_V))

    def __call__(self, hidden_ND: Tensor, targets_N: Tensor) -> Tensor:
        """Return an estimate of the sum of -log p; the gradients through it are those of J.

        Z is estimated from the drawn words, as in Horvitz & Thompson (1952), so that the figure can
        be compared with that of other losses.
        """
        sample = self.sampler.draw(targets_N, self.generator)
        offset_C = -sample.log_pi_C - self.log_z
        weight_CD, bias_C = _drawn_rows(self.model, sample, self.lookup, offset_C)
        total: Tensor = _LinearNce.apply(
            hidden_ND,
            weight_CD,
            bias_C,
            sample.drawn_C,
            sample.log_pi_C,
            sample.place_N,
            self.buffer,
        )
        return total


def _drawn_rows(
    model: LanguageModel, sample: Sample, lookup: Lookup, plus_C: Tensor
) -> tuple[Tensor, Tensor]:
    """Rows (C, D) of the output matrix and biases (C,), to which ``plus_C`` is added in fp32."""
    weight_CD = lookup(model.output_weight, sample.ids_C)
    if model.output.bias is not None:
        plus_C = plus_C + model.output.bias.index_select(0, sample.ids_C)
    return weight_CD, plus_C.to(weight_CD.dtype)


class _LinearNce(torch.autograd.Function):
    """Scores, estimate of -log p and gradient of J in one pass over the scores, in chunks.

    Shape suffix M: the predictions of a chunk.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_CD: Tensor,
        bias_C: Tensor,
        drawn_C: Tensor,
        log_pi_C: Tensor,
        place_N: Tensor,
        owner: OutputLoss,
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float64, device=hidden_ND.device)
        grad_hidden_ND = torch.empty_like(hidden_ND)
        grad_weight_CD, grad_bias_C = torch.zeros_like(weight_CD), torch.zeros_like(bias_C)
        rows = chunk_rows(len(weight_CD), CHUNK_LOGITS)
        for start in range(0, len(hidden_ND), rows):
            hidden_MD, place_M = hidden_ND[start : start + rows], place_N[start : start + rows]
            # log (p / pi) of each word under Z = 1.
            ratio_MC = owner.logits_buffer(len(hidden_MD), weight_CD)
            torch.addmm(bias_C, hidden_MD, weight_CD.T, out=ratio_MC)
            at_targets = (torch.arange(len(place_M), device=place_M.device), place_M)
            own_M = _at_least_fp32(ratio_MC[at_targets])
            # A target that was not drawn is no noise.
            ratio_MC.masked_fill_(~drawn_C, -math.inf)
            score_M = own_M + log_pi_C[place_M]
            # In Z the target counts as it is, drawn or not; so the expectation is Z.
            noise_M = ratio_MC[at_targets]
            ratio_MC[at_targets] = -math.inf
            log_z_M = torch.logaddexp(_at_least_fp32(torch.logsumexp(ratio_MC, 1)), score_M)
            ratio_MC[at_targets] = noise_M
            total += (log_z_M - score_M).sum(dtype=torch.float64)
            delta_MC = ratio_MC.sigmoid_()
            pull_M = -torch.sigmoid(-own_M)
            delta_MC.index_put_(at_targets, pull_M.to(delta_MC.dtype), accumulate=True)
            torch.mm(delta_MC, weight_CD, out=grad_hidden_ND[start : start + rows])
            grad_weight_CD.addmm_(delta_MC.T, hidden_MD)
            grad_bias_C += delta_MC.sum(0)
        ctx.save_for_backward(grad_hidden_ND, grad_weight_CD, grad_bias_C)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [grad * grad_outputs[0].to(grad.dtype) for grad in ctx.saved_tensors]
        return (*scaled, None, None, None, None)


def _at_least_fp32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def sampled_loss(
    model: LanguageModel,
    counts_V: np.ndarray,
    config: TrainingConfig,
    generator: torch.Generator,
    lookup: Lookup,
) -> SampledLoss | NceLoss | None:
    """Return what ``config.loss`` asks for; None: the full softmax alone.

    ``counts_V`` are the words' counts in the training text.
    """
    if config.loss == "full":
        return None
    sampler = WordSampler(counts_V, config.samples, model.embedding.weight.device)
    kind = NceLoss if config.loss == "nce" else SampledLoss
    return kind(model, sampler, generator, lookup)


def _starts_at_shares(model: LanguageModel) -> bool:
    """Whether the output biases begin as log-shares: not where ``--init`` asks for others."""
    return model.output.bias is not None and model.config.init in ("small", "counts")


def start_at_shares(model: LanguageModel, counts_V: np.ndarray) -> None:
    """Let a new model first guess the words' shares of the text, by its output biases.

    Not where ``--init`` asks for other first weights, or where there are no biases; under
    ``counts`` they have their values already.
    """
    if model.config.init == "small":
        model.output.start_at(torch.from_numpy(log_shares(counts_V)))
