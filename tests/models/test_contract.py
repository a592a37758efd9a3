"""The contract of every architecture: a new one is a line in ``SETTINGS``."""

import hashlib
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
import torch

from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.artifacts import TensorFile
from nplm_cli.config import DropoutRates, ModelConfig, TrainingConfig
from nplm_cli.corpus.batches import sentence_batch
from nplm_cli.errors import ArtifactError
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.models import MODELS, build
from nplm_cli.query.scorer import FORWARD, NeuralScorer
from nplm_cli.training.checkpoints import load_weights, save_weights
from nplm_cli.training.losses import FullLoss
from nplm_cli.training.optimizers import build_optimizer
from nplm_cli.training.sampled_losses import sampled_loss
from nplm_cli.training.weights import FlatWeights

V = 13
SETTINGS = {
    "ffn": {},
    "ffn-sum": {"combine": "sum"},
    "ffn-mean": {"combine": "mean"},
    "ffn-tied": {"tie": True, "hidden": 6},
    "ffn-tied-projection": {"tie": True, "hidden": 9},
    "ffn-tied-no-layer": {"tie": True, "layers": 0},
    "ffn-tied-sum-no-layer": {"tie": True, "layers": 0, "combine": "sum"},
    "ffn-no-layer": {"layers": 0},
    "ffn-3-layers": {"layers": 3},
    "ffn-mean-3-layers": {"layers": 3, "combine": "mean"},
    "ffn-relu": {"activation": "relu"},
    "ffn-sigmoid": {"activation": "sigmoid"},
    "ffn-gelu": {"activation": "gelu", "layers": 2},
    "ffn-no-biases": {"output_bias": False, "hidden_bias": False},
    "ffn-bigram": {"order": 2},
    "ffn-far-kernels": {"far": 3, "kernels": 2},
    "ffn-far-averages": {"far": 3, "averages": 2},
    "ffn-far-both": {"far": 4, "kernels": 2, "averages": 1},
    "ffn-far-sum": {"far": 3, "kernels": 1, "averages": 1, "combine": "sum"},
    "ffn-far-mean-tied": {"far": 3, "kernels": 1, "averages": 1, "combine": "mean", "tie": True},
    "ffn-far-no-layer": {"far": 2, "kernels": 1, "averages": 1, "layers": 0},
    "ffn-far-bigram": {"far": 5, "kernels": 1, "averages": 2, "order": 2},
    "ffn-gate": {"gate": True},
    "ffn-residual": {"residual": True, "layers": 2, "combine": "sum", "hidden": 6},
    "ffn-pre": {"norm": "pre", "layers": 2},
    "ffn-post": {"norm": "post", "layers": 3, "residual": True},
    "ffn-modern": {"residual": True, "norm": "pre", "gate": True, "layers": 3, "far": 3}
    | {"kernels": 1, "averages": 1},
    "attention": {"heads": 2},
    "attention-window": {"window": 5, "stride": 2, "heads": 2, "layers": 2},
    "attention-whole-stride": {"window": 5, "stride": 5, "heads": 2},
    "attention-learned-untied": {"window": 5, "stride": 1, "positions": "learned", "tie": False},
    "attention-no-positions": {"window": 5, "positions": "none", "layers": 2, "tie": False},
    "transformer": {},
    "transformer-window": {"window": 5, "stride": 2, "layers": 2},
    "transformer-whole-stride": {"window": 5, "stride": 5, "norm": "post", "layers": 2},
    "transformer-sinusoidal": {"window": 5, "positions": "sinusoidal", "norm": "none"},
    "transformer-no-positions": {"window": 5, "stride": 1, "positions": "none", "tie": True},
    "transformer-no-biases": {"hidden_bias": False, "output_bias": False, "activation": "relu"},
    "rnn": {},
    "rnn-relu-2-layers": {"activation": "relu", "layers": 2},
    "rnn-sigmoid": {"activation": "sigmoid"},
    "rnn-gelu-tied": {"activation": "gelu", "tie": True},
    "gru": {},
    "gru-3-layers-tied": {"layers": 3, "tie": True, "hidden": 6},
    "gru-no-biases": {"output_bias": False, "hidden_bias": False},
    "lstm": {},
    "lstm-2-layers-tied-projection": {"layers": 2, "tie": True},
    "lstm-no-biases": {"output_bias": False, "hidden_bias": False},
    "lstm-diagonal": {"peephole": "diagonal"},
    "lstm-full-2-layers": {"peephole": "full", "layers": 2},
    "ffn-adaptive": {"softmax": "adaptive", "cutoffs": "4,9", "tail_division": 2.0},
    "ffn-adaptive-tied-no-layer": {"softmax": "adaptive", "cutoffs": "5", "tie": True, "layers": 0},
    "rnn-adaptive-no-biases": {"softmax": "adaptive", "cutoffs": "1,2,12", "output_bias": False}
    | {"tail_division": 1.0},
    "gru-adaptive-all-in-the-head": {"softmax": "adaptive", "cutoffs": "20"},
    "lstm-adaptive-tied-projection": {"softmax": "adaptive", "cutoffs": "4,9", "tie": True},
    "attention-adaptive": {"softmax": "adaptive", "cutoffs": "4,9", "output_bias": False},
    "transformer-adaptive": {"softmax": "adaptive", "cutoffs": "3,7,11", "tail_division": 1.5},
}
# These read in blocks (models/window_cache.py); their state grows with the block.
BLOCKS = ("attention", "transformer")
SMALL = {"order": 4, "dim": 6, "hidden": 8}


