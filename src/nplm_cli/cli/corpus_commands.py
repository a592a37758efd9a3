"""``nplm tokenize`` and ``nplm vocab``: what the text becomes before anything is trained."""

import contextlib
import dataclasses
import json as json_module
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from nplm_cli import events
from nplm_cli.cli import output
from nplm_cli.cli.options import Workers, given, with_settings
from nplm_cli.cli.progress import ProgressView
from nplm_cli.config import CorpusConfig, VocabularyConfig
from nplm_cli.corpus.block_encoding import id_bytes, npy_header
from nplm_cli.corpus.formats import CorpusReader, Place, Sentence, read_sentences
from nplm_cli.corpus.readers import list_files
from nplm_cli.corpus.vocabulary import (
    COVERAGE_SIZES,
    EOS,
    CoverageRow,
    Cut,
    Vocabulary,
    coverage,
    cut_vocabulary,
)
from nplm_cli.errors import ConfigError, InputError
from nplm_cli.plain import counted

Inputs = Annotated[
    list[str], typer.Argument(metavar="INPUT", help="Files, folders, or - for standard input.")
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("tokenize")(tokenize_cli)
    app.command("vocab")(vocab_cli)


# Sentences between two reports of progress.
PROGRESS_INTERVAL = 1000


def _reader(
    inputs: list[str], config: CorpusConfig, view: ProgressView, workers: int | None
) -> CorpusReader:
    return read_sentences(
        inputs, config, on_event=lambda text: view(events.message(text)), workers=workers
    )


def _shown(
    sentences: Iterable[Any],
    what: str,
    reader: CorpusReader,
    view: ProgressView,
    every: int = PROGRESS_INTERVAL,
) -> Iterator[Any]:
    """Pass sentences (or blocks of them) on and show how far they are."""
    for number, sentence in enumerate(sentences):
        if number % every == 0:
            done = reader.counts.tokens
            view(events.Progress(what, done, None, f"{done:,} tokens"))
        yield sentence


def _counts_line(reader: CorpusReader) -> str:
    c = reader.counts
    extra = f", {counted(c.malformed_total, 'malformed token')}" if c.malformed_total else ""
    if c.replaced:
        extra += f", {counted(c.replaced, 'bad byte sequence')} replaced"
    return (
        f"{counted(c.files, 'file')}, {counted(c.lines, 'line')} ({c.blank_lines:,} blank), "
        f"{counted(c.sentences, 'sentence')}, {counted(c.tokens, 'token')}, "
        f"{counted(c.characters, 'character')}{extra}"
    )


@with_settings("corpus")
def tokenize_cli(
    inputs: Inputs,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write (default: stdout).")
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            metavar="VOCABULARY",
            help="Write ids of this vocabulary.tsv: little-endian, of 16 bits below 65,536 words, "
            "else 32, </s> after each sentence; to a file named .npy as an array.",
        ),
    ] = None,
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Turn text into sentences of tokens, one sentence a line, or into ids."""
    config = CorpusConfig(**given(settings))
    if ids is not None:
        _check_ids(ids, output_file, json)
    own = [] if ids is None else [str(ids)]
    output.refuse_same_file(output_file, [*list_files(inputs), *config.user_dict, *own])
    vocabulary = None if ids is None else Vocabulary.load(ids)
    # Text on standard output may go to the terminal, where a bar would be drawn over it.
    style = "none" if output_file is None or str(output_file) == "-" else "auto"
    with ProgressView(style, quiet) as view:
        reader = _reader(inputs, config, view, workers)
        with contextlib.closing(reader), output.data_out(output_file) as file:
            npy = vocabulary if _is_npy(output_file) else None
            if npy is not None:
                file.write(npy_header(npy, 0))  # in the end there are more
            pieces: Iterator[bytes]
            if vocabulary is not None:
                pieces, every = id_bytes(reader, vocabulary), 1
            elif json:
                pieces, every = _json_lines(reader.placed()), PROGRESS_INTERVAL
            elif reader.in_blocks:
                pieces, every = (block.compact() for block in reader.blocks()), 1
            else:
                pieces, every = _plain_lines(reader), PROGRESS_INTERVAL
            for piece in _shown(pieces, "tokenizing", reader, view, every):
                file.write(piece)
            if npy is not None:
                file.seek(0)
                file.write(npy_header(npy, reader.counts.tokens + reader.counts.sentences))
        view(events.Message(_counts_line(reader)))
        for fault in reader.counts.malformed[1:]:  # the reader told the first
            view(events.Message(fault, warning=True))


def _check_ids(vocabulary: Path, output_file: Path | None, json: bool) -> None:
    if json:
        raise ConfigError("--ids with --json: ids are written as bytes; leave one of them out")
    if vocabulary.is_dir():
        raise InputError(
            f"{vocabulary}: a folder, expected a vocabulary.tsv; of a run it is "
            f"{vocabulary / 'vocabulary.tsv'}"
        )
    if (output_file is None or str(output_file) == "-") and sys.stdout.isatty():
        raise ConfigError("--ids writes bytes that a terminal cannot show: give -o FILE")


def _is_npy(output_file: Path | None) -> bool:
    return output_file is not None and output_file.suffix == ".npy"


def _plain_lines(sentences: Iterable[Sentence]) -> Iterator[bytes]:
    return ((" ".join(sentence.tokens) + "\n").encode() for sentence in sentences)


def _json_lines(sentences: Iterable[tuple[Sentence, list[Place]]]) -> Iterator[bytes]:
    """A record a sentence; where the tokens stand as a list for each of the four numbers."""
    for sentence, places in sentences:
        stand = dict(zip(Place._fields, zip(*places, strict=True), strict=True)) if places else {}
        record = {"schema": 1, **sentence._asdict(), **dict.fromkeys(Place._fields, ()), **stand}
        yield json_module.dumps(record, ensure_ascii=False).encode() + b"\n"


def vocab(
    inputs: list[str],
    config: CorpusConfig,
    cut: VocabularyConfig,
    view: ProgressView,
    workers: int | None = 1,
) -> tuple[Cut, list[CoverageRow], CorpusReader]:
    """Count the words of a text and cut; returns the cut, the coverage table and the reader."""
    reader = _reader(inputs, config, view, workers)
    counts: Counter[str] = Counter()
    with contextlib.closing(reader):
        if reader.in_blocks:
            for block in _shown(reader.blocks(), "counting words", reader, view, 1):
                counts.update(block.words())
        else:
            for sentence in _shown(reader, "counting words", reader, view):
                counts.update(sentence.tokens)
    del counts[EOS]
    made = cut_vocabulary(counts, reader.counts.sentences, cut)
    sizes = [*COVERAGE_SIZES, len(made.vocabulary) - 2]
    return made, coverage(counts, sizes), reader


@with_settings("corpus", "vocabulary")
def vocab_cli(
    inputs: Inputs,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", help="vocabulary.tsv to write.")
    ] = None,
    top_oov: Annotated[
        int, typer.Option(help="How many of the most frequent unknown words to list.", min=0)
    ] = 10,
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Count words, cut the vocabulary, and show what each size covers."""
    chosen = given(settings)
    names = {f.name for f in dataclasses.fields(VocabularyConfig)}
    cut_config = VocabularyConfig(**{k: v for k, v in chosen.items() if k in names})
    config = CorpusConfig(**{k: v for k, v in chosen.items() if k not in names})
    own = [cut_config.vocab] if cut_config.vocab else []
    output.refuse_same_file(output_file, [*list_files(inputs), *config.user_dict, *own])
    with ProgressView(quiet=quiet) as view:
        cut, rows, reader = vocab(inputs, config, cut_config, view, workers)
        for text in cut.notes:
            view(events.Message(text, warning=True))
        view(events.Message(_counts_line(reader)))
    if output_file is not None:
        cut.vocabulary.save(output_file)
    size = len(cut.vocabulary) - 2
    if json:
        output.write_json(
            {
                "schema": 1,
                "sentences": reader.counts.sentences,
                "tokens": reader.counts.tokens,
                "types": size + len(cut.unknown),
                "size": size,
                "unk_types": cut.unk_types,
                "coverage": [dataclasses.asdict(row) for row in rows],
                "top_oov": [{"word": w, "count": n} for w, n in cut.unknown[:top_oov]],
            }
        )
        return
    output.write_table(
        ["size", "types", "covered_tokens", "unk_tokens", "unk_share", "chosen"],
        [[*dataclasses.astuple(row), "*" if row.size == size else ""] for row in rows],
        title=f"{size + len(cut.unknown):,} types, {reader.counts.tokens:,} tokens",
    )
    if cut.unknown and top_oov and not quiet:
        listed = ", ".join(f"{w} {n:,}" for w, n in cut.unknown[:top_oov])
        output.note(f"most frequent unknown words: {listed}")
