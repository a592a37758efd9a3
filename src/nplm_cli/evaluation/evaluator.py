"""Exact negative log-likelihoods of whole parts with a torch model."""

from collections.abc import Callable

import numpy as np
import torch

from nplm_cli.config import Context
from nplm_cli.corpus.batches import scoring_batches
from nplm_cli.corpus.shards import Part
from nplm_cli.models.base import LanguageModel


@torch.no_grad()
def evaluate(
    model: LanguageModel,
    part: Part,
    context: Context,
    *,
    on_progress: Callable[[int], None] | None = None,
    on_states: Callable[[np.ndarray, np.ndarray], None] | None = None,
) -> np.ndarray:
    """Nats of every prediction of a part, aligned with ``part.ids_N`` (float64).

    Exact softmax, dropout off, weights in fp32; padding is never scored, and the result does
    not depend on how the part is batched. ``on_states`` gets positions (N,) and what the output
    layer read there (N, D), a batch at a time.
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
        hidden_ND = hidden_BTD[torch.from_numpy(counted).to(device)]
        if on_states is not None:
            on_states(positions, hidden_ND.cpu().numpy())
        targets_N = torch.from_numpy(batch.targets_BT[counted]).to(device)
        nll = model.prediction_nll(hidden_ND, targets_N)
        nll_N[positions] = nll.double().cpu().numpy()
        done += len(positions)
        if on_progress is not None:
            on_progress(done)
    model.train(was_training)
    return nll_N
