"""Scores from compiled tables: of each prediction one sum of rows and one product of two rows.

    score(y) = u_y . h + c_y,  h = f(sum over positions k of T_k[w_k])

That is the logit of the model itself, to rounding; of a self-normalised model it stands for a
log-probability as it is, without the sum over the vocabulary. numpy by default; with numba (the
extra ``fast``) a text that is long enough goes through compiled code. Shape suffixes: K positions
or 1, V vocabulary, H hidden, N predictions, C a chunk of them, W places of the window.
"""

import importlib.util
from pathlib import Path

import numpy as np

from nplm_cli.config import Context, ModelConfig
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.errors import ArtifactError
from nplm_cli.query.compiling import MAX_INT16, SCALE, open_tables
from nplm_cli.query.layers import ACTIVATIONS, Weights, layer_norm
from nplm_cli.query.output import no_warnings
from nplm_cli.query.run import Run

# Numbers of a chunk: what is summed stays in the processor's cache.
CHUNK_NUMBERS = 65_536
# Predictions from which on loading compiled code (a second) is worth it.
NUMBA_FROM = 2_000_000


class Tables:
    """Tables of one run, ready to score."""

    def __init__(self, tensors: Weights, config: ModelConfig, name: str = "tables"):
        """``tensors`` are those of ``compiling.table_shapes``; ``name`` is for errors.

        Raises ArtifactError for numbers that are none.
        """
        self.tensors, self.config, self.name = dict(tensors), config.resolved(), name
        for tensor in self.tensors.values():  # compiled code would make numbers of them
            if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
                raise ArtifactError(f"{name}: nan or inf: compile it again")
        self.window = config.order - 1
        self.words, self.width = self.tensors["rows"].shape
        activation = self.config.activation or "tanh"
        self.activation_name, self.activation = activation, ACTIVATIONS[activation]
        # One hidden layer, and nothing that needs all its units at once.
        closed = config.norm == "post" or (config.norm == "pre" and config.residual)
        self.fused = config.layers == 1 and "words" not in self.tensors and not closed

    def scores(self, ids_N: np.ndarray, starts: np.ndarray, compiled: bool = False) -> np.ndarray:
        """Scores (N,), float32, of ids that begin anew, after ``</s>``, at each of ``starts``.

        ``compiled`` goes through numba. Raises ArtifactError for scores that are no numbers,
        ValueError for ids beyond the tables.
        """
        ids_N = np.ascontiguousarray(ids_N, np.int32)
        if not len(ids_N):
            return np.zeros(0, np.float32)
        if ids_N.min() < 0 or ids_N.max() >= self.words:
            raise ValueError(f"ids beyond the {self.words} words of the tables")
        with no_warnings():
            if compiled and self.fused:
                scores_N = self._compiled(ids_N, np.asarray(starts, np.int64))
            else:
                scores_N = self._with_numpy(ids_N, np.asarray(starts, np.int64))
        if not np.isfinite(scores_N).all():
            raise ArtifactError(f"{self.name}: scores that are nan or inf: compile it again")
        return scores_N

    def _compiled(self, ids_N: np.ndarray, starts: np.ndarray) -> np.ndarray:
        from nplm_cli.query.tables_numba import scores

        return scores(self.tensors, ids_N, starts, self.window, EOS_ID, self.activation_name)

    def _with_numpy(self, ids_N: np.ndarray, starts: np.ndarray) -> np.ndarray:
        padded, at_N = _padded(ids_N, starts, self.window)
        rows_VD, bias_V = self.tensors["rows"], self.tensors.get("bias")
        scale_V = self.tensors.get("rows" + SCALE)
        scores_N = np.empty(len(ids_N), np.float32)
        rows = max(1, CHUNK_NUMBERS // self.width)
        for start in range(0, len(ids_N), rows):
            at_C = at_N[start : start + rows]
            hidden_CH = self.hidden([padded[at_C - back] for back in range(self.window, 0, -1)])
            targets_C = ids_N[start : start + rows]
            rows_CH = rows_VD.take(targets_C, 0).astype(np.float32, copy=False)
            scores_C = np.einsum("nh,nh->n", hidden_CH, rows_CH)
            if scale_V is not None:
                scores_C *= scale_V[targets_C]
            if bias_V is not None:
                scores_C += bias_V[targets_C]
            scores_N[start : start + rows] = scores_C
        return scores_N

    def hidden(self, context: list[np.ndarray]) -> np.ndarray:
        """What the output rows are multiplied by, (C, H), of the ids (C,) at each place."""
        config, tensors = self.config, self.tensors
        hidden = self.activation(self._sum("first", context))
        if config.gate:
            hidden *= ACTIVATIONS["sigmoid"](self._sum("gates", context))
        if "words" in tensors:
            hidden += self._words(context)
        if config.norm == "post":
            hidden = self._normalised(0, hidden)
        for layer in range(1, config.layers):
            read = self._normalised(layer, hidden) if config.norm == "pre" else hidden
            new = self.activation(self._product("layers", layer, read))
            if config.gate:
                new *= ACTIVATIONS["sigmoid"](self._product("gates", layer, read))
            hidden = hidden + new if config.residual else new
            if config.norm == "post":
                hidden = self._normalised(layer, hidden)
        if config.norm == "pre" and config.residual:
            hidden = self._normalised(config.layers, hidden)
        return hidden

    def _sum(self, name: str, context: list[np.ndarray]) -> np.ndarray:
        """Sum (C, H) of the rows of the words at each place."""
        table_KVH = self.tensors[name]
        scale_H = self.tensors.get(name + SCALE)
        kind: type = np.float32
        if scale_H is not None:
            kind = np.int16 if len(context) <= MAX_INT16 else np.int32
        last = len(table_KVH) - 1
        total_CH = table_KVH[0].take(context[0], 0).astype(kind, copy=False)
        row_CH = np.empty(total_CH.shape, table_KVH.dtype)
        for k in range(1, len(context)):
            # With a mode that cannot fail numpy writes to ``out`` at once; the ids are checked.
            table_KVH[min(k, last)].take(context[k], 0, out=row_CH, mode="clip")
            total_CH += row_CH
        return total_CH if scale_H is None else total_CH.astype(np.float32) * scale_H

    def _words(self, context: list[np.ndarray]) -> np.ndarray:
        pieces = [self.tensors["words"].take(ids_C, 0) for ids_C in context]
        if self.config.combine == "concat":
            return np.concatenate(pieces, axis=1)
        total = np.sum(pieces, axis=0)
        return total / np.float32(self.window) if self.config.combine == "mean" else total

    def _product(self, name: str, layer: int, read: np.ndarray) -> np.ndarray:
        z = read @ self.tensors[f"encoder.{name}.{layer}.weight"].T
        bias = self.tensors.get(f"encoder.{name}.{layer}.bias")
        return z if bias is None else z + bias

    def _normalised(self, norm: int, x: np.ndarray) -> np.ndarray:
        name = f"encoder.norms.{norm}"
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return layer_norm(x, weight, bias, self.config.norm_eps)


def _padded(ids_N: np.ndarray, starts: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids with ``window`` boundaries before each start, and where each id is among them (N,)."""
    sequence_N = np.zeros(len(ids_N), np.int64)
    sequence_N[starts[(starts > 0) & (starts < len(ids_N))]] = 1
    sequence_N = np.cumsum(sequence_N)
    at_N = np.arange(len(ids_N)) + window * (sequence_N + 1)
    padded = np.full(int(at_N[-1]) + 1, EOS_ID, np.int32)
    padded[at_N] = ids_N
    return padded, at_N


class TablesScorer:
    """Self-normalised scores of parts, where other scorers give nats: no log-probabilities."""

    def __init__(self, tables: Tables):
        self.tables = tables
        self.order = tables.window + 1
        self.scored = 0

    def seen(self, read: int, in_file: int | None = None, in_sentence: int | None = None) -> int:
        """What the window holds."""
        return self.tables.config.seen(read)

    def nll(self, part: Part, context: Context) -> np.ndarray:
        """The negative score of each prediction, aligned with ``part.ids_N`` (float64)."""
        self.scored += part.predictions
        compiled = self.scored >= NUMBA_FROM and self.tables.fused and has_numba()
        starts = part.sequence_starts(context)
        return 0.0 - self.tables.scores(part.ids_N, starts, compiled).astype(np.float64)


def has_numba() -> bool:
    """Whether the extra ``fast`` is there; it is not loaded."""
    return importlib.util.find_spec("numba") is not None


def open_tables_scorer(run: Run, path: Path | None = None) -> TablesScorer:
    """The scorer of a run's compiled file; raises as ``open_tables``."""
    file = open_tables(run, path)
    return TablesScorer(
        Tables({name: file[name] for name in file}, run.config.model, str(file.path))
    )
