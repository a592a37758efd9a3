"""Why words of a table are unknown: their case, or marks attached to them."""

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.plain import counted
from nplm_cli.stimuli.words import Scored, Text

# A cure is told when it is one for at least this share of the unknown words.
WORTH = 0.1


class Cures(NamedTuple):
    """How many of the unknown words the model would know otherwise.

    ``lower``: in lower case; ``raw``: with marks and contractions cut off, by the rules for raw
    text; ``bare``: with the marks around them taken away. ``..._lower`` do that in lower case.
    """

    unknown: int
    lower: int
    raw: int
    raw_lower: int
    bare: int
    bare_lower: int

    def told(self) -> str | None:
        """Say in one line what would make many of them known; None where nothing does."""
        cut = self.raw + self.raw_lower >= self.bare + self.bare_lower
        marks, both = (self.raw, self.raw_lower) if cut else (self.bare, self.bare_lower)
        how = "with marks and contractions cut off (--raw)" if cut else "without attached marks"
        parts = []
        if self.lower >= WORTH * self.unknown:
            parts.append(f"{self.lower:,} in lower case")
        if marks >= WORTH * self.unknown:
            parts.append(f"{marks:,} {how}")
        if both >= max(self.lower, marks) + WORTH * self.unknown:
            parts.append(f"{both:,} {'both ways' if len(parts) > 1 else how + ' in lower case'}")
        if not parts:
            return None
        return f"of {counted(self.unknown, 'unknown word')} the model knows {', '.join(parts)}"


def unknown_words(texts: Sequence[Text], scored: Sequence[Scored]) -> Counter[str]:
    """Words that hold an unknown token, and how often."""
    return Counter(
        text.text[begin:end]
        for text, own in zip(texts, scored, strict=True)
        for (begin, end), word in zip(text.words, own.words, strict=True)
        if word.oov
    )


def cures(words: Mapping[str, int], recipe: TextRecipe, vocabulary: Collection[str]) -> Cures:
    """Try what else the words might have been; ``recipe`` is what they were read by."""
    raw = dataclasses.replace(recipe, format="raw")

    def known(text: str, by: TextRecipe) -> bool:
        tokens = by.tokenize(text)
        return bool(tokens) and all(token in vocabulary for token in tokens)

    found = dict.fromkeys(Cures._fields, 0)
    for word, count in words.items():
        lower, bare = word.lower(), _bare(word)
        marked = recipe.format != "raw" and not word.isalnum() and bool(bare)
        tried = {
            "lower": lower != word and known(lower, recipe),
            "raw": marked and known(word, raw),
            "raw_lower": marked and known(lower, raw),
            "bare": bare not in ("", word) and known(bare, recipe),
            "bare_lower": bool(bare) and known(bare.lower(), recipe),
        }
        # Cutting or taking off what is not there changes nothing: lower case alone is enough.
        tried["raw_lower"] = tried["raw_lower"] or tried["raw"] or tried["lower"]
        tried["bare_lower"] = tried["bare_lower"] or tried["bare"] or tried["lower"]
        found["unknown"] += count
        for name, is_known in tried.items():
            found[name] += count * is_known
    return Cures(**found)


def _bare(word: str) -> str:
    """The word from its first letter or digit to its last."""
    places = [i for i, c in enumerate(word) if c.isalnum()]
    return word[places[0] : places[-1] + 1] if places else ""
