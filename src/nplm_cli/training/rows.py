"""Tables of word vectors of which a step touches only the rows that it uses.

A sampled loss reads some thousand rows of a table, and the gradient of all others is 0. AdamW
moves these, too: momentum runs out, weights decay. That movement has a closed form, so a row is
brought up to date when it is next used: the passes over gradient, norm, optimiser and rounded copy
are as long as the rows of a step, and the training is the same but for rounding.

With g = 0 in the steps t+1 ... n, AdamW (Loshchilov & Hutter 2019; rate a_s and decay l) makes of
the weights w, the mean m of gradients and v of their squares

    m_n = b1^(n-t) m_t        v_n = b2^(n-t) v_t
    w_n = kept w_t - m_t sum over s of d_s / (sqrt(v_t) + e_s)
    kept = product over s of (1 - a_s l)
    d_s  = a_s sqrt(1 - b2^s) / (1 - b1^s) (b1 / sqrt b2)^(s-t)
           times the product of (1 - a_u l) over the steps u after s
    e_s  = eps sqrt(1 - b2^s) / b2^((s-t)/2)

of which the sum is taken as drift / (sqrt(v_t) + floor): drift the sum of d_s, floor the mean of
e_s weighted by d_s. e_s is about 1e-8 and hardly changes while the power of b1 leaves anything of
d_s.

Shape suffixes: V vocabulary, D a word's row, R rows of a step, S steps since all were up to date.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nplm_cli.config import ModelConfig, TrainingConfig
from nplm_cli.models.base import LanguageModel

# From this many words on the passes over whole tables cost more than finding the rows.
LEAST_WORDS = 30_000
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
# All rows are brought up to date after so many steps at the latest, some at once.
MOST_STEPS = 4096
ROWS_AT_ONCE = 8192


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


class RowClock:
    """What the steps since the last settlement do to a row that none of them used."""

    def __init__(self, weight_decay: float, device: torch.device):
        self.weight_decay = weight_decay
        self.steps = 0
        self.origin = 0  # the step at which all rows were up to date
        self.kept_S = torch.ones(MOST_STEPS + 1, dtype=torch.float64, device=device)
        self.drift_S = torch.zeros_like(self.kept_S)
        self.floored_S = torch.zeros_like(self.kept_S)  # sum of d_s e_s
        gone = torch.arange(MOST_STEPS, 0, -1, dtype=torch.float64, device=device)
        self._drifts = (BETA1 / math.sqrt(BETA2)) ** gone
        self._floors = EPS * (BETA1 / BETA2) ** gone

    @property
    def elapsed(self) -> int:
        """Steps since all rows were up to date."""
        return self.steps - self.origin

    @property
    def histories(self) -> tuple[Tensor, Tensor, Tensor]:
        """``kept``, ``drift`` and drift times ``floor``, by the step of a row's last use."""
        return self.kept_S, self.drift_S, self.floored_S

    def advance(self, lr: float) -> None:
        """Take in one more step."""
        self.steps += 1
        before = slice(self.elapsed)
        for history_S in self.histories:
            history_S[before] *= 1 - lr * self.weight_decay
        root = math.sqrt(1 - BETA2**self.steps)
        rate = lr * root / (1 - BETA1**self.steps)
        self.drift_S[before].add_(self._drifts[-self.elapsed :], alpha=rate)
        self.floored_S[before].add_(self._floors[-self.elapsed :], alpha=rate * root)

    def restart(self) -> None:
        """Say that all rows are up to date."""
        self.origin = self.steps
        self.kept_S.fill_(1)
        self.drift_S.zero_()
        self.floored_S.zero_()


