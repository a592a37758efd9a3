"""Exact negative log-likelihoods of whole parts with a torch model."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from nplm_cli.config import Context
from nplm_cli.corpus.batches import scoring_batches
from nplm_cli.corpus.shards import Part
from nplm_cli.models.base import LanguageModel
from nplm_cli.query.contexts import different_beginnings, different_windows

# Different windows of one batch, and predictions among which equal ones are looked for.
BATCH_TOKENS, SLAB_TOKENS = 8_192, 65_536

OnStates = Callable[[np.ndarray, np.ndarray], None]


@torch.no_grad()
def evaluate(
    model: LanguageModel,
    part: Part,
    context: Context,
    *,
    on_progress: Callable[[int], None] | None = None,
    on_states: OnStates | None = None,
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
    done = 0
    # Where products take the time, contexts that return are worked out once.
    once = device.type == "cpu" and on_states is None
    if once and model.config.arch == "ffn" and not model.config.far:
        batches = _windows(model, part, context)
    else:
        batches = _rows(model, part, context, on_states, once=once and context == "sentence")
    for positions, hidden_UD, rows_M in batches:
        targets_M = torch.from_numpy(part.ids_N[positions].astype(np.int64)).to(device)
        rows = None if rows_M is None else torch.from_numpy(rows_M)
        nll_N[positions] = model.prediction_nll(hidden_UD, targets_M, rows).double().cpu().numpy()
        done += len(positions)
        if on_progress is not None:
            on_progress(done)
    model.train(was_training)
    return nll_N


# Positions (M,), what the output layer reads (U, D), and the row of it that each position follows.
Hidden = Iterator[tuple[np.ndarray, torch.Tensor, np.ndarray | None]]


def _windows(model: LanguageModel, part: Part, context: Context) -> Hidden:
    """Each different window by itself, which needs no state."""
    size = model.config.order - 1
    for windows_UK, positions, rows_M in different_windows(
        part, context, size, SLAB_TOKENS, BATCH_TOKENS
    ):
        # A state is one word longer than what the next prediction sees of it.
        state = torch.from_numpy(np.pad(windows_UK[:, :-1], ((0, 0), (1, 0))))
        hidden_UTD, _ = model(torch.from_numpy(windows_UK[:, -1:].copy()), (state,))
        yield positions, hidden_UTD[:, 0], rows_M


def _rows(
    model: LanguageModel, part: Part, context: Context, on_states: OnStates | None, *, once: bool
) -> Hidden:
    """Rows of text; ``once``: sentences that begin with the same words share what follows them."""
    device = model.embedding.weight.device
    state = None
    for batch, positions in scoring_batches(part, context):
        state = model.carried_state(state, torch.from_numpy(batch.fresh_B).to(device))
        hidden_BTD, state = model(torch.from_numpy(batch.ids_BT).to(device), state)
        hidden_ND = hidden_BTD[torch.from_numpy(batch.targets_BT >= 0).to(device)]
        if on_states is not None:
            on_states(positions, hidden_ND.cpu().numpy())
        if once:
            first_U, rows_M = different_beginnings(batch)
            yield positions, hidden_ND[torch.from_numpy(first_U)], rows_M
        else:
            yield positions, hidden_ND, None
