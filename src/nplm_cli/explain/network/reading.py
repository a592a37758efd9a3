"""A network reads the beginning of a sentence, and may be asked what else it would have read.

All in float64, with the weights of the run: a sum of parts is then the whole to twelve digits.

Shape suffixes: R readings, S places that a prediction sees, E word vectors, D what the output
layer reads, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID
from nplm_cli.errors import NplmError
from nplm_cli.models.attention import AttendingLM
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.feedforward import FeedforwardLM
from nplm_cli.models.recurrent import RecurrentLM
from nplm_cli.query.run import Run
from nplm_cli.training.checkpoints import load_network

# Numbers that are in memory at once when many readings are asked for.
NUMBERS = 8_000_000
# By how much, relative to the largest, two ways to the same numbers may differ in float64.
TOLERANCE = 1e-9


def open_network(run: Run) -> LanguageModel:
    """A run's network with its weights in float64; no weight asks for a gradient."""
    return load_network(run).double().eval().requires_grad_(False)


class Reading:
    """What a prediction sees after the boundary ``</s>`` and the first ids of a sentence.

    ``ids`` are those in sight, oldest first. A window model's window is always full: what stands
    before the text is ``</s>``, ``padding`` times. ``out_of_sight`` ids were read and are no
    longer seen.
    """

    def __init__(self, model: LanguageModel, history: Sequence[int]):
        self.model = model
        read = [EOS_ID, *history]
        with torch.no_grad():
            hidden_1TD, state = model(torch.tensor([read]), model.initial_state(1))
        self.output_D: Tensor = hidden_1TD[0, -1]
        seen = len(read)
        self.padding = 0
        if isinstance(model, FeedforwardLM):
            seen = model.config.order - 1 + model.config.far
            self.padding = max(0, seen - len(read))
        elif isinstance(model, AttendingLM):
            seen = int(state[0])
        self.ids = ([EOS_ID] * self.padding + read)[-seen:]
        self.out_of_sight = max(0, len(read) - seen)
        same_numbers(
            self.output(self.vectors()[None])[0], self.output_D, "reading what is in sight"
        )

    def vectors(self) -> Tensor:
        """The word vectors (S, E) of what is in sight."""
        return self.model.embedding.weight[self.ids]

    def output(self, x_RSE: Tensor) -> Tensor:
        """What the output layer reads (R, D) where these vectors are in sight."""
        model = self.model
        if isinstance(model, FeedforwardLM):
            hidden = model.encoder(x_RSE)
        elif isinstance(model, RecurrentLM):
            hidden, _ = model.encoder(x_RSE, model.initial_state(len(x_RSE)))
        else:
            hidden, _ = model.encoder(x_RSE, torch.arange(len(self.ids)), None, None)
        finished: Tensor = model.finish(hidden[:, -1])
        return finished

    def log_probs(self, output_D: Tensor) -> Tensor:
        """Natural log-probabilities (V,) of the next word."""
        return self.model.logits(output_D).log_softmax(-1)

    @torch.no_grad()
    def without(self, groups: Sequence[Sequence[int]], words: Sequence[int]) -> Tensor:
        """ln p (R, words) of some words when the places of each group are read as ``<unk>``."""
        x_SE = self.vectors()
        unknown_E = self.model.embedding.weight[UNK_ID]
        rows = max(1, NUMBERS // max(x_SE.numel(), len(self.model.embedding.weight)))
        found = []
        for begin in range(0, len(groups), rows):
            some = groups[begin : begin + rows]
            x_RSE = x_SE.repeat(len(some), 1, 1)
            for row, group in enumerate(some):
                x_RSE[row, list(group)] = unknown_E
            found.append(self.log_probs(self.output(x_RSE))[:, list(words)])
        return torch.cat(found)


def same_numbers(found: Tensor, expected: Tensor, what: str) -> None:
    """Raise NplmError unless two ways led to the same numbers."""
    size = max(1.0, float(expected.detach().abs().max()))
    if not float((found - expected).detach().abs().max()) <= TOLERANCE * size:
        raise NplmError(
            f"{what} gives other numbers than the model does: no explanation of this prediction "
            "would be true; please report it, with config.json of the run"
        )