@pytest.fixture(params=SETTINGS, ids=str)
def config(request) -> ModelConfig:
    settings = {"arch": request.param.split("-")[0], **SMALL, **SETTINGS[request.param]}
    return ModelConfig(**settings).resolved()


@pytest.fixture
def model(config):
    return made(config)


def made(config, vocabulary=V, seed=3, rates=None):
    model = build(config, vocabulary, rates)
    generator = torch.Generator().manual_seed(seed)
    model.init_weights(generator)
    with torch.no_grad():  # biases too, so that nothing is tested at 0
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.normal_(0, 0.3, generator=generator)
    return model.eval()


def ids_of(rows, positions, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, V, (rows, positions)))


def hidden_of(model, ids_BT):
    return model(ids_BT, model.initial_state(len(ids_BT)))[0]


def test_every_neural_architecture_is_in_the_list_and_has_a_numpy_twin():
    neural = {name for name, architecture in ARCHITECTURES.items() if architecture.neural}
    assert {name.split("-")[0] for name in SETTINGS} == neural == set(MODELS) == set(FORWARD)


def test_shapes_and_dtypes(model, config):
    hidden, state = model(ids_of(3, 5), model.initial_state(3))
    assert hidden.shape == (3, 5, model.output_weight.shape[1])
    assert hidden.dtype == torch.float32
    assert isinstance(state, tuple)
    assert all(piece.shape[0] == 3 for piece in state)
    initial = model.initial_state(3)
    assert [(p.ndim, p.dtype) for p in state] == [(p.ndim, p.dtype) for p in initial]
    if config.arch not in BLOCKS:
        assert [p.shape for p in state] == [p.shape for p in initial]
    assert model.logits(hidden).shape == (3, 5, V)
    assert model.logits(hidden).dtype == torch.float32


def test_names_of_the_weights(model, config):
    names = set(model.state_dict())
    assert all(n.split(".")[0] in ("embedding", "encoder", "output") for n in names)
    assert "embedding.weight" in names
    assert ("output.weight" in names) is not config.tie
    assert ("output.bias" in names) is config.output_bias


def test_probabilities_sum_to_1(model):
    log_p = model.double().logits(hidden_of(model, ids_of(2, 6))).log_softmax(-1)
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(2, 6).double(), atol=1e-12, rtol=0)


