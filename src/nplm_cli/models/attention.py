"""Positions, attention, and the language model of self-attention alone, as in the lecture.

The eight steps (Hangzhou Normal University text-mining course, Zong ch. 5 s. 6; attention:
Vaswani et al. 2017, 3.2):

    1  word vectors                  x = C(w)
    2  positions, added              x = x + y(pos)
    3  queries, keys, values         q = W_q x,  k = W_k x,  v = W_v x
    4  heads                         each of q, k, v cut into H equal pieces
    5  scores                        b_ts = q_t . k_s / sqrt(D),  D = E / H
    6  weights                       a_t = softmax over s <= t
    7  context                       c_t = sum_s a_ts v_s, heads side by side
    8  next word                     p(w | ...) = softmax(C c_t)     (word vectors, tied)

There are no biases in step 3, no residual connection, no norm, no projection of the heads; the
Transformer (``transformer.py``) has them.

Shape suffixes: R rows, L queries, S keys, E word vectors, H heads, D a head's share of E.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.errors import ConfigError
from nplm_cli.models.base import linear
from nplm_cli.models.initialisation import normal_
from nplm_cli.models.regularisation import Dropout
from nplm_cli.models.window_cache import BlockEncoder, Cache, WindowedLM

# (q_RHLD, k_RHSD, v_RHSD, what is visible) -> sums (R, H, L, D).
Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


def sinusoidal_positions(count: int, dim: int) -> Tensor:
    """Return the vectors (count, dim), float64, of positions 1 ... count (Vaswani et al. 2017).

    y_{2i} = sin(pos / 10000^(2i/dim)) and y_{2i+1} the cosine of the same; pos counts from 1.
    """
    pos = torch.arange(1, count + 1, dtype=torch.float64)[:, None]
    even = torch.arange(0, dim, 2, dtype=torch.float64)
    angle = pos / 10_000 ** (even / dim)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :dim]


class SinusoidalPositions(nn.Module):
    """Fixed vectors of the W places of a block; not stored with the weights."""

    def __init__(self, window: int, dim: int):
        super().__init__()
        table = sinusoidal_positions(window, dim).float()
        self.register_buffer("table", table, persistent=False)

    def forward(self, place_RL: Tensor) -> Tensor:
        """Return the vectors of places that count from 0."""
        return self.get_buffer("table")[place_RL]


class LearnedPositions(nn.Embedding):
    """A table (W, E) of vectors of the W places of a block."""

    def __init__(self, window: int, dim: int):
        super().__init__(window, dim, _weight=torch.empty(window, dim))

    def init_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> None:
        """Normal of deviation 0.02: small beside the word vectors."""
        normal_(parameter, 0.02, generator)


def positions(config: ModelConfig) -> nn.Module | None:
    """Make the positions that the settings ask for."""
    match config.positions:
        case "sinusoidal":
            return SinusoidalPositions(config.window, config.dim)
        case "learned":
            return LearnedPositions(config.window, config.dim)
    return None


def split_heads(x_RLE: Tensor, heads: int) -> Tensor:
    """Cut vectors into equal pieces, a head each: (R, L, E) -> (R, H, L, D)."""
    return x_RLE.unflatten(2, (heads, -1)).transpose(1, 2)


def merge_heads(x_RHLD: Tensor) -> Tensor:
    """Lay the heads' pieces side by side: (R, H, L, D) -> (R, L, E)."""
    return x_RHLD.transpose(1, 2).flatten(2)


def causal(queries: int, device: torch.device) -> Tensor:
    """Return (L, L), true where a query sees a key: itself and what is before it."""
    return torch.ones(queries, queries, dtype=torch.bool, device=device).tril()


def fused(q_RHLD: Tensor, k_RHSD: Tensor, v_RHSD: Tensor, visible: Tensor | None) -> Tensor:
    """Return the sums of ``attention`` (R, H, L, D) by torch's own, which keeps no weights.

    ``visible`` None: L = S, and a query sees itself and what is before it.
    """
    return nn.functional.scaled_dot_product_attention(
        q_RHLD, k_RHSD, v_RHSD, attn_mask=visible, is_causal=visible is None
    )


def attention_scores(q_RHLD: Tensor, k_RHSD: Tensor) -> Tensor:
    """Return q k^T / sqrt(D) of shape (R, H, L, S): step 5."""
    return q_RHLD @ k_RHSD.transpose(2, 3) / math.sqrt(q_RHLD.shape[3])


