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


@dataclass(frozen=True)
class Batch:
    """Rows of ids to read and the ids to predict.

    ``targets_BT`` is -1 where there is nothing to predict (row too short). ``fresh`` says that
    the rows start from the initial state instead of the state of the batch before.
    """

    ids_BT: np.ndarray
    targets_BT: np.ndarray
    fresh: bool

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
            self.rows = max(1, min(self.rows, part.predictions // 2))
            self.strip = -(-part.predictions // self.rows)
            pieces = -(-self.strip // bptt)
        else:
            pieces = -(-part.sentences // self.rows)
        self.steps_per_epoch = 1 if self.full else pieces

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[list[Batch]]:
        """Yield the steps of an epoch, the first ``skip`` left out."""
        batches = self._stream() if self.context == "stream" else self._sentences(epoch)
        if self.full:
            if not skip:
                yield list(batches)
            return
        for number, batch in enumerate(batches):
            if number >= skip:
                yield [batch]

    def _sentences(self, epoch: int) -> Iterator[Batch]:
        part, rows = self.part, self.rows
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(part.sentences)
        lengths = np.diff(part.starts)
        plan: list[np.ndarray] = []
        for begin in range(0, len(order), rows * POOL_BATCHES):
            pool = order[begin : begin + rows * POOL_BATCHES]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            plan += [pool[i : i + rows] for i in range(0, len(pool), rows)]
        for i in random.permutation(len(plan)):
            yield sentence_batch(part, plan[i])

    def _stream(self) -> Iterator[Batch]:
        """Strips of the whole part; the last one may be shorter and is masked at its end."""
        part, strip = self.part, self.strip
        ids = np.concatenate([[EOS_ID], part.ids_N]).astype(np.int64)
        starts = np.arange(self.rows)[:, None] * strip
        for begin in range(0, strip, self.bptt):
            columns = starts + np.arange(begin, min(begin + self.bptt, strip))[None, :]
            real = columns < part.predictions
            # Rows of strips that begin past the end would hold nothing; clip their reading.
            read = np.minimum(columns, part.predictions - 1)
            yield Batch(
                ids[read],
                np.where(real, ids[read + 1], -1),
                fresh=begin == 0,
            )


def sentence_batch(part: Part, sentences: np.ndarray) -> Batch:
    """Rows of whole sentences; each reads ``</s>`` w1 ... wn and predicts w1 ... wn ``</s>``."""
    return _rows(part.ids_N, part.starts[sentences], part.starts[sentences + 1])


def _rows(ids_N: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Batch:
    lengths = ends - starts
    longest = int(lengths.max())
    columns = np.arange(longest)[None, :]
    real = columns < lengths[:, None]
    targets = ids_N[np.where(real, starts[:, None] + columns, 0)].astype(np.int64)
    ids = np.full((len(starts), longest), EOS_ID, np.int64)
    ids[:, 1:] = np.where(real, targets, EOS_ID)[:, :-1]
    return Batch(ids, np.where(real, targets, -1), fresh=True)


def scoring_batches(
    part: Part, context: Context, max_tokens: int = MAX_TOKENS
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Batches that cover every prediction of a part once, with their positions in ``ids_N``.

    Positions come in the row-major order of the targets that count. Sentences are bucketed by
    length; under ``stream`` each file is one row, read from its start in pieces.
    """
    if context == "sentence":
        lengths = np.diff(part.starts)
        order = np.argsort(lengths, kind="stable")
        begin = 0
        while begin < len(order):
            # Sorted by length: the last row of a batch is its longest.
            end = begin + 1
            while end < len(order) and (end + 1 - begin) * lengths[order[end]] <= max_tokens:
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
            yield Batch(ids, targets, fresh=begin == start), np.arange(begin, stop)


def _positions(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    return np.concatenate([np.arange(s, e) for s, e in zip(starts, ends, strict=True)])
