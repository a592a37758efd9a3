"""The fused softmax cross-entropy against torch's, value and gradients."""

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from nplm_cli.models import output
from nplm_cli.models.output import chunk_rows, prediction_nll
from nplm_cli.training import losses
from nplm_cli.training.losses import OutputLoss

V, D = 50, 7


@pytest.fixture(params=["one chunk", "chunks of 16"])
def chunks(request, monkeypatch):
    if request.param != "one chunk":
        monkeypatch.setattr(output, "CHUNK_LOGITS", 16 * V + V // 2)
        monkeypatch.setattr(losses, "CHUNK_LOGITS", 16 * V + V // 2)
        assert chunk_rows(V) == 16


def problem(n, *, bias=True, dtype=torch.float64, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        values = torch.randn(*shape, generator=generator, dtype=dtype) * scale
        return values.requires_grad_()

    targets = torch.randint(V, (n,), generator=generator)
    return draw(n, D), draw(V, D), draw(V) if bias else None, targets


def copies(*tensors):
    return [None if t is None else t.detach().clone().requires_grad_() for t in tensors]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 32, 100])
@pytest.mark.usefixtures("chunks")
def test_value_and_gradients_are_those_of_cross_entropy(n, bias):
    hidden, weight, b, targets = problem(n, bias=bias)
    reference = copies(hidden, weight, b)
    total = OutputLoss()(hidden, weight, b, targets)
    expected = cross_entropy(linear(*reference), targets, reduction="sum")
    torch.testing.assert_close(total, expected, atol=1e-10, rtol=1e-12)
    (total / n * 1.7).backward()
    (expected / n * 1.7).backward()
    for own, other in zip((hidden, weight, b), reference, strict=True):
        if own is not None:
            torch.testing.assert_close(own.grad, other.grad, atol=1e-12, rtol=1e-10)


@pytest.mark.usefixtures("chunks")
def test_float32_sums_in_float64():
    hidden, weight, bias, targets = problem(200, dtype=torch.float32)
    total = OutputLoss()(hidden, weight, bias, targets)
    assert total.dtype == torch.float64
    exact = cross_entropy(
        linear(hidden.double(), weight.double(), bias.double()), targets, reduction="sum"
    )
    assert total.item() == pytest.approx(exact.item(), rel=1e-6)
    total.backward()
    assert hidden.grad.dtype == weight.grad.dtype == bias.grad.dtype == torch.float32


@pytest.mark.usefixtures("chunks")
def test_two_calls_before_their_backward():
    """The shared buffer of logits holds no gradient: the second call spoils nothing."""
    loss = OutputLoss()
    first, second = problem(40, seed=1), problem(23, seed=2)
    references = [copies(*p[:3]) for p in (first, second)]
    totals = [loss(*first), loss(*second)]
    expected = [
        cross_entropy(linear(*r), p[3], reduction="sum")
        for r, p in zip(references, (first, second), strict=True)
    ]
    (totals[0] + 0.5 * totals[1]).backward()
    (expected[0] + 0.5 * expected[1]).backward()
    for reference, given in zip(references, (first, second), strict=True):
        for own, other in zip(given[:3], reference, strict=True):
            torch.testing.assert_close(own.grad, other.grad, atol=1e-12, rtol=1e-10)


@pytest.mark.usefixtures("chunks")
def test_gradients_accumulate_over_calls():
    loss = OutputLoss()
    hidden, weight, bias, targets = problem(50)
    reference = copies(hidden, weight, bias)
    for rows in (slice(0, 30), slice(30, 50)):
        loss(hidden[rows], weight, bias, targets[rows]).backward()
    cross_entropy(linear(*reference), targets, reduction="sum").backward()
    for own, other in zip((hidden, weight, bias), reference, strict=True):
        torch.testing.assert_close(own.grad, other.grad, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.usefixtures("chunks")
def test_gradcheck(bias):
    hidden, weight, b, targets = problem(33, bias=bias)
    given = [t for t in (hidden, weight, b) if t is not None]

    def loss(*values):
        return OutputLoss()(values[0], values[1], values[2] if bias else None, targets)

    assert torch.autograd.gradcheck(loss, tuple(given), fast_mode=True)


def test_backward_twice_gives_the_same_gradient():
    """Value and gradient of a kept graph are a function; the second look is not scaled again."""
    hidden, weight, bias, targets = problem(8)
    total = OutputLoss()(hidden, weight, bias, targets) / 3
    first = torch.autograd.grad(total, hidden, retain_graph=True)[0].clone()
    torch.testing.assert_close(torch.autograd.grad(total, hidden)[0], first)


def test_only_the_gradients_that_are_wanted():
    hidden, weight, bias, targets = problem(20)
    frozen = weight.detach()
    OutputLoss()(hidden, frozen, None, targets).backward()
    assert frozen.grad is None
    reference = copies(hidden)[0]
    cross_entropy(linear(reference, frozen), targets, reduction="sum").backward()
    torch.testing.assert_close(hidden.grad, reference.grad)
    fixed = hidden.detach()
    OutputLoss()(fixed, weight, bias.detach(), targets).backward()
    assert fixed.grad is None
    assert weight.grad is not None


def test_extreme_logits_are_finite():
    hidden = torch.full((3, D), 1e4, requires_grad=True)
    weight = torch.linspace(-1, 1, V)[:, None].expand(V, D).clone().requires_grad_()
    targets = torch.tensor([0, 25, V - 1])
    total = OutputLoss()(hidden, weight, None, targets)
    expected = cross_entropy(linear(hidden, weight).double(), targets, reduction="sum")
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    total.backward()
    assert torch.isfinite(hidden.grad).all()


def test_no_prediction_is_a_loss_of_0():
    hidden, weight, bias, targets = problem(0)
    total = OutputLoss()(hidden, weight, bias, targets)
    assert total.item() == 0
    total.backward()
    assert not weight.grad.any()


def test_the_buffer_grows_and_changes_its_dtype():
    loss = OutputLoss()
    for n, dtype in (
        (3, torch.float32),
        (30, torch.float32),
        (5, torch.float64),
        (30, torch.float64),
    ):
        hidden, weight, bias, targets = problem(n, dtype=dtype)
        expected = cross_entropy(linear(hidden, weight, bias), targets, reduction="sum")
        assert loss(hidden, weight, bias, targets).item() == pytest.approx(
            expected.item(), rel=1e-6
        )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n", [0, 1, 16, 33])
@pytest.mark.usefixtures("chunks")
def test_prediction_nll(n, bias):
    hidden, weight, b, targets = problem(n, bias=bias)
    nll = prediction_nll(hidden, weight, b, targets)
    assert not nll.requires_grad
    expected = cross_entropy(linear(hidden, weight, b), targets, reduction="none")
    torch.testing.assert_close(nll, expected.detach(), atol=1e-12, rtol=1e-12)


def test_the_memory_of_a_chunk_is_bounded():
    for vocabulary in (10, 1000, 100_000, 250_000):
        assert chunk_rows(vocabulary) * vocabulary <= max(output.CHUNK_LOGITS, 16 * vocabulary)
        assert chunk_rows(vocabulary) >= 16


@pytest.fixture
def blocks(monkeypatch):
    """Vocabularies of more than 20 words are read 7 words and 5 predictions at a time."""
    for name, value in (("WHOLE_WORDS", 20), ("BLOCK_WORDS", 7), ("BLOCK_ROWS", 5)):
        monkeypatch.setattr(output, name, value)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n", [0, 1, 5, 33])
@pytest.mark.usefixtures("blocks")
def test_prediction_nll_of_a_large_vocabulary(n, bias):
    hidden, weight, b, targets = problem(n, bias=bias)
    nll = prediction_nll(hidden, weight, b, targets)
    assert not nll.requires_grad
    expected = cross_entropy(linear(hidden, weight, b), targets, reduction="none")
    torch.testing.assert_close(nll, expected.detach(), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.usefixtures("blocks")
def test_blocks_of_words_are_exact_in_float32(scale):
    hidden, weight, b, targets = problem(50, scale=scale)
    exact = cross_entropy(linear(hidden, weight, b), targets, reduction="none")
    nll = prediction_nll(hidden.float(), weight.float(), b.float(), targets)
    assert nll.dtype == torch.float32
    torch.testing.assert_close(nll, exact.float().detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("vocabulary", ["whole", "in blocks"])
def test_log_z_on_other_devices(bias, vocabulary, monkeypatch):
    if vocabulary == "in blocks":
        for name, value in (("WHOLE_WORDS", 20), ("BLOCK_WORDS", 7), ("BLOCK_ROWS", 5)):
            monkeypatch.setattr(output, name, value)
    for n in (0, 1, 33):
        hidden, weight, b, _ = problem(n, bias=bias)
        with torch.no_grad():
            expected = linear(hidden, weight, b).logsumexp(1)
            found = output._log_z_of_chunks(hidden, weight, b)
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("rows", [5, 1000])
@pytest.mark.parametrize("scale", [1.0, 8.0, 40.0])
def test_predictions_of_the_same_context_and_logits_of_any_size(rows, scale, monkeypatch):
    """Sums within float32, sums of some rows beyond it, and of nearly all."""
    monkeypatch.setattr(output, "BLOCK_ROWS", rows)
    monkeypatch.setattr(output, "CPU_BLOCK_WORDS", 7)
    hidden, weight, b, _ = problem(20, scale=scale)
    with torch.no_grad():
        hidden[3] /= scale
    generator = torch.Generator().manual_seed(1)
    which, targets = (torch.randint(n, (50,), generator=generator) for n in (20, V))
    exact = cross_entropy(linear(hidden[which], weight, b), targets, reduction="none").detach()
    nll = prediction_nll(hidden, weight, b, targets, which)
    torch.testing.assert_close(nll, exact, atol=1e-10, rtol=1e-10)
    nll = prediction_nll(hidden.float(), weight.float(), b.float(), targets, which)
    torch.testing.assert_close(nll, exact.float(), atol=1e-5 * scale, rtol=1e-5)


def test_biases_far_apart():
    hidden, weight, b, targets = problem(30)
    with torch.no_grad():
        b[2:] -= 200.0
        b[2] = float("-inf")
    nll = prediction_nll(hidden, weight, b, targets % 2)
    exact = cross_entropy(linear(hidden, weight, b), targets % 2, reduction="none").detach()
    torch.testing.assert_close(nll, exact, atol=1e-12, rtol=1e-12)


def penalised(hidden, weight, bias, targets, x):
    """-log p + X (log Z)^2, summed: Devlin et al. (2014), by torch's own derivatives."""
    logits = linear(hidden, weight, bias)
    penalty = x * torch.logsumexp(logits, 1).square().sum()
    return cross_entropy(logits, targets, reduction="sum") + penalty


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n", [1, 16, 33])
@pytest.mark.usefixtures("chunks")
def test_self_normalisation(n, bias):
    hidden, weight, b, targets = problem(n, bias=bias)
    reference = copies(hidden, weight, b)
    total = OutputLoss(0.3)(hidden, weight, b, targets)
    plain = cross_entropy(linear(hidden, weight, b), targets, reduction="sum")
    torch.testing.assert_close(total, plain.detach(), atol=1e-10, rtol=1e-12)
    (total / n).backward()
    (penalised(*reference, targets, 0.3) / n).backward()
    for own, other in zip((hidden, weight, b), reference, strict=True):
        if own is not None:
            torch.testing.assert_close(own.grad, other.grad, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)], ids=["fp32", "bf16"]
)
@pytest.mark.usefixtures("chunks")
def test_self_normalisation_in_other_formats(dtype, tolerance):
    """The gradient beside that of the same numbers in float64, by the largest of each tensor."""
    given = problem(70, dtype=torch.float32, seed=3)
    rounded = [t.detach().to(dtype).requires_grad_() for t in given[:3]]
    reference = [t.detach().double().requires_grad_() for t in rounded]
    OutputLoss(0.2)(*rounded, given[3]).backward()
    penalised(*reference, given[3], 0.2).backward()
    for own, other in zip(rounded, reference, strict=True):
        off = (own.grad.double() - other.grad).abs().max() / other.grad.abs().max()
        assert off < tolerance


def test_self_normalisation_where_the_target_is_out_of_reach():
    """log Z of a target whose probability is 0 in float32."""
    hidden = torch.full((2, D), 40.0, requires_grad=True)
    weight = torch.linspace(-1, 1, V)[:, None].expand(V, D).clone().requires_grad_()
    reference = copies(hidden, weight)
    targets = torch.tensor([0, V - 1])
    OutputLoss(0.1)(hidden, weight, None, targets).backward()
    penalised(*reference, None, targets, 0.1).backward()
    for own, other in zip((hidden, weight), reference, strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-4, atol=1e-3)
