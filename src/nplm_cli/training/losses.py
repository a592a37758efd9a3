"""Softmax cross-entropy fused with the output layer, in chunks.

    -log p(y | h) = log sum_v exp(u_v . h + c_v) - (u_y . h + c_y)

The gradient with respect to the logits is softmax minus one-hot, so loss and gradients come out
of one pass over a chunk of logits, in one buffer that is reused: a (B, T, V) tensor never exists.

Self-normalisation (Devlin, Zbib, Huang, Lamar, Schwartz & Makhoul 2014, section 3.2) adds
X (log Z)^2 for each prediction, Z the sum of the exponentials of all logits. As log Z has the
softmax for its gradient, that of the whole is softmax times (1 + 2 X log Z), minus one-hot; and
log Z is at hand as the target's logit minus its log-probability.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nplm_cli.models.base import LanguageModel
from nplm_cli.models.output import chunk_rows

# Logits of one chunk: most steps are one chunk at 10,000 words.
CHUNK_LOGITS = 16_000_000


class OutputLoss:
    """Sum of negative log-likelihoods (nats) of targets under a linear softmax layer."""

    def __init__(self, self_normalize: float = 0.0) -> None:
        """``self_normalize`` is X of the penalty on log Z, in the gradients alone."""
        self.self_normalize = self_normalize
        self._buffer = torch.empty(0)

    def __call__(
        self,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        targets_N: Tensor,
        extra_N: Tensor | None = None,
    ) -> Tensor:
        """Return the sum over N as a scalar through which gradients flow.

        ``extra_N`` is added to the logits of the targets. The figure is without the penalty.
        """
        return _LinearCrossEntropy.apply(hidden_ND, weight_VD, bias_V, targets_N, extra_N, self)

    def logits_buffer(self, rows: int, like: Tensor) -> Tensor:
        """Return a (rows, V) view of memory that every step uses again."""
        size = rows * like.shape[0]
        buffer = self._buffer
        if buffer.numel() < size or buffer.device != like.device or buffer.dtype != like.dtype:
            self._buffer = buffer = torch.empty(size, device=like.device, dtype=like.dtype)
        return buffer[:size].view(rows, like.shape[0])


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        targets_N: Tensor,
        extra_N: Tensor | None,
        owner: OutputLoss,
    ) -> Tensor:
        want_hidden, want_weight = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        want_bias = ctx.needs_input_grad[2] and bias_V is not None
        grad_hidden = torch.empty_like(hidden_ND) if want_hidden else None
        # The first chunk fills it.
        make = torch.empty_like if len(hidden_ND) else torch.zeros_like
        grad_weight = make(weight_VD) if want_weight else None
        grad_bias = torch.zeros_like(bias_V) if want_bias and bias_V is not None else None
        total = torch.zeros((), dtype=torch.float64, device=hidden_ND.device)
        rows = chunk_rows(len(weight_VD), CHUNK_LOGITS)
        for start in range(0, len(hidden_ND), rows):
            h_CD, y_C = hidden_ND[start : start + rows], targets_N[start : start + rows]
            logits_CV = owner.logits_buffer(len(h_CD), weight_VD)
            if bias_V is None:
                torch.mm(h_CD, weight_VD.T, out=logits_CV)
            else:
                torch.addmm(bias_V, h_CD, weight_VD.T, out=logits_CV)
            at_targets = (torch.arange(len(y_C), device=y_C.device), y_C)
            extra_C = None if extra_N is None else extra_N[start : start + rows]
            if extra_C is not None:
                logits_CV.index_put_(at_targets, extra_C.to(logits_CV.dtype), accumulate=True)
            logit_C = logits_CV[at_targets] if owner.self_normalize else None
            p_CV = torch.softmax(logits_CV, dim=1, out=logits_CV)
            p_C = p_CV[at_targets]
            nll_C = _nll(p_C, h_CD, weight_VD, bias_V, y_C, extra_C)
            total += nll_C.sum(dtype=torch.float64)
            if logit_C is not None:
                log_z_C = logit_C + nll_C
                p_CV.mul_((1 + 2 * owner.self_normalize * log_z_C).to(p_CV.dtype)[:, None])
                p_C = p_CV[at_targets]
            # softmax minus one-hot, the gradient of the sum
            delta_CV = p_CV.index_put_(at_targets, p_C - 1)
            if grad_hidden is not None:
                torch.mm(delta_CV, weight_VD, out=grad_hidden[start : start + rows])
            if grad_weight is not None:
                if start:
                    grad_weight.addmm_(delta_CV.T, h_CD)
                else:
                    torch.mm(delta_CV.T, h_CD, out=grad_weight)
            if grad_bias is not None:
                grad_bias += delta_CV.sum(0)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [
            None if grad is None else grad * grad_outputs[0].to(grad.dtype)
            for grad in ctx.saved_tensors
        ]
        return (*scaled, None, None, None)


def _nll(
    p_C: Tensor,
    h_CD: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    y_C: Tensor,
    extra_C: Tensor | None,
) -> Tensor:
    """-log p (C,), from the logits again where p is too small to be a number."""
    p_C = p_C.to(torch.promote_types(p_C.dtype, torch.float32))
    nll_C = -torch.log(p_C)
    lost_C = p_C < torch.finfo(p_C.dtype).tiny
    if bool(lost_C.any()):
        logits_LV = nn.functional.linear(
            h_CD[lost_C].to(p_C.dtype),
            weight_VD.to(p_C.dtype),
            None if bias_V is None else bias_V.to(p_C.dtype),
        )
        at_targets = (torch.arange(len(logits_LV), device=y_C.device), y_C[lost_C])
        if extra_C is not None:
            logits_LV.index_put_(at_targets, extra_C[lost_C].to(p_C.dtype), accumulate=True)
        nll_C[lost_C] = torch.logsumexp(logits_LV, 1) - logits_LV[at_targets]
    return nll_C


class FullLoss:
    """The exact loss of a model's output layer, whatever it is."""

    def __init__(self, model: LanguageModel, self_normalize: float = 0.0):
        self.model, self.softmax = model, OutputLoss(self_normalize)

    def __call__(self, hidden_ND: Tensor, targets_N: Tensor) -> Tensor:
        """Return the sum of -log p over N, a scalar through which gradients flow."""
        total = torch.zeros((), dtype=torch.float64, device=hidden_ND.device)
        for hidden_MD, weight_VD, bias_V, targets_M, _ in self.model.softmaxes(
            hidden_ND, targets_N
        ):
            total = total + self.softmax(hidden_MD, weight_VD, bias_V, targets_M)
        return total


def activation_penalty(
    dropped_BTH: Tensor, raw_BTH: Tensor, counted_BT: Tensor, ar: float, tar: float
) -> Tensor:
    """Activation regularisation and its temporal kind (Merity, McCann & Socher 2017).

    ``ar`` times the mean square of the last hidden layer's states after output dropout, plus
    ``tar`` times the mean square of the change from one state to the next before it; means over
    the units and the positions that count.
    """
    penalty = ar * dropped_BTH[counted_BT].pow(2).mean()
    pairs = counted_BT[:, 1:] & counted_BT[:, :-1]
    if tar and bool(pairs.any()):
        changes = (raw_BTH[:, 1:] - raw_BTH[:, :-1])[pairs]
        penalty = penalty + tar * changes.pow(2).mean()
    return penalty
