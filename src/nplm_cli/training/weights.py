"""The trained weights as one flat vector, so that each pass of the optimiser is one operation.

``master`` holds all of them in full precision, those that L2 counts first. The model computes
with views of it, or, at a lower precision, with views of a rounded copy that ``publish`` renews
after each step (mixed precision with master weights, Micikevicius et al. 2018). Evaluation and
every file see ``master``.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from nplm_cli.errors import TrainingError
from nplm_cli.models.base import LanguageModel
from nplm_cli.training.rows import RowTables


class FlatWeights:
    """Weights and gradients of a model, flat; shape suffix P: all trained parameters."""

    def __init__(
        self,
        model: LanguageModel,
        dtype: torch.dtype | None = None,
        *,
        tables: Sequence[str] = (),
        table_decay: float = 0.0,
    ):
        """Move the model's weights into one vector; ``dtype`` is what the model computes in.

        Without a ``dtype`` it computes with ``master`` itself. ``tables`` (``rows.in_rows``) are
        trained by rows, with the weight decay ``table_decay``, and stay outside the vector. Raises
        TrainingError when every parameter is frozen.
        """
        self.model, self.dtype = model, dtype or model.embedding.weight.dtype
        self.rows = RowTables(model, tables, table_decay, self.dtype) if tables else None
        regularised = {id(p) for p in model.regularised()}
        named = [
            (name, parameter)
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and name not in tables
        ]
        named.sort(key=lambda item: id(item[1]) not in regularised)  # stable: order kept in each
        if not named:
            raise TrainingError("no parameter is left to train (all frozen)")
        self.parameters: dict[str, nn.Parameter] = dict(named)
        self.sizes = [p.numel() for p in self.parameters.values()]
        # How many of the first elements L2 counts.
        self.regularised = sum(p.numel() for _, p in named if id(p) in regularised)
        self.master_P = torch.cat([p.detach().flatten() for p in self.parameters.values()])
        self.gradient_P = torch.zeros_like(self.master_P)
        self._frozen = {
            name: (tensor, tensor.detach().clone())
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]
            if not (name in self.parameters or name in tables) and tensor.is_floating_point()
        }
        self.working_P = self.master_P.to(self.dtype)  # itself where they are of one type
        self._gradients = self.split(self.gradient_P)
        # Whether the flat vector has the gradients of earlier batches of a step.
        self._added = False
        self._point_to(self.working_P)
        for tensor, exact in self._frozen.values():
            tensor.data = exact.to(self.dtype)

    def split(self, flat_P: Tensor) -> dict[str, Tensor]:
        """Views of a flat vector in the shapes of the parameters, by name."""
        pieces = zip(self.parameters.items(), flat_P.split(self.sizes), strict=True)
        return {name: piece.view(parameter.shape) for (name, parameter), piece in pieces}

    def joined(self, pieces: Mapping[str, Tensor], what: str) -> Tensor:
        """One flat vector of a tensor for each parameter: the reverse of ``split``.

        Raises ValueError, which calls the pieces ``what``, where names or shapes do not fit.
        """
        flat_P = torch.empty_like(self.master_P)
        views = self.split(flat_P)
        for name, piece in pieces.items():
            if name not in views or views[name].shape != piece.shape:
                raise ValueError(f"{what} of {name}, which is not trained or of another shape")
            views[name].copy_(piece)
        if set(pieces) != set(views):
            raise ValueError(f"the {what} of some weights is missing")
        return flat_P

    def groups(self) -> list[tuple[Tensor, bool]]:
        """Views of ``master`` with their gradients: what L2 counts (True), then the rest."""
        cut = [self.regularised, len(self.master_P) - self.regularised]
        parts: list[tuple[Tensor, bool]] = []
        for is_regularised, master, gradient in zip(
            (True, False), self.master_P.split(cut), self.gradient_P.split(cut), strict=True
        ):
            part = nn.Parameter(master)
            part.grad = gradient
            if len(part):
                parts.append((part, is_regularised))
        return parts

    def clear_gradients(self) -> None:
        """Forget the gradients of the parameters."""
        self._added = False
        for parameter in self.model.parameters():
            parameter.grad = None

    @torch.no_grad()
    def add_up(self) -> None:
        """Before another batch of the same step: put by the gradients of those before it.

        A model that computes in full precision adds them up itself. In less, that sum would be
        rounded at each batch, so the flat vector takes it (tables by rows keep all pieces).
        """
        if self.working_P is not self.master_P:
            self._collect()
            self._added = True
            for parameter in self.parameters.values():
                parameter.grad = None

    @torch.no_grad()
    def collect_gradients(self) -> None:
        """Bring the step's gradients into the flat vector; 0 where there is none."""
        if self.rows is not None:
            self.rows.collect()
        self._collect()

    def _collect(self) -> None:
        for name, parameter in self.parameters.items():
            sum_, gradient = self._gradients[name], parameter.grad
            if self._added:
                if gradient is not None:
                    sum_.add_(gradient)
            elif gradient is None:
                sum_.zero_()
            else:
                sum_.copy_(gradient)

    @torch.no_grad()
    def publish(self) -> None:
        """Let the model see what the optimiser did to ``master``."""
        if self.working_P is not self.master_P:
            self.working_P.copy_(self.master_P)

    def lookup(self, weight_VD: Tensor, ids_C: Tensor) -> Tensor:
        """Rows (C, D) of a parameter of the model, for a loss."""
        if self.rows is not None:
            return self.rows.lookup(weight_VD, ids_C)
        return weight_VD.index_select(0, ids_C)

    def gradient_norm(self) -> float:
        """Euclidean norm of all gradients together."""
        if self.rows is None:
            return float(self.gradient_P.norm())
        return math.hypot(*(float(g.norm()) for g in (self.gradient_P, *self.rows.gradients)))

    @torch.no_grad()
    def scale_gradients(self, factor: float) -> None:
        """Multiply all gradients."""
        for gradient in (self.gradient_P, *(self.rows.gradients if self.rows else ())):
            gradient.mul_(factor)

    def are_finite(self) -> bool:
        """Whether every weight is a number: no other may reach a file."""
        by_rows = self.rows is None or self.rows.are_finite()
        return by_rows and math.isfinite(self.master_P.sum().item())

    def settle(self) -> None:
        """Bring every row up to date, before whole tables are read."""
        if self.rows is not None:
            self.rows.settle()

    def stay_exact(self) -> None:
        """Let the model compute with ``master`` from now on: the training is over."""
        if self.rows is not None:
            self.rows.close()
        self.dtype, self.working_P = self.master_P.dtype, self.master_P
        self._point_to(self.master_P)
        for tensor, exact in self._frozen.values():
            tensor.data = exact

    def as_computed(self, tensor: Tensor) -> Tensor:
        """A tensor where and as the model computes; ids stay ids."""
        dtype = self.dtype if tensor.is_floating_point() else tensor.dtype
        return tensor.to(self.master_P.device, dtype)

    @contextlib.contextmanager
    def exact(self) -> Iterator[None]:
        """Let the model compute with ``master`` inside the ``with``."""
        if self.working_P is self.master_P:
            yield
            return
        self._point_to(self.master_P)
        if self.rows is not None:
            self.rows.point_to(exact=True)
        for tensor, exact in self._frozen.values():
            tensor.data = exact
        try:
            yield
        finally:
            self._point_to(self.working_P)
            if self.rows is not None:
                self.rows.point_to(exact=False)
            for tensor, exact in self._frozen.values():
                tensor.data = exact.to(self.dtype)

    def _point_to(self, flat_P: Tensor) -> None:
        for name, view in self.split(flat_P).items():
            self.parameters[name].data = view
