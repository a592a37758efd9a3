"""The ledger: every figure that a perplexity needs beside it. The only place that divides.

All perplexities are exp of a mean negative log-likelihood in nats, over words and one ``</s>`` a
sentence unless the name says otherwise (docs/conventions.md). Sums are in float64.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nplm_cli.config import Context
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID
from nplm_cli.evaluation.significance import paired_bootstrap_ratio

SCHEMA = 1
# Above this share of unknown words a raw perplexity says little; the reader is told.
OOV_WARNING_SHARE = 0.05


@dataclass(frozen=True)
class Baselines:
    """Nats of the same predictions under the simple models, aligned with ``part.ids_N``."""

    unigram_N: np.ndarray
    kneser_ney_N: np.ndarray
    kneser_ney_order: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnknownTypes:
    """How many word types ``<unk>`` stands for in training; None with the reason."""

    types: int | None
    reason: str | None


def perplexity(nats: float, predictions: int) -> float | None:
    """exp(nats / predictions); None where nothing is predicted or the model excluded the text."""
    if not predictions or not math.isfinite(nats):
        return None
    mean = nats / predictions
    return math.exp(mean) if mean < 700 else None


def _figures(part: Part, nll_N: np.ndarray, unknown: UnknownTypes) -> dict[str, float | None]:
    """Perplexity in its readings, and bits per character; None where there is no such figure."""
    ids_N = np.asarray(part.ids_N)
    is_oov, is_eos = ids_N == UNK_ID, ids_N == EOS_ID
    total, oov, predictions = float(nll_N.sum()), int(is_oov.sum()), part.predictions
    adjusted = None
    if unknown.types is not None:
        adjusted = total + oov * math.log(unknown.types)
    elif not oov:
        adjusted = total
    without_eos = total - float(nll_N[is_eos].sum()) if math.isfinite(total) else None
    characters = part.characters + part.sentences
    return {
        "ppl": perplexity(total, predictions),
        "ppl_without_eos": None if without_eos is None else perplexity(without_eos, part.words),
        "ppl_excluding_oov": perplexity(float(nll_N[~is_oov].sum()), predictions - oov),
        "ppl_oov_adjusted": None if adjusted is None else perplexity(adjusted, predictions),
        "bits_per_char": (
            None
            if adjusted is None or not characters or not math.isfinite(adjusted)
            else adjusted / math.log(2) / characters
        ),
    }


def ledger(
    part: Part,
    nll_N: np.ndarray,
    *,
    context: Context,
    order: int | None,
    unknown: UnknownTypes,
    stride: int | None = None,
    baselines: Baselines | None = None,
    seed: int = 1,
) -> dict[str, Any]:
    """Add up the nats of each prediction into the ledger, with the keys of the JSON output.

    ``stride`` is by how many words a full attention window moves on (None for other models).
    Keys are None where a figure does not exist; ``oov_adjusted_reason`` then says why. With
    ``baselines`` the same text is added up under them, and the ratio to Kneser-Ney carries a
    paired-bootstrap interval over sentences.
    """
    ids_N = np.asarray(part.ids_N)
    nll_N = np.asarray(nll_N, np.float64)
    total = float(nll_N.sum())
    oov = int((ids_N == UNK_ID).sum())
    words, sentences, predictions = part.words, part.sentences, part.predictions
    unadjusted = bool(oov) and unknown.types is None
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "context": context,
        "order": order,
        "stride": stride,
        "words": words,
        "sentences": sentences,
        "predictions": predictions,
        "oov": oov,
        "oov_share": oov / words if words else 0.0,
        "characters": part.characters,
        "nll_nats_total": total if math.isfinite(total) else None,
        "zero_probability": int(np.isinf(nll_N).sum()),
        **_figures(part, nll_N, unknown),
        "oov_adjusted_reason": unknown.reason if unadjusted else None,
        "baselines": None,
        "ppl_ratio_to_kneser_ney": None,
    }
    if baselines is not None:
        unigram = float(baselines.unigram_N.sum())
        kneser_ney = float(baselines.kneser_ney_N.sum())
        result["baselines"] = {
            "always_unk_accuracy": oov / predictions if predictions else 0.0,
            "unigram": {
                **_figures(part, baselines.unigram_N, unknown),
                "nll_nats_total": unigram,
                "order": 1,
            },
            "kneser_ney": {
                **_figures(part, baselines.kneser_ney_N, unknown),
                "nll_nats_total": kneser_ney,
                "order": baselines.kneser_ney_order,
            },
            "notes": list(baselines.notes),
        }
        if sentences and math.isfinite(total):
            starts = np.asarray(part.starts[:-1])
            ratio, interval = paired_bootstrap_ratio(
                np.add.reduceat(nll_N, starts),
                np.add.reduceat(baselines.kneser_ney_N, starts),
                np.diff(part.starts),
                random=np.random.default_rng(seed),
            )
            result["ppl_ratio_to_kneser_ney"] = {
                "ratio": ratio,
                "interval_95": None if interval is None else list(interval),
            }
    return result
