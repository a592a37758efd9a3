"""Which predictions of a text follow the same words, so that they share one sum over all words.

Shape suffixes: B rows, T positions, N predictions, M of them in a batch, K words of a window, U
different contexts.
"""

from collections.abc import Iterator

import numpy as np

from nplm_cli.config import Context
from nplm_cli.corpus.batches import Batch
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID


def windows(part: Part, context: Context, size: int, begin: int, end: int) -> np.ndarray:
    """Return the ``size`` words before each of the predictions ``begin`` to ``end`` (N, K).

    ``</s>`` stands where a sentence, or under ``stream`` a file, has no word yet.
    """
    first = max(0, begin - size)
    ids = np.concatenate([np.full(size, EOS_ID), part.ids_N[first:end].astype(np.int64)])
    positions_N = np.arange(begin, end)
    starts = part.sequence_starts(context)
    starts_N = starts[np.searchsorted(starts, positions_N, "right") - 1]
    at_NK = positions_N[:, None] + np.arange(-size, 0)
    return np.where(at_NK >= starts_N[:, None], ids[at_NK - first + size], EOS_ID)


def same_rows(ids_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a row of each kind (U,), the first, and the kind of each row (N,)."""
    kind_N = np.zeros(len(ids_NK), np.int64)
    if not len(ids_NK):
        return kind_N, kind_N
    first_U = np.zeros(1, np.int64)
    # The nearest word tells most rows apart.
    for ids_N in ids_NK.T[::-1]:
        first_U, kind_N = _numbered(kind_N, ids_N)
    return first_U, kind_N


def same_beginnings(ids_BT: np.ndarray) -> np.ndarray:
    """Return a number (B, T) for what each row has read up to a position: the same for the same."""
    kinds_BT = np.empty(ids_BT.shape, np.int64)
    kind_B = np.zeros(len(ids_BT), np.int64)
    before = kinds = 0
    for t, ids_B in enumerate(ids_BT.T):
        if kinds < len(ids_BT):  # else all are different already
            first_U, kind_B = _numbered(kind_B, ids_B)
            kinds = len(first_U)
        kinds_BT[:, t] = before + kind_B
        before += kinds
    return kinds_BT


def different_windows(
    part: Part, context: Context, size: int, slab: int, batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield different windows (U, K), the predictions that follow them (M,) and which each follows.

    Equal windows are found within ``slab`` predictions; U is at most ``batch``. All of these
    together are each prediction once.
    """
    for begin in range(0, part.predictions, slab):
        end = min(begin + slab, part.predictions)
        windows_NK = windows(part, context, size, begin, end)
        first_U, kind_N = same_rows(windows_NK)
        order_N = np.argsort(kind_N, kind="stable")
        kinds = kind_N[order_N]
        for low in range(0, len(first_U), batch):
            ends = np.searchsorted(kinds, [low, low + batch])
            here = order_N[ends[0] : ends[1]]
            yield windows_NK[first_U[low : low + batch]], begin + here, kind_N[here] - low


def different_beginnings(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Return a prediction of each kind (U,) of a batch of sentences, and the kind of each (M,).

    Predictions are those that count, in row-major order.
    """
    kinds_M = same_beginnings(batch.ids_BT)[batch.targets_BT >= 0]
    _, first_U, rows_M = np.unique(kinds_M, return_index=True, return_inverse=True)
    return first_U, rows_M


def _numbered(kind_N: np.ndarray, ids_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell rows apart by one more id: the first row of each kind, the kind of each row."""
    pairs_N = kind_N * (int(ids_N.max()) + 1) + ids_N
    _, first_U, kind_N = np.unique(pairs_N, return_index=True, return_inverse=True)
    return first_U, kind_N
