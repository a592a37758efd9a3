"""The words that a homework looks at: drawn, or the student's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nplm_cli import events
from nplm_cli.config import HomeworkConfig
from nplm_cli.corpus.readers import read_lines, shown_name
from nplm_cli.corpus.vocabulary import EOS_ID, MAX_UNKNOWN_LISTED, UNK_ID
from nplm_cli.errors import InputError
from nplm_cli.query.run import Run
from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.unknown import explain_unknown


@dataclass(frozen=True)
class Word:
    """A word with its count in the training text and its frequency rank (1: most frequent)."""

    word: str
    count: int
    rank: int


def choose_words(
    run: Run,
    homework: HomeworkConfig,
    listed: Sequence[str] | None = None,
    on_event: events.OnEvent = events.ignore,
) -> list[Word]:
    """Words of the run's vocabulary to look at: those ``listed`` by the student, or drawn ones.

    The same for every model of the corpus, because all have the vocabulary of ``run``. Unknown
    words of the list are told and left out; raises InputError when none is left.
    """
    keyed = _without_vectors(run)
    if listed is not None:
        words = _known(listed, str(homework.words), run, keyed, on_event)
    else:
        words = keyed.sample_words(
            homework.random,
            seed=homework.random_seed,
            band=homework.ranks,
            keep=_eligible(homework),
        )
        if len(words) < homework.random:
            on_event(
                events.Message(
                    f"only {len(words):,} words qualify of the {homework.random:,} asked for", True
                )
            )
    counts = run.vocabulary.counts
    # Line numbers in vocabulary.tsv are ranks but for the two specials.
    return [Word(word, int(counts[row]), row - 1) for word, row in _rows(keyed, words)]


def drawn_ranks(run: Run, homework: HomeworkConfig) -> tuple[int, int] | None:
    """First and last frequency rank that words are drawn from; None for the student's own list."""
    if homework.words is not None:
        return None
    return _without_vectors(run).ranks_to_sample(
        homework.random, homework.ranks, _eligible(homework)
    )


def _without_vectors(run: Run) -> KeyedVectors:
    """Words and counts are all it takes to draw: the run need not be trained."""
    none_VD = np.zeros((len(run.vocabulary), 0), np.float32)
    counts = run.vocabulary.counts
    return KeyedVectors(run.vocabulary.tokens, none_VD, counts, skip=(UNK_ID, EOS_ID))


def _eligible(homework: HomeworkConfig) -> Callable[[str], bool] | None:
    return (lambda word: True) if homework.all_tokens else None


def _rows(keyed: KeyedVectors, words: Sequence[str]) -> list[tuple[str, int]]:
    return [(word, row) for word in words if (row := keyed.index_of(word)) is not None]


def read_word_list(path: str) -> list[str]:
    """Words of a file, one a line or with spaces between, each once; ``#`` begins a remark.

    Raises InputError for a file without words.
    """
    words: dict[str, None] = {}
    for line in read_lines([path], "auto"):
        if not line.text.startswith("#"):
            words.update(dict.fromkeys(line.text.split()))
    if not words:
        raise InputError(f"{shown_name(path)}: no word in it: write one a line")
    return list(words)


def _known(
    words: Sequence[str], path: str, run: Run, keyed: KeyedVectors, on_event: events.OnEvent
) -> list[str]:
    known = []
    for word in dict.fromkeys(map(run.recipe.spelled, words)):
        row = keyed.index_of(word)
        if row is not None and row not in keyed.skip:
            known.append(word)
            continue
        counts = run.unknown_counts
        unknown = explain_unknown(
            word, keyed.index, counts, unknown_complete=len(counts) < MAX_UNKNOWN_LISTED
        )
        on_event(events.Message(f"{Path(path).name}: {unknown.describe()}; left out", True))
    if not known:
        raise InputError(f"{path}: the vocabulary has no word of this list: expected at least one")
    return known
