"""The inner loops of encoding: words are found in bytes and looked up, with numpy alone.

``compiled_kernels`` has the same functions with the same results, compiled. Shape suffixes: N
bytes, W words, L lines, S sentences, C cells of a hash table, T tokens.
"""

from typing import NamedTuple

import numpy as np

SPACE, LF = 32, 10
# A word of so many bytes at most is a number of 64 bits: its bytes, zeros, and its length ...
TINY_BYTES = 7
# ... and of so many it is two.
SHORT_BYTES = 15
# Odd constants of splitmix64 (Steele, Lea & Flood 2014), which mix well.
_MIX_1, _MIX_2, _MIX_3 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_SHIFT = 29

_LENGTHS = range(SHORT_BYTES + 1)
_MASKS = np.array(
    [[(1 << 8 * min(n, 8)) - 1, (1 << 8 * max(n - 8, 0)) - 1] for n in _LENGTHS], np.uint64
)
_TINY_MASKS = np.array([(1 << 8 * n) - 1 for n in range(TINY_BYTES + 1)], np.uint64)
_MARKS = np.array([n << 56 for n in _LENGTHS], np.uint64)


class Cells(NamedTuple):
    """A hash table of 2^bits cells: keys of one number or two, and ids; -1 where a cell is empty.

    The key of an empty cell is 0, which is the key of no word.
    """

    keys: np.ndarray
    ids_C: np.ndarray
    bits: int


def replaced(data: bytes, characters: np.ndarray) -> bytes:
    """UTF-8 with ASCII in the place of some characters of three bytes.

    ``characters`` has for each code up to U+FFFF what takes its place, or 0; but for 0 only from
    U+1000 to U+3FFF and from U+F000 on, where white space and full-width forms are.
    """
    buffer_N = np.frombuffer(data, np.uint8)
    first = np.flatnonzero((buffer_N - np.uint8(0xE1) < 3) | (buffer_N == 0xEF))
    codes = (buffer_N[first] & np.uint16(0xF)) << 12
    codes |= (buffer_N[first + 1] & np.uint16(0x3F)) << 6
    codes |= buffer_N[first + 2] & np.uint16(0x3F)
    made = characters[codes]
    changed = np.flatnonzero(made)
    if not len(changed):
        return data
    first = first[changed]
    made_N = buffer_N.copy()
    made_N[first] = made[changed]
    kept_N = np.ones(len(buffer_N), bool)
    kept_N[first + 1] = kept_N[first + 2] = False
    return made_N[kept_N].tobytes()


