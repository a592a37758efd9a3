"""Tables of one corpus: where it came from, perplexity, cost, comparison of the spaces."""

from pathlib import Path
from typing import Any

from nplm_cli.reports.summary import (
    first_ledger,
    held_out_part,
    model_label,
    spread,
)
from nplm_cli.reports.tables import (
    NOTHING,
    Cell,
    Table,
    decimal,
    fixed,
    labelled,
    percent,
    perplexity,
    rounded,
    share,
    spread_cell,
    text,
    whole,
    word,
)
from nplm_cli.reports.texts import Texts
from nplm_cli.vectors.noise_floor import MEASURES

Corpus = dict[str, Any]
PARTS = ("train", "valid", "test")
# As a ledger has them; what each means is said in templates/texts.*.toml.
FIGURES = ("ppl", "ppl_without_eos", "ppl_excluding_oov", "ppl_oov_adjusted", "bits_per_char")


def data_tables(corpus: Corpus, texts: Texts) -> list[Table]:
    """Sources with checksums, the split with its unknown words, coverage by vocabulary size."""
    data, key = corpus["data"], corpus["key"]
    found = [(p, data["sources"][p]) for p in PARTS if p in data["sources"]]
    sources = [
        [
            text(texts(f"part.{part}")),
            text(", ".join(map(_file_name, source["inputs"])), code=True),
            whole(source.get("lines")),
            whole(source.get("sentences")),
            text(source.get("sha256"), code=True),
        ]
        for part, source in found
    ]
    parts = [
        [
            text(texts(f"part.{part}")),
            whole(data["parts"][part].get("sentences")),
            whole(data["parts"][part].get("words")),
            whole(data["parts"][part].get("predictions")),
            share(data["oov_share"].get(part), 2),
            share(data.get("repeated_share", {}).get(part), 2),
        ]
        for part in PARTS
        if part in data["parts"]
    ]
    coverage = [
        [
            whole(record["size"]),
            whole(record["types"]),
            whole(record["covered_tokens"]),
            whole(record["unk_tokens"]),
            share(record["unk_share"], 2),
        ]
        for record in data["coverage"]
    ]
    return [
        labelled(f"{key}-sources", texts, "sources", sources),
        labelled(f"{key}-split", texts, "split", parts),
        labelled(f"{key}-coverage", texts, "coverage", coverage),
    ]


def _file_name(path: str) -> str:
    """Where a file lies is nobody's business but its owner's; the checksum tells which it is."""
    return path if path == "-" else Path(path).name


def perplexity_tables(corpus: Corpus, texts: Texts) -> list[Table]:
    """Perplexity beside its baselines, a row a model; folded, a row a run. Empty if unmeasured."""
    part = held_out_part(corpus)
    ledger = first_ledger(corpus)
    if part is None or ledger is None:
        return []
    baselines = ledger.get("baselines") or {}
    none = [NOTHING] * (len(FIGURES) - 1)
    rows = []
    if (accuracy := baselines.get("always_unk_accuracy")) is not None:
        remark = texts("perplexity.accuracy", share=percent(accuracy))
        rows.append([text(texts("model.always_unk"), extra=remark), NOTHING, *none, NOTHING])
    for name in ("unigram", "kneser_ney"):
        if baseline := baselines.get(name):
            label = texts(f"model.{name}", order=baseline.get("order", "?"))
            figures = [perplexity(baseline.get(name)) for name in FIGURES]
            rows.append([text(label), *figures, NOTHING])
    for model in corpus["models"]:
        runs = [run[part] for run in model["seeds"]]
        ratios = spread((run["ppl_ratio_to_kneser_ney"] or {}).get("ratio") for run in runs)
        sees = model["context"]
        reach = texts("model.unbounded") if sees is None else texts("model.sees", n=sees)
        rows.append(
            [
                text(model_label(model["arch"]), extra=reach),
                *(spread_cell(spread(run[name] for run in runs), rounded) for name in FIGURES),
                spread_cell(ratios, lambda value: fixed(value, 3)),
            ]
        )
    seeds = len(corpus["models"][0]["seeds"])
    values = {"part": texts(f"part.{part}"), "seeds": seeds}
    kind = "perplexity" if seeds > 1 else "perplexity_one"
    note = texts("perplexity.unadjusted") if ledger["ppl_oov_adjusted"] is None else ""
    return [
        labelled(f"{corpus['key']}-perplexity", texts, kind, rows, values=values, note=note),
        _run_table(corpus, texts),
    ]


