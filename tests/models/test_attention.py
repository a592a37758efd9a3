"""Attention, the rule of the blocks and their cache, for both models that follow it."""

import itertools

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.corpus.batches import TrainingBatches
from nplm_cli.errors import ConfigError
from nplm_cli.models import build, window_cache
from nplm_cli.models.attention import attention, causal, fused, merge_heads, split_heads
from nplm_cli.query import FORWARD
from nplm_cli.query import window_cache as query_window_cache

V = 11
ARCHITECTURES = ("attention", "transformer")
RULES = [(1, 1), (2, 1), (3, 2), (5, 1), (5, 2), (5, 5), (8, 3)]


def made(arch, window, stride, **settings):
    config = ModelConfig(
        **{
            "arch": arch, "window": window, "stride": stride, "dim": 4, "hidden": 5, "heads": 2,
            "layers": 2, "positions": "learned", "init_scale": 2.0, **settings,
        }
    )  # fmt: skip
    model = build(config, V).double()
    model.init_weights(torch.Generator().manual_seed(5))
    return model.eval()


def ids_of(rows, positions, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, V, (rows, positions)))


def weights_of(model):
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}


def block_start(t, window, stride):
    """Where the block begins from which the prediction at t is made."""
    start = 0
    while t >= start + window:
        start += stride
    return start


def by_hand(model, ids_T, stride):
    """Hidden states of one text, each from a block that is read alone, from its beginning."""
    hidden = []
    for t in range(len(ids_T)):
        block = ids_T[None, block_start(t, model.config.window, stride) : t + 1]
        hidden.append(model(block, model.initial_state(1))[0][0, -1])
    return torch.stack(hidden)


def random_pieces(length, seed):
    random = np.random.default_rng(seed)
    cuts = np.sort(random.choice(np.arange(1, length), random.integers(0, 8), replace=False))
    return np.diff([0, *cuts, length]).tolist()


# Attention


def qkv(queries, keys, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 3, queries, 4), (2, 3, keys, 4), (2, 3, keys, 4)]
    return [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]


def some_visible(queries, keys):
    generator = torch.Generator().manual_seed(2)
    visible = torch.rand(2, 1, queries, keys, generator=generator) < 0.4
    visible[..., 3] = True
    return visible


def test_written_out_attention_is_that_of_torch():
    q, k, v = qkv(6, 6)
    sums, weights = attention(q, k, v, causal(6, q.device))
    torch.testing.assert_close(sums, fused(q, k, v, None), atol=1e-14, rtol=1e-14)
    torch.testing.assert_close(weights.sum(3), torch.ones(2, 3, 6).double(), atol=1e-14, rtol=0)
    assert (weights.triu(1) == 0).all()
    assert (weights.tril() > 0).sum() == 2 * 3 * 21


def test_written_out_attention_is_that_of_torch_under_any_mask():
    q, k, v = qkv(4, 7)
    visible = some_visible(4, 7)
    masked = fused(q, k, v, visible)
    torch.testing.assert_close(attention(q, k, v, visible)[0], masked, atol=1e-14, rtol=1e-14)


@pytest.mark.parametrize("masked", [True, False])
def test_gradients_of_torchs_attention_are_those_of_the_written_out_one(masked):
    tensors = [tensor.requires_grad_() for tensor in qkv(9, 9)]
    visible = some_visible(9, 9) if masked else None
    if masked:
        visible |= torch.eye(9).bool()
    out = torch.randn(2, 3, 9, 4, generator=torch.Generator().manual_seed(3)).double()
    written_out, _ = attention(*tensors, visible if masked else causal(9, out.device))
    expected = torch.autograd.grad(written_out, tensors, out)
    grads = torch.autograd.grad(fused(*tensors, visible), tensors, out)
    assert all(grad.abs().max() > 0.1 for grad in grads)
    for grad, should in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, should, atol=1e-13, rtol=1e-13)


def test_gradient_of_attention():
    tensors = [tensor.requires_grad_() for tensor in qkv(3, 5)]
    visible = torch.tensor([[1, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1]]).bool()
    assert torch.autograd.gradcheck(lambda q, k, v: attention(q, k, v, visible), tensors)


