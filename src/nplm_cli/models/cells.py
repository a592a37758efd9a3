"""One step of each recurrence, written out as a plain function on tensors.

They are the reference for torch's fused kernels, and what runs where torch has none (peepholes,
activations other than tanh and relu).

Shape suffixes: B rows, H hidden units, G = H times the number of gates. ``a`` is the input's share
of what goes into the gates: input weights times x, plus bias. Gates in torch's order: GRU r, z, n;
LSTM i, f, g, o.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


def rnn_step(
    a_BH: Tensor,
    h_BH: Tensor,
    recurrent_HH: Tensor,
    activation: Callable[[Tensor], Tensor] = torch.tanh,
) -> Tensor:
    """Return h_t = f(a + W h_{t-1}), a = U x_t + b (Elman 1990)."""
    return activation(a_BH + h_BH @ recurrent_HH.T)


class GruStep(NamedTuple):
    """Gates, candidate and new state of a gated recurrent unit, each of shape (B, H)."""

    r: Tensor
    z: Tensor
    n: Tensor
    h: Tensor


def gru_gates(a_BG: Tensor, h_BH: Tensor, recurrent_GH: Tensor) -> GruStep:
    """Return all of one step of a gated recurrent unit, from a = W x_t + b and h = h_{t-1}::

        r = sigmoid(a_r + U_r h)        z = sigmoid(a_z + U_z h)
        n = tanh(a_n + r * (U_n h))     h_t = (1 - z) * n + z * h

    That is cuDNN's variant: the reset gate acts after the product with U_n. Cho et al. (2014,
    eq. 8) have U_n (r * h) in its place. The bias, part of a, stands outside the reset.
    """
    a_r, a_z, a_n = a_BG.chunk(3, dim=-1)
    u_r, u_z, u_n = (h_BH @ recurrent_GH.T).chunk(3, dim=-1)
    reset, update = torch.sigmoid(a_r + u_r), torch.sigmoid(a_z + u_z)
    candidate = torch.tanh(a_n + reset * u_n)
    return GruStep(reset, update, candidate, (1 - update) * candidate + update * h_BH)


def gru_step(a_BG: Tensor, h_BH: Tensor, recurrent_GH: Tensor) -> Tensor:
    """Return h_t of a gated recurrent unit (``gru_gates``)."""
    return gru_gates(a_BG, h_BH, recurrent_GH).h


def lstm_cell(c: Tensor, input_gate: Tensor, forget: Tensor, candidate: Tensor) -> Tensor:
    """Return the new cell c_t = f * c_{t-1} + i * g, from gates of the same shape."""
    return forget * c + input_gate * candidate


def lstm_hidden(c: Tensor, output_gate: Tensor) -> Tensor:
    """Return the new state h_t = o * tanh(c_t)."""
    return output_gate * torch.tanh(c)


class LstmStep(NamedTuple):
    """Gates, candidate, new cell and new state of a long short-term memory, each (B, H)."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


def lstm_gates(
    a_BG: Tensor,
    h_BH: Tensor,
    c_BH: Tensor,
    recurrent_GH: Tensor,
    peephole: Tensor | None = None,
) -> LstmStep:
    """Return all of one step of a long short-term memory with forget gate (Gers et al. 2000), from
    a = W x_t + b, h = h_{t-1} and c = c_{t-1}::

        i = sigmoid(a_i + U_i h + P_i c)    f = sigmoid(a_f + U_f h + P_f c)
        g = tanh(a_g + U_g h)               c_t = f * c + i * g
        o = sigmoid(a_o + U_o h + P_o c_t)  h_t = o * tanh(c_t)

    ``peephole`` has the blocks P_i, P_f, P_o, of shape (3, H) where each unit sees its own cell
    (Gers et al. 2002) or (3, H, H) where it sees all; without it, P = 0.
    """
    i, f, g, o = (a_BG + h_BH @ recurrent_GH.T).chunk(4, dim=-1)
    if peephole is not None:
        i, f = i + _seen(c_BH, peephole[0]), f + _seen(c_BH, peephole[1])
    i, f, g = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g)
    c_BH = lstm_cell(c_BH, i, f, g)
    if peephole is not None:
        o = o + _seen(c_BH, peephole[2])
    o = torch.sigmoid(o)
    return LstmStep(i, f, g, o, c_BH, lstm_hidden(c_BH, o))


def lstm_step(
    a_BG: Tensor,
    h_BH: Tensor,
    c_BH: Tensor,
    recurrent_GH: Tensor,
    peephole: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return h_t and c_t of a long short-term memory (``lstm_gates``)."""
    step = lstm_gates(a_BG, h_BH, c_BH, recurrent_GH, peephole)
    return step.h, step.c


def _seen(c_BH: Tensor, weight: Tensor) -> Tensor:
    return c_BH * weight if weight.ndim == 1 else c_BH @ weight.T
