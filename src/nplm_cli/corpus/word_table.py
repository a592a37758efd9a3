"""A table from words, as bytes, to ids, asked for all words of a block at once.

Short words (15 bytes: English but for the longest, Chinese of five characters) stand in an
open-addressing hash table with linear probing (Knuth, The Art of Computer Programming 3, 6.4) as
arrays, all others in a dict. The bytes themselves are compared, so no two words are ever taken for
one another.
"""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np

from nplm_cli.corpus import word_kernels
from nplm_cli.corpus.word_blocks import PADDING, WordBlock
from nplm_cli.corpus.word_kernels import SHORT_BYTES, cells_of, keys_of

MISSING = -1
# At most every fourth cell is taken: few words meet another one in theirs.
CELLS_A_WORD = 4
# From this size of the files on loading numba takes less time than it saves.
COMPILED_BYTES = 64_000_000


def kernels_for(files: Sequence[str]) -> ModuleType:
    """The loops for a text: compiled where that is worth it and numba is installed."""
    size = sum(os.path.getsize(name) for name in files if os.path.isfile(name))
    if size >= COMPILED_BYTES and importlib.util.find_spec("numba") is not None:
        try:
            from nplm_cli.corpus import compiled_kernels
        except (ImportError, RuntimeError):  # of another numpy; no folder for what is compiled
            return word_kernels
        return compiled_kernels
    return word_kernels


class WordTable:
    """Ids of words; grows."""

    def __init__(self, kernels: ModuleType = word_kernels):
        """Make an empty table; ``kernels`` are the loops that look words up."""
        self._kernels = kernels
        self._long: dict[bytes, int] = {}
        self._short = 0
        self._clear(8)

    def __len__(self) -> int:
        return self._short + len(self._long)

    def _clear(self, bits: int) -> None:
        self._bits = bits
        self._keys_C2 = np.zeros((1 << bits, 2), np.uint64)
        self._ids_C = np.full(1 << bits, MISSING, np.int32)

    def add(self, words: Mapping[bytes, int]) -> None:
        """Take in words that are not in the table, with ids from 0 on below 2^31."""
        short = {word: i for word, i in words.items() if len(word) <= SHORT_BYTES}
        if len(short) < len(words):
            self._long.update((w, i) for w, i in words.items() if len(w) > SHORT_BYTES)
        if not short:
            return
        buffer_N = np.frombuffer(b"".join([*short, bytes(PADDING)]), np.uint8)
        ends_W = np.cumsum(np.fromiter(map(len, short), np.int64, len(short)))
        starts_W = np.concatenate([[0], ends_W[:-1]])
        keys_W2 = keys_of(buffer_N, starts_W, ends_W)
        ids_W = np.fromiter(short.values(), np.int32, len(short))
        self._short += len(short)
        if self._short * CELLS_A_WORD > len(self._ids_C):
            taken_C = self._ids_C != MISSING
            keys_W2 = np.concatenate([self._keys_C2[taken_C], keys_W2])
            ids_W = np.concatenate([self._ids_C[taken_C], ids_W])
            self._clear((self._short * CELLS_A_WORD).bit_length())
        self._put(keys_W2, ids_W)

    def _put(self, keys_W2: np.ndarray, ids_W: np.ndarray) -> None:
        """All at once: of those that want a free cell one gets it, the others go on to the next."""
        cells_W = cells_of(keys_W2, self._bits)
        owners_C = np.full(len(self._ids_C), -1, np.int64)
        waiting = np.arange(len(ids_W))
        while len(waiting):
            cells = cells_W[waiting]
            free = self._ids_C[cells] == MISSING
            owners_C[cells[free]] = waiting[free]
            got = free & (owners_C[cells] == waiting)
            self._keys_C2[cells[got]] = keys_W2[waiting[got]]
            self._ids_C[cells[got]] = ids_W[waiting[got]]
            waiting = waiting[~got]
            cells_W[waiting] = (cells_W[waiting] + 1) & (len(self._ids_C) - 1)

    def find(self, block: WordBlock) -> np.ndarray:
        """Id of each word of a block (int32), -1 for those that are not in the table."""
        buffer_N = np.frombuffer(block.data, np.uint8)
        starts_W, ends_W = block.starts_W, block.ends_W
        ids_W = self._kernels.probe(
            buffer_N, starts_W, ends_W, self._keys_C2, self._ids_C, self._bits
        )
        if self._long:
            for w in np.flatnonzero(ends_W - starts_W > SHORT_BYTES).tolist():
                ids_W[w] = self._long.get(block.word(w), MISSING)
        return ids_W
