"""Dynamic evaluation: the rule written out, no look ahead, nothing left behind."""

import itertools

import numpy as np
import pytest
import torch

from nplm_cli.config import DynamicConfig, ModelConfig
from nplm_cli.errors import ConfigError, TrainingError
from nplm_cli.evaluation import dynamic
from nplm_cli.evaluation.dynamic import DynamicModel, segments
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.models import MODELS, build

V = 12
POLICIES = ("sentence", "stream")


def small_model(arch="ffn", **settings):
    config = ModelConfig(arch=arch, order=3, dim=4, hidden=4, window=6, **settings)
    model = build(config, V)
    model.init_weights(torch.Generator().manual_seed(3))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)
    return model


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("arch", MODELS)
@pytest.mark.parametrize("segment", [1, 4, 1000])
def test_a_rate_of_0_is_plain_evaluation(arch, policy, segment, random_part):
    part = random_part(14, V, files=3)
    model = small_model(arch)
    expected = evaluate(model, part, policy)
    follower = DynamicModel(model, DynamicConfig(lr=0, segment=segment))
    np.testing.assert_allclose(follower.read(part, policy), expected, atol=1e-6)


def test_a_softmax_in_clusters(random_part):
    part = random_part(14, V, files=3)
    model = small_model("lstm", softmax="adaptive", cutoffs="4,8")
    expected = evaluate(model, part, "stream")
    plain = DynamicModel(model, DynamicConfig(lr=0, segment=3)).read(part, "stream")
    np.testing.assert_allclose(plain, expected, atol=1e-6)
    moved = DynamicModel(model, DynamicConfig(lr=0.02, segment=3)).read(part, "stream")
    assert np.abs(moved - expected).max() > 0.05


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("arch", MODELS)
def test_every_architecture_follows_a_text_that_repeats_itself(arch, policy, make_part):
    part = make_part([[2, 3, 4, 5, 6]] * 30)
    model = small_model(arch)
    plain = evaluate(model, part, policy)
    moved = DynamicModel(model, DynamicConfig(lr=0.02, segment=6)).read(part, policy)
    np.testing.assert_allclose(moved[:6], plain[:6], atol=1e-5)
    assert moved[-60:].mean() < plain[-60:].mean() - 0.3


def written_out(model, part, config, train):
    """The rule of the module on a stream of one file, in one flat vector of float64."""
    model = model.double()
    parameters = list(model.parameters())

    def pieces(text):
        ids = text.ids_N.astype(int).tolist()
        state = model.initial_state(1)
        for at in range(0, len(ids), config.segment):
            read = [1, *ids][at : at + config.segment]
            targets = torch.tensor(ids[at : at + config.segment])
            hidden, state = model(torch.tensor([read])[:, : len(targets)], state)
            state = tuple(tensor.detach() for tensor in state)
            nll = -model.logits(hidden[0]).log_softmax(-1)[torch.arange(len(targets)), targets]
            gradients = torch.autograd.grad(nll.sum() / config.segment, parameters)
            yield nll.detach().numpy(), torch.cat([g.flatten() for g in gradients])

    def flat():
        return torch.cat([p.detach().flatten() for p in parameters])

    squares = [g**2 for _, g in pieces(train)] if train is not None else []
    trained, nats = flat(), []
    for nll, gradient in pieces(part):
        nats.append(nll)
        if train is None:
            squares.append(gradient**2)
        root = torch.stack(squares).mean(0).sqrt()
        moved = flat()
        moved += config.decay * (trained - moved)
        moved -= config.lr * gradient / (root + dynamic.EPS)
        for parameter, piece in zip(
            parameters, moved.split([p.numel() for p in parameters]), strict=True
        ):
            parameter.data = piece.view_as(parameter).clone()
    return np.concatenate(nats)


@pytest.mark.parametrize("with_training_text", [True, False])
@pytest.mark.parametrize("arch", ["ffn", "lstm"])
def test_the_rule(arch, with_training_text, random_part):
    part, train = random_part(8, V, seed=1), random_part(10, V, seed=2)
    config = DynamicConfig(lr=0.01, decay=0.1, segment=5)
    text = train if with_training_text else None
    found = DynamicModel(small_model(arch), config, text).read(part, "stream")
    expected = written_out(small_model(arch), part, config, text)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.abs(found - evaluate(small_model(arch), part, "stream")).max() > 0.05


@pytest.mark.parametrize("policy", POLICIES)
def test_no_word_knows_what_comes_after_it(policy, make_part):
    first = [[2, 3, 4], [5, 6], [7, 8, 9, 2], [3, 4]]
    other = [[2, 3, 4], [5, 6], [7, 8, 10, 10], [9, 9]]
    model = small_model()
    follower = DynamicModel(model, DynamicConfig(lr=0.05, segment=4))
    a, b = (follower.read(make_part(text), policy) for text in (first, other))
    changed = 4 + 3 + 2
    np.testing.assert_array_equal(a[:changed], b[:changed])
    assert (a[changed:] != b[changed:]).all()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("with_training_text", [True, False])
