"""Whether config.json and report.json of a run are what nplm wrote."""

from typing import Any

from nplm_cli.artifacts import is_count, is_figure

# What config.json says of each part of the text.
PART_COUNTS = ("sentences", "words", "predictions", "oov", "characters")


def is_record(record: dict[str, Any]) -> bool:
    """Whether the parts of config.json that are no settings have the right types."""
    data, environment = record.get("data"), record.get("environment")
    if not isinstance(data, dict) or not isinstance(environment, dict):
        return False
    types, parts, threads = data.get("unk_types"), data.get("parts"), environment.get("threads")
    if not isinstance(parts, dict) or not (type(threads) is int and 0 < threads < 10_000):
        return False
    return (types is None or (is_count(types) and types > 0)) and all(
        isinstance(counts, dict) and all(is_count(counts.get(k)) for k in PART_COUNTS)
        for counts in parts.values()
    )


def is_report(report: object) -> bool:
    """Whether what others read of a report.json is there, in the right types."""
    if not isinstance(report, dict) or not {"training", "valid", "test"} <= set(report):
        return False
    training = report["training"]
    if not isinstance(training, dict):
        return False
    for key in ("seconds", "tokens"):
        if training.get(key) is not None and not is_figure(training[key]):
            return False
    return all(report[name] is None or _is_ledger(report[name]) for name in ("valid", "test"))


def _is_ledger(ledger: object) -> bool:
    """Whether the figures that are read of a stored ledger are there."""
    if not isinstance(ledger, dict) or not {"ppl", "baselines"} <= set(ledger):
        return False
    figures, baselines = [ledger["ppl"]], ledger["baselines"]
    if baselines is not None:
        if not isinstance(baselines, dict) or not isinstance(baselines.get("kneser_ney"), dict):
            return False
        figures.append(baselines["kneser_ney"].get("ppl", ""))
    return all(figure is None or is_figure(figure) for figure in figures)