def attention(
    q_RHLD: Tensor, k_RHSD: Tensor, v_RHSD: Tensor, visible: Tensor
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention, written out (Vaswani et al. 2017, eq. 1), to be looked at.

    softmax(q k^T / sqrt(D)) v over the keys that ``visible`` (broadcast to (R, H, L, S)) shows;
    returns the sums (R, H, L, D) and the weights (R, H, L, S). Every query must see some key.
    """
    scores_RHLS = attention_scores(q_RHLD, k_RHSD)
    weights_RHLS = scores_RHLS.masked_fill(~visible, -math.inf).softmax(dim=3)
    return weights_RHLS @ v_RHSD, weights_RHLS


class AttentionLayer(nn.Module):
    """Steps 3 to 7: queries, keys and values, heads, scores, weights, context."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = linear(dim, dim, bias=False)
        self.key = linear(dim, dim, bias=False)
        self.value = linear(dim, dim, bias=False)

    def forward(
        self, x_RLE: Tensor, visible: Tensor | None, past: Cache | None, attend: Attend = fused
    ) -> tuple[Tensor, Cache]:
        """Return the context vectors (R, L, E), and keys and values."""
        q, k, v = self.query(x_RLE), self.key(x_RLE), self.value(x_RLE)
        q, k, v = (split_heads(vectors, self.heads) for vectors in (q, k, v))
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        return merge_heads(attend(q, k, v, visible)), (k, v)


class AttendingEncoder(BlockEncoder):
    """An encoder whose layers attend, and that can be looked at while they do."""

    def forward(
        self,
        x_RLE: Tensor,
        place_RL: Tensor,
        visible: Tensor | None,
        past: list[Cache] | None,
        attend: Attend = fused,
    ) -> tuple[Tensor, list[Cache]]:
        """Return what ``BlockEncoder.forward`` does; ``attend`` is how each layer attends."""
        raise NotImplementedError

    def trace(
        self, x_RLE: Tensor, place_RL: Tensor, visible: Tensor | None, past: list[Cache] | None
    ) -> tuple[Tensor, list[Cache], list[Tensor]]:
        """Return what ``forward`` does and each layer's attention weights (R, H, L, S)."""
        weights = []

        def attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
            seen = causal(q.shape[2], q.device) if visible is None else visible
            sums, a_RHLS = attention(q, k, v, seen)
            weights.append(a_RHLS)
            return sums

        x_RLE, caches = self.forward(x_RLE, place_RL, visible, past, attend)
        return x_RLE, caches, weights


class AttentionEncoder(AttendingEncoder):
    """Positions and layers of attention, nothing else."""

    def __init__(self, config: ModelConfig, rates: DropoutRates):
        super().__init__(config, rates)
        self.positions = positions(config)
        self.layers = nn.ModuleList(
            AttentionLayer(config.dim, config.heads or 1) for _ in range(config.layers)
        )
        self.dropout = Dropout(rates.hidden, rates.locked)

    def forward(
        self,
        x_RLE: Tensor,
        place_RL: Tensor,
        visible: Tensor | None,
        past: list[Cache] | None,
        attend: Attend = fused,
    ) -> tuple[Tensor, list[Cache]]:
        """Return the last layer's context vectors and each layer's keys and values."""
        if self.positions is not None:
            x_RLE = x_RLE + self.positions(place_RL)
        caches = []
        for number, layer in enumerate(self.layers):
            x_RLE = self.dropout(x_RLE) if number else x_RLE
            x_RLE, cache = layer(x_RLE, visible, None if past is None else past[number], attend)
            caches.append(cache)
        return x_RLE, caches


class AttendingLM(WindowedLM):
    """A model that attends, in blocks of W words (``window_cache.py``)."""

    encoder: AttendingEncoder

    def attention_weights(self, ids_BT: Tensor) -> list[Tensor]:
        """Return who looks at whom in a text of at most W ids: (B, H, T, T), one a layer.

        Raises ConfigError when the text is longer than the window.
        """
        length = ids_BT.shape[1]
        if length > self.config.window:
            raise ConfigError(
                f"attention weights of {length} ids: expected at most the window, "
                f"{self.config.window}; give a shorter text"
            )
        place_T = torch.arange(length, device=ids_BT.device)
        return self.encoder.trace(self.embed(ids_BT), place_T, None, None)[2]


class AttentionLM(AttendingLM):
    """The lecture's eight steps."""

    def build_encoder(self, config: ModelConfig, rates: DropoutRates) -> AttentionEncoder:
        """Make positions and attention layers."""
        return AttentionEncoder(config, rates)
