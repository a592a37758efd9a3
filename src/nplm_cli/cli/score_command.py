"""``nplm score``: sentences from arguments, files or standard input, in several layouts."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from nplm_cli.cli import output
from nplm_cli.cli.adaptation import (
    CacheDecays,
    CacheReach,
    Caches,
    CacheSizes,
    CacheThetas,
    CacheWeights,
    given_caches,
    sentence_reach,
    tell_caches,
)
from nplm_cli.cli.arguments import (
    Context,
    Json,
    Quiet,
    RunArgument,
    Segmented,
    checked_context,
    warn_of_relative,
)
from nplm_cli.cli.parameters import Argument, Option, Registry
from nplm_cli.cli.score_checks import (
    check_compiled,
    check_log10,
    check_one_word,
    checked_layout,
)
from nplm_cli.cli.score_formats import (
    BASES,
    write_kenlm,
    write_records,
    write_srilm,
    write_summary,
    write_table,
)
from nplm_cli.cli.score_input import batches_of_lines
from nplm_cli.errors import ConfigError


def register(app: Registry) -> None:
    """Add the command."""
    app.command("score")(score_cli)


def score_cli(
    run: RunArgument,
    sentences: Annotated[
        list[str] | None, Argument(metavar="SENTENCE|-", help="Sentences; - for stdin.")
    ] = None,
    file: Annotated[
        list[str] | None, Option(help="Score each line of this file.", metavar="FILE")
    ] = None,
    given: Annotated[
        str | None, Option(help="Context of --word, from the start of a sentence.")
    ] = None,
    word: Annotated[list[str] | None, Option(help="Word to score after --given.")] = None,
    per_token: Annotated[bool, Option("--per-token", help="A row a token.")] = False,
    base: Annotated[str, Option(metavar="2|e|10", help="Base of the surprisal.")] = "2",
    eos: Annotated[bool, Option("--eos/--no-eos", help="Count the end of the sentence.")] = True,
    format: Annotated[
        str, Option(metavar="table|tsv|json|kenlm|srilm|summary", help="Layout of the output.")
    ] = "auto",
    context: Context = None,
    unit: Annotated[
        str,
        Option(
            "--sentences",
            metavar="line|split",
            help="A line is scored as one sentence, or split as the training text was.",
        ),
    ] = "line",
    segmented: Segmented = False,
    encoding: Annotated[str, Option(help="Encoding of files and stdin.")] = "auto",
    errors: Annotated[
        str,
        Option(
            metavar="strict|replace",
            help="Bytes that are no text: an error, or U+FFFD in their place, counted.",
        ),
    ] = "strict",
    compiled: Annotated[
        bool,
        Option("--compiled", help="Self-normalised scores from the tables of nplm compile."),
    ] = False,
    tables: Annotated[
        Path | None,
        Option(help="Tables of nplm compile -o (as --compiled).", metavar="FILE"),
    ] = None,
    cache: Caches = None,
    cache_size: CacheSizes = None,
    cache_theta: CacheThetas = None,
    cache_decay: CacheDecays = None,
    cache_weight: CacheWeights = None,
    cache_reach: CacheReach = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score sentences: log-probability and surprisal, in all or token by token."""
    from nplm_cli.corpus.encodings import checked_encoding, checked_errors
    from nplm_cli.query.cache_use import use_caches
    from nplm_cli.query.run import Run
    from nplm_cli.query.sentences import SentenceReader, score_sentences

    if base not in BASES:
        raise ConfigError(f"--base {base!r}: expected 2, e or 10")
    encoding, errors = checked_encoding(encoding), checked_errors(errors)
    layout = checked_layout(format, json=json)
    normalised = compiled or tables is not None
    named = BASES[base].self_normalised() if normalised else BASES[base]
    opened = Run(run)
    if unit not in ("line", "split"):
        raise ConfigError(f"--sentences {unit!r}: expected line or split")
    check_log10(layout, base, eos=eos)
    reader = SentenceReader(opened.recipe, segmented, unit == "split")
    policy = checked_context(context) or opened.config.training.context
    if (given is None) != (not word):
        raise ConfigError("--given and --word go together")
    if given is not None:
        beside = per_token or not eos or bool(context)
        check_one_word(layout, text=bool(sentences or file), of_sentences=beside)
    if per_token and layout == "summary":
        raise ConfigError("--format summary adds all up: leave --per-token out")
    if normalised:
        check_compiled(layout, one_word=given is not None, caches=bool(cache))
    if sentences and "-" in sentences and len(sentences) > 1:
        raise ConfigError("'-' stands alone: either sentences or standard input")
    more = given_caches(cache, cache_size, cache_theta, cache_decay, cache_weight)
    running = policy == "stream" and given is None
    reach = cache_reach if given is None else sentence_reach(cache_reach)
    use = use_caches(opened, more, reach, running=running)
    scorer: Any
    if normalised:
        from nplm_cli.query.tables import open_tables_scorer

        scorer, caches = open_tables_scorer(opened, tables), []
        warn_of_relative(opened)
    else:
        scorer, caches = use.open(), use.records()
    if not quiet:
        tell_caches(use, one_sentence=given is not None)
    if given is not None and word:
        from nplm_cli.cli.score_word import write_words

        write_words(opened, scorer, reader, given, word, named, layout, caches)
        return
    if not sentences and not file:
        raise ConfigError("no sentence: give one, or - for standard input, or --file FILE")
    # Where anything runs on from line to line, all lines are there before the first is scored.
    whole = running or any(record["reach"] == "text" for record in caches)
    batches = batches_of_lines(
        sentences or [],
        file or [],
        encoding,
        whole=whole,
        errors=errors,
        on_event=output.teller(quiet),
    )
    if layout == "summary":
        from nplm_cli.query.totals import add_up

        totals = add_up(opened, scorer, batches, reader, context=policy, eos=eos)
        for text in reader.warnings:
            output.warn(text)
        if not quiet and not json:
            _tell(policy, eos, named.unit, normalised)
        write_summary(totals, named, "json" if json else "auto")
        return
    scored = (
        sentence
        for texts, starts in batches
        for sentence in score_sentences(
            opened, scorer, texts, reader, context=policy, eos=eos, file_starts=starts
        )
    )
    shown = _with_warnings(scored, reader)
    for text in sentences or []:
        if text != "-" and os.path.isfile(text):
            output.warn(f"{text!r} is scored as a sentence; --file {text} scores that file's lines")
    if not quiet and layout != "json":
        unit_name = "log10" if layout in ("kenlm", "srilm") else named.unit
        _tell(policy, eos, unit_name, normalised)
    if sentences == ["-"] and layout == "auto":
        layout = "tsv"  # line by line, which no table can be
    match layout:
        case "kenlm":
            write_kenlm(shown, exact=not normalised)
        case "srilm":
            write_srilm(shown)
        case "json":
            write_records(shown, named, per_token, caches)
        case _:
            write_table(shown, named, per_token, layout)


def _tell(policy: str, eos: bool, unit_name: str, normalised: bool) -> None:
    ends = "</s> counted" if eos else "</s> not counted"
    kind = "self-normalised, no probabilities: scores" if normalised else "surprisal"
    shown = "log10" if unit_name == "log10" and not normalised else f"{kind} in {unit_name}"
    output.note(f"context: {policy}; {ends}; {shown}")


def _with_warnings(scored: Iterable[Any], reader: Any) -> Iterator[Any]:
    told = 0
    for sentence in scored:
        for text in reader.warnings[told:]:
            output.warn(text)
        told = len(reader.warnings)
        yield sentence
