"""English words in the manner of the Penn Treebank, with offsets.

``do n't``, ``it 's``, ``boys '``; hyphenated words, ``1,000``, ``3.14``, ``10:30``, ``U.S.``,
``Mr.``, ``...``, ``--``, addresses of the web and of mail are one token; ``$ 5``, ``50 %``.
``cannot`` stays whole. Quotes stay as they are written, except that a typographic apostrophe
inside a word becomes ``'``: ``don’t`` and ``don't`` are the same two words.
"""

import functools
import re
from collections.abc import Iterator
from itertools import pairwise

from nplm_cli.corpus.tokenizers import CJK, Span

# Before a name or a figure; such a period ends no sentence.
_TITLES = (
    "mr mrs ms messrs mme mlle dr prof rev fr hon capt col gen lt sgt maj cmdr adm gov sen rep "
    "pres st mt ft vs viz cf approx dept univ assn ave blvd rd inst"
)
# May stand at the end of a sentence as well.
_ENDINGS = "jr sr esq co corp inc ltd bros etc al ph.d ll.d"
# Only before a figure: "No. 5" but "No."; "Mar. 3" but "Mar."
_BEFORE_FIGURE = (
    "no nos p pp vol vols fig figs ch art sec par jan feb mar apr jun jul aug sep sept oct nov dec"
)
WEAK_ABBREVIATIONS = frozenset(f"{word}." for word in _ENDINGS.split())
# A capitalised word that begins a sentence rather than going on with a name: "at 5 p.m. The".
_STARTERS = (
    "The A An This That These Those He She It We You They I His Her Its Our Their My Your There "
    "Here But And Or Nor So Yet If When While As At In On For From By With To Of After Before "
    "Then Now What Who Why How Where Which No Not Yes Oh Well Is Are Was Were Do Did Does"
)
STARTERS = frozenset(_STARTERS.split())

_LETTER = rf"(?:[^\W\d_{CJK}][\u0300-\u036f]*)"
_ALNUM = rf"(?:[^\W_{CJK}][\u0300-\u036f]*)"
_WORD = rf"{_ALNUM}+(?:[-\u2010\u2011_&'’]{_ALNUM}+)*"


def _any(words: str) -> str:
    # Longest first, so that "nos" is not read as "no" and an "s".
    return "|".join(re.escape(word) for word in sorted(words.split(), key=len, reverse=True))


_STARTER = "|".join(sorted(STARTERS))
# An address in Chinese text ends where the Chinese goes on.
_NOT_URL = rf"\s<>\"“”‘’，。、；：？！（）《》【】{CJK}"
_ADDRESSES = rf"""
    (?:(?:https?|ftp)://|www\.)[^{_NOT_URL}]*[^{_NOT_URL}.,;:!?)\]']
  | [\w.+-]{{1,64}}@[\w-]+(?:\.[\w-]+)+
  |"""
_REST = rf"""
    [A-Za-z]++(?=[\s,;?!")]|$)                                             # most words, quickly
  | (?={_LETTER}{{1,6}}\.)(?:
        (?:{_LETTER}\.){{2,}}(?:{_LETTER}(?!{_ALNUM}|['’.]))?              # U.S.  a.m.  U.S.A
      | (?i:{_any(_TITLES + " " + _ENDINGS)})\.(?!\.)
      | (?i:{_any(_BEFORE_FIGURE)})\.(?=\s*\d)
      | [A-HJ-Z]\.(?=\s*(?:[A-Z]\.|(?!(?:{_STARTER})\b)[A-Z]))           # J. Watson
    )
  | \d{{1,3}}(?:,\d{{3}})+(?!\d)(?:\.\d+)?(?:-?{_WORD})?                   # 1,000.5
  | \d+(?:[.:/]\d+)+(?:-?{_WORD})?                                         # 3.14  10:30  1/2
  | (?<![\w.])\.\d+                                                        # .5
  | ['’](?:\d\ds?|(?i:tis|twas|twere|twill|twould|em|cause|til|tween|gainst))(?!{_ALNUM})
  | (?<=[\w.)])['’](?i:s|m|d|re|ve|ll)(?!{_ALNUM})                         # U.S. 's
  | (?<!\S)['’](?i:s|m|d|re|ve|ll)(?!\S)              # text that has them apart already
  | {_WORD}
  | \.{{2,}} | …+ | -{{2,}} | [—–―]+ | `` | ''
  | \S
"""
_LONGEST_CLITIC = 3
# Longer texts without white space hardly come again.
_REMEMBERED_LENGTH = 64


