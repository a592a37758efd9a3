"""Blocks of a Transformer (Vaswani et al. 2017): attention and feedforward sublayers.

A sublayer f stands in a residual stream x, with layer norm N in one of three places:

    pre   x + f(N(x))      (Radford et al. 2019; the stack ends with a norm of its own)
    post  N(x + f(x))      (Vaswani et al. 2017)
    none  x + f(x)

``Block`` reads a text from left to right, ``EncoderBlock`` one in both directions,
``SourceBlock`` writes a text from left to right while it reads a source.

Shape suffixes: R rows, L positions, S keys, E width, F feedforward width, H heads, D = E / H.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.attention import Attend, fused, merge_heads, split_heads
from nplm_cli.models.base import linear
from nplm_cli.models.initialisation import init_parameter
from nplm_cli.models.regularisation import Dropout
from nplm_cli.models.window_cache import Cache


class ResidualLinear(nn.Linear):
    """A linear layer whose output is added to the residual stream, one of ``writers`` layers."""

    writers = 1

    def init_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> None:
        """By fan-in, divided by sqrt(writers), so that a deep stack's sum stays of one size."""
        init_parameter(name, parameter, generator)
        parameter.div_(self.writers**0.5)


def residual_linear(before: int, after: int, *, bias: bool, writers: int) -> ResidualLinear:
    """Make a ``ResidualLinear`` without first weights (Radford et al. 2019, 2.3)."""
    layer = nn.utils.skip_init(ResidualLinear, before, after, bias=bias)
    layer.writers = writers
    return layer


class MultiHeadAttention(nn.Module):
    """Attention of queries from one text over keys and values of the same or another text."""

    def __init__(self, dim: int, heads: int, *, bias: bool, writers: int):
        super().__init__()
        self.heads = heads
        self.query = linear(dim, dim, bias=bias)
        self.key_value = linear(dim, 2 * dim, bias=bias)
        self.output = residual_linear(dim, dim, bias=bias, writers=writers)

    def keys_and_values(self, x_RSE: Tensor) -> Cache:
        """Return the keys and values (R, H, S, D) of a text."""
        k_RSE, v_RSE = self.key_value(x_RSE).chunk(2, dim=2)
        return split_heads(k_RSE, self.heads), split_heads(v_RSE, self.heads)

    def forward(
        self, x_RLE: Tensor, cache: Cache, visible: Tensor | None, attend: Attend = fused
    ) -> Tensor:
        """Return the heads' sums, projected (R, L, E).

        ``visible`` (broadcast to (R, H, L, S)) is true where a query sees a key, at least one
        each; None: L = S, and a query sees itself and what is before it.
        """
        q_RHLD = split_heads(self.query(x_RLE), self.heads)
        return self.output(merge_heads(attend(q_RHLD, *cache, visible)))


class FeedForward(nn.Module):
    """Two linear layers with an activation between them, each position on its own."""

    def __init__(self, config: ModelConfig, writers: int):
        super().__init__()
        bias = config.hidden_bias
        self.activation = ACTIVATIONS[config.activation or "gelu"]
        self.inner = linear(config.dim, config.hidden, bias=bias)
        self.outer = residual_linear(config.hidden, config.dim, bias=bias, writers=writers)

    def forward(self, x_RLE: Tensor) -> Tensor:
        """Return (R, L, E)."""
        return self.outer(self.activation(self.inner(x_RLE)))


