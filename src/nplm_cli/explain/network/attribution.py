"""Which word of the context moved the prediction: two answers that need not agree.

    occlusion          ln p(w) with the word read as <unk>, less ln p(w) as it is
    gradient           the length of g = d ln p(w) / d x, x the vector of the word
    gradient x input   g . x: to first order, how much of ln p would go with the vector

(occlusion: Zeiler & Fergus 2014; gradient times input: Shrikumar et al. 2016.)

Shape suffixes: S places in sight, E word vectors, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nplm_cli.corpus.vocabulary import UNK_ID
from nplm_cli.explain.network.reading import Reading
from nplm_cli.explain.places import attributed


def attributions(
    reading: Reading,
    words: Sequence[dict[str, Any]],
    places: Sequence[dict[str, Any]],
    groups: Sequence[Sequence[int]],
) -> list[dict[str, Any]]:
    """What each place, a group of positions in sight, did to ln p of each of some words."""
    ids = [word["id"] for word in words]
    changed = reading.without(groups, ids)
    x_SE = reading.vectors()
    found = []
    for column, word in enumerate(words):
        g_SE = word_gradient(reading, word["id"])
        products_S = (g_SE * x_SE).sum(1)
        occluded = (changed[:, column] - word["logprob_e"]).tolist()
        figures: dict[str, list[float | None]] = {
            "occlusion": [
                None if place["id"] == UNK_ID else change
                for place, change in zip(places, occluded, strict=True)
            ],
            "gradient": [float(g_SE[list(group)].norm()) for group in groups],
            "gradient_x_input": [float(products_S[list(group)].sum()) for group in groups],
        }
        found.append(attributed(word, places, figures))
    return found


def word_gradient(reading: Reading, word: int) -> Tensor:
    """d ln p(word) / dx (S, E) of the vectors in sight."""
    x_SE = reading.vectors().requires_grad_()
    log_p_V = reading.log_probs(reading.output(x_SE[None])[0])
    (gradient_SE,) = torch.autograd.grad(log_p_V[word], x_SE)
    return gradient_SE
