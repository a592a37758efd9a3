"""Recurrent language models: simple (Elman 1990), GRU (Cho et al. 2014), LSTM (Hochreiter &
Schmidhuber 1997).

The steps of ``cells.py`` run where torch has no kernel (peepholes, activations other than tanh and
relu); elsewhere torch's fused kernels give the same numbers.

Shape suffixes: B rows, T positions, I inputs of a layer, H hidden units, G = H times the number of
gates. ``a`` is the input's share of what goes into the gates: input weights times x, plus bias,
for all positions in one product. Gates in torch's order: GRU r, z, n; LSTM i, f, g, o.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.base import Encoder, LanguageModel, State, linear
from nplm_cli.models.cells import gru_step, lstm_step, rnn_step
from nplm_cli.models.initialisation import init_parameter
from nplm_cli.models.regularisation import Dropout


class RecurrentLayer(nn.Module):
    """One layer: (B, T, I) and the state before it -> (B, T, H) and the state after it.

    ``input.weight`` (G, I), ``recurrent.weight`` (G, H) and, with hidden biases, ``bias`` (G); the
    second bias of torch's layers is left out. In training a share of the recurrent weights is 0,
    one mask for a call (DropConnect; Merity et al. 2018).
    """

    gates = 1
    # Tensors of state, the first of them the layer's output.
    memories = 1
    # torch's fused kernel, None where the written-out step has to do.
    kernel: Callable[..., Any] | None = None

    def __init__(self, inputs: int, config: ModelConfig, rates: DropoutRates):
        super().__init__()
        rows = self.gates * config.hidden
        self.input = linear(inputs, rows, bias=False)
        self.recurrent = linear(config.hidden, rows, bias=False)
        self.bias = nn.Parameter(torch.empty(rows)) if config.hidden_bias else None
        self.weight_drop = Dropout(rates.weight)

    def step(self, a_BG: Tensor, state: State, recurrent_GH: Tensor) -> State:
        """Return the state after one position."""
        raise NotImplementedError

    def forward(self, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        """Read all positions in turn."""
        recurrent_GH = self.weight_drop(self.recurrent.weight)
        if self.kernel is not None:
            return self._fused(self.kernel, x_BTI, state, recurrent_GH)
        a_BTG = nn.functional.linear(x_BTI, self.input.weight, self.bias)
        outputs = []
        for a_BG in a_BTG.unbind(1):
            state = self.step(a_BG, state, recurrent_GH)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1), state

    def _fused(
        self, kernel: Callable[..., Any], x_BTI: Tensor, state: State, recurrent_GH: Tensor
    ) -> tuple[Tensor, State]:
        weights = [self.input.weight, recurrent_GH]
        if self.bias is not None:
            weights += [self.bias, torch.zeros_like(self.bias)]
        if x_BTI.is_cuda:
            weights = one_chunk(weights)
        memory = [piece[None].contiguous() for piece in state]
        output_BTH, *memory = kernel(
            x_BTI,
            memory if self.memories > 1 else memory[0],
            weights,
            self.bias is not None,
            1,  # layers
            0.0,  # dropout between them
            torch.is_grad_enabled(),  # cuDNN: keep what the backward pass needs
            False,  # bidirectional
            True,  # batch first
        )
        return output_BTH, tuple(piece[0] for piece in memory)


def one_chunk(weights: list[Tensor]) -> list[Tensor]:
    """Return the weights as views of one piece of memory, as cuDNN wants them."""
    flat = torch.cat([weight.flatten() for weight in weights])
    pieces = flat.split([weight.numel() for weight in weights])
    return [piece.view_as(weight) for piece, weight in zip(pieces, weights, strict=True)]


class SimpleLayer(RecurrentLayer):
    """Elman's layer with one of four activations."""

    def __init__(self, inputs: int, config: ModelConfig, rates: DropoutRates):
        super().__init__(inputs, config, rates)
        name = config.activation or "tanh"
        self.activation = ACTIVATIONS[name]
        self.kernel = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}.get(name)

    def step(self, a_BG: Tensor, state: State, recurrent_GH: Tensor) -> State:
        """``rnn_step``."""
        return (rnn_step(a_BG, state[0], recurrent_GH, self.activation),)


