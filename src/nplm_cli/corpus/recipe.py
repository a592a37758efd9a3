"""How raw text became tokens: stored with every model, applied to every question."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from nplm_cli import artifacts, config
from nplm_cli.corpus import pku
from nplm_cli.corpus.sentences import split_sentences
from nplm_cli.corpus.tokenizers import (
    UNKNOWN,
    Span,
    character_spans,
    escape,
    fold_numbers,
    fold_width,
)
from nplm_cli.corpus.user_words import UserWords
from nplm_cli.errors import ArtifactError, ConfigError

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class TextRecipe(config.Section):
    """How raw text becomes tokens: the settings of ``CorpusConfig`` with nothing left open.

    ``lang="char"`` makes tokens of single characters in every format.
    """

    lang: Literal["zh", "en", "char"]
    format: Literal["raw", "segmented", "pku"]
    sentences: Literal["line", "split"]
    blank_lines: Literal["skip", "keep"] = "skip"
    compounds: Literal["open", "join"] = "open"
    keep_pos: bool = False
    lowercase: bool = False
    fold_width: bool = True
    fold_numbers: bool = False
    tokenizer: Literal["jieba", "rjieba"] = "jieba"
    user_words: UserWords = field(default_factory=UserWords)

    def __post_init__(self) -> None:
        """Also refuse tags on characters."""
        super().__post_init__()
        if self.keep_pos and self.lang == "char":
            raise ConfigError("--keep-pos with --lang char: a character has no part of speech")

    def tokenize(self, text: str) -> list[str]:
        """Tokens of one sentence, treated as the training text was."""
        return [span.token for span in self.tokenize_spans(text)]

    def tokenize_spans(self, text: str) -> list[Span]:
        """Tokens of one sentence and their offsets in ``text``.

        For a model of tagged text the sentence may be tagged or just words with spaces.
        """
        if self.format == "raw":
            return self._normalized(self._raw_spans(self.folded(text)))
        if self.format == "pku" and pku.tagged_share(text.split()) >= 0.9:
            return self.tagged_spans(self.parse(text))
        words = (Span(match[0], *match.span()) for match in _WORD.finditer(self.folded(text)))
        return self._normalized(
            self._characters(words) if self.lang == "char" else words, keep_unknown=True
        )

    def parse(self, text: str) -> pku.Paragraph:
        """A line of tagged text; its characters are the same whether compounds are joined."""
        return pku.parse_line(text, "open" if self.lang == "char" else self.compounds)

    def tagged_spans(self, paragraph: pku.Paragraph) -> list[Span]:
        """Tokens of a parsed line of tagged text."""
        words = (
            Span(
                self.folded(f"{word}/{tag}" if self.keep_pos and tag else word),
                start,
                end,
            )
            for word, tag, start, end in paragraph.items
        )
        return self._normalized(self._characters(words) if self.lang == "char" else words)

    def split_tagged(self, paragraph: pku.Paragraph) -> Iterator[list[Span]]:
        """Sentences of a parsed line of tagged text, each a list of tokens with offsets."""
        if self.sentences == "line":
            yield self.tagged_spans(paragraph)
            return
        for start, end in split_sentences([item.word for item in paragraph.items]):
            yield self.tagged_spans(paragraph._replace(items=paragraph.items[start:end]))

    def split(self, text: str) -> Iterator[list[str]]:
        """Sentences of a line or paragraph of raw or segmented text, each a list of tokens."""
        if self.format == "segmented":
            tokens = self.segmented_tokens(text)
            for start, end in self._bounds(tokens):
                yield tokens[start:end]
            return
        if self.lang == "en":
            yield from self._english_sentences(text)
            return
        for _, spans in self._raw_sentences(text):
            yield [span.token for span in spans]

    def split_spans(self, text: str) -> Iterator[list[Span]]:
        """The same with the offsets of each token in ``text``."""
        if self.format == "segmented":
            spans = self.tokenize_spans(text)
            for start, end in self._bounds([span.token for span in spans]):
                yield spans[start:end]
            return
        for begin, spans in self._raw_sentences(text):
            yield [Span(token, begin + start, begin + end) for token, start, end in spans]

    def _english_sentences(self, text: str) -> Iterator[list[str]]:
        """The tokens of ``_raw_sentences``, sooner."""
        from nplm_cli.corpus.english import english_tokens

        tokens, gaps = english_tokens(self.folded(text))
        whole = self.sentences == "line"
        for start, end in [(0, len(tokens))] if whole else split_sentences(tokens, gaps):
            part = tokens[start:end]
            yield [escape(self._spelling(t)) for t in part] if self._changes else part

    def _raw_sentences(self, text: str) -> Iterator[tuple[int, list[Span]]]:
        """Where each piece that was cut by itself begins, and its tokens with offsets in it."""
        text = self.folded(text)
        if self.sentences == "line":
            yield 0, self._normalized(self._raw_spans(text))
            return
        from nplm_cli.corpus.english import english_spans, piece_spans

        # Chinese and characters: find the sentences first, on pieces that know "3.14" and "Mr.".
        spans = list(english_spans(text) if self.lang == "en" else piece_spans(self._masked(text)))
        gaps = [not i or spans[i - 1].end < span.start for i, span in enumerate(spans)]
        for start, end in split_sentences([span.token for span in spans], gaps):
            if self.lang == "en":
                yield 0, self._normalized(spans[start:end])
            else:
                begin = spans[start].start
                chunk = text[begin : spans[end - 1].end]
                yield begin, self._normalized(self._raw_spans(chunk))

    def _bounds(self, tokens: list[str]) -> Iterable[tuple[int, int]]:
        """Where the sentences of a line of segmented text begin and end; a blank one has one."""
        return [(0, len(tokens))] if self.sentences == "line" else split_sentences(tokens)

    def segmented_tokens(self, text: str) -> list[str]:
        """The same as ``tokenize`` for segmented text, without offsets and faster."""
        text = self.respelled(text)
        characters = self.lang == "char"
        tokens = text.split()
        if characters:
            tokens = [c for token in tokens for c in ([token] if token == UNKNOWN else token)]
            if self.lowercase:  # each by itself: a sigma at the end of a word is none here
                tokens = [token.lower() for token in tokens]
        if "<s>" in text or "</s>" in text:
            tokens = [escape(token, keep_unknown=True) for token in tokens]
        return tokens

    def respelled(self, text: str) -> str:
        """Segmented text, one line or many, with widths, digits and case as the recipe says."""
        text = self.folded(text)
        if self.fold_numbers:
            text = fold_numbers(text)
        return text.lower() if self.lowercase and self.lang != "char" else text

    def spelled(self, word: str) -> str:
        """A single word as the training text would have it."""
        folded = self.folded(word)
        joined = " ".join(folded.split())
        if joined in self.user_words:
            folded = joined.replace(" ", "_")
        return self._spelling(folded)

    def folded(self, text: str) -> str:
        """``text`` with full-width digits and letters folded if the recipe says so."""
        return fold_width(text) if self.fold_width else text

    def _spelling(self, token: str) -> str:
        token = token.lower() if self.lowercase else token
        return fold_numbers(token) if self.fold_numbers else token

    def _masked(self, text: str) -> str:
        if self.lang != "zh" or not self.user_words:
            return text
        from nplm_cli.corpus.chinese import masked, open_segmenter

        return masked(text, open_segmenter(self.tokenizer, self.user_words))

    def _raw_spans(self, text: str) -> Iterator[Span]:
        if self.lang == "zh":
            from nplm_cli.corpus.chinese import chinese_spans, open_segmenter

            return chinese_spans(text, open_segmenter(self.tokenizer, self.user_words))
        if self.lang == "en":
            from nplm_cli.corpus.english import english_spans

            return english_spans(text)
        return character_spans(text)

    def _characters(self, words: Iterator[Span]) -> Iterator[Span]:
        for token, start, end in words:
            if token == UNKNOWN and self.format != "raw":
                yield Span(token, start, end)
            else:
                yield from (Span(c, start + i, start + i + 1) for i, c in enumerate(token))

    def _normalized(self, spans: Iterable[Span], *, keep_unknown: bool = False) -> list[Span]:
        if not self._changes:
            return list(spans)
        return [
            Span(escape(self._spelling(token), keep_unknown=keep_unknown), start, end)
            for token, start, end in spans
        ]

    @property
    def _changes(self) -> bool:
        """Whether a tokenizer's tokens may not stay: those of raw text cut "<unk>" into parts."""
        return self.format != "raw" or self.lowercase or self.fold_numbers or bool(self.user_words)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON object, the user's words an object of frequencies."""
        return {**super().to_json(), "user_words": self.user_words.to_json()}

    @classmethod
    def from_json(cls, values: object, where: str) -> Self:
        """Build from a JSON object; raises ConfigError for what ``to_json`` does not give."""
        if isinstance(values, dict) and "user_words" in values:
            words = UserWords.from_json(values["user_words"], f"{where}: user_words")
            values = {**values, "user_words": words}
        return super().from_json(values, where)

    def save(self, path: Path | str) -> None:
        """Write the recipe as JSON (``tokenizer.json`` of a run)."""
        artifacts.write_json(path, {"format_version": artifacts.FORMAT_VERSION, **self.to_json()})

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what ``save`` wrote; raises ArtifactError when it is not that."""
        values = artifacts.read_json(path)
        if not isinstance(values, dict):
            raise ArtifactError(f"{path}: expected an object with settings, found {values!r:.40}")
        artifacts.check_format(path, values.pop("format_version", None))
        for key in ("lang", "format", "sentences"):
            if key not in values:
                raise ArtifactError(f"{path}: no {key!r}: cut short, or not a tokenizer's file")
        try:
            return cls.from_json(values, str(path))
        except ConfigError as error:
            message = str(error)
            where = "" if message.startswith(str(path)) else f"{path}: "
            raise ArtifactError(f"{where}{message}") from error
