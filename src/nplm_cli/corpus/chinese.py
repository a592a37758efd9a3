"""Chinese text becomes words: jieba, its faster kin, and words of the user's own."""

import functools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from typing import Any, Literal, Protocol

from nplm_cli.corpus.prefix_table import jieba, prefix_table
from nplm_cli.corpus.tokenizers import CJK, Span
from nplm_cli.corpus.user_words import UserWords
from nplm_cli.errors import ConfigError

SegmenterName = Literal["jieba", "rjieba"]

# jieba cuts these into single characters; in print they are one mark.
_RUNS = frozenset("…—─－")
# jieba keeps 3.14 and 50% together, but neither 1,000 nor a full-width decimal point.
_FIGURE = re.compile(
    # Looked for once in a run of digits, not from each of them.
    r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:[.．][0-9]+)?[%％]?|(?<![0-9])[0-9]++．[0-9]++[%％]?"
)
# What jieba looks up; any other character it makes a token of its own. The period, which it looks
# up, too, is left out: it would end a sentence within a word.
_LOOKED_UP = re.compile(r"[\u4e00-\u9fd5a-zA-Z0-9+#&_%-]+")
# A run of what jieba looks up, or of what it does not; its model for unknown words takes time that
# grows with the square of a run: of a longer one the end is cut off wherever it may be.
_RUN = re.compile(r"[\u4e00-\u9fd5a-zA-Z0-9+#&._%-]{1,4096}|[^\u4e00-\u9fd5a-zA-Z0-9+#&._%-]+")
LONGEST_RUN = 4096
_ASCII_ALNUM = re.compile("[a-zA-Z0-9]")
_HAN = re.compile(r"[\u4e00-\u9fd5]")
# A letter or digit of a script that separates its words by spaces.
_SPACED = re.compile(rf"[^\W_{CJK}]")
# Stands for a word of the user's where sentences are looked for.
_MASK = "字"


class Segmenter(Protocol):
    """Cuts text into words; put together they are the text."""

    def fixed(self, text: str) -> Iterator[tuple[int, int]]:
        """Where in ``text`` words of the user's stand that are found before anything is cut."""

    def cut(self, text: str) -> Iterable[str]:
        """Words of a text without such words; white space is among them."""


def chinese_spans(text: str, segmenter: Segmenter) -> Iterator[Span]:
    """Words of ``text`` and where they stand; white space within one becomes ``_``.

    ``……``, ``——``, ``1,000`` are one token.
    """
    start = 0
    for token in _join_runs(_cut(text, segmenter)):
        end = start + len(token)
        words = token.split()
        if words:
            yield Span(token if len(words) == 1 else "_".join(words), start, end)
        start = end


def masked(text: str, segmenter: Segmenter) -> str:
    """Return text of the same length in which no sentence ends within a word of the user's.

    A mark that was given as a word ends sentences as it did.
    """
    pieces, start = [], 0
    for begin, end in segmenter.fixed(text):
        if not any(map(str.isalnum, text[begin:end])):
            continue
        pieces += [text[start:begin], _MASK * (end - begin)]
        start = end
    return "".join([*pieces, text[start:]])


def _cut(text: str, segmenter: Segmenter) -> Iterator[str]:
    start = 0
    for begin, end in segmenter.fixed(text):
        yield from _cut_figures(text[start:begin], segmenter)
        yield text[begin:end]
        start = end
    yield from _cut_figures(text[start:] if start else text, segmenter)


def _cut_figures(text: str, segmenter: Segmenter) -> Iterator[str]:
    start = 0
    for figure in _FIGURE.finditer(text):
        yield from segmenter.cut(text[start : figure.start()])
        yield figure[0]
        start = figure.end()
    yield from segmenter.cut(text[start:] if start else text)


def _join_runs(tokens: Iterable[str]) -> Iterator[str]:
    # Any other token is a group of its own.
    for (token, is_run), group in groupby(tokens, key=lambda token: (token, token in _RUNS)):
        if is_run:
            yield "".join(group)
        else:
            yield from (token for _ in group)


@functools.lru_cache(maxsize=2)
def open_segmenter(name: SegmenterName, words: UserWords) -> Segmenter:
    """Return a segmenter, loaded; raises ConfigError when it is not installed."""
    return JiebaSegmenter(words) if name == "jieba" else RjiebaSegmenter()


class JiebaSegmenter:
    """jieba with its model for unknown words, and with words of the user's.

    A word of Chinese characters (and Latin letters and digits) competes with jieba's own: its
    frequency is the one given, jieba's own or the least at which it beats the words it is made
    of, whichever is highest. A word with other characters in it, which jieba never sees whole, is
    found beforehand, the longest first. Neither is found within a longer Latin word or number.
    """

    def __init__(self, words: UserWords):
        self._phrases = _Phrases(word for word in words if not _LOOKED_UP.fullmatch(word))
        looked_up = {word: words[word] for word in words if _LOOKED_UP.fullmatch(word)}
        self._tokenizer = _tokenizer(looked_up)
        self._table: dict[str, int] = self._tokenizer.FREQ
        # The model for unknown words would glue these to others.
        single = "".join(word for word in looked_up if _HAN.fullmatch(word))
        self._single = re.compile(f"([{single}])") if single else None

    def fixed(self, text: str) -> Iterator[tuple[int, int]]:
        """Where words stand that jieba never sees whole."""
        return self._phrases.find(text)

    def cut(self, text: str) -> Iterator[str]:
        """Words, marks and white space."""
        tokens: Iterator[str]
        if len(text) <= LONGEST_RUN:
            tokens = self._tokenizer.cut(text)
        else:
            tokens = chain.from_iterable(map(self._tokenizer.cut, _RUN.findall(text)))
        return tokens if self._single is None else self._with_single(tokens, self._single)

    def _with_single(self, tokens: Iterator[str], single: re.Pattern[str]) -> Iterator[str]:
        for token in tokens:
            if len(token) == 1 or self._table.get(token):  # a word of the dictionary
                yield token
            else:
                yield from filter(None, single.split(token))