class GatedLayer(RecurrentLayer):
    """Gated recurrent units."""

    gates = 3

    def __init__(self, inputs: int, config: ModelConfig, rates: DropoutRates):
        super().__init__(inputs, config, rates)
        self.kernel = torch.gru

    def step(self, a_BG: Tensor, state: State, recurrent_GH: Tensor) -> State:
        """``gru_step``."""
        return (gru_step(a_BG, state[0], recurrent_GH),)


class MemoryLayer(RecurrentLayer):
    """Long short-term memory; its state is h and c."""

    gates = 4
    memories = 2

    def __init__(self, inputs: int, config: ModelConfig, rates: DropoutRates):
        super().__init__(inputs, config, rates)
        self.peephole = None
        if config.peephole == "none":
            self.kernel = torch.lstm
        else:
            self.peephole = Peephole(config.hidden, diagonal=config.peephole == "diagonal")

    def step(self, a_BG: Tensor, state: State, recurrent_GH: Tensor) -> State:
        """``lstm_step``."""
        h_BH, c_BH = state
        peephole = None if self.peephole is None else self.peephole.weight
        return lstm_step(a_BG, h_BH, c_BH, recurrent_GH, peephole)

    def init_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> None:
        """Bias 1 for the forget gate, so that a new model remembers (Gers et al. 2000), else 0."""
        init_parameter(name, parameter, generator)
        parameter.chunk(self.gates)[1].fill_(1)


class Peephole(nn.Module):
    """Weights by which the gates i, f, o see the cell (Gers & Schmidhuber 2000)."""

    def __init__(self, hidden: int, *, diagonal: bool):
        super().__init__()
        self.weight = nn.Parameter(torch.empty((3, hidden) if diagonal else (3, hidden, hidden)))


class RecurrentEncoder(Encoder):
    """Layers of one kind, each reading the one below."""

    def __init__(self, layer: type[RecurrentLayer], config: ModelConfig, rates: DropoutRates):
        super().__init__(config, config.hidden)
        sizes = [config.dim] + [config.hidden] * (config.layers - 1)
        self.layers = nn.ModuleList(layer(inputs, config, rates) for inputs in sizes)
        self.dropout = Dropout(rates.hidden, rates.locked)

    def forward(self, x_BTE: Tensor, state: State) -> tuple[Tensor, State]:
        """Pass word vectors through all layers; dropout between them."""
        memories = len(state) // len(self.layers)
        after: State = ()
        hidden_BTH = x_BTE
        for number, layer in enumerate(self.layers):
            if number:
                hidden_BTH = self.dropout(hidden_BTH)
            before = state[number * memories : (number + 1) * memories]
            hidden_BTH, own = layer(hidden_BTH, before)
            after += own
        return hidden_BTH, after


class RecurrentLM(LanguageModel):
    """What the three have in common.

    The state is h (B, H) of the first layer, of the second ...; of an LSTM h and c of the first,
    h and c of the second ... A text starts from zeros.
    """

    layer: type[RecurrentLayer]

    def build_encoder(self, config: ModelConfig, rates: DropoutRates) -> RecurrentEncoder:
        """Make the layers."""
        return RecurrentEncoder(self.layer, config, rates)

    def initial_state(self, batch: int) -> State:
        """Return zeros."""
        pieces = self.config.layers * self.layer.memories
        like = self.embedding.weight
        return tuple(like.new_zeros(batch, self.config.hidden) for _ in range(pieces))

    def forward(self, ids_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Read ids, from the state on."""
        hidden_BTH, state = self.encoder(self.embed(ids_BT), state)
        return self.finish(hidden_BTH), state


class SimpleRecurrentLM(RecurrentLM):
    """h_t = f(U x_t + W h_{t-1} + b) in each layer."""

    layer = SimpleLayer


class GruLM(RecurrentLM):
    """Gated recurrent units."""

    layer = GatedLayer


class LstmLM(RecurrentLM):
    """Long short-term memory, with or without peepholes."""

    layer = MemoryLayer
