"""Out of what a logit is made: the bias and, unit by unit, weight times state.

Shape suffixes: D what a softmax reads, V its words.
"""

from typing import Any

import torch
from torch import Tensor

from nplm_cli.models.base import LanguageModel


@torch.no_grad()
def choices(model: LanguageModel, output_D: Tensor, word: int) -> list[dict[str, Any]]:
    """The choices that make up the prediction of a word: one, or two where it is in a cluster.

    Each has the ``logit`` = ``bias`` + sum of ``contributions`` (weight times state, a unit each),
    ``log_z`` = ln sum exp of all logits of its softmax and ``logprob_e`` = logit - log_z; those of
    the choices add up to ln p of the word.
    """
    found = []
    for number, choice in enumerate(model.softmaxes(output_D[None], torch.tensor([word]))):
        target, state_D = int(choice.targets_M[0]), choice.hidden_MD[0]
        row_D = choice.weight_VD[target]
        logits_V = torch.nn.functional.linear(state_D, choice.weight_VD, choice.bias_V)
        bias = 0.0 if choice.bias_V is None else float(choice.bias_V[target])
        found.append(
            {
                "of": "words" if number else _of_first(model, word),
                "logit": float(logits_V[target]),
                "log_z": float(logits_V.logsumexp(0)),
                "logprob_e": float(logits_V.log_softmax(0)[target]),
                "bias": bias,
                "state": state_D.tolist(),
                "weights": row_D.tolist(),
                "contributions": (state_D * row_D).tolist(),
            }
        )
    return found


def _of_first(model: LanguageModel, word: int) -> str:
    bounds = model.config.softmax_bounds(len(model.embedding.weight))
    return "words" if len(bounds) == 1 else "head" if word < bounds[0] else "cluster"
