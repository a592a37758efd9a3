"""The ledger as a table: figures beside the baselines that give them a meaning."""

from typing import Any

from nplm_cli.cli import output
from nplm_cli.cli.adaptation import cache_text

ROWS = (
    ("ppl", "with </s>, exact softmax"),
    ("ppl_without_eos", "words alone"),
    ("ppl_excluding_oov", "known words and </s>"),
    ("ppl_oov_adjusted", "each <unk> shared out over the words it stands for"),
    ("bits_per_char", "of the adjusted likelihood: comparable across vocabularies"),
    ("nll_nats_total", ""),
    ("words", ""),
    ("sentences", ""),
    ("predictions", "words and one </s> a sentence"),
    ("oov", "unknown words"),
    ("oov_share", "of the words"),
)


def ledger_rows(ledger: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """Figure, value and remark of each line."""
    remarks = dict(ROWS)
    if ledger["oov_adjusted_reason"]:
        remarks["ppl_oov_adjusted"] = ledger["oov_adjusted_reason"]
        remarks["bits_per_char"] = "needs ppl_oov_adjusted"
    order = "unbounded" if ledger["order"] is None else f"order {ledger['order']}"
    if ledger["stride"] is not None:
        order += f", window moved by {ledger['stride']}"
    rows: list[tuple[str, Any, str]] = [
        ("context", ledger["context"], f"each prediction's history; {order}")
    ]
    rows += adaptation_rows(ledger)
    rows += [(name, ledger[name], remarks[name]) for name, _ in ROWS]
    if ledger["zero_probability"]:
        rows.append(("zero_probability", ledger["zero_probability"], "predictions given p = 0"))
    baselines = ledger["baselines"]
    if baselines:
        rows += [
            ("always_unk_accuracy", baselines["always_unk_accuracy"], "who always answers <unk>"),
            ("unigram ppl", baselines["unigram"]["ppl"], "baseline"),
            (
                "kneser_ney ppl",
                baselines["kneser_ney"]["ppl"],
                f"baseline of order {baselines['kneser_ney']['order']}",
            ),
        ]
    log_z = ledger.get("self_normalisation")
    if log_z:
        remark = f"sum Z of the scores' exponentials: deviation {log_z['log_z_sd']:.3g}, "
        remark += f"at most {log_z['log_z_abs_max']:.3g} from 0; the figures above are exact"
        rows.append(("log_z_mean", log_z["log_z_mean"], remark))
    ratio = ledger["ppl_ratio_to_kneser_ney"]
    if ratio:
        interval = ratio["interval_95"]
        remark = "below 1: better than the baseline"
        if interval:
            remark = f"95 % interval {interval[0]:.3f} to {interval[1]:.3f}; {remark}"
        rows.append(("ppl_ratio_to_kneser_ney", ratio["ratio"], remark))
    return rows


def adaptation_rows(ledger: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """What besides a single model gave the figures: components, caches, dynamic evaluation."""
    rows: list[tuple[str, Any, str]] = [
        (f"component {c['component']}", c["weight"], f"weight of {c['arch']}, {c['run']}")
        for c in ledger["mixture"] or ()
    ]
    rows += [
        (f"cache {c['kind']}", c["weight"], f"weight of {cache_text(c)}; runs over each whole file")
        for c in ledger["caches"] or ()
    ]
    if ledger["dynamic"]:
        dynamic = ledger["dynamic"]
        remark = (
            f"rate at which the weights follow each file, decay {dynamic['decay']:g}, "
            f"{dynamic['segment']:,} words a step; scale of the gradients: {dynamic['statistics']}"
        )
        rows.append(("dynamic evaluation", dynamic["lr"], remark))
    return rows


def write_ledger(ledger: dict[str, Any], title: str) -> None:
    """Write one ledger."""
    output.write_table(["figure", "value", "remark"], ledger_rows(ledger), title=title)


def write_report(report: dict[str, Any]) -> None:
    """Write the ledgers of validation and test side by side in one table."""
    parts = [name for name in ("valid", "test") if report[name]]
    if not parts:
        output.note("no validation or test text: no ledger")
        return
    tables = [ledger_rows(report[name]) for name in parts]
    values = [{row[0]: row[1] for row in table} for table in tables]
    output.write_table(
        ["figure", *parts, "remark"],
        [[name, *(column.get(name) for column in values), remark] for name, _, remark in tables[0]],
        title=f"{report['run']} ({report['arch']})",
    )
