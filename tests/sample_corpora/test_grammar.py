"""The engine: its probabilities are exact, sum to one and describe what it samples."""

import importlib
import itertools
import math
import random
from collections import Counter

import pytest


@pytest.fixture(scope="session")
def pcfg(generator):
    return importlib.import_module("corpus_maker.pcfg")


@pytest.fixture(scope="session")
def notation(generator):
    return importlib.import_module("corpus_maker.notation")


TINY = """
%start S
%topics day*3 night*1
%variable n sg*7 pl*3
S
  6 | the <Noun.$n> <Verb.$n>
  2 night | the <Noun.$n> <Verb.$n> {softly|in_the_<Time>}?40
Noun.sg
  2 | cat
  1 night | owl
Noun.pl
  1 | cats
Verb.sg
  3 | sleeps
  1 | sings
Verb.pl
  1 | sleep
Time
  1 day | morning
  1 night | evening
"""


@pytest.fixture(scope="session")
def tiny(pcfg, notation):
    reader = notation._GrammarReader(TINY)
    return pcfg.Grammar(reader.rules, reader.start, reader.topics)


def sentences(grammar):
    """Every sentence of a grammar without recursion, by expanding all rules."""

    def expand(symbol):
        for rule in grammar.rules[symbol]:
            parts = [list(expand(x)) if isinstance(x, str) else [(x.text,)] for x in rule.rhs]
            for combination in itertools.product(*parts):
                yield tuple(itertools.chain.from_iterable(combination))

    return sorted(set(expand(grammar.start)))


def test_probabilities_sum_to_one_in_every_topic(tiny):
    totals = [0.0, 0.0]
    for sentence in sentences(tiny):
        for t, value in enumerate(tiny.inside([(word,) for word in sentence])):
            totals[t] += value
    assert totals == pytest.approx([1.0, 1.0], abs=1e-9)


def test_two_derivations_of_one_sentence_are_added(pcfg):
    word = pcfg.Word
    rules = [
        pcfg.Rule("S", ("A", "B"), (1,)),
        pcfg.Rule("A", (word("x"),), (3,)),
        pcfg.Rule("A", (word("x"), word("x")), (1,)),
        pcfg.Rule("B", (word("x"), word("x")), (1,)),
        pcfg.Rule("B", (word("x"),), (1,)),
    ]
    grammar = pcfg.Grammar(rules, "S", ["only"])
    # x xx and xx x: 3/4 * 1/2 + 1/4 * 1/2
    assert grammar.inside([("x",)] * 3) == pytest.approx([0.5])


def test_sampled_frequencies_follow_the_probabilities(tiny):
    rng = random.Random(5)
    draws = 20_000
    counts = Counter(tuple(w.text for w in tiny.sample(1, rng).words) for _ in range(draws))
    for sentence in sentences(tiny):
        p = tiny.inside([(word,) for word in sentence])[1]
        deviation = math.sqrt(draws * p * (1 - p))
        assert abs(counts[sentence] - draws * p) < 5 * deviation + 1


def test_a_sentence_outside_the_grammar_has_probability_zero(tiny):
    assert tiny.inside([("the",), ("cats",), ("sings",)]) == [0.0, 0.0]
    assert tiny.inside([]) == [0.0, 0.0]


def test_left_recursion_is_refused(pcfg):
    rules = [pcfg.Rule("S", ("S", pcfg.Word("x")), (1,)), pcfg.Rule("S", (pcfg.Word("x"),), (1,))]
    with pytest.raises(ValueError, match="left-recursive"):
        pcfg.Grammar(rules, "S", ["only"])


def test_a_missing_symbol_is_named(pcfg):
    with pytest.raises(ValueError, match="<Noun>, which has no rule"):
        pcfg.Grammar([pcfg.Rule("S", ("Noun",), (1,))], "S", ["only"])


@pytest.mark.parametrize("line", ["  x | y", "%nothing", "  1 moon | y", "  1 y"])
def test_a_line_that_cannot_be_read_is_refused(notation, line):
    text = "%start S\n%topics day\nS\n" + line
    with pytest.raises(ValueError, match="grammar line 4"):
        notation._GrammarReader(text)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_marginal_is_at_least_the_derivation_that_was_sampled(generator, language):
    """And what is written reads back as the sentence that was sampled."""
    documents = generator.documents
    source = documents.read_source(generator.HERE, language)
    writer = documents.LANGUAGES[language]
    rng = random.Random(11)
    for number in range(150):
        topic = number % len(source.grammar.topics)
        sample = source.grammar.sample(topic, rng)
        inside = source.grammar.inside(writer.readings(writer.spell(sample.words)))
        assert inside[topic] >= sample.derivation_probability * (1 - 1e-9)
        assert inside[topic] <= 1