def locate(buffer_N: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Where words begin and end, how many each line has, and the characters of all of them.

    ``buffer_N`` is UTF-8 that begins with a space and ends with LF, no other white space in it.
    """
    is_lf_N = buffer_N == LF
    in_word_N = (buffer_N != SPACE) & ~is_lf_N
    edges = np.flatnonzero(in_word_N[1:] != in_word_N[:-1])
    edges += 1
    starts_W = edges[::2]
    before_L = np.searchsorted(starts_W, np.flatnonzero(is_lf_N))
    # Of a character's bytes all but the first are 10xxxxxx.
    later = np.count_nonzero((buffer_N & 0xC0) == 0x80)
    characters = int(np.count_nonzero(in_word_N)) - int(later)
    return starts_W, edges[1::2], np.diff(before_L, prepend=0), characters


def tiny_keys_of(buffer_N: np.ndarray, starts_W: np.ndarray, lengths_W: np.ndarray) -> np.ndarray:
    """A number for each word of up to ``TINY_BYTES``, no two the same, none 0.

    8 bytes from the last start on must be in ``buffer_N``; of a longer word comes any number.
    """
    # The 8 bytes from each byte on.
    eights = np.ndarray((len(buffer_N) - 7,), "<u8", buffer_N, strides=(1,))
    lengths_W = np.minimum(lengths_W, TINY_BYTES)
    keys_W = eights[starts_W]
    keys_W &= _TINY_MASKS[lengths_W]
    keys_W |= _MARKS[lengths_W]
    return keys_W


def keys_of(buffer_N: np.ndarray, starts_W: np.ndarray, lengths_W: np.ndarray) -> np.ndarray:
    """Two numbers for each word of up to ``SHORT_BYTES``, no two words the same.

    16 bytes from the last start on must be in ``buffer_N``.
    """
    # 16 bytes from each byte on, as a type without alignment.
    windows = np.ndarray((len(buffer_N) - 15,), "V16", buffer_N, strides=(1,))
    keys_W2 = windows[starts_W].view("<u8").reshape(-1, 2)
    keys_W2 &= _MASKS[lengths_W]
    keys_W2[:, 1] |= _MARKS[lengths_W]
    return keys_W2


def cells_of(keys: np.ndarray, bits: int) -> np.ndarray:
    """The cell of a table of 2^bits where the search for each key, of one number or two, begins."""
    if keys.ndim == 1:  # Fibonacci hashing: Knuth, as in ``word_table``
        return ((keys * np.uint64(_MIX_1)) >> np.uint64(64 - bits)).astype(np.int64)
    mixed_W = (keys[:, 0] * np.uint64(_MIX_1)) ^ (keys[:, 1] * np.uint64(_MIX_2))
    mixed_W ^= mixed_W >> np.uint64(_SHIFT)
    mixed_W *= np.uint64(_MIX_3)
    return (mixed_W >> np.uint64(64 - bits)).astype(np.int64)


def probe(
    buffer_N: np.ndarray, starts_W: np.ndarray, ends_W: np.ndarray, tiny: Cells, short: Cells
) -> np.ndarray:
    """Id of each word (int32); -1 for those that the tables do not hold, and for long words.

    From its first cell on a word is searched up to an empty one. It is found only where its bytes
    are the same.
    """
    lengths_W = ends_W - starts_W
    ids_W = _searched(tiny_keys_of(buffer_N, starts_W, lengths_W), tiny)
    if len(more := np.flatnonzero(lengths_W > TINY_BYTES)):
        lengths = lengths_W[more]
        is_short = lengths <= SHORT_BYTES
        ids_W[more[~is_short]] = -1
        more = more[is_short]
        ids_W[more] = _searched(keys_of(buffer_N, starts_W[more], lengths[is_short]), short)
    return ids_W


def _searched(keys: np.ndarray, table: Cells) -> np.ndarray:
    cells = cells_of(keys, table.bits)
    ids = table.ids_C[cells]
    open_ = np.flatnonzero(_differ(_rows(table.keys, cells), keys) & (ids >= 0))
    cells, keys = cells[open_], keys[open_]
    while len(open_):
        cells = (cells + 1) & (len(table.ids_C) - 1)
        found = table.ids_C[cells]
        ids[open_] = found
        other = _differ(_rows(table.keys, cells), keys) & (found >= 0)
        open_, cells, keys = open_[other], cells[other], keys[other]
    return ids


def _rows(keys: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """``keys[cells]``; as pieces of 16 bytes they are taken out twice as fast."""
    if keys.ndim == 1:
        return keys[cells]
    return keys.view("V16")[:, 0][cells].view(np.uint64).reshape(-1, 2)


def _differ(keys: np.ndarray, others: np.ndarray) -> np.ndarray:
    if keys.ndim == 1:
        return keys != others
    return (keys[:, 0] != others[:, 0]) | (keys[:, 1] != others[:, 1])


def with_ends(ids_W: np.ndarray, words_S: np.ndarray, end_id: int, ids_T: np.ndarray) -> None:
    """Fill ``ids_T`` with the ids and ``end_id`` after each sentence."""
    ends_S = np.cumsum(words_S + 1) - 1
    is_word_T = np.ones(len(ids_T), bool)
    is_word_T[ends_S] = False
    ids_T[is_word_T] = ids_W
    ids_T[ends_S] = end_id
