"""Derivatives without back-propagation: the loss is worked out twice beside each weight."""

from collections.abc import Callable

import torch
from torch import Tensor

STEP = 1e-6


@torch.no_grad()
def central_differences(
    loss: Callable[[], Tensor], weight: Tensor, entries_E: Tensor | None = None, step: float = STEP
) -> Tensor:
    """dL/dw (E,) of some entries of a weight: (L(w + s) - L(w - s)) / 2s, s being ``step``.

    ``loss`` works L out anew from the weight as it stands; the weight is left as it was.
    ``entries_E`` are places in the flattened weight (None: all of them, in order). In float64 the
    error is about ``step`` squared, and the rounding of L divided by ``step``.
    """
    flat_P = weight.detach().view(-1)
    entries = range(len(flat_P)) if entries_E is None else entries_E.tolist()
    found = []
    for entry in entries:
        before = flat_P[entry].item()
        sides = []
        for shift in (step, -step):
            flat_P[entry] = before + shift
            sides.append(loss().item())
        flat_P[entry] = before
        found.append((sides[0] - sides[1]) / (2 * step))
    return torch.tensor(found, dtype=torch.float64)


def relative_errors(found: Tensor, expected: Tensor, floor: float = 1e-8) -> Tensor:
    """|a - b| / max(|a|, |b|, floor), number by number: 0 for equal ones, at most 2.

    ``floor`` is the size below which a derivative counts as rounding.
    """
    size = torch.maximum(found.abs(), expected.abs()).clamp(min=floor)
    return (found - expected).abs() / size
