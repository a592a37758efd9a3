"""bf16 products, fp32 weights: what is rounded, and what is not."""

import numpy as np
import pytest
import torch

from nplm_cli.artifacts import TensorFile
from nplm_cli.config import Config, ModelConfig
from nplm_cli.errors import ConfigError
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.models import build
from nplm_cli.training import precision
from nplm_cli.training.precision import DTYPES, pick_precision
from nplm_cli.training.weights import FlatWeights

CPU = torch.device("cpu")
ARCHITECTURES = {
    "ffn": {"order": 3, "hidden": 5},
    "ffn-far": {"order": 3, "hidden": 5, "far": 6, "averages": 2, "gate": True, "norm": "pre"},
    "rnn": {"arch": "rnn", "hidden": 5},
    "gru": {"arch": "gru", "hidden": 5},
    "lstm": {"arch": "lstm", "hidden": 6, "tie": True},
    "lstm-peephole": {"arch": "lstm", "hidden": 5, "peephole": "full"},
    "attention": {"arch": "attention", "window": 6},
    "transformer": {"arch": "transformer", "hidden": 8, "layers": 2, "window": 6},
}
NOISE = {"dropout": 0.2, "word_dropout": 0.1, "dropout_embedding": 0.1, "dropout_ramp": 0.5}


@pytest.fixture(params=ARCHITECTURES)
def model(request):
    return {"dim": 4, **ARCHITECTURES[request.param]}


@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_bf16_learns_what_fp32_learns(training, model, context):
    runs = {}
    for name in DTYPES:
        run = training(model=model, epochs=6, lr=0.01, context=context, patience=0)
        trainer = run.trainer(dtype=DTYPES[name])
        trainer.fit()
        assert trainer.model.embedding.weight.dtype == torch.float32
        runs[name] = run
    nats = {name: run.metrics[-1]["valid_nats"] for name, run in runs.items()}
    first = runs["fp32"].metrics[0]["valid_nats"]
    assert nats["bf16"] == pytest.approx(nats["fp32"], abs=0.02)
    assert nats["bf16"] < first
    kept = {name: TensorFile(run.files.weights) for name, run in runs.items()}
    for name in kept["bf16"]:
        array = kept["bf16"][name]
        assert array.dtype == np.float32
    embedding = torch.from_numpy(np.array(kept["bf16"]["embedding.weight"]))
    assert not torch.equal(embedding, embedding.bfloat16().float()), "master weights are rounded"


def test_what_is_evaluated_in_training_is_what_the_file_gives(training, model):
    """In fp32, by the weights of the file: no rounding between them."""
    run = training(model=model, epochs=2, patience=0)
    trainer = run.trainer(dtype=torch.bfloat16)
    trainer.fit()
    nll_N = evaluate(trainer.model, run.valid, run.config.context)
    assert nll_N.mean() == trainer.progress.best_nats
    np.testing.assert_array_equal(nll_N, trainer.best_nll_N)


@pytest.mark.parametrize("context", ["sentence", "stream"])
@pytest.mark.parametrize("average", ["none", "ema"])
def test_interrupted_is_uninterrupted(training, model, context, average):
    settings = {"epochs": 3, "context": context, "average": average, **NOISE}
    straight = training(model=model, **settings)
    straight.run(dtype=torch.bfloat16)
    broken = training(model=model, **settings)
    broken.run(2, 5, dtype=torch.bfloat16)
    assert straight.digest == broken.digest
    assert straight.metrics == broken.metrics


def test_frozen_vectors_come_back_as_they_were(training):
    run = training(model={"dim": 4, "hidden": 5, "freeze_vectors": True}, epochs=1)
    trainer = run.trainer(dtype=torch.bfloat16)
    before = trainer.weights._frozen["embedding.weight"][1].clone()
    assert trainer.model.embedding.weight.dtype == torch.bfloat16
    trainer.fit()
    np.testing.assert_array_equal(TensorFile(run.files.weights)["embedding.weight"], before.numpy())


# --- flat weights -------------------------------------------------------------------------------


def test_master_is_published_rounded_and_exact_inside():
    network = build(ModelConfig(order=3, dim=4, hidden=5, tie=True).resolved(), 7)
    network.init_weights(torch.Generator().manual_seed(1))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    weights = FlatWeights(network, torch.bfloat16)
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name].bfloat16())
    with weights.exact():
        for name, parameter in network.named_parameters():
            assert torch.equal(parameter, before[name])
    with torch.no_grad():
        weights.master_P.add_(1.0)
    weights.publish()
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, (before[name] + 1).bfloat16())
    weights.stay_exact()
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name] + 1)


def test_what_l2_counts_stands_first():
    network = build(ModelConfig(order=3, dim=4, hidden=5, layers=2).resolved(), 7)
    weights = FlatWeights(network)
    parts = weights.groups()
    assert [is_regularised for _, is_regularised in parts] == [True, False]
    matrices = sum(p.numel() for p in network.parameters() if p.ndim > 1)
    assert len(parts[0][0]) == matrices
    assert len(parts[1][0]) == sum(p.numel() for p in network.parameters() if p.ndim == 1)


def test_gradients_are_collected_by_name():
    network = build(ModelConfig(order=3, dim=4, hidden=5).resolved(), 7)
    weights = FlatWeights(network, torch.bfloat16)
    weights.gradient_P.fill_(7.0)
    for number, parameter in enumerate(network.parameters()):
        if number:
            parameter.grad = torch.full_like(parameter, number)
    weights.collect_gradients()
    found = weights.split(weights.gradient_P)
    for number, (name, parameter) in enumerate(network.named_parameters()):
        assert torch.equal(found[name], torch.full(parameter.shape, float(number)))
    assert weights.gradient_norm() == pytest.approx(
        sum(n * n * p.numel() for n, p in enumerate(network.parameters())) ** 0.5
    )


