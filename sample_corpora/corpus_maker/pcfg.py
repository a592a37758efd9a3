"""A probabilistic context-free grammar that samples sentences and knows their probability.

Every choice has one integer weight per topic, so ``P(rule | symbol, topic)`` is a ratio of whole
numbers and sampling is the same on every machine.  Because the same words may come from more than
one derivation, a sentence's probability is never the probability of the derivation that produced
it: `Grammar.inside` sums over all of them.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple


class Word(NamedTuple):
    """A terminal: the text of one token and its part of speech (empty where none is given)."""

    text: str
    tag: str = ""


# A right-hand side holds words and, as plain strings, the names of symbols.
Item = Word | str


@dataclass(frozen=True)
class Rule:
    """``lhs -> rhs`` with one weight per topic."""

    lhs: str
    rhs: tuple[Item, ...]
    weights: tuple[int, ...]


class Bracket(NamedTuple):
    """Words ``start`` to ``end`` (exclusive) form one compound with part of speech ``tag``."""

    start: int
    end: int
    tag: str


class Sample(NamedTuple):
    """One sampled sentence and the probability of the derivation that led to it."""

    words: list[Word]
    brackets: list[Bracket]
    derivation_probability: float


class Grammar:
    """Rules with a start symbol; symbols named ``Name@tag`` mark their words as a compound."""

    def __init__(self, rules: Iterable[Rule], start: str, topics: Sequence[str]) -> None:
        self.start = start
        self.topics = tuple(topics)
        self.rules: dict[str, list[Rule]] = defaultdict(list)
        for rule in rules:
            self.rules[rule.lhs].append(rule)
        self._check()
        columns = range(len(self.topics))
        self._cumulative = {
            lhs: [list(accumulate(rule.weights[t] for rule in group)) for t in columns]
            for lhs, group in self.rules.items()
        }
        # P(rule | lhs) for all topics at once, in the order of self.rules[lhs]
        self._probabilities = {
            lhs: [
                [rule.weights[t] / self._cumulative[lhs][t][-1] for t in columns] for rule in group
            ]
            for lhs, group in self.rules.items()
        }
        self._nullable = self._find_nullable()
        self._by_first_word = self._index_first_words()

    def _check(self) -> None:
        for lhs, group in self.rules.items():
            for rule in group:
                if len(rule.weights) != len(self.topics):
                    raise ValueError(f"{lhs}: {len(rule.weights)} weights, not one per topic")
                for item in rule.rhs:
                    if isinstance(item, str) and item not in self.rules:
                        raise ValueError(f"{lhs} uses <{item}>, which has no rule")
            for t, topic in enumerate(self.topics):
                if sum(rule.weights[t] for rule in group) <= 0:
                    raise ValueError(f"{lhs} has no rule with a positive weight in {topic}")

    def reachable(self) -> set[str]:
        """The symbols that a derivation from the start symbol can use."""
        found: set[str] = set()
        waiting = [self.start]
        while waiting:
            symbol = waiting.pop()
            if symbol not in found:
                found.add(symbol)
                for rule in self.rules[symbol]:
                    waiting.extend(item for item in rule.rhs if isinstance(item, str))
        return found

    def sample(self, topic: int, rng: random.Random) -> Sample:
        """Draw one sentence from ``P(. | topic)``."""
        words: list[Word] = []
        brackets: list[Bracket] = []
        probability = 1.0

        def derive(symbol: str) -> None:
            nonlocal probability
            cumulative = self._cumulative[symbol][topic]
            # random() is the one method whose stream Python promises to keep
            chosen = bisect_right(cumulative, rng.random() * cumulative[-1])
            probability *= self._probabilities[symbol][chosen][topic]
            start = len(words)
            for item in self.rules[symbol][chosen].rhs:
                if isinstance(item, str):
                    derive(item)
                else:
                    words.append(item)
            _, at, tag = symbol.partition("@")
            if at and len(words) > start + 1:
                brackets.append(Bracket(start, len(words), tag))

        derive(self.start)
        return Sample(words, brackets, probability)

    def inside(self, tokens: Sequence[Sequence[str]]) -> list[float]:
        """Exact ``P(tokens | topic)`` for each topic, summed over all derivations.

        Each position lists the texts the grammar may have had there (`Word.text`): more than one
        where writing changes a word, as the capital letter at the start of a sentence does.
        """
        size = len(tokens)
        memo: dict[tuple[str, int], dict[int, list[float]]] = {}

        def spans(symbol: str, start: int) -> dict[int, list[float]]:
            key = (symbol, start)
            if key in memo:
                return memo[key]
            found: dict[int, list[float]] = {}
            for index in self._candidates(symbol, tokens[start] if start < size else ()):
                partial = {start: self._probabilities[symbol][index]}
                for item in self.rules[symbol][index].rhs:
                    partial = advance(partial, item)
                    if not partial:
                        break
                for end, values in partial.items():
                    _add(found, end, values)
            memo[key] = found
            return found

        def advance(partial: dict[int, list[float]], item: Item) -> dict[int, list[float]]:
            reached: dict[int, list[float]] = {}
            for middle, values in partial.items():
                if isinstance(item, str):
                    for end, factors in spans(item, middle).items():
                        product = [a * b for a, b in zip(values, factors, strict=True)]
                        _add(reached, end, product)
                elif middle < size and item.text in tokens[middle]:
                    _add(reached, middle + 1, values)
            return reached

        return spans(self.start, 0).get(size, [0.0] * len(self.topics))

    def _candidates(self, symbol: str, texts: Sequence[str]) -> Iterable[int]:
        """The rules of a symbol that can begin with one of the texts, each once."""
        table = self._by_first_word[symbol]
        empty = table.get("", ())
        chosen = {index for text in texts for index in table.get(text, ())}
        return sorted(chosen.union(empty))  # a fixed order of summation: the same last digit

    def _find_nullable(self) -> set[str]:
        nullable: set[str] = set()
        grown = True
        while grown:
            grown = False
            for lhs, group in self.rules.items():
                if lhs not in nullable and any(
                    all(item in nullable for item in rule.rhs) for rule in group
                ):
                    nullable.add(lhs)
                    grown = True
        return nullable

    def _index_first_words(self) -> dict[str, dict[str, list[int]]]:
        """For each symbol: first word -> rules; "" -> rules that can derive nothing."""
        index: dict[str, dict[str, list[int]]] = {}
        active: set[str] = set()

        def visit(symbol: str) -> dict[str, list[int]]:
            if symbol in index:
                return index[symbol]
            if symbol in active:
                raise ValueError(f"<{symbol}> is left-recursive")
            active.add(symbol)
            table: dict[str, list[int]] = defaultdict(list)
            for number, rule in enumerate(self.rules[symbol]):
                firsts: dict[str, None] = {}
                for item in rule.rhs:
                    if isinstance(item, Word):
                        firsts[item.text] = None
                        break
                    firsts.update(dict.fromkeys(text for text in visit(item) if text))
                    if item not in self._nullable:
                        break
                else:
                    firsts[""] = None
                for text in firsts:
                    table[text].append(number)
            active.discard(symbol)
            index[symbol] = dict(table)
            return index[symbol]

        for symbol in self.rules:
            visit(symbol)
        return index


def _add(table: dict[int, list[float]], end: int, values: list[float]) -> None:
    if end in table:
        table[end] = [a + b for a, b in zip(table[end], values, strict=True)]
    else:
        table[end] = values
