"""``nplm surprisal``: the words of a reading experiment with what a model says of each."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nplm_cli.cli import output
from nplm_cli.cli.adaptation import tell_caches
from nplm_cli.cli.arguments import Context, Json, Quiet, RunArgument, Segmented, checked_context
from nplm_cli.cli.progress import ProgressView
from nplm_cli.cli.score_formats import BASES
from nplm_cli.cli.surprisal_report import tell_words, write_report
from nplm_cli.errors import ConfigError
from nplm_cli.plain import counted

if TYPE_CHECKING:
    from nplm_cli.query.sentences import SentenceReader
    from nplm_cli.stimuli.decimals import Decimal
    from nplm_cli.stimuli.rows import Rows
    from nplm_cli.stimuli.table import Table
    from nplm_cli.stimuli.words import Text


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("surprisal")(surprisal_cli)


def surprisal_cli(
    run: RunArgument,
    items: Annotated[
        str, typer.Argument(metavar="ITEMS", help="Table with a header, TSV or CSV; - for stdin.")
    ],
    text_column: Annotated[
        str | None, typer.Option(help="Column of the sentences, one a row.")
    ] = None,
    word_column: Annotated[str | None, typer.Option(help="Column of the words, one a row.")] = None,
    item_column: Annotated[
        list[str] | None,
        typer.Option(help="Of --word-column: tells the texts apart that the words belong to."),
    ] = None,
    position_column: Annotated[
        str | None, typer.Option(help="Of --word-column: places of the words in their text.")
    ] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the table (default: stdout).")
    ] = None,
    base: Annotated[
        str, typer.Option(metavar="2|e|10", help="Base of surprisal and entropy.")
    ] = "2",
    spillover: Annotated[
        int, typer.Option(help="Previous words whose figures are given, too.", min=0, max=20)
    ] = 1,
    prefix: Annotated[str, typer.Option(help="Beginning of the names of new columns.")] = "",
    words: Annotated[
        str,
        typer.Option(
            metavar="auto|spaces|tokens",
            help="Of --text-column: words stand between spaces, or are the model's tokens "
            "(auto: tokens where Chinese has no spaces).",
        ),
    ] = "auto",
    eos: Annotated[
        bool, typer.Option("--eos", help="Of --text-column: a row for the sentence's end, too.")
    ] = False,
    unit: Annotated[
        str,
        typer.Option(
            "--sentences",
            metavar="line|split",
            help="A text is read as one sentence, or split as raw text is.",
        ),
    ] = "line",
    context: Context = None,
    segmented: Segmented = False,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="The text is raw: marks and contractions are cut off words."),
    ] = False,
    separator: Annotated[
        str, typer.Option(metavar="auto|tab|comma|semicolon", help="What parts the columns.")
    ] = "auto",
    quoting: Annotated[
        str, typer.Option(metavar="auto|csv|none", help="Whether quotes enclose cells, as in CSV.")
    ] = "auto",
    decimal: Annotated[
        str,
        typer.Option(
            metavar="auto|point|comma",
            help="How numbers are written, those that go in and the new ones.",
        ),
    ] = "auto",
    encoding: Annotated[str, typer.Option(help="Encoding of the table.")] = "auto",
    times_column: Annotated[
        str | None,
        typer.Option(
            help="Of --word-column: reading times, whose regression is written instead; the "
            "table then goes to -o alone."
        ),
    ] = None,
    log_times: Annotated[
        bool, typer.Option("--log-times", help="Of --times-column: regress ln(time).")
    ] = False,
    keep_unknown: Annotated[
        bool,
        typer.Option("--keep-unknown", help="Of --times-column: unknown words take part, too."),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Surprisal, entropy, rank and frequency of the words of a table, as further columns."""
    from nplm_cli.corpus.exact_text import read_exact
    from nplm_cli.query.cache_use import use_caches
    from nplm_cli.query.run import Run
    from nplm_cli.query.sentences import SentenceReader
    from nplm_cli.stimuli.columns import Columns, numbers, reading_order
    from nplm_cli.stimuli.decimals import decimal_of
    from nplm_cli.stimuli.reading_times import report_times
    from nplm_cli.stimuli.rows import sentence_rows, word_rows
    from nplm_cli.stimuli.table import read_table
    from nplm_cli.stimuli.words import joined_words, score_words

    if base not in BASES:
        raise ConfigError(f"--base {base!r}: expected 2, e or 10")
    if unit not in ("line", "split"):
        raise ConfigError(f"--sentences {unit!r}: expected line or split")
    if words not in ("auto", "spaces", "tokens"):
        raise ConfigError(f"--words {words!r}: expected auto, spaces or tokens")
    if decimal not in ("auto", "point", "comma"):
        raise ConfigError(f"--decimal {decimal!r}: expected auto, point or comma")
    if segmented and raw:
        raise ConfigError("--segmented and --raw contradict each other: leave one out")
    if (text_column is None) == (word_column is None):
        raise ConfigError(
            "name one column: --text-column of sentences, or --word-column (and --item-column) of "
            "words"
        )
    _check_idle(
        {
            "--item-column": bool(item_column),
            "--position-column": position_column is not None,
            "--times-column": times_column is not None,
        },
        "--word-column",
        acting=word_column is not None,
    )
    _check_idle(
        {"--words": words != "auto", "--eos": eos}, "--text-column", acting=text_column is not None
    )
    _check_idle(
        {"--log-times": log_times, "--keep-unknown": keep_unknown},
        "--times-column",
        acting=times_column is not None,
    )
    if times_column is not None and str(output_file) == "-":
        raise ConfigError("the regression takes standard output: name a file with -o")
    if word_column is not None and not item_column:
        raise ConfigError(
            "--word-column needs --item-column: the column that tells the texts apart"
        )
    output.refuse_same_file(output_file, [items])
    opened = Run(run)
    policy = checked_context(context) or opened.config.training.context
    use = use_caches(opened, running=False)
    scorer = use.open()
    tell = output.teller(quiet)
    table = read_table(read_exact(items, encoding, on_event=tell), separator, quoting)
    if table.quoting == "none" and '"' in table.source.text and quoting == "auto":
        tell(
            f"{table.source.name}: double quotes are taken as characters; if they enclose "
            "cells, give --quoting csv"
        )
    unit_name = BASES[base].column.removeprefix("surprisal_")
    columns = Columns(unit_name, BASES[base].nats, spillover, prefix)
    added = [*(columns.place() if word_column is None else []), *columns.names()]
    table.refuse_clashes(added)
    if json and times_column is None:
        table.refuse_as_objects()
    recipe = opened.recipe
    if raw:
        recipe = dataclasses.replace(recipe, format="raw")
    if unit == "split":
        recipe = dataclasses.replace(recipe, sentences="split")
    # Cells are words already: jieba does not cut them unless the model's text was raw.
    own = segmented or (word_column is not None and recipe.format != "raw")
    reader = SentenceReader(recipe, own, unit == "split")
    if not quiet:
        tell_caches(use, one_sentence=True)
    times: list[float | None] = []
    order: list[list[int]] = []
    if word_column is not None:
        column = table.column(word_column, "--word-column")
        marks = decimal_of(table, decimal, [column])
        keys = [table.column(name, "--item-column") for name in item_column or ()]
        order = reading_order(table, keys, position_column, marks)
        if times_column is not None:
            place = table.column(times_column, "--times-column")
            times = numbers(table, place, times_column, marks)
        texts = [joined_words([table.records[i].cells[column] for i in rows]) for rows in order]
    else:
        assert text_column is not None
        column = table.column(text_column, "--text-column")
        marks = decimal_of(table, decimal, [column])
        sentences = [i for i, record in enumerate(table.records) if record.cells]
        texts = [_words_of(table.records[i].cells[column], words, reader) for i in sentences]
    if marks == "comma" and decimal == "auto":
        tell(f"{table.source.name}: decimal commas, in the new columns as well (--decimal point)")
    with ProgressView(quiet=quiet) as view:
        scored = score_words(opened, scorer, texts, reader, policy, view)
    for text in reader.warnings:
        output.warn(text)
    if word_column is not None:
        rows = word_rows(columns, order, scored, len(table.records))
    else:
        rows = sentence_rows(columns, sentences, texts, scored, len(table.records), eos=eos)
    if output_file is not None or times_column is None:
        _write(table, added, rows, output_file, json and times_column is None, marks)
    if not quiet:
        found = counted(sum(len(text.words) for text in texts), "word")
        output.note(f"{found}; context: {policy}; surprisal in {BASES[base].unit}")
        own_recipe = dataclasses.replace(recipe, format="segmented") if own else recipe
        tell_words(texts, scored, own_recipe, opened.vocabulary.index)
    if times_column is None:
        return
    report = report_times(
        [own_words.words for own_words in scored],
        [[times[i] for i in places] for places in order],
        unit=columns.unit,
        nats=columns.nats,
        spillover=spillover,
        log_times=log_times,
        keep_unknown=keep_unknown,
    )
    settings = {"run": str(run), "times": times_column, "context": policy, "rows": table.rows}
    write_report({"schema": 1, **settings, **report}, json=json, quiet=quiet)


def _check_idle(given: dict[str, bool], needed: str, *, acting: bool) -> None:
    for option, is_given in given.items():
        if is_given and not acting:
            raise ConfigError(f"{option} acts on {needed}: give that, or leave it out")


def _words_of(text: str, words: str, reader: "SentenceReader") -> "Text":
    """Words of a sentence: between spaces, or the model's tokens where Chinese has no spaces."""
    from nplm_cli.corpus.tokenizers import count_chinese
    from nplm_cli.stimuli.words import spaced_words, token_words

    if words == "auto":
        pieces = text.split()
        most = max(map(count_chinese, pieces), default=0)
        words = "tokens" if most > 4 or (len(pieces) == 1 and most > 1) else "spaces"
    return token_words(reader, text) if words == "tokens" else spaced_words(text)


def _write(
    table: "Table",
    added: list[str],
    rows: "Rows",
    path: Path | None,
    json: bool,
    decimal: "Decimal",
) -> None:
    from nplm_cli.stimuli.rows import objects, table_lines

    with output.data_out(path) as file:
        if not json:
            file.writelines(table_lines(table, added, rows, decimal))
            return
        for record in objects(table, added, rows):
            file.write(output.json_text(record).encode() + b"\n")
