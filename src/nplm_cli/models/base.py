"""The contract of every language model: embedding -> encoder -> output layer.

Shape suffixes: B rows of a batch, T positions, V vocabulary, E word vectors, H hidden units,
D width of what the output layer reads, N predictions in a row.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from nplm_cli.config import ModelConfig

# Whatever a model carries from one call to the next; a window model its last ids, an RNN h ...
State = tuple[Tensor, ...]


class LanguageModel(nn.Module, ABC):
    """Embedding, encoder and output layer; only the encoder differs between architectures.

    ``forward(ids_BT, state)`` returns ``(hidden_BTD, state)``; position t of the output predicts
    token t + 1 and has seen ids up to t. Feeding a text in pieces, with the state carried over,
    gives what feeding it at once gives. Weights are named ``embedding.weight``, ``encoder.*``,
    ``output.weight`` (absent when tied) and ``output.bias``.
    """

    context: int | None
    """How many previous tokens a prediction can see; None when unbounded."""

    def __init__(self, config: ModelConfig, vocabulary_size: int, dropout: float, width: int):
        """``width`` is the last axis of what ``forward`` returns."""
        super().__init__()
        self.config = config
        # skip_init: init_weights gives the values; torch's own would draw global random numbers.
        self.embedding = nn.utils.skip_init(nn.Embedding, vocabulary_size, config.dim)
        self.output = OutputLayer(vocabulary_size, width, tied=config.tie, bias=config.output_bias)
        self.dropout = Dropout(dropout)

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """State before the first token: the text starts after the boundary ``</s>``."""

    @abstractmethod
    def forward(self, ids_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Read ids and return the hidden states that the output layer reads."""

    def carried_state(self, state: State | None, fresh_B: Tensor) -> State:
        """Return the state that a batch starts from: the initial one in rows that are fresh.

        The batch is the first axis of every tensor of a state.
        """
        initial = self.initial_state(len(fresh_B))
        if state is None or bool(fresh_B.all()):
            return initial
        return tuple(
            torch.where(fresh_B.view(-1, *[1] * (old.ndim - 1)), new, old)
            for new, old in zip(initial, state, strict=True)
        )

    @property
    def output_weight(self) -> Tensor:
        """The output matrix, of shape (V, D): the word vectors themselves when tied."""
        return self.embedding.weight if self.output.weight is None else self.output.weight

    def logits(self, hidden: Tensor) -> Tensor:
        """Unnormalised log-probabilities (..., V) of hidden states (..., D)."""
        return nn.functional.linear(hidden, self.output_weight, self.output.bias)

    def init_weights(self, generator: torch.Generator) -> None:
        """Give every parameter its first value.

        ========== ==================================================================
        small      matrices: normal, standard deviation 1/sqrt(fan-in) (word vectors
                   0.1, output matrix 1/sqrt(10 D), so that the first loss is near
                   ln V); biases 0
        uniform01  all, biases too: uniform in 0..1
        gaussian01 all, biases too: normal of mean 0.5 and deviation 0.2, clipped to 0..1
        zero       all 0 (symmetry: hidden units stay equal for ever)
        ========== ==================================================================

        ``init_scale`` multiplies all of them.
        """
        kind, scale = self.config.init, self.config.init_scale
        with torch.no_grad():
            for name, parameter in sorted(self.named_parameters()):
                if kind == "zero":
                    parameter.zero_()
                elif kind == "uniform01":
                    parameter.uniform_(0, 1, generator=generator)
                elif kind == "gaussian01":
                    parameter.normal_(0.5, 0.2, generator=generator).clamp_(0, 1)
                elif parameter.ndim < 2:
                    parameter.zero_()
                else:
                    deviation = 1 / math.sqrt(parameter.shape[1])
                    if name == "embedding.weight":
                        deviation = 0.1
                    elif name == "output.weight":
                        deviation /= math.sqrt(10)
                    parameter.normal_(0, deviation, generator=generator)
                parameter.mul_(scale)

    def regularised(self) -> list[nn.Parameter]:
        """What L2 counts as a weight: every trained matrix, word vectors included; no bias."""
        return [p for p in self.parameters() if p.ndim >= 2 and p.requires_grad]


class OutputLayer(nn.Module):
    """Parameters of the output layer; ``weight`` is None when tied to the word vectors."""

    def __init__(self, vocabulary_size: int, width: int, *, tied: bool, bias: bool):
        super().__init__()
        self.weight = None if tied else nn.Parameter(torch.empty(vocabulary_size, width))
        self.bias = nn.Parameter(torch.empty(vocabulary_size)) if bias else None


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014) that draws from a generator of its own."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Zero a ``share`` of x and scale the rest so that the mean stays; identity in eval."""
        if not self.training or not self.share:
            return x
        keep = 1 - self.share
        mask = torch.empty_like(x).bernoulli_(keep, generator=self.generator).div_(keep)
        return x * mask
