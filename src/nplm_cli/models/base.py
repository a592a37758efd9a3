"""The contract of every language model: embedding -> encoder -> output layer.

Shape suffixes: B rows of a batch, T positions, V vocabulary, E word vectors, H hidden units,
D width of what the output layer reads, N predictions in a row.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.models.adaptive import AdaptiveOutput
from nplm_cli.models.initialisation import init_weights, normal_
from nplm_cli.models.output import OutputLayer, Softmax, prediction_nll
from nplm_cli.models.regularisation import Dropout, EmbeddingDropout, Noise, WordDropout

# Whatever a model carries from one call to the next; a window model its last ids, an RNN h ...
State = tuple[Tensor, ...]


class LanguageModel(nn.Module, ABC):
    """Embedding, encoder and output layer; only the encoder differs between architectures.

    ``forward(ids_BT, state)`` returns ``(hidden_BTD, state)``; position t of the output predicts
    token t + 1 and has seen ids up to t. Feeding a text in pieces, with the state carried over,
    gives what feeding it at once gives. Weights are named ``embedding.weight``, ``encoder.*``,
    ``output.weight`` (absent when tied) and ``output.bias``.

    A subclass builds ``self.encoder`` and, in ``forward``, begins with ``embed`` and ends with
    ``finish``. ``config`` is resolved: no setting of the architecture is None.
    """

    encoder: "Encoder"

    def __init__(self, config: ModelConfig, vocabulary_size: int, rates: DropoutRates):
        super().__init__()
        self.config = config
        # skip_init: init_weights gives the values; torch's own would draw global random numbers.
        self.embedding = WordTable(vocabulary_size, config.dim, self.word_deviation(config))
        self.word_dropout = WordDropout(rates.word)
        self.embedding_dropout = EmbeddingDropout(rates.embedding)
        self.input_dropout = Dropout(rates.input, rates.locked)
        self.output_dropout = Dropout(rates.output, rates.locked)
        self._last_states: tuple[Tensor, Tensor] | None = None
        self.encoder = self.build_encoder(config, rates)
        self.output = self._build_output(config, vocabulary_size, self.encoder.width)

    def _build_output(self, config: ModelConfig, vocabulary_size: int, width: int) -> OutputLayer:
        if len(config.softmax_bounds(vocabulary_size)) > 1:
            return AdaptiveOutput(config, vocabulary_size, width)
        tied = bool(config.tie)
        return OutputLayer(vocabulary_size, width, tied=tied, bias=config.output_bias)

    @property
    def context(self) -> int | None:
        """How many previous tokens a prediction can see; None when unbounded."""
        return self.config.context

    def word_deviation(self, config: ModelConfig) -> float:
        """Standard deviation of the first word vectors under ``--init small``."""
        return 0.1

    @abstractmethod
    def build_encoder(self, config: ModelConfig, rates: DropoutRates) -> "Encoder":
        """Make what stands between the word vectors and the output layer."""

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """State before the first token: the text starts after the boundary ``</s>``."""

    @abstractmethod
    def forward(self, ids_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Read ids and return the hidden states that the output layer reads."""

    def embed(self, ids_BT: Tensor) -> Tensor:
        """Look up word vectors (B, T, E), with the noise of training on them."""
        ids_BT = self.word_dropout(ids_BT)
        x_BTE = self.embedding(ids_BT)
        x_BTE = self.embedding_dropout(x_BTE, ids_BT, self.embedding.num_embeddings)
        return self.input_dropout(x_BTE)

    def finish(self, hidden_BTH: Tensor) -> Tensor:
        """Return what the output layer reads: output dropout, then the projection, if any."""
        hidden = self.output_dropout(hidden_BTH)
        self._last_states = (hidden, hidden_BTH) if self.training else None
        projection = self.encoder.projection
        return hidden if projection is None else projection(hidden)

    def last_states(self) -> tuple[Tensor, Tensor]:
        """States (B, T, H) of the last hidden layer in the last call in training, once.

        After output dropout and before it, for activation penalties; raises RuntimeError when
        there was no such call.
        """
        states, self._last_states = self._last_states, None
        if states is None:
            raise RuntimeError("no forward call in training mode since the last question")
        return states

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
        """The output matrix, of shape (V, D): the word vectors themselves when tied.

        Of an untied adaptive softmax only the rows of the head's words.
        """
        return self.embedding.weight if self.output.weight is None else self.output.weight

    def logits(self, hidden: Tensor) -> Tensor:
        """Unnormalised log-probabilities (..., V) of hidden states (..., D)."""
        return self.output.logits(hidden, self.embedding.weight)

    def softmaxes(self, hidden_ND: Tensor, targets_N: Tensor) -> Iterator[Softmax]:
        """The choices that make up the predictions of the targets (``OutputLayer.softmaxes``)."""
        return self.output.softmaxes(hidden_ND, targets_N, self.embedding.weight)

    @torch.no_grad()
    def prediction_nll(
        self, hidden_ND: Tensor, targets_M: Tensor, rows_M: Tensor | None = None
    ) -> Tensor:
        """Negative log-likelihood (nats) of each of M predictions, exact, without gradients.

        Target m follows row ``rows_M[m]`` of ``hidden_ND`` (None: row m).
        """
        if rows_M is not None and len(self.config.softmax_bounds(len(self.embedding.weight))) > 1:
            hidden_ND, rows_M = hidden_ND[rows_M], None
        total_M = hidden_ND.new_zeros(len(targets_M))
        for hidden, weight_VD, bias_V, targets, chosen in self.softmaxes(hidden_ND, targets_M):
            nll = prediction_nll(hidden, weight_VD, bias_V, targets, rows_M)
            total_M = nll if chosen is None else total_M.index_add_(0, chosen, nll)
        return total_M

    def init_weights(self, generator: torch.Generator) -> None:
        """Give every parameter its first value (``models/initialisation.py``)."""
        init_weights(self, self.config, generator)

    def use_generator(self, generator: torch.Generator) -> None:
        """Let all noise of training be drawn from ``generator``."""
        for module in self.modules():
            if isinstance(module, Noise):
                module.generator = generator

    def set_noise(self, strength: float) -> None:
        """Let all noise drop ``strength`` (0 to 1) times its share from now on."""
        for module in self.modules():
            if isinstance(module, Noise):
                module.strength = strength

    def regularised(self) -> list[nn.Parameter]:
        """What L2 counts as a weight: every trained matrix, word vectors included; no bias."""
        return [p for p in self.parameters() if p.ndim >= 2 and p.requires_grad]


class Encoder(nn.Module):
    """What stands between word vectors and output layer.

    ``width`` is the last axis of what the output layer reads: the encoder's own, or the dimension
    of the word vectors where a tied output layer needs a ``projection`` to it.
    """

    def __init__(self, config: ModelConfig, width: int):
        super().__init__()
        self.projection = (
            linear(width, config.dim, bias=False) if config.tie and width != config.dim else None
        )
        self.width = width if self.projection is None else config.dim


def linear(before: int, after: int, *, bias: bool) -> nn.Linear:
    """Make a linear layer without first weights: ``init_weights`` gives them."""
    return nn.utils.skip_init(nn.Linear, before, after, bias=bias)


class WordTable(nn.Embedding):
    """The word vectors (V, E)."""

    def __init__(self, vocabulary_size: int, dim: int, deviation: float):
        super().__init__(vocabulary_size, dim, _weight=torch.empty(vocabulary_size, dim))
        self.deviation = deviation

    def init_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> None:
        """Normal of the deviation that the model asks for."""
        normal_(parameter, self.deviation, generator)
