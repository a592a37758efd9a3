"""Words of a text with one a line, left as bytes: for a few questions few words are decoded.

Shape suffix: W words.
"""

import numpy as np

from nplm_cli.corpus.word_kernels import (
    LF,
    SHORT_BYTES,
    TINY_BYTES,
    cells_of,
    keys_of,
    tiny_keys_of,
)

CELLS_A_WORD = 4
_PADDING = bytes(16)  # bytes that may be read with the last word


class LineWords:
    """Words, row i on line i + 1; ``lines`` is UTF-8, LF after each word."""

    def __init__(self, lines: bytes):
        self._lines = b"".join([b"\n", lines, _PADDING])
        breaks = np.flatnonzero(np.frombuffer(self._lines, np.uint8) == LF)
        self._starts_W, self._ends_W = breaks[:-1] + 1, breaks[1:]

    def __len__(self) -> int:
        return len(self._ends_W)

    def word(self, row: int) -> str:
        """Word of a row from 0 on."""
        return self._lines[self._starts_W[row] : self._ends_W[row]].decode("utf-8")

    def words(self) -> list[str]:
        """All words."""
        return self._lines[1 : -len(_PADDING)].decode("utf-8").split("\n")[:-1]

    def row(self, word: str) -> int | None:
        """First row of a word, or None where it is not; reads all words up to it."""
        try:
            line = f"\n{word}\n".encode()
        except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 does not have
            return None
        at = -1 if "\n" in word else self._lines.find(line)
        return None if at < 0 else int(np.searchsorted(self._starts_W, at, side="right"))

    def may_repeat(self) -> bool:
        """False only if every word stands once; hardly ever True for two that are different."""
        lengths_W = self._ends_W - self._starts_W
        long = np.flatnonzero(lengths_W > SHORT_BYTES).tolist()
        if len({self._lines[self._starts_W[w] : self._ends_W[w]] for w in long}) < len(long):
            return True
        # All words at once are put into a hash table: what finds its cell taken again is looked at.
        keys_K = self._short_keys(lengths_W)
        bits = (CELLS_A_WORD * len(keys_K)).bit_length()
        cells_K = cells_of(keys_K, bits)
        words_K = np.arange(len(keys_K), dtype=np.int32)
        last = np.empty(1 << bits, np.int32)
        last[cells_K] = words_K
        last_K = last[cells_K]
        met = np.flatnonzero(last_K != words_K)
        others = np.sort(keys_K[met])
        return bool((keys_K[met] == keys_K[last_K[met]]).any() or (others[1:] == others[:-1]).any())

    def _short_keys(self, lengths_W: np.ndarray) -> np.ndarray:
        """A number for each short word, the same for the same words."""
        buffer = np.frombuffer(self._lines, np.uint8)
        longer = np.flatnonzero((lengths_W > TINY_BYTES) & (lengths_W <= SHORT_BYTES))
        keys_W = tiny_keys_of(buffer, self._starts_W, lengths_W)
        keys_W[longer] = cells_of(keys_of(buffer, self._starts_W[longer], lengths_W[longer]), 64)
        return keys_W[lengths_W <= SHORT_BYTES]
