"""One prediction of a mixture: what each component and cache says, and how much that weighs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.explain.places import attributed, occlusion_by_reading, place_records
from nplm_cli.explain.words import Ranked, asked_ids
from nplm_cli.query.cache_use import CacheUse
from nplm_cli.query.mixture import MixScorer, mixed_log_probs
from nplm_cli.query.predict import Prompt
from nplm_cli.query.run import Run


def explain_mixture(
    run: Run, prompt: Prompt, words: Sequence[str], k: int, use: CacheUse
) -> dict[str, Any]:
    """Explain what a mixture says after a text, as ``explain`` promises."""
    asked = asked_ids(run, words)
    scorer = use.open()
    assert isinstance(scorer, MixScorer)
    log_p_KV = scorer.component_log_probs(prompt.ids)
    ranked = Ranked(run, mixed_log_probs(log_p_KV, scorer.weights))
    there = ~np.isnan(log_p_KV[:, 0])  # an empty cache leaves its weight to the others
    weights = np.where(there, scorer.weights, 0.0) / np.array(scorer.weights)[there].sum()
    explained = [ranked.record(i) for i in ranked.explained(asked)]
    read = [EOS_ID, *prompt.ids]
    places = place_records(run, [None, *prompt.tokens], read)
    attribution = []
    ids = [word["id"] for word in explained]
    changes = occlusion_by_reading(scorer.next_log_probs, prompt.ids, ids)
    for word, changed in zip(explained, changes, strict=True):
        attribution.append(attributed(word, places, {"occlusion": [None, *changed]}))
        p_K = [float(np.exp(row[word["id"]])) if here else None for row, here in _rows(log_p_KV)]
        word["parts"] = [
            {"probability": p, "adds": None if p is None else float(weight) * p}
            for p, weight in zip(p_K, weights, strict=True)
        ]
    return {
        "read": len(read),
        "out_of_sight": 0,
        "places": places,
        "components": _components(run, scorer, weights.tolist()),
        "predictions": ranked.top(k),
        "asked": ranked.asked(asked),
        "explained": explained,
        "attribution": attribution,
    }


def _rows(log_p_KV: np.ndarray) -> list[tuple[np.ndarray, bool]]:
    return [(row_V, not bool(np.isnan(row_V[0]))) for row_V in log_p_KV]


def _components(run: Run, scorer: MixScorer, weights: Sequence[float]) -> list[dict[str, Any]]:
    """Components, then the caches that take part, with the weights that they have here."""
    assert run.mixture is not None
    made_of: list[dict[str, Any]] = [
        {"what": was.arch, "run": was.run, "folder": str(component.folder)}
        for component, was in zip(run.components, run.mixture.components, strict=True)
    ]
    made_of += [{"what": str(cache), "run": None, "folder": None} for cache in scorer.caches]
    return [part | {"weight": weight} for part, weight in zip(made_of, weights, strict=True)]
