"""May two figures stand in one ranking? Whether runs share vocabulary, text and context policy."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nplm_cli.config import Context
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import UNK_ID, Vocabulary


@dataclass(frozen=True)
class ScoredText:
    """A text as one run reads it.

    ``source`` is the sha256 of the files that a stored part came from. ``digests_S`` are hashes
    of the sentences' own characters, where the text was at hand; a stored part has ids alone.
    """

    name: str
    vocabulary: Vocabulary
    part: Part
    context: Context
    source: str | None = None
    digests_S: tuple[bytes, ...] | None = None

    @cached_property
    def lengths_S(self) -> np.ndarray:
        """Predictions of each sentence."""
        return np.diff(self.part.starts)

    @cached_property
    def breaks(self) -> np.ndarray:
        """Sentences before which a running text breaks."""
        return np.searchsorted(self.part.starts, self.part.file_starts)

    def known_sentences(self) -> Iterator[str | None]:
        """Characters of each sentence, None where it holds an unknown word."""
        words = np.array(self.vocabulary.tokens, object)
        for start, end in zip(self.part.starts[:-1], self.part.starts[1:], strict=True):
            ids = np.asarray(self.part.ids_N[start : end - 1])
            yield None if (ids == UNK_ID).any() else "".join(words[ids])


@dataclass(frozen=True)
class Comparability:
    """Which runs are alike: equal numbers in a list mean the same thing.

    ``reasons`` say in a line each why not all perplexities may be ranked; empty if they may.
    """

    vocabularies: list[int]
    segmentations: list[int]
    texts: list[int]
    contexts: list[int]
    reasons: list[str]

    def by(self, a: int, b: int) -> str | None:
        """The figure by which runs ``a`` and ``b`` may be compared; None when there is none."""
        if self.contexts[a] != self.contexts[b]:
            return None
        if all(kind[a] == kind[b] for kind in (self.vocabularies, self.segmentations)):
            return "ppl"
        return "bits_per_char" if self.texts[a] == self.texts[b] else None

    @property
    def ranked_by(self) -> str | None:
        """The figure that ranks all runs."""
        if max(self.contexts):
            return None
        if not max(self.vocabularies) and not max(self.segmentations):
            return "ppl"
        return None if max(self.texts) else "bits_per_char"


def comparability(texts: Sequence[ScoredText]) -> Comparability:
    """Compare what the runs were scored on."""
    vocabularies = _classes(texts, same_vocabulary)
    segmentations = _classes(texts, same_tokens)
    same = _classes(texts, same_text)
    contexts = _classes(texts, lambda a, b: a.context == b.context)
    reasons = []
    if max(vocabularies):
        shown = _groups(texts, vocabularies, lambda t: f"{len(t.vocabulary) - 2:,} words")
        reasons.append(
            f"different vocabularies: {shown} (nplm train --vocab RUN/vocabulary.tsv shares one)"
        )
    if max(same) and (max(segmentations) or max(vocabularies)):
        reasons.append(
            f"different texts: {_groups(texts, same, _size)} (--on FILE scores all on one text)"
        )
    elif max(segmentations) and not max(vocabularies):
        reasons.append(
            f"different segmentations of one text: {_groups(texts, segmentations, _size)}"
        )
    if max(contexts):
        shown = _groups(texts, contexts, lambda t: t.context)
        reasons.append(
            f"different context policies: {shown} (--context sentence or stream sets one for all)"
        )
    return Comparability(vocabularies, segmentations, same, contexts, reasons)


def same_vocabulary(a: ScoredText, b: ScoredText) -> bool:
    """The same words, whatever their order and counts."""
    return a.vocabulary.index.keys() == b.vocabulary.index.keys()


def same_tokens(a: ScoredText, b: ScoredText) -> bool:
    """The same sentences cut into the same tokens, as far as the vocabularies can tell."""
    if not (_same_outline(a, b) and np.array_equal(a.lengths_S, b.lengths_S)):
        return False
    if not (_reads_as(a, b) and _reads_as(b, a)):
        return False
    return a.digests_S is None or b.digests_S is None or a.digests_S == b.digests_S


def same_text(a: ScoredText, b: ScoredText) -> bool:
    """The same characters in the same sentences, whatever the tokens.

    Of stored parts there are ids alone. With the same tokens, words known to either run are
    compared one by one; with others, sentences that both know in full, and the two parts must
    come from the same bytes.
    """
    if not _same_outline(a, b) or a.part.characters != b.part.characters:
        return False
    if a.digests_S is not None and b.digests_S is not None:
        return a.digests_S == b.digests_S
    if same_tokens(a, b):
        return True
    if a.source is None or a.source != b.source:
        return False
    pairs = zip(a.known_sentences(), b.known_sentences(), strict=True)
    return all(x is None or y is None or x == y for x, y in pairs)


def _same_outline(a: ScoredText, b: ScoredText) -> bool:
    if a.part.sentences != b.part.sentences:
        return False
    # Only for a running text does it matter where files begin.
    return {a.context, b.context} != {"stream"} or np.array_equal(a.breaks, b.breaks)


def _reads_as(a: ScoredText, b: ScoredText) -> bool:
    """Whether each word that ``a`` knows is what ``b`` makes of that word."""
    table = np.array(b.vocabulary.encode(a.vocabulary.tokens), np.int64)
    ids_N = np.asarray(a.part.ids_N)
    known = ids_N != UNK_ID
    return bool(np.array_equal(table[ids_N[known]], np.asarray(b.part.ids_N)[known]))


def _classes(
    texts: Sequence[ScoredText], same: Callable[[ScoredText, ScoredText], bool]
) -> list[int]:
    """Number the kinds of texts in the order of their first appearance."""
    first: list[ScoredText] = []
    numbers = []
    for text in texts:
        found = (i for i, other in enumerate(first) if text is other or same(other, text))
        number = next(found, len(first))
        if number == len(first):
            first.append(text)
        numbers.append(number)
    return numbers


def _size(text: ScoredText) -> str:
    part = text.part
    return f"{part.sentences:,} sentences, {part.words:,} words, {part.characters:,} characters"


def _groups(
    texts: Sequence[ScoredText], numbers: list[int], describe: Callable[[ScoredText], str]
) -> str:
    groups: dict[int, list[ScoredText]] = {}
    for text, number in zip(texts, numbers, strict=True):
        groups.setdefault(number, []).append(text)
    told = [describe(group[0]) for group in groups.values()]
    if len(set(told)) == 1:
        told = [told[0], *["as many, but not the same"] * (len(told) - 1)]
    return "; ".join(
        f"{', '.join(text.name for text in group)}: {what}"
        for group, what in zip(groups.values(), told, strict=True)
    )
