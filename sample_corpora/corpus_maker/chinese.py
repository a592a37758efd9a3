"""Chinese: nouns with their measure words, running text, and People's Daily markup.

Nothing is respelt in Chinese, so a sentence is its words.  A noun class whose lines are labelled
with measure words also defines ``name#``: measure word, optional modifier ``name:mod`` (a symbol of
the grammar), noun of that measure word.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from .notation import Section, zipf
from .pcfg import Bracket, Item, Word

INDENT = "　　"
# Readings that the markup notes on some occurrences of a word with more than one.
PINYIN = {
    "当时": "dang1shi2", "当": "dang1", "为": "wei4", "都": "dou1", "还": "hai2", "长": "chang2",
    "种": "zhong4", "教": "jiao1", "地": "di4", "数": "shu3", "得": "de5", "重": "zhong4",
    "银行": "yin2hang2", "只": "zhi1", "弹": "tan2", "倒": "dao4", "背": "bei1", "好": "hao3",
}  # fmt: skip
PINYIN_RATE = 0.25
DIRTY_RATE = 0.05  # of the set phrases, which alone are written with a second tag, as in 一来/l/%
FULL_WIDTH = {code: code + 0xFEE0 for code in range(ord("!"), ord("~") + 1) if chr(code).isalnum()}


def expand(section: Section) -> dict[str, list[tuple[float, tuple[Item, ...]]]]:
    """The symbols of a word class: `name`, and `name.m` and `name#` where there are measures."""
    name, tag = section.name, section.kind
    symbols: dict[str, list[tuple[float, tuple[Item, ...]]]] = {name: []}
    measures = {label for label, _ in section.lines if label}
    if not measures:
        words = [word for _, line in section.lines for word in line]
        weights = zipf(len(words), section.exponent)
        return {name: [(w, (Word(x, tag),)) for w, x in zip(weights, words, strict=True)]}
    symbols[f"{name}#"] = []
    for label, line in section.lines:
        weights = zipf(len(line), section.exponent)
        entries: list[tuple[float, tuple[Item, ...]]] = [
            (weight, (Word(word, tag),)) for weight, word in zip(weights, line, strict=True)
        ]
        symbols[name].extend(entries)
        symbols[f"{name}.{label}"] = entries
        symbols[f"{name}#"].append(
            (sum(weights), (Word(label, "q"), f"{name}:mod", f"{name}.{label}"))
        )
    return symbols


def spell(words: Sequence[Word]) -> list[str]:
    """The tokens as they are written."""
    return [word.text for word in words]


def readings(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    """What the grammar may have had at each position: the token itself."""
    return [(token,) for token in tokens]


def paragraph(sentences: Sequence[Sequence[str]]) -> str:
    """A paragraph of unsegmented text on one line, indented by two full-width spaces."""
    return INDENT + "".join(token for tokens in sentences for token in tokens)


def tagged(
    sentences: Sequence[tuple[Sequence[Word], Sequence[Bracket]]], label: str, rng: random.Random
) -> str:
    """A paragraph in People's Daily markup on one line, led by its id."""
    parts = [f"{label}/m"]
    for words, brackets in sentences:
        opening = {bracket.start for bracket in brackets}
        closing = {bracket.end - 1: bracket.tag for bracket in brackets}
        for position, word in enumerate(words):
            part = word.text.translate(FULL_WIDTH)
            draw = rng.random()
            if word.text in PINYIN and draw < PINYIN_RATE:
                part += f"{{{PINYIN[word.text]}}}"
            part += f"/{word.tag}"
            if word.tag == "l" and draw < DIRTY_RATE:
                part += "/%"
            if position in opening:
                part = "[" + part
            if position in closing:
                part += f"]{closing[position]}"
            parts.append(part)
    return "  ".join(parts) + "  "
