"""Shared fixtures: small streams of token ids."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest


@pytest.fixture
def to_stream() -> Callable[[Iterable[Sequence[int]]], np.ndarray]:
    """Sentences of ids -> one flat stream, each sentence ended by id 1."""

    def build(sentences: Iterable[Sequence[int]]) -> np.ndarray:
        return np.array([i for s in sentences for i in (*s, 1)], dtype=np.uint16)

    return build


@pytest.fixture
def corpus() -> np.ndarray:
    """A thousand sentences over 40 words, ids 40 to 44 never seen; the first words frequent."""
    random = np.random.default_rng(5)
    ids = np.minimum(random.zipf(1.4, 8000), 39)
    return np.append(ids, 1).astype(np.uint16)
