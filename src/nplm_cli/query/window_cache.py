"""How attention models read, in numpy: the twin of ``models/window_cache.py``, which has the rule.

Another road to the same figures: rows that stand at the same place of their blocks are read
together. Shape suffixes: B rows, T new ids, C cached ids, R rows of a pass through the encoder, L
ids of such a row, S keys, E word vectors, H heads, D a head's share of E.
"""

import math
from collections.abc import Callable

import numpy as np

from nplm_cli.config import ModelConfig
from nplm_cli.query.layers import State, Weights

# Keys and values (R, H, S, D) of one layer.
Cache = tuple[np.ndarray, np.ndarray]
# (ids_RL, place of the first in its block, keys and values of all before it in the block)
# -> hidden states (R, L, E), keys and values of the block up to its last id.
Encode = Callable[[np.ndarray, int, list[Cache] | None], tuple[np.ndarray, list[Cache]]]
# Ids that one pass reads, and scores that are in memory at once.
PASS_IDS = 16_384
SCORES = 4_000_000


def initial_state(config: ModelConfig, batch: int) -> State:
    """Return an empty block: a text starts with nothing before it."""
    heads = config.heads or 1
    nothing = np.zeros((batch, heads, 0, config.dim // heads), np.float32)
    ids_BC = np.zeros((batch, 0), np.int64)
    return (np.zeros(batch, np.int64), ids_BC, *[nothing] * (2 * config.layers))


def read(
    config: ModelConfig, encode: Encode, ids_BT: np.ndarray, state: State
) -> tuple[np.ndarray, State]:
    """Return hidden states (B, T, E) of new ids, and the new state."""
    places = np.unique(state[0])
    if len(places) == 1:
        return _read_aligned(config, encode, ids_BT, state)
    hidden_BTE: np.ndarray | None = None
    new_state: State = ()
    for place in places:
        rows = np.flatnonzero(state[0] == place)
        part, part_state = _read_aligned(
            config, encode, ids_BT[rows], tuple(piece[rows] for piece in state)
        )
        if hidden_BTE is None:
            hidden_BTE, *new = (
                np.zeros((len(ids_BT), *piece.shape[1:]), piece.dtype)
                for piece in (part, *part_state)
            )
            new_state = tuple(new)
        hidden_BTE[rows] = part
        for piece, part_piece in zip(new_state, part_state, strict=True):
            piece[rows] = part_piece
    assert hidden_BTE is not None
    return hidden_BTE, new_state


def _read_aligned(
    config: ModelConfig, encode: Encode, ids_BT: np.ndarray, state: State
) -> tuple[np.ndarray, State]:
    """Read rows that all stand at the same place of their blocks."""
    count_B, ids_BC, *pieces = state
    place, cached = int(count_B[0]), ids_BC.shape[1]
    batch, length = ids_BT.shape
    ids_BS = np.concatenate([ids_BC, ids_BT], axis=1)
    kept = min(config.window, cached + length)
    caches = [
        (k[:, :, cached - place :], v[:, :, cached - place :])
        for k, v in zip(pieces[::2], pieces[1::2], strict=True)
    ]
    hidden = []
    done = min(length, config.window - place)
    if done:
        part, caches = encode(ids_BT[:, :done], place, caches)
        hidden.append(part)
        place += done

    stride = config.stride or 1
    repeated = config.window - stride
    together = max(1, PASS_IDS // (config.window * batch))
    while done < length:
        # Blocks do not depend on one another: some whole ones at once, or the last and short one.
        blocks = min(together, (length - done) // stride) or 1
        new = min(stride, length - done)
        begins = cached + done - repeated + stride * np.arange(blocks)
        ids_BKL = ids_BS[:, begins[:, None] + np.arange(repeated + new)]
        part, new_caches = encode(ids_BKL.reshape(batch * blocks, -1), 0, None)
        hidden.append(part[:, repeated:].reshape(batch, blocks * new, -1))
        caches = [(k[blocks - 1 :: blocks], v[blocks - 1 :: blocks]) for k, v in new_caches]
        done += blocks * new
        place = repeated + new

    missing = [(0, 0), (0, 0), (kept - place, 0), (0, 0)]
    pieces = [np.pad(piece, missing) for cache in caches for piece in cache]
    state = (np.full(batch, place), ids_BS[:, ids_BS.shape[1] - kept :], *pieces)
    return np.concatenate(hidden, axis=1), state


def sinusoidal_positions(begin: int, end: int, dim: int) -> np.ndarray:
    """Return the vectors (end - begin, dim) of places begin ... end - 1 (Vaswani et al. 2017, 3.5).

    The formula counts positions from 1, places count from 0.
    """
    column = np.arange(dim)
    angle = np.arange(begin + 1, end + 1)[:, None] / 10_000 ** (column // 2 * 2 / dim)
    return np.where(column % 2, np.cos(angle), np.sin(angle))


def embed(weights: Weights, config: ModelConfig, ids_RL: np.ndarray, place: int) -> np.ndarray:
    """Return word vectors (R, L, E) with the positions from ``place`` on added to them.

    A Transformer's are multiplied by sqrt(E) first (Vaswani et al. 2017, 3.4).
    """
    x_RLE = weights["embedding.weight"][ids_RL]
    if config.arch == "transformer":
        x_RLE = x_RLE * x_RLE.dtype.type(math.sqrt(config.dim))
    end = place + ids_RL.shape[1]
    if config.positions == "learned":
        return x_RLE + weights["encoder.positions.weight"][place:end]
    if config.positions == "sinusoidal":
        return x_RLE + sinusoidal_positions(place, end, config.dim).astype(x_RLE.dtype)
    return x_RLE


def split_heads(x_RLE: np.ndarray, heads: int) -> np.ndarray:
    """Cut vectors into equal pieces, a head each: (R, L, E) -> (R, H, L, D)."""
    rows, length, width = x_RLE.shape
    return x_RLE.reshape(rows, length, heads, width // heads).transpose(0, 2, 1, 3)


def attention(q_RHLD: np.ndarray, k_RHSD: np.ndarray, v_RHSD: np.ndarray) -> np.ndarray:
    """Return the heads' sums side by side (R, L, E); the queries are those of the last L keys.

    Scaled dot products, softmax over what stands at or before a query (Vaswani et al. 2017, 3.2).
    """
    rows, heads, length, share = q_RHLD.shape
    keys = k_RHSD.shape[2]
    sums = np.empty((rows, length, heads, share), q_RHLD.dtype)
    k_RHDS = k_RHSD.transpose(0, 1, 3, 2)
    step = max(1, SCORES // (rows * heads * keys))
    for begin in range(0, length, step):
        end = min(begin + step, length)
        scores = q_RHLD[:, :, begin:end] @ k_RHDS / q_RHLD.dtype.type(math.sqrt(share))
        later = np.arange(keys) > np.arange(keys - length + begin, keys - length + end)[:, None]
        scores[:, :, later] = -np.inf
        scores -= scores.max(axis=3, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=3, keepdims=True)
        sums[:, begin:end] = (scores @ v_RHSD).transpose(0, 2, 1, 3)
    return sums.reshape(rows, length, heads * share)


def extended(past: list[Cache] | None, layer: int, k: np.ndarray, v: np.ndarray) -> Cache:
    """Put new keys and values of a layer behind the cached ones."""
    if past is None:
        return k, v
    return np.concatenate([past[layer][0], k], axis=2), np.concatenate([past[layer][1], v], axis=2)