def test_heads_are_split_and_merged():
    x = torch.arange(2 * 3 * 8).view(2, 3, 8)
    heads = split_heads(x, 4)
    assert heads.shape == (2, 4, 3, 2)
    assert heads[1, 2, 0].tolist() == x[1, 0, 4:6].tolist()
    assert torch.equal(merge_heads(heads), x)


def test_attention_weights_of_a_text():
    model = made("attention", 6, 3, layers=3)
    ids = ids_of(2, 5)
    layers = model.attention_weights(ids)
    assert [tuple(weights.shape) for weights in layers] == [(2, 2, 5, 5)] * 3
    for weights in layers:
        torch.testing.assert_close(weights.sum(3), torch.ones(2, 2, 5).double())
        assert (weights.triu(1) == 0).all()
    with pytest.raises(ConfigError, match="7 ids: expected at most the window, 6"):
        model.attention_weights(ids_of(1, 7))


@pytest.mark.parametrize("cached", [0, 3])
def test_a_trace_reads_as_the_model_does(cached):
    """The lessons' weights are those of the model that is trained and asked."""
    encoder = made("attention", 8, 4, layers=3).encoder
    x = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(1)).double()
    place, visible, past = torch.arange(8), None, None
    if cached:
        past = encoder(x[:, :cached], place[:cached], None, None)[1]
        visible = causal(8, x.device)[None, None, cached:].clone()
        visible[..., 0] = False
        x, place = x[:, cached:], place[cached:]

    def outputs(read):
        hidden, caches, *weights = read(x, place, visible, past)
        gradients = torch.autograd.grad(
            hidden.square().sum(), list(encoder.parameters()), retain_graph=True
        )
        tensors = [hidden, *itertools.chain(*caches), *gradients]
        return tensors, weights

    plain, nothing = outputs(encoder)
    traced, (weights,) = outputs(encoder.trace)
    assert nothing == []
    assert [tuple(a.shape) for a in weights] == [(2, 2, 8 - cached, 8)] * 3
    for a, b in zip(plain, traced, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)


# The rule of the blocks


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(("window", "stride"), RULES)
def test_a_prediction_is_made_from_its_block_however_the_text_is_fed(arch, window, stride):
    model = made(arch, window, stride)
    ids = ids_of(3, 23)
    expected = torch.stack([by_hand(model, row, stride) for row in ids])
    twin, weights = FORWARD[arch], weights_of(model)
    for pieces in ([23], [1] * 23, random_pieces(23, 1), random_pieces(23, 2)):
        state, twin_state = model.initial_state(3), twin.initial_state(model.config, 3)
        hidden, twin_hidden = [], []
        for piece in torch.split(ids, pieces, dim=1):
            part, state = model(piece, state)
            hidden.append(part)
            part, twin_state = twin.forward(weights, model.config, piece.numpy(), twin_state)
            twin_hidden.append(part)
            assert all(p.shape[0] == 3 for p in state)
            assert state[1].shape[1] == state[2].shape[2] <= window
            for a, b in zip(state, twin_state, strict=True):
                np.testing.assert_allclose(a.detach(), b, atol=1e-12)
        torch.testing.assert_close(torch.cat(hidden, 1), expected, atol=1e-12, rtol=1e-12)
        np.testing.assert_allclose(
            np.concatenate(twin_hidden, 1), expected.detach(), atol=1e-12, rtol=1e-12
        )


