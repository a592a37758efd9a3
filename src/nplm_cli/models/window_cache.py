"""How attention models read: in blocks of at most W ids, with a cache of keys and values.

A prediction sees the ids of its row's block, up to its own. A block that is full (W = ``window``)
moves on by S = ``stride``: its last W - S ids are read again, at positions 0 ... W-S-1 of a new
block, and reading goes on at position W-S. Training always moves on by a whole window, so no id is
read twice. So once W ids have been read, a prediction sees between W-S+1 and W of them; which ones
depends on its position in the sequence alone, never on how the sequence is fed.

The state is (count_B, ids_BC, k_BHCD, v_BHCD of the first layer, k, v of the second ...): how
many ids stand in each row's block, the last C <= W ids, and their keys and values, the newest
last. What is older than a row's count is of no meaning and never seen. Rows may stand at
different places of their blocks. Keys and values that were carried over from an earlier call act
as context only (Transformer-XL, Dai et al. 2019): the trainer detaches them.

Shape suffixes: B rows, T new ids, S cached and new ones, C cached ids, R rows of a pass through
the encoder, L ids of such a row, E word vectors, H heads, D a head's share of E.
"""

import math

import torch
from torch import Tensor

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.models.base import Encoder, LanguageModel, State

# Keys and values (R, H, S, D) of one layer.
Cache = tuple[Tensor, Tensor]
# Ids that one pass reads, those that are read again included; bounds the memory of a long text.
PASS_IDS = 16_384
# Pairs of a query and a key under one mask, outside training.
SCORES = 4_000_000


class BlockEncoder(Encoder):
    """What stands between word vectors and output layer of a model that reads in blocks."""

    def __init__(self, config: ModelConfig, rates: DropoutRates):
        super().__init__(config, config.dim)

    def forward(
        self, x_RLE: Tensor, place_RL: Tensor, visible: Tensor | None, past: list[Cache] | None
    ) -> tuple[Tensor, list[Cache]]:
        """Return hidden states (R, L, E) and, a layer each, keys and values (R, H, C + L, D).

        ``place_RL`` (or (L,), the same in all rows) counts from 0 at the start of the block.
        ``past`` holds C cached keys and values a layer. ``visible`` (R, 1, L, C + L) is true where
        a query sees a key; None: no past, and each query sees itself and what is before it.
        """
        raise NotImplementedError


