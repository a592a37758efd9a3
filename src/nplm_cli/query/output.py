"""The output layer in numpy: the twin of ``models/output.py`` and ``models/adaptive.py``.

Shape suffixes: B rows, V words of one softmax or of all, D what the output layer reads, N
contexts, C a chunk of them, M predictions made from them, W a block of words.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nplm_cli.artifacts import TensorFile
from nplm_cli.config import ModelConfig
from nplm_cli.errors import ArtifactError
from nplm_cli.query.layers import Weights

# Predictions and words of one block of logits, which stays in the processor's cache.
BLOCK_ROWS, BLOCK_WORDS = 1_024, 2_500
# Sums in between have lost nothing to overflow, and to underflow less than rounding takes ...
LEAST, MOST = 1e-20, 1e30
# ... if the biases are no further apart than this.
BIAS_RANGE = 60.0


def no_warnings() -> np.errstate:
    """Weights that are no numbers are an error, said once, and no warnings of numpy's."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


@dataclass(frozen=True)
class Choice:
    """One softmax: rows of weights and biases of the words that it is about."""

    rows_VD: np.ndarray
    bias_V: np.ndarray | None

    def nll(
        self, hidden_ND: np.ndarray, targets_M: np.ndarray, rows_M: np.ndarray | None = None
    ) -> np.ndarray:
        """Nats of each target (M,), float64.

        Target m is predicted from row ``rows_M[m]`` of ``hidden_ND`` (None: from row m), so that
        predictions of the same context share one sum over all words.
        """
        with no_warnings():  # of powers that are taken again
            log_z_N = self._log_z(hidden_ND)
        if rows_M is not None:
            hidden_ND, log_z_N = hidden_ND[rows_M], log_z_N[rows_M]
        nll_M = log_z_N - np.einsum("md,md->m", hidden_ND, self.rows_VD[targets_M])
        if self.bias_V is not None:
            nll_M -= self.bias_V[targets_M]
        # The sum holds the target itself: below 0 there is nothing but rounding.
        return np.maximum(nll_M, 0.0, out=nll_M)

    def _log_z(self, hidden_ND: np.ndarray) -> np.ndarray:
        """ln sum_v exp(w_v h + b_v) of each row (N,), float64.

        Powers are taken of w_v h as it is, a matrix product with exp(b) adds them up: the logits
        are passed over twice, not five times. Rows whose sums leave the safe range are taken again
        with their largest logit subtracted; when many do, so are all that follow.
        """
        dtype = np.result_type(hidden_ND, self.rows_VD)
        words = len(self.rows_VD)
        buffer = np.empty(min(len(hidden_ND), BLOCK_ROWS) * min(words, BLOCK_WORDS), dtype)
        bias_V = np.zeros(words, dtype) if self.bias_V is None else self.bias_V
        top = bias_V.max()
        factors_V = np.exp(bias_V - top)
        log_z_N = np.empty(len(hidden_ND))
        shifted = not top - bias_V.min() <= BIAS_RANGE
        for start in range(0, len(hidden_ND), BLOCK_ROWS):
            chunk = slice(start, start + BLOCK_ROWS)
            if shifted:
                log_z_N[chunk] = self._log_z_shifted(hidden_ND[chunk], buffer)
                continue
            sums_C = self._sums(hidden_ND[chunk], factors_V, buffer)
            log_z_N[chunk] = np.log(sums_C) + top
            again = start + np.flatnonzero(~((sums_C > LEAST) & (sums_C < MOST)))
            if len(again):
                log_z_N[again] = self._log_z_shifted(hidden_ND[again], buffer)
                shifted = 4 * len(again) > len(sums_C)
        return log_z_N

    def _sums(self, hidden_CD: np.ndarray, factors_V: np.ndarray, buffer: np.ndarray) -> np.ndarray:
        """Sum_v factor_v exp(w_v h) of each row (C,), float64."""
        sums_C = np.zeros(len(hidden_CD))
        for start, products_CW in self._blocks(hidden_CD, buffer):
            np.exp(products_CW, out=products_CW)
            # In float32 within a block, in float64 from block to block.
            sums_C += products_CW @ factors_V[start : start + products_CW.shape[1]]
        return sums_C

    def _log_z_shifted(self, hidden_CD: np.ndarray, buffer: np.ndarray) -> np.ndarray:
        """The same as ``_log_z`` for logits of any size."""
        log_z_C = np.full(len(hidden_CD), -np.inf)
        for start, logits_CW in self._blocks(hidden_CD, buffer):
            if self.bias_V is not None:
                logits_CW += self.bias_V[start : start + logits_CW.shape[1]]
            top_C = logits_CW.max(axis=1, keepdims=True)
            np.exp(np.subtract(logits_CW, top_C, out=logits_CW), out=logits_CW)
            block_C = np.log(logits_CW.sum(axis=1, dtype=np.float64)) + top_C[:, 0]
            log_z_C = np.logaddexp(log_z_C, block_C)
        return log_z_C

    def _blocks(
        self, hidden_CD: np.ndarray, buffer: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the first word of each block and the products w_v h (C, W), in the buffer."""
        for start in range(0, len(self.rows_VD), BLOCK_WORDS):
            rows_WD = self.rows_VD[start : start + BLOCK_WORDS]
            shape = (len(hidden_CD), len(rows_WD))
            products_CW = buffer[: shape[0] * shape[1]].reshape(shape)
            yield start, np.matmul(hidden_CD, rows_WD.T, out=products_CW)

    def logits(self, hidden: np.ndarray, words: slice = slice(None)) -> np.ndarray:
        """Scores of some words (or all), of the dtype of the weights."""
        logits: np.ndarray = hidden @ self.rows_VD[words].T
        if self.bias_V is not None:
            logits += self.bias_V[words]
        return logits

    def log_probs(self, hidden_BD: np.ndarray) -> np.ndarray:
        """Natural log-probabilities (B, V), float64."""
        logits_BV = self.logits(hidden_BD).astype(np.float64)
        logits_BV -= logits_BV.max(axis=1, keepdims=True)
        return logits_BV - np.log(np.exp(logits_BV).sum(axis=1, keepdims=True))


class Output:
    """What turns hidden states into log-probabilities of words; ``width`` is D."""

    def __init__(self, weights: TensorFile | Weights, config: ModelConfig):
        self.name = str(weights.path) if isinstance(weights, TensorFile) else "the weights"
        words_VD = weights["embedding.weight"]
        self.bounds = config.softmax_bounds(len(words_VD))
        rows = words_VD if config.tie else weights["output.weight"]
        bias_V = weights["output.bias"] if config.output_bias else None
        self.width = rows.shape[1]
        self.head = Choice(rows, bias_V)
        # Projections and choices of the clusters.
        self.tails: list[tuple[np.ndarray, Choice]] = []
        if len(self.bounds) == 1:
            return
        first = self.bounds[0]
        sizes = np.diff(self.bounds)
        cluster_bias = np.log(sizes).astype(rows.dtype)
        if bias_V is not None:
            cluster_bias += weights["output.clusters.bias"]
        head_bias = np.zeros(first, rows.dtype) if bias_V is None else bias_V[:first]
        self.head = Choice(
            np.concatenate([rows[:first], weights["output.clusters.weight"]]),
            np.concatenate([head_bias, cluster_bias]),
        )
        for number, (begin, end) in enumerate(itertools.pairwise(self.bounds)):
            own = words_VD[begin:end] if config.tie else weights[f"output.tails.{number}.weight"]
            tail = Choice(own, None if bias_V is None else bias_V[begin:end])
            self.tails.append((weights[f"output.projections.{number}.weight"], tail))

    def nll(
        self, hidden_ND: np.ndarray, targets_M: np.ndarray, rows_M: np.ndarray | None = None
    ) -> np.ndarray:
        """Nats of each target (M,), float64; target m follows row ``rows_M[m]`` (None: row m).

        Raises ArtifactError when one is no number.
        """
        with no_warnings():
            return self._finite(self._nll(hidden_ND, targets_M, rows_M))

    def log_probs(self, hidden_BD: np.ndarray) -> np.ndarray:
        """Natural log-probabilities (B, V) of all words, float64.

        Raises ArtifactError when one is no number.
        """
        with no_warnings():
            return self._finite(self._log_probs(hidden_BD))

    def _finite(self, figures: np.ndarray) -> np.ndarray:
        """Refuse weights that are no numbers: in a mixture a nan would pass for "not there"."""
        if not np.isfinite(figures).all():
            raise ArtifactError(f"{self.name}: nan, inf or numbers too large: train it again")
        return figures

    def _nll(
        self, hidden_ND: np.ndarray, targets_M: np.ndarray, rows_M: np.ndarray | None
    ) -> np.ndarray:
        if not self.tails:
            return self.head.nll(hidden_ND, targets_M, rows_M)
        # 0 for words of the head, k for those of cluster k.
        cluster_M = np.searchsorted(self.bounds[:-1], targets_M, side="right")
        head_M = np.where(cluster_M == 0, targets_M, self.bounds[0] - 1 + cluster_M)
        nll_M = self.head.nll(hidden_ND, head_M, rows_M)
        for number, (projection, tail) in enumerate(self.tails, 1):
            here = np.flatnonzero(cluster_M == number)
            hidden_CD = hidden_ND[here if rows_M is None else rows_M[here]]
            targets_C = targets_M[here] - self.bounds[number - 1]
            nll_M[here] += tail.nll(hidden_CD @ projection.T, targets_C)
        return nll_M

    def _log_probs(self, hidden_BD: np.ndarray) -> np.ndarray:
        log_p_BK = self.head.log_probs(hidden_BD)
        if not self.tails:
            return log_p_BK
        first = self.bounds[0]
        pieces = [log_p_BK[:, :first]]
        for number, (projection, tail) in enumerate(self.tails):
            inside = tail.log_probs(hidden_BD @ projection.T)
            pieces.append(inside + log_p_BK[:, first + number, None])
        return np.concatenate(pieces, axis=1)
