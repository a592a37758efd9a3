"""What goes out: the rows of a table with figures appended, one a word."""

from collections.abc import Iterator, Sequence
from typing import Any

from nplm_cli.corpus.vocabulary import EOS
from nplm_cli.stimuli.columns import Columns, shown
from nplm_cli.stimuli.decimals import Decimal
from nplm_cli.stimuli.table import Table
from nplm_cli.stimuli.words import Scored, Text

# For each record the values of each of its output rows: one of a word, several of a sentence.
Rows = list[list[list[Any]]]


def word_rows(
    columns: Columns, order: Sequence[Sequence[int]], scored: Sequence[Scored], records: int
) -> Rows:
    """One row a record: the figures of its word. ``order`` are the records of each text."""
    rows: Rows = [[] for _ in range(records)]
    for places, text in zip(order, scored, strict=True):
        for at, i in enumerate(places):
            rows[i] = [columns.values(text.words, at)]
    return rows


def sentence_rows(
    columns: Columns,
    order: Sequence[int],
    texts: Sequence[Text],
    scored: Sequence[Scored],
    records: int,
    *,
    eos: bool,
) -> Rows:
    """A row a word, with ``eos`` one for the end as well; a blank sentence has one row, too.

    ``order`` is the record of each text.
    """
    rows: Rows = [[] for _ in range(records)]
    for number, (i, text, own) in enumerate(zip(order, texts, scored, strict=True), 1):
        words = [*own.words, own.end] if eos else own.words
        for at in range(len(words)):
            ended = at == len(text.words)
            begin, end = (len(text.text),) * 2 if ended else text.words[at]
            word = EOS if ended else text.text[begin:end]
            rows[i].append([number, at + 1, word, begin, end, *columns.values(words, at)])
        if not words:
            blank = len(columns.place()) - 1 + len(columns.names())
            rows[i].append([number, *[None] * blank])
    return rows


def table_lines(
    table: Table, added: Sequence[str], rows: Rows, decimal: Decimal = "point"
) -> Iterator[bytes]:
    """Bytes of the table: header and records as they stood, with the ``added`` columns."""
    ahead = table.source.mark + table.source.encode(table.ahead)
    yield ahead + table.extended(table.header, added, last=False)
    for number, (record, own) in enumerate(zip(table.records, rows, strict=True), 1):
        if not record.cells:
            yield table.source.encode(record.text + record.end)
        for at, values in enumerate(own, 1):
            last = number == len(rows) and at == len(own)
            yield table.extended(record, [shown(value, decimal) for value in values], last=last)


def objects(table: Table, added: Sequence[str], rows: Rows) -> Iterator[dict[str, Any]]:
    """An object an output row: the cells as text, the figures as they are.

    Raises InputError where two columns have one name, or the name of the version.
    """
    table.refuse_as_objects()
    for record, own in zip(table.records, rows, strict=True):
        cells = dict(zip(table.columns, record.cells, strict=False))
        for values in own:
            yield {"schema": 1, **cells, **dict(zip(added, values, strict=True))}
