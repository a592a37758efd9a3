"""A training under a time budget, on a clock that only evaluations, saves and steps move."""

from pathlib import Path

import pytest

from nplm_cli import events
from nplm_cli.config import budget_seconds
from nplm_cli.training import evaluations, loop
from nplm_cli.training.length import LEAST_RESERVE
from nplm_cli.training.messages import used_up_warning
from nplm_cli.training.progress import Progress


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def world(monkeypatch, training):
    """(settings, costs) -> trainers of one folder, whose work takes what ``costs`` say."""

    class World:
        token, save, step = 0.01, 0.0, 1.0

        def __init__(self):
            self.clock, self.told, self.evaluated, self.saves = Clock(), [], [], 0
            real_evaluate, real_save = evaluations.evaluate, loop.save_checkpoint

            def evaluate(model, part, context):
                self.clock.now += self.token * part.predictions
                self.evaluated.append(part.predictions)
                return real_evaluate(model, part, context)

            def save(*arguments):
                self.clock.now += self.save
                self.saves += 1
                real_save(*arguments)

            monkeypatch.setattr(evaluations, "evaluate", evaluate)
            monkeypatch.setattr(loop, "save_checkpoint", save)

        def trainer(self, run, **arguments):
            started = arguments.pop("started", self.clock.now)
            trainer = run.trainer(
                clock=self.clock, started=started, on_event=self.told.append, **arguments
            )
            backward = trainer.objective.backward

            def slow(*arguments):
                self.clock.now += self.step
                return backward(*arguments)

            trainer.objective.backward = slow
            return trainer

        @property
        def warnings(self):
            return [e.text for e in self.told if isinstance(e, events.Message) and e.warning]

        @property
        def messages(self):
            return [e.text for e in self.told if isinstance(e, events.Message)]

    return World()


def settings(**others):
    """Epochs of six steps; evaluations as they come."""
    return {"patience": 0, "checkpoint_every": 1e9, **others}


