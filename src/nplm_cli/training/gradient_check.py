"""Back-propagation checked: gradients of a loss, against differences of that loss.

The gradients are those that training uses: autograd through the model, and the hand-written
gradients of ``losses.py`` and ``sampled_losses.py`` at its end. The differences work the loss out
again beside each weight and know nothing of any of them. All of it in float64, dropout off.

An entry whose slopes to the left and to the right differ, and go on differing as the step shrinks,
is a kink (of a ReLU whose sum passes 0 within the step): there is no one derivative to compare
with. Kinks are looked for where the comparison fails, and are counted, not dropped in silence.

Shape suffixes: E entries of a tensor, P numbers of it, N predictions.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nplm_cli import events
from nplm_cli.corpus.batches import Batch
from nplm_cli.models.base import LanguageModel
from nplm_cli.training.finite_differences import central_differences, relative_errors

# Of the shift of a weight: truncation (its square) and rounding (1e-16 divided by it) are alike.
STEP = 1e-5
TOLERANCE = 1e-5
# Nats per prediction and unit of weight below which a derivative counts as rounding.
FLOOR = 1e-4
# Jumps of slope below this are rounding, magnified by the small steps.
SMALLEST_JUMP = 1e-8
# One entry in so many is drawn from those whose gradient is 0: it should be.
ZERO_SHARE = 5

# (what the output layer reads (N, D), targets) -> a scalar.
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Entry:
    """One number of a tensor: where, and its derivative by both ways."""

    index: tuple[int, ...]
    gradient: float
    difference: float


@dataclass(frozen=True)
class TensorCheck:
    """What was found of a tensor; ``worst`` is where the relative error is largest.

    ``relative_error`` is |a - b| / max(|a|, |b|, ``FLOOR``), kinks not counted; both errors are
    None where all entries are kinks.
    """

    name: str
    shape: tuple[int, ...]
    entries: int
    kinks: int
    relative_error: float | None
    absolute_error: float | None
    worst: Entry | None
    holds: bool | None  # None: all entries are kinks, so nothing was compared


@dataclass(frozen=True)
class Check:
    """The tensors of a model under one loss."""

    model: str
    arch: str
    loss: str
    predictions: int
    tensors: Sequence[TensorCheck]

    @property
    def relative_error(self) -> float | None:
        """The largest of all tensors; None where all entries are kinks."""
        return max(
            (t.relative_error for t in self.tensors if t.relative_error is not None), default=None
        )

    @property
    def holds(self) -> bool | None:
        """Whether no entry that was compared is off; None where all entries are kinks."""
        return all_hold(tensor.holds for tensor in self.tensors)


def all_hold(parts: Iterable[bool | None]) -> bool | None:
    """Whether all hold that were compared; None where nothing was."""
    compared = [holds for holds in parts if holds is not None]
    return all(compared) if compared else None


def check_gradients(
    model: LanguageModel,
    batches: Sequence[Batch],
    loss: Loss,
    plain_loss: Loss | None = None,
    *,
    name: str,
    loss_name: str = "full",
    entries: int | None = None,
    seed: int = 1,
    tolerance: float = TOLERANCE,
    on_event: events.OnEvent = events.ignore,
) -> Check:
    """Compare the gradients of the mean loss over batches with its differences.

    ``model`` becomes float64 and loses its noise. ``loss`` is what training uses, ``plain_loss``
    (the same unless given) the figure whose derivatives its gradients are meant to be. Of each
    tensor ``entries`` are drawn by ``seed`` (None: all are taken), most of them where the gradient
    is not 0. A nan on either side never holds.
    """
    model.double().eval()
    predictions = sum(batch.predictions for batch in batches)

    def mean(by: Loss) -> Tensor:
        return _total(model, batches, by) / predictions

    model.zero_grad()
    mean(loss).backward()
    parameters = dict(model.named_parameters())
    generator = torch.Generator().manual_seed(seed)
    chosen = {
        key: _entries(gradient_of(parameter), entries, generator)
        for key, parameter in parameters.items()
    }

    def figure(progress: events.Event) -> Tensor:
        on_event(progress)
        return mean(plain_loss or loss)

    work, done = sum(map(len, chosen.values())), 0
    found = []
    for key, parameter in parameters.items():
        told = events.Progress("gradients", done, work, f"{name} {key}")
        found.append(_check(key, parameter, chosen[key], partial(figure, told), tolerance))
        done += len(chosen[key])
    return Check(name, model.config.arch, loss_name, predictions, found)


def gradient_of(parameter: Tensor) -> Tensor:
    """The gradient, 0 where nothing flowed back."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _total(model: LanguageModel, batches: Sequence[Batch], loss: Loss) -> Tensor:
    """Nats of all predictions; each row of a batch starts from the initial state."""
    total = torch.zeros((), dtype=torch.float64)
    for batch in batches:
        hidden_BTD, _ = model(
            torch.from_numpy(batch.ids_BT), model.initial_state(len(batch.ids_BT))
        )
        counted = torch.from_numpy(np.flatnonzero(batch.targets_BT >= 0))
        targets_N = torch.from_numpy(batch.targets_BT).flatten()[counted]
        total = total + loss(hidden_BTD.flatten(0, 1)[counted], targets_N)
    return total


