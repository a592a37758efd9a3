"""The loop: when it stops, what it keeps, what it writes down, and how it fails."""

import json
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nplm_cli import events
from nplm_cli.artifacts import TensorFile
from nplm_cli.config import Config
from nplm_cli.errors import ConfigError, TrainingError
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.training.devices import memory_estimate, pick_device
from nplm_cli.training.weights import FlatWeights

PLAIN = {"optimizer": "sgd", "schedule": "constant", "warmup": 0.0, "clip": 0.0}


def weights_of(run):
    file = TensorFile(run.files.weights)
    return {name: np.array(file[name]) for name in file}


def initial(run):
    return {n: t.numpy().copy() for n, t in run.trainer().model.state_dict().items()}


# --- length -------------------------------------------------------------------------------------


def test_epochs(training):
    progress = training(epochs=4, batch=10).run().progress
    assert (progress.step, progress.epoch, progress.step_in_epoch) == (20, 4, 0)
    assert progress.finished == "length"


@pytest.mark.parametrize("steps", [1, 5, 6, 7, 20])
def test_steps(training, texts, steps):
    run = training(steps=steps)
    progress = run.run().progress
    assert progress.step == steps
    assert progress.finished == "length"
    assert run.metrics[-1]["step"] == steps
    assert run.metrics[-1]["epoch"] == pytest.approx(steps / 6)
    if steps == 6:
        assert progress.tokens == texts[0].predictions


def test_ten_epochs_unless_told_otherwise(training):
    assert training(epochs=None, patience=0).run().progress.epoch == 10


def test_budget(training):
    run = training(budget="0.3s", batch=1, eval_every=10_000)
    began = time.monotonic()
    progress = run.run().progress
    assert progress.finished == "budget"
    assert progress.step > 1
    assert 0.15 <= time.monotonic() - began < 3  # half of it is for what follows at most
    assert len(run.metrics) == 1
    assert weights_of(run)


def test_a_budget_runs_from_the_moment_it_is_told(training):
    """Preparing the text counts: ``started`` lies before the training began."""
    progress = training(budget="20s").trainer(started=time.monotonic() - 30).fit()
    assert (progress.step, progress.finished) == (1, "budget")


def test_a_finished_training_is_lengthened(training):
    """Two epochs and then two more are four, where the rate does not depend on the length."""
    straight, other = training(epochs=4, **PLAIN), training(epochs=2, **PLAIN)
    straight.run()
    other.run()
    longer = training(epochs=4, **PLAIN)
    longer.files = other.files
    trainer = longer.trainer()
    trainer.resume()
    trainer.reopen()
    assert trainer.fit().epoch == 4
    assert longer.digest == straight.digest
    assert longer.metrics == straight.metrics


# --- early stopping and the best weights --------------------------------------------------------


def test_patience(training):
    """Nothing after the first evaluation counts as an improvement: 1 + 3 evaluations."""
    run = training(epochs=50, patience=3, tolerance=100.0)
    progress = run.run().progress
    assert progress.finished == "converged"
    assert [record["epoch"] for record in run.metrics] == [1, 2, 3, 4]


def test_an_improvement_starts_patience_anew(training, monkeypatch):
    from nplm_cli.training import evaluations

    values = iter([5.0, 5.1, 4.0, 4.1, 3.9999, 4.2, 4.2, 1.0])
    monkeypatch.setattr(evaluations, "evaluate", lambda *a: np.full(3, next(values)))
    run = training(epochs=50, patience=2)
    progress = run.run().progress
    assert [r["valid_nats"] for r in run.metrics] == [5.0, 5.1, 4.0, 4.1, 3.9999, 4.2, 4.2]
    assert [r["best"] for r in run.metrics] == [True, False, True, False, True, False, False]
    assert progress.best_step == run.metrics[4]["step"]
    assert progress.best_nats == 3.9999


def test_below_the_tolerance_it_is_kept_but_does_not_count(training, monkeypatch):
    from nplm_cli.training import evaluations

    values = iter([5.0, 4.99, 4.98, 1.0])
    monkeypatch.setattr(evaluations, "evaluate", lambda *a: np.full(3, next(values)))
    run = training(epochs=50, patience=2, tolerance=0.1)
    progress = run.run().progress
    assert progress.finished == "converged"
    assert progress.best_nats == 4.98
    assert progress.best_step == run.metrics[2]["step"]


