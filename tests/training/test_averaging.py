"""Averaged weights: the mean is what its formula says, and it is what is evaluated and kept."""

import numpy as np
import pytest
import torch

from nplm_cli.artifacts import TensorFile
from nplm_cli.config import ModelConfig, TrainingConfig
from nplm_cli.errors import ArtifactError
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.models import build
from nplm_cli.training.averaging import WeightAverage
from nplm_cli.training.checkpoints import load_checkpoint
from nplm_cli.training.weights import FlatWeights


@pytest.fixture
def model():
    made = build(ModelConfig(order=3, dim=4, hidden=5), 12)
    made.init_weights(torch.Generator().manual_seed(1))
    return made


def steps(model, average, values, done=lambda n: 1.0):
    for n, value in enumerate(values):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(value)
        average.update(done(n))


def test_ema_by_its_formula(model):
    average = WeightAverage(FlatWeights(model), TrainingConfig(average="ema", average_decay=0.9))
    values = [float(v) for v in range(1, 151)]
    steps(model, average, values)
    mean = values[0]
    for n, value in enumerate(values[1:], 2):
        decay = min(0.9, n / (9 + n))
        mean = decay * mean + (1 - decay) * value
    for found in average.means().values():
        torch.testing.assert_close(found, torch.full_like(found, mean), rtol=1e-5, atol=0)


def test_tail_is_the_mean_since_its_start(model):
    average = WeightAverage(FlatWeights(model), TrainingConfig(average="tail", average_from=0.5))
    steps(model, average, [100.0, 100.0, 1.0, 2.0, 6.0], done=lambda n: n / 4)
    assert average.updates == 3
    for found in average.means().values():
        torch.testing.assert_close(found, torch.full_like(found, 3.0))


def test_tail_begins_anew_when_a_training_is_lengthened(model):
    average = WeightAverage(FlatWeights(model), TrainingConfig(average="tail", average_from=0.5))
    steps(model, average, [5.0, 9.0], done=lambda n: 1.0)
    steps(model, average, [1.0], done=lambda n: 0.2)  # the same step is early in a longer training
    assert not average.means()
    assert average.updates == 0
    steps(model, average, [2.0, 4.0], done=lambda n: 0.9)
    for found in average.means().values():
        torch.testing.assert_close(found, torch.full_like(found, 3.0))


def test_none_keeps_nothing(model):
    average = WeightAverage(FlatWeights(model), TrainingConfig())
    steps(model, average, [1.0, 2.0])
    assert not average.means()
    with average.in_place():
        assert model.embedding.weight[0, 0].item() == 2.0


def test_in_place_exchanges_and_gives_back_even_after_an_error(model):
    average = WeightAverage(FlatWeights(model), TrainingConfig(average="tail", average_from=0.0))
    steps(model, average, [1.0, 3.0])
    with average.in_place():
        assert model.embedding.weight[0, 0].item() == 2.0
    assert model.embedding.weight[0, 0].item() == 3.0
    with pytest.raises(RuntimeError), average.in_place():
        raise RuntimeError
    assert model.embedding.weight[0, 0].item() == 3.0


@pytest.mark.parametrize("kind", ["ema", "tail"])
def test_the_average_is_what_is_evaluated_and_kept(training, kind):
    config = {"epochs": 3, "average": kind, "average_from": 0.0}
    trainer = training(**config).trainer()
    trainer.fit()
    kept = TensorFile(trainer.files.weights)
    last = TensorFile(trainer.files.checkpoint)
    best = trainer.progress.best_step == trainer.progress.step
    assert best, "the text is so easy that the last weights are the best"
    np.testing.assert_array_equal(kept["embedding.weight"], last["average.embedding.weight"])
    assert not np.array_equal(kept["embedding.weight"], last["model.embedding.weight"])
    nll_N = evaluate(trainer.model, trainer.valid, trainer.config.context)
    assert nll_N.mean() == pytest.approx(trainer.progress.best_nats, abs=1e-6)


@pytest.mark.parametrize("kind", ["ema", "tail"])
@pytest.mark.parametrize("stops", [(1,), (3, 8)])
def test_interrupted_is_uninterrupted(training, kind, stops):
    config = {"epochs": 3, "average": kind, "average_from": 0.2, "dropout": 0.2}
    straight, broken = training(**config), training(**config)
    straight.run()
    broken.run(*stops)
    assert straight.digest == broken.digest
    assert straight.metrics == broken.metrics


def test_a_checkpoint_whose_average_is_gone_is_refused(training):
    trained = training(epochs=1, average="ema")
    trainer = trained.run()
    file = TensorFile(trained.files.checkpoint)
    from nplm_cli.artifacts import write_tensors

    for kept in ("average.output.bias", None):
        tensors = {n: np.array(file[n]) for n in file if not n.startswith("average.") or n == kept}
        metadata = {"progress": file.metadata["progress"]}
        write_tensors(trained.files.checkpoint.with_name("other"), tensors, metadata)
        with pytest.raises(ArtifactError, match="average"):
            load_checkpoint(
                trained.files.checkpoint.with_name("other"),
                trainer.weights,
                trainer.optimizer,
                trainer.average,
                trainer.generator,
            )
