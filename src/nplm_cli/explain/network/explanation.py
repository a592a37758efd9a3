"""One prediction of a network as a record: numbers and words alone, in full."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.explain.network.attribution import attributions
from nplm_cli.explain.network.layers import trace
from nplm_cli.explain.network.output_layer import choices
from nplm_cli.explain.network.reading import Reading, open_network
from nplm_cli.explain.places import place_records
from nplm_cli.explain.words import Ranked, asked_ids
from nplm_cli.query.predict import Prompt
from nplm_cli.query.run import Run


def explain_network(run: Run, prompt: Prompt, words: Sequence[str], k: int) -> dict[str, Any]:
    """Explain what a network says after a text; the first of the words has its units explained."""
    asked = asked_ids(run, words)
    model = open_network(run)
    reading = Reading(model, prompt.ids)
    groups = _groups(reading)
    x_SE = reading.vectors().requires_grad_()
    traced = trace(reading, x_SE)
    log_p_V = reading.log_probs(traced.output_D)
    adaptive = len(model.config.softmax_bounds(len(run.vocabulary))) > 1
    logits_V = None if adaptive else model.logits(reading.output_D).numpy()
    ranked = Ranked(run, log_p_V.detach().numpy(), logits_V)
    explained = [ranked.record(i) for i in ranked.explained(asked)]
    units = [layer.units for layer in traced.layers if layer.units is not None]
    gradients = iter(
        torch.autograd.grad(log_p_V[explained[0]["id"]], units, allow_unused=True) if units else ()
    )
    for layer in traced.layers:
        if layer.units is not None:
            gradient = next(gradients)
            product = layer.units * (0 if gradient is None else gradient)
            layer.record["influence"] = product.detach().flatten().tolist()

    tokens = [None] * (1 + reading.padding) + list(prompt.tokens)
    tokens = tokens[len(tokens) - len(reading.ids) :]
    firsts = [group[-1] for group in groups]
    places = place_records(run, [tokens[s] for s in firsts], [reading.ids[s] for s in firsts])
    vectors_SE = reading.vectors()
    for place, group in zip(places, groups, strict=True):
        vector = vectors_SE[group[-1]]
        place |= {"positions": len(group), "length": float(vector.norm())}
        place["vector"] = vector.tolist()
    for word in explained:
        word["choices"] = choices(model, reading.output_D, word["id"])
    own = ARCHITECTURES[run.arch].settings & {f.name for f in dataclasses.fields(model.config)}
    return {
        "settings": {name: getattr(model.config, name) for name in sorted(own)},
        "read": 1 + len(prompt.ids),
        "out_of_sight": reading.out_of_sight,
        "padding": reading.padding,
        "places": places,
        "groups": groups,
        "layers": [layer.record for layer in traced.layers],
        "output_state": reading.output_D.tolist(),
        "projected": model.encoder.projection is not None,
        "predictions": ranked.top(k),
        "asked": ranked.asked(asked),
        "explained": explained,
        "attribution": attributions(reading, explained, places, groups),
    }


def _groups(reading: Reading) -> list[list[int]]:
    """Positions of each place; all of the padding before a window is one place together."""
    config = reading.model.config
    near = config.order - 1 if config.arch == "ffn" else len(reading.ids)
    first_near = len(reading.ids) - near
    # Padding beyond the window, which only a far context sees, is alike at every place.
    alike = min(first_near, reading.padding)
    groups = [list(range(alike))] if alike else []
    assert all(i == EOS_ID for i in reading.ids[:alike])
    return groups + [[s] for s in range(alike, len(reading.ids))]
