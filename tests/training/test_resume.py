"""A training that is interrupted and resumed is the training that never was."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from nplm_cli import artifacts
from nplm_cli.artifacts import TensorFile, write_tensors
from nplm_cli.errors import ArtifactError

STREAM = {"context": "stream"}


def assert_same(a, b):
    assert a.digest == b.digest
    assert a.metrics == b.metrics
    one, two = TensorFile(a.files.checkpoint), TensorFile(b.files.checkpoint)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    progress = [json.loads(file.metadata["progress"]) for file in (one, two)]
    for record in progress:
        for measured in ("seconds", "seconds_a_token", "save_seconds"):
            record.pop(measured)
    assert progress[0] == progress[1]


@pytest.mark.parametrize("settings", [{}, STREAM], ids=["sentence", "stream"])
@pytest.mark.parametrize("stops", [(1,), (5,), (6,), (2, 3, 11), (4, 5)], ids=str)
def test_resumed_is_uninterrupted(training, settings, stops):
    """Mid-epoch, at its end, several times, one step apart; dropout is on."""
    settings = {**settings, "dropout": 0.3, "eval_every": 4}
    straight, broken = training(**settings), training(**settings)
    straight.run()
    broken.run(*stops)
    assert len(straight.metrics) >= 3
    assert_same(straight, broken)


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        ("sgd", "constant"),
        ("momentum", "linear"),
        ("adam", "cosine"),
        ("adamw", "plateau"),
        ("rmsprop", "constant"),
        ("adagrad", "linear"),
    ],
)
def test_every_optimiser_and_schedule(training, optimizer, schedule):
    settings = {"optimizer": optimizer, "schedule": schedule, "warmup": 0.2, "l2": 1e-3}
    settings |= {"eval_every": 3, "patience": 0, "tolerance": 0.02, "dropout": 0.2}
    straight, broken = training(**settings), training(**settings)
    end = straight.run().progress
    broken.run(2, 7, 10)
    assert_same(straight, broken)
    assert straight.metrics[-1]["train_nats"] < straight.metrics[0]["train_nats"]
    if schedule == "plateau":
        assert end.halvings > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"batch": 0, "epochs": 6},
        {"batch": 0, "epochs": 6, **STREAM},
        {"batch": 1, "epochs": 1},
        {"batch": 1, "epochs": 1, **STREAM, "bptt": 16},
        {"steps": 7, "clip": 0.01},
        {"epochs": 2, "stop_on": "train"},
        {"epochs": 2, "valid": None},
        {"model": {"freeze_vectors": True}},
        {"model": {"tie": True, "hidden": 4}},
        {"optimizer": "adam", "model": {"tie": True, "freeze_vectors": True, "hidden": 9}},
    ],
    ids=str,
)
def test_other_settings(training, settings):
    settings = {"dropout": 0.1, **settings}
    straight, broken = training(**settings), training(**settings)
    straight.run()
    broken.run(1, 4)
    assert_same(straight, broken)


def test_same_seed_same_bytes_and_another_seed_others(training):
    runs = [training(seed=seed, dropout=0.2) for seed in (1, 1, 2)]
    for run in runs:
        run.run()
    assert_same(runs[0], runs[1])
    assert runs[0].digest != runs[2].digest


def test_resuming_a_finished_training_changes_nothing(training):
    run = training()
    run.run()
    before = run.digest, run.metrics
    trainer = run.run()
    assert trainer.progress.finished == "length"
    assert (run.digest, run.metrics) == before


def test_without_a_checkpoint_it_starts_anew(training):
    straight, other = training(), training()
    straight.run()
    other.files.metrics.write_text('{"step": 3}\n')  # of a training whose checkpoint is gone
    other.run()
    assert_same(straight, other)


def test_records_after_the_checkpoint_and_half_lines_are_dropped(training):
    straight, broken = training(eval_every=2), training(eval_every=2)
    straight.run()
    trainer = broken.trainer()
    trainer.interrupted = lambda: trainer.progress.step >= 5
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    with open(broken.files.metrics, "a") as file:
        file.write('{"step": 6, "valid_nats": 1.0}\n{"step": 4, "val')
    broken.run()
    assert_same(straight, broken)


def test_an_interrupted_training_has_usable_weights(training):
    run = training()
    trainer = run.trainer()
    trainer.interrupted = lambda: trainer.progress.step >= 1
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    assert "embedding.weight" in TensorFile(run.files.weights)


def test_an_interruption_does_not_replace_the_best_weights(training):
    run = training(eval_every=1, patience=0, lr=0.5, optimizer="adam", schedule="constant")
    trainer = run.trainer()
    trainer.interrupted = lambda: trainer.progress.step >= trainer.progress.best_step + 2
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    best = TensorFile(run.files.weights)["output.weight"]
    last = TensorFile(run.files.checkpoint)["model.output.weight"]
    assert not np.array_equal(best, last)


# --- between the files of one evaluation --------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL at one place."""


