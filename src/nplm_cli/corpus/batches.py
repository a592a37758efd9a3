"""From a part's ids to batches: the one place where the context policy is decided.

``sentence``: whole sentences, those of like length together, short rows masked, each row starting
from the initial state. ``stream``: the text cut into parallel strips that are read side by side,
the state carried from one batch to the next. Models never see a reset. The arrays are numpy, for
the torch trainer and the numpy scorer alike. Shape suffixes: B rows, T positions, N predictions.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nplm_cli.config import Context
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID

# Sentences are shuffled, then sorted by length within pools of so many batches: rows of a batch
# are of like length, and the order still differs from epoch to epoch.
POOL_BATCHES = 50
# A full batch is gathered piece by piece; this bounds a piece.
MAX_TOKENS = 16_384
# A batch to be scored ends where padding would take more than this share of it, from so many rows
# on, which products need to be efficient.
_MAX_PADDING, _PADDED_ROWS = 0.05, 32


@dataclass(frozen=True)
class Batch:
    """Rows of ids to read and the ids to predict.

    ``targets_BT`` is -1 where there is nothing to predict (row too short). ``fresh_B`` says
    which rows start from the initial state instead of the state of the batch before.
    """

    ids_BT: np.ndarray
    targets_BT: np.ndarray
    fresh_B: np.ndarray

    @property
    def predictions(self) -> int:
        """How many targets count."""
        return int(np.count_nonzero(self.targets_BT >= 0))


class TrainingBatches:
    """Steps of one epoch after another, the same for the same seed.

    A step is a list of batches whose gradients are added: one batch, or all of them when
    ``batch`` is 0 (full batch).
    """

    def __init__(self, part: Part, context: Context, batch: int, bptt: int, seed: int):
        self.part, self.context, self.bptt, self.seed = part, context, bptt, seed
        self.full = batch == 0
        self.rows = batch or 64
        if context == "stream":
            self._segments()
            pieces = int(self._counts.max())
        else:
            pieces = -(-part.sentences // self.rows)
        self.steps_per_epoch = 1 if self.full else pieces

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[list[Batch]]:
        """Yield the steps of an epoch, the first ``skip`` left out."""
        batches: Iterator[list[Batch]]
        left_out = 0 if self.full else skip
        if self.context == "stream":
            batches = ([batch] for batch in self._stream(left_out))
        else:
            batches = self._sentences(epoch, left_out)
        if not self.full:
            yield from batches
        elif not skip:
            yield [batch for step in batches for batch in step]

    def _sentences(self, epoch: int, skip: int) -> Iterator[list[Batch]]:
        part, rows = self.part, self.rows
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(part.sentences)
        lengths = np.diff(part.starts)
        plan: list[np.ndarray] = []
        for begin in range(0, len(order), rows * POOL_BATCHES):
            pool = order[begin : begin + rows * POOL_BATCHES]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            plan += [pool[i : i + rows] for i in range(0, len(pool), rows)]
        for i in random.permutation(len(plan))[skip:]:
            yield [sentence_batch(part, piece) for piece in _bounded(plan[i], lengths)]

    def _segments(self) -> None:
        """Cut the strips into segments of at most ``bptt`` tokens, none across a file start."""
        part, end = self.part, self.part.predictions
        rows = max(1, min(self.rows, end // 2))
        strip = -(-end // rows)
        cuts = np.union1d(np.arange(0, end, strip), part.file_starts).astype(np.int64)
        ends = np.append(cuts[1:], end)
        pieces = -(-(ends - cuts) // self.bptt)
        first = np.repeat(np.cumsum(pieces) - pieces, pieces)
        number = np.arange(pieces.sum()) - first
        self._starts = np.repeat(cuts, pieces) + number * self.bptt
        self._ends = np.minimum(self._starts + self.bptt, np.repeat(ends, pieces))
        self._fresh = number == 0
        self._counts = np.bincount(self._starts // strip, minlength=-(-end // strip))

    def _stream(self, skip: int) -> Iterator[Batch]:
        """Row r reads the segments of strip r in turn; a row that is through is masked."""
        begins = np.cumsum(self._counts) - self._counts
        for step in range(skip, int(self._counts.max())):
            live = step < self._counts
            at = np.where(live, begins + step, 0)
            starts = self._starts[at]
            ends = np.where(live, self._ends[at], starts)
            yield _rows(self.part.ids_N, starts, ends, self._fresh[at] & live)


def sentence_batch(part: Part, sentences: np.ndarray) -> Batch:
    """Rows of whole sentences; each reads ``</s>`` w1 ... wn and predicts w1 ... wn ``</s>``."""
    return _rows(part.ids_N, part.starts[sentences], part.starts[sentences + 1])


def _bounded(sentences: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Split rows, sorted by length, so that padding never blows up a batch."""
    pieces = []
    while len(sentences):
        areas = lengths[sentences] * np.arange(1, len(sentences) + 1)
        count = max(1, int(np.searchsorted(areas, MAX_TOKENS, "right")))
        pieces.append(sentences[:count])
        sentences = sentences[count:]
    return pieces


