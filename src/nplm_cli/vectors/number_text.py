"""Float32 numbers as the shortest text that reads back as the same number.

The text is numpy's own (``astype("S16")``), byte for byte. numpy works number by number; here the
fewest digits are found for whole arrays, and Python's "%.9g" writes them. What is odd (integers,
powers of two, very large or small numbers, ties) is left to numpy.
"""

import numpy as np

# Where powers of ten, and products with them, are exact enough, and both notations are the same.
_RANGE = (1e-12, 1e5)
_NOTATION_CHANGES = (0.9e-4, 1.1e-4)
_POWERS = 10.0 ** np.arange(22)  # exact in float64
_FEWEST, _MOST = 6, 9  # digits: two numbers of six are never the same float32, nine always tell
_DOUBT = 1e-6  # of a digit's or float's half step: far above rounding in float64


def number_texts(rows_ND: np.ndarray, separator: bytes) -> list[bytes]:
    """The numbers of each row of a float32 matrix, ``separator`` between them.

    Each is the shortest text that reads back as the same float32, through float64 as well.
    """
    decimals_ND, odd_ND = shortest_decimals(rows_ND)
    row_format = separator.decode().join(["%.9g"] * rows_ND.shape[1])
    texts = [(row_format % tuple(row)).encode() for row in decimals_ND.tolist()]
    if odd_ND.any():
        found = iter(_by_numpy(rows_ND[odd_ND]))
        for row in np.flatnonzero(odd_ND.any(axis=1)).tolist():
            numbers = texts[row].split(separator)
            for column in np.flatnonzero(odd_ND[row]).tolist():
                numbers[column] = next(found)
            texts[row] = separator.join(numbers)
    return texts


def shortest_decimals(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The float64 nearest to the shortest decimal of each float32, and where that is in doubt.

    A decimal of k digits stands for a float32 if it is within half a step of it: then every
    reader gets the same number back. The nearest decimal is rounded from the number times a
    power of ten; close to a tie, or to half a step, float64 cannot tell.
    """
    size = np.abs(numbers).astype(np.float64)
    odd = ~((size > _RANGE[0]) & (size < _RANGE[1]))
    odd |= (size > _NOTATION_CHANGES[0]) & (size < _NOTATION_CHANGES[1])
    # Below a power of two the steps are half as wide.
    odd |= (np.ascontiguousarray(numbers).view(np.uint32) & 0x7FFFFF) == 0
    size[odd] = 1.5
    half_step = np.spacing(size.astype(np.float32)).astype(np.float64) / 2
    scale = _POWERS[_MOST - 1 - np.floor(np.log10(size)).astype(np.int64)]
    found = size
    for digits in range(_MOST, _FEWEST - 1, -1):
        scaled = size * scale
        rounded = np.rint(scaled)
        odd |= np.abs(scaled - rounded) > 0.5 - _DOUBT
        decimal = rounded / scale
        off = np.abs(decimal - size) / half_step
        odd |= np.abs(off - 1) < _DOUBT
        found = decimal if digits == _MOST else np.where(off < 1, decimal, found)
        scale = scale / 10
    odd |= found == np.rint(found)  # numpy writes 1.0
    return np.copysign(found, numbers), odd


def _by_numpy(numbers_N: np.ndarray) -> list[bytes]:
    texts = numbers_N.astype("S16").tolist()  # at most 14 bytes
    # Readers go through float64; in rare cases that rounds the shortest text to a neighbour.
    back_N = np.fromstring(b" ".join(texts), np.float32, sep=" ")
    for i in np.flatnonzero(back_N != numbers_N).tolist():
        texts[i] = b"%.9g" % float(numbers_N[i])
    return list(texts)