def test_everything_ends_with_the_budget(world, training):
    """Preparation 7 s, steps of 1 s, and after them the evaluations of both parts."""
    run = training(**settings(budget="60s"))
    tokens = run.valid.predictions
    world.token = 10 / tokens
    began = world.clock.now
    trainer = world.trainer(run, started=began - 7, report_tokens=tokens // 2)
    progress = trainer.fit()
    assert progress.finished == "budget"
    end = world.clock.now + 7 - began + 10 * (tokens // 2) / tokens  # the report's
    assert end == pytest.approx(60 - LEAST_RESERVE, abs=0.51)
    # What sets things up, the trial, which was of all tokens and long, and one evaluation.
    assert world.evaluated[0] < tokens / 2
    assert world.evaluated[1:] == [tokens, tokens]
    assert world.warnings == []


@pytest.mark.parametrize(
    ("times", "counts"),
    [([9, 2.5, 2.0, 9.0], 2.0), ([1, 1.5, 2.0, 9.0], 1.5), ([0.1, 3.5, 2.0, 9.0], 3.5)],
)
def test_the_quicker_trial_counts(world, training, times, counts):
    """What the first call sets up is no part of the estimate; a long one is not repeated."""
    run = training(**settings(budget="90s"))
    trainer, few = world.trainer(run), iter(times)
    world.token = 0.0
    original = evaluations.evaluate

    def evaluate(*arguments):
        world.clock.now += next(few)
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluations, "evaluate", evaluate)
        trainer._plan()
    assert trainer.length.evaluation_seconds == pytest.approx(counts)


def test_an_evaluation_corrects_the_estimate(world, training, monkeypatch):
    """The trial was ten times too cheap; the first evaluation shows it, the end is in time."""
    monkeypatch.setattr(evaluations, "TRIAL_TOKENS", 1)
    run = training(**settings(budget="100s", eval_every=20))
    tokens, trial = run.valid.predictions, 0
    world.token = 1 / tokens
    trainer = world.trainer(run)
    plan = trainer._plan

    def planned():
        nonlocal trial
        plan()
        trial = trainer.length.evaluation_seconds
        world.token = 10 / tokens

    trainer._plan = planned
    began = world.clock.now
    trainer.fit()
    assert trial == pytest.approx(1)
    assert trainer.length.evaluation_seconds == pytest.approx(10)
    assert world.clock.now - began == pytest.approx(100 - LEAST_RESERVE, abs=0.51)


def test_the_first_save_shows_what_later_ones_take(world, training):
    """Before the first step a checkpoint has nothing of the optimiser."""
    run = training(**settings(budget="100s"))
    world.save, world.token = 2.0, 0.0
    trainer = world.trainer(run)
    trainer._save()
    assert trainer.length.save_seconds == loop.FIRST_SAVE * 2
    trainer.progress.step = 1
    trainer._save()
    assert trainer.length.reserve == pytest.approx(LEAST_RESERVE + 2 * 2)


def test_a_resumed_budget_holds_saves_and_both_evaluations(world, training):
    """The best weights are of the first process: the report evaluates them anew."""
    run = training(**settings(budget="100s", eval_every=5))
    tokens = run.valid.predictions
    world.token, world.save = 4 / tokens, 1.5
    first = world.trainer(run, started=world.clock.now - 10, report_tokens=tokens)
    first.interrupted = lambda: first.progress.step >= 8
    with pytest.raises(loop.Interrupted):
        first.fit()
    spent = first.progress.seconds
    assert first.progress.best_step == 5

    world.token = 4 / tokens
    again = world.trainer(run, started=world.clock.now - 3, report_tokens=tokens)
    again.resume()
    assert again.length.seconds == pytest.approx(spent + 3)  # its own start counts
    assert again.length.began == first.progress.began
    again._save()
    again._plan()
    assert again.progress.began == first.progress.began
    assert again.length.valid_again
    assert again.length.tokens_to_follow == 3 * tokens
    assert again.length.reserve == pytest.approx(LEAST_RESERVE + 12 + 2 * 1.5)


def test_the_best_weights_of_this_process_are_not_evaluated_again(world, training):
    run = training(**settings(budget="40s", eval_every=5))
    world.token = 1 / run.valid.predictions
    first = world.trainer(run)
    first.interrupted = lambda: first.progress.step >= 6
    with pytest.raises(loop.Interrupted):
        first.fit()
    again = world.trainer(run)
    again.resume()
    again.fit()
    assert again.progress.finished == "budget"
    assert again.progress.best_step > 6
    assert again.best_nll_N is not None
    assert not again.length.valid_again


def test_a_resumed_schedule_goes_on(world, training, monkeypatch):
    """The share of the budget that is over does not fall, though the trial is too dear again."""
    monkeypatch.setattr(evaluations, "TRIAL_TOKENS", 1)
    run = training(**settings(budget="100s", eval_every=20, average="tail", average_from=0.2))
    tokens = run.valid.predictions
    plan = loop.Trainer._plan

    def dear(trainer):
        world.token = 40 / tokens
        plan(trainer)
        world.token = 1 / tokens

    monkeypatch.setattr(loop.Trainer, "_plan", dear)
    first = world.trainer(run, started=world.clock.now - 10)
    first.interrupted = lambda: first.progress.step >= 22
    with pytest.raises(loop.Interrupted):
        first.fit()
    assert 10 <= first.progress.began < first.progress.seconds
    share, updates = first.length.furthest, first.average.updates
    assert updates > 5
    again = world.trainer(run)
    again.resume()
    again.interrupted = lambda: again.progress.step >= 23
    with pytest.raises(loop.Interrupted):
        again.fit()
    assert again.progress.began == first.progress.began == again.length.began
    assert again.length.furthest >= share
    assert again.average.updates == updates + 1


def test_what_an_interrupted_evaluation_took_counts(world, training):
    run = training(**settings(budget="60s", eval_every=5))
    world.token, world.save = 7 / run.valid.predictions, 0.25
    trainer = world.trainer(run)
    trainer.interrupted = lambda: trainer.progress.step >= 5
    with pytest.raises(loop.Interrupted):
        trainer.fit()
    again = world.trainer(run)
    again.resume()
    assert again.length.seconds == pytest.approx(trainer.length.seconds - 0.25)  # its own save


def test_a_budget_that_its_evaluation_uses_up_is_known_before_the_next(world, training):
    """10 s of 60 s are of the evaluation: at 50 s there is no time for a step."""
    run = training(**settings(budget="60s", eval_every=10))
    world.token = 10 / run.valid.predictions
    first = world.trainer(run)
    first.interrupted = lambda: first.progress.step >= 11
    with pytest.raises(loop.Interrupted):
        first.fit()
    again = world.trainer(run, started=world.clock.now - (49.5 - first.progress.seconds))
    again.resume()
    assert again.length.is_used_up
    again.reopen(lengthened=False)
    assert again.progress.finished == "budget"


def test_writing_is_part_of_what_an_evaluation_costs(world, training):
    """Epochs of six steps: without a validation part only the files cost something."""
    run = training(**settings(budget="60s", valid=None))
    world.save = 2.0
    world.trainer(run).fit()
    assert len(run.metrics) == 1
    assert world.saves == 2  # before the first step, and at the end


def test_no_step_begins_that_would_be_late(world, training):
    """19 s for training, steps of 8 s: two of them; a third would end at 24 s."""
    run = training(**settings(budget="20s", valid=None))
    world.step, world.token = 8.0, 0.0
    assert world.trainer(run).fit().step == 2
    # 24 is nearer to 23 than 16.
    run = training(**settings(budget="24s", valid=None))
    assert world.trainer(run).fit().step == 3


def test_one_step_is_always_done(world, training):
    run = training(**settings(budget="20s", valid=None))
    world.step = 500.0
    assert world.trainer(run, started=world.clock.now - 30).fit().step == 1


def test_too_much_to_evaluate_is_said_before_the_first_step(world, training):
    run = training(**settings(budget="60s", eval_every=2))
    tokens = run.valid.predictions
    world.token = 50 / tokens
    trainer = world.trainer(run, started=world.clock.now - 4, report_tokens=tokens)
    first_step = []
    backward = trainer.objective.backward
    trainer.objective.backward = lambda *a: (first_step.append(len(world.told)), backward(*a))[1]
    began = world.clock.now - 4
    trainer.fit()
    [warning] = world.warnings
    assert first_step[0] == 1  # the warning came before
    setup = trainer.progress.began
    end = setup + (60 - setup) / 2 + LEAST_RESERVE + 100
    assert f"evaluating {2 * tokens:,} tokens takes about 100 s" in warning
    assert f"{setup:.0f} s of --budget 60s are over" in warning
    assert f"end after about {end:.0f} s instead of 60 s, --eval-every is not followed" in warning
    assert "--valid" in warning
    assert len(run.metrics) == 1  # the last evaluation alone
    assert world.clock.now - began + 50 == pytest.approx(end - LEAST_RESERVE, abs=0.51)


def test_a_budget_that_is_enough_warns_of_nothing(world, training):
    run = training(**settings(budget="60s"))
    world.token = 10 / run.valid.predictions
    world.trainer(run).fit()
    assert world.warnings == []


def test_an_evaluation_after_which_no_time_is_left_is_the_last(world, training):
    run = training(**settings(budget="40s", eval_every=10))
    tokens = run.valid.predictions
    world.token = 1 / tokens
    trainer = world.trainer(run)
    plan = trainer._plan

    def planned():
        plan()
        world.token = 35 / tokens  # nobody could know

    trainer._plan = planned
    progress = trainer.fit()
    assert (progress.step, progress.finished) == (10, "budget")
    assert len(run.metrics) == 1


def test_who_converges_before_the_end_is_told(world, training, monkeypatch):
    run = training(epochs=50, patience=2, tolerance=100.0)
    progress = world.trainer(run).fit()
    assert progress.finished == "converged"
    [told] = world.messages
    assert told == (
        f"ended at step {progress.step:,}, before --epochs 50: the validation loss did not improve "
        "in 2 evaluations; --patience 0 trains to the end"
    )


def test_the_watched_loss_is_named(world, training):
    run = training(steps=90, patience=1, tolerance=100.0, stop_on="train")
    world.trainer(run).fit()
    [told] = world.messages
    assert "before --steps 90: the training loss did not improve in 1 evaluation;" in told


def test_a_training_that_ends_with_its_length_says_nothing(world, training):
    # Patience is over with the last evaluation, too.
    run = training(epochs=3, patience=2, tolerance=100.0)
    assert world.trainer(run).fit().finished == "length"
    assert world.messages == []


def test_a_shorter_budget_than_what_is_spent_ends_it(world, training):
    run = training(**settings(budget="60s", eval_every=15))
    trainer = world.trainer(run)
    trainer.interrupted = lambda: trainer.progress.step >= 20
    with pytest.raises(loop.Interrupted):
        trainer.fit()
    shorter = training(**settings(budget="10s", eval_every=15))
    shorter.files = run.files
    again = world.trainer(shorter)
    again.resume()
    again.reopen()
    assert again.progress.finished == "budget"
    again.fit()
    assert [record["step"] for record in run.metrics] == [15, 20]  # the last steps are looked at
    third = world.trainer(shorter)
    third.resume()
    assert (third.progress.step, third.progress.finished) == (20, "budget")  # and it is stored


def test_a_finished_training_is_not_evaluated_again(world, training):
    run = training(steps=4, eval_every=4, patience=1)
    world.trainer(run).fit()
    again = world.trainer(run)
    again.resume()
    again.reopen(lengthened=False)
    assert again.progress.finished == "length"
    assert len(run.metrics) == 1


def test_reading_that_takes_longer_than_the_budget_is_said(world, training):
    run = training(**settings(budget="60s", valid=None))
    world.token = 0.0
    world.trainer(run, started=world.clock.now - 90).fit()
    [warning] = world.warnings
    assert warning.startswith("90 s of --budget 60s are over before the first step")


@pytest.mark.parametrize(("budget", "seconds"), [("2h", 7100.0), ("60s", 59.0), ("20m", 3600.0)])
def test_the_budget_that_is_proposed_is_enough(training, budget, seconds):
    run = training(**settings(budget=budget))
    progress = Progress(step=9, seconds=seconds)
    text = used_up_warning(progress, run.config, Path("my run"))
    assert "-o 'my run' --budget " in text
    proposed = budget_seconds(text.rsplit(" ", 1)[1])
    assert proposed > seconds + 30
    assert proposed > budget_seconds(budget)


def test_a_budget_that_ended_in_time_stays_ended(world, training):
    """A third step would have been late by more than half: another patience does not bring it."""
    run = training(**settings(budget="20s", valid=None))
    world.step, world.token = 8.0, 0.0
    assert world.trainer(run).fit().step == 2
    again = world.trainer(run)
    again.resume()
    again.reopen(lengthened=False)
    assert again.fit().step == 2


def test_weights_of_no_step_are_never_the_best(world, training):
    """Interrupted before the first step, the budget used up by starting again."""
    run = training(**settings(budget="60s", valid=None))
    first = world.trainer(run)
    first._save()
    again = world.trainer(run, started=world.clock.now - 70)
    again.resume()
    again.reopen()
    assert (again.fit().step, again.progress.best_step) == (1, 1)


def test_the_training_loss_is_watched_anew_from_the_full_softmax_on(world, training):
    """An estimate from samples, however low, is no record for it to beat."""
    run = training(
        epochs=10, valid=None, patience=0, loss="sampled", samples=4, full_from=0.5, eval_every=6
    )
    trainer = world.trainer(run)
    sampled = trainer.objective.sampled_loss
    trainer.objective.sampled_loss = lambda *inputs: sampled(*inputs) * 1e-3
    progress = trainer.fit()
    half = progress.step // 2
    assert progress.full_since == half + 1
    best = {record["step"] for record in run.metrics if record["best"]}
    assert min(best - set(range(half + 1))) == half + 6
    assert progress.best_step > half