def die_at_call(monkeypatch, number):
    """The call number ``number`` of save_weights (from 1) writes nothing and ends the process."""
    from nplm_cli.training import loop

    real, calls = loop.save_weights, iter(range(1, 100))

    def dying(path, model):
        if next(calls) == number:
            raise Killed
        real(path, model)

    monkeypatch.setattr(loop, "save_weights", dying)


@pytest.mark.parametrize("number", [1, 2])
def test_killed_between_the_checkpoint_and_the_best_weights(training, monkeypatch, number):
    """What metrics.jsonl calls best is what model.safetensors holds, after more epochs too."""
    from nplm_cli.training import evaluations

    settings = {"schedule": "constant", "warmup": 0.0, "patience": 0}
    nats = [5.0, 4.0, 6.0, 6.0] if number == 2 else [4.0, 5.0, 6.0, 6.0]
    values = iter(nats)
    monkeypatch.setattr(evaluations, "evaluate", lambda *a: np.full(3, next(values)))
    straight = training(epochs=4, **settings)
    straight.run()

    values = iter(nats)
    with monkeypatch.context() as once:
        die_at_call(once, number)
        broken = training(epochs=number, **settings)
        with pytest.raises(Killed):
            broken.trainer().fit()
    assert broken.files.checkpoint.exists()
    longer = training(epochs=4, **settings)
    longer.files = broken.files
    trainer = longer.trainer()
    trainer.resume()
    trainer.reopen()
    progress = trainer.fit()
    assert progress.best_nats == 4.0
    assert progress.best_step == [r["step"] for r in longer.metrics if r["best"]][-1]
    assert [record["valid_nats"] for record in longer.metrics] == nats
    assert longer.digest == straight.digest
    weights = TensorFile(longer.files.weights)
    for name, tensor in trainer.model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), weights[name])


def test_a_finished_training_whose_weights_were_lost(training, monkeypatch):
    straight, broken = training(epochs=1), training(epochs=1)
    straight.run()
    with monkeypatch.context() as once:
        die_at_call(once, 1)
        with pytest.raises(Killed):
            broken.trainer().fit()
    assert not broken.files.weights.exists()
    broken.run()
    assert_same(straight, broken)


def test_shortened_to_where_it_stands_before_anything_was_evaluated(training):
    """Killed at step 3 without weights, then told that 3 steps are enough."""
    run = training(steps=9, checkpoint_every=0.0, eval_every=100)
    trainer = run.trainer()
    steps = iter(range(3))

    def interrupted():
        if next(steps, None) == 2:
            trainer._save()
            raise Killed
        return False

    trainer.interrupted = interrupted
    with pytest.raises(Killed):
        trainer.fit()
    assert not run.files.weights.exists()
    shorter = training(steps=3)
    shorter.files = run.files
    trainer = shorter.trainer()
    trainer.resume()
    trainer.reopen()
    progress = trainer.fit()
    assert (progress.step, progress.finished, progress.best_step) == (3, "length", 3)
    assert [record["step"] for record in shorter.metrics] == [3]
    assert progress.best_nats == shorter.metrics[0]["valid_nats"]


