"""Lessons on feedforward models: settings that cannot be, and what moves with others."""

import pytest

from nplm_cli.errors import ConfigError
from nplm_cli.lessons import run_lesson


def claims(name, **values):
    """Whether each claim holds, by its beginning."""
    steps = run_lesson(name, values).steps
    return {claim.text.en: claim.holds for step in steps for claim in step.claims}


def test_a_word_of_probability_0_has_no_perplexity():
    table = ((1.0, 1e6), (0.0, 0.1), (0.0, 0.1), (-1.0, 1e6), (0.0, 0.0))
    values = run_lesson("ffn", {"vectors": table}).values
    assert values["perplexity"] is None
    assert values["nll"] > 700


def test_rounding_to_many_places_changes_nothing():
    values = run_lesson("ffn", {"places": 12}).values
    assert values["p_rounded"] == pytest.approx(values["p"], abs=1e-11)


@pytest.mark.parametrize("setting", ["context=the dgo gets", "words=fed warmly"])
def test_generalisation_knows_its_own_words_alone(setting):
    with pytest.raises(ConfigError, match="no word of the lesson's sentences"):
        run_lesson("generalisation", settings=[setting])


def test_an_untrained_network_does_not_generalise():
    holds = claims("generalisation", steps=0)
    assert not holds["it finds fed more than twice as likely as Kneser-Ney does"]
    assert not holds["each pair that is alike is nearer than any pair that is not"]


def test_what_was_seen_has_a_frequency():
    values = run_lesson("generalisation", {"context": ("the", "cat", "gets")}).values
    assert values["mle"] == [1, 0, 0]
    assert values["counts"] == [3, 0, 0]


def test_the_zero_vector_has_no_angle():
    values = run_lesson("neighbors", {"scale": 0.0}).values
    assert values["scaled_cosines"] == [0, 0, 0, 0]
