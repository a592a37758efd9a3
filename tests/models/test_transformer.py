"""Blocks of the Transformer: against torch's own layers, what sees what, first weights."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.models import build
from nplm_cli.models.blocks import Block, EncoderBlock, SourceBlock
from nplm_cli.models.initialisation import init_weights
from nplm_cli.models.window_cache import WindowedLM

E, HIDDEN, HEADS = 6, 10, 3
BLOCKS = {"decoder": Block, "encoder": EncoderBlock, "source": SourceBlock}


def block_of(kind, norm="pre", **settings):
    config = ModelConfig(
        arch="transformer", dim=E, hidden=HIDDEN, heads=HEADS, norm=norm,
        init_scale=2.0, **settings,
    ).resolved()  # fmt: skip
    block = BLOCKS[kind](config, DropoutRates(), 2)
    generator = torch.Generator().manual_seed(3)
    init_weights(block, config, generator)
    with torch.no_grad():
        for parameter in block.parameters():
            if parameter.ndim == 1:
                parameter.normal_(0.5, 0.3, generator=generator)
    return block.double()


def random_x(rows, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, length, E, generator=generator, dtype=torch.float64)


def changed(x, at):
    """The same vectors but for position ``at``."""
    other = x.clone()
    other[:, at] = random_x(len(x), 1, seed=99)[:, 0]
    return other


def load_attention(theirs, ours):
    theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
    theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())


def torch_layer(kind, block, norm):
    layer = (nn.TransformerDecoderLayer if kind == "source" else nn.TransformerEncoderLayer)(
        E, HEADS, HIDDEN, dropout=0.0, batch_first=True, norm_first=norm == "pre",
        activation=lambda z: nn.functional.gelu(z, approximate="tanh"), dtype=torch.float64,
    )  # fmt: skip
    norms = [block.attention_norm, block.feedforward_norm]
    with torch.no_grad():
        load_attention(layer.self_attn, block.attention)
        if kind == "source":
            load_attention(layer.multihead_attn, block.source_attention)
            norms.insert(1, block.source_norm)
        layer.linear1.load_state_dict(block.feedforward.inner.state_dict())
        layer.linear2.load_state_dict(block.feedforward.outer.state_dict())
        for number, own in enumerate(norms, 1):
            getattr(layer, f"norm{number}").load_state_dict(own.state_dict())
    return layer


REAL = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 0, 1, 1]]).bool()


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_blocks_are_the_layers_of_torch(norm):
    x, source = random_x(3, 4), random_x(3, 5, seed=1)
    later = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    block = block_of("decoder", norm)
    expected = torch_layer("decoder", block, norm)(x, later)
    torch.testing.assert_close(block(x)[0], expected, atol=1e-13, rtol=1e-13)
    block = block_of("encoder", norm)
    expected = torch_layer("encoder", block, norm)(source, src_key_padding_mask=~REAL)
    torch.testing.assert_close(block(source, REAL)[REAL], expected[REAL], atol=1e-13, rtol=1e-13)
    block = block_of("source", norm)
    expected = torch_layer("source", block, norm)(x, source, later, memory_key_padding_mask=~REAL)
    hidden, _ = block(x, block.source_cache(source), REAL)
    torch.testing.assert_close(hidden, expected, atol=1e-13, rtol=1e-13)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_the_future_changes_nothing_in_a_decoder(norm):
    x, source = random_x(2, 6), random_x(2, 3, seed=1)
    for kind in ("decoder", "source"):
        block = block_of(kind, norm)
        rest = () if kind == "decoder" else (block.source_cache(source), REAL[:2, :3])
        before = block(x, *rest)[0]
        for at in range(6):
            after = block(changed(x, at), *rest)[0]
            assert torch.equal(before[:, :at], after[:, :at])
            assert (before[:, at:] != after[:, at:]).any(dim=2).all()


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_an_encoder_reads_in_both_directions(norm):
    block, x = block_of("encoder", norm), random_x(2, 5)
    real = torch.ones(2, 5, dtype=torch.bool)
    for at in range(5):
        assert (block(changed(x, at), real) != block(x, real)).any(dim=2).all()


def test_an_encoder_does_not_see_padding():
    block, x = block_of("encoder"), random_x(3, 5)
    before = block(x, REAL)
    noise = torch.where(REAL[:, :, None], x, random_x(3, 5, seed=9) * 100)
    torch.testing.assert_close(block(noise, REAL)[REAL], before[REAL], atol=1e-13, rtol=0)
    alone = block(x[1:2, :3], REAL[1:2, :3])
    torch.testing.assert_close(alone[0], before[1, :3], atol=1e-13, rtol=0)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_a_source_acts_where_it_is_real_and_nowhere_else(norm):
    block, x, source = block_of("source", norm), random_x(3, 4), random_x(3, 5, seed=1)
    before, _ = block(x, block.source_cache(source), REAL)
    for at in range(5):
        after, _ = block(x, block.source_cache(changed(source, at)), REAL)
        acts = (before != after).any(dim=2)
        assert torch.equal(acts, REAL[:, at, None].expand(-1, 4))


def test_a_decoder_with_a_source_goes_on_from_its_cache():
    block, x, source = block_of("source"), random_x(2, 5), random_x(2, 3, seed=1)
    seen = block.source_cache(source), REAL[:2, :3]
    at_once, _ = block(x, *seen)
    first, cache = block(x[:, :3], *seen)
    visible = torch.ones(2, 1, 2, 5, dtype=torch.bool).tril(3)
    second, _ = block(x[:, 3:], *seen, visible, cache)
    torch.testing.assert_close(torch.cat([first, second], 1), at_once, atol=1e-13, rtol=0)


def test_the_causal_fast_path_is_the_explicit_mask():
    block, x = block_of("decoder"), random_x(2, 5)
    explicit = torch.ones(5, 5, dtype=torch.bool).tril()[None, None]
    torch.testing.assert_close(block(x)[0], block(x, explicit)[0], atol=1e-13, rtol=0)


@pytest.mark.parametrize("kind", list(BLOCKS))
def test_gradients_of_blocks(kind):
    block = block_of(kind)
    x, source = random_x(2, 3).requires_grad_(), random_x(2, 5, seed=1).requires_grad_()
    real = REAL[1:]

    def read(x, source):
        if kind == "decoder":
            return block(x)[0]
        if kind == "encoder":
            return block(source, real)
        return block(x, block.source_cache(source), real)[0]

    assert torch.autograd.gradcheck(read, (x, source))


def test_first_weights_by_fan_in_and_depth():
    config = ModelConfig(arch="transformer", dim=64, hidden=256, heads=4, layers=8, window=100)
    model = build(config, 50)
    model.init_weights(torch.Generator().manual_seed(1))
    deviations = {
        "attention.query": 1 / 8, "attention.key_value": 1 / 8, "attention.output": 1 / 8 / 4,
        "feedforward.inner": 1 / 8, "feedforward.outer": 1 / 16 / 4,
    }  # fmt: skip
    parameters = dict(model.named_parameters())
    for layer in range(8):
        for name, deviation in deviations.items():
            weight = parameters[f"encoder.layers.{layer}.{name}.weight"]
            assert float(weight.detach().std()) == pytest.approx(deviation, rel=0.06)
            assert not parameters[f"encoder.layers.{layer}.{name}.bias"].any()
    assert float(parameters["encoder.positions.weight"].detach().std()) == pytest.approx(0.02, 0.06)
    # As many layers as there may be, the stream keeps its size.
    deep = build(ModelConfig(**{**config.to_json(), "layers": 40, "norm": "pre"}), 50)
    deep.init_weights(torch.Generator().manual_seed(1))
    x = torch.randn(2, 20, 64, generator=torch.Generator().manual_seed(0))
    for layer in deep.encoder.layers:
        x, _ = layer(x)
    assert float(x.detach().std()) < 2


def test_a_stack_ends_with_a_norm_under_pre_alone():
    for norm, final in (("pre", True), ("post", False), ("none", False)):
        config = ModelConfig(arch="transformer", dim=4, hidden=4, norm=norm)
        names = build(config, 7).state_dict()
        assert ("encoder.norm.weight" in names) is final
        assert any("attention_norm" in name for name in names) is (norm != "none")


def test_norm_eps_acts():
    hidden = []
    for eps in (1e-5, 1.0):
        config = ModelConfig(arch="transformer", dim=4, hidden=4, norm_eps=eps)
        model = build(config, 7)
        model.init_weights(torch.Generator().manual_seed(1))
        hidden.append(model(torch.tensor([[2, 3]]), model.initial_state(1))[0].detach())
    assert not np.allclose(hidden[0], hidden[1], atol=1e-2)


def test_without_positions_the_order_of_the_past_is_lost_in_one_layer():
    """The last word sees a set; positions make it a sequence."""
    for positions, same in (("none", True), ("learned", False), ("sinusoidal", False)):
        for arch in ("attention", "transformer"):
            config = ModelConfig(arch=arch, dim=8, hidden=8, positions=positions)
            model = build(config, 7).double().eval()
            model.init_weights(torch.Generator().manual_seed(1))
            last = [
                model(torch.tensor([order]), model.initial_state(1))[0][0, -1].detach()
                for order in ([2, 3, 4, 5], [4, 2, 3, 5])
            ]
            assert np.allclose(*last, atol=1e-12) is same


def test_parameter_counts():
    """12 E^2 a layer and its biases, two norms and the last one, with F = 4 E."""
    config = ModelConfig(arch="transformer", dim=8, hidden=32, layers=3, window=5, tie=True)
    model = build(config, 20)
    assert isinstance(model, WindowedLM)
    layer = 12 * 8 * 8 + (4 * 8 + 32 + 8) + 2 * 2 * 8
    expected = 20 * 8 + 20 + 5 * 8 + 3 * layer + 2 * 8
    assert sum(p.numel() for p in model.parameters()) == expected
    lecture = build(ModelConfig(arch="attention", dim=8, layers=2, output_bias=False), 20)
    assert sum(p.numel() for p in lecture.parameters()) == 20 * 8 + 2 * 3 * 8 * 8
    assert math.prod(lecture.encoder.positions.table.shape) == 128 * 8


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_attention_weights_of_a_text(norm):
    config = ModelConfig(
        arch="transformer", dim=E, hidden=HIDDEN, heads=HEADS, layers=2, norm=norm, window=5
    ).resolved()
    model = build(config, 9)
    model.init_weights(torch.Generator().manual_seed(2))
    model = model.double().eval()
    ids, place = torch.tensor([[1, 4, 3, 8]]), torch.arange(4)
    layers = model.attention_weights(ids)
    x = model.embed(ids)
    hidden, caches, weights = model.encoder.trace(x, place, None, None)
    expected, expected_caches = model.encoder(x, place, None, None)
    assert torch.allclose(hidden, expected, atol=1e-14)
    assert all(torch.equal(a, b) for a, b in zip(layers, weights, strict=True))
    for own, other in zip(caches, expected_caches, strict=True):
        assert all(torch.allclose(a, b, atol=1e-14) for a, b in zip(own, other, strict=True))
    # The first layer against torch's own attention, which gives its weights away.
    block = model.encoder.layers[0]
    theirs = nn.MultiheadAttention(E, HEADS, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        load_attention(theirs, block.attention)
        x = x * math.sqrt(E) + model.encoder.positions(place)
        x = block.attention_norm(x) if norm == "pre" else x
        mask = torch.ones(4, 4, dtype=torch.bool).triu(1)
        _, a = theirs(x, x, x, attn_mask=mask, average_attn_weights=False)
    assert torch.allclose(layers[0], a, atol=1e-14)