class RowTable:
    """One table: weights, what AdamW remembers of them, and the step of each row's last update."""

    def __init__(self, parameter: nn.Parameter, clock: RowClock, dtype: torch.dtype):
        self.parameter, self.clock = parameter, clock
        self.master_VD = parameter.detach()
        self.working_VD = self.master_VD.to(dtype)  # itself where they are of one type
        self.exp_avg_VD = torch.zeros_like(self.master_VD)
        self.exp_avg_sq_VD = torch.zeros_like(self.master_VD)
        self.last_V = torch.zeros(len(parameter), dtype=torch.int64, device=parameter.device)
        self.rows_R = self.last_V[:0]
        self.gradient_RD = self.master_VD[:0]
        parameter.data = self.working_VD

    def refresh(self, ids: Tensor) -> None:
        """Bring the rows of ``ids`` up to date."""
        rows_R = ids.unique()
        self._catch_up(rows_R[self.last_V[rows_R] < self.clock.steps])

    def settle(self) -> None:
        """Bring all rows up to date."""
        for rows_R in (self.last_V < self.clock.steps).nonzero()[:, 0].split(ROWS_AT_ONCE):
            self._catch_up(rows_R)

    @torch.no_grad()
    def _catch_up(self, rows_R: Tensor) -> None:
        if not len(rows_R):
            return
        last_R = self.last_V[rows_R]
        at_R, gone_R1 = last_R - self.clock.origin, (self.clock.steps - last_R)[:, None].double()
        kept_R, drift_R, floored_R = (history_S[at_R] for history_S in self.clock.histories)
        floor_R = floored_R / drift_R.clamp(min=torch.finfo(torch.float64).tiny)
        m_RD, v_RD = self._moments(rows_R)
        w_RD = self.master_VD.index_select(0, rows_R).mul_(kept_R.float()[:, None])
        step_RD = m_RD * drift_R.float()[:, None]
        w_RD.addcdiv_(step_RD, v_RD.sqrt().add_(floor_R.float()[:, None]), value=-1)
        self.exp_avg_VD.index_copy_(0, rows_R, m_RD.mul_((BETA1**gone_R1).float()))
        self.exp_avg_sq_VD.index_copy_(0, rows_R, v_RD.mul_((BETA2**gone_R1).float()))
        self._put(rows_R, w_RD)

    def _moments(self, rows_R: Tensor) -> tuple[Tensor, Tensor]:
        """Copies of m and v."""
        return self.exp_avg_VD.index_select(0, rows_R), self.exp_avg_sq_VD.index_select(0, rows_R)

    def _put(self, rows_R: Tensor, w_RD: Tensor) -> None:
        self.master_VD.index_copy_(0, rows_R, w_RD)
        if self.working_VD is not self.master_VD:
            self.working_VD.index_copy_(0, rows_R, w_RD.to(self.working_VD.dtype))
        self.last_V[rows_R] = self.clock.steps

    @torch.no_grad()
    def collect(self) -> None:
        """Sum the sparse gradient of the parameter by rows."""
        gradient = self.parameter.grad
        assert gradient is not None, "a step without a look-up"
        # As they were looked up: a row may come several times.
        ids_N, values_ND = gradient._indices()[0], gradient._values()
        self.rows_R, at_N = ids_N.unique(return_inverse=True)
        shape = (len(self.rows_R), values_ND.shape[1])
        self.gradient_RD = self.master_VD.new_zeros(shape)
        self.gradient_RD.index_add_(0, at_N, values_ND.to(self.master_VD.dtype))

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One step of AdamW on the rows that have a gradient; the clock is one step behind."""
        clock, rows_R, g_RD = self.clock, self.rows_R, self.gradient_RD
        number = clock.steps + 1
        m_RD, v_RD = self._moments(rows_R)
        m_RD.lerp_(g_RD, 1 - BETA1)
        v_RD.mul_(BETA2).addcmul_(g_RD, g_RD, value=1 - BETA2)
        self.exp_avg_VD.index_copy_(0, rows_R, m_RD)
        self.exp_avg_sq_VD.index_copy_(0, rows_R, v_RD)
        denominator_RD = v_RD.sqrt_().div_(math.sqrt(1 - BETA2**number)).add_(EPS)
        w_RD = self.master_VD.index_select(0, rows_R).mul_(1 - lr * clock.weight_decay)
        w_RD.addcdiv_(m_RD, denominator_RD, value=-lr / (1 - BETA1**number))
        self._put(rows_R, w_RD)
        self.last_V[rows_R] = number


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
        if self.clock.elapsed == MOST_STEPS:
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
        if histories.shape != (3, elapsed + 1) or not 0 <= elapsed <= min(steps, MOST_STEPS):
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