def _entries(gradient: Tensor, wanted: int | None, generator: torch.Generator) -> Tensor:
    """Places in the flattened tensor, ascending: those the text touches, and some it does not."""
    flat_P = gradient.flatten()
    if wanted is None or wanted >= len(flat_P):
        return torch.arange(len(flat_P))
    touched, others = flat_P.nonzero()[:, 0], (flat_P == 0).nonzero()[:, 0]
    zeros = min(len(others), max(wanted // ZERO_SHARE, wanted - len(touched)))
    return torch.cat(
        [
            places[torch.randperm(len(places), generator=generator)[:count]]
            for places, count in ((touched, wanted - zeros), (others, zeros))
        ]
    ).sort()[0]


def _check(
    name: str,
    parameter: Tensor,
    entries_E: Tensor,
    loss: Callable[[], Tensor],
    tolerance: float,
) -> TensorCheck:
    gradient_E = gradient_of(parameter).flatten()[entries_E]
    difference_E = central_differences(loss, parameter, entries_E, STEP)
    relative_E = relative_errors(gradient_E, difference_E, FLOOR)
    kinks_E = torch.zeros(len(entries_E), dtype=torch.bool)
    for i in (~(relative_E <= tolerance)).nonzero()[:, 0].tolist():
        error = abs(float(gradient_E[i] - difference_E[i]))
        kinks_E[i] = _is_kink(loss, parameter, int(entries_E[i]), error)
    left = (~kinks_E).nonzero()[:, 0]
    shape = tuple(parameter.shape)
    if not len(left):
        return TensorCheck(name, shape, len(entries_E), len(kinks_E), None, None, None, None)
    # A nan is the worst of all.
    at = left[relative_E[left].nan_to_num(nan=torch.inf).argmax()]
    place = np.unravel_index(int(entries_E[at]), shape)
    return TensorCheck(
        name,
        shape,
        len(entries_E),
        int(kinks_E.sum()),
        float(relative_E[at]),
        float((gradient_E - difference_E)[left].abs().max()),
        Entry(tuple(map(int, place)), float(gradient_E[at]), float(difference_E[at])),
        bool((relative_E[left] <= tolerance).all()),
    )


@torch.no_grad()
def _is_kink(loss: Callable[[], Tensor], parameter: Tensor, entry: int, error: float) -> bool:
    """Whether a kink near an entry explains an error of its central difference.

    The jump from the left slope to the right one, over a step s, is s L'' where L is smooth: over
    a half and a quarter of s it is a half and a quarter. What is left of it beside that is of
    kinks, and the central difference is off by about half of it.
    """
    flat_P = parameter.detach().view(-1)
    before, middle = flat_P[entry].item(), loss().item()

    def jump(step: float) -> float:
        flat_P[entry] = before + step
        right = loss().item()
        flat_P[entry] = before - step
        left = loss().item()
        flat_P[entry] = before
        return (right - 2 * middle + left) / step

    whole = jump(STEP)
    excess = max(abs(whole - parts * jump(STEP / parts)) for parts in (2, 4))
    return bool(excess > max(error / 4, SMALLEST_JUMP))
