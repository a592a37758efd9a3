"""English: inflection of the lexicon, spelling in a sentence, running text.

`spell` changes two things the grammar does not decide: "a" before a vowel sound is "an", and a
sentence or quotation begins with a capital.  `readings` undoes both, so that the probability of a
written sentence is that of what the grammar may have produced.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .notation import Section, zipf
from .pcfg import Item, Word

# Spelled with a vowel but spoken with a consonant, and the other way round.
CONSONANT_SOUND = ("uni", "use", "usu", "eu", "one", "once", "ukulele", "ewe")
VOWEL_SOUND = ("hour", "honest", "honour", "heir")

OPEN_QUOTE, CLOSE_QUOTE = "“", "”"
NO_SPACE_BEFORE = (",", ".", "?", "!", ":", ";", CLOSE_QUOTE, "n't")


def plural(word: str) -> str:
    """The regular plural, which is also the third person singular of a verb."""
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if word in ("go", "do", "echo") else "s")


def past(word: str) -> str:
    """The regular past tense."""
    if word.endswith("e"):
        return word + "d"
    return word[:-1] + "ied" if re.search(r"[^aeiou]y$", word) else word + "ed"


def ing(word: str) -> str:
    """The -ing form of a verb that does not double its last letter."""
    if word.endswith("ie"):
        return word[:-2] + "ying"
    if word.endswith("e") and not word.endswith(("ee", "ye", "oe")):
        return word[:-1] + "ing"
    return word + "ing"


def expand(section: Section) -> dict[str, list[tuple[float, tuple[Item, ...]]]]:
    """The symbols of a word class: `name`, or `name.sg`, `name.past` ... for what is inflected."""
    entries = [entry.split("/") for _, words in section.lines for entry in words]
    weights = zipf(len(entries), section.exponent)
    forms: dict[str, list[str]]
    if section.kind == "noun":
        forms = {
            "sg": [entry[0] for entry in entries],
            "pl": [entry[1] if len(entry) > 1 else plural(entry[0]) for entry in entries],
        }
    elif section.kind == "verb":
        base = [entry[0] for entry in entries]
        simple_past = [entry[1] if len(entry) > 1 else past(entry[0]) for entry in entries]
        forms = {
            "base": base,
            "pl": base,
            "sg": [plural(word) for word in base],
            "past": simple_past,
            "pastsg": simple_past,
            "pastpl": simple_past,
            "part": [entry[2] if len(entry) > 2 else past(entry[0]) for entry in entries],
            "ing": [entry[3] if len(entry) > 3 else ing(entry[0]) for entry in entries],
        }
    else:
        forms = {"": [entry[0] for entry in entries]}
    return {
        f"{section.name}.{form}".rstrip("."): [
            (weight, (Word(word),)) for weight, word in zip(weights, words, strict=True)
        ]
        for form, words in forms.items()
    }


def _takes_an(word: str) -> bool:
    lower = word.lower()
    if lower.startswith(VOWEL_SOUND):
        return True
    return lower[0] in "aeiou" and not lower.startswith(CONSONANT_SOUND)


def _begins(tokens: Sequence[str], position: int) -> bool:
    return position == 0 or tokens[position - 1] == OPEN_QUOTE


def spell(words: Sequence[Word]) -> list[str]:
    """The tokens as they are written."""
    tokens = [word.text for word in words]
    for position, token in enumerate(tokens):
        if token == "a" and _takes_an(tokens[position + 1]):
            tokens[position] = "an"
        if _begins(tokens, position):
            tokens[position] = tokens[position][0].upper() + tokens[position][1:]
    return tokens


def readings(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    """What the grammar may have had at each position of a written sentence."""
    found: list[tuple[str, ...]] = []
    for position, token in enumerate(tokens):
        texts = [token]
        if _begins(tokens, position) and token[0].isupper():
            texts.append(token[0].lower() + token[1:])
        found.append(tuple("a" if text == "an" else text for text in texts))
    return found


def running_text(tokens: Sequence[str]) -> str:
    """A sentence as prose: no space before most punctuation and before what an apostrophe joins."""
    text = ""
    for token in tokens:
        joined = token in NO_SPACE_BEFORE or token.startswith("'") or text.endswith(OPEN_QUOTE)
        text += token if joined or not text else " " + token
    return text


def paragraph(sentences: Sequence[Sequence[str]]) -> str:
    """A paragraph of prose on one line."""
    return " ".join(running_text(tokens) for tokens in sentences)