def _run_table(corpus: Corpus, texts: Texts) -> Table:
    rows = [
        [
            text(model_label(model["arch"])),
            whole(run["seed"]),
            text(texts(f"part.{part}")),
            *(perplexity(run[part][name]) for name in FIGURES),
            _interval(run[part]["ppl_ratio_to_kneser_ney"] or {}),
            text(run["run"], code=True),
        ]
        for part in ("valid", "test")
        for model in corpus["models"]
        for run in model["seeds"]
        if run[part]
    ]
    return labelled(f"{corpus['key']}-run-table", texts, "runs", rows, folded=True)


def _interval(record: dict[str, Any]) -> Cell:
    if record.get("ratio") is None:
        return NOTHING
    written = fixed(record["ratio"], 3)
    if record.get("interval_95"):
        low, high = record["interval_95"]
        written += f" ({fixed(low, 3)}–{fixed(high, 3)})"
    return Cell(written, sort=record["ratio"])


def cost_table(corpus: Corpus, texts: Texts) -> Table:
    """Parameters, updates, time and speed, a row a model."""
    rows = []
    for model in corpus["models"]:
        training = [run["training"] for run in model["seeds"]]
        rows.append(
            [
                text(model_label(model["arch"])),
                whole(model["parameters"]),
                whole(model["embedding_parameters"]),
                *(
                    spread_cell(spread(t.get(name) for t in training), lambda v: fixed(v, 0))
                    for name in ("epochs", "steps", "tokens")
                ),
                spread_cell(spread(t.get("seconds") for t in training), lambda v: fixed(v, 1)),
                spread_cell(
                    spread(run["tokens_per_second"] for run in model["seeds"]),
                    lambda v: fixed(v, 0),
                ),
            ]
        )
    return labelled(f"{corpus['key']}-cost", texts, "cost", rows)


def comparison_tables(corpus: Corpus, texts: Texts) -> list[Table]:
    """The models pair by pair with the noise floor; folded, every pair of runs."""
    comparison = corpus["comparison"]
    if comparison is None:
        return []
    rows = []
    for pair in comparison["group_pairs"]:
        for name in MEASURES:
            measure, label = pair[name], f"{model_label(pair['a'])} – {model_label(pair['b'])}"
            interval = measure["interval_95"]
            below = measure["below_floor"]
            rows.append(
                [
                    text(label),
                    text(texts(f"measure.{name}")),
                    decimal(measure["between"], 3),
                    decimal(measure["floor"], 3),
                    decimal(measure["difference"], 3),
                    text(interval and " … ".join(fixed(end, 3) for end in interval)),
                    text(None if below is None else texts("yes" if below else "no")),
                ]
            )
    key = corpus["key"]
    values = {"chance": fixed(comparison["chance"]["overlap"], 4)}
    said = [texts("table.spaces.note")]
    for name, reason in (("aligned_cosine", "no_rotation"), ("rsa", "no_ranks")):
        if any(pair[name]["between"] is None for pair in comparison["group_pairs"]):
            said.append(texts(f"spaces.{reason}"))
    spaces = labelled(f"{key}-spaces", texts, "spaces", rows, values=values, note=" ".join(said))
    tables = [spaces] if rows else []
    return [*tables, _pair_table(corpus, texts)]


def different_tables(corpus: Corpus, texts: Texts) -> list[Table]:
    """The words whose neighbours differ most between two models, a table a pair of models."""
    tables = []
    for number, record in enumerate((corpus["comparison"] or {}).get("most_different_words", ())):
        names = {"a": model_label(record["a"]), "b": model_label(record["b"])}
        rows = [
            [word(w["word"]), decimal(w["floor"], 3), decimal(w["between"], 3)]
            for w in record["words"]
        ]
        name = f"{corpus['key']}-different-{number}"
        if rows:
            chance = record["by_chance"]
            names["chance"] = NOTHING.text if chance is None else fixed(chance, 3)
            tables.append(labelled(name, texts, "different", rows, values=names))
    return tables


def _pair_table(corpus: Corpus, texts: Texts) -> Table:
    comparison = corpus["comparison"]
    spaces = [space["name"] for space in comparison["spaces"]]
    rows = [
        [
            text(spaces[pair["a"]], code=True),
            text(spaces[pair["b"]], code=True),
            text(texts("yes" if pair["same_group"] else "no")),
            *(decimal(pair[name], 3) for name in MEASURES),
        ]
        for pair in comparison["pairs"]
    ]
    return labelled(f"{corpus['key']}-pairs", texts, "pairs", rows, folded=True)
