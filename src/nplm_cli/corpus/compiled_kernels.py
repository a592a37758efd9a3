"""The functions of ``word_kernels``, compiled by numba (extra fast)."""

import numpy as np
from numba import njit

from nplm_cli.corpus.word_kernels import (
    _MARKS,
    _MASKS,
    _MIX_1,
    _MIX_2,
    _MIX_3,
    _SHIFT,
    _TINY_MASKS,
    LF,
    SHORT_BYTES,
    SPACE,
    TINY_BYTES,
    Cells,
)

_M1, _M2, _M3 = np.uint64(_MIX_1), np.uint64(_MIX_2), np.uint64(_MIX_3)
_TURN = np.uint64(_SHIFT)
_SPACE, _LF = np.uint8(SPACE), np.uint8(LF)
# First bytes of the characters that ``replaced`` looks at.
_FIRST = np.isin(np.arange(256), [0xE1, 0xE2, 0xE3, 0xEF])
_TOP, _CONTINUED = np.uint8(0xC0), np.uint8(0x80)


def replaced(data: bytes, characters: np.ndarray) -> bytes:
    """See ``word_kernels.replaced``."""
    buffer_N = np.frombuffer(data, np.uint8)
    made_N = np.empty(len(buffer_N), np.uint8)
    size = _replaced(buffer_N, characters, made_N)
    return data if size == len(data) else made_N[:size].tobytes()


@njit(cache=True, nogil=True)
def _replaced(buffer_N, characters, made_N):  # type: ignore[no-untyped-def]
    size = i = 0
    while i < len(buffer_N):
        byte = buffer_N[i]
        made_N[size] = byte
        if byte > _TOP and _FIRST[byte]:
            code = (
                (np.int64(byte & 0xF) << 12)
                | (np.int64(buffer_N[i + 1] & 0x3F) << 6)
                | np.int64(buffer_N[i + 2] & 0x3F)
            )
            if characters[code]:
                made_N[size] = characters[code]
                i += 2
        size += 1
        i += 1
    return size


def locate(buffer_N: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """See ``word_kernels.locate``."""
    edges = np.empty(len(buffer_N) + 1, np.int64)
    words_L = np.empty(len(buffer_N), np.int32)
    found, lines, characters = _locate(buffer_N, edges, words_L)
    return edges[:found:2], edges[1:found:2], words_L[:lines].astype(np.int64), characters


@njit(cache=True, nogil=True)
def _locate(buffer_N, edges, words_L):  # type: ignore[no-untyped-def]
    found = lines = before = characters = 0
    was_word = False
    for i in range(len(buffer_N)):
        byte = buffer_N[i]
        is_word = (byte != _SPACE) & (byte != _LF)
        edges[found] = i  # stays only where it is an edge: there is nothing to predict
        found += is_word != was_word
        was_word = is_word
        characters += is_word & ((byte & _TOP) != _CONTINUED)
        if byte == _LF:
            words_L[lines] = found // 2 - before
            before = found // 2
            lines += 1
    return found, lines, characters


def probe(
    buffer_N: np.ndarray, starts_W: np.ndarray, ends_W: np.ndarray, tiny: Cells, short: Cells
) -> np.ndarray:
    """See ``word_kernels.probe``."""
    ids_W = np.empty(len(starts_W), np.int32)
    # The 8 bytes from each byte on.
    eights = np.ndarray((len(buffer_N) - 7,), "<u8", buffer_N, strides=(1,))
    _probe(eights, starts_W, ends_W, tiny, short, ids_W)
    return ids_W


@njit(cache=True, nogil=True)
def _probe(eights, starts_W, ends_W, tiny, short, ids_W):  # type: ignore[no-untyped-def]
    tiny_shift, short_shift = np.uint64(64 - tiny.bits), np.uint64(64 - short.bits)
    tiny_last, short_last = len(tiny.ids_C) - 1, len(short.ids_C) - 1
    for w in range(len(starts_W)):
        start = starts_W[w]
        length = ends_W[w] - start
        first = eights[start]
        if length <= TINY_BYTES:
            first = (first & _TINY_MASKS[length]) | _MARKS[length]
            cell = np.int64((first * _M1) >> tiny_shift)
            while tiny.ids_C[cell] >= 0 and tiny.keys[cell] != first:
                cell = (cell + 1) & tiny_last
            ids_W[w] = tiny.ids_C[cell]
            continue
        if length > SHORT_BYTES:
            ids_W[w] = -1
            continue
        second = (eights[start + 8] & _MASKS[length, 1]) | _MARKS[length]
        mixed = (first * _M1) ^ (second * _M2)
        mixed ^= mixed >> _TURN
        mixed *= _M3
        cell = np.int64(mixed >> short_shift)
        while short.ids_C[cell] >= 0 and (
            short.keys[cell, 0] != first or short.keys[cell, 1] != second
        ):
            cell = (cell + 1) & short_last
        ids_W[w] = short.ids_C[cell]


@njit(cache=True, nogil=True)
def with_ends(ids_W, words_S, end_id, ids_T):  # type: ignore[no-untyped-def]
    """See ``word_kernels.with_ends``."""
    word = token = 0
    for words in words_S:
        for _ in range(words):
            ids_T[token] = ids_W[word]
            word += 1
            token += 1
        ids_T[token] = end_id
        token += 1