class Sublayers(nn.Module):
    """What all blocks share: self-attention, feedforward, norms and dropout by the settings.

    ``config`` is resolved; ``writers`` is how many sublayers write to the residual stream.
    """

    def __init__(self, config: ModelConfig, rates: DropoutRates, writers: int):
        super().__init__()
        self.norm = config.norm or "pre"
        self.dropout = Dropout(rates.hidden, rates.locked)
        self.attention = self.make_attention(config, writers)
        self.attention_norm = self.make_norm(config)
        self.feedforward = FeedForward(config, writers)
        self.feedforward_norm = self.make_norm(config)

    @staticmethod
    def make_attention(config: ModelConfig, writers: int) -> MultiHeadAttention:
        """Make an attention sublayer."""
        return MultiHeadAttention(
            config.dim, config.heads or 1, bias=config.hidden_bias, writers=writers
        )

    @staticmethod
    def make_norm(config: ModelConfig) -> nn.Module:
        """Make a sublayer's norm; the identity when there is none."""
        if config.norm == "none":
            return nn.Identity()
        return nn.LayerNorm(config.dim, config.norm_eps)

    def add(self, x_RLE: Tensor, sublayer: Callable[[Tensor], Tensor], norm: nn.Module) -> Tensor:
        """Add a sublayer's output, with dropout on it, to the residual stream."""
        if self.norm == "post":
            return norm(x_RLE + self.dropout(sublayer(x_RLE)))
        return x_RLE + self.dropout(sublayer(norm(x_RLE)))


class CausalSublayers(Sublayers):
    """Self-attention that reads from left to right, with a cache; what decoders share."""

    def read_text(
        self, x_RLE: Tensor, visible: Tensor | None, past: Cache | None, attend: Attend = fused
    ) -> tuple[Tensor, Cache]:
        """Return the stream (R, L, E) after self-attention, and its keys and values.

        These are (R, H, C + L, D), C of them from ``past``. ``visible`` (R, 1, L, C + L) is true
        where a query sees a key; None: there is no past, and each position sees itself and those
        before it.
        """
        caches: list[Cache] = []

        def sublayer(x: Tensor) -> Tensor:
            k, v = self.attention.keys_and_values(x)
            if past is not None:
                k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
            caches.append((k, v))
            return self.attention(x, (k, v), visible, attend)

        return self.add(x_RLE, sublayer, self.attention_norm), caches[0]


class Block(CausalSublayers):
    """Causal self-attention and feedforward: a layer of a decoder-only Transformer."""

    def forward(
        self,
        x_RLE: Tensor,
        visible: Tensor | None = None,
        past: Cache | None = None,
        attend: Attend = fused,
    ) -> tuple[Tensor, Cache]:
        """Return (R, L, E), and the keys and values; the arguments are those of ``read_text``."""
        x_RLE, cache = self.read_text(x_RLE, visible, past, attend)
        return self.add(x_RLE, self.feedforward, self.feedforward_norm), cache


class EncoderBlock(Sublayers):
    """Self-attention in both directions and feedforward: a layer of an encoder."""

    def forward(self, x_RSE: Tensor, real_RS: Tensor) -> Tensor:
        """Return (R, S, E); ``real_RS`` is false at padding, which no position sees.

        Each row has a real position; what comes out at padding is void.
        """

        def attend(x: Tensor) -> Tensor:
            cache = self.attention.keys_and_values(x)
            return self.attention(x, cache, real_RS[:, None, None, :])

        x_RSE = self.add(x_RSE, attend, self.attention_norm)
        return self.add(x_RSE, self.feedforward, self.feedforward_norm)


class SourceBlock(CausalSublayers):
    """Causal self-attention, attention over a source, feedforward: a layer of a decoder.

    The source is what an encoder made of another text (R, S, E); no position of it is seen where
    ``real_RS`` is false.
    """

    def __init__(self, config: ModelConfig, rates: DropoutRates, writers: int):
        super().__init__(config, rates, writers)
        self.source_attention = self.make_attention(config, writers)
        self.source_norm = self.make_norm(config)

    def source_cache(self, source_RSE: Tensor) -> Cache:
        """Return the keys and values of a source, once for all calls of ``forward``."""
        return self.source_attention.keys_and_values(source_RSE)

    def forward(
        self,
        x_RLE: Tensor,
        source: Cache,
        real_RS: Tensor,
        visible: Tensor | None = None,
        past: Cache | None = None,
    ) -> tuple[Tensor, Cache]:
        """Return (R, L, E), and the text's own keys and values, as ``Block`` does."""
        x_RLE, cache = self.read_text(x_RLE, visible, past)

        def attend(x: Tensor) -> Tensor:
            return self.source_attention(x, source, real_RS[:, None, None, :])

        x_RLE = self.add(x_RLE, attend, self.source_norm)
        return self.add(x_RLE, self.feedforward, self.feedforward_norm), cache
