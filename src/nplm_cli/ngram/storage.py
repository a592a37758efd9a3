"""An n-gram model as named arrays and back.

Arrays of order n (0: the empty n-gram) are named ``order<n>.counts``, ``.keys`` (from order 2),
``.totals`` (below the highest) and, of Kneser-Ney, ``.adjusted`` (from order 1, below the
highest) and ``.backoffs`` (below the highest, absent where the order has no n-grams);
``discounts`` is of Kneser-Ney only. What they are is said by ``trie.Table``.
"""

from collections.abc import Mapping

import numpy as np

from nplm_cli.artifacts import TensorFile
from nplm_cli.errors import ArtifactError
from nplm_cli.ngram.trie import Table, Trie

KEY, COUNT, WEIGHT = np.dtype("<i8"), np.dtype("<u4"), np.dtype("<f8")


def to_tensors(trie: Trie, discounts: np.ndarray) -> dict[str, np.ndarray]:
    """Name the arrays of a model."""
    tensors = {"discounts": discounts} if discounts.any() else {}
    for order, table in enumerate(trie.tables):
        tensors[f"order{order}.counts"] = table.counts_N
        if order >= 2:
            tensors[f"order{order}.keys"] = table.keys_N
        if table.adjusted_N is not table.counts_N:
            tensors[f"order{order}.adjusted"] = table.adjusted_N
        if order < trie.order:
            tensors[f"order{order}.totals"] = table.totals_N
        if len(table.backoffs_N):
            tensors[f"order{order}.backoffs"] = table.backoffs_N
    return tensors


def from_tensors(
    mapping: TensorFile | Mapping[str, np.ndarray],
    *,
    order: int,
    vocab_size: int,
    is_kneser_ney: bool,
) -> tuple[Trie, np.ndarray]:
    """Put stored arrays together again; they are used as they are and not copied.

    Checks types, shapes, the order and range of all keys (so that no look-up can leave an
    array) and the range of all weights; raises ArtifactError.
    """
    nothing = np.zeros(0)
    tables: list[Table] = []
    for n in range(order + 1):
        counts_N = _array(mapping, f"order{n}.counts", COUNT, None)
        size = len(counts_N)
        if n < 2 and size != (1, vocab_size)[n]:
            raise ArtifactError(
                f"n-gram tensor order{n}.counts: {size} values where {(1, vocab_size)[n]} belong: "
                "corrupt"
            )
        keys_N = np.zeros(0, dtype=KEY)
        if n >= 2:
            keys_N = _array(mapping, f"order{n}.keys", KEY, size)
            _check_keys(keys_N, len(tables[-1].counts_N) * vocab_size, n)
        adjusted_N, totals_N, backoffs_N = counts_N, nothing, nothing
        if n < order:
            totals_N = _array(mapping, f"order{n}.totals", COUNT, size)
        if n < order and is_kneser_ney:
            name = f"order{n}.backoffs"
            if size or name in mapping:  # no sentence may reach an order: nothing to store
                backoffs_N = _array(mapping, name, WEIGHT, size)
            if not ((backoffs_N > 0) & (backoffs_N <= 1 + 1e-9)).all():
                raise ArtifactError(f"n-gram tensor {name}: out of range: corrupt")
            if n > 0:
                adjusted_N = _array(mapping, f"order{n}.adjusted", COUNT, size)
        tables.append(Table(keys_N, counts_N, adjusted_N, totals_N, backoffs_N))
    discounts = np.zeros((order, 4))
    if is_kneser_ney:
        discounts = _array(mapping, "discounts", WEIGHT, order, 4)
        if not ((discounts >= 0) & (discounts <= [0, 1, 2, 3])).all():
            raise ArtifactError("n-gram tensor discounts: out of range: corrupt")
    return Trie(tables, vocab_size), discounts


def _array(
    mapping: TensorFile | Mapping[str, np.ndarray],
    name: str,
    dtype: np.dtype,
    size: int | None,
    *rest: int,
) -> np.ndarray:
    """Take one array after checking its type and shape (``size`` None: any number of values)."""
    if name not in mapping:
        raise ArtifactError(f"n-gram model without tensor {name}: corrupt")
    array = mapping[name]
    expected = (len(array) if size is None and array.ndim else size, *rest)
    if array.dtype != dtype or array.shape != expected:
        raise ArtifactError(
            f"n-gram tensor {name}: {array.dtype} of shape {array.shape}, expected {dtype} of "
            f"{expected}: corrupt"
        )
    return array


def _check_keys(keys_N: np.ndarray, end: int, order: int) -> None:
    """Check that keys ascend from 0 to below ``end``."""
    if not len(keys_N):
        return
    if keys_N[0] < 0 or keys_N[-1] >= end or not (keys_N[1:] > keys_N[:-1]).all():
        raise ArtifactError(f"n-gram tensor order{order}.keys: not in order: corrupt")
