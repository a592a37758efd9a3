"""A table from words, as bytes, to ids, asked for all words of a block at once.

Short words (7 bytes: most; 15 bytes: English but for the longest, Chinese of five characters)
stand in two open-addressing hash tables with linear probing (Knuth, The Art of Computer
Programming 3, 6.4) as arrays, all others in a dict. The bytes themselves are compared, so no two
words are ever taken for one another.
"""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np

from nplm_cli.corpus import word_kernels
from nplm_cli.corpus.word_blocks import PADDING, WordBlock
from nplm_cli.corpus.word_kernels import (
    SHORT_BYTES,
    TINY_BYTES,
    Cells,
    cells_of,
    keys_of,
    tiny_keys_of,
)

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
        self._tiny = _Growing(())
        self._short = _Growing((2,))
        self._long: dict[bytes, int] = {}

    def __len__(self) -> int:
        return self._tiny.taken + self._short.taken + len(self._long)

    def add(self, words: Mapping[bytes, int]) -> None:
        """Take in words that are not in the table, with ids from 0 on below 2^31."""
        if not words:
            return
        self._long.update((w, i) for w, i in words.items() if len(w) > SHORT_BYTES)
        buffer_N = np.frombuffer(b"".join([*words, bytes(PADDING)]), np.uint8)
        lengths_W = np.fromiter(map(len, words), np.int64, len(words))
        starts_W = np.cumsum(lengths_W) - lengths_W
        ids_W = np.fromiter(words.values(), np.int32, len(words))
        tiny = lengths_W <= TINY_BYTES
        self._tiny.add(tiny_keys_of(buffer_N, starts_W[tiny], lengths_W[tiny]), ids_W[tiny])
        short = ~tiny & (lengths_W <= SHORT_BYTES)
        self._short.add(keys_of(buffer_N, starts_W[short], lengths_W[short]), ids_W[short])

    def find(self, block: WordBlock) -> np.ndarray:
        """Id of each word of a block (int32), -1 for those that are not in the table."""
        buffer_N = np.frombuffer(block.data, np.uint8)
        starts_W, ends_W = block.starts_W, block.ends_W
        ids_W = self._kernels.probe(buffer_N, starts_W, ends_W, self._tiny.cells, self._short.cells)
        if self._long:
            for w in np.flatnonzero(ends_W - starts_W > SHORT_BYTES).tolist():
                ids_W[w] = self._long.get(block.word(w), MISSING)
        return ids_W


class _Growing:
    """A hash table whose keys have a shape of their own."""

    def __init__(self, shape: tuple[int, ...]):
        self._shape = shape
        self.taken = 0
        self._clear(8)

    def _clear(self, bits: int) -> None:
        keys = np.zeros((1 << bits, *self._shape), np.uint64)
        self.cells = Cells(keys, np.full(1 << bits, MISSING, np.int32), bits)

    def add(self, keys: np.ndarray, ids_W: np.ndarray) -> None:
        """Take in keys that are not there."""
        self.taken += len(ids_W)
        if self.taken * CELLS_A_WORD > len(self.cells.ids_C):
            taken_C = self.cells.ids_C != MISSING
            keys = np.concatenate([self.cells.keys[taken_C], keys])
            ids_W = np.concatenate([self.cells.ids_C[taken_C], ids_W])
            self._clear((self.taken * CELLS_A_WORD).bit_length())
        self._put(keys, ids_W)

    def _put(self, keys: np.ndarray, ids_W: np.ndarray) -> None:
        """All at once: of those that want a free cell one gets it, the others go on to the next."""
        cells_W = cells_of(keys, self.cells.bits)
        owners_C = np.full(len(self.cells.ids_C), -1, np.int64)
        waiting = np.arange(len(ids_W))
        while len(waiting):
            cells = cells_W[waiting]
            free = self.cells.ids_C[cells] == MISSING
            owners_C[cells[free]] = waiting[free]
            got = free & (owners_C[cells] == waiting)
            self.cells.keys[cells[got]] = keys[waiting[got]]
            self.cells.ids_C[cells[got]] = ids_W[waiting[got]]
            waiting = waiting[~got]
            cells_W[waiting] = (cells_W[waiting] + 1) & (len(self.cells.ids_C) - 1)
