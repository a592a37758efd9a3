"""Which words a model knows: counting, the three textbook cuts, coverage, vocabulary.tsv.

Ids: 0 ``<unk>``, 1 ``</s>``, then words by count descending and code point. The cuts are those
of the lectures: all words (``min_count=1``), words seen at least c times, the V most frequent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nplm_cli.artifacts import atomic_write
from nplm_cli.config import DEFAULT_MAX_SIZE, VocabularyConfig
from nplm_cli.errors import ArtifactError, InputError
from nplm_cli.opening import open_regular

UNK, EOS = "<unk>", "</s>"
UNK_ID, EOS_ID = 0, 1
SPECIALS = (UNK, EOS)
COVERAGE_SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
# unknown.tsv exists to answer "why is this word unknown"; past this many it would only be weight.
MAX_UNKNOWN_LISTED = 100_000
# A line of vocabulary.tsv beyond is damage, or an attack.
MAX_LINE_BYTES = 16_000_000


class Vocabulary:
    """Tokens by id, with their counts in the training text.

    ``tokens[0]`` is ``<unk>`` (its count: the tokens that became unknown), ``tokens[1]`` is
    ``</s>`` (its count: the sentences).
    """

    def __init__(self, tokens: Sequence[str], counts: np.ndarray | Sequence[int]):
        self.tokens = tuple(tokens)
        self.counts = np.asarray(counts, dtype=np.int64)
        if self.tokens[:2] != SPECIALS:
            raise ArtifactError(f"a vocabulary begins with {UNK} and {EOS}, not {self.tokens[:2]}")

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def index(self) -> dict[str, int]:
        """Id of each token."""
        return {token: i for i, token in enumerate(self.tokens)}

    def __contains__(self, word: object) -> bool:
        return word in self.index

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Ids of tokens; 0 for those the vocabulary does not hold."""
        get = self.index.get
        return [get(token, UNK_ID) for token in tokens]

    def save(self, path: Path | str) -> None:
        """Write ``token<TAB>count`` lines, the line number from 0 being the id."""
        with atomic_write(path) as file:
            for token, count in zip(self.tokens, self.counts.tolist(), strict=True):
                file.write(f"{token}\t{count}\n".encode())

    @classmethod
    def load(cls, path: Path | str) -> "Vocabulary":
        """Read vocabulary.tsv; raises ArtifactError with the line where it is not one."""
        rows = list(read_counts(path).items())
        if [token for token, _ in rows[:2]] != list(SPECIALS):
            raise ArtifactError(
                f"{path}:1: a vocabulary begins with the lines {UNK} and {EOS}; "
                "write one with nplm vocab"
            )
        return cls([token for token, _ in rows], [count for _, count in rows])


def read_counts(path: Path | str) -> dict[str, int]:
    """Read ``token<TAB>count`` lines, in their order.

    Raises ArtifactError naming the first line that is malformed or repeats a token: before the
    rest is read, so that a file of equal lines fills no memory.
    """
    try:
        with open_regular(path) as file:
            return _read_counts(path, file)
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror or error}") from error


def _read_counts(path: Path | str, file: BinaryIO) -> dict[str, int]:
    rows: dict[str, int] = {}
    offset = number = 0
    while (data := file.readline(MAX_LINE_BYTES)) or not number:
        number += 1
        try:
            line = data.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            if len(data) == MAX_LINE_BYTES:
                raise ArtifactError(f"{path}:{number}: over {MAX_LINE_BYTES:,} bytes") from error
            raise ArtifactError(f"{path}: byte {offset + error.start} is not UTF-8") from error
        offset += len(data)
        token, tab, count = line.partition("\t")
        if not (tab and token and count.isascii() and count.isdecimal() and len(count) < 19):
            raise ArtifactError(f"{path}:{number}: expected 'token<TAB>count', found {line!r:.60}")
        if token.split() != [token]:
            raise ArtifactError(f"{path}:{number}: a token cannot hold white space: {token!r:.60}")
        if token in rows:
            raise ArtifactError(f"{path}:{number}: {token!r:.60} stands here a second time")
        rows[token] = int(count)
    return rows


@dataclass(frozen=True)
class Cut:
    """A vocabulary and what was left out of it.

    ``unk_types`` is the number of word types that ``<unk>`` stands for in the training text, or
    None, with ``unk_reason``, when nobody knows because ``<unk>`` came from the text itself.
    """

    vocabulary: Vocabulary
    unknown: list[tuple[str, int]]
    unk_types: int | None
    unk_reason: str | None
    notes: tuple[str, ...] = ()


