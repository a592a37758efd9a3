"""What all tokenizers share: spans, normalisation, single characters, what is special.

A tokenizer yields ``Span``: a token and where in the text it stands. Nothing but white space is
ever lost: the tokens put together are the normalised text without its white space.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

UNKNOWN = "<unk>"
# What ordinary text may hold, but no vocabulary: there these strings have a meaning.
ESCAPES = {"<unk>": "&lt;unk&gt;", "<s>": "&lt;s&gt;", "</s>": "&lt;/s&gt;"}

_RANGES = (("0", "9"), ("A", "Z"), ("a", "z"))
_FULL_OVER_HALF = 0xFEE0
# What width folding makes of the character of a number.
FOLDED = {
    half + _FULL_OVER_HALF: chr(half)
    for first, last in _RANGES
    for half in range(ord(first), ord(last) + 1)
}
# From here on the array of all characters is faster than a look-up for each.
MANY_CHARACTERS = 1 << 12
_FULL_WIDTH = re.compile("[０-９Ａ-Ｚａ-ｚ]")
# Ideographs with their extensions, kana, bopomofo, hangul: scripts written without spaces, and
# those that go with them.
CJK = (
    "\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
)
_CHINESE = re.compile(f"[{CJK}]")
_NON_SPACE = re.compile(r"\S")
_DIGIT = re.compile(r"\d")


class Span(NamedTuple):
    """A token and the offsets of its first character and of the one after its last."""

    token: str
    start: int
    end: int


def fold_width(text: str) -> str:
    """Full-width digits and letters become ASCII; nothing else changes, and no offset moves."""
    if text.isascii() or not _FULL_WIDTH.search(text):
        return text
    if len(text) < MANY_CHARACTERS:
        return text.translate(FOLDED)
    codes_N = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").copy()
    half_N = codes_N - np.uint32(_FULL_OVER_HALF)
    for first, last in _RANGES:
        # Below ``first`` the difference of unsigned numbers is large.
        folded = half_N - np.uint32(ord(first)) <= ord(last) - ord(first)
        codes_N[folded] = half_N[folded]
    return codes_N.tobytes().decode("utf-32-le", "surrogatepass")


def fold_numbers(text: str) -> str:
    """Each decimal digit of any script becomes 0; no offset moves."""
    return _DIGIT.sub("0", text)


def count_chinese(text: str) -> int:
    """Return the number of Chinese (Japanese, Korean) characters."""
    return len(_CHINESE.findall(text))


def is_unsegmented(text: str) -> bool:
    """Whether Chinese text carries no word boundaries: no space, more than four characters."""
    return len(text.split()) == 1 and count_chinese(text) > 4


def escape(token: str, *, keep_unknown: bool = False) -> str:
    """Make a token that looks like a special one ordinary text (``</s>`` -> ``&lt;/s&gt;``)."""
    if token[:1] != "<" or (keep_unknown and token == UNKNOWN):
        return token
    return ESCAPES.get(token, token)


def character_spans(text: str) -> Iterator[Span]:
    """Each character (code point) that is not white space is a token."""
    for match in _NON_SPACE.finditer(text):
        yield Span(match[0], match.start(), match.end())
