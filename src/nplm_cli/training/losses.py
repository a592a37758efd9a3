"""Softmax cross-entropy fused with the output layer, in chunks.

    -log p(y | h) = log sum_v exp(u_v . h + c_v) - (u_y . h + c_y)

The gradient with respect to the logits is softmax minus one-hot, so loss and gradients come out
of one pass over a chunk of logits, in one buffer that is reused: a (B, T, V) tensor never exists.
"""

from typing import Any

import torch
from torch import Tensor

from nplm_cli.models.output import chunk_rows


class OutputLoss:
    """Sum of negative log-likelihoods (nats) of targets under a linear softmax layer."""

    def __init__(self) -> None:
        self._buffer = torch.empty(0)

    def __call__(
        self, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor
    ) -> Tensor:
        """Return the sum over N as a scalar through which gradients flow."""
        return _LinearCrossEntropy.apply(hidden_ND, weight_VD, bias_V, targets_N, self)

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
        owner: OutputLoss,
    ) -> Tensor:
        want_hidden, want_weight = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        want_bias = ctx.needs_input_grad[2] and bias_V is not None
        grad_hidden = torch.empty_like(hidden_ND) if want_hidden else None
        grad_weight = torch.zeros_like(weight_VD) if want_weight else None
        grad_bias = torch.zeros_like(bias_V) if want_bias and bias_V is not None else None
        total = torch.zeros((), dtype=torch.float64, device=hidden_ND.device)
        rows = chunk_rows(len(weight_VD))
        for start in range(0, len(hidden_ND), rows):
            h_CD, y_C = hidden_ND[start : start + rows], targets_N[start : start + rows]
            logits_CV = owner.logits_buffer(len(h_CD), weight_VD)
            if bias_V is None:
                torch.mm(h_CD, weight_VD.T, out=logits_CV)
            else:
                torch.addmm(bias_V, h_CD, weight_VD.T, out=logits_CV)
            log_z_C = torch.logsumexp(logits_CV, dim=1, keepdim=True)
            nll_C1 = log_z_C - logits_CV.gather(1, y_C[:, None])
            total += nll_C1.sum(dtype=torch.float64)
            if not (want_hidden or want_weight or want_bias):
                continue
            delta_CV = logits_CV.sub_(log_z_C).exp_()
            delta_CV.scatter_add_(1, y_C[:, None], torch.full_like(nll_C1, -1))
            if grad_hidden is not None:
                torch.mm(delta_CV, weight_VD, out=grad_hidden[start : start + rows])
            if grad_weight is not None:
                grad_weight.addmm_(delta_CV.T, h_CD)
            if grad_bias is not None:
                grad_bias += delta_CV.sum(0)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [
            None if grad is None else grad * grad_outputs[0].to(grad.dtype)
            for grad in ctx.saved_tensors
        ]
        return (*scaled, None, None)


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
