"""How near scores are to log-probabilities as they stand: log Z of a self-normalised model.

A score s_w = u_w . h + c_w is a log-probability where Z = sum_w exp(s_w) is 1; Devlin et al.
(2014) train for log Z near 0. As -log p(y) = log Z - s_y, log Z is the nats of a prediction plus
its target's score. Shape suffixes: V vocabulary, D width of what the output layer reads, N
predictions.
"""

import numpy as np

from nplm_cli.corpus.shards import Part


class TargetScores:
    """Scores of a part's own words as they stand, gathered batch by batch."""

    def __init__(self, part: Part, rows_VD: np.ndarray, bias_V: np.ndarray | None):
        """``rows_VD`` and ``bias_V`` are those of one softmax over all words."""
        self.targets_N = np.asarray(part.ids_N)
        self.rows_VD, self.bias_V = rows_VD, bias_V
        self.scores_N = np.full(part.predictions, np.nan)

    def __call__(self, positions: np.ndarray, hidden_ND: np.ndarray) -> None:
        """Take what the output layer read at some positions."""
        targets_N = self.targets_N[positions]
        scores_N = np.einsum("nd,nd->n", hidden_ND, self.rows_VD[targets_N])
        if self.bias_V is not None:
            scores_N += self.bias_V[targets_N]
        self.scores_N[positions] = scores_N

    def figures(self, nll_N: np.ndarray) -> dict[str, float] | None:
        """Mean, deviation and largest absolute value of log Z, given the nats of the same model.

        None of a part without predictions.
        """
        return log_z_figures(nll_N + self.scores_N)


def log_z_figures(log_z_N: np.ndarray) -> dict[str, float] | None:
    """The figures of the ledger: population standard deviation, all in nats; None of none."""
    if not len(log_z_N):
        return None
    return {
        "log_z_mean": float(log_z_N.mean()),
        "log_z_sd": float(log_z_N.std()),
        "log_z_abs_max": float(np.abs(log_z_N).max()),
    }