def test_a_creep_below_the_tolerance_counts_when_it_adds_up(training, monkeypatch):
    """Patience measures from the last improvement that counted, not from the best so far."""
    from nplm_cli.training import evaluations

    nats = [5.0, 4.95, 4.91, 4.86, 4.85, 4.84, 4.83]
    values = iter([*nats, 1.0])
    monkeypatch.setattr(evaluations, "evaluate", lambda *a: np.full(3, next(values)))
    run = training(epochs=50, patience=3, tolerance=0.1)
    progress = run.run().progress
    assert progress.finished == "converged"
    assert [record["valid_nats"] for record in run.metrics] == nats
    assert (progress.best_nats, progress.reference_nats) == (4.83, 4.86)
    assert progress.best_step == progress.step


def test_patience_0_never_stops(training):
    run = training(epochs=8, patience=0, tolerance=100.0)
    assert run.run().progress.finished == "length"
    assert len(run.metrics) == 8


def test_the_best_weights_are_kept_and_loaded(training, texts):
    run = training(epochs=12, patience=0, lr=0.05, optimizer="adam", schedule="constant")
    trainer = run.run()
    nats = [record["valid_nats"] for record in run.metrics]
    assert 0 < nats.index(min(nats)) < len(nats) - 1  # it did get worse again
    assert trainer.progress.best_nats == min(nats)
    assert evaluate(trainer.model, texts[1], "sentence").mean() == pytest.approx(
        min(nats), rel=1e-9
    )


def test_stop_on_train(training):
    run = training(epochs=12, patience=0, stop_on="train", lr=0.1, optimizer="adam")
    progress = run.run().progress
    nats = [record["train_nats"] for record in run.metrics]
    assert progress.best_nats == min(nats)
    assert all(record["valid_nats"] is not None for record in run.metrics)


def test_without_validation_the_training_loss_is_watched(training):
    run = training(valid=None)
    progress = run.run().progress
    assert progress.best_nats == min(record["train_nats"] for record in run.metrics)
    assert {record["valid_nats"] for record in run.metrics} == {None}


def test_while_the_noise_rises_no_training_loss_is_the_best(training):
    """It rises with the noise; the weights of its first, easy evaluations are not the ones kept."""
    noisy = {"stop_on": "train", "dropout": 0.9, "word_dropout": 0.5, "tolerance": 100.0}
    run = training(epochs=12, dropout_ramp=0.6, patience=2, lr=0.05, optimizer="adam", **noisy)
    progress = run.run().progress
    nats = [record["train_nats"] for record in run.metrics]
    # Epochs 1 to 8 begin while it rises (0.6 of 12 is 7.2); the ninth is the first to compare with.
    assert min(nats[:7]) < min(nats[8:])
    assert [record["best"] for record in run.metrics[:9]] == [True] * 9
    assert progress.best_nats == min(nats[8:])
    assert progress.finished == "converged"
    assert len(nats) == 11


def test_validation_is_compared_however_the_noise_rises(training, monkeypatch):
    from nplm_cli.training import evaluations

    values = iter([4.0, 4.1, 4.2, 1.0])
    monkeypatch.setattr(evaluations, "evaluate", lambda *a: np.full(3, next(values)))
    run = training(epochs=50, patience=2, dropout=0.5, dropout_ramp=0.9)
    assert run.run().progress.best_nats == 4.0
    assert [record["best"] for record in run.metrics] == [True, False, False]


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_the_first_step_of_a_short_training_is_a_step(training, steps):
    """The warm-up counts the step itself: where it is shorter than a step, there is none."""
    run = training(steps=steps, schedule="constant", warmup=0.1, eval_every=1, lr=0.5, patience=0)
    run.run()
    assert [record["lr"] for record in run.metrics] == [0.5] * steps


def test_plateau_halves_the_rate(training):
    run = training(schedule="plateau", warmup=0.0, tolerance=100.0, patience=0, epochs=5, lr=0.08)
    progress = run.run().progress
    assert [record["lr"] for record in run.metrics] == [0.08, 0.08, 0.04, 0.02, 0.01]
    assert progress.halvings == 4


def test_linear_and_warmup_rates(training):
    run = training(schedule="linear", warmup=0.5, steps=8, eval_every=1, lr=0.8, patience=0)
    run.run()
    expected = [0.2, 0.4, 0.6, 0.8, 0.8, 0.6, 0.4, 0.2]
    assert [record["lr"] for record in run.metrics] == pytest.approx(expected)


# --- what it writes -----------------------------------------------------------------------------


