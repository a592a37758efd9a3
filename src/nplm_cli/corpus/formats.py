"""Lines become sentences of tokens: the format is found, sentences and documents are marked off.

Everything streams; memory is bounded by the first 1,000 lines and the longest paragraph.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from types import ModuleType
from typing import Any, BinaryIO

from nplm_cli.config import CorpusConfig
from nplm_cli.corpus import pku
from nplm_cli.corpus.block_reading import word_blocks
from nplm_cli.corpus.cutting import automatic_workers, cut_lines
from nplm_cli.corpus.detection import head_lines, texts_of
from nplm_cli.corpus.file_watch import watched, watched_blocks
from nplm_cli.corpus.numbering import Numbering
from nplm_cli.corpus.paragraphs import paragraphs
from nplm_cli.corpus.readers import (
    Digest,
    Line,
    LineBlock,
    lines_of,
    list_files,
    read_blocks,
    shown_name,
)
from nplm_cli.corpus.reading_results import Place, ReadCounts, Sentence
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.resolution import recipe_beside, resolve_recipe
from nplm_cli.corpus.user_words import UserWords, read_user_words
from nplm_cli.corpus.word_blocks import WordBlock, takes_blocks
from nplm_cli.corpus.word_table import kernels_for
from nplm_cli.errors import InputError

__all__ = ["CorpusReader", "Place", "ReadCounts", "Sentence", "TextRecipe", "read_sentences"]

# Sentences, the line each stands in, and its tokens with offsets, if they were asked for.
Reading = Generator[tuple["Sentence", Line, list[Any]], None, None]


def read_sentences(
    inputs: Sequence[str],
    config: CorpusConfig,
    *,
    recipe: TextRecipe | None = None,
    stdin: BinaryIO | None = None,
    digest: Digest | None = None,
    on_event: Callable[[str], None] | None = None,
    on_bytes: Callable[[int], None] | None = None,
    workers: int | None = 1,
) -> "CorpusReader":
    """Read ``inputs`` (files, folders, ``-``) as ``config`` says, streaming.

    With a ``recipe`` (that of the training text) only the format is looked for; the rest is the
    recipe's. ``on_event`` takes lines for the user: encodings, the format found, warnings. Raw text
    is cut in that many processes side by side (None: as many as its size and the cores suggest),
    which changes nothing of what is read. The other parameters and the errors are those of
    ``read_blocks`` and, without a recipe, ``read_user_words``; InputError as well, at the end, when
    there was no token at all.
    """
    files = list_files(inputs, on_event)
    shown = list(inputs)
    counts = ReadCounts(files=len(files))
    blocks = read_blocks(
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
    words = UserWords()
    if recipe is None and config.user_dict:
        words = read_user_words(config.user_dict, fold=config.fold_width, on_event=on_event)
    count = automatic_workers(files) if workers is None else workers
    return CorpusReader(blocks, config, recipe, counts, shown, files, on_event, words, count)


class CorpusReader:
    """Iterates over the sentences of the input, once.

    ``recipe`` may be asked at any time (it reads the first lines); ``counts`` grow while
    iterating; ``warnings`` are complete at the end.
    """

    def __init__(
        self,
        blocks: Iterator[LineBlock],
        config: CorpusConfig,
        recipe: TextRecipe | None,
        counts: ReadCounts,
        inputs: Sequence[str],
        files: Sequence[str],
        on_event: Callable[[str], None] | None = None,
        words: UserWords | None = None,
        workers: int = 1,
    ):
        """Take blocks from ``read_blocks``; made by ``read_sentences``."""
        self.counts = counts
        self.warnings: list[str] = []
        self._blocks = blocks
        self._config = config
        self._given = recipe
        self._recipe: TextRecipe | None = None
        self._inputs = inputs
        self._files = files
        self._on_event = on_event or (lambda event: None)
        self._words = words or UserWords()
        self._workers = workers
        read = self._read()
        self._reads = [read]
        self._sentences = (sentence for sentence, _, _ in read)

    def __iter__(self) -> Iterator[Sentence]:
        return self._sentences

    def placed(self) -> Iterator[tuple[Sentence, list[Place]]]:
        """Iterate, in place of the reader itself, over sentences and where their tokens stand."""
        read = self._read(spans=True)
        self._reads.append(read)
        for sentence, line, spans in read:
            ends = ((line.place(start), line.place(end - 1)) for _, start, end in spans)
            yield sentence, [Place(*first, number, last + 1) for first, (number, last) in ends]

    def close(self) -> None:
        """End the reading, and the processes that cut text, if the iteration has not come there."""
        for read in self._reads:
            read.close()

    @property
    def recipe(self) -> TextRecipe:
        """How the text becomes tokens, resolved from the settings and the first lines."""
        if self._recipe is None:
            self._recipe = self._resolved()
        return self._recipe

    @property
    def in_blocks(self) -> bool:
        """Whether ``blocks`` can stand for the iteration: the words of lines are separated."""
        # Of words of the user's that are no token of the text the iteration tells.
        return takes_blocks(self.recipe) and not (self._given is None and self.recipe.user_words)

    @cached_property
    def kernels(self) -> ModuleType:
        """The loops that take text by blocks."""
        return kernels_for(self._files)

    def blocks(self) -> Iterator[WordBlock]:
        """Iterate, in place of the reader itself, over the same sentences block by block."""
        recipe, blocks = self.recipe, self._blocks
        if self._config.format == "auto":
            blocks = watched_blocks(blocks, recipe, self._on_event)
        yield from word_blocks(blocks, recipe, self.counts, self.kernels)
        self._finish()

    def _resolved(self) -> TextRecipe:
        head: list[LineBlock] = []

        def noted() -> Iterator[LineBlock]:
            for block in self._blocks:
                head.append(block)
                yield block

        texts = texts_of(head_lines(lines_of(noted())))
        self._blocks = chain(head, self._blocks)
        if self._given is not None:
            return recipe_beside(self._given, self._config, texts, self._on_event)
        return resolve_recipe(self._config, texts, self._words, self._on_event)

    def _read(self, *, spans: bool = False) -> Reading:
        """Sentences, each with the line it stands in and (``spans``) its tokens with offsets."""
        recipe, counts = self.recipe, self.counts
        lines: Iterator[Line] = self._counted(lines_of(self._blocks))
        if self._config.format == "auto":
            lines = watched(lines, recipe, self._on_event)
        # Of a question's text, which is short, it says nothing that a word is not in it.
        unseen = {recipe.spelled(w): w for w in recipe.user_words} if self._given is None else {}
        if recipe.format == "raw" and recipe.sentences == "split":
            lines = paragraphs(lines)
        tagged = recipe.format == "pku"
        cut: Iterator[tuple[Line, Any]]
        if tagged:
            cut = ((line, ()) for line in lines)
        else:
            cut = cut_lines(recipe, lines, spans=spans, workers=self._workers)
        keep_blank = recipe.blank_lines == "keep"
        numbers = Numbering()
        sentences: Any
        for line, sentences in cut:
            if line.file_index != numbers.file:
                numbers.begin_file(line.file_index)
            if not line.text or line.text.isspace():
                counts.blank_lines += 1
                numbers.blank_line(kept=keep_blank)
                if keep_blank:
                    counts.add_sentence([])
                    yield numbers.sentence([]), line, []
                continue
            if tagged:
                parsed = self._parsed(line)
                numbers.tagged_line(parsed.article)
                sentences = recipe.split_tagged(parsed)
            else:
                numbers.text_line()
            for piece in sentences:
                if piece:
                    tokens = [token for token, _, _ in piece] if spans or tagged else piece
                    counts.add_sentence(tokens)
                    if unseen and not unseen.keys().isdisjoint(tokens):
                        for token in tokens:
                            unseen.pop(token, None)
                    yield numbers.sentence(tokens), line, piece if spans else []
        self._finish()
        if unseen:
            shown = ", ".join(map(repr, islice(unseen.values(), 3)))
            more = " ..." if len(unseen) > 3 else ""
            self._on_event(
                f"{len(unseen):,} of {len(recipe.user_words):,} words of the user dictionary are "
                f"no token of this text: {shown}{more}"
            )

    def _counted(self, lines: Iterator[Line]) -> Iterator[Line]:
        for line in lines:
            self.counts.lines += 1
            yield line

    def _parsed(self, line: Line) -> pku.Paragraph:
        parsed = self.recipe.parse(line.text)
        for fault in parsed.faults:
            self.counts.add_malformed(f"{shown_name(line.file)}:{line.number}: {fault}")
        return parsed

    def _finish(self) -> None:
        counts = self.counts
        if counts.tokens == 0:
            names = ", ".join(map(shown_name, self._inputs[:3]))
            more = f" and {len(self._inputs) - 3} more" if len(self._inputs) > 3 else ""
            raise InputError(f"{names or 'no input'}{more}: no text found; expected words")
        self.warnings = counts.warnings()
        for warning in self.warnings:
            self._on_event(f"warning: {warning}")
