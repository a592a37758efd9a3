"""Read the grammar and lexicon files; README.md describes how they are written.

Everything is turned into plain rules of `pcfg`: a word class is a symbol with one rule a word, and
optional parts and inline choices become symbols of their own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .pcfg import Grammar, Item, Rule, Word

# Tenths: what a rule's weight is multiplied by in a topic it names, in one it does not name,
# and where it names none.
NAMED, UNNAMED, NEUTRAL = 60, 3, 10
INLINE = re.compile(r"<[^>]*>(?:\?\d+)?|[^_]+")  # "_" stands for a space, but not in <a_class>
SHARE = 100  # weights of an optional part are percentages


class Section(NamedTuple):
    """A word class as the lexicon file has it: lines of entries, each line with a label."""

    name: str
    kind: str
    exponent: float
    lines: list[tuple[str, list[str]]]


class Source(NamedTuple):
    """A grammar with what belongs to it: how often each topic is chosen and the word classes."""

    grammar: Grammar
    topic_weights: tuple[int, ...]
    classes: dict[str, list[str]]


# From a section to the symbols it defines: name -> the weighted right-hand sides.
Expand = Callable[[Section], dict[str, list[tuple[float, tuple[Item, ...]]]]]


def zipf(count: int, exponent: float) -> list[float]:
    """Weights that fall with the rank, flattened at the top as in real word classes."""
    return [1.0 / (rank + 1.5) ** exponent for rank in range(1, count + 1)]


def read_sections(folder: Path) -> list[Section]:
    """All word classes of a folder of lexicon files, in the order of the file names."""
    sections: list[Section] = []
    for path in sorted(folder.glob("*.txt")):
        section: Section | None = None
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("["):
                name, kind, *options = line.strip("[] ").split()
                section = Section(name, kind, float(options[0]) if options else 1.0, [])
                sections.append(section)
            elif section is None:
                raise ValueError(f"{path.name}: words before the first [class]: {line}")
            else:
                label, colon, words = line.partition(":")
                section.lines.append((label, words.split()) if colon else ("", line.split()))
    return sections


def load(folder: Path, language: str, expand: Expand) -> Source:
    """Read ``grammar/LANGUAGE.txt`` and ``lexicon/LANGUAGE/*.txt`` under the folder."""
    reader = _GrammarReader((folder / "grammar" / f"{language}.txt").read_text(encoding="utf-8"))
    rules = list(reader.rules)
    classes: dict[str, list[str]] = {}
    aliases: dict[str, str] = {}  # forms that are spelt alike are one class
    for section in read_sections(folder / "lexicon" / language):
        named: dict[tuple[str, ...], str] = {}
        for symbol, choices in expand(section).items():
            if symbol in aliases:
                raise ValueError(f"[{symbol}] is defined twice")
            words = tuple(item.text for _, rhs in choices for item in rhs if isinstance(item, Word))
            if all(len(rhs) == 1 for _, rhs in choices):
                aliases[symbol] = named.setdefault(words, symbol)
                classes[aliases[symbol]] = list(dict.fromkeys(words))
            for weight, rhs in choices:
                weights = (max(1, round(weight * 100_000)),) * len(reader.topics)
                rules.append(Rule(symbol, rhs, weights))
    grammar = Grammar(rules, reader.start, tuple(reader.topics))
    used = {aliases.get(symbol) for symbol in grammar.reachable()}
    return Source(
        grammar,
        tuple(reader.topics.values()),
        {name: words for name, words in classes.items() if name in used},
    )


class _GrammarReader:
    """One pass over a grammar file; the attributes are the result."""

    def __init__(self, text: str) -> None:
        self.start = ""
        self.topics: dict[str, int] = {}
        self.variables: dict[str, dict[str, int]] = {}
        self.rules: list[Rule] = []
        self._made: set[str] = set()
        lhs = ""
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                if line.startswith("%"):
                    self._directive(line)
                elif line[0] != " ":
                    lhs = line.strip()
                else:
                    self._rule(lhs, line)
            except ValueError as error:
                raise ValueError(f"grammar line {number}: {error}") from error

    def _directive(self, line: str) -> None:
        name, *values = line[1:].split()
        if name == "start":
            self.start = values[0]
        elif name == "topics":
            self.topics.update(_weighted(values))
        elif name == "variable":
            self.variables[values[0]] = _weighted(values[1:])
        else:
            raise ValueError(f"unknown directive %{name}")

    def _rule(self, lhs: str, line: str) -> None:
        head, bar, body = line.partition("|")
        if not bar:
            raise ValueError("a rule is: weight [topics] | right-hand side")
        weight, *topics = head.replace(",", " ").split()
        bound = sorted(set(re.findall(r"\$(\w)", lhs)))
        free = sorted(set(re.findall(r"\$(\w)", body)) - set(bound))
        for values in itertools.product(*(self.variables[name] for name in bound + free)):
            share = int(weight)
            symbol, right = lhs, body
            for name, value in zip(bound + free, values, strict=True):
                share *= self.variables[name][value] if name in free else 1
                symbol = symbol.replace(f"${name}", value)
                right = right.replace(f"${name}", value)
            rhs = tuple(self._item(part) for part in right.split())
            self.rules.append(Rule(symbol, rhs, self._by_topic(share, topics)))

    def _by_topic(self, weight: int, named: list[str]) -> tuple[int, ...]:
        factors: dict[str, int] = {}
        for part in named:
            topic, equals, factor = part.partition("=")
            if topic not in self.topics and topic != "else":
                raise ValueError(f"unknown topic {topic}")
            factors[topic] = int(factor) if equals else NAMED
        other = factors.get("else", UNNAMED if named else NEUTRAL)
        return tuple(weight * factors.get(topic, other) for topic in self.topics)

    def _item(self, part: str) -> Item:
        optional = re.fullmatch(r"(.*[>}])\?(\d+)", part)
        if optional:
            inner, percent = optional[1], int(optional[2])
            self._make(part, [(SHARE - percent, ()), (percent, (self._item(inner),))])
            return part
        if part.startswith("<") and part.endswith(">"):
            return part[1:-1]
        if part.startswith("{") and part.endswith("}"):
            choices = [
                tuple(self._item(piece) for piece in INLINE.findall(choice))
                for choice in part[1:-1].split("|")
            ]
            self._make(part, [(1, choice) for choice in choices])
            return part
        text, slash, tag = part.rpartition("/")
        return Word(text, tag) if slash and text else Word(part)

    def _make(self, symbol: str, choices: list[tuple[int, tuple[Item, ...]]]) -> None:
        if symbol not in self._made:
            self._made.add(symbol)
            self.rules.extend(
                Rule(symbol, rhs, (weight,) * len(self.topics)) for weight, rhs in choices
            )


def _weighted(values: list[str]) -> dict[str, int]:
    """``name`` or ``name*weight``, with 1 where no weight is given."""
    pairs = (value.partition("*") for value in values)
    return {name: int(weight) if star else 1 for name, star, weight in pairs}
