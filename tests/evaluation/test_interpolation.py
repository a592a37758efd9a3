"""EM finds the likeliest weights: closed forms, brute force, and a bound on what is left to gain."""

import itertools

import numpy as np
import pytest

from nplm_cli.config import CacheSearch
from nplm_cli.evaluation import interpolation
from nplm_cli.evaluation.interpolation import GAP, fit_weights, fit_with_best
from nplm_cli.query.readers import component_log_probs


def mean_nats(log_p_KN, weights):
    return -np.log(np.asarray(weights) @ np.exp(log_p_KN)).mean()


@pytest.fixture
def log_p_KN():
    return np.log(np.random.default_rng(4).dirichlet(np.ones(50), size=(3, 400))[:, :, 0])


def test_components_that_exclude_each_other():
    """One explains 3 of 10 words alone, the other the rest: weights 0.3 and 0.7, whatever p is."""
    with np.errstate(divide="ignore"):
        log_p_KN = np.log([[0.9] * 3 + [0] * 7, [0] * 3 + [0.2] * 7])
    fit = fit_weights(log_p_KN)
    assert fit.weights == pytest.approx([0.3, 0.7], abs=1e-12)
    assert fit.nats == pytest.approx(-(3 * np.log(0.27) + 7 * np.log(0.14)) / 10)
    assert fit.iterations == 1
    assert fit.left_out == 0


def test_no_other_weights_are_better(log_p_KN):
    fit = fit_weights(log_p_KN)
    assert sum(fit.weights) == pytest.approx(1, abs=1e-12)
    assert fit.nats == pytest.approx(mean_nats(log_p_KN, fit.weights), abs=1e-12)
    steps = np.linspace(0, 1, 51)
    grid = [(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1]
    best = min(mean_nats(log_p_KN, weights) for weights in grid)
    assert best - 1e-3 < fit.nats < best + GAP


def test_every_iteration_gains(log_p_KN, monkeypatch):
    """Dempster, Laird & Rubin (1977), theorem 1."""
    nats = []
    for most in range(6):
        monkeypatch.setattr(interpolation, "MAX_ITERATIONS", most)
        fit = fit_weights(log_p_KN)
        assert fit.iterations == most
        nats.append(fit.nats)
    assert nats[0] == pytest.approx(mean_nats(log_p_KN, [1 / 3] * 3))
    assert all(later < earlier for earlier, later in itertools.pairwise(nats))


def test_a_useless_component_gets_nothing(log_p_KN):
    fit = fit_weights(np.stack([log_p_KN[0], log_p_KN[0] - 5]))
    assert fit.weights == pytest.approx([1, 0], abs=1e-4)


def test_no_weight_falls_to_0():
    """Where one component is certain of every word, the other keeps a little, for other texts."""
    fit = fit_weights(np.array([[0.0] * 20, [-30.0] * 20]))
    assert 0 < fit.weights[1] < 1e-8
    assert sum(fit.weights) == pytest.approx(1, abs=1e-12)


def test_the_order_of_the_components_does_not_matter(log_p_KN):
    turned = fit_weights(log_p_KN[::-1])
    assert turned.weights[::-1] == pytest.approx(fit_weights(log_p_KN).weights, abs=1e-9)


def test_probabilities_too_small_for_a_float(log_p_KN):
    far = fit_weights(log_p_KN - 2000)
    near = fit_weights(log_p_KN)
    assert far.weights == pytest.approx(near.weights, abs=1e-9)
    assert far.nats == pytest.approx(near.nats + 2000)


def test_what_tells_nothing_is_left_out(log_p_KN):
    more = np.column_stack([[-1.0, -2.0, np.nan], log_p_KN, [-np.inf] * 3])
    assert fit_weights(more).left_out == 2
    assert fit_weights(more).weights == fit_weights(log_p_KN).weights
    nothing = fit_weights(np.full((2, 3), np.nan))
    assert nothing.weights == [0.5, 0.5]
    assert nothing.left_out == 3


def test_the_best_of_several(log_p_KN):
    """The one that, of all, gives the lowest nats beside the row before; fits are those alone."""
    worse = log_p_KN[1] - np.linspace(0, 3, 400)
    rows = np.stack([log_p_KN[0], worse, log_p_KN[1], log_p_KN[2] - 4])
    calls = []
    fit, row = fit_with_best(rows, [0], [1, 2, 3], lambda: calls.append(1))
    assert row == 2
    assert fit == fit_weights(rows[[0, 2]])
    assert len(calls) == 3
    assert fit_with_best(rows[[0, 1, 1]], [0], [1, 2])[1] == 1  # equal: the first


def test_candidates_are_compared_on_the_same_predictions():
    """Who gives a hard word nothing leaves it out, and must not be the better for it.

    Word by word: the model gives the last two nothing. The second candidate predicts them, at low
    probability, and the others as well as the first does: its nats are higher, over more words.
    """
    with np.errstate(divide="ignore"):
        model = np.log([0.5, 0.5, 0.5, 0.0, 0.0])
        narrow = np.log([0.5, 0.5, 0.5, 0.0, 0.0])
        wide = np.log([0.5, 0.5, 0.5, 0.001, 0.001])
    rows = np.stack([model, narrow, wide])
    assert fit_weights(rows[[0, 1]]).nats < fit_weights(rows[[0, 2]]).nats
    fit, row = fit_with_best(rows, [0], [1, 2])
    assert (row, fit.left_out) == (2, 0)


def test_what_only_one_candidate_can_predict_decides_nothing():
    """Each leaves out one word; on the three that both predict, the second is better."""
    with np.errstate(divide="ignore"):
        model = np.log([0.1, 0.1, 0.1, 0.0, 0.0])
        first = np.log([0.5, 0.5, 0.5, 0.9, 0.0])
        second = np.log([0.6, 0.6, 0.6, 0.0, 0.01])
    rows = np.stack([model, first, second])
    assert fit_weights(rows[[0, 1]]).nats < fit_weights(rows[[0, 2]]).nats
    fit, row = fit_with_best(rows, [0], [1, 2])
    assert row == 2
    assert fit == fit_weights(rows[[0, 2]])
    assert fit.left_out == 1


def test_every_cache_is_empty_at_the_same_words(random_part):
    """The first of each file, whatever kind, size and setting: so all fits see the same words."""
    part = random_part(60, files=4)
    states_ND = np.random.default_rng(1).standard_normal((part.predictions, 3), np.float32)
    caches = [cache for kind in ("unigram", "neural") for cache in CacheSearch(kind).candidates()]

    def read(part, context, on_states=None):
        if on_states is not None:
            on_states(states_ND)
        return np.ones(part.predictions)

    log_p_KN = component_log_probs(part, "sentence", [read], caches, source=0)
    expected = np.zeros(part.predictions, bool)
    expected[part.file_starts] = True
    assert len(caches) > 60
    np.testing.assert_array_equal(np.isnan(log_p_KN[1:]), np.tile(expected, (len(caches), 1)))
    assert {fit_weights(log_p_KN[[0, k]]).left_out for k in range(1, len(log_p_KN))} == {4}
