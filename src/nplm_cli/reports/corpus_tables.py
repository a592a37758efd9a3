"""Tables of one corpus: where it came from, perplexity, cost, comparison of the spaces."""

from typing import Any

from nplm_cli.reports.summary import (
    MEASURES,
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
            text(", ".join(source["inputs"]), code=True),
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
        _table(f"{key}-sources", texts, "sources", sources),
        _table(f"{key}-split", texts, "split", parts),
        _table(f"{key}-coverage", texts, "coverage", coverage),
    ]


def _table(name: str, texts: Texts, key: str, rows: list[list[Cell]], **options: Any) -> Table:
    """A table whose caption and columns (with | between) stand in the texts under its key."""
    note = texts(f"table.{key}.note") if texts.has(f"table.{key}.note") else ""
    return Table(
        name,
        texts(f"table.{key}.caption", **options.pop("values", {})),
        texts(f"table.{key}.columns").split("|"),
        rows,
        **({"note": note} | options),
    )


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
        rows.append([text(texts("model.always_unk")), NOTHING, *none, NOTHING, text(remark)])
    for name in ("unigram", "kneser_ney"):
        if baseline := baselines.get(name):
            label = texts(f"model.{name}", order=baseline.get("order", "?"))
            rows.append([text(label), perplexity(baseline["ppl"]), *none, NOTHING, NOTHING])
    for model in corpus["models"]:
        runs = [run[part] for run in model["seeds"]]
        ratios = spread((run["ppl_ratio_to_kneser_ney"] or {}).get("ratio") for run in runs)
        sees = model["context"]
        rows.append(
            [
                text(model_label(model["arch"])),
                *(spread_cell(spread(run[name] for run in runs), rounded) for name in FIGURES),
                spread_cell(ratios, lambda value: fixed(value, 3)),
                text(texts("model.unbounded") if sees is None else texts("model.sees", n=sees)),
            ]
        )
    seeds = len(corpus["models"][0]["seeds"])
    values = {"part": texts(f"part.{part}"), "seeds": seeds}
    kind = "perplexity" if seeds > 1 else "perplexity_one"
    reason = ledger.get("oov_adjusted_reason")
    note = texts("perplexity.unadjusted", reason=reason) if reason else ""
    return [
        _table(f"{corpus['key']}-perplexity", texts, kind, rows, values=values, note=note),
        _run_table(corpus, texts),
    ]


def _run_table(corpus: Corpus, texts: Texts) -> Table:
    rows = [
        [
            text(model_label(model["arch"])),
            whole(run["seed"]),
            text(texts(f"part.{part}")),
            *(perplexity(run[part][name]) for name in FIGURES),
            _interval((run[part]["ppl_ratio_to_kneser_ney"] or {})),
            text(run["run"], code=True),
        ]
        for part in ("valid", "test")
        for model in corpus["models"]
        for run in model["seeds"]
        if run[part]
    ]
    return _table(f"{corpus['key']}-run-table", texts, "runs", rows, folded=True)


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
    return _table(f"{corpus['key']}-cost", texts, "cost", rows)


def comparison_tables(corpus: Corpus, texts: Texts) -> list[Table]:
    """The spaces pair by pair with the noise floor; words that differ most; folded, every pair."""
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
    tables = [_table(f"{key}-spaces", texts, "spaces", rows, values=values)] if rows else []
    for number, record in enumerate(comparison["most_different_words"]):
        if record["words"]:
            names = {"a": model_label(record["a"]), "b": model_label(record["b"])}
            different = [
                [word(w["word"]), decimal(w["floor"], 3), decimal(w["between"], 3)]
                for w in record["words"]
            ]
            tables.append(
                _table(f"{key}-different-{number}", texts, "different", different, values=names)
            )
    return [*tables, _pair_table(corpus, texts)]


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
    return _table(f"{corpus['key']}-pairs", texts, "pairs", rows, folded=True)