@functools.cache  # compiled when it is first used: it takes longer than most questions
def _pattern(*, addresses: bool, pieces: bool) -> re.Pattern[str]:
    """Tokens, or (``pieces``, to find sentences in any language) a run of Chinese as one piece."""
    rest = _ADDRESSES + _REST if addresses else _REST
    return re.compile(rf"[{CJK}]+|(?:{rest})" if pieces else rest, re.VERBOSE)


@functools.cache
def _clitic() -> re.Pattern[str]:
    """What may be cut off the end of a word; the rest must not be empty."""
    return re.compile(r"(?<=.)(?:['’](?:s|m|d|re|ve|ll)|n['’]t)$", re.IGNORECASE)


def english_spans(text: str) -> Iterator[Span]:
    """Words and marks of ``text``; the offsets point to the text as it was given."""
    pattern = _pattern(addresses=_has_address(text), pieces=False)
    for match in pattern.finditer(text):
        token, start, end = match[0], match.start(), match.end()
        if len(token) > 2 and ("'" in token or "’" in token):
            yield from _open_contraction(token, start)
        else:
            yield Span(token, start, end)


def english_tokens(text: str) -> tuple[list[str], list[bool]]:
    """The tokens of ``english_spans``, and whether white space (or nothing) stands before each.

    Faster, since what stands between white space is cut once and remembered. What follows matters
    only after a period: "No. 5", "J. Watson".
    """
    tokens: list[str] = []
    gaps: list[bool] = []
    chunks = text.split()
    for i, chunk in enumerate(chunks):
        after = ""
        if chunk[-1] == "." and i + 1 < len(chunks):
            after = chunks[i + 1]
        cut = _cut if len(chunk) + len(after) <= _REMEMBERED_LENGTH else _cut.__wrapped__
        more, spaced = cut(chunk, after)
        tokens += more
        gaps += spaced
    return tokens, gaps


@functools.lru_cache(maxsize=1 << 16)
def _cut(chunk: str, after: str) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    """Tokens of a text without white space, which ``after`` follows after some."""
    spans = english_spans(f"{chunk} {after}")
    tokens = tuple(token for token, start, _ in spans if start < len(chunk))
    return tokens, (True, *[False] * (len(tokens) - 1))


def piece_spans(text: str) -> Iterator[Span]:
    """Like ``english_spans``, but fast on Chinese, whose runs are one piece each.

    Not words: what ``split_sentences`` needs to see of a text in any language.
    """
    pattern = _pattern(addresses=_has_address(text), pieces=True)
    for match in pattern.finditer(text):
        yield Span(match[0], match.start(), match.end())


def _has_address(text: str) -> bool:
    # Looking for addresses everywhere would cost time where there are none.
    return "@" in text or "://" in text or "www." in text


def _open_contraction(token: str, start: int) -> Iterator[Span]:
    """``wouldn't've`` -> ``would`` ``n't`` ``'ve``."""
    if "://" in token or "@" in token or token.startswith("www."):
        yield Span(token, start, start + len(token))
        return
    token = token.replace("’", "'")
    cuts = [len(token)]
    while clitic := _clitic().search(token, max(0, cuts[-1] - _LONGEST_CLITIC), cuts[-1]):
        cuts.append(clitic.start())
    cuts.append(0)
    cuts.reverse()
    for left, right in pairwise(cuts):
        yield Span(token[left:right], start + left, start + right)
