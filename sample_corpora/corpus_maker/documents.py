"""From sentences to documents, parts and files."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from . import chinese, english, notation
from .notation import Source
from .pcfg import Grammar, Sample

LANGUAGES: dict[str, ModuleType] = {"en": english, "zh": chinese}
PARTS = ("train", "valid", "test")
PARAGRAPHS = (2, 5)  # in a document
SENTENCES = (3, 6)  # in a paragraph
CYCLE = 20  # of every 20 documents the 10th is for validation, the 20th for the test


@dataclass(frozen=True)
class Document:
    """An article: its topic, its part and its paragraphs of sentences."""

    topic: int
    part: str
    paragraphs: tuple[tuple[Sample, ...], ...]

    def sentences(self) -> Iterator[Sample]:
        """The sentences in order."""
        for sentences in self.paragraphs:
            yield from sentences


def read_source(folder: Path, language: str) -> Source:
    """The grammar and lexicon of a language."""
    return notation.load(folder, language, LANGUAGES[language].expand)


def write_documents(source: Source, tokens: int, rng: random.Random) -> list[Document]:
    """Documents until they have that many tokens.

    The length of a document does not depend on its topic, and its sentences depend on each other
    through the topic only: that makes `sentence_logprob` exact.
    """
    documents: list[Document] = []
    written = 0
    while written < tokens:
        number = len(documents) % CYCLE
        part = "valid" if number == CYCLE // 2 - 1 else "test" if number == CYCLE - 1 else "train"
        topic = _choose(source.topic_weights, rng)
        paragraphs = tuple(
            tuple(source.grammar.sample(topic, rng) for _ in range(_between(SENTENCES, rng)))
            for _ in range(_between(PARAGRAPHS, rng))
        )
        documents.append(Document(topic, part, paragraphs))
        written += sum(len(sample.words) for sample in documents[-1].sentences())
    return documents


def sentence_logprob(
    grammar: Grammar, topic_weights: Sequence[int], readings: Sequence[Sequence[str]]
) -> float:
    """``ln P(sentence) = ln sum_t P(t) P(sentence | t)``, the end of the sentence included."""
    total = sum(topic_weights)
    inside = grammar.inside(readings)
    probability = sum(w / total * p for w, p in zip(topic_weights, inside, strict=True))
    return math.log(probability) if probability > 0 else -math.inf


def make_files(folder: Path, language: str, tokens: int, seed: int) -> dict[str, bytes]:
    """Every file of a language, by path relative to the output folder."""
    source = read_source(folder, language)
    writer = LANGUAGES[language]
    documents = write_documents(source, tokens, random.Random(seed))
    files: dict[str, str] = {}
    for part in PARTS:
        chosen = [document for document in documents if document.part == part]
        files[f"{language}/raw/{part}.txt"] = _raw(chosen, writer)
        files[f"{language}/segmented/{part}.txt"] = _segmented(chosen, writer)
        if part != "train":
            files[f"{language}/truth/{part}.tsv"] = _truth(chosen, writer, source)
    files[f"{language}/classes.tsv"] = _classes(source)
    encoded = {path: text.encode("utf-8") for path, text in files.items()}
    if language == "zh":
        for position, part in enumerate(PARTS):
            # its own generator: how the markup varies must not change the text
            text = _tagged(documents, part, random.Random(seed + 1 + position))
            encoded[f"zh/tagged/{part}.txt"] = text.encode("gb18030")
    return encoded


def _segmented(documents: Sequence[Document], writer: ModuleType) -> str:
    """One sentence a line, tokens separated by spaces, a blank line between documents."""
    blocks = (
        "".join(" ".join(writer.spell(sample.words)) + "\n" for sample in document.sentences())
        for document in documents
    )
    return "\n".join(blocks)


def _raw(documents: Sequence[Document], writer: ModuleType) -> str:
    """One paragraph a line; a blank line between paragraphs (en) or between documents (zh)."""
    render: Callable[[Sequence[Sequence[str]]], str] = writer.paragraph
    between = "\n" if writer is english else ""
    blocks = (
        between.join(
            render([writer.spell(sample.words) for sample in paragraph]) + "\n"
            for paragraph in document.paragraphs
        )
        for document in documents
    )
    return "\n".join(blocks)


def _truth(documents: Sequence[Document], writer: ModuleType, source: Source) -> str:
    """What the grammar knows of each sentence, in the order of the segmented file."""
    lines = ["logprob_e\ttokens\ttopic\ttext\n"]
    for document in documents:
        for sample in document.sentences():
            tokens = writer.spell(sample.words)
            value = sentence_logprob(source.grammar, source.topic_weights, writer.readings(tokens))
            topic = source.grammar.topics[document.topic]
            lines.append(f"{value:.6f}\t{len(tokens)}\t{topic}\t{' '.join(tokens)}\n")
    return "".join(lines)


def _classes(source: Source) -> str:
    """The word classes that the grammar uses, a class and a word a line, most probable first."""
    lines = ["class\tword\n"]
    for name, words in source.classes.items():
        lines.extend(f"{name}\t{word}\n" for word in words)
    return "".join(lines)


def _tagged(documents: Sequence[Document], part: str, rng: random.Random) -> str:
    """People's Daily markup: ids of date, page, article and paragraph; lines end in CR LF."""
    lines: list[str] = []
    for number, document in enumerate(documents):
        if document.part != part:
            continue
        if lines:
            lines.append("\r\n")
        # thirty articles a day on six pages; days never pass the 28th
        day, within = divmod(number, 30)
        date = f"2024{day // 28 + 1:02}{day % 28 + 1:02}-{within // 5 + 1:02}-{within % 5 + 1:03}"
        for position, paragraph in enumerate(document.paragraphs, start=1):
            sentences = [(sample.words, sample.brackets) for sample in paragraph]
            lines.append(chinese.tagged(sentences, f"{date}-{position:03}", rng) + "\r\n")
    return "".join(lines)


def _choose(weights: Sequence[int], rng: random.Random) -> int:
    point = rng.random() * sum(weights)
    for index, weight in enumerate(weights):
        point -= weight
        if point < 0:
            return index
    return len(weights) - 1


def _between(limits: tuple[int, int], rng: random.Random) -> int:
    low, high = limits
    return low + int(rng.random() * (high - low + 1))