def cut_vocabulary(counts: Mapping[str, int], sentences: int, config: VocabularyConfig) -> Cut:
    """Choose the known words from their counts in the training part.

    ``counts`` may hold a literal ``<unk>``. Where no cut would leave ``<unk>`` without training
    mass, words seen once are read as ``<unk>`` (a note says so), unless ``min_count`` is 1 by
    the user's own word. Raises InputError when no word is left.
    """
    literal = counts.get(UNK, 0)
    ranked = sorted(
        ((word, n) for word, n in counts.items() if word not in SPECIALS),
        key=lambda item: (-item[1], item[0]),
    )
    notes: list[str] = []
    if config.vocab is not None:
        known = [(word, counts.get(word, 0)) for word in Vocabulary.load(config.vocab).tokens[2:]]
    else:
        known = ranked
        if config.min_count is not None:
            known = [item for item in known if item[1] >= config.min_count]
        max_size = config.max_size
        if max_size is None and config.min_count is None:
            max_size = DEFAULT_MAX_SIZE
        known = known[:max_size]
        if len(known) == len(ranked) and not literal:
            every_word_twice = all(n > 1 for _, n in ranked)
            if config.min_count == 1 or every_word_twice:
                why = (
                    "--min-count 1 keeps all words"
                    if config.min_count == 1
                    else "no word is seen only once"
                )
                notes.append(
                    f"<unk> has no training mass ({why}): "
                    "the probability of an unknown word means nothing"
                )
            else:
                known = [item for item in known if item[1] > 1]
                notes.append(
                    f"the cut leaves no unknown word: the {len(ranked) - len(known)} words seen "
                    "once are read as <unk> (--min-count 1 keeps them)"
                )
    if not known:
        raise InputError(
            f"no word is left in the vocabulary ({len(ranked)} types in the training text): "
            "use --min-count 1 or more text"
        )
    if config.vocab is not None:
        names = {word for word, _ in known}
        unknown = [item for item in ranked if item[0] not in names]
        if not unknown and not literal:
            notes.append("<unk> has no training mass: the vocabulary holds every word of the text")
    elif len(known) < len(ranked):
        # Both cuts keep a prefix of the ranked list.
        unknown = ranked[len(known) :]
    else:
        unknown = []
    unk_count = literal + sum(n for _, n in unknown)
    vocabulary = Vocabulary(
        [*SPECIALS, *(word for word, _ in known)], [unk_count, sentences, *(n for _, n in known)]
    )
    reason = (
        "<unk> stands in the text itself: nobody knows how many words it is"
        if literal
        else (None if unknown else "no word of the training text is unknown")
    )
    return Cut(vocabulary, unknown, len(unknown) if reason is None else None, reason, tuple(notes))


def save_unknown(path: Path | str, unknown: Iterable[tuple[str, int]]) -> None:
    """Write the most frequent words that the cut left out, with their counts."""
    with atomic_write(path) as file:
        for i, (word, count) in enumerate(unknown):
            if i == MAX_UNKNOWN_LISTED:
                break
            file.write(f"{word}\t{count}\n".encode())


def load_unknown(path: Path | str) -> dict[str, int]:
    """Counts of the words left out; empty when the cut left out none."""
    if not Path(path).exists() or not Path(path).stat().st_size:
        return {}
    return read_counts(path)


@dataclass(frozen=True)
class CoverageRow:
    """What a vocabulary of ``size`` words (specials not counted) covers."""

    size: int
    types: int
    covered_tokens: int
    unk_tokens: int
    unk_share: float


def coverage(counts: Mapping[str, int], sizes: Iterable[int]) -> list[CoverageRow]:
    """How much of a text the k most frequent words cover, for each size that it has types for.

    Always-unknown share, not counting sentence ends: ``unk_tokens / tokens``.
    """
    literal = counts.get(UNK, 0)
    ordered = np.sort(np.array([n for w, n in counts.items() if w not in SPECIALS], np.int64))
    cumulative = np.concatenate([[0], np.cumsum(ordered[::-1])])
    total = int(cumulative[-1]) + literal
    rows = []
    for size in sorted(set(sizes)):
        types = min(size, len(ordered))
        covered = int(cumulative[types])
        share = (total - covered) / total if total else 0.0
        rows.append(CoverageRow(size, types, covered, total - covered, share))
    return rows
