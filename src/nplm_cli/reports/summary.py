"""Figures that the report derives from the results: means, ranges, which neighbours are stable."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from nplm_cli.reports.texts import Texts

LABELS = {
    "ffn": "FNN",
    "rnn": "RNN",
    "gru": "GRU",
    "lstm": "LSTM",
    "attention": "Attention",
    "transformer": "Transformer",
    "ngram": "N-gram",
}


def model_label(arch: str) -> str:
    """Name of an architecture as the homework writes it; a group keeps its number (FNN-2)."""
    name, dash, number = arch.partition("-")
    return LABELS.get(name, name) + dash + number


def corpus_label(corpus: dict[str, Any], results: dict[str, Any], texts: Texts) -> str:
    """Name of a corpus; with its language where there are two, whose files may share a name."""
    if len(results["corpora"]) == 1:
        return str(corpus["name"])
    language = texts.named("language", corpus["lang"])
    return texts("corpus", name=corpus["name"], language=language)


class Spread(NamedTuple):
    """Mean, smallest and largest value of several seeds."""

    mean: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """From the smallest to the largest."""
        return self.high - self.low


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean and range of the values that are there; None where there is none."""
    found = [float(value) for value in values if value is not None]
    return Spread(sum(found) / len(found), min(found), max(found)) if found else None


def held_out_part(corpus: dict[str, Any]) -> str | None:
    """The part whose figures are the result: test, else valid, else None; every run has it."""
    runs = [run for model in corpus["models"] for run in model["seeds"]]
    return next((p for p in ("test", "valid") if runs and all(run[p] for run in runs)), None)


def first_ledger(corpus: dict[str, Any]) -> dict[str, Any] | None:
    """A ledger of the held-out part: its baselines are the same for every run."""
    part = held_out_part(corpus)
    ledger: dict[str, Any] | None = corpus["models"][0]["seeds"][0][part] if part else None
    return ledger


def perplexities(corpus: dict[str, Any]) -> dict[str, Spread]:
    """Perplexity on the held-out part by architecture."""
    part = held_out_part(corpus)
    found = {
        model["arch"]: spread(run[part]["ppl"] for run in model["seeds"])
        for model in corpus["models"]
        if part
    }
    return {arch: value for arch, value in found.items() if value is not None}


def unstable(in_seeds: int, seeds: int) -> bool:
    """Whether a neighbour is among the k nearest in at most half of the seeds' models.

    Never with one seed: nothing is known about noise then.
    """
    return seeds > 1 and 2 * in_seeds <= seeds


def dots(in_seeds: int, seeds: int) -> str:
    """``●●○``: in two of three seeds' models. Empty with one seed."""
    return "●" * in_seeds + "○" * (seeds - in_seeds) if seeds > 1 else ""


def unstable_share(corpus: dict[str, Any], arch: str, seeds: int) -> float | None:
    """Share of the listed neighbours of a model that are unstable; None where none is listed."""
    found = [n for query in corpus["neighbors"] for n in query["lists"].get(arch, [])]
    if not found or seeds < 2:
        return None
    return sum(unstable(n["seeds"], seeds) for n in found) / len(found)


def query_blocks(corpus: dict[str, Any], archs: list[str], seeds: int) -> list[dict[str, Any]]:
    """The queries with their lists, each neighbour with the id of its pair (query, neighbour).

    The same neighbour in several lists is one pair: a judgement is about the pair. The ids are
    numbers in the order of this page; only words name a pair in another one.
    """
    blocks = []
    for number, query in enumerate(corpus["neighbors"]):
        ids: dict[str, str] = {}
        lists = []
        for arch in archs:
            rows = []
            for neighbor in query["lists"].get(arch, []):
                pair = ids.setdefault(neighbor["word"], f"{corpus['key']}-{number}-{len(ids)}")
                rows.append(
                    {
                        **neighbor,
                        "pair": pair,
                        "dots": dots(neighbor["seeds"], seeds),
                        "unstable": unstable(neighbor["seeds"], seeds),
                    }
                )
            lists.append({"arch": arch, "label": model_label(arch), "rows": rows})
        blocks.append(
            {
                **{key: query[key] for key in ("word", "count", "rank")},
                "id": f"{corpus['key']}-{number}",
                "lists": lists,
                "pairs": {pair: word for word, pair in ids.items()},
            }
        )
    return blocks
