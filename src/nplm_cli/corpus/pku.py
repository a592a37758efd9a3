"""People's Daily markup: ``19980101-01-001-001/m  [中国/ns  政府/n]nt  上{shang5}/f``."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

_ID = re.compile(r"([0-9]{8}-[0-9]{2}-[0-9]{3})-[0-9]{3}(?:/m)?$")
# A brace left open is one, too: "为{ wei4 }/p" occurs.
_PINYIN = re.compile(r"(?<=.)\{(?:[A-Za-zü:]+[0-9][A-Za-zü:0-9]*\})?$")
_NAKED_CLOSE = re.compile(r"(?<=.)\]/?[A-Za-z]+$")
# Of a whole token: an address or </s> in a sentence without spaces is no tag.
TAGGED = re.compile(r"\S+/[A-Za-z][\w-]{0,9}(?:\]/?\w*)?(?:/\S{1,3})?$", re.ASCII)
_WORD = re.compile(r"\S+")


class Item(NamedTuple):
    """A word, its tag, and where the source has it."""

    word: str
    tag: str
    start: int
    end: int


class Paragraph(NamedTuple):
    """A line of the corpus: article (the first three groups of its id, or None), words, faults."""

    article: str | None
    items: list[Item]
    faults: list[str]


def parse_line(text: str, compounds: Literal["open", "join"] = "open") -> Paragraph:
    """Read one line of word/tag text.

    Ids and pinyin are dropped, brackets opened or their words joined. The first of several tags
    counts (``年/l/%``); ``//w`` is the word ``/``. A word without a tag is kept and listed among
    the faults; a tag without a word is dropped and listed.
    """
    article: str | None = None
    items: list[Item] = []
    faults: list[str] = []
    opened: int | None = None  # index of the open compound's first word
    for match in _WORD.finditer(text):
        token, start = match[0], match.start()
        if token[0] in "12" and (identity := _ID.match(token)):
            article = article or identity[1]
            continue
        if token[0] == "[" and len(token) > 1 and token[1] != "/":
            if opened is not None:
                faults.append(f"a bracket opened twice at {token!r:.40}")
            opened = len(items)
            token, start = token[1:], start + 1
        word, tag, closing = _word_and_tag(token)
        if not word:
            faults.append(f"a tag without a word: {match[0]!r:.40}")
        else:
            if not tag:
                faults.append(f"a word without a tag: {match[0]!r:.40}")
            bare = _PINYIN.sub("", word) if "{" in word else word
            items.append(Item(bare, tag, start, start + len(bare)))
        if closing is not None:
            if opened is None:
                faults.append(f"a bracket closed that was not opened: {match[0]!r:.40}")
            elif compounds == "join" and items[opened:]:
                items[opened:] = [_joined(items[opened:], closing)]
            opened = None
    if opened is not None:
        faults.append("a bracket not closed")
    return Paragraph(article, items, faults)


def _word_and_tag(token: str) -> tuple[str, str, str | None]:
    """Word, first tag, and the compound's tag when the token closes one."""
    # The first slash separates, but the word "/" is a slash itself.
    slash = 1 if token.startswith("//") else token.find("/")
    if slash < 0:
        closing = _NAKED_CLOSE.search(token)
        if closing:
            return token[: closing.start()], "", closing[0].lstrip("]/")
        return token, "", None
    word, tag = token[:slash], token[slash + 1 :]
    tag, bracket, closing_tag = tag.partition("]")
    return word, tag.partition("/")[0], closing_tag.lstrip("/") if bracket else None


def _joined(items: list[Item], tag: str) -> Item:
    word = "".join(item.word for item in items)
    return Item(word, tag, items[0].start, items[-1].end)


def tagged_share(tokens: list[str]) -> float:
    """Share of ``tokens`` that look like word/tag."""
    return sum(TAGGED.match(t) is not None for t in tokens) / len(tokens) if tokens else 0.0


def words_of(tokens: list[str]) -> Iterator[str]:
    """Yield the part before the first slash of each token: enough to see the language."""
    for token in tokens:
        yield token.partition("/")[0]