def test_reopening_gives_all_its_patience_again(training):
    run = training(epochs=50, patience=2, tolerance=100.0)
    assert run.run().progress.finished == "converged"
    assert len(run.metrics) == 3
    trainer = run.trainer()
    trainer.resume()
    trainer.reopen()
    assert trainer.fit().finished == "converged"
    # The first of the new ones is what the next are compared with: its rate is another.
    assert [record["epoch"] for record in run.metrics] == [1, 2, 3, 4, 5, 6]


def test_more_patience_goes_on_from_the_best_loss(training):
    run = training(epochs=50, patience=2, tolerance=100.0)
    run.run()
    trainer = run.trainer()
    trainer.resume()
    trainer.reopen(lengthened=False)
    trainer.fit()
    assert [record["epoch"] for record in run.metrics] == [1, 2, 3, 4, 5]


def test_the_checkpoint_says_what_its_length_was(training):
    """Killed after config.json got a new length and before the next checkpoint did."""
    run = training(steps=4)
    assert run.run().progress.changed_lengths(run.trainer().config) == set()
    longer = training(steps=7, patience=1)
    longer.files = run.files
    trainer = longer.trainer()
    trainer.resume()
    assert trainer.progress.changed_lengths(trainer.config) == {"steps", "patience"}
    trainer.reopen()
    assert trainer.fit().step == 7
    assert trainer.progress.changed_lengths(trainer.config) == set()


def test_a_record_is_flushed_before_the_checkpoint_that_follows_it(training, monkeypatch):
    """A power cut could lose it otherwise, and no resume would bring it back."""
    run = training(steps=4)
    flushed = []
    monkeypatch.setattr(
        artifacts.os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_ino)
    )
    run.run()
    assert flushed.count(run.files.metrics.stat().st_ino) == len(run.metrics) == 1
    last = max(i for i, inode in enumerate(flushed) if inode == run.files.metrics.stat().st_ino)
    assert run.files.checkpoint.stat().st_ino in flushed[last:]


def test_a_record_that_cannot_be_written_leaves_none(training, monkeypatch):
    run = training(steps=8, eval_every=4)
    run.files.folder.mkdir(parents=True, exist_ok=True)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    for before in ([], [{"step": 4}]):
        if before:
            run.files.add_metrics(before[0])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space") as caught:
                run.files.add_metrics({"step": 8})
        assert caught.value.filename == str(run.files.metrics)
        assert run.files.metrics.exists() == bool(before)
    assert run.metrics == before


# --- damaged checkpoints ------------------------------------------------------------------------


@pytest.fixture
def interrupted(training):
    run = training(optimizer="adam", **STREAM)
    trainer = run.trainer()
    trainer.interrupted = lambda: trainer.progress.step >= 3
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    return run


def test_a_damaged_checkpoint_is_refused(interrupted):
    data = bytearray(interrupted.files.checkpoint.read_bytes())
    data[-3] ^= 4
    interrupted.files.checkpoint.write_bytes(data)
    with pytest.raises(ArtifactError, match="checksum differs"):
        interrupted.run()


