"""What is shown of a record: sections of texts, tables and heat maps, in two languages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nplm_cli.bilingual import Table, Text
from nplm_cli.plain import shortened, shown_number

# Columns that a word takes at most within a sentence or beside a row.
WORD_COLUMNS = 24


@dataclass(frozen=True)
class Heat:
    """Numbers of rows and columns that a page shows as a map of colours, a terminal as a table.

    ``signed`` numbers are negative or positive, of any size; others are shares between 0 and 1.
    """

    caption: Text
    rows: Sequence[Text | str]
    columns: Sequence[Text | str]
    values: Sequence[Sequence[float | None]]
    signed: bool
    places: int = 3


@dataclass(frozen=True)
class Section:
    """A step of the explanation: paragraphs, tables, maps, and formulas (plain strings)."""

    title: Text
    blocks: Sequence[Text | Table | Heat | str]


def sections(record: dict[str, Any], components: int = 5) -> list[Section]:
    """The record of ``explain`` as sections; ``components`` of each vector and layer are shown."""
    from nplm_cli.explain.sections_counts import counts_sections, mixture_sections
    from nplm_cli.explain.sections_encoder import encoder_sections
    from nplm_cli.explain.sections_output import (
        attribution_section,
        contribution_section,
        distribution_section,
    )

    found = [text_section(record)]
    if "layers" in record:
        found.append(vector_section(record, components))
        found += encoder_sections(record, components)
        found.append(distribution_section(record))
        found.append(contribution_section(record, components))
    else:
        found.append(distribution_section(record))
        made = mixture_sections if "components" in record else counts_sections
        found += made(record)
    found.append(attribution_section(record))
    return found


def both(text: str) -> Text:
    """The same in both languages."""
    return Text(text, text)


def short(word: str) -> str:
    """A word within a sentence."""
    return shortened(word, WORD_COLUMNS)


def number(value: float, places: int = 4) -> str:
    """A number within a sentence."""
    return shown_number(value, places)


def labels(record: dict[str, Any]) -> list[str]:
    """A name for each place: its number and its word."""
    found = []
    for n, place in enumerate(record["places"], 1):
        times = f" × {place['positions']}" if place.get("positions", 1) > 1 else ""
        found.append(f"{n} {short(place['word'])}{times}")
    return found


def text_section(record: dict[str, Any]) -> Section:
    """How the text was read, and what of it is in sight."""
    read = " ".join(short(word) for word in ["</s>", *record["tokens"]])
    blocks: list[Any] = [
        Text(
            f"Read as: {read}. The </s> before the first word is the boundary at which every "
            "sentence begins.",
            f"读作：{read}。第一个词之前的 </s> 是句子边界，每个句子都从它开始。",
        )
    ]
    if record["unknown"]:
        words = " ".join(short(word) for word in dict.fromkeys(record["unknown"]))
        blocks.append(
            Text(
                f"Not in the vocabulary, read as <unk>: {words}.",
                f"不在词表中、读作 <unk> 的词：{words}。",
            )
        )
    seen = record["read"] - record["out_of_sight"]
    if record["out_of_sight"]:
        words = " ".join(labels(record))
        blocks.append(
            Text(
                f"The model sees {seen} of the {record['read']} tokens read: {words}. Those "
                "before them change nothing in this prediction.",
                f"读入 {record['read']} 个词元，模型只看得到其中 {seen} 个：{words}。"
                "更早的词对这次预测毫无影响。",
            )
        )
    else:
        blocks.append(
            Text(
                f"The model sees all that was read ({seen}).", f"读入的 {seen} 个词元模型都看得到。"
            )
        )
    if record.get("padding"):
        blocks.append(
            Text(
                f"Its window is always full: {record['padding']} more </s> stand before the text.",
                f"它的窗口总是满的：文本之前再补 {record['padding']} 个 </s>。",
            )
        )
    return Section(Text("The text as the model reads it", "模型读到的文本"), blocks)


def vector_section(record: dict[str, Any], components: int) -> Section:
    """The rows that are looked up."""
    count = min(components, len(record["places"][0]["vector"]))
    columns: list[Text | str] = [
        Text("word", "词"),
        Text("row", "行"),
        Text("length", "长度"),
        *[f"x{i}" for i in range(1, count + 1)],
    ]
    rows = [
        [label, place["id"], place["length"], *place["vector"][:count]]
        for label, place in zip(labels(record), record["places"], strict=True)
    ]
    dim = len(record["places"][0]["vector"])
    text = Text(
        f"Each word is a row of the table of word vectors, {dim} numbers; here the first {count} "
        "and the length of all of them together (Euclidean norm).",
        f"每个词是词向量表中的一行，共 {dim} 个数；这里列出前 {count} 个，"
        "以及整个向量的长度（欧几里得范数）。",
    )
    return Section(Text("Word vectors looked up", "查出的词向量"), [text, Table(columns, rows, 4)])