def test_metrics(training, texts):
    run = training(epochs=3)
    told = []
    run.trainer(on_event=told.append).fit()
    lines = run.files.metrics.read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert [event.record for event in told if isinstance(event, events.Evaluated)] == records
    assert len(records) == 3
    for number, record in enumerate(records, 1):
        assert set(record) == {
            "step", "epoch", "tokens", "seconds", "train_nats", "train_ppl", "valid_nats",
            "valid_ppl", "valid_oov_share", "lr", "tokens_per_second", "best",
        }  # fmt: skip
        assert record["tokens"] == number * texts[0].predictions
        assert record["train_ppl"] == pytest.approx(math.exp(record["train_nats"]))
        assert record["valid_ppl"] == pytest.approx(math.exp(record["valid_nats"]))
        assert record["tokens_per_second"] > 0
        assert record["valid_oov_share"] == texts[1].oov() / texts[1].words
    assert records[0]["train_nats"] == pytest.approx(math.log(12), abs=0.3)
    assert records[0]["seconds"] <= records[-1]["seconds"]


def test_train_nats_are_the_mean_since_the_last_evaluation(training):
    run = training(epochs=2, lr=1e-9, **{**PLAIN, "eval_every": 4})
    run.run()
    assert [r["train_nats"] for r in run.metrics] == pytest.approx(
        [evaluate(run.trainer().model, run.train, "sentence").mean()] * 3, abs=0.05
    )
    whole = training(epochs=1, lr=1e-9, **PLAIN)
    whole.run()
    expected = evaluate(whole.trainer().model, whole.train, "sentence").mean()
    assert whole.metrics[0]["train_nats"] == pytest.approx(expected, abs=1e-6)


def test_progress_events(training):
    told = []
    training(steps=5).trainer(on_event=told.append).fit()
    progress = [event for event in told if isinstance(event, events.Progress)]
    assert [event.done for event in progress] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all("train ppl" in event.detail for event in progress)


def test_checkpoints_come_by_the_clock(training, monkeypatch):
    from nplm_cli.training import loop

    steps = []
    save = loop.save_checkpoint
    monkeypatch.setattr(loop, "save_checkpoint", lambda *a: (steps.append(a[-1].step), save(*a)))
    training(steps=4, checkpoint_every=0.0, eval_every=100).run()
    assert steps == [0, 1, 2, 3, 4]
    steps.clear()
    training(steps=4, checkpoint_every=60.0, eval_every=100).run()
    assert steps == [0, 4]


def test_global_random_numbers_are_not_touched(training):
    trainer = training(dropout=0.5).trainer()
    before = torch.get_rng_state()
    trainer.fit()
    assert torch.equal(before, torch.get_rng_state())


# --- steps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_a_full_batch_is_the_gradient_of_the_whole_epoch(training, context):
    """Gradient descent with lr 1 moves the weights by the gradient of the mean loss."""
    run = training(batch=0, steps=1, lr=1.0, context=context, **PLAIN)
    start = initial(run)
    trainer = run.trainer()
    model = trainer.model
    model.zero_grad()
    state = None
    [step] = trainer.batches.epoch(0)
    for batch in step:
        state = model.carried_state(state, torch.from_numpy(batch.fresh_B))
        hidden, state = model(torch.from_numpy(batch.ids_BT), state)
        logits = model.logits(hidden).flatten(0, 1)
        targets = torch.from_numpy(batch.targets_BT).flatten()
        loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=-1, reduction="sum")
        (loss / run.train.predictions).backward()
    expected = {n: start[n] - p.grad.numpy() for n, p in model.named_parameters()}
    run.run()
    for name, array in weights_of(run).items():
        np.testing.assert_allclose(array, expected[name], atol=1e-5, err_msg=name)


def test_a_full_batch_of_sentences_is_the_sum_of_single_sentences(training, make_part):
    run = training(batch=0, steps=1, lr=1.0, **PLAIN)
    start = initial(run)
    trainer = run.trainer()
    model = trainer.model
    model.zero_grad()
    for a, b in zip(run.train.starts[:-1], run.train.starts[1:], strict=True):
        targets = torch.from_numpy(run.train.ids_N[a:b].astype(np.int64))
        ids = torch.cat([torch.tensor([1]), targets[:-1]])[None]
        hidden, _ = model(ids, model.initial_state(1))
        torch.nn.functional.cross_entropy(
            model.logits(hidden[0]), targets, reduction="sum"
        ).backward()
    expected = {
        n: start[n] - p.grad.numpy() / run.train.predictions for n, p in model.named_parameters()
    }
    run.run()
    for name, array in weights_of(run).items():
        np.testing.assert_allclose(array, expected[name], atol=1e-5, err_msg=name)


def test_single_samples(training, texts):
    progress = training(batch=1, epochs=2).run().progress
    assert progress.step == 2 * texts[0].sentences


