"""Caches against sums written out, in pieces and blocks of any size; every distribution sums to 1."""

import math

import numpy as np
import pytest

from nplm_cli.config import CacheConfig
from nplm_cli.errors import ConfigError
from nplm_cli.query import cache as module
from nplm_cli.query.cache import CacheReader, distribution

V, T, D = 7, 60, 5
CACHES = [
    *(CacheConfig("neural", size=size, theta=theta) for size in (3, 10, 200) for theta in (0, 1.5)),
    *(
        CacheConfig("unigram", size=size, decay=decay)
        for size in (1, 10, 200)
        for decay in (0.9, 1)
    ),
]


@pytest.fixture
def text():
    random = np.random.default_rng(3)
    ids_T = random.integers(0, V, T)
    return ids_T, random.standard_normal((T, D)).astype(np.float32)


def brute_force(cache, ids_T, states_TD):
    """The formulas of the module, a sum a word: probabilities (T, V), nan where nothing was read."""
    p_TV = np.full((len(ids_T), V), np.nan)
    for t in range(1, len(ids_T)):
        mass = [0.0] * V
        for i in range(max(0, t - cache.size), t):
            if cache.kind == "neural":
                dot = math.fsum(
                    float(a) * float(b) for a, b in zip(*states_TD[[t, i]], strict=True)
                )
                mass[ids_T[i]] += math.exp(cache.theta * dot)
            else:
                mass[ids_T[i]] += cache.decay ** (t - 1 - i)
        p_TV[t] = np.array(mass) / math.fsum(mass)
    return p_TV


@pytest.mark.parametrize("piece", [1, 13, T])
@pytest.mark.parametrize(("block", "lags"), [(256, 8192), (7, 5), (1, 1)])
def test_text_in_order(text, monkeypatch, piece, block, lags):
    monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(module, "MAX_LAGS", lags)
    ids_T, states_TD = text
    reader = CacheReader(CACHES)
    pieces = [
        reader.read(ids_T[at : at + piece], states_TD[at : at + piece]) for at in range(0, T, piece)
    ]
    log_p_CT = np.concatenate(pieces, axis=1)
    for cache, found_T in zip(CACHES, log_p_CT, strict=True):
        expected_TV = brute_force(cache, ids_T, states_TD)
        np.testing.assert_allclose(
            np.exp(found_T), expected_TV[np.arange(T), ids_T], atol=2e-6, err_msg=str(cache)
        )


def test_distributions_are_the_same_and_sum_to_1(text):
    ids_T, states_TD = text
    for cache in CACHES:
        expected_TV = brute_force(cache, ids_T, states_TD)
        for t in (0, 1, 4, T - 1):
            rows = slice(0, t)  # two rows: the text, and the text with other last states
            found_BV = distribution(
                cache,
                np.stack([ids_T[rows], ids_T[rows]]),
                np.stack([states_TD[rows], states_TD[rows]]),
                np.stack([states_TD[t], states_TD[0]]),
                V,
            )
            np.testing.assert_allclose(np.exp(found_BV[0]), expected_TV[t], atol=1e-9)
            if t:
                np.testing.assert_allclose(np.exp(found_BV).sum(axis=1), 1, atol=1e-12)
            else:
                assert np.isnan(found_BV).all()


def test_cleared_caches_are_empty(text):
    ids_T, states_TD = text
    reader = CacheReader(CACHES)
    first = reader.read(ids_T[:9], states_TD[:9])
    reader.clear()
    np.testing.assert_array_equal(reader.read(ids_T[:9], states_TD[:9]), first)
    assert np.isnan(first[:, 0]).all()
    assert not np.isnan(first[:, 1:]).any()


def test_large_scores_neither_overflow_nor_vanish():
    """exp(theta h.h) beyond any float: the word with the largest product has all the mass."""
    cache = CacheConfig("neural", size=2, theta=1000)
    states_TD = np.array([[1], [-50], [60]], np.float32)
    found_CT = CacheReader([cache]).read(np.array([2, 3, 2]), states_TD)
    np.testing.assert_allclose(found_CT[0, 2], 0, atol=1e-12)
    [found_V] = distribution(cache, np.array([[2, 3]]), states_TD[None, :2], states_TD[None, 2], 4)
    np.testing.assert_array_equal(np.exp(found_V), [0, 0, 1, 0])
    # A small cache is not drowned by what a larger one beside it holds.
    pair = [CacheConfig("neural", size=1, theta=1000), CacheConfig("neural", size=2, theta=1000)]
    found_CT = CacheReader(pair).read(np.array([2, 3, 3]), states_TD)
    assert found_CT[0, 2] == 0
    assert found_CT[1, 2] == pytest.approx(-1000 * 60 * 51)


def test_memory_is_bounded_by_the_size(text):
    ids_T, states_TD = text
    reader = CacheReader([CacheConfig("neural", size=4)])
    for _ in range(3):
        reader.read(ids_T, states_TD)
        assert len(reader._ids_M) == 4
        assert reader._states_MD.shape == (4, D)
        assert reader._states_MD.base is None  # a view would keep the whole piece alive


def test_a_neural_cache_asks_for_states():
    with pytest.raises(ValueError, match="states"):
        CacheReader([CacheConfig("neural")]).read(np.array([2, 3]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "bigram"}, "--cache 'bigram': expected unigram or neural"),
        ({"kind": "neural", "size": 0}, "--cache-size 0: expected at least 1"),
        ({"kind": "neural", "theta": -1.0}, "--cache-theta -1.0: expected at least 0"),
        ({"kind": "neural", "theta": math.inf}, "--cache-theta inf: expected a finite number"),
        ({"kind": "unigram", "decay": 0.0}, "--cache-decay 0.0: expected more than 0"),
        ({"kind": "unigram", "decay": 1.1}, "--cache-decay 1.1: expected at most 1"),
        ({"kind": "unigram", "weight": 1.1}, "--cache-weight 1.1: expected at most 1"),
    ],
)
def test_values_out_of_bounds(values, message):
    with pytest.raises(ConfigError, match=message):
        CacheConfig(**values)


def test_json_holds_what_acts():
    assert CacheConfig("neural").to_json().keys() == {"kind", "size", "theta", "weight"}
    assert CacheConfig("unigram").to_json().keys() == {"kind", "size", "decay", "weight"}
    for cache in CACHES:
        assert CacheConfig.from_json(cache.to_json(), "here") == cache
