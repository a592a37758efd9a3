"""A small model, a small text, and a training of the one on the other."""

import hashlib
import json
from collections.abc import Callable

import pytest
import torch

from nplm_cli import artifacts
from nplm_cli.config import ModelConfig, TrainingConfig
from nplm_cli.models import build
from nplm_cli.training.loop import Interrupted, Trainer
from nplm_cli.training.store import RunFiles

V = 12
MODEL = ModelConfig(order=3, dim=4, hidden=5)


class Training:
    """A folder with a training that can be interrupted and taken up again."""

    def __init__(self, folder, train, valid, config, model=MODEL):
        folder.mkdir(exist_ok=True)
        self.files = RunFiles(folder)
        self.train, self.valid, self.config, self.model = train, valid, config, model

    def trainer(self, **arguments) -> Trainer:
        network = build(self.model, V, self.config.dropout_rates)
        network.init_weights(torch.Generator().manual_seed(self.config.seed))
        network.embedding.weight.requires_grad_(not self.model.freeze_vectors)
        return Trainer(network, self.train, self.valid, self.config, self.files, **arguments)

    def run(self, *stops: int, **arguments) -> Trainer:
        """Train to the end; at each of the steps ``stops`` everything is lost but the files."""
        for stop in stops:
            trainer = self.trainer(**arguments)
            trainer.interrupted = lambda t=trainer, s=stop: t.progress.step >= s
            trainer.resume()
            with pytest.raises(Interrupted):
                trainer.fit()
            assert trainer.progress.step == stop
        trainer = self.trainer(**arguments)
        trainer.resume()
        trainer.fit()
        return trainer

    @property
    def metrics(self) -> list[dict]:
        """Records of metrics.jsonl, without what a clock says."""
        clock = ("seconds", "tokens_per_second")
        lines = self.files.metrics.read_text("utf-8").splitlines()
        return [{k: v for k, v in json.loads(line).items() if k not in clock} for line in lines]

    @property
    def digest(self) -> str:
        """SHA-256 of model.safetensors."""
        return hashlib.sha256(self.files.weights.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """Hundreds of checkpoints: that they are flushed is tested with the artifacts."""
    monkeypatch.setattr(artifacts.os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def texts(random_part):
    """A training part (three files) and a validation part."""
    return random_part(45, V, files=3), random_part(12, V, seed=1)


@pytest.fixture
def training(tmp_path, texts) -> Callable[..., Training]:
    """Settings -> a training in a folder of its own."""
    number = iter(range(1000))

    def make(*, model=None, train=None, valid=texts[1], **settings) -> Training:
        defaults = {"batch": 8, "epochs": 3, "bptt": 4}
        if "steps" in settings or "budget" in settings:
            del defaults["epochs"]
        config = TrainingConfig(**{**defaults, **settings})
        shape = MODEL if model is None else ModelConfig(**{**MODEL.to_json(), **model})
        return Training(
            tmp_path / f"run{next(number)}",
            texts[0] if train is None else train,
            valid,
            config,
            shape,
        )

    return make
