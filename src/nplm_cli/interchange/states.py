"""What the output layer of a network reads at places of a text, in any order.

A window model (without a far context) is asked anew at each place. Any other network reads the
sentences once, and what it hands to the output layer waits in a temporary file without a name.

Shape suffixes: T tokens, B places asked for at once, V vocabulary, D what the output layer reads.
"""

import tempfile
from collections.abc import Callable
from typing import Protocol

import numpy as np

from nplm_cli.corpus.batches import scoring_batches
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.query.output import no_warnings
from nplm_cli.query.scorer import BATCH_TOKENS, NeuralScorer

OnDone = Callable[[int], None]


class States(Protocol):
    """States of a text by place."""

    def at(self, places_B: np.ndarray) -> np.ndarray:
        """What the output layer reads (B, D) before it predicts these tokens."""


class WindowStates:
    """Of a network that sees the last n - 1 words alone."""

    def __init__(self, scorer: NeuralScorer, ids_T: np.ndarray, starts: np.ndarray):
        self.scorer, self.ids_T = scorer, ids_T
        self.seen = (scorer.order or 1) - 1
        self.first_T = np.repeat(starts[:-1], np.diff(starts))

    def at(self, places_B: np.ndarray) -> np.ndarray:
        """Read the windows before these tokens; ``</s>`` stands before a sentence."""
        columns = places_B[:, None] - np.arange(self.seen, 0, -1)
        inside = columns >= self.first_T[places_B][:, None]
        ids_BS = np.where(inside, self.ids_T[np.maximum(columns, 0)], EOS_ID).astype(np.int64)
        # One more id, out of sight, as in the state of a text that is read on.
        before = np.pad(ids_BS[:, :-1], ((0, 0), (1, 0)), constant_values=EOS_ID)
        hidden_BTD, _ = self.scorer.read(ids_BS[:, -1:], (before,))
        return hidden_BTD[:, 0]


class StoredStates:
    """Of any network, float32 in a temporary file."""

    def __init__(self, scorer: NeuralScorer, part: Part, on_done: OnDone):
        with tempfile.TemporaryFile() as file:
            shape = (part.predictions, scorer.width)
            self.states_TD = np.memmap(file, np.float32, "w+", shape=shape)
        done = 0
        for batch, positions in scoring_batches(part, "sentence", BATCH_TOKENS):
            hidden_BTD, _ = scorer.read(batch.ids_BT)
            self.states_TD[positions] = hidden_BTD[batch.targets_BT >= 0]
            done += len(positions)
            on_done(done)

    def at(self, places_B: np.ndarray) -> np.ndarray:
        """Look them up."""
        return np.asarray(self.states_TD[places_B])


def open_states(scorer: NeuralScorer, part: Part, on_done: OnDone) -> States:
    """States of a part whose sentences are read one by one, by the cheaper way."""
    if scorer.config.arch == "ffn" and not scorer.config.far:
        return WindowStates(scorer, np.asarray(part.ids_N), np.asarray(part.starts))
    return StoredStates(scorer, part, on_done)


def probabilities(scorer: NeuralScorer, hidden_BD: np.ndarray) -> np.ndarray:
    """p(w | h) (B, V), float32; each row sums to 1 as far as float32 tells."""
    output = scorer.output
    if output.tails:
        return np.exp(output.log_probs(hidden_BD)).astype(np.float32)
    with no_warnings():
        p_BV = output.head.logits(hidden_BD)
        p_BV -= p_BV.max(axis=1, keepdims=True)
        np.exp(p_BV, out=p_BV)
        p_BV /= p_BV.sum(axis=1, keepdims=True)
    return p_BV
