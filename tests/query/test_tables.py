"""Tables against the model's own logits: every setting of a window model, both code paths."""

import itertools

import numpy as np
import pytest
import torch

from nplm_cli.config import DropoutRates, ModelConfig
from nplm_cli.corpus.shards import Part
from nplm_cli.errors import ArtifactError
from nplm_cli.models import build
from nplm_cli.query import tables as tables_module
from nplm_cli.query.compiling import _stored, exact_tables, table_shapes
from nplm_cli.query.tables import Tables, TablesScorer

V, DIM, HIDDEN = 17, 6, 12
CONFIGS = {
    "concat": {},
    "tied": {"tie": True},
    "tied without projection": {"tie": True, "dim": HIDDEN},
    "sum": {"combine": "sum"},
    "mean": {"combine": "mean", "activation": "gelu"},
    "no biases": {"hidden_bias": False, "output_bias": False, "activation": "sigmoid"},
    "relu gate": {"gate": True, "activation": "relu"},
    "pre": {"norm": "pre"},
    "pre mean gate": {"norm": "pre", "combine": "mean", "gate": True},
    "post": {"norm": "post"},
    "deep": {"layers": 3, "gate": True, "residual": True, "norm": "pre", "tie": True},
    "deep post": {"layers": 2, "norm": "post", "residual": True, "activation": "relu"},
    "adds the words": {"residual": True, "order": 3},
    "adds the mean": {"residual": True, "combine": "mean", "dim": HIDDEN, "norm": "pre"},
    "adds the sum": {"residual": True, "combine": "sum", "dim": HIDDEN},
    "one word": {"order": 2},
}


def model_of(name):
    settings = {"order": 4, "dim": DIM, "hidden": HIDDEN, **CONFIGS[name]}
    config = ModelConfig(**settings).resolved()
    model = build(config, V, DropoutRates())
    model.init_weights(torch.Generator().manual_seed(5))
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(6))
            parameter.add_(0.3 * noise)
    return model.eval(), config


def weights_of(model):
    return {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}


@pytest.fixture
def part():
    random = np.random.default_rng(3)
    lengths = [1, 2, 9, 3, 1, 14]
    ids = random.integers(2, V, sum(lengths))
    starts = np.array([0, *itertools.accumulate(lengths)])
    ids[starts[1:] - 1] = 1
    return Part(ids, starts, np.array([0, starts[3]]), 0)


@torch.no_grad()
def logits(model, part, context):
    """The target's logit of each prediction, one prediction at a time, from the torch model."""
    found = []
    bounds = [*part.sequence_starts(context).tolist(), part.predictions]
    for start, end in itertools.pairwise(dict.fromkeys(bounds)):
        ids = torch.tensor([1, *part.ids_N[start:end].tolist()])[None]
        hidden, _ = model(ids[:, :-1], model.initial_state(1))
        scores = model.logits(hidden)[0]
        found += [float(scores[t, i]) for t, i in enumerate(ids[0, 1:].tolist())]
    return np.array(found)


@pytest.mark.parametrize("context", ["sentence", "stream"])
@pytest.mark.parametrize("name", CONFIGS)
def test_scores_are_the_logits(name, context, part, monkeypatch):
    monkeypatch.setattr(tables_module, "CHUNK_NUMBERS", 7 * HIDDEN)
    model, config = model_of(name)
    exact = exact_tables(weights_of(model), config)
    found = TablesScorer(Tables(exact, config)).nll(part, context)
    np.testing.assert_allclose(-found, logits(model, part, context), atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_shapes_and_formats_are_those_announced(name):
    model, config = model_of(name)
    exact = exact_tables(weights_of(model), config)
    for dtype in ("fp32", "fp16", "int8"):
        stored = {}
        for table, values in exact.items():
            stored |= _stored(table, values, dtype)
        expected = table_shapes(config, V, dtype)
        assert {n: (t.dtype, t.shape) for n, t in stored.items()} == {
            n: (np.dtype(kind), shape) for n, (kind, shape) in expected.items()
        }


@pytest.mark.parametrize("name", ["concat", "sum", "relu gate", "deep"])
@pytest.mark.parametrize("dtype", ["fp16", "int8"])
def test_smaller_formats_score_what_they_hold(name, dtype, part):
    """The same scores as fp32 tables of the rounded numbers; each number within half a step."""
    model, config = model_of(name)
    stored, widened = {}, {}
    for table, values in exact_tables(weights_of(model), config).items():
        own = _stored(table, values, dtype)
        stored |= own
        widened[table] = own[table].astype(np.float32)
        if f"{table}.scale" in own:
            scale = own[f"{table}.scale"]
            widened[table] *= scale[:, None] if table == "rows" else scale
            step = np.broadcast_to(scale[:, None] if table == "rows" else scale, values.shape)
            assert (np.abs(widened[table] - values) <= 0.5001 * step).all()
        elif own[table].dtype == np.float16:
            np.testing.assert_allclose(widened[table], values, rtol=2**-11, atol=2**-25)
    found = Tables(stored, config).scores(part.ids_N, part.starts[:-1])
    expected = Tables(widened, config).scores(part.ids_N, part.starts[:-1])
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_int8_sums_of_wide_windows_do_not_overflow():
    table = {
        "first": np.full((1, 2, 3), 127, np.int8),
        "first.scale": np.ones(3, np.float32),
        "rows": np.ones((2, 3), np.int8),
        "rows.scale": np.ones(2, np.float32),
    }
    config = ModelConfig(order=301, combine="sum", dim=3, hidden=3, activation="relu")
    found = Tables(table, config).scores(np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert found[0] == 300 * 127 * 3


def test_ids_beyond_the_tables_are_refused():
    model, config = model_of("concat")
    tables = Tables(exact_tables(weights_of(model), config), config)
    for ids in ([V], [-1]):
        with pytest.raises(ValueError, match="beyond the 17 words"):
            tables.scores(np.array(ids), np.array([0]))
    assert tables.scores(np.zeros(0, np.int64), np.zeros(0, np.int64)).shape == (0,)


FUSED = [n for n in CONFIGS if "deep" not in n and "adds" not in n and n != "post"]


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "int8"])
def test_compiled_code_gives_the_same_numbers(dtype, part):
    pytest.importorskip("numba")
    for name in FUSED:
        model, config = model_of(name)
        stored = {}
        for table, values in exact_tables(weights_of(model), config).items():
            stored |= _stored(table, values, dtype)
        tables = Tables(stored, config)
        assert tables.fused, name
        for context in ("sentence", "stream"):
            starts = part.sequence_starts(context)
            expected = tables.scores(part.ids_N, starts)
            found = tables.scores(part.ids_N, starts, compiled=True)
            np.testing.assert_allclose(found, expected, atol=5e-6, rtol=2e-6, err_msg=name)


@pytest.mark.parametrize("name", sorted(set(CONFIGS) - set(FUSED)))
def test_what_is_not_fused(name):
    model, config = model_of(name)
    assert not Tables(exact_tables(weights_of(model), config), config).fused


@pytest.mark.parametrize("name", ["first", "rows", "bias"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_tables_of_no_numbers_are_refused_before_any_score(name, value):
    model, config = model_of("concat")
    tables = {k: v.copy() for k, v in exact_tables(weights_of(model), config).items()}
    tables[name].flat[3] = value
    with pytest.raises(ArtifactError, match="tables: nan or inf"):
        Tables(tables, config)
