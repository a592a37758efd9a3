"""Exact log-probabilities of id sequences in numpy, the same calls for every architecture.

Whole parts (``nll``), or word by word: ``begin`` reads the beginning of a sentence, ``advance``
goes on from there. Shape suffixes: B rows, T positions, V vocabulary, D hidden, N predictions.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nplm_cli.artifacts import TensorFile
from nplm_cli.config import Context, ModelConfig
from nplm_cli.corpus.batches import scoring_batches
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.query import FORWARD
from nplm_cli.query.contexts import different_beginnings, different_windows
from nplm_cli.query.layers import State, Weights
from nplm_cli.query.output import Output, no_warnings
from nplm_cli.query.run import Run
from nplm_cli.query.stored_models import open_ngram

if TYPE_CHECKING:
    from nplm_cli.evaluation.ledger import Baselines
    from nplm_cli.ngram import NgramModel

# Ids of one batch: a size at which products are efficient.
BATCH_TOKENS = 8_192
# Predictions of a window model among which equal contexts are looked for.
SLAB_TOKENS = 65_536

# Takes positions and what the output layer read there, in any order.
OnBatch = Callable[[np.ndarray, np.ndarray], None]


class Scorer(Protocol):
    """What can be asked of a language model."""

    @property
    def order(self) -> int | None:
        """n of an n-gram window (n - 1 words of context); None when unbounded."""

    def seen(self, read: int, in_file: int | None = None, in_sentence: int | None = None) -> int:
        """How many tokens the prediction after ``read`` tokens of a sentence or file sees.

        ``in_file`` and ``in_sentence`` are how many of each were read, which caches may remember
        (None: as many as ``read``). All three count the boundary before the first.
        """

    def nll(self, part: Part, context: Context) -> np.ndarray:
        """Nats of each prediction of a part, aligned with ``part.ids_N`` (float64)."""

    def begin(self, history: Sequence[int], rows: int = 1) -> tuple[np.ndarray, Any]:
        """Read a sentence's first ids, the same in each of ``rows`` rows.

        Returns natural log-probabilities (B, V), float64, of the next id, and the state to go on
        from: arrays in tuples, of a mixture in tuples of tuples. The batch is axis 0 of every
        array of a state, and a state is never changed.
        """

    def advance(self, ids_B: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Read one more id in each row; returns what ``begin`` returns."""

    def next_log_probs(self, history: Sequence[int]) -> np.ndarray:
        """Natural log-probabilities (V,) of the next id after a sentence's first ids."""


