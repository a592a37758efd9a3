"""How long a training is: steps, or what is left of a time budget."""

import time

import numpy as np
import pytest

from nplm_cli.config import TrainingConfig
from nplm_cli.corpus.shards import beginning
from nplm_cli.training.length import LEAST_RESERVE, Length


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_steps_and_epochs():
    by_steps = Length(TrainingConfig(steps=8), 5, 0.0)
    assert [by_steps.done(n) for n in (0, 2, 8)] == [0, 0.25, 1]
    assert by_steps.step_share == 1 / 8
    by_epochs = Length(TrainingConfig(epochs=4), 5, 0.0)
    assert by_epochs.done(5) == 0.25
    assert Length(TrainingConfig(), 5, 0.0).done(50) == 1  # ten epochs unless told otherwise
    assert by_epochs.worth_evaluating(0.0)


def test_a_budget_keeps_time_for_what_follows(clock):
    length = Length(TrainingConfig(budget="100s"), 5, 100.0)
    assert length.step_share == 0
    length.expect(evaluation_seconds=6.0, report_seconds=3.0, save_seconds=2.0)
    assert length.reserve == LEAST_RESERVE + 6 + 3 + 2 * 2
    clock[0] += (100 - length.reserve) / 2
    assert length.done(0) == pytest.approx(0.5)
    clock[0] += (100 - length.reserve) / 2
    assert length.done(0) == pytest.approx(1)


def test_what_was_over_before_the_first_step_is_no_part_of_the_schedule(clock):
    """Warm-up and decay begin with the training, not with the reading of the text."""
    length = Length(TrainingConfig(budget="100s"), 5, 100.0)
    clock[0] += 20
    length.began = length.seconds
    length.expect(evaluation_seconds=9.0, report_seconds=0.0, save_seconds=0.0)
    assert length.done(0) == 0
    clock[0] += (100 - 20 - length.reserve) / 4
    assert length.done(0) == pytest.approx(0.25)


def test_half_of_a_budget_is_for_training_however_long_the_evaluation(clock):
    length = Length(TrainingConfig(budget="10s"), 5, 100.0)
    length.expect(evaluation_seconds=60.0, report_seconds=0.0, save_seconds=0.0)
    clock[0] += 2.5
    assert length.done(0) == pytest.approx(0.5)


def test_an_epoch_of_a_budget_is_evaluated_where_that_costs_little():
    length = Length(TrainingConfig(budget="10m"), 5, 0.0)
    length.expect(evaluation_seconds=3.0, report_seconds=0.0, save_seconds=0.0)
    assert not length.worth_evaluating(100.0)
    assert length.worth_evaluating(150.0)


def test_the_beginning_of_a_part(make_part):
    part = make_part([[2, 3], [4], [5, 6, 7]])
    few = beginning(part, 5)
    assert few.predictions == 5
    assert few.sentences == 2
    np.testing.assert_array_equal(few.ids_N, part.ids_N[:5])
    assert beginning(part, 1).sentences == 1
    assert beginning(part, 10**9).predictions == part.predictions


def test_a_budget_ends_in_time_with_a_slow_evaluation(training, monkeypatch):
    """The evaluation is timed before the first step, and training stops that much earlier."""
    from nplm_cli.training import loop

    def slow(model, part, context, **others):
        time.sleep(part.predictions * 0.01)
        return real(model, part, context, **others)

    real = loop.evaluate
    monkeypatch.setattr(loop, "evaluate", slow)
    run = training(budget="6s")
    began = time.monotonic()
    assert run.run(started=began).progress.finished == "budget"
    assert 3 <= time.monotonic() - began < 6.6


def test_a_resumed_budget_goes_on_in_its_schedule(training):
    run = training(budget="3s", patience=0)
    straight = run.trainer(started=time.monotonic() - 1)
    straight.interrupted = lambda: straight.progress.step >= 3
    with pytest.raises(KeyboardInterrupt):
        straight.fit()
    assert 1 <= straight.progress.began < straight.progress.seconds
    again = run.trainer()
    again.resume()
    again.fit()
    assert again.progress.began == straight.progress.began
    assert again.length.began == straight.progress.began
    assert again.progress.finished == "budget"