CHANGES = {
    "no generator": lambda t, m: t.pop("generator"),
    "no weight": lambda t, m: t.pop("model.output.weight"),
    "another shape": lambda t, m: t.update({"model.output.weight": np.zeros((2, 2), np.float32)}),
    "no progress": lambda t, m: m.pop("progress"),
    "progress is no JSON": lambda t, m: m.update(progress="{"),
    "progress is a list": lambda t, m: m.update(progress="[]"),
    "unknown progress": lambda t, m: m.update(progress='{"setps": 3}'),
    "optimizer of no number": lambda t, m: t.update({"optimizer.x.step": np.zeros(())}),
    "optimizer of no name": lambda t, m: t.update({"optimizer.0": np.zeros(())}),
    "optimizer of an older nplm": lambda t, m: t.update({"optimizer.0.step": np.zeros(())}),
    "optimizer of another shape": lambda t, m: t.update(
        {"optimizer.embedding.weight.exp_avg": np.zeros((2, 2), np.float32)}
    ),
    "optimizer transposed": lambda t, m: t.update(
        {
            "optimizer.embedding.weight.exp_avg": np.ascontiguousarray(
                t["optimizer.embedding.weight.exp_avg"].T
            )
        }
    ),
    "no optimizer": lambda t, m: [t.pop(n) for n in list(t) if n.startswith("optimizer.")],
    "no optimizer of one": lambda t, m: [
        t.pop(n) for n in list(t) if n.startswith("optimizer.output.bias.")
    ],
    **{
        f"{name} is {value!r}": lambda t, m, change={name: value}: m.update(
            progress=json.dumps({**json.loads(m["progress"]), **change})
        )
        for name, value in [
            ("step", -1),
            ("step", "3"),
            ("step", 3.0),
            ("step", None),
            ("step", True),
            ("epoch", -2),
            ("step_in_epoch", []),
            ("halvings", -1),
            ("tokens", {}),
            ("best_nats", "low"),
            ("seconds", "long"),
            ("seconds", None),
            ("seconds", -5.0),
            ("seconds", 10**400),
            ("step", 2**63),
            ("interval_nats", None),
            ("reference_nats", [1.0]),
            ("finished", 1),
        ]
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_foreign_checkpoint_is_refused(interrupted, change):
    file = TensorFile(interrupted.files.checkpoint)
    tensors = {name: np.array(file[name]) for name in file}
    metadata = {"progress": file.metadata["progress"]}
    CHANGES[change](tensors, metadata)
    write_tensors(interrupted.files.checkpoint, tensors, metadata)
    with pytest.raises(ArtifactError, match=r"checkpoint\.safetensors"):
        interrupted.run()


def test_the_generator_of_another_kind_of_device_is_sown_anew(interrupted):
    """Its state has another shape; the training goes on, if not to the same bytes."""
    file = TensorFile(interrupted.files.checkpoint)
    tensors = {name: np.array(file[name]) for name in file}
    tensors["generator"] = np.zeros(16, np.uint8)
    metadata = {"progress": file.metadata["progress"]}
    write_tensors(interrupted.files.checkpoint, tensors, metadata)
    trainers = [interrupted.trainer() for _ in range(2)]
    unused = trainers[0].generator.get_state().clone()
    for trainer in trainers:
        trainer.resume()
        assert trainer.progress.step == 3
    one, two = (trainer.generator.get_state() for trainer in trainers)
    assert one.equal(two)  # by seed and step, not by chance
    assert not one.equal(unused)
    assert trainers[0].fit().finished == "length"


def test_sgd_needs_no_state_of_an_optimiser(training):
    straight, broken = training(optimizer="sgd"), training(optimizer="sgd")
    straight.run()
    broken.run(2)
    assert not [n for n in TensorFile(broken.files.checkpoint) if n.startswith("optimizer.")]
    assert_same(straight, broken)


def test_a_stream_state_of_many_tensors_keeps_its_order(training, tmp_path):
    """state.10 comes after state.9, not after state.1 (a deep recurrent model has so many)."""
    import torch

    from nplm_cli.training.checkpoints import load_checkpoint, save_checkpoint
    from nplm_cli.training.progress import Progress

    trainer = training().trainer()
    state = tuple(torch.full((1,), i) for i in range(12))
    arguments = (trainer.weights, trainer.optimizer, trainer.average, trainer.generator)
    save_checkpoint(tmp_path / "c", *arguments, state, Progress())
    _, restored = load_checkpoint(tmp_path / "c", *arguments)
    assert [int(tensor) for tensor in restored] == list(range(12))


# --- SIGKILL ------------------------------------------------------------------------------------

KILLED = """
import hashlib, json, os, random, signal, sys, time
from pathlib import Path
import numpy as np
import torch
from nplm_cli import artifacts, events
from nplm_cli.config import ModelConfig, TrainingConfig
from nplm_cli.corpus.shards import Part
from nplm_cli.models import build
from nplm_cli.training.loop import Trainer
from nplm_cli.training.store import RunFiles

torch.set_num_threads(1)
os.fsync = lambda descriptor: None  # a killed process loses no page of the system
context, seed, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
source = np.random.default_rng(0)

def part(sentences):
    texts = [[*source.integers(2, 12, source.integers(1, 9)), 1] for _ in range(sentences)]
    starts = np.concatenate([[0], np.cumsum([len(t) for t in texts])])
    return Part(np.concatenate(texts).astype(np.uint16), starts, np.array([0]), 0)

train, valid = part(60), part(10)
config = TrainingConfig(context=context, batch=8, bptt=4, epochs=10, dropout=0.3, eval_every=5,
                        checkpoint_every=0.0, patience=0)

def trainer(name, on_event=events.ignore):
    (folder / name).mkdir(exist_ok=True)
    network = build(ModelConfig(order=3, dim=4, hidden=5), 12, config.dropout_rates)
    network.init_weights(torch.Generator().manual_seed(1))
    made = Trainer(network, train, valid, config, RunFiles(folder / name), on_event=on_event)
    made.resume()
    return made

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def child(kind, number):
    if kind == "step":
        counted = iter(range(number))
        def on_event(event):
            if isinstance(event, events.Progress) and next(counted, None) is None:
                die()
        trainer("killed", on_event).fit()
    elif kind in ("replace", "fsync"):
        real, counted = getattr(os, kind), iter(range(number))
        def dying(*arguments):
            if next(counted, None) is None:
                die()
            return real(*arguments)
        setattr(artifacts.os, kind, dying)
        trainer("killed").fit()
    else:
        trainer("killed").fit()

trainer("straight").fit()
choose = random.Random(seed)
deaths = 0
plan = ["step", "replace", "clock", "fsync", "step", "replace", "fsync", "clock"]
for kind in plan:
    number = choose.randrange(0, 4)
    pid = os.fork()
    if not pid:
        try:
            child(kind, number)
        finally:
            os._exit(0)
    if kind == "clock":
        time.sleep(choose.uniform(0.005, 0.05))
        os.kill(pid, signal.SIGKILL)
    deaths += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
artifacts.remove_stale_temporaries(folder / "killed")
trainer("killed").fit()

def result(name):
    weights = hashlib.sha256((folder / name / "model.safetensors").read_bytes()).hexdigest()
    records = [json.loads(l) for l in (folder / name / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        record.pop("seconds"), record.pop("tokens_per_second")
    return {"weights": weights, "metrics": records, "files": sorted(os.listdir(folder / name))}

print(json.dumps({"deaths": deaths, **{n: result(n) for n in ("straight", "killed")}}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children that it forks")
@pytest.mark.parametrize(
    ("context", "seed"),
    [
        ("stream", 1),
        pytest.param("sentence", 2, marks=pytest.mark.slow),
        *(
            pytest.param(context, seed, marks=pytest.mark.slow)
            for seed in range(3, 9)
            for context in ("sentence", "stream")
        ),
    ],
)
def test_killed_at_random_and_resumed_is_uninterrupted(tmp_path, context, seed):
    """SIGKILL after a step, before a rename, before a flush and by the clock, eight times."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", KILLED, context, str(seed), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["deaths"] >= 6
    assert found["killed"] == found["straight"]
    assert found["killed"]["files"] == [
        "checkpoint.safetensors", "metrics.jsonl", "model.safetensors",
    ]  # fmt: skip
