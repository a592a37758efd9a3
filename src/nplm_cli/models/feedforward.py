"""The feedforward n-gram-window language model (Bengio et al. 2003).

    x = [C(w_{t-n+2}); ...; C(w_t)]     (concat; or their sum or mean)
    h = f(W x + b)                      (none, one or several hidden layers)
    p(w_{t+1} | ...) = softmax(U h + c)

Order n sees n - 1 words. Under ``concat`` the product W x is computed as a sum over window
positions, each with its own block of W, so that a text is read once and windows are never
copied out of it.
"""

import functools
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nplm_cli.config import ModelConfig
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.models.base import Dropout, LanguageModel, State

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "gelu": functools.partial(nn.functional.gelu, approximate="tanh"),
}


class FeedforwardLM(LanguageModel):
    """A window of n - 1 words, combined, through hidden layers to the output."""

    def __init__(self, config: ModelConfig, vocabulary_size: int, dropout: float = 0.0):
        window = config.order - 1
        combined = config.dim * (window if config.combine == "concat" else 1)
        last = config.hidden if config.layers else combined
        projected = config.tie and last != config.dim
        super().__init__(config, vocabulary_size, dropout, config.dim if projected else last)
        self.context = window
        self.encoder = WindowEncoder(config, window, combined, last, projected, self.dropout)

    def initial_state(self, batch: int) -> State:
        """Return the window before the first word: ``</s>`` in all its places."""
        device = self.embedding.weight.device
        return (torch.full((batch, self.config.order - 1), EOS_ID, device=device),)

    def forward(self, ids_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Read ids; the state is the last n - 1 of them."""
        window = self.config.order - 1
        ids_BS = torch.cat([state[0], ids_BT], dim=1)
        # The oldest id of the state is out of sight for the first prediction already.
        hidden = self.encoder(self.dropout(self.embedding(ids_BS[:, 1:])))
        return hidden, (ids_BS[:, -window:],)


class WindowEncoder(nn.Module):
    """Vectors of S = T + window - 1 words -> hidden states of T predictions."""

    def __init__(
        self,
        config: ModelConfig,
        window: int,
        combined: int,
        last: int,
        projected: bool,
        dropout: Dropout,
    ):
        super().__init__()
        self.window = window
        self.combine = config.combine
        self.activation = config.activation
        sizes = [combined] + [config.hidden] * config.layers
        self.layers = nn.ModuleList(
            nn.utils.skip_init(nn.Linear, before, after, bias=config.hidden_bias)
            for before, after in itertools.pairwise(sizes)
        )
        self.projection = (
            nn.utils.skip_init(nn.Linear, last, config.dim, bias=False) if projected else None
        )
        self.dropout = dropout

    def forward(self, x_BSE: Tensor) -> Tensor:
        """Combine each window of vectors and pass it through the hidden layers."""
        shifted = [x_BSE[:, k : x_BSE.shape[1] - self.window + 1 + k] for k in range(self.window)]
        activation = ACTIVATIONS[self.activation]
        layers = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        if self.combine == "concat" and layers:
            first = layers.pop(0)
            blocks = first.weight.chunk(self.window, dim=1)
            hidden = nn.functional.linear(shifted[0], blocks[0], first.bias)
            for x_BTE, block in zip(shifted[1:], blocks[1:], strict=True):
                hidden = hidden + nn.functional.linear(x_BTE, block)
            hidden = self.dropout(activation(hidden))
        elif self.combine == "concat":
            hidden = torch.cat(shifted, dim=-1)
        else:
            hidden = torch.stack(shifted).sum(0)
            if self.combine == "mean":
                hidden = hidden / self.window
        for layer in layers:
            hidden = self.dropout(activation(layer(hidden)))
        return hidden if self.projection is None else self.projection(hidden)
