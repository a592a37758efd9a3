"""Which row each word has, and which word each row."""

from collections.abc import Sequence

from nplm_cli.errors import ArtifactError
from nplm_cli.vectors.line_words import LineWords

# From so many look-ups on an index of all words takes less time than they do.
_FEW_LOOK_UPS = 20


class WordRows:
    """Words by their rows, word i in row i; those of lines become strings when asked for.

    Raises ArtifactError when a word occurs twice.
    """

    def __init__(self, words: Sequence[str] | LineWords):
        self._lines: LineWords | None = words if isinstance(words, LineWords) else None
        self._words: Sequence[str] | None = None if isinstance(words, LineWords) else words
        self._index: dict[str, int] | None = None
        self._look_ups = 0
        if self._lines is None or self._lines.may_repeat():
            self._check_once()

    def _check_once(self) -> None:
        index = self.index
        if len(index) != len(self.words):
            twice = next(word for row, word in enumerate(self.words) if index[word] != row)
            raise ArtifactError(f"the word {twice!r} occurs twice: expected every word once")

    @property
    def words(self) -> Sequence[str]:
        """All words, in the order of rows."""
        if self._words is None:
            assert self._lines is not None
            self._words = self._lines.words()
        return self._words

    @property
    def index(self) -> dict[str, int]:
        """Row of each word."""
        if self._index is None:
            self._index = dict(zip(self.words, range(len(self.words)), strict=True))
        return self._index

    def word(self, row: int) -> str:
        """The word of a row."""
        return self._lines.word(row) if self._lines is not None else self.words[row]

    def row(self, word: str) -> int | None:
        """Row of a word, or None where it has none."""
        if self._index is None and self._lines is not None and self._look_ups < _FEW_LOOK_UPS:
            self._look_ups += 1
            return self._lines.row(word)
        return self.index.get(word)
