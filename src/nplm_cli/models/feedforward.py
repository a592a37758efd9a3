"""The feedforward n-gram-window language model (Bengio et al. 2003).

    x = [C(w_{t-n+2}); ...; C(w_t)]     (concat; or their sum or mean)
    h = f(W x + b)                      (none, one or several hidden layers)
    p(w_{t+1} | ...) = softmax(U h + c)

Order n sees n - 1 words. Under ``concat`` the product W x is computed as a sum over window
positions, each with its own block of W, so that a text is read once and windows are never
copied out of it.
"""

import itertools

import torch
from torch import Tensor, nn

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.base import Encoder, LanguageModel, State, linear
from nplm_cli.models.regularisation import Dropout


class FeedforwardLM(LanguageModel):
    """A window of n - 1 words, combined, through hidden layers to the output."""

    def build_encoder(self, config: ModelConfig, rates: DropoutRates) -> "WindowEncoder":
        """Make the window and the hidden layers."""
        return WindowEncoder(config, rates)

    def initial_state(self, batch: int) -> State:
        """Return the window before the first word: ``</s>`` in all its places."""
        device = self.embedding.weight.device
        return (torch.full((batch, self.config.order - 1), EOS_ID, device=device),)

    def forward(self, ids_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Read ids; the state is the last n - 1 of them."""
        window = self.config.order - 1
        ids_BS = torch.cat([state[0], ids_BT], dim=1)
        # The oldest id of the state is out of sight for the first prediction already.
        hidden = self.encoder(self.embed(ids_BS[:, 1:]))
        return self.finish(hidden), (ids_BS[:, -window:],)


class WindowEncoder(Encoder):
    """Vectors of S = T + window - 1 words -> hidden states of T predictions."""

    def __init__(self, config: ModelConfig, rates: DropoutRates):
        window = config.order - 1
        combined = config.dim * (window if config.combine == "concat" else 1)
        super().__init__(config, config.hidden if config.layers else combined)
        self.window = window
        self.combine = config.combine
        self.activation = ACTIVATIONS[config.activation or "tanh"]
        sizes = [combined] + [config.hidden] * config.layers
        self.layers = nn.ModuleList(
            linear(before, after, bias=config.hidden_bias)
            for before, after in itertools.pairwise(sizes)
        )
        self.dropout = Dropout(rates.hidden, rates.locked)

    def forward(self, x_BSE: Tensor) -> Tensor:
        """Combine each window of vectors and pass it through the hidden layers."""
        shifted = [x_BSE[:, k : x_BSE.shape[1] - self.window + 1 + k] for k in range(self.window)]
        layers = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        if self.combine == "concat" and layers:
            first = layers.pop(0)
            blocks = first.weight.chunk(self.window, dim=1)
            hidden = nn.functional.linear(shifted[0], blocks[0], first.bias)
            for x_BTE, block in zip(shifted[1:], blocks[1:], strict=True):
                hidden = hidden + nn.functional.linear(x_BTE, block)
            hidden = self.activation(hidden)
        elif self.combine == "concat":
            hidden = torch.cat(shifted, dim=-1)
        else:
            hidden = torch.stack(shifted).sum(0)
            if self.combine == "mean":
                hidden = hidden / self.window
            hidden = self.activation(layers.pop(0)(hidden)) if layers else hidden
        for layer in layers:
            hidden = self.activation(layer(self.dropout(hidden)))
        return hidden
