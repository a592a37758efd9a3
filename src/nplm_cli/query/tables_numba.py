"""The tables' scores in compiled code: a prediction's rows are read once, nothing is kept.

Only models of one hidden layer; the numbers are those of ``tables.py`` to the rounding of float32.
Shape suffixes as there. numba keeps the compiled code beside this file, or in the user's cache.
"""

import math
from collections.abc import Mapping

import numpy as np
from numba import njit, types
from numba.extending import overload

from nplm_cli.query.compiling import MAX_INT16, SCALE

# What changes no result but by rounding: sums in any order, products and sums in one step.
FAST = {"reassoc", "contract", "nsz", "arcp"}
ACTIVATIONS = {"relu": 0, "tanh": 1, "sigmoid": 2, "gelu": 3}


def scores(
    tensors: Mapping[str, np.ndarray],
    ids_N: np.ndarray,
    starts: np.ndarray,
    window: int,
    boundary: int,
    activation: str,
) -> np.ndarray:
    """Scores (N,), float32; ``ids_N`` (int32) must be rows of the tables: nothing checks them."""
    first_KVH, rows_VH = _plain(tensors["first"]), _plain(tensors["rows"])
    words, width = rows_VH.shape
    gated = "gates" in tensors
    gates_KVH = _plain(tensors["gates"]) if gated else first_KVH[:0]
    one_H = np.ones(width, np.float32)
    kind: type = np.float32
    if first_KVH.dtype == np.int8:
        kind = np.int16 if window <= MAX_INT16 else np.int32
    bounds = np.append(starts, len(ids_N)).astype(np.int64)
    out_N = np.empty(len(ids_N), np.float32)
    _score(
        ids_N,
        bounds,
        window,
        boundary,
        first_KVH,
        np.ascontiguousarray(tensors.get("first" + SCALE, one_H)),
        gated,
        gates_KVH,
        np.ascontiguousarray(tensors.get("gates" + SCALE, one_H)),
        rows_VH,
        np.ascontiguousarray(tensors.get("rows" + SCALE, np.ones(words, np.float32))),
        np.ascontiguousarray(tensors.get("bias", np.zeros(words, np.float32))),
        ACTIVATIONS[activation],
        np.empty(width, kind),
        np.empty(width, kind),
        out_N,
    )
    return out_N


def _plain(table: np.ndarray) -> np.ndarray:
    """As numba can read it: fp16 as its bits."""
    table = np.ascontiguousarray(table)
    return table.view(np.uint16) if table.dtype == np.float16 else table


# numba compares the signatures of these three, annotations and all.
def _summand(x):  # type: ignore[no-untyped-def]
    raise NotImplementedError("numba's alone")


@overload(_summand)
def _summand_in_numba(x):  # type: ignore[no-untyped-def]
    """A table's number as it is summed, exact: float32, or of int8 as it is."""
    if x == types.uint16:
        # fp16 to fp32 by its bits: 5 bits of exponent put where 8 are, off by 2^112.
        def half(x):  # type: ignore[no-untyped-def]
            bits = np.uint32(x)
            size = np.uint32((bits & np.uint32(0x7FFF)) << np.uint32(13)).view(np.float32)
            size_bits = np.float32(size * np.float32(5.192296858534828e33)).view(np.uint32)
            sign = np.uint32((bits & np.uint32(0x8000)) << np.uint32(16))
            return np.uint32(size_bits | sign).view(np.float32)

        return half
    return lambda x: x


@njit(fastmath=FAST)
def _tanh(x: np.float32) -> np.float32:
    """tanh as a rational function of degrees 13 and 6, within 5e-7 (Eigen's ``ptanh``).

    Beyond +-7.9 it is +-1 in float32.
    """
    bound = np.float32(7.90531110763549805)
    x = x if x < bound else bound
    x = x if x > -bound else -bound
    y = x * x
    p = np.float32(-2.76076847742355e-16)
    p = p * y + np.float32(2.00018790482477e-13)
    p = p * y + np.float32(-8.60467152213735e-11)
    p = p * y + np.float32(5.12229709037114e-08)
    p = p * y + np.float32(1.48572235717979e-05)
    p = p * y + np.float32(6.37261928875436e-04)
    p = p * y + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06)
    q = q * y + np.float32(1.18534705686654e-04)
    q = q * y + np.float32(2.26843463243900e-03)
    q = q * y + np.float32(4.89352518554385e-03)
    return x * p / q


@njit(fastmath=FAST)
def _add_rows(
    sum_H: np.ndarray,
    table_KVH: np.ndarray,
    ids_N: np.ndarray,
    n: int,
    start: int,
    window: int,
    boundary: int,
) -> None:
    """Sum of the rows of the words before place n, those before ``start`` being boundaries."""
    last = table_KVH.shape[0] - 1
    for k in range(window):
        place = n - window + k
        word = ids_N[place] if place >= start else boundary
        row_H = table_KVH[min(k, last), word]
        if k == 0:
            for h in range(len(sum_H)):
                sum_H[h] = _summand(row_H[h])
        else:
            for h in range(len(sum_H)):
                sum_H[h] += _summand(row_H[h])


@njit(fastmath=FAST, cache=True)
def _score(
    ids_N: np.ndarray,
    bounds: np.ndarray,
    window: int,
    boundary: int,
    first_KVH: np.ndarray,
    scale_H: np.ndarray,
    gated: bool,
    gates_KVH: np.ndarray,
    gate_scale_H: np.ndarray,
    rows_VH: np.ndarray,
    row_scale_V: np.ndarray,
    bias_V: np.ndarray,
    activation: int,
    sum_H: np.ndarray,
    gate_H: np.ndarray,
    out_N: np.ndarray,
) -> None:
    width = rows_VH.shape[1]
    units_H = np.empty(width, np.float32)
    half, one = np.float32(0.5), np.float32(1)
    for sequence in range(len(bounds) - 1):
        start = bounds[sequence]
        for n in range(start, bounds[sequence + 1]):
            _add_rows(sum_H, first_KVH, ids_N, n, start, window, boundary)
            if activation == 0:
                for h in range(width):
                    z = sum_H[h] * scale_H[h]
                    units_H[h] = z if z > 0 else np.float32(0)
            elif activation == 1:
                for h in range(width):
                    units_H[h] = _tanh(sum_H[h] * scale_H[h])
            elif activation == 2:
                for h in range(width):
                    units_H[h] = half * (one + _tanh(half * (sum_H[h] * scale_H[h])))
            else:
                for h in range(width):
                    z = sum_H[h] * scale_H[h]
                    cube = np.float32(math.sqrt(2 / math.pi)) * (
                        z + np.float32(0.044715) * z * z * z
                    )
                    units_H[h] = half * z * (one + _tanh(cube))
            if gated:
                _add_rows(gate_H, gates_KVH, ids_N, n, start, window, boundary)
                for h in range(width):
                    units_H[h] *= half * (one + _tanh(half * (gate_H[h] * gate_scale_H[h])))
            target = ids_N[n]
            row_H = rows_VH[target]
            score = np.float32(0)
            for h in range(width):
                score += units_H[h] * np.float32(_summand(row_H[h]))
            out_N[n] = score * row_scale_V[target] + bias_V[target]
