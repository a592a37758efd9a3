"""Why a word is unknown, and what the vocabulary offers in its place."""

import unicodedata
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass

# Longer words than this are not searched: a pasted paragraph has no nearest spelling.
_MAX_LENGTH = 60
# Words (in order of frequency) that are compared letter by letter: bounds the time to a fraction
# of a second in a vocabulary of look-alikes.
_MAX_COMPARED = 20_000
# A piece of an alphabetic word is at least this long; single letters explain nothing.
_MIN_ALPHABETIC_PIECE = 3
_SPECIALS = frozenset({"<unk>", "</s>"})


@dataclass(frozen=True)
class Unknown:
    """A word outside the vocabulary: the reason, nearest known spellings, a segmentation."""

    word: str
    reason: str
    near: list[str]
    segmentation: list[str] | None

    def describe(self) -> str:
        """All of it in one line."""
        offers = []
        if self.near:
            offers.append("near: " + ", ".join(self.near))
        if self.segmentation:
            offers.append("known pieces: " + "|".join(self.segmentation))
        offer = "; " + "; ".join(offers) if offers else ""
        return f"unknown word {self.word!r}: {self.reason}{offer}"


def explain_unknown(
    word: str,
    words: Collection[str],
    unknown_counts: Mapping[str, int] | None = None,
    *,
    unknown_complete: bool = True,
    limit: int = 3,
) -> Unknown:
    """Explain why ``word`` is not in ``words`` and offer what is.

    ``words`` is in order of frequency; a dict or set is used for look-up as it is.
    ``unknown_counts`` are the words that the cut left out (``unknown.tsv``), None when nobody
    knows; ``unknown_complete`` is False when that list was cut too. ``near`` holds up to
    ``limit`` known spellings: other cases and widths of the word first, then the words one edit
    away (Levenshtein with swaps of neighbouring letters) or, where there are none and the word
    has at least five letters, two edits away, in order of ``words``.
    ``segmentation`` is the split into the fewest known words, longer words first, or None.
    """
    if word in _SPECIALS:
        return Unknown(word, "a symbol of the vocabulary, no word of the text", [], None)
    known: Collection[str] = words if isinstance(words, Mapping | Set) else set(words)
    return Unknown(
        word,
        _reason(word, unknown_counts, unknown_complete),
        _near(word, words, known, limit),
        _segment(word, known),
    )


def _reason(word: str, counts: Mapping[str, int] | None, complete: bool) -> str:
    if counts is None:
        return "not in the vocabulary"
    count = counts.get(word, 0)
    if count:
        times = "once" if count == 1 else f"{count} times"
        return f"seen {times} in training, below the cut"
    return "never seen in training" if complete else "rare or never seen in training"


def _near(word: str, words: Collection[str], known: Collection[str], limit: int) -> list[str]:
    variants = [word, unicodedata.normalize("NFKC", word)]
    variants += [change(v) for v in variants for change in (str.lower, str.title, str.upper)]
    found = [v for v in dict.fromkeys(variants) if v != word and v in known]
    if 2 <= len(word) <= _MAX_LENGTH:
        # One edit turns a short word into any other; two are enough for a slip of the finger.
        for allowed in (1,) if len(word) < 5 else (1, 2):
            at_distance = _within(word, words, allowed)
            if at_distance:
                found += [spelling for spelling in at_distance if spelling not in found]
                break
    return found[:limit]


def _within(word: str, words: Collection[str], allowed: int) -> list[str]:
    """Words within ``allowed`` edits, in order."""
    letters = set(word)
    shortest, longest = len(word) - allowed, len(word) + allowed
    near = []
    compared = 0
    for candidate in words:
        # Each distinct letter that the candidate lacks costs an edit: most stop here.
        if (
            shortest <= len(candidate) <= longest
            and len(letters.difference(candidate)) <= allowed
            and not letters.isdisjoint(candidate)
            and candidate not in _SPECIALS
        ):
            compared += 1
            if 0 < _edit_distance(word, candidate, allowed) <= allowed:
                near.append(candidate)
            if compared == _MAX_COMPARED:
                break
    return near


def _edit_distance(a: str, b: str, limit: int) -> int:
    """Optimal string alignment distance, or any number above ``limit`` when it exceeds it."""
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        current = [i]
        for j, other in enumerate(b, start=1):
            cost = min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        before, previous = previous, current
    return previous[-1]


def _segment(word: str, known: Collection[str]) -> list[str] | None:
    """The fewest known pieces that make up ``word``; the longest first among equals."""
    if not 2 <= len(word) <= _MAX_LENGTH:
        return None
    # best[i] is a segmentation of word[i:], found from the end.
    best: list[list[str] | None] = [None] * len(word) + [[]]
    for start in reversed(range(len(word))):
        for end in reversed(range(start + 1, len(word) + 1)):
            rest = best[end]
            piece = word[start:end]
            if rest is None or piece == word or not _is_piece(piece) or piece not in known:
                continue
            so_far = best[start]
            if so_far is None or len(rest) + 1 < len(so_far):
                best[start] = [piece, *rest]
    return best[0]


def _is_piece(piece: str) -> bool:
    if piece in _SPECIALS:
        return False
    ideographic = any(unicodedata.category(c) == "Lo" for c in piece)
    return ideographic or len(piece) >= _MIN_ALPHABETIC_PIECE
