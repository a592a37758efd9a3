"""Torch evaluator = numpy scorer = a loop over positions; batching changes nothing."""

import functools
import itertools

import numpy as np
import pytest
import torch

from nplm_cli.artifacts import TensorFile
from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.corpus.batches import scoring_batches
from nplm_cli.evaluation import evaluator
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.models import build, output
from nplm_cli.query import output as numpy_output
from nplm_cli.query import scorer as scorer_module
from nplm_cli.query.scorer import NeuralScorer
from nplm_cli.training.checkpoints import save_weights

V = 12
POLICIES = ["sentence", "stream"]
CONFIGS = {
    "plain": ModelConfig(order=4, dim=5, hidden=7),
    "tied mean": ModelConfig(order=3, dim=5, hidden=7, tie=True, combine="mean", activation="relu"),
    "deep": ModelConfig(order=2, dim=3, hidden=4, layers=2, output_bias=False),
}


@pytest.fixture(params=CONFIGS)
def model(request):
    made = build(CONFIGS[request.param], V, DropoutRates(input=0.5, output=0.5))
    made.init_weights(torch.Generator().manual_seed(2))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2)
    return made


@pytest.fixture
def scorer(model, tmp_path):
    save_weights(tmp_path / "w", model)
    return NeuralScorer(TensorFile(tmp_path / "w"), model.config)


def brute_force(model, part, policy):
    """Each prediction on its own: the words before it, from the start of its sequence."""
    model.eval()
    ids = part.ids_N.astype(int).tolist()
    bounds = part.sequence_starts(policy).tolist()
    nll = []
    for start, end in itertools.pairwise(bounds):
        for position in range(start, end):
            history = torch.tensor([[1, *ids[start:position]]])
            with torch.no_grad():
                hidden, _ = model(history, model.initial_state(1))
                log_p = model.logits(hidden[0, -1].double().float()).double().log_softmax(-1)
            nll.append(-log_p[ids[position]].item())
    return np.array(nll)


@pytest.mark.parametrize("policy", POLICIES)
def test_torch_numpy_and_brute_force_agree(model, scorer, policy, random_part):
    part = random_part(25, V, files=4)
    expected = brute_force(model, part, policy)
    nll_N = evaluate(model, part, policy)
    assert nll_N.dtype == np.float64
    np.testing.assert_allclose(nll_N, expected, atol=1e-5)
    np.testing.assert_allclose(scorer.nll(part, policy), expected, atol=1e-5)


def test_the_policies_differ(model, random_part):
    part = random_part(25, V)
    stream, alone = evaluate(model, part, "stream"), evaluate(model, part, "sentence")
    if model.context == 1:  # </s> stands before a sentence either way
        np.testing.assert_allclose(stream, alone, atol=1e-5)
    else:
        assert abs(stream - alone).max() > 1e-3
    first = slice(0, int(part.starts[1]))
    np.testing.assert_allclose(stream[first], alone[first], atol=1e-5)


def test_a_stream_starts_anew_with_every_file(model, make_part):
    alone = evaluate(model, make_part([[4, 5], [6]]), "stream")
    behind = evaluate(model, make_part([[7, 8, 9]], [[4, 5], [6]]), "stream")
    np.testing.assert_allclose(behind[4:], alone, atol=1e-6)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("max_tokens", [1, 2, 7, 50])
def test_batch_sizes_change_nothing(model, scorer, policy, max_tokens, random_part, monkeypatch):
    part = random_part(40, V, files=3)
    expected = evaluate(model, part, policy), scorer.nll(part, policy)
    monkeypatch.setattr(
        evaluator, "scoring_batches", functools.partial(scoring_batches, max_tokens=max_tokens)
    )
    monkeypatch.setattr(scorer_module, "BATCH_TOKENS", max_tokens)
    monkeypatch.setattr(scorer_module, "SLAB_TOKENS", 3 * max_tokens)
    monkeypatch.setattr(numpy_output, "BLOCK_ROWS", 5)
    monkeypatch.setattr(numpy_output, "BLOCK_WORDS", 5)
    monkeypatch.setattr(output, "CHUNK_LOGITS", 17 * V)
    np.testing.assert_allclose(evaluate(model, part, policy), expected[0], atol=1e-5)
    np.testing.assert_allclose(scorer.nll(part, policy), expected[1], atol=1e-5)


def test_a_sentence_scores_the_same_in_any_company(model, scorer, make_part):
    random = np.random.default_rng(0)
    sentence = [4, 0, 7, 3]
    crowd = [random.integers(2, V, random.integers(1, 9)).tolist() for _ in range(62)]
    crowd.append(random.integers(2, V, 900).tolist())
    for score in (lambda p: evaluate(model, p, "sentence"), lambda p: scorer.nll(p, "sentence")):
        alone = score(make_part([sentence]))
        for place in (0, 30, 63):
            part = make_part([*crowd[:place], sentence, *crowd[place:]])
            start = int(part.starts[place])
            np.testing.assert_allclose(score(part)[start : start + 5], alone, atol=1e-5)


def test_order_of_the_sentences_changes_nothing(model, scorer, make_part):
    random = np.random.default_rng(1)
    sentences = [random.integers(2, V, n).tolist() for n in random.integers(0, 9, 30)]
    order = random.permutation(30)
    for score in (lambda p: evaluate(model, p, "sentence"), lambda p: scorer.nll(p, "sentence")):
        straight, turned = make_part(sentences), make_part([sentences[i] for i in order])
        a, b = score(straight), score(turned)
        for place, i in enumerate(order):
            np.testing.assert_allclose(
                b[turned.starts[place] : turned.starts[place + 1]],
                a[straight.starts[i] : straight.starts[i + 1]],
                atol=1e-5,
            )


def test_dropout_is_off_and_the_mode_is_given_back(model, random_part):
    part = random_part(5, V)
    model.train()
    generator = torch.Generator().manual_seed(1)
    model.use_generator(generator)
    state = generator.get_state()
    first = evaluate(model, part, "sentence")
    assert np.array_equal(first, evaluate(model, part, "sentence"))
    assert model.training
    assert torch.equal(state, generator.get_state())
    model.eval()
    evaluate(model, part, "sentence")
    assert not model.training


def test_progress_ends_at_the_number_of_predictions(model, random_part):
    part = random_part(20, V)
    seen = []
    evaluate(model, part, "sentence", on_progress=seen.append)
    assert seen[-1] == part.predictions
    assert seen == sorted(seen)


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_to_score(model, scorer, policy, make_part):
    assert len(evaluate(model, make_part(), policy)) == 0
    assert len(scorer.nll(make_part(), policy)) == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_empty_sentences(model, scorer, policy, make_part):
    part = make_part([[], [3], []])
    expected = brute_force(model, part, policy)
    np.testing.assert_allclose(evaluate(model, part, policy), expected, atol=1e-5)
    np.testing.assert_allclose(scorer.nll(part, policy), expected, atol=1e-5)


def test_large_logits_stay_finite(make_part, tmp_path):
    model = build(CONFIGS["plain"], V)
    model.init_weights(torch.Generator().manual_seed(2))
    with torch.no_grad():
        model.output.weight.mul_(1e4)
    save_weights(tmp_path / "w", model)
    part = make_part([[2, 3, 4, 5]])
    nll_N = evaluate(model, part, "sentence")
    assert np.isfinite(nll_N).all()
    assert nll_N.max() > 100
    numpy_nll = NeuralScorer(TensorFile(tmp_path / "w"), model.config).nll(part, "sentence")
    np.testing.assert_allclose(numpy_nll, nll_N, rtol=1e-5, atol=1e-3)
