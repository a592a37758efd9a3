"""Tables of the whole study: both languages, all settings, how to reproduce it."""

import json
from typing import Any

from nplm_cli.reports.summary import model_label
from nplm_cli.reports.tables import (
    Cell,
    Table,
    decimal,
    fixed,
    labelled,
    percent,
    share,
    text,
    whole,
    word,
)
from nplm_cli.reports.texts import Texts
from nplm_cli.vectors.alignment import PAIRS_A_DIMENSION

Results = dict[str, Any]
# Of a dictionary, evenly spread over it: nobody reads hundreds.
SHOWN_PAIRS = 40
NOT_SHOWN = ("corpus", "split", "vocabulary", "training")


def alignment_warning(results: Results, texts: Texts) -> str | None:
    """What to keep in mind where few pairs of the dictionary have vectors."""
    for found in (results["alignment"] or {}).values():
        enough = PAIRS_A_DIMENSION * found["dim"]
        if found["pairs_covered"] < enough:
            return texts(
                "bilingual.few",
                pairs=f"{found['pairs_covered']:,}",
                dim=found["dim"],
                enough=f"{enough:,}",
            )
    return None


def alignment_tables(results: Results, texts: Texts) -> list[Table]:
    """How well the second language is found from the first; folded, the pairs of each model."""
    alignment = results["alignment"]
    if alignment is None:
        return []
    rows = []
    for arch, found in alignment.items():
        accuracy, chance = found["accuracy"], found.get("permutation") or {}
        p_value = chance.get("p_value")
        rows.append(
            [
                text(model_label(arch)),
                _with_interval(found, "csls", "1"),
                share(accuracy["csls"].get("5")),
                share(accuracy["csls"].get("10")),
                share(accuracy["cosine"].get("1")),
                share(chance.get("accuracy_mean")),
                share(chance.get("accuracy_max")),
                decimal(p_value, 3),
                text(f"{found['pairs_covered']:,} / {found['pairs_in_dictionary']:,}"),
            ]
        )
    tables = [labelled("alignment", texts, "alignment", rows)]
    for number, (arch, found) in enumerate(alignment.items()):
        shown = found["pairs"][:: -(-len(found["pairs"]) // SHOWN_PAIRS) or 1]
        values = {
            "model": model_label(arch),
            "random": fixed(found["random_cosine"], 3),
            "shown": len(shown),
            "all": len(found["pairs"]),
        }
        pairs = [
            [
                word(pair["source"]),
                word(pair["target"]),
                decimal(pair["cosine_before"], 3),
                decimal(pair["cosine_after"], 3),
                whole(pair["rank"]),
                word(texts.listed(pair["neighbors"])),
            ]
            for pair in shown
        ]
        name = f"alignment-pairs-{number}"
        tables.append(labelled(name, texts, "bilingual", pairs, values=values, folded=True))
    return tables


def _with_interval(found: dict[str, Any], by: str, n: str) -> Cell:
    accuracy = found["accuracy"][by].get(n)
    interval = ((found.get("interval_95") or {}).get(by) or {}).get(n)
    if accuracy is None or not interval:
        return share(accuracy)
    low, high = (fixed(100 * end, 1) for end in interval)
    return Cell(percent(accuracy), sort=accuracy, extra=f"({low}–{high})")


def setting_tables(results: Results, texts: Texts) -> list[Table]:
    """Every setting, folded: of the models side by side, and of all other stages."""
    models = results["corpora"][0]["models"]
    names = list(dict.fromkeys(name for model in models for name in model["settings"]))
    rows = [
        [text(name, code=True), *(text(_value(m["settings"].get(name)), code=True) for m in models)]
        for name in names
    ]
    shapes = Table(
        "settings-models",
        texts("table.shapes.caption"),
        [texts("table.shapes.columns"), *(model_label(model["arch"]) for model in models)],
        rows,
        folded=True,
    )
    others = [
        [text(stage, code=True), text(name, code=True), text(_value(value), code=True)]
        for stage in NOT_SHOWN
        for name, value in results["settings"][stage].items()
    ]
    plan = [
        [text("plan", code=True), text(name, code=True), text(_value(value), code=True)]
        for name, value in results["plan"].items()
    ]
    return [shapes, labelled("settings-stages", texts, "settings", plan + others, folded=True)]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def environment_table(results: Results, texts: Texts) -> Table:
    """Program versions and machine."""
    found = {"nplm": results["nplm"], **results["environment"], "finished": results["finished"]}
    rows = [[text(name, code=True), text(value, code=True)] for name, value in found.items()]
    return labelled("environment", texts, "environment", rows)
