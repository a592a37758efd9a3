"""What kind of text this is, seen from its first lines: language and format."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from nplm_cli.corpus import pku
from nplm_cli.corpus.readers import Line
from nplm_cli.corpus.tokenizers import UNKNOWN, count_chinese

HEAD_LINES = 1000
# ... or fewer, where they are long: this many characters are looked at.
HEAD_CHARACTERS = 1 << 20
PKU_SHARE = 0.9
# Chinese when at least this share of the letters is: an English name or address changes nothing.
CHINESE_SHARE = 0.2
# Longer "words" on average are sentences without spaces.
LONGEST_MEAN_WORD = 4.5
# A mark glued to a word, as raw text has it.
_GLUED_CHINESE = re.compile(r"[^\W_][，。！？；：、]|[，。！？；：、][^\W_]")
_GLUED_ENGLISH = re.compile(r"[^\W_][,;:?!]+[\"'”’)]*$|[^\W_]n't$|[^\W_]'s$|^[\"“(][^\W_]")
_ALONE_ENGLISH = frozenset([",", ".", ";", ":", "?", "!", "n't", "'s", '"', "``", "''"])

Language = Literal["zh", "en"]
Format = Literal["raw", "segmented", "pku"]

SHOWN_FORMAT = {
    "raw": "raw text",
    "segmented": "segmented (words separated by spaces)",
    "pku": "pku (People's Daily markup)",
}


class Kind(NamedTuple):
    """Language and format of a text."""

    lang: Language
    format: Format


def head_lines(lines: Iterator[Line]) -> list[Line]:
    """Take the first lines, as many as there is to look at."""
    head: list[Line] = []
    left = HEAD_CHARACTERS
    while len(head) < HEAD_LINES and left > 0 and (line := next(lines, None)) is not None:
        head.append(line)
        left -= len(line.text)
    return head


def texts_of(lines: Iterable[Line]) -> list[str]:
    """The texts of ``lines``, cut where there is enough to look at."""
    texts: list[str] = []
    left = HEAD_CHARACTERS
    for line in lines:
        texts.append(line.text[: max(left, 0)])
        left -= len(line.text)
    return texts


def detect(texts: Sequence[str]) -> Kind:
    """Language and format of the lines ``texts``.

    pku: at least 90 % of the tokens are word/tag. segmented: ``<unk>`` occurs, or Chinese
    stands in short pieces with its punctuation apart, or English has its punctuation and
    contractions apart throughout. Anything else is raw.
    """
    tokens = [token for text in texts for token in text.split()]
    if pku.tagged_share(tokens) >= PKU_SHARE:
        return Kind(_language(list(pku.words_of(tokens))), "pku")
    lang = _language(tokens)
    segmented = UNKNOWN in tokens or (
        _chinese_is_spaced(texts) if lang == "zh" else _english_is_spaced(tokens)
    )
    return Kind(lang, "segmented" if segmented else "raw")


def is_obviously_raw(texts: Sequence[str]) -> bool:
    """Whether the words of ``texts`` cannot have been separated: marks glued on, no spaces.

    A few words without punctuation may be either; ``detect`` calls them raw.
    """
    tokens = [token for text in texts for token in text.split()]
    if _language(tokens) == "zh":
        words = [token for token in tokens if count_chinese(token)]
        return sum(map(len, words)) > LONGEST_MEAN_WORD * len(words)
    alone, glued = _english_marks(tokens)
    return glued > alone


def _language(tokens: Sequence[str]) -> Language:
    text = "".join(token for token in tokens if token != UNKNOWN)
    letters = sum(map(str.isalpha, text))
    return "zh" if letters and count_chinese(text) >= CHINESE_SHARE * letters else "en"


def _chinese_is_spaced(texts: Sequence[str]) -> bool:
    lines = [text.split() for text in texts if count_chinese(text) >= 3]
    spaced = sum(len(tokens) > 1 for tokens in lines)
    if not lines or spaced < 0.5 * len(lines):
        return False
    words = [token for tokens in lines for token in tokens if count_chinese(token)]
    glued = sum(_GLUED_CHINESE.search(word) is not None for word in words)
    characters = sum(map(len, words))
    return characters <= LONGEST_MEAN_WORD * len(words) and glued <= 0.05 * len(words)


def _english_is_spaced(tokens: Sequence[str]) -> bool:
    alone, glued = _english_marks(tokens)
    return alone >= 3 and glued <= 0.05 * alone


def _english_marks(tokens: Sequence[str]) -> tuple[int, int]:
    """Marks and contractions that stand alone, and those glued to a word.

    A glued full stop may belong to an abbreviation and counts for neither.
    """
    alone = sum(token in _ALONE_ENGLISH for token in tokens)
    return alone, sum(_GLUED_ENGLISH.search(token) is not None for token in tokens)
