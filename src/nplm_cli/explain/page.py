"""An explanation as one HTML page: no network, no script, light and dark as the system is."""

from collections.abc import Sequence
from typing import Any

from nplm_cli import __version__
from nplm_cli.bilingual import Language, Table, Text, said
from nplm_cli.explain.sections import Heat, Section, sections, short
from nplm_cli.plain import shown_number
from nplm_cli.reports.pages import HTML_LANGUAGES, html_environment, policy, source

TEXTS = {
    "title": Text("Why the model expects this", "模型为什么这样预测"),
    "contents": Text("Contents", "目录"),
    "skip": Text("To the text", "跳到正文"),
    "made": Text("Written by nplm {version}.", "由 nplm {version} 生成。"),
    "empty": Text("the beginning of a sentence", "句子的开头"),
    "signed": Text("blue: above 0, orange: below", "蓝：大于 0；橙：小于 0"),
}
# A map of more columns than this shows its numbers only where one points at.
NUMBERED_COLUMNS = 24


def page(record: dict[str, Any], lang: Language, components: int = 5) -> str:
    """The record of ``explain`` as a page in a language; every word is text, never markup."""
    from markupsafe import Markup

    texts = {name: text.within(lang) for name, text in TEXTS.items()}
    style = source("report.css") + source("explain.css", "nplm_cli.explain")
    return (
        html_environment("nplm_cli.explain")
        .get_template("explain.html.j2")
        .render(
            t=texts | {"made": texts["made"].format(version=__version__)},
            lang=HTML_LANGUAGES[lang],
            style=Markup(style),
            policy=policy(),
            text=" ".join(record["tokens"]) or texts["empty"],
            words=[short(word["word"]) for word in record["explained"]],
            run=record["run"],
            arch=record["arch"],
            sections=[_shown(section, lang) for section in sections(record, components)],
        )
    )


def _shown(section: Section, lang: Language) -> dict[str, Any]:
    return {
        "title": section.title.within(lang),
        "blocks": [_block(block, lang) for block in section.blocks],
    }


def _block(block: Text | Table | Heat | str, lang: Language) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"kind": "text", "text": block.within(lang)}
    if isinstance(block, str):
        return {"kind": "formula", "text": block}
    if isinstance(block, Heat):
        return _heat(block, lang)
    figures = [_is_figures([row[i] for row in block.rows]) for i in range(len(block.columns))]
    columns, rows = block.within(lang)
    return {
        "kind": "table",
        "columns": columns,
        "figures": figures,
        "rows": [[_cell(cell, block.places) for cell in row] for row in rows],
    }


def _is_figures(cells: Sequence[Any]) -> bool:
    return all(isinstance(cell, int | float | None) for cell in cells)


def _cell(cell: Any, places: int) -> str:
    if cell is None:
        return "–"
    return shown_number(cell, places) if isinstance(cell, float) else str(cell)


def _heat(heat: Heat, lang: Language) -> dict[str, Any]:
    """A map whose cells have a depth of colour from 0 to 1 and a side, above or below 0."""
    there = [abs(value) for row in heat.values for value in row if value is not None]
    full = (max(there, default=0.0) if heat.signed else 1.0) or 1.0
    return {
        "kind": "heat",
        "signed": heat.signed,
        "caption": heat.caption.within(lang),
        "columns": [said(column, lang) for column in heat.columns],
        "numbered": len(heat.columns) <= NUMBERED_COLUMNS,
        "rows": [
            {
                "name": said(name, lang),
                "cells": [
                    None
                    if value is None
                    else {
                        "text": shown_number(value, heat.places),
                        "depth": f"{abs(value) / full:.3f}",
                        "below": value < 0,
                    }
                    for value in values
                ],
            }
            for name, values in zip(heat.rows, heat.values, strict=True)
        ],
    }