class NeuralScorer:
    """A neural model's weights, read by the numpy forward of its architecture."""

    def __init__(self, weights: TensorFile | Weights, config: ModelConfig):
        self.weights, self.config = weights, config.resolved()
        self.module = FORWARD[config.arch]
        context = self.config.context
        self.order = None if context is None else context + 1
        self.output = Output(weights, self.config)
        self.width = self.output.width

    def seen(self, read: int, in_file: int | None = None, in_sentence: int | None = None) -> int:
        """All that was read, or what its window holds."""
        return self.config.seen(read)

    def nll(self, part: Part, context: Context, on_batch: OnBatch | None = None) -> np.ndarray:
        """Nats of each prediction; rows are bucketed by length, padding is never scored.

        Contexts that return are worked out once. ``on_batch`` gets positions (N,) and what the
        output layer read there (N, D), batch by batch.
        """
        nll_N = np.zeros(part.predictions)
        if self.config.arch == "ffn" and not self.config.far and on_batch is None:
            self._window_nll(part, context, nll_N)
            return nll_N
        state = None
        for batch, positions in scoring_batches(part, context, BATCH_TOKENS):
            # Here rows of a batch are fresh all together: sentences, or the start of a file.
            if state is None or batch.fresh_B.all():
                state = self.module.initial_state(self.config, len(batch.ids_BT))
            hidden_BTD, state = self.read(batch.ids_BT, state)
            counted = batch.targets_BT >= 0
            hidden_ND = hidden_BTD[counted]
            targets_N = batch.targets_BT[counted]
            if context == "sentence":
                first_U, rows_N = different_beginnings(batch)
                nll_N[positions] = self.output.nll(hidden_ND[first_U], targets_N, rows_N)
            else:
                nll_N[positions] = self.output.nll(hidden_ND, targets_N)
            if on_batch is not None:
                on_batch(positions, hidden_ND)
        return nll_N

    def _window_nll(self, part: Part, context: Context, nll_N: np.ndarray) -> None:
        """Fill in the nats of a window model, which needs no state: each window by itself."""
        size = self.config.order - 1
        groups = different_windows(part, context, size, SLAB_TOKENS, BATCH_TOKENS)
        for windows_UK, positions, rows_M in groups:
            # A state is one word longer than what the next prediction sees of it.
            state = np.pad(windows_UK[:, :-1], ((0, 0), (1, 0)))
            hidden_UTD, _ = self.read(windows_UK[:, -1:], (state,))
            targets_M = part.ids_N[positions].astype(np.int64)
            nll_N[positions] = self.output.nll(hidden_UTD[:, 0], targets_M, rows_M)

    def read(self, ids_BT: np.ndarray, state: State | None = None) -> tuple[np.ndarray, State]:
        """What the output layer reads, (B, T, D), and the state after it.

        Each row goes on from ``state``, or (None) from the initial one.
        """
        if state is None:
            state = self.module.initial_state(self.config, len(ids_BT))
        with no_warnings():
            return self.module.forward(self.weights, self.config, ids_BT, state)

    def hidden(self, ids_BT: np.ndarray) -> np.ndarray:
        """What the output layer reads, (B, T, D), each row from the initial state on."""
        return self.read(ids_BT)[0]

    def begin(self, history: Sequence[int], rows: int = 1) -> tuple[np.ndarray, State]:
        """Log-probabilities (B, V) after a sentence's first ids, all rows alike, and the state."""
        hidden_BTD, state = self.read(np.array([[EOS_ID, *history]], np.int64))
        log_p_BV = self.output.log_probs(hidden_BTD[:, -1])
        return log_p_BV.repeat(rows, axis=0), tuple(piece.repeat(rows, axis=0) for piece in state)

    def advance(self, ids_B: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Log-probabilities (B, V) after one more id in each row, and the state."""
        hidden_BTD, state = self.read(np.asarray(ids_B, np.int64)[:, None], state)
        return self.output.log_probs(hidden_BTD[:, -1]), state

    def next_log_probs(self, history: Sequence[int]) -> np.ndarray:
        """Natural log-probabilities of the next id; float64, exp of them sums to 1."""
        return self.begin(history)[0][0]


class NgramScorer:
    """An n-gram count model behind the same calls; its state is the last n - 1 ids (B, T)."""

    def __init__(self, model: "NgramModel"):
        self.model = model
        self.order = model.order

    def seen(self, read: int, in_file: int | None = None, in_sentence: int | None = None) -> int:
        """Up to n - 1 of them."""
        return min(read, self.order - 1)

    def nll(self, part: Part, context: Context) -> np.ndarray:
        """Nats of each prediction; infinite where relative frequencies give 0."""
        return 0.0 - self.model.log_probs(part.ids_N, context=context, file_starts=part.file_starts)

    def begin(self, history: Sequence[int], rows: int = 1) -> tuple[np.ndarray, State]:
        """Log-probabilities (B, V) after a sentence's first ids, all rows alike, and the state."""
        return self._read(np.array([[EOS_ID, *history]], np.int64).repeat(rows, axis=0))

    def advance(self, ids_B: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Log-probabilities (B, V) after one more id in each row, and the state."""
        return self._read(np.column_stack([state[0], np.asarray(ids_B, np.int64)]))

    def _read(self, ids_BT: np.ndarray) -> tuple[np.ndarray, State]:
        ids_BT = ids_BT[:, max(0, ids_BT.shape[1] - self.model.order + 1) :]
        windows = [tuple(row) for row in ids_BT.tolist()]
        # Rows with the same window, such as all rows at the start, are looked up once.
        found = {window: self.model.next_log_probs(window) for window in dict.fromkeys(windows)}
        return np.stack([found[window] for window in windows]), (ids_BT,)

    def next_log_probs(self, history: Sequence[int]) -> np.ndarray:
        """Natural log-probabilities of the next id after a sentence's first words."""
        return self.begin(history)[0][0]


def open_scorer(run: Run) -> Scorer:
    """Return the scorer of a run's model, or of a mixture's models together."""
    if run.mixture is not None:
        from nplm_cli.query.mixture import open_mixture  # which needs the scorers above

        return open_mixture(run)
    if not run.config.model.neural:
        return NgramScorer(open_ngram(run.weights_path, len(run.vocabulary)))
    return NeuralScorer(run.weights, run.config.model)


def score_baselines(run: Run, part: Part, context: Context) -> "Baselines | None":
    """Score the simple models of a run on a part; None when the run has no baseline."""
    from nplm_cli.evaluation.ledger import Baselines
    from nplm_cli.ngram import unigram_log_probs

    model = run.baseline
    if model is None:
        return None
    log_p_V, note = unigram_log_probs(run.vocabulary.counts)
    return Baselines(
        unigram_N=-log_p_V[np.asarray(part.ids_N)],
        kneser_ney_N=NgramScorer(model).nll(part, context),
        kneser_ney_order=model.order,
        notes=(*model.notes, *([note] if note else [])),
    )
