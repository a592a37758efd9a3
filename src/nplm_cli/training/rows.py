"""Which tables of a model are trained by rows (``row_table.py``), and all of them together."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nplm_cli.config import ModelConfig, TrainingConfig
from nplm_cli.models.base import LanguageModel
from nplm_cli.training.row_table import RowClock, RowTable

# From this many words on the passes over whole tables cost more than finding the rows.
LEAST_WORDS = 30_000


def in_rows(
    model: ModelConfig, training: TrainingConfig, trained: Collection[str], vocabulary_size: int
) -> list[str]:
    """Names of the tables that are trained by rows; none where that does not pay.

    ``trained`` are the names of all tensors that are trained. A step uses some rows of the word
    vectors, unless they are the matrix of a full softmax, too, and of the output matrix under a
    loss that samples. An average of the weights and optimisers other than AdamW use every row
    anyway.
    """
    adamw = training.optimizer == "adamw" or (training.optimizer == "adam" and not training.l2)
    if not adamw or training.average != "none" or vocabulary_size < LEAST_WORDS:
        return []
    sampled = training.loss != "full" and training.full_from >= 1
    tied = bool(model.tie)
    tables = {"embedding.weight": sampled or not tied, "output.weight": sampled and not tied}
    names = [name for name, some_rows in tables.items() if some_rows and name in trained]
    return names if len(names) < len(trained) else []


class RowTables:
    """The tables of a model that are trained by rows, and the clock that they share.

    A look-up in training (``lookup``, or the model's own of word vectors) first brings its rows up
    to date; everything else asks for ``settle`` before it reads a whole table.
    """

    def __init__(
        self, model: LanguageModel, names: Sequence[str], weight_decay: float, dtype: torch.dtype
    ):
        device = model.embedding.weight.device
        self.clock = RowClock(weight_decay, device)
        parameters = dict(model.named_parameters())
        self.tables = {n: RowTable(parameters[n], self.clock, dtype) for n in names}
        self._embedding = model.embedding
        self._hook: Any = None
        words = self._of(model.embedding.weight)
        if words is not None:
            self._hook = model.embedding.register_forward_pre_hook(
                lambda module, ids: words.refresh(ids[0]) if module.training else None
            )
            model.embedding.sparse = True

    def _of(self, parameter: Tensor) -> RowTable | None:
        return next((t for t in self.tables.values() if t.parameter is parameter), None)

    def lookup(self, weight_VD: Tensor, ids_C: Tensor) -> Tensor:
        """Rows (C, D) of a parameter, whose gradient is sparse where it is a table of these."""
        table = self._of(weight_VD)
        if table is None:
            return weight_VD.index_select(0, ids_C)
        table.refresh(ids_C)
        return nn.functional.embedding(ids_C, weight_VD, sparse=True)

    def collect(self) -> None:
        """Take the gradients of a step from the parameters."""
        for table in self.tables.values():
            table.collect()

    @property
    def gradients(self) -> list[Tensor]:
        """Gradients (R, D) of the step's rows, a table each."""
        return [table.gradient_RD for table in self.tables.values()]

    def step(self, lr: float) -> None:
        """One step of AdamW."""
        for table in self.tables.values():
            table.step(lr)
        self.clock.advance(lr)
        if self.clock.is_full:
            self.settle()

    def settle(self) -> None:
        """Bring all rows of all tables up to date."""
        if self.clock.elapsed:
            for table in self.tables.values():
                table.settle()
            self.clock.restart()

    def are_finite(self) -> bool:
        """Whether all weights of the step's rows are numbers."""
        return all(
            math.isfinite(table.master_VD.index_select(0, table.rows_R).sum().item())
            for table in self.tables.values()
        )

    def point_to(self, *, exact: bool) -> None:
        """Let the model compute with the exact tables, or with the rounded ones."""
        for table in self.tables.values():
            table.parameter.data = table.master_VD if exact else table.working_VD

    def close(self) -> None:
        """Leave the model with exact tables that know nothing of this."""
        self.settle()
        self.point_to(exact=True)
        if self._hook is not None:
            self._hook.remove()
        self._embedding.sparse = False

    def state(self) -> dict[str, Tensor]:
        """What besides weights and moments the next step depends on, for a checkpoint."""
        clock = self.clock
        histories = torch.stack(clock.histories)[:, : clock.elapsed + 1]
        state = {"steps": torch.tensor(clock.steps), "histories": histories}
        return state | {f"last.{name}": table.last_V for name, table in self.tables.items()}

    def restore(self, state: dict[str, Tensor], moments: dict[str, dict[str, Tensor]]) -> None:
        """Take up a state, after the weights; raises ValueError where it does not fit.

        ``moments`` are AdamW's two, by their kind and the name of the table; none before the first
        step.
        """
        expected = {"steps", "histories"} | {f"last.{name}" for name in self.tables}
        if set(state) != expected:
            raise ValueError("the state of the tables' rows is missing")
        clock, steps, histories = self.clock, int(state["steps"]), state["histories"]
        elapsed = histories.shape[-1] - 1
        if histories.shape != (3, elapsed + 1) or not 0 <= elapsed <= min(
            steps, len(clock.kept_S) - 1
        ):
            raise ValueError("the history of the tables' rows is of another shape")
        clock.steps = steps
        clock.restart()
        clock.origin = steps - elapsed
        for history_S, kept_S in zip(clock.histories, histories, strict=True):
            history_S[: elapsed + 1] = kept_S
        for name, table in self.tables.items():
            last_V = state[f"last.{name}"]
            if last_V.shape != table.last_V.shape:
                raise ValueError(f"the rows' steps of {name} are of another shape")
            if len(last_V) and not clock.origin <= int(last_V.min()) <= int(last_V.max()) <= steps:
                raise ValueError(f"the rows' steps of {name} are out of range")
            table.last_V.copy_(last_V)
            for kind, moment_VD in (
                ("exp_avg", table.exp_avg_VD),
                ("exp_avg_sq", table.exp_avg_sq_VD),
            ):
                kept_VD = moments.get(kind, {}).get(name)
                if kept_VD is None and not steps:
                    moment_VD.zero_()
                elif kept_VD is None or kept_VD.shape != moment_VD.shape:
                    raise ValueError(f"{kind} of {name} is missing or of another shape")
                else:
                    moment_VD.copy_(kept_VD)
            if table.working_VD is not table.master_VD:
                table.working_VD.copy_(table.master_VD)
