"""What a homework asks of its models: words to look at, pairs to align.

Read once and held against the vocabularies before anything is trained, so that a slip costs
seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from nplm_cli import events
from nplm_cli.config import HomeworkConfig
from nplm_cli.corpus.readers import shown_name
from nplm_cli.errors import ConfigError, InputError
from nplm_cli.homework.plan import PlannedRun
from nplm_cli.homework.words import Word, choose_words, drawn_ranks, read_word_list
from nplm_cli.query.run import Run
from nplm_cli.vectors.alignment import MIN_SOURCE_WORDS
from nplm_cli.vectors.comparison import MIN_WORDS
from nplm_cli.vectors.dictionary import read_dictionary

# A longer list is hardly meant: somebody named a text.
MANY_WORDS = 500


@dataclass(frozen=True)
class Chosen:
    """Words of a corpus; the ranks they were drawn from, None for the student's own list."""

    words: list[Word]
    drawn_ranks: tuple[int, int] | None


@dataclass
class Questions:
    """``listed`` and ``pairs`` are None where the student gave no file."""

    homework: HomeworkConfig
    listed: list[str] | None
    pairs: list[tuple[str, str]] | None
    chosen: dict[str, Chosen] = field(default_factory=dict)

    @classmethod
    def read(cls, homework: HomeworkConfig) -> "Questions":
        """Read the student's files; raises InputError for them."""
        return cls(
            homework,
            None if homework.words is None else read_word_list(homework.words),
            None if homework.dictionary is None else read_dictionary(homework.dictionary),
        )

    def put_to(self, runs: Sequence[PlannedRun], on_event: events.OnEvent = events.ignore) -> None:
        """Choose the words of each corpus among those that its runs know.

        Raises ConfigError and InputError for what could not be answered after the training.
        """
        first_runs = {run.corpus: Run(run.folder) for run in reversed(runs)}
        for key in dict.fromkeys(run.corpus for run in runs):
            self.chosen[key] = self._choose(key, first_runs[key], on_event)
        if self.pairs is not None:
            self.pairs = self._covered(self.pairs, first_runs["first"], first_runs["second"])

    def _choose(self, key: str, run: Run, on_event: events.OnEvent) -> Chosen:
        size = len(run.vocabulary) - 2
        if size >= MIN_WORDS and self.homework.top > size - 2:
            raise ConfigError(
                f"--top {self.homework.top}: the vocabulary has {size:,} words: expected at most "
                f"{size - 2:,}"
            )
        # The list is of the first corpus' language.
        homework = self.homework if key == "first" else replace(self.homework, words=None)
        listed = self.listed if key == "first" else None
        if listed is not None and len(listed) > MANY_WORDS:
            on_event(
                events.Message(
                    f"{shown_name(str(homework.words))}: {len(listed):,} words, and the report "
                    "lists the neighbours of each",
                    True,
                )
            )
        return Chosen(choose_words(run, homework, listed, on_event), drawn_ranks(run, homework))

    def _covered(
        self, pairs: Sequence[tuple[str, str]], first: Run, second: Run
    ) -> list[tuple[str, str]]:
        """Return the pairs as the two corpora spell them, once enough of them are known."""
        spelled = [(first.recipe.spelled(a), second.recipe.spelled(b)) for a, b in pairs]
        known = len({a for a, b in spelled if _knows(first, a) and _knows(second, b)})
        if known >= MIN_SOURCE_WORDS:
            return spelled
        swapped = len({a for a, b in pairs if _knows(second, a) and _knows(first, b)})
        hint = "; its columns look swapped: the first corpus' words come first"
        raise InputError(
            f"{shown_name(str(self.homework.dictionary))}: the vocabularies have both words of "
            f"the pairs of {known} words, of {len(pairs):,} pairs: expected at least "
            f"{MIN_SOURCE_WORDS} words{hint if swapped > known else ''}"
        )


def _knows(run: Run, word: str) -> bool:
    return word in run.vocabulary.index
