"""One table of which a step of AdamW touches only the rows that it uses.

A sampled loss reads some thousand rows of a table, and the gradient of all others is 0. AdamW moves
these, too: momentum runs out, weights decay. That movement has a closed form, so a row is brought
up to date when it is next used (as Carpenter 2008 does for SGD with L2): the passes over gradient,
norm, optimiser and rounded copy are as long as the rows of a step, and the training is the same but
for rounding.

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

import torch
from torch import Tensor, nn

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
# All rows are brought up to date after so many steps at the latest, some at once.
MOST_STEPS = 4096
ROWS_AT_ONCE = 8192


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

    @property
    def is_full(self) -> bool:
        """Whether all rows have to be brought up to date before the next step."""
        return self.elapsed == len(self.kept_S) - 1

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