class WindowedLM(LanguageModel):
    """An attention model that reads by the rule above; a subclass builds the encoder."""

    encoder: BlockEncoder

    def word_deviation(self, config: ModelConfig) -> float:
        """Small where the word vectors are the output matrix, too: hidden states are of size 1."""
        return min(0.1, 1 / math.sqrt(10 * config.dim)) if config.tie else 0.1

    def initial_state(self, batch: int) -> State:
        """Return an empty block: a text starts with nothing before it."""
        config, table = self.config, self.embedding.weight
        heads = config.heads or 1
        nothing = table.new_zeros(batch, heads, 0, config.dim // heads)
        ids_BC = torch.zeros(batch, 0, dtype=torch.int64, device=table.device)
        return (ids_BC.new_zeros(batch), ids_BC, *[nothing] * (2 * config.layers))

    def carried_state(self, state: State | None, fresh_B: Tensor) -> State:
        """Return the state that a batch starts from: fresh rows begin an empty block.

        Their tensors are kept, unseen: the cache has one width for all rows.
        """
        if state is None or bool(fresh_B.all()):
            return self.initial_state(len(fresh_B))
        count_B, *rest = state
        return (count_B.masked_fill(fresh_B, 0), *rest)

    def forward(self, ids_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Read ids; the state is the block so far."""
        window, stride = self.config.window, self.config.stride or 1
        if self.training:
            hidden, state = self._read(ids_BT, state, window)
            return self.finish(hidden), state
        blocks = max(1, PASS_IDS // (window * len(ids_BT)))
        pieces = []
        for ids_BP in ids_BT.split(blocks * stride, dim=1):
            hidden, state = self._read(ids_BP, state, stride)
            pieces.append(hidden)
        return self.finish(torch.cat(pieces, dim=1)), state

    def _read(self, ids_BT: Tensor, state: State, stride: int) -> tuple[Tensor, State]:
        count_B, ids_BC, *tensors = state
        past = list(zip(tensors[::2], tensors[1::2], strict=True))
        window, length, cached = self.config.window, ids_BT.shape[1], ids_BC.shape[1]
        room_B = window - count_B
        least, most = (int(n) for n in torch.aminmax(room_B))
        # Ids of the last block that a new one reads again.
        again = min(window - stride, cached) if length > least else 0
        ids_BS = torch.cat([ids_BC, ids_BT], dim=1)
        x_BSE = self.embed(ids_BS[:, cached - again :])
        kept = min(window, cached + length)
        ids_BC = ids_BS[:, -kept:]
        if most:
            x_BLE = x_BSE[:, again : again + min(length, most)]
            hidden_BLE, caches = self._go_on(x_BLE, count_B, past)
        else:
            hidden_BLE, caches = x_BSE[:, :0], past
        if length <= least:
            tensors = [tensor[:, :, -kept:] for cache in caches for tensor in cache]
            return hidden_BLE, (count_B + length, ids_BC, *tensors)

        # Rows go through the encoder once for each block that they begin.
        blocks_B = ((length - room_B).clamp(min=0) + stride - 1) // stride
        row_R = torch.arange(len(room_B), device=room_B.device).repeat_interleave(blocks_B)
        first_B = blocks_B.cumsum(0) - blocks_B
        number_R = torch.arange(len(row_R), device=row_R.device) - first_B[row_R]
        repeated = window - stride
        start_R = room_B[row_R] + number_R * stride + again - repeated
        place_L = torch.arange(repeated + min(stride, length - least), device=row_R.device)
        # Past the end of a row's last block stands its last id again: nothing before sees it.
        at_RL = (start_R[:, None] + place_L).clamp(max=x_BSE.shape[1] - 1)
        hidden_RLE, new_caches = self.encoder(x_BSE[row_R[:, None], at_RL], place_L, None, None)

        step_BT = torch.arange(length, device=room_B.device) - room_B[:, None]
        begun_BT = step_BT >= 0
        old = hidden_BLE.shape[1]
        row_B1 = torch.arange(len(room_B), device=room_B.device)[:, None]
        block_BT = first_B[:, None] + step_BT // stride
        at_BT = torch.where(
            begun_BT,
            len(room_B) * old + block_BT * len(place_L) + repeated + step_BT % stride,
            row_B1 * old + room_B[:, None] + step_BT,
        )
        hidden_NE = torch.cat([hidden_BLE.flatten(0, 1), hidden_RLE.flatten(0, 1)])
        count_B = torch.where(
            begun_BT[:, -1], repeated + step_BT[:, -1] % stride + 1, count_B + length
        )
        block_B = torch.where(begun_BT[:, -1], block_BT[:, -1], -1)
        tensors = [
            _last_block(old_piece, new_piece, block_B, count_B, cached + length, kept)
            for old_cache, new_cache in zip(caches, new_caches, strict=True)
            for old_piece, new_piece in zip(old_cache, new_cache, strict=True)
        ]
        return hidden_NE[at_BT], (count_B, ids_BC, *tensors)

    def _go_on(
        self, x_BLE: Tensor, count_B: Tensor, past: list[Cache]
    ) -> tuple[Tensor, list[Cache]]:
        """Read on in the blocks that rows stand in; what a row reads past its block's end is void.

        Each query sees at least itself, so no softmax is over nothing.
        """
        rows, length, _ = x_BLE.shape
        keys = past[0][0].shape[2] + length
        if keys == length:  # every row begins
            new_L = torch.arange(length, device=x_BLE.device)
            return self.encoder(x_BLE, new_L, None, None)
        if self.training or rows * length * keys <= SCORES:
            return self._behind_cache(x_BLE, count_B, past)
        # Some rows at once, or some positions of one row.
        together = max(1, SCORES // (length * keys))
        step = max(1, SCORES // keys)
        hidden, caches = [], []
        for begin in range(0, rows, together):
            some = slice(begin, begin + together)
            cache, pieces = [(k[some], v[some]) for k, v in past], []
            for at in range(0, length, step):
                part, cache = self._behind_cache(
                    x_BLE[some, at : at + step], count_B[some] + at, cache
                )
                pieces.append(part)
            hidden.append(torch.cat(pieces, dim=1))
            caches.append(cache)
        joined = [
            (torch.cat([k for k, _ in layer]), torch.cat([v for _, v in layer]))
            for layer in zip(*caches, strict=True)
        ]
        return torch.cat(hidden), joined

    def _behind_cache(
        self, x_BLE: Tensor, count_B: Tensor, past: list[Cache]
    ) -> tuple[Tensor, list[Cache]]:
        """Read on behind a cache whose newest ``count_B`` ids each row sees."""
        cached = past[0][0].shape[2]
        new_L = torch.arange(x_BLE.shape[1], device=x_BLE.device)
        place_BL = (count_B[:, None] + new_L).clamp(max=self.config.window - 1)
        key_S = torch.arange(cached + len(new_L), device=x_BLE.device)
        begun_BS = key_S >= cached - count_B[:, None]
        visible = begun_BS[:, None, :] & (key_S <= cached + new_L[:, None])
        return self.encoder(x_BLE, place_BL, visible[:, None], past)


def _last_block(
    old_BHSD: Tensor, new_RHLD: Tensor, block_B: Tensor, count_B: Tensor, read: int, kept: int
) -> Tensor:
    """Keys or values of the block that each row ends in, right-aligned (B, H, ``kept``, D).

    ``block_B`` is the row's last new block, -1 where it is still in the old one, whose newest id
    is column ``read`` - 1 of ``old``. 0 stands before a block's beginning.
    """
    age_C = torch.arange(kept - 1, -1, -1, device=block_B.device)
    place_BC = count_B[:, None] - 1 - age_C
    begun_B = block_B >= 0
    new = new_RHLD.transpose(1, 2)[
        block_B.clamp(min=0)[:, None], place_BC.clamp(min=0, max=new_RHLD.shape[2] - 1)
    ]
    at_C = (read - 1 - age_C).clamp(max=old_BHSD.shape[2] - 1)
    old = old_BHSD.transpose(1, 2)[:, at_C]
    picked = torch.where(begun_B[:, None, None, None], new, old)
    picked = picked.masked_fill((place_BC < 0)[:, :, None, None], 0)
    return picked.transpose(1, 2)
