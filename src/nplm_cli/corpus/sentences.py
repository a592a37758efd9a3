"""Where sentences end, in Chinese and English alike, decided on tokens.

A sentence ends after 。！？ and . ! ? with the closing quotes and brackets that follow; after
an ellipsis if what follows looks like a beginning; and at the end of a paragraph. A comma, a
lower-case word or a dash after the mark means that the sentence goes on (“Really?” he asked).
"""

from collections.abc import Iterator, Sequence

from nplm_cli.corpus.english import STARTERS, WEAK_ABBREVIATIONS
from nplm_cli.corpus.tokenizers import count_chinese

_STRONG = frozenset("。！？｡!?‼⁇⁈⁉.．")
_PERIODS = frozenset(".．")
_ELLIPSIS = frozenset("….")
_CLOSERS = frozenset("”’」』）】〕〉》〗〙］｝)]}»") | {"''"}
_OPENERS = frozenset("“「『‘«") | {"``"}
_NUMERALS = frozenset("一二三四五六七八九十")
_STRAIGHT = frozenset("\"'")
_GOES_ON = frozenset("，、；：,;:)]}—–―~") | {"--", "---", "——"}


def split_sentences(
    tokens: Sequence[str], gaps: Sequence[bool] | None = None
) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) of each sentence of a paragraph's ``tokens``.

    ``gaps[i]`` says whether white space stands before token i; None when that is not known (a
    corpus of words), where straight quotes are told apart by counting alone.
    """
    start = i = 0
    quotes = _Quotes()
    count = len(tokens)
    while i < count:
        if tokens[i].isalpha():  # most tokens, quickly
            i += 1
            continue
        quotes.see(tokens, i, gaps)
        if not _is_terminal(tokens[i]):
            i += 1
            continue
        first = i
        closed = i = i + 1
        while i < count:  # more marks and closing quotes: !!  ?"  !'?
            if _is_mark(tokens[i]):
                closed = i + 1
            elif quotes.closes(tokens, i, gaps):
                quotes.see(tokens, i, gaps)
            else:
                break
            i += 1
        if i == count:
            break
        if _ends(tokens, start, first, closed, i, gaps):
            yield start, i
            start = i
    if start < count:
        yield start, count


def _is_terminal(token: str) -> bool:
    return _is_mark(token) or _is_weak(token)


def _is_mark(token: str) -> bool:
    return token in _STRONG or _is_ellipsis(token)


def _is_ellipsis(token: str) -> bool:
    return (len(token) > 1 and token[0] in _ELLIPSIS and not token.strip(token[0])) or token == "…"


def _is_weak(token: str) -> bool:
    """Whether a token is an abbreviation at which a sentence may end: etc.  p.m.  U.S."""
    if len(token) < 3 or token[-1] != ".":
        return False
    return (len(token) > 3 and token[-3] == ".") or token.lower() in WEAK_ABBREVIATIONS


def _ends(
    tokens: Sequence[str],
    start: int,
    first: int,
    closed: int,
    after: int,
    gaps: Sequence[bool] | None,
) -> bool:
    """Whether a sentence ends before token ``after``.

    ``start`` is its first token, ``first`` the first mark, ``closed`` the token after the last.
    """
    following, mark = tokens[after], tokens[closed - 1]
    if following in _GOES_ON or following[0].islower():
        return False
    if closed - first == 1 and mark in _PERIODS:
        before = tokens[first - 1] if first > start else ""
        if first - start == 1 and (before.isdecimal() or _is_item_letter(before)):
            return False  # the number of an item: "1. Introduction"
        glued = gaps is not None and not gaps[after] and after == closed
        if glued and mark == "．" and before.isdecimal() and following.isdecimal():
            return False  # a full-width decimal point
        if glued and mark == "." and not count_chinese(following):
            return False  # a file name, a version
    if _is_weak(mark):
        return after > closed or following in STARTERS or following in _OPENERS | _STRAIGHT
    if _is_ellipsis(mark) and after == closed:
        if first == start:
            return False  # an ellipsis at the beginning: "……他"
        # Latin: needs a capital or a quote, which _GOES_ON and islower leave; Chinese: ends.
        return not following[0].isdecimal()
    return True


def _is_item_letter(token: str) -> bool:
    return len(token) == 1 and ((token.isascii() and token.isalpha()) or token in _NUMERALS)


class _Quotes:
    """Which double quote is open; straight quotes carry no direction of their own."""

    def __init__(self) -> None:
        self._double = False
        self._single = False

    def see(self, tokens: Sequence[str], i: int, gaps: Sequence[bool] | None) -> None:
        token = tokens[i]
        if token == '"':
            self._double = not self.closes(tokens, i, gaps)
        elif token in _OPENERS:
            self._double = self._double or token not in "‘"
        elif token in ("”", "」", "』", "''"):
            self._double = False
        elif token == "'":
            self._single = not self._single

    def closes(self, tokens: Sequence[str], i: int, gaps: Sequence[bool] | None) -> bool:
        """Whether token ``i``, after the mark of an end, belongs to the sentence that ends."""
        token = tokens[i]
        if token in _CLOSERS:
            return True
        if token not in _STRAIGHT:
            return False
        if gaps is not None:
            before = gaps[i]
            after = i + 1 == len(tokens) or gaps[i + 1]
            if before != after:
                return after
            if token == "'" and not before:
                return True
        return self._double if token == '"' else self._single
