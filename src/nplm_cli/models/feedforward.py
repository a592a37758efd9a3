"""The feedforward n-gram-window language model (Bengio et al. 2003), and what came after.

    x = [C(w_{t-n+2}); ...; C(w_t)]     (concat; or their sum or mean)
    h = f(W x + b)                      (none, one or several hidden layers)
    p(w_{t+1} | ...) = softmax(U h + c)

Order n sees n - 1 words. Under ``concat`` the product W x is computed as a sum over window
positions, each with its own block of W, so that a text is read once and windows are never
copied out of it.

Settings that are off in the classic model:

far       features of the words before the window, appended to x (``far_context.py``)
gate      h = f(W x + b) * sigmoid(V x + c), with f for the linear part of Dauphin et al. (2017)
residual  a hidden layer adds its input to its output, where their sizes match
norm pre  each layer reads layer norm of its input: the first of every word vector on its own,
          before anything is made of them, so that the positions can still be projected one by
          one; what residual adds is not normalised, and then one more norm closes the stack
norm post layer norm of each layer's output, after what residual adds

Dropout between hidden layers falls on what a layer reads, not on what residual adds.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.base import Encoder, LanguageModel, State, linear
from nplm_cli.models.far_context import FarContext
from nplm_cli.models.regularisation import Dropout

# Vectors of a batch with a far context that are held at once where no gradient is asked for: of
# many short rows the far words before the text would take more memory than the text.
MAX_VECTORS = 262_144


class FeedforwardLM(LanguageModel):
    """A window of n - 1 words and features of ``far`` words before it, through hidden layers."""

    def build_encoder(self, config: ModelConfig, rates: DropoutRates) -> "WindowEncoder":
        """Make the window and the hidden layers."""
        return WindowEncoder(config, rates)

    def initial_state(self, batch: int) -> State:
        """Return the context before the first word: ``</s>`` in all its places."""
        seen = self.config.order - 1 + self.config.far
        return (torch.full((batch, seen), EOS_ID, device=self.embedding.weight.device),)

    def forward(self, ids_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Read ids; the state is the last n - 1 + ``far`` of them."""
        config = self.config
        ids_BS = torch.cat([state[0], ids_BT], dim=1)
        new_state = (ids_BS[:, -state[0].shape[1] :],)
        if config.far and not torch.is_grad_enabled():
            vectors = ids_BS.shape[1] * (1 + config.kernels + config.averages)
            pieces = ids_BS.split(max(1, MAX_VECTORS // vectors))
            return torch.cat([self._read(piece) for piece in pieces]), new_state
        return self._read(ids_BS), new_state

    def _read(self, ids_BS: Tensor) -> Tensor:
        # The oldest id of the state is out of sight for the first prediction already.
        ids_BS = ids_BS[:, 1:]
        if self.encoder.takes_words and not (self.training or torch.is_grad_enabled()):
            words_U, at_BS = ids_BS.unique(return_inverse=True)
            return self.finish(self.encoder(Words(self.embedding(words_U), at_BS)))
        return self.finish(self.encoder(self.embed(ids_BS)))


class Words(NamedTuple):
    """Vectors of the words at some places, each word's once: ``vectors_UE[at]``."""

    vectors_UE: Tensor
    at: Tensor

    def product(self, block_HE: Tensor) -> Tensor:
        """The vector at each place times a block of weights: one product a word."""
        return nn.functional.embedding(self.at, self.vectors_UE @ block_HE.T)


# (number of a hidden layer, what it reads in pieces) -> its units.
Hidden = Callable[[int, Sequence[Tensor | Words]], Tensor]


class HiddenLayer(NamedTuple):
    """What a hidden layer does in one reading, before residual and norm, each (B, T, H).

    ``shares`` are what each piece that it reads adds to ``sums`` = W x + b, the bias apart;
    ``gate`` is None of a model that has none.
    """

    shares: list[Tensor]
    sums: Tensor
    gate: Tensor | None
    units: Tensor


class WindowEncoder(Encoder):
    """Vectors of S = T + window + far - 1 words -> hidden states of T predictions."""

    def __init__(self, config: ModelConfig, rates: DropoutRates):
        window = config.order - 1
        combined = config.dim * (window if config.combine == "concat" else 1)
        if config.far:
            combined += config.dim * (config.kernels + config.averages)
        super().__init__(config, config.hidden if config.layers else combined)
        self.window = window
        self.far_words = config.far
        self.combine = config.combine
        self.far = FarContext(config) if config.far else None
        self.activation = ACTIVATIONS[config.activation or "tanh"]
        sizes = [combined] + [config.hidden] * config.layers
        self.layers = hidden_layers(sizes, bias=config.hidden_bias)
        self.gates = hidden_layers(sizes, bias=config.hidden_bias) if config.gate else None
        self.residual = config.residual
        self.residual_first = config.residual and combined == config.hidden
        self.norm = config.norm if config.layers else "none"
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, eps=config.norm_eps) for width in self._norm_widths(config)
        )
        self.dropout = Dropout(rates.hidden, rates.locked)
        # Where all that is read of vectors are products, without gradients one a word is enough.
        alone = self.far is None and self.norm != "pre" and not self.residual_first
        self.takes_words = alone and bool(config.layers) and config.combine == "concat"

    def _norm_widths(self, config: ModelConfig) -> list[int]:
        match self.norm:
            case "pre":
                after_first = config.layers if self.residual else config.layers - 1
                return [config.dim] + [config.hidden] * after_first
            case "post":
                return [config.hidden] * config.layers
        return []

    def forward(self, x_BSE: Tensor | Words, hidden_layer: Hidden | None = None) -> Tensor:
        """Combine each window of vectors and pass it through the hidden layers.

        ``hidden_layer`` stands for ``hidden``.
        """
        layer = hidden_layer or self.hidden
        if isinstance(x_BSE, Words):
            return self.layers_above(layer(0, self.places(x_BSE)), layer)
        words = self.norms[0](x_BSE) if self.norm == "pre" else x_BSE
        pieces = self.combined(words)
        if not self.layers:
            return joined(pieces)
        hidden = layer(0, pieces)
        if self.residual_first:
            hidden = hidden + joined(pieces if words is x_BSE else self.combined(x_BSE))
        return self.layers_above(hidden, layer)

    def trace(self, x_BSE: Tensor) -> tuple[Tensor, list[HiddenLayer]]:
        """Return what ``forward`` does and what each hidden layer did."""
        layers = []

        def looked_at(number: int, pieces: Sequence[Tensor | Words]) -> Tensor:
            layer, units = self.layers[number], self.hidden(number, pieces)
            tensors = [piece for piece in pieces if isinstance(piece, Tensor)]
            blocks = layer.get_parameter("weight").split([x.shape[-1] for x in tensors], dim=1)
            shares = [nn.functional.linear(*pair) for pair in zip(tensors, blocks, strict=True)]
            gate = None if self.gates is None else product(self.gates[number], pieces).sigmoid()
            layers.append(HiddenLayer(shares, product(layer, pieces), gate, units))
            return units

        return self.forward(x_BSE, looked_at), layers

    def layers_above(self, hidden: Tensor, hidden_layer: Hidden) -> Tensor:
        """Pass what the first layer says through the others."""
        hidden = self.norms[0](hidden) if self.norm == "post" else hidden
        for layer in range(1, len(self.layers)):
            read = self.norms[layer](hidden) if self.norm == "pre" else hidden
            new = hidden_layer(layer, [self.dropout(read)])
            hidden = hidden + new if self.residual else new
            hidden = self.norms[layer](hidden) if self.norm == "post" else hidden
        if self.norm == "pre" and self.residual:
            hidden = self.norms[-1](hidden)
        return hidden

    def places(self, words: Words) -> list[Words]:
        """Return the words of each place of the windows."""
        positions = words.at.shape[1] - self.window + 1
        return [Words(words.vectors_UE, words.at[:, k : k + positions]) for k in range(self.window)]

    def combined(self, x_BSE: Tensor) -> list[Tensor]:
        """Return what the first layer reads, in pieces (B, T, ...) that stand side by side."""
        near = x_BSE[:, self.far_words :] if self.far_words else x_BSE
        positions = near.shape[1] - self.window + 1
        shifted = [near[:, k : k + positions] for k in range(self.window)]
        if self.combine != "concat":
            total = torch.stack(shifted).sum(0)
            shifted = [total / self.window if self.combine == "mean" else total]
        if self.far is None:
            return shifted
        return [*shifted, self.far(x_BSE[:, : positions + self.far_words - 1])]

    def hidden(self, layer: int, pieces: Sequence[Tensor | Words]) -> Tensor:
        """Return the units of a hidden layer, gated if the model is."""
        units = self.activation(product(self.layers[layer], pieces))
        if self.gates is None:
            return units
        return units * torch.sigmoid(product(self.gates[layer], pieces))


def hidden_layers(sizes: list[int], *, bias: bool) -> nn.ModuleList:
    """Make the linear maps between layers of these sizes."""
    return nn.ModuleList(
        linear(before, after, bias=bias) for before, after in itertools.pairwise(sizes)
    )


def product(layer: nn.Module, pieces: Sequence[Tensor | Words]) -> Tensor:
    """Return W [pieces side by side] + b as a sum over the pieces, each with its block of W."""
    assert isinstance(layer, nn.Linear)
    widths = [(p.vectors_UE if isinstance(p, Words) else p).shape[-1] for p in pieces]
    blocks = layer.weight.split(widths, dim=1)
    total: Tensor | None = None
    for piece, block in zip(pieces, blocks, strict=True):
        if isinstance(piece, Words):
            share = piece.product(block)
            total = share if total is None else total.add_(share)
        elif total is None:
            total = nn.functional.linear(piece, block, layer.bias)
        else:
            total = total + nn.functional.linear(piece, block)
    assert total is not None
    return total if layer.bias is None or not isinstance(pieces[0], Words) else total + layer.bias


def joined(pieces: list[Tensor]) -> Tensor:
    """Return the pieces side by side."""
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)