def _rows(
    ids_N: np.ndarray, starts: np.ndarray, ends: np.ndarray, fresh_B: np.ndarray | None = None
) -> Batch:
    """Rows that predict ``ids_N[start:end]`` and read each token's predecessor."""
    lengths = ends - starts
    longest = int(lengths.max())
    columns = np.arange(longest)[None, :]
    real = columns < lengths[:, None]
    targets = ids_N[np.where(real, starts[:, None] + columns, 0)].astype(np.int64)
    ids = np.full((len(starts), longest), EOS_ID, np.int64)
    ids[:, 1:] = np.where(real, targets, EOS_ID)[:, :-1]
    # A file or sentence begins after the </s> of the one before it; the first after nothing.
    ids[:, 0] = np.where(starts > 0, ids_N[np.maximum(starts, 1) - 1], EOS_ID)
    if fresh_B is None:
        fresh_B = np.ones(len(starts), bool)
    return Batch(ids, np.where(real, targets, -1), fresh_B)


def scoring_batches(
    part: Part, context: Context, max_tokens: int = MAX_TOKENS
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Batches that cover every prediction of a part once, with their positions in ``ids_N``.

    Positions come in the row-major order of the targets that count. Sentences are bucketed by
    length, and little of a batch is padding; under ``stream`` each file is one row, read from its
    start in pieces.
    """
    if context == "sentence":
        lengths = np.diff(part.starts)
        order = np.argsort(lengths, kind="stable")
        begin = 0
        while begin < len(order):
            # Sorted by length: the last row of a batch is its longest.
            end, tokens = begin + 1, lengths[order[begin]]
            while end < len(order):
                rows_then, longest = end + 1 - begin, lengths[order[end]]
                area, tokens = rows_then * longest, tokens + longest
                padded = rows_then > _PADDED_ROWS and tokens < (1 - _MAX_PADDING) * area
                if area > max_tokens or padded:
                    break
                end += 1
            rows = order[begin:end]
            starts, ends = part.starts[rows], part.starts[rows + 1]
            yield _rows(part.ids_N, starts, ends), _positions(starts, ends)
            begin = end
        return
    sequence = part.sequence_starts(context)
    for start, end in itertools.pairwise(sequence):
        for begin in range(start, end, max_tokens):
            stop = min(begin + max_tokens, end)
            targets = part.ids_N[begin:stop].astype(np.int64)[None]
            first = EOS_ID if begin == start else int(part.ids_N[begin - 1])
            ids = np.concatenate([[[first]], targets[:, :-1]], axis=1)
            yield Batch(ids, targets, np.array([begin == start])), np.arange(begin, stop)


def _positions(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    return np.concatenate([np.arange(s, e) for s, e in zip(starts, ends, strict=True)])
