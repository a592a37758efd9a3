"""Questions to a finished run: eval, score, predict, count, info."""

import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.cli.ledger_table import write_ledger
from nplm_cli.cli.progress import ProgressView
from nplm_cli.cli.score_formats import (
    BASES,
    write_kenlm,
    write_records,
    write_srilm,
    write_table,
)
from nplm_cli.config import Context as ContextPolicy
from nplm_cli.errors import ConfigError, InputError, UnknownWordError

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of nplm train.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.")]
Context = Annotated[
    str | None,
    typer.Option(metavar="sentence|stream", help="Context policy (default: the model's own)."),
]
Segmented = Annotated[
    bool, typer.Option("--segmented", help="The text is segmented: split at spaces only.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("eval")(eval_cli)
    app.command("score")(score_cli)
    app.command("predict")(predict_cli)
    app.command("count")(count_cli)
    app.command("info")(info_cli)


def _checked_context(context: str | None) -> ContextPolicy | None:
    match context:
        case None | "sentence" | "stream":
            return context
    raise ConfigError(f"--context {context!r}: expected sentence or stream")


def eval_cli(
    run: RunArgument,
    inputs: Annotated[list[str], typer.Argument(metavar="FILE...", help="Text; - for stdin.")],
    context: Context = None,
    format: Annotated[
        str | None, typer.Option(metavar="raw|segmented|pku", help="Format of the text.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the text.")] = None,
    sentences: Annotated[
        str | None, typer.Option(metavar="line|split", help="What a sentence is.")
    ] = None,
    blank_lines: Annotated[
        str | None, typer.Option(metavar="skip|keep", help="What a blank line is.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or auto.")] = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure perplexity on a text: the ledger, with baselines."""
    from nplm_cli.pipeline import evaluate_text
    from nplm_cli.query.run import Run

    given = {
        "format": format,
        "encoding": encoding,
        "sentences": sentences,
        "blank_lines": blank_lines,
    }
    with ProgressView(quiet=quiet) as view:
        ledger = evaluate_text(
            Run(run),
            inputs,
            context=_checked_context(context),
            corpus_changes={k: v for k, v in given.items() if v is not None},
            device=device,
            on_event=view,
        )
    if json:
        output.write_json(ledger)
    else:
        write_ledger(ledger, f"{run} on {', '.join(inputs)}")


def score_cli(
    run: RunArgument,
    sentences: Annotated[
        list[str] | None, typer.Argument(metavar="[SENTENCE...|-]", help="Sentences; - for stdin.")
    ] = None,
    file: Annotated[
        list[str] | None, typer.Option(help="Score each line of this file.", metavar="FILE")
    ] = None,
    given: Annotated[
        str | None, typer.Option(help="Context of --word, from the start of a sentence.")
    ] = None,
    word: Annotated[list[str] | None, typer.Option(help="Word to score after --given.")] = None,
    per_token: Annotated[bool, typer.Option("--per-token", help="A row a token.")] = False,
    base: Annotated[str, typer.Option(metavar="2|e|10", help="Base of the surprisal.")] = "2",
    eos: Annotated[
        bool, typer.Option("--eos/--no-eos", help="Count the end of the sentence.")
    ] = True,
    format: Annotated[
        str, typer.Option(metavar="table|tsv|json|kenlm|srilm", help="Layout of the output.")
    ] = "auto",
    context: Context = None,
    segmented: Segmented = False,
    encoding: Annotated[str, typer.Option(help="Encoding of files and stdin.")] = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score sentences: log-probability and surprisal, in all or token by token."""
    from nplm_cli.query.run import Run
    from nplm_cli.query.scorer import open_scorer
    from nplm_cli.query.sentences import SentenceReader, score_sentences

    if base not in BASES:
        raise ConfigError(f"--base {base!r}: expected 2, e or 10")
    layouts = ("auto", "table", "tsv", "json", "kenlm", "srilm")
    if format not in layouts:
        raise ConfigError(f"--format {format!r}: expected one of {', '.join(layouts[1:])}")
    layout = "json" if json else format
    opened = Run(run)
    reader = SentenceReader(opened.recipe, segmented)
    policy = _checked_context(context) or opened.config.training.context
    if (given is None) != (not word):
        raise ConfigError("--given and --word go together")
    scorer = open_scorer(opened)
    if given is not None and word:
        _score_words(opened, scorer, reader, given, word, base, layout)
        return
    if not sentences and not file:
        raise ConfigError("no sentence: give one, or - for standard input, or --file FILE")
    batches = _batches(sentences or [], file or [], encoding, whole=policy == "stream")
    scored = (
        sentence
        for texts in batches
        for sentence in score_sentences(opened, scorer, texts, reader, context=policy, eos=eos)
    )
    shown = _with_warnings(scored, reader)
    if not quiet and layout not in ("json",):
        output.note(
            f"context: {policy}; {'</s> counted' if eos else '</s> not counted'}; "
            f"surprisal in {BASES[base].unit}"
        )
    match layout:
        case "kenlm":
            write_kenlm(shown)
        case "srilm":
            write_srilm(shown)
        case "json":
            write_records(shown, base, per_token)
        case _:
            write_table(shown, base, per_token, layout)


def _with_warnings(scored: Iterable[Any], reader: Any) -> Iterator[Any]:
    told = 0
    for sentence in scored:
        for text in reader.warnings[told:]:
            output.warn(text)
        told = len(reader.warnings)
        yield sentence


def _batches(
    sentences: list[str], files: list[str], encoding: str, *, whole: bool
) -> Iterator[list[str]]:
    """Batches of lines: what is there is scored at once, and standard input never waits."""
    if "-" in sentences and len(sentences) > 1:
        raise ConfigError("'-' stands alone: either sentences or standard input")
    pieces: Iterator[list[str]]
    if sentences == ["-"]:
        pieces = _stdin_lines(encoding)
    else:
        pieces = iter([sentences] if sentences else [])
    if files:
        from nplm_cli.corpus.readers import read_lines

        lines = (line.text for line in read_lines(files, encoding))
        own = pieces
        pieces = (batch for source in (own, _chunks(lines, 256)) for batch in source)
    if whole:  # a stream is one text: its context runs on from line to line
        pieces = iter([[text for batch in pieces for text in batch]])
    yield from pieces


def _chunks(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for line in lines:
        batch.append(line)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _stdin_lines(encoding: str) -> Iterator[list[str]]:
    """Whole lines as they arrive, in batches of what has arrived."""
    rest = b""
    number = 0
    codec = "utf-8" if encoding == "auto" else encoding
    while True:
        block = os.read(sys.stdin.fileno(), 1 << 16)
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if not block and rest:
            lines.append(rest)
        texts = []
        for line in lines:
            number += 1
            try:
                text = line.decode(codec)
            except (UnicodeDecodeError, LookupError) as error:
                raise InputError(
                    f"standard input:{number}: not {codec}: {error}; give --encoding NAME"
                ) from error
            texts.append(text.removesuffix("\r").removeprefix("\ufeff" if number == 1 else ""))
        if texts:
            yield texts
            sys.stdout.flush()
        if not block:
            return


def _score_words(
    run: Any, scorer: Any, reader: Any, given: str, words: list[str], base: str, layout: str
) -> None:
    history = run.vocabulary.encode(span.token for span in reader.spans(given))
    log_p_V = scorer.next_log_probs(history)
    rows = []
    for word in words:
        i = run.vocabulary.index.get(word, 0)
        log_p = float(log_p_V[i])
        record = {
            "given": given,
            "word": word,
            "oov": word not in run.vocabulary.index,
            "probability": math.exp(log_p),
            "logprob_e": log_p,
            BASES[base].column: BASES[base].surprisal(log_p),
        }
        rows.append(record)
    if layout == "json":
        for record in rows:
            output.write_json({"schema": 1, **record})
        return
    output.write_table(list(rows[0]), [list(r.values()) for r in rows], style=layout)


def predict_cli(
    run: RunArgument,
    text: Annotated[str, typer.Argument(help="The beginning of a sentence (may be empty).")],
    k: Annotated[int, typer.Option("-k", "--top", help="How many words.", min=1)] = 10,
    segmented: Segmented = False,
    json: Json = False,
) -> None:
    """Most probable next words after the beginning of a sentence."""
    import numpy as np

    from nplm_cli.query.run import Run
    from nplm_cli.query.scorer import open_scorer
    from nplm_cli.query.sentences import SentenceReader

    opened = Run(run)
    reader = SentenceReader(opened.recipe, segmented)
    tokens = [span.token for span in reader.spans(text)]
    for warning in reader.warnings:
        output.warn(warning)
    unknown = [t for t in tokens if t not in opened.vocabulary.index]
    if unknown:
        output.note(f"unknown words in the context, read as <unk>: {' '.join(unknown)}")
    log_p_V = open_scorer(opened).next_log_probs(opened.vocabulary.encode(tokens))
    best = np.argsort(-log_p_V, kind="stable")[:k]
    best = best[np.isfinite(log_p_V[best])]
    predictions = [
        {
            "word": opened.vocabulary.tokens[i],
            "probability": math.exp(log_p_V[i]),
            "surprisal_bits": BASES["2"].surprisal(float(log_p_V[i])),
        }
        for i in best
    ]
    if json:
        output.write_json({"schema": 1, "context": tokens, "predictions": predictions})
        return
    if not predictions:
        output.note(f"this context was never seen: relative frequencies say nothing about {text!r}")
    output.write_table(
        ["rank", "word", "probability", "surprisal_bits"],
        [[rank, *p.values()] for rank, p in enumerate(predictions, 1)],
    )


def count_cli(
    run: RunArgument,
    history: Annotated[str, typer.Argument(help="Words before, separated by spaces.")],
    word: Annotated[list[str] | None, typer.Option(help="Word whose share is asked for.")] = None,
    k: Annotated[int, typer.Option("-k", "--top", help="How many words.", min=1)] = 10,
    json: Json = False,
) -> None:
    """Counts behind an n-gram model: how often each word followed a history, as a fraction."""
    from nplm_cli.query.run import Run
    from nplm_cli.query.scorer import NgramScorer, open_scorer
    from nplm_cli.query.sentences import SentenceReader

    opened = Run(run)
    scorer = open_scorer(opened)
    if not isinstance(scorer, NgramScorer):
        raise ConfigError(f"{run} is no n-gram model: train one with --arch ngram")
    tokens = [span.token for span in SentenceReader(opened.recipe).spans(history)]
    index = opened.vocabulary.index
    for token in [*tokens, *(word or [])]:
        if token not in index:
            raise UnknownWordError(f"{token!r} is not in the vocabulary of {run}")
    ids = [index[token] for token in tokens]
    order = scorer.model.order
    if len(ids) >= order:
        raise ConfigError(f"a model of order {order} has counts after at most {order - 1} words")
    found, counts = scorer.model.continuations(ids)
    total = int(counts.sum())
    if word:
        pairs = [(w, scorer.model.count([*ids, index[w]])) for w in word]
    else:
        pairs = [
            (opened.vocabulary.tokens[i], int(c))
            for i, c in zip(found[:k], counts[:k], strict=True)
        ]
    records = [
        {"word": w, "count": c, "of": total, "share": c / total if total else None}
        for w, c in pairs
    ]
    if json:
        output.write_json({"schema": 1, "history": tokens, "continuations": records})
        return
    output.write_table(["word", "count", "of", "share"], [list(r.values()) for r in records])


def info_cli(run: RunArgument, json: Json = False) -> None:
    """What a run is: model, layers, text, vocabulary, training, figures."""
    from nplm_cli.query.describe import describe
    from nplm_cli.query.run import Run

    record = describe(Run(run))
    if json:
        output.write_json({"schema": 1, **record})
        return
    output.write_table(["what", "value"], list(record.items()))