def test_clipping_bounds_the_step(training):
    settings = {**PLAIN, "steps": 1, "lr": 1.0}
    free, clipped = training(**settings), training(**{**settings, "clip": 0.01})
    lengths = []
    for run in (free, clipped):
        start = initial(run)
        run.run()
        change = [((array - start[name]) ** 2).sum() for name, array in weights_of(run).items()]
        lengths.append(math.sqrt(sum(change)))
    assert lengths[0] > 0.02
    assert lengths[1] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("tie", [False, True])
def test_frozen_vectors_do_not_move(training, tie):
    run = training(model={"freeze_vectors": True, "tie": tie}, l2=0.1, optimizer="adamw")
    start = initial(run)
    run.run()
    moved = {n for n, array in weights_of(run).items() if not np.array_equal(array, start[n])}
    assert moved == set(start) - {"embedding.weight"}


def test_l2_shrinks_the_weights(training):
    plain, shrunk = training(epochs=5), training(epochs=5, l2=10.0)
    plain.run()
    shrunk.run()
    norms = [np.linalg.norm(weights_of(run)["output.weight"]) for run in (plain, shrunk)]
    assert norms[1] < 0.95 * norms[0]


def test_a_stream_is_read_on(training):
    """The state is that of the step before, detached, until the next epoch begins."""
    run = training(context="stream", epochs=1, valid=None)
    trainer = run.trainer()
    states = []
    trainer.interrupted = lambda: states.append(trainer.objective.state) or False
    trainer.fit()
    states.append(trainer.objective.state)
    flat = [batch for step in trainer.batches.epoch(0) for batch in step]
    assert len(flat) == len(states) > 1
    for state, batch in zip(states, flat, strict=True):
        assert state[0][:, -1].tolist() == batch.ids_BT[:, -1].tolist()
    assert not any(tensor.requires_grad for state in states for tensor in state)


# --- divergence ---------------------------------------------------------------------------------


def test_a_large_first_loss_is_no_divergence(training):
    """The bound is 1000 nats and ten times where the training began."""
    trainer = training(steps=2, lr=1e-6, **PLAIN).trainer()
    with torch.no_grad():
        trainer.model.output.bias.mul_(0)[0] = 30_000.0
    progress = trainer.fit()
    assert progress.first_nats > 2000
    assert progress.finished == "length"


@pytest.mark.parametrize(("first", "diverges"), [(100.0, True), (400.0, False)])
def test_the_bound_of_divergence(training, monkeypatch, first, diverges):
    """1000 + 10 x 100 < 4000 < 1000 + 10 x 400."""
    trainer = training(steps=2, **PLAIN).trainer()
    means, backward = iter([first, 4000.0]), trainer.objective.backward

    def told(batch, predictions, done):
        backward(batch, predictions, done)
        return next(means) * predictions

    monkeypatch.setattr(trainer.objective, "backward", told)
    if diverges:
        with pytest.raises(TrainingError, match=r"diverged at step 2 .* loss 4000 nats"):
            trainer.fit()
    else:
        assert trainer.fit().finished == "length"


DIVERGING = {**PLAIN, "lr": 1e30, "model": {"activation": "relu"}}


def finite(path):
    file = TensorFile(path, verify=True)
    return all(np.isfinite(file[name]).all() for name in file)


@pytest.mark.parametrize(
    "settings",
    [
        {"eval_every": 1000},
        {"eval_every": 1000, "checkpoint_every": 0.0},
        {"eval_every": 1, "checkpoint_every": 0.0},
        {"eval_every": 1},
        {"eval_every": 1, "valid": None},
        {"eval_every": 1000, "lr": 1e38, "checkpoint_every": 0.0},
        {"eval_every": 1, "lr": 1e38},
        {"steps": 1, "lr": 1e38, "l2": 1e6},
    ],
    ids=str,
)
def test_divergence_names_the_step_and_leaves_what_is_finite(training, settings):
    run = training(**{**DIVERGING, **settings})
    with pytest.raises(TrainingError) as caught:
        run.trainer().fit()
    message = str(caught.value)
    for part in ("diverged at step ", "learning rate 1e+3", "gradient norm ", "--force and --lr "):
        assert part in message
    assert str(run.files.checkpoint) in message
    assert "\n" not in message
    assert finite(run.files.weights)
    assert finite(run.files.checkpoint)
    if run.files.metrics.exists():
        for line in run.files.metrics.read_text().splitlines():
            json.loads(line, parse_constant=pytest.fail)


