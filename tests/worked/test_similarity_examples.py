"""Worked example W-35: nine pairs of WordSim-353 and a vector space that agrees with people."""

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest

from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.lookup import Lookup
from nplm_cli.vectors.ratings import RatedPair, rate_similarity, read_ratings

EXAMPLE = tomllib.loads((Path(__file__).parent / "examples" / "W-35.toml").read_text("utf-8"))
HEADER = "Word 1,Word 2,Human (mean)"


@pytest.fixture
def pairs(tmp_path) -> list[RatedPair]:
    path = tmp_path / "wordsim.csv"
    rows = (",".join(map(str, pair)) for pair in EXAMPLE["pairs"])
    path.write_text("\n".join([HEADER, *rows]) + "\n", "utf-8")
    return read_ratings(str(path))


def agreeing(pairs: list[RatedPair]) -> KeyedVectors:
    """Two dimensions; a pair's angle is 10 degrees less its rating."""
    vectors = {}
    for word1, word2, rating in pairs:
        vectors[word1] = [1.0, 0.0]
        if word1 != word2:
            angle = math.radians(10 - rating)
            vectors[word2] = [math.cos(angle), math.sin(angle)]
    return KeyedVectors(list(vectors), np.array(list(vectors.values())))


def test_w35_mean_of_the_ratings(pairs):
    assert len(pairs) == 9
    assert pairs[0] == ("tiger", "cat", 7.35)
    [mean] = [expect["exact"] for expect in EXAMPLE["expect"] if expect["value"] == "mean"]
    assert mean == 5.403333
    assert sum(pair.rating for pair in pairs) / 9 == pytest.approx(mean, abs=5e-7)


def test_w35_rho_of_a_space_that_agrees(pairs):
    result = rate_similarity(Lookup(agreeing(pairs)), pairs)
    assert (result["covered"], result["words"]) == (9, 14)
    assert result["spearman"] == pytest.approx(1, abs=1e-12)
    assert result["interval_95"] == pytest.approx([1, 1], abs=1e-12)


def test_w35_two_pairs_in_the_wrong_order(pairs):
    # rho = 1 - 6 sum d^2 / n (n^2 - 1), the last two ranks exchanged: 1 - 6 * 2 / 720.
    ranked = [*pairs[:7], pairs[7]._replace(rating=0.92), pairs[8]._replace(rating=1.31)]
    result = rate_similarity(Lookup(agreeing(pairs)), ranked)
    assert result["spearman"] == pytest.approx(1 - 12 / 720, abs=1e-12)
