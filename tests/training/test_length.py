"""How long a training is: steps, or what is left of a time budget."""

import numpy as np
import pytest

from nplm_cli.config import TrainingConfig
from nplm_cli.corpus.shards import beginning
from nplm_cli.training.length import LAST_STEPS, LEAST_RESERVE, Length


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def __iadd__(self, seconds):
        self.now += seconds
        return self


def of_budget(budget, valid_tokens=0, report_tokens=0, seconds_a_token=0.0, save_seconds=0.0):
    clock = Clock()
    length = Length(
        TrainingConfig(budget=budget),
        5,
        100.0,
        valid_tokens=valid_tokens,
        report_tokens=report_tokens,
        clock=clock,
    )
    length.seconds_a_token, length.save_seconds = seconds_a_token, save_seconds
    return length, clock


def test_steps_and_epochs():
    by_steps = Length(TrainingConfig(steps=8), 5, 0.0)
    assert [by_steps.done(n) for n in (0, 2, 8)] == [0, 0.25, 1]
    assert [by_steps.is_over(n) for n in (7, 8, 9)] == [False, True, True]
    assert by_steps.step_share == 1 / 8
    assert by_steps.reserve == 0
    by_epochs = Length(TrainingConfig(epochs=4), 5, 0.0)
    assert by_epochs.done(5) == 0.25
    assert Length(TrainingConfig(), 5, 0.0).done(50) == 1  # ten epochs unless told otherwise
    assert by_epochs.worth_evaluating(0.0)
    assert by_epochs.has_time_to_evaluate()
    assert not by_epochs.is_tight
    by_epochs.note_step(1e9)
    assert not by_epochs.is_over(5)


def test_a_budget_keeps_time_for_what_follows():
    length, clock = of_budget("100s", 60, 30, seconds_a_token=0.1, save_seconds=2.0)
    assert length.step_share == 0
    assert length.evaluation_seconds == pytest.approx(6)
    assert length.reserve == pytest.approx(LEAST_RESERVE + 6 + 3 + 2 * 2)
    clock += (100 - length.reserve) / 2
    assert length.done(0) == pytest.approx(0.5)
    clock += (100 - length.reserve) / 2
    assert length.done(0) == pytest.approx(1)


def test_the_report_may_evaluate_the_validation_part_once_more():
    length, _ = of_budget("100s", 60, 30, seconds_a_token=0.1)
    length.valid_again = True
    assert length.tokens_to_follow == 150
    assert length.reserve == pytest.approx(LEAST_RESERVE + 15)


def test_what_was_over_before_the_first_step_is_no_part_of_the_schedule():
    """Warm-up and decay begin with the training, not with the reading of the text."""
    length, clock = of_budget("100s", 9, seconds_a_token=1.0)
    clock += 20
    length.began = length.seconds
    assert length.done(0) == 0
    clock += (100 - 20 - length.reserve) / 4
    assert length.done(0) == pytest.approx(0.25)


def test_half_of_a_budget_is_for_training_however_long_the_evaluation():
    length, clock = of_budget("10s", 60, seconds_a_token=1.0)
    assert length.is_tight
    assert length.overrun == pytest.approx(5 + LEAST_RESERVE + 60 - 10)
    clock += 2.5
    assert length.done(0) == pytest.approx(0.5)


def test_a_budget_that_holds_everything_is_not_overrun():
    length, _ = of_budget("100s", 10, 10, seconds_a_token=1.0)
    assert not length.is_tight
    assert length.overrun == 0
    assert length.training_ends == pytest.approx(100 - LEAST_RESERVE - 20)


def test_each_evaluation_corrects_what_the_next_ones_are_expected_to_take():
    length, clock = of_budget("100s", 100, 50, seconds_a_token=0.2)
    clock += 34.5  # half of 100 - 1 - 20 - 10
    assert length.done(0) == pytest.approx(0.5)
    length.note_evaluation(100, 30.0)
    assert length.reserve == pytest.approx(LEAST_RESERVE + 30 + 15)
    assert length.done(0) == pytest.approx(34.5 / 54)
    length.note_evaluation(100, 10.0)
    # 34.5 of 84 would be less: the schedule waits.
    assert length.done(0) == pytest.approx(34.5 / 54)
    clock += 42 - 34.5
    assert length.done(0) == pytest.approx(34.5 / 54)
    clock += 84 / 4
    assert length.done(0) == pytest.approx(0.75)


def test_a_step_begins_only_where_most_of_it_fits():
    length, clock = of_budget("21s")  # 20 for training
    assert not length.is_over(0)
    for _ in range(LAST_STEPS):
        length.note_step(100.0)  # forgotten: only the last ones count
    for seconds in [4.0, 8.0] * (LAST_STEPS // 2):
        length.note_step(seconds)
    clock += 16.9
    assert not length.is_over(1)
    clock += 0.2  # 2.9 are left, less than half of 6
    assert length.is_over(1)
    assert length.done(1) < 1


def test_an_epoch_of_a_budget_is_evaluated_where_that_costs_little():
    length, _ = of_budget("10m", 3, seconds_a_token=1.0)
    assert not length.worth_evaluating(100.0)
    assert length.worth_evaluating(150.0)


def test_no_evaluation_runs_into_the_time_of_the_last_one():
    length, clock = of_budget("100s", 10, seconds_a_token=1.0)  # 89 for training
    clock += 78.0
    assert length.has_time_to_evaluate()
    clock += 2.0
    assert not length.has_time_to_evaluate()
    assert not length.worth_evaluating(1e9)


def test_a_budget_that_does_not_hold_its_evaluations_has_only_the_last():
    length, _ = of_budget("100s", 1, 50, seconds_a_token=1.0)
    assert length.is_tight
    assert not length.has_time_to_evaluate()
    assert not length.worth_evaluating(1e9)


def test_a_used_up_budget():
    length, clock = of_budget("10s")
    clock += 8.9
    assert not length.is_used_up
    clock += 0.2
    assert length.is_used_up
    assert not length.is_late()
    assert length.done(7) == 1
    clock += 5.0
    assert length.done(7) == 1  # a share
    assert length.is_late()


def test_the_beginning_of_a_part(make_part):
    part = make_part([[2, 3], [4], [5, 6, 7]])
    few = beginning(part, 5)
    assert few.predictions == 5
    assert few.sentences == 2
    np.testing.assert_array_equal(few.ids_N, part.ids_N[:5])
    assert beginning(part, 1).sentences == 1
    assert beginning(part, 10**9).predictions == part.predictions
