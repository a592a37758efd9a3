"""Tables trained by rows: the AdamW of whole tables, but for rounding."""

import itertools
import math

import numpy as np
import pytest
import torch

from nplm_cli.artifacts import TensorFile
from nplm_cli.config import ModelConfig, TrainingConfig
from nplm_cli.errors import ArtifactError
from nplm_cli.models import build
from nplm_cli.training import row_table, rows
from nplm_cli.training.row_table import RowClock, RowTable
from nplm_cli.training.rows import in_rows

WORDS, WIDTH = 30, 4
CPU = torch.device("cpu")


def table_of(seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.nn.Parameter(torch.randn(WORDS, WIDTH, generator=random))


def gradients(steps, seed=1):
    """Rows and their gradients, a step each: a few rows often, the others seldom or never."""
    random = np.random.default_rng(seed)
    for _ in range(steps):
        used = np.unique(np.minimum(random.zipf(1.4, 3), WORDS - 3) - 1)
        yield (
            torch.from_numpy(used),
            torch.from_numpy(random.normal(size=(len(used), WIDTH)).astype(np.float32) * 1e-3),
        )


def rate(step):
    """A rate that rises and falls, as a schedule's does."""
    return 0.05 * (1 + math.sin(step / 9))


def by_rows(table, clock, given):
    for step, (used, gradient) in enumerate(given):
        table.refresh(used)
        table.rows_R, table.gradient_RD = used, gradient
        table.step(rate(step))
        clock.advance(rate(step))


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("steps", [1, 2, 40, 400])
def test_a_table_by_rows_is_the_whole_table(steps, weight_decay):
    whole = table_of()
    optimizer = torch.optim.AdamW([whole], weight_decay=weight_decay)
    for step, (used, gradient) in enumerate(gradients(steps)):
        optimizer.param_groups[0]["lr"] = rate(step)
        whole.grad = torch.zeros(WORDS, WIDTH).index_add_(0, used, gradient)
        optimizer.step()

    clock = RowClock(weight_decay, CPU)
    table = RowTable(table_of(), clock, torch.float32)
    by_rows(table, clock, gradients(steps))
    stale = (table.last_V < clock.steps).sum()
    assert stale >= 3  # some words are never used
    assert (table.master_VD - whole).abs().max() > 1e-4 or not weight_decay
    table.settle()
    error_VD = (table.master_VD - whole).abs()
    assert error_VD.max() < 5e-5  # a thousandth of a step, where the gradient is nearly eps
    assert (error_VD > 3e-6).float().mean() < 0.05
    state = optimizer.state[whole]
    torch.testing.assert_close(table.exp_avg_VD, state["exp_avg"], atol=1e-9, rtol=1e-4)
    torch.testing.assert_close(table.exp_avg_sq_VD, state["exp_avg_sq"], atol=1e-12, rtol=1e-4)


def test_rows_that_were_not_used_wait():
    clock = RowClock(0.1, CPU)
    table = RowTable(table_of(), clock, torch.float32)
    start = table.master_VD.clone()
    by_rows(table, clock, [(torch.tensor([3, 5]), torch.ones(2, WIDTH))])
    changed = (table.master_VD != start).any(1).nonzero()[:, 0]
    assert changed.tolist() == [3, 5]
    table.refresh(torch.tensor([5, 7, 7]))
    assert (table.master_VD != start).any(1).nonzero()[:, 0].tolist() == [3, 5, 7]
    assert table.last_V.tolist() == [int(w in (3, 5, 7)) for w in range(WORDS)]


def test_settling_twice_is_settling_once():
    clock = RowClock(0.1, CPU)
    table = RowTable(table_of(), clock, torch.float32)
    by_rows(table, clock, gradients(20))
    table.settle()
    once = table.master_VD.clone()
    table.settle()
    clock.restart()
    table.settle()
    assert table.master_VD.equal(once)


# --- trainings ----------------------------------------------------------------------------------

SETTINGS = {"loss": "sampled", "samples": 2, "batch": 2, "l2": 0.1, "lr": 0.02, "dropout": 0.2}
SETTINGS |= {"eval_every": 7, "patience": 0, "epochs": 2}


@pytest.fixture
def in_rows_from(monkeypatch):
    """The size of vocabulary from which on tables are trained by rows."""
    return lambda words: monkeypatch.setattr(rows, "LEAST_WORDS", words)


def weights_of(run):
    file = TensorFile(run.files.weights)
    return {name: np.array(file[name]) for name in file}


MODELS = [
    {"tie": True, "hidden": 4},
    {"tie": True},
    {},
    {"arch": "lstm"},
    {"output_bias": False},
    {"freeze_vectors": True},
]
# Models, losses, and whether that leaves a table of which a step uses some rows.
TRAININGS = [(model, loss, True) for model in MODELS for loss in ("sampled", "nce")]
TRAININGS += [({}, "full", True), ({"softmax": "adaptive", "cutoffs": "3,7"}, "full", True)]
TRAININGS += [({"tie": True}, "full", False), ({"freeze_vectors": True}, "full", False)]


@pytest.mark.parametrize(("model", "loss", "some"), TRAININGS, ids=str)
def test_a_training_by_rows_is_the_training(training, in_rows_from, model, loss, some):
    runs = []
    for least in (2, 1000):
        in_rows_from(least)
        run = training(model=model, **{**SETTINGS, "loss": loss})
        trainer = run.trainer()
        assert (trainer.weights.rows is not None) is (some and least == 2)
        trainer.fit()
        assert trainer.weights.rows is None or not trainer.weights.rows.clock.elapsed
        runs.append(run)
    by_row, whole = (weights_of(run) for run in runs)
    for name, expected in whole.items():
        np.testing.assert_allclose(by_row[name], expected, atol=2e-4, rtol=1e-3, err_msg=name)
    for one, other in zip(*(run.metrics for run in runs), strict=True):
        assert one["valid_nats"] == pytest.approx(other["valid_nats"], abs=1e-5)
        assert one["train_nats"] == pytest.approx(other["train_nats"], abs=1e-5)


@pytest.mark.parametrize("most", [1, 3])
def test_rows_are_settled_in_time(training, in_rows_from, monkeypatch, most):
    in_rows_from(2)
    often, seldom = training(**SETTINGS), training(**SETTINGS)
    seldom.run()
    monkeypatch.setattr(row_table, "MOST_STEPS", most)
    often.run()
    for name, expected in weights_of(seldom).items():
        np.testing.assert_allclose(weights_of(often)[name], expected, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("least", [2, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("loss", ["sampled", "nce"])
@pytest.mark.parametrize("stops", [(1,), (7, 9), (3, 4, 14)], ids=str)
def test_resumed_is_uninterrupted(training, in_rows_from, loss, stops, least):
    in_rows_from(least)
    settings = {**SETTINGS, "loss": loss, "context": "stream"}
    straight, broken = training(**settings), training(**settings)
    straight.run()
    broken.run(*stops)
    assert straight.digest == broken.digest
    assert straight.metrics == broken.metrics
    one, two = TensorFile(straight.files.checkpoint), TensorFile(broken.files.checkpoint)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_checkpoints_at_other_times_change_nothing(training, in_rows_from):
    """A checkpoint holds the rows as they wait; only evaluations bring them up to date."""
    in_rows_from(2)
    seldom, often = training(**SETTINGS), training(**SETTINGS, checkpoint_every=0.0)
    seldom.run()
    often.run(5)
    assert seldom.digest == often.digest


def test_in_bf16_the_model_sees_rounded_rows(training, in_rows_from):
    in_rows_from(2)
    trainer = training(**SETTINGS).trainer(dtype=torch.bfloat16)
    table = trainer.weights.rows.tables["embedding.weight"]
    for step in itertools.islice(trainer.batches.epoch(0), 5):
        trainer._step(step)
        rounded = table.master_VD.to(torch.bfloat16)
        assert trainer.model.embedding.weight.dtype == torch.bfloat16
        assert trainer.model.embedding.weight.equal(rounded)
    trainer.fit()
    assert trainer.model.embedding.weight.dtype == torch.float32
    assert not trainer.model.embedding.sparse
    assert not trainer.model.embedding._forward_pre_hooks


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_norm_is_that_of_all_gradients(training, in_rows_from, dtype):
    """Clipping sees the same length, and scales the rows, too."""
    norms = []
    for least in (2, 1000):
        in_rows_from(least)
        trainer = training(**SETTINGS).trainer(dtype=dtype)
        trainer.model.train()
        trainer.weights.clear_gradients()
        batch = next(trainer.batches.epoch(0))[0]
        trainer.objective.backward(batch, batch.predictions, 0.0)
        trainer.weights.collect_gradients()
        norms.append(trainer.weights.gradient_norm())
        trainer.weights.scale_gradients(0.25)
        assert trainer.weights.gradient_norm() == pytest.approx(norms[-1] / 4, rel=1e-6)
    assert norms[0] == pytest.approx(norms[1], rel=1e-6 if dtype == torch.float32 else 1e-2)


DENSE = [
    {"loss": "full", "model": {"tie": True}},
    {"full_from": 0.5, "model": {"tie": True}},
    {"average": "ema"},
    {"optimizer": "sgd"},
    {"optimizer": "adam"},  # with L2 in the gradient
]


@pytest.mark.parametrize("settings", DENSE, ids=str)
def test_what_uses_every_row_is_trained_whole(training, in_rows_from, settings):
    in_rows_from(2)
    assert training(**{**SETTINGS, **settings}).trainer().weights.rows is None


def test_which_tables(in_rows_from):
    def names(loss="sampled", **model):
        config = ModelConfig(dim=4, hidden=5, **model).resolved()
        trained = [name for name, _ in build(config, 50).named_parameters()]
        if config.freeze_vectors:
            trained.remove("embedding.weight")
        return in_rows(config, TrainingConfig(loss=loss), trained, 50)

    in_rows_from(50)
    assert names() == ["embedding.weight", "output.weight"]
    assert names(tie=True) == ["embedding.weight"]
    assert names("nce", freeze_vectors=True) == ["output.weight"]
    assert names("full") == ["embedding.weight"]
    assert names("full", softmax="adaptive", cutoffs="9") == ["embedding.weight"]
    assert names("full", tie=True) == []
    assert names(tie=True, freeze_vectors=True) == []
    assert names(tie=True, layers=0, combine="sum", output_bias=False) == []  # nothing besides
    in_rows_from(51)
    assert names() == []


def interrupted(training, in_rows_from):
    in_rows_from(2)
    run = training(**SETTINGS)
    trainer = run.trainer()
    trainer.interrupted = lambda: trainer.progress.step >= 3
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    return run


def test_a_checkpoint_of_rows_is_not_taken_for_one_of_tables(training, in_rows_from):
    run = interrupted(training, in_rows_from)
    in_rows_from(1000)
    with pytest.raises(ArtifactError, match=r"checkpoint\.safetensors"):
        run.run()


CHANGES = {
    "no rows": lambda t: [t.pop(n) for n in list(t) if n.startswith("rows.")],
    "no steps of rows": lambda t: t.pop("rows.last.embedding.weight"),
    "later rows": lambda t: t["rows.last.embedding.weight"].__iadd__(9),
    "other rows": lambda t: t.update({"rows.last.embedding.weight": np.zeros(3, np.int64)}),
    "longer history": lambda t: t.update({"rows.histories": np.ones((3, 9))}),
    "no history": lambda t: t.update({"rows.histories": np.ones((3, 0))}),
    "half a history": lambda t: t.update({"rows.histories": np.ones((2, 4))}),
    "no moments": lambda t: t.pop("optimizer.embedding.weight.exp_avg"),
    "other moments": lambda t: t.update(
        {"optimizer.embedding.weight.exp_avg_sq": np.zeros((2, 2), np.float32)}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_foreign_checkpoint_is_refused(training, in_rows_from, change):
    from nplm_cli.artifacts import write_tensors

    run = interrupted(training, in_rows_from)
    file = TensorFile(run.files.checkpoint)
    tensors = {name: np.array(file[name]) for name in file}
    metadata = {"progress": file.metadata["progress"]}
    CHANGES[change](tensors)
    write_tensors(run.files.checkpoint, tensors, metadata)
    with pytest.raises(ArtifactError, match=r"checkpoint\.safetensors"):
        run.run()