def test_gradients_of_several_batches_add_up_unrounded():
    """257 is no number of bf16. What a batch does not use keeps what the others gave it."""
    network = build(ModelConfig(order=3, dim=4, hidden=5).resolved(), 7)
    weights = FlatWeights(network, torch.bfloat16)
    weights.gradient_P.fill_(7.0)
    first, *others = network.parameters()
    for _ in range(2):  # steps; the second has forgotten the first
        weights.clear_gradients()
        for number, value in enumerate((256.0, 1.0, 2.0)):
            if number:
                weights.add_up()
            for parameter in others if value == 1 else (first, *others):
                assert parameter.grad is None
                parameter.grad = torch.full_like(parameter, value)
        weights.collect_gradients()
        found = list(weights.split(weights.gradient_P).values())
        by_name = dict(zip(weights.parameters.values(), found, strict=True))
        assert (by_name[first] == 258).all()
        assert all((by_name[parameter] == 259).all() for parameter in others)


# --- the choice ---------------------------------------------------------------------------------


def large(**changes):
    return Config().replace(dim=256, hidden=512, **changes)


@pytest.fixture
def processor(monkeypatch):
    def has(**flags):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)

    return has


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_auto_goes_by_the_processors_flags(processor, flag):
    processor(**{flag: True})
    name, reason = pick_precision(large(), CPU, 10_000)
    assert name == "bf16"
    assert flag in reason
    processor(avx2=True)
    name, reason = pick_precision(large(), CPU, 10_000)
    assert name == "fp32"
    assert "no bf16" in reason


def test_a_small_model_stays_in_fp32(processor):
    processor(avx512_bf16=True)
    name, reason = pick_precision(Config().replace(dim=10, hidden=128), CPU, 1_000)
    assert name == "fp32"
    assert "small" in reason


@pytest.mark.parametrize(
    ("settings", "vocabulary", "products"),
    [
        ({"arch": "lstm", "dim": 256, "hidden": 512}, 100, 4 * 512 * 768 + 100 * 512),
        ({"arch": "lstm", "dim": 64, "hidden": 128, "tie": True}, 5000,
         4 * 128 * 192 + 64 * 128 + 5000 * 64),
        ({"arch": "ffn", "dim": 64, "hidden": 128, "order": 3}, 1000, 128 * 128 + 1000 * 128),
    ],
)  # fmt: skip
def test_small_is_what_multiplies_little(processor, settings, vocabulary, products, monkeypatch):
    """All matrices of the network; word vectors that are not tied are looked up."""
    processor(avx512_bf16=True)
    config = Config().replace(**settings)
    monkeypatch.setattr(precision, "LEAST_PRODUCTS", products)
    assert pick_precision(config, CPU, vocabulary)[0] == "bf16"
    monkeypatch.setattr(precision, "LEAST_PRODUCTS", products + 1)
    assert pick_precision(config, CPU, vocabulary)[0] == "fp32"


@pytest.mark.parametrize(
    ("tie", "dim", "hidden", "expected"),
    [
        (True, 10, 5_000, "fp32"),  # 10,000 * 10 + 5,000 * 10 products
        (False, 10, 60, "bf16"),  # 10,000 * 60 + 60 * 10
        (False, 60, 10, "fp32"),
        (True, 60, 10, "bf16"),
    ],
)
def test_the_output_layer_reads_what_it_is_as_wide_as(processor, tie, dim, hidden, expected):
    processor(avx512_bf16=True)
    config = Config().replace(tie=tie, dim=dim, hidden=hidden)
    assert pick_precision(config, CPU, 10_000)[0] == expected


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), "fp32"), ((8, 0), "bf16"), ((8, 9), "bf16"), ((10, 0), "bf16")],
)
def test_auto_on_a_gpu_goes_by_its_generation(monkeypatch, capability, expected):
    """Products in bf16 came with compute capability 8.0; older ones emulate them."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    name, reason = pick_precision(large(), torch.device("cuda"), 10_000)
    assert name == expected
    assert "A GPU" in reason


def test_as_asked(processor):
    processor(avx512_bf16=True)
    assert pick_precision(large(precision="fp32"), CPU, 10_000) == ("fp32", "as asked")
    processor()
    name, reason = pick_precision(large(precision="bf16"), CPU, 10_000)
    assert name == "bf16"
    assert "slow" in reason


def test_bf16_on_a_gpu_without_it(monkeypatch):
    monkeypatch.setattr(precision, "_has_bf16", lambda device: (False, "Old GPU"))
    with pytest.raises(ConfigError, match="Old GPU"):
        pick_precision(large(precision="bf16"), torch.device("cuda"), 10_000)


def test_a_training_goes_on_in_the_format_in_which_it_began(processor):
    processor(avx512_bf16=True)
    small = Config().replace(dim=10, hidden=128)
    assert pick_precision(small, CPU, 1_000, "bf16") == ("bf16", "as the training began")
    assert pick_precision(large(), CPU, 10_000, "fp32") == ("fp32", "as the training began")
    assert pick_precision(large(precision="bf16"), CPU, 10_000, "fp32")[0] == "bf16"
    processor()
    assert pick_precision(large(), CPU, 10_000, "bf16")[0] == "fp32"