def test_every_file_begins_with_the_trained_weights(
    policy, with_training_text, random_part, make_part
):
    model = small_model("gru")
    train = random_part(10, V, files=2) if with_training_text else None
    follower = DynamicModel(model, DynamicConfig(lr=0.05, segment=3), train, context=policy)
    text = [[4, 5, 4], [4, 2]]
    alone = follower.read(make_part(text), policy)
    behind = follower.read(make_part([[7, 8, 9]], text), policy)
    np.testing.assert_allclose(behind[4:], alone, atol=1e-6)


def test_the_model_is_given_back_as_it_was(random_part):
    model = small_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    DynamicModel(model, DynamicConfig(lr=0.1), random_part(5, V)).read(random_part(20, V), "stream")
    with pytest.raises(TrainingError, match=r"--dynamic-lr 1e\+30: take a lower one"):
        DynamicModel(model, DynamicConfig(lr=1e30)).read(random_part(20, V), "stream")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_weights_that_run_away_are_no_result(make_part):
    """Above the uniform distribution's perplexity, and worse than weights that stand still."""
    random = np.random.default_rng(2)
    part, model = make_part(random.choice([2, 3], (30, 5)).tolist()), small_model()
    with torch.no_grad():
        model.output.bias[[1, 2, 3]] += 2
    plain_N = evaluate(model, part, "stream")
    assert plain_N.mean() < np.log(V)
    follower = DynamicModel(model, DynamicConfig(lr=2, decay=0, segment=3))
    nll_N = follower.read(part, "stream")
    assert nll_N.mean() > np.log(V)
    with pytest.raises(TrainingError) as error:
        follower.check(part, "stream", nll_N)
    assert str(error.value) == (
        f"dynamic evaluation: perplexity {np.exp(nll_N.mean()):.4g}, {np.exp(plain_N.mean()):.4g} "
        "with the weights left alone: they ran away with --dynamic-lr 2: take a lower one, such "
        "as 0.0005"
    )
    slow = DynamicModel(model, DynamicConfig(lr=0.0004))
    with pytest.raises(TrainingError, match=r"--dynamic-lr 0.0004: .*, such as 4e-05$"):
        slow.check(part, "stream", nll_N)
    with pytest.raises(TrainingError, match=r"perplexity 1.014e\+304,"):
        slow.check(part, "stream", nll_N + 2000)


def test_a_text_that_no_model_knows_is_still_measured(make_part):
    """Bad as it is, following the text makes it better: that is a result."""
    part, model = make_part([[9, 10, 11]] * 8), small_model()
    with torch.no_grad():
        model.output.bias[9:] -= 8
    plain = evaluate(model, part, "stream").mean()
    follower = DynamicModel(model, DynamicConfig(lr=0.002, segment=4))
    nll_N = follower.read(part, "stream")
    assert np.log(V) < nll_N.mean() < plain
    follower.check(part, "stream", nll_N)
    DynamicModel(model, DynamicConfig(lr=0)).check(part, "stream", nll_N + 100)
    nothing = make_part([])
    follower.check(nothing, "stream", follower.read(nothing, "stream"))


@pytest.mark.parametrize("policy", POLICIES)
def test_states_come_in_the_order_of_the_text(policy, random_part):
    part, model = random_part(12, V, files=2), small_model("rnn")
    states, seen = [], []
    follower = DynamicModel(model, DynamicConfig(lr=0, segment=5))
    follower.read(part, policy, states.append, seen.append)
    states_ND = np.concatenate(states)
    assert seen[-1] == part.predictions == len(states_ND)
    bounds = part.sequence_starts(policy).tolist()
    for start, end in itertools.pairwise(bounds):
        with torch.no_grad():
            ids = torch.tensor([[1, *part.ids_N[start : end - 1].astype(int).tolist()]])
            hidden, _ = model(ids, model.initial_state(1))
        np.testing.assert_allclose(states_ND[start:end], hidden[0].numpy(), atol=1e-6)


def test_segments_of_sentences_are_whole_and_of_one_file(make_part):
    part = make_part([[2], [3, 4], [5, 6, 7, 8, 9]], [[2, 3], [4]])
    found = [
        (batch.targets_BT[batch.targets_BT >= 0].tolist(), begins)
        for batch, begins in segments(part, "sentence", 5)
    ]
    assert found == [
        ([2, 1, 3, 4, 1], True),
        ([5, 6, 7, 8, 9, 1], False),
        ([2, 3, 1, 4, 1], True),
    ]


def test_segments_of_a_stream(make_part):
    part = make_part([[2, 3, 4]], [[5, 6]])
    found = [(batch.ids_BT.tolist(), begins) for batch, begins in segments(part, "stream", 3)]
    assert found == [([[1, 2, 3]], True), ([[4]], False), ([[1, 5, 6]], True)]


def test_values_out_of_bounds():
    for values, message in (
        ({"lr": -0.1}, "--dynamic-lr -0.1: expected at least 0"),
        ({"decay": 2.0}, "--dynamic-decay 2.0: expected at most 1"),
        ({"segment": 0}, "--dynamic-segment 0: expected at least 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            DynamicConfig(**values)
