"""Scored runs in order: ranks, ratios to the best, a matrix of pairs with bootstrap intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nplm_cli.corpus.vocabulary import UNK_ID
from nplm_cli.evaluation.comparability import Comparability, ScoredText
from nplm_cli.evaluation.significance import bounded_exp, interval_95, resampled_sums


@dataclass(frozen=True)
class Entry:
    """A scored run: what is told about it, and its nats as sums over the bootstrap's draws.

    The sums (R,) of one resample belong to the same draw in all entries of as many sentences and
    the same seed; None where there are fewer than two sentences.
    """

    record: dict[str, Any]
    ledger: dict[str, Any]
    nats: float
    adjusted_nats: float
    predictions: int
    nats_R: np.ndarray | None
    adjusted_R: np.ndarray | None
    predictions_R: np.ndarray | None


def make_entry(
    record: dict[str, Any],
    ledger: dict[str, Any],
    text: ScoredText,
    nll_N: np.ndarray,
    unknown_types: int | None,
    *,
    resamples: int,
    seed: int,
) -> Entry:
    """Add up the nats (N,) by sentence, as they are and with each ``<unk>`` shared out.

    Shared out over T types an ``<unk>`` costs ln T nats more (the ledger's OOV adjustment).
    """
    starts = np.asarray(text.part.starts[:-1])
    nats_S = np.add.reduceat(nll_N, starts)
    unknown_S = np.add.reduceat((np.asarray(text.part.ids_N) == UNK_ID).astype(np.int64), starts)
    adjusted_S = nats_S + unknown_S * math.log(unknown_types or 1)
    totals = float(nats_S.sum()), float(adjusted_S.sum()), text.part.predictions
    if len(starts) < 2:
        return Entry(record, ledger, *totals, None, None, None)
    sums = resampled_sums(
        [nats_S, adjusted_S, text.lengths_S],
        random=np.random.default_rng(seed),
        resamples=resamples,
    )
    return Entry(record, ledger, *totals, *sums)


def rank(entries: Sequence[Entry], alike: Comparability) -> dict[str, Any]:
    """Return ranks, ratios to the best and the matrix of pairs; None with a reason where unlike.

    Equal figures share a rank. ``pairs[i][j]`` compares by perplexity where those two may be,
    even when all together may not. Nothing has a ratio to 0 bits a character.
    """
    by = alike.ranked_by
    pairs = [
        [_pair(a, b, alike.by(i, j)) for j, b in enumerate(entries)] for i, a in enumerate(entries)
    ]
    figures = [entry.ledger[by] if by else None for entry in entries]
    known = [figure for figure in figures if figure is not None]
    best = figures.index(min(known)) if known else None
    records = []
    for entry, figure in zip(entries, figures, strict=True):
        reason = _missing(entry.ledger, by) if by else None
        record = {
            **entry.record,
            "rank": None if figure is None else 1 + sum(other < figure for other in known),
            "ppl_ratio": None,
            "bits_per_char_ratio": None,
            "reason": reason or "; ".join(alike.reasons) or None,
            "ledger": entry.ledger,
        }
        if by and best is not None and figure is not None:
            pair = _pair(entry, entries[best], by)  # not pairs[i][best]: the two may be more alike
            record[f"{by}_ratio"] = {key: pair[key] for key in ("ratio", "interval_95")}
            if pair["reason"]:
                record["reason"] = "; ".join([*alike.reasons, pair["reason"]])
        records.append(record)
    return {
        "ranked_by": by if known else None,
        "best": None if best is None else entries[best].record["run"],
        "reasons": alike.reasons,
        "runs": records,
        "pairs": pairs,
    }


def _pair(a: Entry, b: Entry, by: str | None) -> dict[str, Any]:
    """The figure of a over the figure of b; of bits a character, the characters cancel out."""
    result: dict[str, Any] = {"by": by, "ratio": None, "interval_95": None, "reason": None}
    if by is None:
        result["reason"] = "unlike text, segmentation or context policy"
        return result
    result["reason"] = _missing(a.ledger, by) or _missing(b.ledger, by)
    if result["reason"]:
        return result
    drawn_R = None
    if by == "ppl":
        result["ratio"] = bounded_exp((a.nats - b.nats) / a.predictions)
        if a.nats_R is not None and b.nats_R is not None:
            drawn_R = (a.nats_R - b.nats_R) / a.predictions_R
    elif b.adjusted_nats <= 0:  # a sum of probabilities 1, perhaps rounded
        result["reason"] = f"{b.record['run']} has 0 bits per character: no ratio to it"
    else:
        result["ratio"] = a.adjusted_nats / b.adjusted_nats
        # A draw of only sentences that b knows for sure has no ratio: no percentiles either.
        if a.adjusted_R is not None and b.adjusted_R is not None and (b.adjusted_R > 0).all():
            drawn_R = a.adjusted_R / b.adjusted_R
    if drawn_R is not None:
        low, high = interval_95(drawn_R)
        result["interval_95"] = (
            [bounded_exp(low), bounded_exp(high)] if by == "ppl" else [low, high]
        )
    return result


def _missing(ledger: dict[str, Any], figure: str) -> str | None:
    """Why a run lacks the figure that ranks; None if it has it."""
    if ledger[figure] is not None:
        return None
    if ledger["zero_probability"]:
        return f"{ledger['zero_probability']:,} predictions have probability 0"
    if figure == "bits_per_char" and ledger["oov_adjusted_reason"]:
        return f"no adjusted bits per character: {ledger['oov_adjusted_reason']}"
    return "too large for a number"
