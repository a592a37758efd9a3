"""Lines become sentences of tokens: the format is found, sentences and documents are marked off.

Everything streams; memory is bounded by the first 1,000 lines and the longest paragraph.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO, NamedTuple

from nplm_cli.config import CorpusConfig
from nplm_cli.corpus import pku
from nplm_cli.corpus.detection import (
    SHOWN_FORMAT,
    Format,
    Kind,
    detect,
    head_lines,
    is_obviously_raw,
    texts_of,
)
from nplm_cli.corpus.encodings import replaced_note
from nplm_cli.corpus.paragraphs import paragraphs
from nplm_cli.corpus.readers import Digest, Line, list_files, read_lines, shown_name
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.sentences import split_sentences
from nplm_cli.corpus.tokenizers import ESCAPES
from nplm_cli.errors import InputError

__all__ = ["CorpusReader", "ReadCounts", "Sentence", "TextRecipe", "read_sentences"]

LISTED_FAULTS = 20
_ESCAPED = frozenset(ESCAPES.values())
_SHOWN_LANGUAGE = {"zh": "Chinese", "en": "English", "char": "single characters"}


class Sentence(NamedTuple):
    """A sentence and where it stands; all numbers run from 0 over the whole input.

    ``document`` is a People's Daily article, or else the file; ``block`` what blank lines mark
    off (pku: the paragraph); ``line`` the line or, of split text, the paragraph. ``tokens`` is
    empty only for a blank line that is kept.
    """

    tokens: list[str]
    document: int
    block: int
    line: int
    file: int


@dataclasses.dataclass
class ReadCounts:
    """What was read; ``characters`` are those of the tokens, white space not among them.

    ``malformed`` and ``replaced_files`` are lists for the user, of no more than the first few.
    """

    files: int = 0
    lines: int = 0
    blank_lines: int = 0
    sentences: int = 0
    tokens: int = 0
    characters: int = 0
    escaped: int = 0
    malformed_total: int = 0
    malformed: list[str] = dataclasses.field(default_factory=list)
    replaced: int = 0
    replaced_files: list[str] = dataclasses.field(default_factory=list)

    def add_replaced(self, name: str, number: int) -> None:
        """Note how many bad byte sequences of a file became U+FFFD."""
        self.replaced += number
        if len(self.replaced_files) < LISTED_FAULTS:
            self.replaced_files.append(replaced_note(name, number))


def read_sentences(
    inputs: Sequence[str],
    config: CorpusConfig,
    *,
    recipe: TextRecipe | None = None,
    stdin: BinaryIO | None = None,
    digest: Digest | None = None,
    on_event: Callable[[str], None] | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> "CorpusReader":
    """Read ``inputs`` (files, folders, ``-``) as ``config`` says, streaming.

    With a ``recipe`` (that of the training text) only the format is looked for; the rest is the
    recipe's. ``on_event`` takes lines for the user: encodings, the format found, warnings. The
    other parameters and the errors are those of ``read_lines``; InputError as well, at the end,
    when there was no token at all.
    """
    files = list_files(inputs)
    shown = list(inputs)
    counts = ReadCounts(files=len(files))
    lines = read_lines(
        files,
        config.encoding,
        errors=config.errors,
        markup=config.markup,
        stdin=stdin,
        digest=digest,
        on_event=on_event,
        on_bytes=on_bytes,
        on_replaced=counts.add_replaced,
    )
    return CorpusReader(lines, config, recipe, counts, shown, on_event)


class CorpusReader:
    """Iterates over the sentences of the input, once.

    ``recipe`` may be asked at any time (it reads the first lines); ``counts`` grow while
    iterating; ``warnings`` are complete at the end.
    """

    def __init__(
        self,
        lines: Iterator[Line],
        config: CorpusConfig,
        recipe: TextRecipe | None,
        counts: ReadCounts,
        inputs: Sequence[str],
        on_event: Callable[[str], None] | None = None,
    ):
        """Take lines from ``read_lines``; made by ``read_sentences``."""
        self.counts = counts
        self.warnings: list[str] = []
        self._lines = lines
        self._config = config
        self._given = recipe
        self._recipe: TextRecipe | None = None
        self._head: list[Line] = []
        self._inputs = inputs
        self._on_event = on_event or (lambda event: None)
        self._sentences = self._read()

    def __iter__(self) -> Iterator[Sentence]:
        return self._sentences

    @property
    def recipe(self) -> TextRecipe:
        """How the text becomes tokens, resolved from the settings and the first lines."""
        if self._recipe is None:
            self._head = head_lines(self._lines)
            self._recipe = self._resolved()
        return self._recipe

    def _resolved(self) -> TextRecipe:
        config, given = self._config, self._given
        kind = detect(texts_of(self._head))
        if given is not None:
            return dataclasses.replace(given, format=self._format_beside(given, kind))
        lang = kind.lang if config.lang == "auto" else config.lang
        format_ = kind.format if config.format == "auto" else config.format
        sentences = config.sentences
        if sentences == "auto":
            sentences = "line" if format_ == "segmented" else "split"
        if config.format == "auto" and self._head:
            self._on_event(f"format: {SHOWN_FORMAT[format_]}, language: {_SHOWN_LANGUAGE[lang]}")
        return TextRecipe(
            lang=lang,
            format=format_,
            sentences=sentences,
            blank_lines=config.blank_lines,
            compounds=config.compounds,
            keep_pos=config.keep_pos,
            lowercase=config.lowercase,
            fold_width=config.fold_width,
        )

    def _format_beside(self, given: TextRecipe, kind: Kind) -> Format:
        """Format of a text that belongs to a training text: the same unless it shows otherwise."""
        if self._config.format != "auto":
            return self._config.format
        if not self._head:
            return given.format
        found = kind.format
        if found == "raw" != given.format and not is_obviously_raw(texts_of(self._head)):
            found = "segmented"
        if found != given.format:
            self._on_event(
                f"format: {SHOWN_FORMAT[found]}; the training text was {SHOWN_FORMAT[given.format]}"
            )
        return found

    def _read(self) -> Iterator[Sentence]:
        recipe, counts = self.recipe, self.counts
        lines = self._counted(chain(self._head, self._lines))
        self._head = []
        if recipe.format == "raw" and recipe.sentences == "split":
            lines = paragraphs(lines)
        keep_blank = recipe.blank_lines == "keep"
        document = block = unit = file = -1
        article: str | None = None
        after_blank = True
        for line in lines:
            if line.file_index != file:
                file, article, after_blank = line.file_index, None, True
                document += 1
            fresh = line.text and not line.text.isspace()
            if not fresh:
                counts.blank_lines += 1
                after_blank = True
                if keep_blank:
                    unit += 1
                    counts.sentences += 1
                    yield Sentence([], document, max(block, 0), unit, file)
                continue
            unit += 1
            if recipe.format == "pku":
                parsed = self._parsed(line)
                if parsed.article is not None and parsed.article != article:
                    # The first article of a file is the document that the file has begun.
                    document += article is not None
                    article = parsed.article
                block += 1
                sentences = self._tagged_sentences(parsed)
            else:
                block += after_blank
                sentences = recipe.split(line.text)
            after_blank = False
            for tokens in sentences:
                if tokens:
                    counts.sentences += 1
                    counts.tokens += len(tokens)
                    counts.characters += sum(map(len, tokens))
                    if not _ESCAPED.isdisjoint(tokens):
                        counts.escaped += sum(token in _ESCAPED for token in tokens)
                    yield Sentence(tokens, document, block, unit, file)
        self._finish()

    def _counted(self, lines: Iterator[Line]) -> Iterator[Line]:
        for line in lines:
            self.counts.lines += 1
            yield line

    def _parsed(self, line: Line) -> pku.Paragraph:
        parsed = pku.parse_line(line.text, self.recipe.compounds)
        for fault in parsed.faults:
            self.counts.malformed_total += 1
            if len(self.counts.malformed) < LISTED_FAULTS:
                self.counts.malformed.append(f"{shown_name(line.file)}:{line.number}: {fault}")
        return parsed

    def _tagged_sentences(self, parsed: pku.Paragraph) -> Iterator[list[str]]:
        recipe = self.recipe
        if recipe.sentences == "line":
            yield [span.token for span in recipe.tagged_spans(parsed)]
            return
        for start, end in split_sentences([item.word for item in parsed.items]):
            part = parsed._replace(items=parsed.items[start:end])
            yield [span.token for span in recipe.tagged_spans(part)]

    def _finish(self) -> None:
        counts = self.counts
        if counts.tokens == 0:
            names = ", ".join(map(shown_name, self._inputs[:3]))
            more = f" and {len(self._inputs) - 3} more" if len(self._inputs) > 3 else ""
            raise InputError(f"{names or 'no input'}{more}: no text found; expected words")
        if counts.escaped:
            self.warnings.append(
                f"{counts.escaped} tokens of the text look like special ones "
                "(<s>, </s>, <unk>) and are kept as ordinary words (&lt;s&gt; ...)"
            )
        if counts.malformed_total:
            self.warnings.append(
                f"{counts.malformed_total} malformed tokens, first {counts.malformed[0]}"
            )
        for warning in self.warnings:
            self._on_event(f"warning: {warning}")
