"""Documents, blocks and lines, counted while a text is read."""

from nplm_cli.corpus.reading_results import Sentence


class Numbering:
    """The numbers that ``Sentence`` has, of the line that was begun last."""

    def __init__(self) -> None:
        self.file = self._document = self._block = self._line = -1
        self._article: str | None = None
        self._after_blank = True

    def begin_file(self, file: int) -> None:
        """A file begins a document and a block."""
        self.file, self._article, self._after_blank = file, None, True
        self._document += 1

    def blank_line(self, *, kept: bool) -> None:
        """A blank line ends a block, and has a number when it is kept."""
        self._line += kept
        self._after_blank = True

    def text_line(self) -> None:
        """A line, or a paragraph of split text."""
        self._line += 1
        self._block += self._after_blank
        self._after_blank = False

    def tagged_line(self, article: str | None) -> None:
        """A paragraph of the People's Daily is a block, and each of its articles a document."""
        if article is not None and article != self._article:
            # The first article of a file is the document that the file has begun.
            self._document += self._article is not None
            self._article = article
        self._line += 1
        self._block += 1
        self._after_blank = False

    def sentence(self, tokens: list[str]) -> Sentence:
        """A sentence of the line; before the first block there are only blank lines."""
        block = self._block if self._block > 0 else 0  # sooner than max
        return Sentence(tokens, self._document, block, self._line, self.file)
