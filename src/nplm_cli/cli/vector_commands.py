"""``nplm export``: word vectors, handed on."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.cli.arguments import Json, Quiet
from nplm_cli.cli.model_export import MODEL_FORMATS, export_model
from nplm_cli.cli.vector_source import open_vectors
from nplm_cli.errors import ConfigError, InputError

VECTOR_FORMATS = ("word2vec", "word2vec-bin", "glove", "npy", "projector", "safetensors")
EXPORT_FORMATS = (*VECTOR_FORMATS, *MODEL_FORMATS)
SINGLE_FILE = ("word2vec", "word2vec-bin", "glove")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export_cli)


def export_cli(
    source: Annotated[
        Path, typer.Argument(metavar="RUN_OR_VECTORS", help="Run directory or vector file.")
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write; - for stdout.")],
    format: Annotated[
        str, typer.Option(metavar="|".join(EXPORT_FORMATS), help="Layout of the file.")
    ] = "word2vec",
    vectors: Annotated[
        str | None,
        typer.Option(
            metavar="input|output",
            help="Word vectors, or rows of the output layer.",
            show_default="input",
        ),
    ] = None,
    sentences: Annotated[
        str | None,
        typer.Option(
            metavar="TEXTFILE",
            help="Instead of words, each line of this text (- for stdin): what the output layer "
            "reads after its last word. The line number is the key; projector has the sentences.",
        ),
    ] = None,
    segmented: Annotated[
        bool, typer.Option("--segmented", help="The text is segmented: split at spaces only.")
    ] = False,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of --sentences.", show_default="auto")
    ] = None,
    errors: Annotated[
        str | None,
        typer.Option(
            metavar="strict|replace",
            help="Bytes of --sentences that are no text: an error, or U+FFFD, counted.",
            show_default="strict",
        ),
    ] = None,
    order: Annotated[
        int | None,
        typer.Option(
            help="Of arpa: longest n-grams of a network.",
            min=1,
            max=16,
            show_default="the network's, at most 5",
        ),
    ] = None,
    min_count: Annotated[
        int | None,
        typer.Option(
            "--min-count",
            help="Of arpa: n-grams of a network that its training text has so many times.",
            min=1,
            show_default="1",
        ),
    ] = None,
    network_weight: Annotated[
        float | None,
        typer.Option(
            "--network-weight",
            help="Of arpa: share of a network in its n-grams, the rest counts of its text.",
            min=0,
            max=1,
            show_default="what suits half of the validation part; 1 without one",
        ),
    ] = None,
    prune: Annotated[
        float | None,
        typer.Option(
            help="Of arpa: leave out n-grams that change perplexity by less than this share, "
            "say 1e-7 (Stolcke 1998).",
            min=0,
            show_default="none left out",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write word vectors, vectors of sentences, or a model, in a format that other programs read.

    arpa: a back-off n-gram model, of counts exactly, of a network by its own probabilities, with
    the perplexity before and after; nplm: a window model in the text format of ISI's nplm.
    """
    from nplm_cli.vectors.export import (
        number_sentences,
        save_sentence_vectors,
        save_vectors,
        write_vectors,
    )

    if format not in EXPORT_FORMATS:
        raise ConfigError(f"--format {format!r}: expected one of {', '.join(EXPORT_FORMATS)}")
    if str(file) == "-" and format not in SINGLE_FILE:
        raise ConfigError(f"--format {format} cannot go to stdout: name a file")
    output.refuse_same_file(file, [str(source), *([sentences] if sentences else [])])
    if format in MODEL_FORMATS:
        if vectors or sentences or segmented or encoding or errors:
            raise ConfigError(
                "--vectors, --sentences, --segmented, --encoding and --errors belong to vectors, "
                f"not to --format {format}"
            )
        export_model(
            source,
            file,
            format,
            order=order,
            min_count=min_count,
            weight=network_weight,
            threshold=prune,
            json=json,
            quiet=quiet,
        )
        return
    if json or (order, min_count, network_weight, prune) != (None,) * 4:
        raise ConfigError(
            "--order, --min-count, --network-weight, --prune and --json belong to --format arpa "
            "(--json to nplm, too)"
        )
    if sentences is None:
        if segmented or encoding is not None or errors is not None:
            raise ConfigError("--segmented, --encoding and --errors belong to --sentences TEXTFILE")
        keyed, _ = open_vectors(source, vectors or "input")
    else:
        if vectors is not None:
            raise ConfigError("--vectors chooses word vectors: leave it out beside --sentences")
        texts, found = _sentence_vectors(
            source,
            sentences,
            encoding or "auto",
            errors or "strict",
            segmented,
            output.teller(quiet),
        )
        keyed = number_sentences(found)
    if str(file) == "-":
        with output.data_out(None) as out:
            write_vectors(out, keyed, format)
        return
    if sentences is None:
        written = save_vectors(file, keyed, format)
    else:
        written = save_sentence_vectors(file, found, texts, format)
    if not quiet:
        names = ", ".join(map(str, written))
        output.note(f"{len(keyed.words):,} vectors of {keyed.dim} dimensions: {names}")


def _sentence_vectors(
    source: Path,
    text: str,
    encoding: str,
    errors: str,
    segmented: bool,
    tell: Callable[[str], None],
) -> tuple[list[str], Any]:
    """Lines of a text and their vectors by a run."""
    from nplm_cli.corpus.readers import read_lines, shown_name
    from nplm_cli.query.run import Run
    from nplm_cli.query.scorer import open_scorer
    from nplm_cli.query.sentence_vectors import sentence_vectors
    from nplm_cli.query.sentences import SentenceReader

    if source.is_file():
        raise ConfigError(f"{source} is a vector file: --sentences needs a run directory")
    run = Run(source)
    run.require_single()
    scorer = open_scorer(run)
    if not run.config.model.neural:
        sentence_vectors(scorer, [])  # says so before the text is read
    reader = SentenceReader(run.recipe, segmented)
    texts, ids = [], []
    for line in read_lines([text], encoding, errors=errors, on_event=tell):
        texts.append(line.text)
        [(_, spans)] = reader.sentences(line.text)  # one: the reader does not split, it warns
        ids.append(run.vocabulary.encode(span.token for span in spans))
    for warning in reader.warnings:
        output.warn(warning)
    if not ids:
        raise InputError(f"{shown_name(text)}: no line, so no sentence to export")
    return texts, sentence_vectors(scorer, ids)