def test_a_gradient_that_is_not_a_number(training):
    run = training()
    trainer = run.trainer()
    trainer.fit()
    trainer = run.trainer()
    calls = iter(range(3))

    def poison(gradient):
        return gradient * (float("nan") if next(calls, None) is None else 1)

    for name in ("weights", "checkpoint", "metrics"):
        getattr(run.files, name).unlink()
    trainer.model.output.weight.register_hook(poison)
    with pytest.raises(TrainingError, match=r"step 4 \(epoch 1, batch 4\).* gradient norm nan"):
        trainer.fit()
    assert finite(run.files.weights)
    assert finite(run.files.checkpoint)


def test_all_frozen(training):
    trainer = training().trainer()
    for parameter in trainer.model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(TrainingError, match="all frozen"):
        FlatWeights(trainer.model)


# --- devices ------------------------------------------------------------------------------------


def planned_run(part, **model):
    """What the estimate reads of a run that is not trained yet; Adam keeps two moments."""
    record = {"data": {"parts": {"train": {
        "predictions": part.predictions, "sentences": part.sentences,
    }}}}  # fmt: skip
    config = Config().replace(optimizer="adam", **model)
    return SimpleNamespace(config=config, vocabulary=range(12), record=record)


def test_devices():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "", "cuda:x", "mps", "meta"):
        with pytest.raises(ConfigError, match="expected auto, cpu or cuda"):
            pick_device(name)
    with pytest.raises(ConfigError, match=r"sees .* GPUs; use --device cpu"):
        pick_device("cuda:99")


@pytest.mark.parametrize(
    "model",
    [{}, {"tie": True, "hidden": 9}, {"layers": 0}, {"hidden_bias": False, "output_bias": False}],
    ids=str,
)
def test_memory_estimate_counts_parameters(training, texts, model):
    """Without the network: the line comes before anything is allocated."""
    run = planned_run(texts[0], order=3, dim=4, **{"hidden": 5, **model})
    line = memory_estimate(run, torch.device("cpu"))
    network = training(model=model).trainer().model
    parameters = sum(p.numel() for p in network.parameters())
    assert f"ffn: {parameters:,} parameters, {texts[0].predictions:,} training tokens" in line
    assert f"({texts[0].sentences} sentences), vocabulary 12;" in line


MEMINFO = """MemTotal:       16303428 kB
MemFree:          310044 kB
MemAvailable:   12582912 kB
HugePages_Total:       0
"""


def test_the_page_cache_is_free_memory(tmp_path):
    """Whoever has just read a large text has little that is free and much that can be."""
    from nplm_cli.training import devices

    (tmp_path / "meminfo").write_text(MEMINFO)
    assert devices._free_on_machine(tmp_path / "meminfo") == 12_582_912 * 1024
    for damaged in ("", "MemTotal: 5 kB", "no colon", "MemAvailable: much kB"):
        (tmp_path / "meminfo").write_text(damaged)
        assert devices._free_on_machine(tmp_path / "meminfo") is None
    assert devices._free_on_machine(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("limit", "free"), [("2000000", 2_000_000 - 1_500_000 + 400_000), ("max", None), ("9", 0)]
)
def test_a_container_has_the_memory_of_its_limit(tmp_path, limit, free):
    from nplm_cli.training import devices

    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("1500000\n")
    (tmp_path / "memory.stat").write_text("anon 1000000\nfile 400000\nkernel 100\n")
    assert devices._free_in_container(tmp_path) == free
    (tmp_path / "memory.stat").unlink()
    assert devices._free_in_container(tmp_path) is None


def test_the_scarcest_memory_counts(monkeypatch):
    from nplm_cli.training import devices

    for machine, container, free in ((5, 7, 5), (7, 5, 5), (None, 5, 5), (5, None, 5)):
        monkeypatch.setattr(devices, "_free_on_machine", lambda found=machine: found)
        monkeypatch.setattr(devices, "_free_in_container", lambda found=container: found)
        assert devices._free_memory(torch.device("cpu")) == free


def test_memory_that_does_not_suffice(texts, monkeypatch):
    from nplm_cli.training import devices

    run = planned_run(texts[0], order=3, dim=60_000, hidden=60_000)
    # Weights, gradients and two moments of more than 7,200 million parameters, 4 bytes each.
    needed = 4 * 4 * 60_000 * (2 * 60_000)
    monkeypatch.setattr(devices, "_free_memory", lambda device: needed)
    with pytest.raises(TrainingError, match=r"MiB are free: lower --max-size, --dim or --hidden"):
        memory_estimate(run, torch.device("cpu"))
    for free in (2 * needed, None):
        monkeypatch.setattr(devices, "_free_memory", lambda device, free=free: free)
        memory_estimate(run, torch.device("cpu"))
