"""The decoder-only Transformer language model (Vaswani et al. 2017, Radford et al. 2018, 2019).

    x = sqrt(E) C(w) + y(pos)                          word vectors and positions
    x = x + A(N(x));  x = x + W_2 f(W_1 N(x) + b_1)    each layer (norm pre; see blocks.py)
    h = N(x)                                           final norm, of pre only

Attention A has biases and a projection of the heads; it sees a block of W words
(``window_cache.py``). Shape suffixes: R rows, L positions, E word vectors.
"""

import math

from torch import Tensor, nn

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.models.attention import Attend, AttendingEncoder, AttendingLM, fused, positions
from nplm_cli.models.blocks import Block
from nplm_cli.models.window_cache import Cache


class TransformerEncoder(AttendingEncoder):
    """Positions, layers of attention and feedforward, and the final norm of pre-norm."""

    def __init__(self, config: ModelConfig, rates: DropoutRates):
        super().__init__(config, rates)
        self.positions = positions(config)
        # Two sublayers of each layer write to the residual stream.
        self.layers = nn.ModuleList(
            Block(config, rates, 2 * config.layers) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.dim, config.norm_eps) if config.norm == "pre" else None

    def forward(
        self,
        x_RLE: Tensor,
        place_RL: Tensor,
        visible: Tensor | None,
        past: list[Cache] | None,
        attend: Attend = fused,
    ) -> tuple[Tensor, list[Cache]]:
        """Return the residual stream at its end and each layer's keys and values."""
        # Vaswani et al. (2017), 3.4: of the size of what the sublayers add to them.
        x_RLE = x_RLE * math.sqrt(x_RLE.shape[2])
        if self.positions is not None:
            x_RLE = x_RLE + self.positions(place_RL)
        caches = []
        for number, layer in enumerate(self.layers):
            x_RLE, cache = layer(x_RLE, visible, None if past is None else past[number], attend)
            caches.append(cache)
        return x_RLE if self.norm is None else self.norm(x_RLE), caches


class TransformerLM(AttendingLM):
    """A stack of blocks that read from left to right."""

    def build_encoder(self, config: ModelConfig, rates: DropoutRates) -> TransformerEncoder:
        """Make positions, blocks and the final norm."""
        return TransformerEncoder(config, rates)
