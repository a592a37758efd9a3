"""One prediction of a count model: the way back through shorter and shorter contexts."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.explain.places import attributed, occlusion_by_reading, place_records
from nplm_cli.explain.words import Ranked, asked_ids
from nplm_cli.ngram.backoff_path import Order, backoff_path
from nplm_cli.ngram.model import NgramModel
from nplm_cli.query.predict import Prompt
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import NgramScorer
from nplm_cli.query.stored_models import open_ngram


def explain_counts(run: Run, prompt: Prompt, words: Sequence[str], k: int) -> dict[str, Any]:
    """Explain what a count model says after a text, as ``explain`` promises."""
    asked = asked_ids(run, words)
    model = open_ngram(run.weights_path, len(run.vocabulary))
    scorer = NgramScorer(model)
    read = [EOS_ID, *prompt.ids]
    ranked = Ranked(run, scorer.next_log_probs(prompt.ids))
    explained = [ranked.record(i) for i in ranked.explained(asked)]
    in_sight = min(len(read), model.order - 1)
    tokens = [None, *prompt.tokens][len(read) - in_sight :]
    places = place_records(run, tokens, read[len(read) - in_sight :])
    # The boundary is no word that could be another one: the first place of a sentence.
    words_in_sight = min(in_sight, len(prompt.ids))
    before = len(prompt.ids) - words_in_sight
    attribution = []
    ids = [word["id"] for word in explained]
    changes = occlusion_by_reading(scorer.next_log_probs, prompt.ids, ids)
    for word, changed in zip(explained, changes, strict=True):
        figures = {"occlusion": [None] * (in_sight - words_in_sight) + changed[before:]}
        attribution.append(attributed(word, places, figures))
        word |= _path(run, model, read, word["id"])
    return {
        "read": len(read),
        "out_of_sight": len(read) - in_sight,
        "places": places,
        "smoothing": model.smoothing,
        "order": model.order,
        "k": model.k,
        "predictions": ranked.top(k),
        "asked": ranked.asked(asked),
        "explained": explained,
        "attribution": attribution,
    }


def _path(run: Run, model: NgramModel, read: Sequence[int], word: int) -> dict[str, Any]:
    names = run.vocabulary.tokens
    if model.smoothing != "kn":
        window = model.window(read)
        following = model.continuations(window)[1]
        return {
            "history": [names[i] for i in window],
            "count": model.count([*window, word]),
            "of": int(following.sum()),
        }
    weight, orders = 1.0, []
    for level in reversed(backoff_path(model, read, word)):
        orders.append(_order(level, weight, names))
        weight *= level.backoff
    uniform = {"weight": weight, "probability": 1 / model.vocab_size}
    return {"orders": orders, "uniform": uniform | {"adds": weight / model.vocab_size}}


def _order(level: Order, weight: float, names: Sequence[str]) -> dict[str, Any]:
    record = dataclasses.asdict(level) | {"history": [names[i] for i in level.history]}
    return record | {"weight": weight, "adds": weight * level.own}
