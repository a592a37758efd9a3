"""What the lessons on units prove or compare, under other settings than their defaults."""

import pytest

from nplm_cli.errors import ConfigError
from nplm_cli.lessons import run_lesson


@pytest.mark.parametrize("target", [(0, 0, 0, 1), (0, 1, 0, 0), (1, 1, 1, 1), (0, 0, 0, 0)])
def test_no_certificate_for_what_a_perceptron_can_say(target):
    values = run_lesson("perceptron", {"target": target}).values
    assert values["certificate"] is None
    assert values["rule_right_target"] == 4


def test_the_opposite_of_xor_has_a_certificate():
    values = run_lesson("perceptron", {"target": (1, 0, 0, 1)}).values
    assert values["certificate"] == [1, 1, 1, 1]
    assert values["rule_right_target"] < 4


def test_softmax_of_scores_that_overflow():
    values = run_lesson("softmax", settings=["z=1e6,0,1e6"]).values
    assert values["p"] == pytest.approx([0.5, 0, 0.5])
    assert values["p_shifted"] == pytest.approx([0.5, 0, 0.5])


def test_a_saturated_unit_has_no_dl_da():
    values = run_lesson("cross-entropy", settings=["b=1000"]).values
    assert values["da_0"] is None
    assert values["dz_0"] == 1


def test_a_unit_needs_as_many_weights_as_inputs():
    with pytest.raises(ConfigError, match="expected as many"):
        run_lesson("cross-entropy", settings=["w=1,2"])
