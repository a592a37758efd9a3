"""The fast text of numbers is numpy's, byte for byte."""

import numpy as np
import pytest

from nplm_cli.vectors.number_text import number_texts, shortest_decimals


def by_numpy(rows_ND: np.ndarray, separator: bytes) -> list[bytes]:
    """numpy's shortest text; nine digits where a reader in float64 would get another number."""
    out = []
    for row in rows_ND:
        texts = [str(x.astype("S16"), "ascii").encode() for x in row]
        for i, x in enumerate(row):
            if np.float32(float(texts[i])) != x:
                texts[i] = b"%.9g" % float(x)
        out.append(separator.join(texts))
    return out


def near(value: float, steps: int = 40) -> np.ndarray:
    bits = np.float32(value).view(np.uint32).astype(np.int64)
    return (bits + np.arange(-steps, steps)).astype(np.uint32).view(np.float32)


ODD = {
    "vectors": lambda r: r.standard_normal(40_000).astype(np.float32) * np.float32(0.1),
    "every size": lambda r: r.integers(0, 0x7F800000, 40_000).astype(np.uint32).view(np.float32),
    "of both signs": lambda r: r.uniform(-2e5, 2e5, 10_000).astype(np.float32),
    "short decimals": lambda r: (
        np.round(r.uniform(-10, 10, 10_000), 3).astype(np.float32)
        * np.float32(10.0) ** r.integers(-6, 6, 10_000).astype(np.float32)
    ),
    "few bits": lambda r: r.integers(-(2**12), 2**12, 20_000) / 2.0 ** r.integers(0, 24, 20_000),
    "one bit away from eight digits": lambda r: 1 + r.integers(0, 2**15, 20_000) / 2.0**15,
    "powers of ten": lambda r: np.concatenate([near(10.0**n) for n in range(-14, 8)]),
    "powers of two": lambda r: np.concatenate([near(2.0**n) for n in range(-44, 26)]),
    "edges": lambda r: np.array(
        [0.0, -0.0, 1e-45, -1e-40, 3.4028235e38, 1.1754944e-38, 0.1, 1 / 3, 16777216, 7.0385307e-26]
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_text_is_numpys(kind):
    numbers = np.asarray(ODD[kind](np.random.default_rng(7)), np.float32)
    rows_ND = numbers[: len(numbers) // 5 * 5].reshape(-1, 5)
    assert number_texts(rows_ND, b" ") == by_numpy(rows_ND, b" ")
    assert number_texts(rows_ND[::-1, ::2], b"\t") == by_numpy(rows_ND[::-1, ::2], b"\t")


def test_of_vectors_hardly_a_number_is_left_to_numpy():
    numbers = np.random.default_rng(3).standard_normal(50_000).astype(np.float32)
    decimals, odd = shortest_decimals(numbers)
    assert odd.mean() < 0.01
    assert np.array_equal(decimals.astype(np.float32)[~odd], numbers[~odd])
