"""Lessons on attention: settings that cannot be, and what moves with others."""

import math

import pytest

from nplm_cli.errors import ConfigError
from nplm_cli.lessons import run_lesson


def test_only_words_of_the_table_are_read():
    with pytest.raises(ConfigError, match="is none of 这"):
        run_lesson("attention", settings=["text=这 本 猫"])


@pytest.mark.parametrize("heads", ["3", "0"])
def test_heads_divide_the_vector(heads):
    with pytest.raises(ConfigError, match="expected one of 1, 2, 4"):
        run_lesson("attention", settings=[f"heads={heads}"])


def test_one_word_looks_at_itself():
    values = run_lesson("attention", {"text": ("很",)}).values
    assert values["weights_none"] == values["weights_sinusoidal"] == [1]


def test_equal_numbers_without_eps_are_nan_and_say_so(recwarn):
    lesson = run_lesson("norm", {"x": (3.0, 3.0), "eps": 0.0, "layers": 2})
    assert all(map(math.isnan, lesson.values["with_eps"]))
    assert "nan" in lesson.steps[0].text.en
    assert not recwarn.list


def test_an_odd_dimension_still_turns_in_pairs():
    assert run_lesson("positions", {"dim": 5}).values["shift_error"] < 1e-15
