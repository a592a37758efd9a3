"""Worked examples W-18 and W-38: similarities and neighbours of small textbook vectors."""

import numpy as np
import pytest

from nplm_cli.vectors.keyed import KeyedVectors

WORDS = ["这", "本", "书", "很", "乏味"]
TABLE = [[0.2, 0.1], [0.1, 0.3], [0.4, 0.2], [0.5, 0.4], [0.3, 0.2]]


@pytest.fixture
def synonyms() -> KeyedVectors:
    first_five = [0.01, 0.59, 0.18, 0.05, 0.47]
    a = [*first_five, 0.24, 0.15, 0.42, 0.51, 0.21]
    b = [*first_five, 0.25, 0.14, 0.43, 0.49, 0.23]
    return KeyedVectors(["风趣", "幽默"], np.array([a, b]))


@pytest.fixture
def table() -> KeyedVectors:
    return KeyedVectors(WORDS, np.array(TABLE, dtype=np.float32))


def test_w18_cosine_and_distance_of_synonyms(synonyms):
    assert synonyms.similarity("风趣", "幽默") == pytest.approx(0.999528, abs=5e-7)
    [[near]] = synonyms.neighbors(["风趣"])
    assert near.word == "幽默"
    assert near.score == pytest.approx(0.999528, abs=5e-7)
    [[near]] = synonyms.neighbors(["风趣"], metric="euclidean")
    assert near.score == pytest.approx(0.033166, abs=5e-7)


def test_w18_last_five_dimensions(synonyms):
    last = KeyedVectors(synonyms.words, synonyms.vectors[:, 5:])
    assert last.similarity("风趣", "幽默") == pytest.approx(0.999019, abs=5e-7)
    assert float(last["风趣"] @ last["幽默"]) == pytest.approx(0.559800, abs=5e-7)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("乏味", [("很", 0.996241), ("这", 0.992278), ("书", 0.992278), ("本", 0.789352)]),
        ("很", [("乏味", 0.996241), ("这", 0.977802), ("书", 0.977802), ("本", 0.839570)]),
        ("书", [("这", 1.0), ("乏味", 0.992278), ("很", 0.977802), ("本", 0.707107)]),
        ("本", [("很", 0.839570), ("乏味", 0.789352), ("这", 0.707107), ("书", 0.707107)]),
    ],
)
def test_w38_cosine_neighbours(table, query, expected):
    [found] = table.neighbors([query])
    assert [near.word for near in found] == [word for word, _ in expected]
    assert [near.score for near in found] == pytest.approx([s for _, s in expected], abs=5e-7)


@pytest.mark.parametrize("query", ["乏味", "很", "本"])
def test_w38_parallel_vectors_tie_to_the_bit(table, query):
    scores = {near.word: near.score for near in table.neighbors([query])[0]}
    assert scores["这"] == scores["书"]


def test_w38_euclidean_neighbours(table):
    [found] = table.neighbors(["乏味"], metric="euclidean")
    assert [near.word for near in found] == ["书", "这", "本", "很"]
    expected = [0.1, 0.141421, 0.223607, 0.282843]
    assert [near.score for near in found] == pytest.approx(expected, abs=5e-7)