@pytest.mark.parametrize(("window", "stride"), RULES)
def test_a_prediction_sees_between_w_minus_s_plus_1_and_w_ids(window, stride):
    seen = [t - block_start(t, window, stride) + 1 for t in range(40)]
    assert seen[:window] == list(range(1, window + 1))
    assert {min(seen[window:]), max(seen[window:])} == {window - stride + 1, window}


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(("window", "stride"), [(5, 2), (8, 3), (1, 1)])
def test_training_begins_each_block_anew(arch, window, stride):
    model = made(arch, window, stride)
    ids = ids_of(2, 19)
    expected = torch.stack([by_hand(model, row, window) for row in ids])
    model.train()
    for pieces in ([19], [4, 4, 4, 4, 3], [1] * 19, random_pieces(19, 3)):
        state, hidden = model.initial_state(2), []
        for piece in torch.split(ids, pieces, dim=1):
            part, state = model(piece, state)
            hidden.append(part)
        torch.testing.assert_close(torch.cat(hidden, 1), expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("training", [True, False])
def test_strips_with_files_that_begin_within_them(arch, training, make_part):
    """Rows stand at different places of their blocks; each file is read as if it stood alone."""
    random = np.random.default_rng(4)
    files = [[random.integers(2, V, n).tolist()] for n in (3, 17, 9, 1, 25, 6, 2, 14)]
    part = make_part(*files)
    model = made(arch, 7, 3).train(training)
    reference = made(arch, 7, 3)
    batches = TrainingBatches(part, "stream", batch=3, bptt=4, seed=1)
    texts, expected, seen, state = [[], [], []], [None] * 3, 0, None
    places = set()
    for (batch,) in batches.epoch(0):
        state = model.carried_state(state, torch.from_numpy(batch.fresh_B))
        hidden, state = model(torch.from_numpy(batch.ids_BT), state)
        places.add(len(set(state[0].tolist())))
        for row in range(len(batch.ids_BT)):
            if batch.fresh_B[row]:
                texts[row] = []
            texts[row] += batch.ids_BT[row].tolist()
            real = int((batch.targets_BT[row] >= 0).sum())
            expected = by_hand(reference, torch.tensor(texts[row]), 7 if training else 3)
            begin = len(texts[row]) - batch.ids_BT.shape[1]
            torch.testing.assert_close(
                hidden[row, :real], expected[begin : begin + real], atol=1e-12, rtol=1e-12
            )
            seen += real
    assert seen == part.predictions
    assert max(places) == 3


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_numpy_reads_rows_at_different_places_as_torch_does(arch):
    model = made(arch, 5, 2)
    twin, weights = FORWARD[arch], weights_of(model)
    _, state = model(ids_of(4, 4), model.initial_state(4))
    state = model.carried_state(state, torch.tensor([False, True, False, True]))
    _, state = model(ids_of(4, 2, seed=1), state)
    assert state[0].tolist() == [4, 2, 4, 2]
    twin_state = tuple(piece.detach().numpy() for piece in state)
    ids = ids_of(4, 9, seed=2)
    hidden, state = model(ids, state)
    twin_hidden, twin_state = twin.forward(weights, model.config, ids.numpy(), twin_state)
    np.testing.assert_allclose(twin_hidden, hidden.detach(), atol=1e-12)
    for a, b in zip(state, twin_state, strict=True):
        np.testing.assert_allclose(a.detach(), b, atol=1e-12)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_is_older_than_a_fresh_row_is_never_seen(arch):
    model = made(arch, 6, 2)
    _, state = model(ids_of(2, 5), model.initial_state(2))
    carried = model.carried_state(state, torch.tensor([True, False]))
    poisoned = [piece.clone() for piece in carried]
    for tensor in poisoned[2:]:
        tensor.data[0] = 1e6
    poisoned[1][0] = V - 1
    fresh, old = model.initial_state(1), tuple(piece[1:] for piece in state)
    for length in (1, 4, 8):
        ids = ids_of(2, length, seed=length)
        hidden, after = model(ids, tuple(poisoned))
        torch.testing.assert_close(hidden[:1], model(ids[:1], fresh)[0], atol=1e-12, rtol=0)
        torch.testing.assert_close(hidden[1:], model(ids[1:], old)[0], atol=1e-12, rtol=0)
        more = ids_of(2, 9, seed=3)  # the state it leaves is as clean
        expected = model(torch.cat([ids, more], 1)[:1], fresh)[0][:, length:]
        torch.testing.assert_close(model(more, after)[0][:1], expected, atol=1e-12, rtol=0)


def test_when_all_rows_are_fresh_the_cache_is_dropped():
    model = made("transformer", 6, 2)
    _, state = model(ids_of(2, 5), model.initial_state(2))
    for old in (None, state):
        carried = model.carried_state(old, torch.tensor([True, True]))
        assert [p.shape for p in carried] == [p.shape for p in model.initial_state(2)]


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("stride", [2, 6])
def test_a_long_text_is_read_in_passes_of_bounded_size(arch, stride, monkeypatch):
    model = made(arch, 6, stride)
    ids = ids_of(2, 31)
    expected = torch.stack([by_hand(model, row, stride) for row in ids])
    sizes = []
    encode = type(model.encoder).forward

    def counted(self, x, *rest):
        sizes.append(x.shape[0] * x.shape[1])
        return encode(self, x, *rest)

    monkeypatch.setattr(type(model.encoder), "forward", counted)
    for bound in (1, 30, 60):
        monkeypatch.setattr(window_cache, "PASS_IDS", bound)
        monkeypatch.setattr(query_window_cache, "PASS_IDS", bound)
        monkeypatch.setattr(query_window_cache, "SCORES", bound)
        sizes.clear()
        hidden, _ = model(ids, model.initial_state(2))
        torch.testing.assert_close(hidden, expected, atol=1e-12, rtol=1e-12)
        assert max(sizes) <= max(bound, 12)
        twin, _ = FORWARD[arch].forward(
            weights_of(model),
            model.config,
            ids.numpy(),
            FORWARD[arch].initial_state(model.config, 2),
        )
        np.testing.assert_allclose(twin, expected.detach(), atol=1e-12)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_is_read_behind_a_cache_is_read_in_parts(arch, monkeypatch):
    """Rows, then queries; in training at once, as dropout is drawn for a whole batch."""
    model = made(arch, 8, 4)
    _, state = model(ids_of(4, 5), model.initial_state(4))
    state = model.carried_state(state, torch.tensor([False, True, False, False]))
    ids = ids_of(4, 9, seed=1)
    whole, whole_state = model(ids, state)
    sizes = []
    encode = type(model.encoder).forward

    def counted(self, x, place, visible, past):
        if past is not None:
            sizes.append(visible.numel())
        return encode(self, x, place, visible, past)

    monkeypatch.setattr(type(model.encoder), "forward", counted)
    keys = 5 + 8
    for bound in (1, keys, 3 * keys, 8 * keys, 2 * 8 * keys, 3 * 8 * keys, 4 * 8 * keys):
        monkeypatch.setattr(window_cache, "SCORES", bound)
        sizes.clear()
        hidden, after = model(ids, state)
        assert max(sizes) <= max(bound, keys)
        assert bound >= 4 * 8 * keys or len(sizes) > 1
        torch.testing.assert_close(hidden, whole, atol=1e-12, rtol=1e-12)
        for a, b in zip(after, whole_state, strict=True):
            torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)
    monkeypatch.setattr(window_cache, "SCORES", 1)
    sizes.clear()
    model.train()(ids, state)
    assert sizes == [4 * 8 * keys]


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("cached", [0, 100])
def test_memory_of_a_large_window_grows_with_its_length(arch, cached, monkeypatch):
    """No tensor of queries times keys is made, by torch itself neither."""
    monkeypatch.setattr(window_cache, "SCORES", 40_000)
    model = made(arch, 1024, 512, hidden=4).float()
    with torch.no_grad():
        _, state = model(ids_of(1, cached), model.initial_state(1))
        with Largest() as largest:
            model(ids_of(1, 2000), state)
    # Some 4 numbers an id of all passes; 1024 x 1024 would be a million.
    assert 2000 * 4 <= largest.elements <= 40_000


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_memory_of_training_on_a_large_window_grows_with_its_length(arch):
    model = made(arch, 1024, 1024, hidden=4).float().train()
    with Largest() as largest:
        model(ids_of(1, 1024), model.initial_state(1))[0].sum().backward()
    assert 1024 * 4 <= largest.elements <= 1024 * 16


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_whole_blocks_of_a_long_text_are_read_in_passes(arch, monkeypatch):
    """With the stride of a window, too; what is kept of all passes is the hidden states."""
    monkeypatch.setattr(window_cache, "PASS_IDS", 64)
    model = made(arch, 8, 8, hidden=64).float()
    sizes = []
    encode = type(model.encoder).forward

    def counted(self, x, *rest):
        sizes.append(x.shape[0] * x.shape[1])
        return encode(self, x, *rest)

    monkeypatch.setattr(type(model.encoder), "forward", counted)
    with torch.no_grad():
        model(ids_of(1, 1000), model.initial_state(1))
    assert max(sizes) <= 64
    assert sum(sizes) == 1000


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_training_reads_no_id_twice(arch, monkeypatch):
    model = made(arch, 6, 2).train()
    read = []
    encode = type(model.encoder).forward

    def counted(self, x, *rest):
        read.append(x.shape[0] * x.shape[1])
        return encode(self, x, *rest)

    monkeypatch.setattr(type(model.encoder), "forward", counted)
    model(ids_of(3, 24), model.initial_state(3))
    assert sum(read) == 3 * 24


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_word_by_word_what_is_read_again_is_read_once_a_block(arch, monkeypatch):
    model = made(arch, 6, 2)
    read = []
    encode = type(model.encoder).forward

    def counted(self, x, *rest):
        read.append(x.shape[1])
        return encode(self, x, *rest)

    monkeypatch.setattr(type(model.encoder), "forward", counted)
    state = model.initial_state(1)
    for word in ids_of(1, 12)[0]:
        _, state = model(word.view(1, 1), state)
    assert read == [1] * 6 + [5, 1] * 3


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "none"])
def test_fixed_positions_are_not_stored(arch, positions):
    model = made(arch, 6, 2, positions=positions)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes == FORWARD[arch].expected_shapes(model.config, V)
    assert ("encoder.positions.weight" in shapes) is (positions == "learned")


