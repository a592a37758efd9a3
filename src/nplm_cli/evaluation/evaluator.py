"""Exact negative log-likelihoods of whole parts with a torch model."""

from collections.abc import Callable

import numpy as np
import torch

from nplm_cli.config import Context
from nplm_cli.corpus.batches import scoring_batches
from nplm_cli.corpus.shards import Part
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.output import prediction_nll


@torch.no_grad()
def evaluate(
    model: LanguageModel,
    part: Part,
    context: Context,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Nats of every prediction of a part, aligned with ``part.ids_N`` (float64).

    Exact softmax, dropout off, weights in fp32; padding is never scored, and the result does
    not depend on how the part is batched.
    """
    device = model.embedding.weight.device
    was_training = model.training
    model.eval()
    nll_N = np.zeros(part.predictions)
    state = None
    done = 0
    for batch, positions in scoring_batches(part, context):
        state = model.carried_state(state, torch.from_numpy(batch.fresh_B).to(device))
        hidden_BTD, state = model(torch.from_numpy(batch.ids_BT).to(device), state)
        counted = batch.targets_BT >= 0
        nll = prediction_nll(
            hidden_BTD[torch.from_numpy(counted).to(device)],
            model.output_weight,
            model.output.bias,
            torch.from_numpy(batch.targets_BT[counted]).to(device),
        )
        nll_N[positions] = nll.double().cpu().numpy()
        done += len(positions)
        if on_progress is not None:
            on_progress(done)
    model.train(was_training)
    return nll_N