class RjiebaSegmenter:
    """rjieba, the same method in Rust: several times faster, and not the same words everywhere."""

    def __init__(self) -> None:
        try:
            import rjieba
        except ImportError as error:
            raise ConfigError(
                "rjieba, which is to cut the text, is not installed: pip install "
                "'nplm-cli[fast]' (another segmenter would cut other words)"
            ) from error
        # Of the segmenter that the import has made: a second one takes as long again.
        self._cut = rjieba.cut

    def fixed(self, text: str) -> Iterator[tuple[int, int]]:
        """Nothing: it takes no words of the user's."""
        return iter(())

    def cut(self, text: str) -> Iterable[str]:
        """Words, marks and white space."""
        words: list[str] = self._cut(text, True)
        return words


class _Phrases:
    """Finds words in a text by their first character and their length."""

    def __init__(self, words: Iterable[str]):
        self._words = frozenset(words)
        lengths: dict[str, set[int]] = defaultdict(set)
        for word in self._words:
            lengths[word[0]].add(len(word))
        self._lengths = {first: sorted(of, reverse=True) for first, of in lengths.items()}
        self._first = re.compile(f"[{re.escape(''.join(lengths))}]") if lengths else None

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield start and end of each, the longest first; any white space is as good as a space."""
        if self._first is None:
            return
        spaced = re.sub(r"\s", " ", text)
        position = 0
        while first := self._first.search(spaced, position):
            start = position = first.start()
            for length in self._lengths[first[0]]:
                end = start + length
                whole = end <= len(text) and spaced[start:end] in self._words
                if whole and not cuts_word(text, start, end):
                    yield start, end
                    position = end
                    break
            else:
                position += 1


def cuts_word(text: str, start: int, end: int) -> bool:
    """Whether a Latin word or a number goes on at either end of ``text[start:end]``."""
    return _goes_on(text, start) or _goes_on(text, end)


def _goes_on(text: str, at: int) -> bool:
    if not 0 < at < len(text):
        return False
    return _SPACED.match(text[at - 1]) is not None and _SPACED.match(text[at]) is not None


def _tokenizer(words: dict[str, int | None]) -> Any:
    """Return jieba's tokenizer with these words besides its own; the latter as they were."""
    table, total = prefix_table()
    kind = jieba().Tokenizer
    guarded = frozenset(word for word in words if _ASCII_ALNUM.search(word))
    tokenizer = _guarding(kind, guarded) if guarded else kind()
    tokenizer.FREQ, tokenizer.total, tokenizer.initialized = table, total, True
    if words:
        tokenizer.FREQ = table = dict(table)
        _add(tokenizer, table, words)
    return tokenizer


def _add(tokenizer: Any, table: dict[str, int], words: dict[str, int | None]) -> None:
    """Add words at the frequencies given, then raise those that would not be cut."""
    for word, given in words.items():
        before = table.get(word, 0)
        table[word] = max(given or 0, before)
        tokenizer.total += table[word] - before
        for end in range(1, len(word)):
            table.setdefault(word[:end], 0)
    # The short ones first, which the long ones are made of. A larger total, which later words
    # bring, asks less of a word than of its pieces: what was enough stays enough.
    for word in sorted(words, key=lambda word: (len(word), word)):
        missing = _needed(tokenizer, word) - table[word]
        if missing > 0:
            table[word] += missing
            tokenizer.total += missing


def _needed(tokenizer: Any, word: str) -> int:
    """Return the least frequency at which ``word`` beats the likeliest words it is made of."""
    end = len(word) - 1
    if not end:
        return 1
    pieces = tokenizer.get_DAG(word)
    pieces[0] = [last for last in pieces[0] if last != end] or [0]
    route: dict[int, tuple[float, int]] = {}
    tokenizer.calc(word, pieces, route)
    # By a hair more than the product, which is a sum of logarithms with its rounding.
    return int(math.exp(route[0][0] + math.log(tokenizer.total)) * (1 + 1e-9)) + 1


def _guarding(kind: Any, guarded: frozenset[str]) -> Any:
    """Make a tokenizer that finds none of these words within a longer Latin word or number."""

    class Guarding(kind):
        def get_DAG(self, sentence: str) -> dict[int, list[int]]:
            words: dict[int, list[int]] = super().get_DAG(sentence)
            if _ASCII_ALNUM.search(sentence):
                for start, ends in words.items():
                    if len(ends) > 1 or ends[0] > start:
                        words[start] = [
                            last for last in ends
                            if last == start or sentence[start : last + 1] not in guarded
                            or not cuts_word(sentence, start, last + 1)
                        ] or [start]  # fmt: skip
            return words

    return Guarding()
