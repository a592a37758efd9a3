"""Lessons on recurrent models: settings that cannot be, and what moves with others."""

import pytest

from nplm_cli.errors import ConfigError
from nplm_cli.lessons import run_lesson


def test_factors_near_1_neither_vanish_nor_explode():
    values = run_lesson("vanishing", {"small": 1.0, "large": 1.0, "steps": 60}).values
    assert values["gradient_small"] == values["gradient_large"] == 1


def test_a_gradient_below_the_limit_is_not_clipped():
    values = run_lesson("vanishing", {"clip": 1e6}).values
    assert values["norm"] == values["clipped_norm"] < 1e6


def test_states_without_bound_have_no_perplexity_to_show():
    big = ((100.0, 100.0), (100.0, 100.0))
    values = run_lesson("rnn", {"U": big, "W": big, "activation": "relu"}).values
    assert values["perplexity"] is None
    assert values["nll"] > 1e6


def test_gates_of_1_keep_everything():
    values = run_lesson("lstm", {"given": ((0.0, 0.0), (1.0, 1.0), (1.0, 1.0))}).values
    assert values["c_given"] == [0.1, 0.1]


def test_times_that_are_all_equal_have_no_correlation():
    with pytest.raises(ConfigError, match="expected different ones"):
        run_lesson("reading-times", {"go_past": (100.0,) * 5})


def test_the_least_significant_correlation_is_that_of_tables():
    """The t of 3 degrees of freedom and 5 % is 3.182446: r = t / sqrt(t^2 + 3)."""
    values = run_lesson("reading-times").values
    assert values["least_r"] == pytest.approx(3.182446 / (3.182446**2 + 3) ** 0.5, abs=1e-6)


@pytest.mark.parametrize("setting", ["first_pass=1,2,3", "measure=total", "order=0"])
def test_wrong_settings_are_refused(setting):
    with pytest.raises(ConfigError, match="expected"):
        run_lesson("reading-times", settings=[setting])
