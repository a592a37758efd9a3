"""The output layer in numpy: the twin of ``models/output.py`` and ``models/adaptive.py``.

Shape suffixes: B rows, V words of one softmax or of all, D what the output layer reads, N
predictions, C a chunk of them, W a block of words.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from nplm_cli.artifacts import TensorFile
from nplm_cli.config import ModelConfig
from nplm_cli.errors import ArtifactError
from nplm_cli.query.layers import Weights

# Logits of one chunk: a size at which products are efficient.
CHUNK_LOGITS = 4_000_000
# Larger vocabularies are read in blocks of words, so that a chunk has rows enough for a product.
WHOLE_WORDS, BLOCK_WORDS, BLOCK_ROWS = 32_768, 4_096, 1_024


def no_warnings() -> np.errstate:
    """Weights that are no numbers are an error, said once, and no warnings of numpy's."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


@dataclass(frozen=True)
class Choice:
    """One softmax: rows of weights and biases of the words that it is about."""

    rows_VD: np.ndarray
    bias_V: np.ndarray | None

    def nll(self, hidden_ND: np.ndarray, targets_N: np.ndarray) -> np.ndarray:
        """Nats of each target (N,), float64."""
        words = len(self.rows_VD)
        rows = max(1, CHUNK_LOGITS // words) if words <= WHOLE_WORDS else BLOCK_ROWS
        nll_N = np.empty(len(hidden_ND))
        for start in range(0, len(hidden_ND), rows):
            chunk = slice(start, start + rows)
            nll_N[chunk] = self._chunk_nll(hidden_ND[chunk], targets_N[chunk])
        return nll_N

    def _chunk_nll(self, hidden_CD: np.ndarray, targets_C: np.ndarray) -> np.ndarray:
        words = len(self.rows_VD)
        step = words if words <= WHOLE_WORDS else BLOCK_WORDS
        at_targets_C = np.empty(len(hidden_CD))
        log_z_C = np.full(len(hidden_CD), -np.inf)
        for start in range(0, words, step):
            logits_CW = self.logits(hidden_CD, slice(start, start + step))
            here = np.flatnonzero((targets_C >= start) & (targets_C < start + step))
            at_targets_C[here] = logits_CW[here, targets_C[here] - start]
            top_C = logits_CW.max(axis=1, keepdims=True)
            np.exp(np.subtract(logits_CW, top_C, out=logits_CW), out=logits_CW)
            block_C = np.log(logits_CW.sum(axis=1, dtype=np.float64)) + top_C[:, 0]
            log_z_C = np.logaddexp(log_z_C, block_C)
        return log_z_C - at_targets_C

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

    def nll(self, hidden_ND: np.ndarray, targets_N: np.ndarray) -> np.ndarray:
        """Nats of each target (N,), float64. Raises ArtifactError when one is no number."""
        with no_warnings():
            return self._finite(self._nll(hidden_ND, targets_N))

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

    def _nll(self, hidden_ND: np.ndarray, targets_N: np.ndarray) -> np.ndarray:
        if not self.tails:
            return self.head.nll(hidden_ND, targets_N)
        # 0 for words of the head, k for those of cluster k.
        cluster_N = np.searchsorted(self.bounds[:-1], targets_N, side="right")
        head_N = np.where(cluster_N == 0, targets_N, self.bounds[0] - 1 + cluster_N)
        nll_N = self.head.nll(hidden_ND, head_N)
        for number, (projection, tail) in enumerate(self.tails, 1):
            rows = np.flatnonzero(cluster_N == number)
            targets_M = targets_N[rows] - self.bounds[number - 1]
            nll_N[rows] += tail.nll(hidden_ND[rows] @ projection.T, targets_M)
        return nll_N

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
