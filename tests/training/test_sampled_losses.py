"""Sampled softmax and noise-contrastive estimation against formulas written out."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import linear, logsigmoid

from nplm_cli.config import ModelConfig, TrainingConfig
from nplm_cli.models import build
from nplm_cli.training import sampled_losses
from nplm_cli.training.losses import FullLoss
from nplm_cli.training.sampled_losses import (
    NceLoss,
    SampledLoss,
    sampled_loss,
    start_at_shares,
)
from nplm_cli.training.sampling import WordSampler
from nplm_cli.training.weights import FlatWeights

V, D = 40, 6
COUNTS = (400 / np.arange(1, V + 1)).astype(np.int64)
SHARES = COUNTS / COUNTS.sum()


def pick(weight_VD, ids_C):
    return weight_VD.index_select(0, ids_C)


def made(kind, samples=9, *, bias=True, dtype=torch.float64, seed=1, **settings):
    """A loss on a small window model, and the model."""
    config = ModelConfig(order=2, dim=D, hidden=D, output_bias=bias, **settings)
    model = build(config.resolved(), V)
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.7, generator=random)
    sampler = WordSampler(COUNTS, samples, torch.device("cpu"))
    model.to(dtype)
    return kind(model, sampler, torch.Generator().manual_seed(seed), pick), model


def problem(n, dtype=torch.float64, seed=5):
    random = np.random.default_rng(seed)
    hidden_ND = torch.tensor(random.normal(size=(n, D)), dtype=dtype, requires_grad=True)
    return hidden_ND, torch.from_numpy(random.choice(V, n, p=SHARES))


def leaves(model):
    return [p for p in (model.output_weight, model.output.bias) if p is not None]


def same_draw(loss, targets_N, seed=1):
    return loss.sampler.draw(targets_N, torch.Generator().manual_seed(seed))


def sampled_formula(loss, model, hidden_ND, targets_N):
    """-log (e^{s_y} / (e^{s_y} + sum over other words of the step of e^{s_w} / p_w))."""
    sample = same_draw(loss, targets_N)
    scores_NV = linear(hidden_ND, model.output_weight, model.output.bias)
    total = 0.0
    for s_V, y in zip(scores_NV, targets_N.tolist(), strict=True):
        z = s_V[y].exp()
        for w, log_p in zip(sample.ids_C.tolist(), sample.log_present_C.double(), strict=True):
            if w != y:
                z = z + s_V[w].exp() / log_p.exp()
        total = total + z.log() - s_V[y]
    return total


def nce_formula(loss, model, hidden_ND, targets_N, log_z):
    """-log sigma(s_y - log pi_y) - sum over drawn words of log sigma(log pi_w - s_w)."""
    sample = same_draw(loss, targets_N)
    scores_NV = linear(hidden_ND, model.output_weight, model.output.bias) - log_z
    log_pi_V = loss.sampler.pi_V.log()
    drawn = sample.ids_C[sample.drawn_C]
    own = scores_NV[torch.arange(len(targets_N)), targets_N] - log_pi_V[targets_N]
    noise = scores_NV[:, drawn] - log_pi_V[drawn]
    return -logsigmoid(own).sum() - logsigmoid(-noise).sum()


def assert_gradients(loss, model, hidden_ND, targets_N, formula):
    """Those of the loss (times 0.3) are those of the formula."""
    wanted = [hidden_ND, *leaves(model)]
    found = torch.autograd.grad(loss(hidden_ND, targets_N) * 0.3, wanted)
    expected = torch.autograd.grad(formula * 0.3, wanted)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n", [1, 2, 17])
def test_sampled_softmax_is_its_formula(n, bias):
    loss, model = made(SampledLoss, bias=bias)
    hidden_ND, targets_N = problem(n)
    formula = sampled_formula(loss, model, hidden_ND, targets_N)
    value = made(SampledLoss, bias=bias)[0](hidden_ND, targets_N)
    assert value.item() == pytest.approx(formula.item(), rel=1e-6)
    assert_gradients(loss, model, hidden_ND, targets_N, formula)


@pytest.mark.parametrize(
    ("bias", "init", "log_z"),
    [
        (True, "small", 0.0),
        (True, "counts", 0.0),
        (False, "small", math.log(V)),
        (True, "zero", math.log(V)),
    ],
)
@pytest.mark.parametrize("n", [1, 2, 17])
def test_contrastive_estimation_is_its_formula(n, bias, init, log_z):
    loss, model = made(NceLoss, bias=bias, init=init)
    hidden_ND, targets_N = problem(n)
    formula = nce_formula(loss, model, hidden_ND, targets_N, log_z)
    assert_gradients(loss, model, hidden_ND, targets_N, formula)


def test_contrastive_estimation_in_chunks(monkeypatch):
    """Sixteen predictions at once are the least: 40 are three chunks, in memory that stays."""
    whole, model = made(NceLoss)
    hidden_ND, targets_N = problem(40)
    wanted = [hidden_ND, *leaves(model)]
    value = whole(hidden_ND, targets_N)
    expected = torch.autograd.grad(value, wanted)
    monkeypatch.setattr(sampled_losses, "CHUNK_LOGITS", 1)
    loss = NceLoss(model, whole.sampler, torch.Generator().manual_seed(1), pick)
    total = loss(hidden_ND, targets_N)
    assert total.item() == pytest.approx(value.item(), rel=1e-12)
    for one, other in zip(torch.autograd.grad(total, wanted), expected, strict=True):
        torch.testing.assert_close(one, other)
    words = len(same_draw(loss, targets_N).ids_C)
    assert loss.buffer.logits_buffer(
        1, torch.zeros(words, 1).double()
    ).untyped_storage().size() == (16 * words * 8)


@pytest.mark.parametrize("bias", [True, False])
def test_the_value_of_contrastive_estimation_is_an_estimate_of_the_loss(bias):
    loss, model = made(NceLoss, bias=bias)
    hidden_ND, targets_N = problem(9)
    sample = same_draw(loss, targets_N)
    scores_NV = linear(hidden_ND, model.output_weight, model.output.bias)
    expected = 0.0
    for s_V, y in zip(scores_NV, targets_N.tolist(), strict=True):
        drawn = sample.ids_C[sample.drawn_C & (sample.ids_C != y)]
        z = (s_V[drawn].exp() / loss.sampler.pi_V[drawn]).sum() + s_V[y].exp()
        expected += (z.log() - s_V[y]).item()
    assert loss(hidden_ND, targets_N).item() == pytest.approx(expected, rel=1e-5)


def test_the_expectation_of_its_sum_is_the_sum():
    """Also of a rare target that takes most of the sum, which is seldom drawn."""
    loss, model = made(NceLoss)
    with torch.no_grad():
        model.output.bias[V - 1] += 6
    hidden_ND, _ = problem(1)
    targets_N = torch.tensor([V - 1])
    score_V = linear(hidden_ND, model.output_weight, model.output.bias)[0]
    estimates = np.array(
        [(loss(hidden_ND, targets_N) + score_V[V - 1]).exp().item() for _ in range(1500)]
    )
    deviation = estimates.std() / math.sqrt(len(estimates))
    z = score_V.exp().sum().item()
    assert deviation < 0.01 * z
    assert estimates.mean() == pytest.approx(z, abs=4 * deviation)


def test_the_expectation_of_the_estimated_sum_is_the_sum():
    """Over draws and over the other targets of the step, which come from the text."""
    loss, model = made(SampledLoss)
    random = np.random.default_rng(2)
    hidden_ND, _ = problem(1)
    score_V = linear(hidden_ND, model.output_weight, model.output.bias)[0].detach()
    draws, y, n = 6000, 25, 12
    estimates = np.empty(draws)
    for i in range(draws):
        others = random.choice(V, n - 1, p=SHARES)
        sample = loss.sampler.draw(torch.tensor([y, *others]), loss.generator)
        weight_C = torch.where(sample.ids_C == y, 0.0, -sample.log_present_C.double())
        estimates[i] = (score_V[sample.ids_C] + weight_C).exp().sum()
    deviation = estimates.std() / math.sqrt(draws)
    z = score_V.exp().sum().item()
    assert deviation < 0.03 * z
    assert estimates.mean() == pytest.approx(z, abs=4 * deviation)


def mean_gradients(losses, parameter, draws=1500):
    """Means and standard errors of the gradients of several losses over draws and targets."""
    hidden_ND, _ = problem(12)
    random = np.random.default_rng(2)
    found = [[] for _ in losses]
    for _ in range(draws):
        targets_N = torch.from_numpy(random.choice(V, 12, p=SHARES))
        for loss, gradients in zip(losses, found, strict=True):
            gradients += torch.autograd.grad(loss(hidden_ND, targets_N), parameter)
    stacked = [torch.stack(gradients) for gradients in found]
    return [(g.mean(0), g.std(0) / math.sqrt(draws)) for g in stacked]


def test_the_mean_gradient_is_nearly_that_of_the_full_softmax():
    """Not quite: the expectation of 1 / Z is not one over that of Z."""
    loss, model = made(SampledLoss, samples=30)
    (mean, _), (full, _) = mean_gradients([loss, FullLoss(model)], model.output.bias)
    assert (mean - full).norm() < 0.08 * full.norm()


def test_contrastive_estimation_has_its_minimum_at_the_probabilities():
    loss, model = made(NceLoss, samples=9)
    with torch.no_grad():  # one distribution for all contexts: the text's
        model.output_weight.zero_()
        model.output.bias.copy_(torch.from_numpy(np.log(SHARES)))
    [(mean, error)] = mean_gradients([loss], model.output.bias)
    assert (mean.abs() <= 4.5 * error).all()
    with torch.no_grad():
        model.output.bias += 0.5  # the same distribution, but Z = e^0.5
    [(mean, error)] = mean_gradients([loss], model.output.bias, draws=300)
    assert (mean > 4.5 * error)[:3].all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_sample_of_all_words_is_the_full_softmax_to_the_bit(dtype, bias):
    loss, model = made(SampledLoss, samples=V, bias=bias, dtype=dtype)
    hidden_ND, targets_N = problem(20, dtype)
    wanted = [hidden_ND, *leaves(model)]
    values = []
    for loss_of in (loss, FullLoss(model)):
        total = loss_of(hidden_ND, targets_N)
        values.append([total, *torch.autograd.grad(total, wanted)])
    for one, other in zip(*values, strict=True):
        assert one.equal(other)


@pytest.mark.parametrize("kind", [SampledLoss, NceLoss])
@pytest.mark.parametrize("scale", [0.0, 60.0])
def test_bf16_and_extreme_scores_stay_finite(kind, scale):
    loss, model = made(kind, dtype=torch.bfloat16)
    hidden_ND, targets_N = problem(30, torch.bfloat16)
    total = loss(hidden_ND * scale, targets_N)
    grads = torch.autograd.grad(total, [hidden_ND, *leaves(model)])
    assert all(torch.isfinite(g).all() for g in (total, *grads))
    assert total.dtype == torch.float64


@pytest.mark.parametrize("kind", [SampledLoss, NceLoss])
def test_only_the_rows_of_the_step_get_a_gradient(kind):
    loss, model = made(kind)
    hidden_ND, targets_N = problem(4)
    sample = same_draw(loss, targets_N)
    (grad_VD,) = torch.autograd.grad(loss(hidden_ND, targets_N), model.output_weight)
    touched = grad_VD.abs().sum(1).nonzero()[:, 0]
    assert touched.tolist() == sample.ids_C.tolist()
    assert len(touched) < V


def test_contrastive_estimation_learns_probabilities_that_need_no_sum():
    """A model of biases alone learns the shares of the words, and Z = 1 by itself."""
    loss, model = made(NceLoss, samples=20)
    with torch.no_grad():
        model.output_weight.zero_()
        model.output.bias.fill_(-math.log(V))
    hidden_ND = torch.zeros(256, D, dtype=torch.float64)
    random = np.random.default_rng(4)
    optimizer = torch.optim.Adam([model.output.bias], lr=0.05)
    for step in range(600):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 600)
        optimizer.zero_grad()
        targets_N = torch.from_numpy(random.choice(V, 256, p=SHARES))
        (loss(hidden_ND, targets_N) / 256).backward()
        optimizer.step()
    p_V = model.output.bias.detach().exp()
    assert p_V.sum().item() == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(p_V[:10], SHARES[:10], rtol=0.1)


def first_guess(model):
    hidden_1D = torch.zeros(1, model.output_weight.shape[1])
    return model.logits(hidden_1D).softmax(-1)[0].detach().numpy()


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_biases_start_at_the_shares_of_the_text(softmax):
    model = build(ModelConfig(softmax=softmax, cutoffs="5,11").resolved(), V)
    model.init_weights(torch.Generator().manual_seed(1))
    start_at_shares(model, COUNTS)
    np.testing.assert_allclose(first_guess(model), SHARES, rtol=1e-5)


@pytest.mark.parametrize(
    "settings", [{"init": "zero"}, {"init": "uniform01"}, {"output_bias": False}]
)
def test_they_do_not_where_first_weights_were_asked_for(settings):
    model = build(ModelConfig(**settings).resolved(), V)
    model.init_weights(torch.Generator().manual_seed(1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    start_at_shares(model, COUNTS)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_the_setting_chooses_the_loss():
    model = build(ModelConfig().resolved(), V)
    random, lookup = torch.Generator(), FlatWeights(model).lookup
    for name, kind in (("full", type(None)), ("sampled", SampledLoss), ("nce", NceLoss)):
        config = TrainingConfig(loss=name, samples=7)
        loss = sampled_loss(model, COUNTS, config, random, lookup)
        assert type(loss) is kind
        if loss is not None:
            assert float(loss.sampler.pi_V.sum()) == pytest.approx(7, abs=V / 2**16)