# Gradients


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_over_the_ends_of_blocks(arch, training):
    """Two rows at different places, in float64 against finite differences."""
    model = made(arch, 3, 2, dim=2, heads=1, hidden=3).train(training)
    parameters = dict(model.named_parameters())
    state = model.initial_state(2)
    _, state = model(ids_of(2, 2), state)
    state = model.carried_state(state, torch.tensor([True, False]))
    state = tuple(piece.detach() for piece in state)
    ids = ids_of(2, 5, seed=1)

    def hidden(*values):
        named = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(model, named, (ids, state))[0]

    hidden_names = [n for n in parameters if n.startswith(("embedding", "encoder"))]
    assert len(hidden_names) >= 8
    assert torch.autograd.gradcheck(hidden, tuple(parameters.values()), fast_mode=True)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_no_gradient_is_nan_where_masks_are_partial(arch):
    model = made(arch, 4, 2).float().train()
    _, state = model(ids_of(3, 4), model.initial_state(3))
    state = model.carried_state(state, torch.tensor([True, False, True]))
    hidden, state = model(ids_of(3, 7), tuple(piece.detach() for piece in state))
    hidden.square().sum().backward()
    for tensor in itertools.chain([hidden], state, (p.grad for p in model.encoder.parameters())):
        assert tensor.isfinite().all()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_dropout_between_layers_is_drawn_from_the_generator(arch):
    config = ModelConfig(arch=arch, dim=8, hidden=8, layers=2, window=4, init="gaussian01")
    ids = ids_of(2, 9)
    draws = []
    for seed, rates in ((1, {}), (1, {"hidden": 0.5}), (1, {"hidden": 0.5}), (2, {"hidden": 0.5})):
        model = build(config, V, DropoutRates(**rates))
        model.init_weights(torch.Generator().manual_seed(0))
        model.use_generator(torch.Generator().manual_seed(seed))
        draws.append(model.train()(ids, model.initial_state(2))[0])
    assert torch.equal(draws[1], draws[2])
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[1], draws[3])
