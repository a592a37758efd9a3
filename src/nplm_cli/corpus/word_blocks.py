"""Segmented text in blocks: where words begin and end, found for many lines at once.

What ``TextRecipe.segmented_tokens`` makes of each line is the definition; here the same words are
places in a block of bytes, so that no word need become an object. Shape suffixes: N bytes, W words,
L lines, S sentences.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

import numpy as np

from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.tokenizers import ESCAPES, FOLDED, escape
from nplm_cli.corpus.word_kernels import LF, SPACE

# Characters that are looked at together: the arrays of a block stay in the processor's cache.
BLOCK_CHARACTERS = 1 << 17
# Bytes behind a block that may be read with its last word.
PADDING = 16
# All that ``str.split`` takes for white space, but for the space and LF.
ASCII_SPACES = "\t\x0b\x0c\r\x1c\x1d\x1e\x1f"
OTHER_SPACES = (
    "\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_ASCII_SPACES = [space.encode() for space in ASCII_SPACES]
_SPACED = bytes.maketrans(ASCII_SPACES.encode(), b" " * len(ASCII_SPACES))
_TWO_BYTE_SPACES = re.compile(b"|".join(c.encode() for c in OTHER_SPACES if c < "\u0800"))
# Now that there is no other white space than the space and LF.
_SPECIAL = re.compile(rb"(?<![^ \n])</?s>(?![^ \n])")
_ESCAPED = re.compile(rf"(?<![^ \n])(?:{'|'.join(ESCAPES.values())})(?![^ \n])".encode())


def _replaced_characters(*, fold: bool) -> np.ndarray:
    """What takes the place of each character of three bytes; 0 for those that stay."""
    made = np.zeros(1 << 16, np.uint8)
    made[[ord(space) for space in OTHER_SPACES if space >= "\u0800"]] = SPACE
    if fold:
        made[list(FOLDED)] = list(map(ord, FOLDED.values()))
    return made


_REPLACED = [_replaced_characters(fold=False), _replaced_characters(fold=True)]


def takes_blocks(recipe: TextRecipe) -> bool:
    """Whether words are what stands between white space, and a line is a sentence."""
    return recipe.format == "segmented" and recipe.sentences == "line" and recipe.lang != "char"


@dataclass(frozen=True)
class WordBlock:
    """Lines of words.

    Word w is ``data[starts_W[w]:ends_W[w]]``, UTF-8, and not empty; ``words_S`` counts those of
    each sentence (0 only for a blank line that is kept). ``document``, ``file``, ``block_S`` and
    ``line_S`` are what ``Sentence`` calls by these names. ``characters`` are those of all words.
    """

    data: bytes
    starts_W: np.ndarray
    ends_W: np.ndarray
    words_S: np.ndarray
    document: int
    block_S: np.ndarray
    line_S: np.ndarray
    file: int
    characters: int

    @property
    def sentences(self) -> int:
        """Number of sentences."""
        return len(self.words_S)

    @cached_property
    def ends_S(self) -> np.ndarray:
        """Where each sentence ends in the stream of the words with one ``</s>`` a sentence."""
        return np.cumsum(self.words_S + 1)

    @property
    def longest(self) -> int:
        """Bytes of the longest word; 0 where there is none."""
        return int((self.ends_W - self.starts_W).max(initial=0))

    def compact(self) -> bytes:
        """The words with one space between two, and an LF after each sentence."""
        lines = self.data[1:-PADDING]
        blank = self.sentences and not self.words_S.all()
        spaced = b"  " in lines or b" \n" in lines or b"\n " in lines or lines[:1] == b" "
        if not spaced and not blank and lines.count(b"\n") == self.sentences:
            return lines
        buffer_N = np.frombuffer(self.data, np.uint8, len(self.data) - PADDING)
        is_lf_N = buffer_N == LF
        kept_N = (buffer_N != SPACE) & ~is_lf_N
        kept_N[self.ends_W] = True  # what follows a word becomes a space, or the line's end
        made_N = buffer_N.copy()
        made_N[self.ends_W] = SPACE
        filled_S = self.words_S > 0
        made_N[self.ends_W[np.cumsum(self.words_S)[filled_S] - 1]] = LF
        if blank:  # then each line is a sentence
            kept_N[np.flatnonzero(is_lf_N)[~filled_S]] = True
        return made_N[kept_N].tobytes()

    def texts(self, *, lowered: bool = False) -> list[str]:
        """Each sentence's words put together without white space, and in lower case if asked."""
        text = self.data[1 : -PADDING - 1].replace(b" ", b"").decode("utf-8", "surrogatepass")
        # A line's end is for the final sigma what the text's end is.
        lines = (text.lower() if lowered else text).split("\n")
        return lines if len(lines) == self.sentences else [line for line in lines if line]

    def words(self) -> list[str]:
        """All words."""
        return self.data[:-PADDING].decode("utf-8", "surrogatepass").split()

    def word(self, index: int) -> bytes:
        """One word."""
        return self.data[self.starts_W[index] : self.ends_W[index]]


@dataclass(frozen=True)
class FoundWords:
    """Where the words of lines are: as in ``WordBlock``, and the number of words in each line."""

    data: bytes
    starts_W: np.ndarray
    ends_W: np.ndarray
    words_L: np.ndarray
    characters: int
    escaped: int


def pieces(text: str) -> Iterator[str]:
    """Cut lines into blocks of about ``BLOCK_CHARACTERS``, at line ends."""
    begin = 0
    while begin <= len(text):
        end = text.find("\n", begin + BLOCK_CHARACTERS)
        end = len(text) if end < 0 else end
        yield text[begin:end]
        begin = end + 1


def find_words(text: str, recipe: TextRecipe, kernels: ModuleType) -> FoundWords:
    """Find the words of lines (LF between them, none at the end)."""
    fold = recipe.fold_width
    if recipe.fold_numbers or recipe.lowercase:
        text, fold = recipe.respelled(text), False
    data = b"".join([b" ", text.encode("utf-8", "surrogatepass"), b"\n", bytes(PADDING)])
    if any(space in data for space in _ASCII_SPACES):
        data = data.translate(_SPACED)
    if not text.isascii():
        if b"\xc2" in data:
            data = _TWO_BYTE_SPACES.sub(b" ", data)
        data = kernels.replaced(data, _REPLACED[fold])
    escaped = 0
    if b"s>" in data and (b"<s>" in data or b"</s>" in data):
        data = _SPECIAL.sub(lambda match: escape(match[0].decode()).encode(), data)
    if b"&" in data and b"&lt;" in data:
        escaped = len(_ESCAPED.findall(data))
    buffer_N = np.frombuffer(data, np.uint8, len(data) - PADDING)
    starts_W, ends_W, words_L, characters = kernels.locate(buffer_N)
    return FoundWords(data, starts_W, ends_W, words_L, characters, escaped)