def first_seen(config, t):
    """The first position that the prediction at t depends on."""
    if config.context is None:
        return 0
    if config.arch not in BLOCKS:
        return max(0, t - config.context + 1)
    moves = max(0, -(-(t + 1 - config.window) // config.stride))
    return moves * config.stride


def test_causality_and_reach_by_gradient(model, config):
    """A prediction depends on its own context: nothing later, nothing earlier, each word of it."""
    model.double()
    positions = 9
    ids = torch.arange(2, 2 + positions)[None] % V  # all different: a row of the table a position
    for t in range(positions):
        model.zero_grad()
        hidden = hidden_of(model, ids)
        table = model.embedding.weight
        weights = torch.linspace(0.5, 1.7, hidden.shape[-1]).double()
        (gradient,) = torch.autograd.grad((hidden[0, t] * weights).sum(), table)
        reached = [k for k in range(positions) if gradient[ids[0, k]].abs().max() > 0]
        assert reached == list(range(first_seen(config, t), t + 1))


def test_context_is_order_minus_1(model, config):
    if config.arch in BLOCKS:
        assert model.context == config.window
        return
    recurrent = config.arch in ("rnn", "gru", "lstm")
    assert model.context == (None if recurrent else config.order - 1 + config.far)


@pytest.mark.parametrize("pieces", [[7], [1] * 7, [3, 4], [2, 1, 4], [6, 1]])
def test_chunk_invariance(model, pieces):
    ids = ids_of(2, 7)
    at_once = hidden_of(model, ids)
    state = model.initial_state(2)
    chunks = []
    for piece in torch.split(ids, pieces, dim=1):
        hidden, state = model(piece, state)
        chunks.append(hidden)
    torch.testing.assert_close(torch.cat(chunks, 1), at_once, atol=1e-6, rtol=1e-6)


def test_rows_do_not_depend_on_their_neighbours(model):
    ids = ids_of(5, 6)
    together = hidden_of(model, ids)
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(hidden_of(model, ids[order]), together[order], atol=1e-6, rtol=1e-6)
    for row in range(5):
        torch.testing.assert_close(
            hidden_of(model, ids[row : row + 1]), together[row : row + 1], atol=1e-6, rtol=1e-6
        )


def test_padding_changes_nothing_before_it(model):
    ids = ids_of(1, 4)
    padded = torch.cat([ids, torch.full((1, 20), 7)], 1)
    torch.testing.assert_close(
        hidden_of(model, padded)[:, :4], hidden_of(model, ids), atol=1e-6, rtol=1e-6
    )


def test_how_a_text_starts(model, config):
    """A window model after any number of ``</s>``, a recurrent one from zeros, others from nothing."""
    start = model.initial_state(2)
    if config.arch == "ffn":
        _, state = model(torch.ones(2, 5, dtype=torch.int64), start)
        ids = ids_of(2, 4)
        torch.testing.assert_close(model(ids, state)[0], hidden_of(model, ids))
    elif config.arch in BLOCKS:
        assert [piece.numel() for piece in start[1:]] == [0] * (1 + 2 * config.layers)
        assert start[0].tolist() == [0, 0]
    else:
        assert len(start) == config.layers * (2 if config.arch == "lstm" else 1)
        assert not any(piece.any() for piece in start)


def test_first_loss_is_near_ln_v(config):
    vocabulary = 5000
    model = build(config, vocabulary)
    model.init_weights(torch.Generator().manual_seed(1))
    random = np.random.default_rng(0)
    ids = torch.from_numpy(random.integers(0, vocabulary, (20, 20)))
    targets = torch.from_numpy(random.integers(0, vocabulary, 400))
    hidden = hidden_of(model, ids).flatten(0, 1)
    nll = model.prediction_nll(hidden, targets)
    assert float(nll.mean()) == pytest.approx(math.log(vocabulary), abs=0.1)


def test_a_zero_model_is_uniform(config):
    """W-39: the loss of a model of zeros is ln V."""
    for vocabulary, expected in ((1000, 6.907755), (5000, 8.517193)):
        model = build(config.__class__(**{**config.to_json(), "init": "zero"}), vocabulary)
        model.init_weights(torch.Generator())
        hidden = hidden_of(model, ids_of(2, 3)).flatten(0, 1)
        nll = model.prediction_nll(hidden, torch.arange(6))
        assert nll.tolist() == pytest.approx([expected] * 6, abs=2e-6)


def test_overfits_one_batch(config, make_part):
    """A text that n - 1 words determine is learned almost by heart."""
    part = make_part([[2, 3, 4, 5], [6, 7, 8], [9, 10, 11, 12]])
    assert part.predictions == 14
    batch = sentence_batch(part, np.arange(3))
    ids, targets = torch.from_numpy(batch.ids_BT), torch.from_numpy(batch.targets_BT)
    changed = {**config.to_json(), "dim": 16, "hidden": 24}
    model = build(ModelConfig(**changed), V)
    model.init_weights(torch.Generator().manual_seed(1))
    weights = FlatWeights(model)
    optimizer = build_optimizer(weights, TrainingConfig(optimizer="adam", lr=0.02))
    loss, counted = FullLoss(model), targets >= 0
    for _ in range(100):
        weights.clear_gradients()
        hidden = hidden_of(model, ids)
        nats = loss(hidden[counted], targets[counted])
        (nats / counted.sum()).backward()
        weights.collect_gradients()
        optimizer.step()
    if config.tie and not config.layers and config.combine != "concat":
        # A sum of the very vectors that are predicted: every word of the context attracts itself.
        assert nats.item() < 0.85 * 14 * math.log(V)
        return
    # The first words are three equally likely ones: 3 ln 3 nats that nobody can learn.
    assert nats.item() == pytest.approx(3 * math.log(3), abs=0.2)
    assert nats.item() > 3 * math.log(3) - 1e-3


@pytest.mark.parametrize("init", ["small", "counts", "uniform01", "gaussian01", "zero"])
def test_same_seed_same_bytes(config, init, tmp_path):
    digests = []
    for seed in (5, 5, 6):
        model = build(ModelConfig(**{**config.to_json(), "init": init}), V)
        torch.rand(3)  # the global generator is not asked
        model.init_weights(torch.Generator().manual_seed(seed))
        save_weights(tmp_path / "w", model)
        digests.append(hashlib.sha256((tmp_path / "w").read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    assert (digests[0] == digests[2]) is (init == "zero")


def test_init_ranges(config):
    scaled = ModelConfig(**{**config.to_json(), "init": "uniform01", "init_scale": 2.0})
    model = build(scaled, 500)
    model.init_weights(torch.Generator().manual_seed(1))
    values = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert values.min() >= 0
    assert 1.9 < values.max() <= 2
    assert values.mean() == pytest.approx(1, abs=0.05)
    gaussian = ModelConfig(**{**config.to_json(), "init": "gaussian01"})
    model = build(gaussian, 500)
    model.init_weights(torch.Generator().manual_seed(1))
    values = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert (values.min(), values.max()) == (0, 1)
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert values.std() == pytest.approx(0.2, abs=0.02)


def test_building_asks_for_no_global_random_number(config):
    before = torch.get_rng_state()
    build(config, V)
    assert torch.equal(before, torch.get_rng_state())


SAME_BYTES = """
import hashlib, json, sys
import torch
from pathlib import Path
from nplm_cli.config import ModelConfig
from nplm_cli.models import build
from nplm_cli.training.checkpoints import save_weights
path = Path(sys.argv[1])
for settings in json.loads(sys.argv[2]):
    model = build(ModelConfig(**settings), 13)
    model.init_weights(torch.Generator().manual_seed(9))
    save_weights(path, model)
    print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_same_bytes_in_another_process_and_hash_seed(tmp_path):
    settings = [
        {"arch": name.split("-")[0], **SMALL, **changes} for name, changes in SETTINGS.items()
    ]
    here = []
    for values in settings:
        model = build(ModelConfig(**values), V)
        model.init_weights(torch.Generator().manual_seed(9))
        save_weights(tmp_path / "w", model)
        here.append(hashlib.sha256((tmp_path / "w").read_bytes()).hexdigest())
    environment = {**os.environ, "PYTHONHASHSEED": "4321"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    result = subprocess.run(
        [sys.executable, "-c", SAME_BYTES, str(tmp_path / "w2"), json.dumps(settings)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == here


def test_save_and_load(model, config, tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(path, model)
    other = made(config, seed=77)
    load_weights(path, other)
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name
    library = safetensors.numpy.load_file(path)
    assert set(library) == set(model.state_dict())
    assert all(array.dtype == np.float32 for array in library.values())


def test_loading_weights_of_another_shape_or_name(model, config, tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(path, model)
    with pytest.raises(ArtifactError, match="shape"):
        load_weights(path, build(config, V + 1))
    other = ModelConfig(**{**config.to_json(), "output_bias": not config.output_bias})
    with pytest.raises(ArtifactError, match=r"output\.bias"):
        load_weights(path, build(other, V))


def test_weights_of_float64_are_stored_as_float32(model, tmp_path):
    save_weights(tmp_path / "w", model.double())
    assert all(
        array.dtype == np.float32 for array in safetensors.numpy.load_file(tmp_path / "w").values()
    )


def test_tied_weights_share_storage_and_are_stored_once(model, config, tmp_path):
    shared = model.output_weight.data_ptr() == model.embedding.weight.data_ptr()
    assert shared is config.tie
    save_weights(tmp_path / "w", model)
    tables = [
        n
        for n, a in safetensors.numpy.load_file(tmp_path / "w").items()
        if len(a) == V and a.ndim == 2
    ]
    clusters = len(config.softmax_bounds(V)) > 1  # of rows of other widths
    assert len(tables) == (1 if config.tie or clusters else 2)


def test_numpy_forward_is_the_torch_forward(model, config, tmp_path):
    save_weights(tmp_path / "w", model)
    weights = TensorFile(tmp_path / "w")
    module = FORWARD[config.arch]
    ids = ids_of(3, 8)
    state, twin_state = model.initial_state(3), module.initial_state(config, 3)
    for piece in torch.split(ids, [3, 1, 4], dim=1):
        with torch.no_grad():
            hidden, state = model(piece, state)
        twin, twin_state = module.forward(weights, config, piece.numpy(), twin_state)
        assert twin.dtype == np.float32
        np.testing.assert_allclose(twin, hidden.numpy(), atol=1e-5)
        for a, b in zip(state, twin_state, strict=True):
            np.testing.assert_allclose(a.numpy(), b, atol=1e-5)


@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_numpy_scores_are_the_torch_scores(model, config, context, tmp_path, random_part):
    save_weights(tmp_path / "w", model)
    part = random_part(30, V, files=3)
    scorer = NeuralScorer(TensorFile(tmp_path / "w"), config)
    np.testing.assert_allclose(scorer.nll(part, context), evaluate(model, part, context), atol=1e-5)


def test_numpy_next_word_is_the_torch_next_word(model, config, tmp_path):
    save_weights(tmp_path / "w", model)
    scorer = NeuralScorer(TensorFile(tmp_path / "w"), config)
    for history in ([], [2], [5, 0, 3, 9, 4, 12]):
        log_p = scorer.next_log_probs(history)
        with torch.no_grad():
            hidden = hidden_of(model, torch.tensor([[1, *history]]))[0, -1]
        np.testing.assert_allclose(log_p, model.logits(hidden).log_softmax(-1).detach(), atol=1e-5)
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-12)
        assert log_p.dtype == np.float64


def test_losses_that_sample_are_losses_of_this_model(config, model):
    """A sample of all words is the full softmax; NCE trains the same tensors."""
    if config.softmax != "full":
        pytest.skip("these draw words for one softmax over all of them")
    counts = np.arange(2 * V, V, -1)
    lookup, random = FlatWeights(model).lookup, torch.Generator().manual_seed(1)
    ids, targets = ids_of(2, 5), ids_of(2, 5, seed=1).flatten()
    gradients = []
    for name in ("full", "sampled", "nce"):
        settings = TrainingConfig(loss=name, samples=V)
        loss = sampled_loss(model, counts, settings, random, lookup) or FullLoss(model)
        model.zero_grad()
        loss(hidden_of(model, ids).flatten(0, 1), targets).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    full, sampled, nce = gradients
    assert set(full) == set(sampled) == set(nce)
    for parameter_name, gradient in full.items():
        torch.testing.assert_close(sampled[parameter_name], gradient, atol=1e-6, rtol=1e-5)
        assert torch.isfinite(nce[parameter_name]).all()


class WithLoss(torch.nn.Module):
    """A model and its loss as one function of the weights."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, targets):
        hidden, _ = self.model(ids, self.model.initial_state(1))
        return FullLoss(self.model)(hidden[0], targets)


def test_gradients_in_float64(model, config):
    """The whole model with the fused loss against finite differences."""
    model.double()
    if config.activation == "relu":
        pytest.skip("relu has kinks")
    ids = ids_of(1, 4)
    targets = torch.tensor([0, 5, 2, 11])
    whole = WithLoss(model)
    parameters = dict(whole.named_parameters())

    def loss(*values):
        named = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(whole, named, (ids, targets))

    assert torch.autograd.gradcheck(loss, tuple(parameters.values()), fast_mode=True)


def test_zero_init_keeps_hidden_units_equal(config, make_part):
    """Symmetry: units that start equal get equal gradients."""
    if config.arch == "transformer" and config.positions == "sinusoidal":
        pytest.skip("the residual stream carries the positions, unlike in each unit")
    zero = ModelConfig(**{**config.to_json(), "init": "zero"})
    model = build(zero, V)
    model.init_weights(torch.Generator())
    weights = FlatWeights(model)
    optimizer = build_optimizer(weights, TrainingConfig(optimizer="adam", lr=0.1))
    ids, targets = ids_of(2, 5), ids_of(2, 5, seed=1)
    loss = FullLoss(model)
    for _ in range(5):
        weights.clear_gradients()
        hidden = hidden_of(model, ids).flatten(0, 1)
        loss(hidden, targets.flatten()).backward()
        weights.collect_gradients()
        optimizer.step()
    hidden = hidden_of(model, ids)
    torch.testing.assert_close(hidden, hidden[..., :1].expand_as(hidden), atol=1e-6, rtol=0)
    for name, parameter in model.named_parameters():
        if name.startswith("encoder") and parameter.ndim == 2:
            torch.testing.assert_close(parameter, parameter[:1].expand_as(parameter))


def test_dropout_acts_in_training_only_and_by_its_own_generator(config):
    model = made(config, rates=DropoutRates(input=0.5, hidden=0.5, output=0.5))
    ids = ids_of(4, 6)
    calm = hidden_of(model, ids)
    assert torch.equal(calm, hidden_of(made(config), ids))
    model.train()
    draws = []
    for seed in (1, 1, 2):
        model.use_generator(torch.Generator().manual_seed(seed))
        draws.append(hidden_of(model, ids))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], calm)


def test_regularised_are_the_matrices(model):
    chosen = {id(p) for p in model.regularised()}
    for name, parameter in model.named_parameters():
        matrix = name.endswith("weight") and "norm" not in name
        assert (id(parameter) in chosen) is matrix, name
    model.embedding.weight.requires_grad_(False)
    assert all(p is not model.embedding.weight for p in model.regularised())
