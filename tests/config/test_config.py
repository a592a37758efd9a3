"""Settings: defaults, bounds, types, unknown keys, JSON both ways, presets, budgets."""

import dataclasses
import json
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.config import (
    DEFAULT_LR,
    PRESETS,
    SECTIONS,
    Config,
    ModelConfig,
    SplitConfig,
    TrainingConfig,
    VocabularyConfig,
    budget_seconds,
)
from nplm_cli.errors import ConfigError

FIELDS = [
    pytest.param(section, field, id=f"{name}.{field.name}")
    for name, section in SECTIONS.items()
    for field in dataclasses.fields(section)
]


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_every_setting_has_a_help_text(section, field):
    text = field.metadata["help"]
    assert text.endswith(".")
    assert len(text) < 200


def test_no_setting_stands_in_two_sections():
    names = [field.name for section in SECTIONS.values() for field in dataclasses.fields(section)]
    assert len(names) == len(set(names))


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().model.dim = 3


# --- unknown keys -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modle": {}}, "config.json: unknown key 'modle'; did you mean 'model'?"),
        ({"zzz": {}}, "config.json: unknown key 'zzz'"),
        (
            {"model": {"hiden": 3}},
            "config.json: model: unknown key 'hiden'; did you mean 'hidden'?",
        ),
        ({"training": {"batches": 3}}, "training: unknown key 'batches'; did you mean 'batch'?"),
        ({"split": {"valid": 0.1}}, "split: unknown key 'valid'"),
        ({"corpus": {"language": "zh"}}, "corpus: unknown key 'language'; did you mean 'lang'?"),
        ({"vocabulary": {"maxsize": 3}}, "unknown key 'maxsize'; did you mean 'max_size'?"),
        ({"model": {1: 3}}, "model: unknown key 1"),
        ({"model": 3}, "model: expected an object with settings, found 3"),
        ({"model": None}, "model: expected an object with settings, found None"),
        ([], r"config.json: expected an object with settings, found \[\]"),
        (None, "config.json: expected an object with settings, found None"),
    ],
)
def test_unknown_keys(values, message):
    with pytest.raises(ConfigError, match=message):
        Config.from_json(values, "config.json")


def test_replace_finds_the_section():
    config = Config().replace(dim=7, batch=3, lang="zh", max_size=9, valid_share=0.2)
    assert (config.model.dim, config.training.batch, config.corpus.lang) == (7, 3, "zh")
    assert (config.vocabulary.max_size, config.split.valid_share) == (9, 0.2)
    assert Config().model.dim == 128
    with pytest.raises(ConfigError, match="unknown setting 'dimm'"):
        Config().replace(dimm=3)
    with pytest.raises(ConfigError, match="--dim 0"):
        Config().replace(dim=0)


# --- types and bounds ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (ModelConfig, {"dim": "128"}, "--dim '128': expected int"),
        (ModelConfig, {"dim": 1.0}, "--dim 1.0: expected int"),
        (ModelConfig, {"dim": True}, "--dim True: expected int"),
        (ModelConfig, {"dim": None}, "--dim None: expected int"),
        (ModelConfig, {"dim": [1]}, r"--dim \[1\]: expected int"),
        (ModelConfig, {"tie": 1}, "--tie 1: expected bool"),
        (ModelConfig, {"tie": "yes"}, "--tie 'yes': expected bool"),
        (ModelConfig, {"vectors": 3}, "--vectors 3: expected str"),
        (
            ModelConfig,
            {"arch": "lstn"},
            "--arch 'lstn': expected one of ffn, .*; did you mean 'lstm'?",
        ),
        (ModelConfig, {"activation": ["tanh"]}, "--activation .*: expected one of tanh, relu"),
        (ModelConfig, {"combine": None}, "--combine None: expected one of concat, sum, mean"),
        (ModelConfig, {"init_scale": True}, "--init-scale True: expected float"),
        (TrainingConfig, {"lr": "0.1"}, "--lr '0.1': expected float"),
        (TrainingConfig, {"optimizer": "Adam"}, "did you mean 'adam'?"),
    ],
)
def test_types(section, values, message):
    with pytest.raises(ConfigError, match=message):
        section(**values)


def test_a_whole_number_is_a_number():
    assert TrainingConfig(lr=1).lr == 1


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_bounds_hold_on_both_sides(section, field):
    """The bound itself is in or out as declared, and just past it is refused."""
    if field.type in ("bool", "str") or not any(
        field.metadata[key] is not None for key in ("low", "high", "above", "below")
    ):
        return
    whole = "float" not in str(get_type_hints(section)[field.name])
    tiny = 1 if whole else 1e-6
    option = "--" + field.name.replace("_", "-")

    # What a value needs beside it.
    beside = {"far": {"kernels": 1}, "heads": {"dim": 256}}.get(field.name, {})

    def accepted(value):
        try:
            section(**{field.name: value, **beside})
        except ConfigError as error:
            assert option in str(error)  # noqa: PT017
            return False
        return True

    low, high, above, below = (field.metadata[k] for k in ("low", "high", "above", "below"))
    if low is not None:
        # Order 1 is for n-gram models alone.
        assert accepted(low) or field.name == "order"
        assert not accepted(low - tiny)
    if high is not None:
        assert accepted(high)
        assert not accepted(high + tiny)
    if above is not None:
        assert not accepted(above)
        assert accepted(above + tiny)
    if below is not None:
        assert not accepted(below)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"far": 3}, "--far 3 needs --kernels or --averages"),
        (
            {"arch": "attention", "heads": 3, "dim": 8},
            "--heads 3 does not divide --dim 8",
        ),
        (
            {"arch": "attention", "window": 4, "stride": 5},
            "--stride 5: expected at most --window",
        ),
        ({"arch": "lstm", "layers": 0}, "--layers 0: --arch lstm"),
        ({"arch": "ffn", "order": 1}, "--order 1 sees no word"),
    ],
)
def test_settings_that_contradict_each_other(values, words):
    with pytest.raises(ConfigError, match=words):
        ModelConfig(**values)


def test_what_an_architecture_has_not_cannot_contradict():
    ModelConfig(arch="lstm", heads=3, dim=8, window=4, stride=5, far=3)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_resolved_leaves_nothing_open_that_acts(arch):
    architecture = ARCHITECTURES[arch]
    resolved = ModelConfig(arch=arch).resolved()
    assert resolved.resolved() is resolved
    for name in architecture.settings | {"tie"}:
        if hasattr(resolved, name):  # the others are settings of the training
            assert getattr(resolved, name) is not None, name


def test_what_a_prediction_sees():
    ffn, lstm = ModelConfig(order=4), ModelConfig(arch="lstm")
    assert [ffn.seen(n) for n in (1, 2, 3, 4, 9)] == [1, 2, 3, 3, 3]
    assert [lstm.seen(n) for n in (1, 9, 999)] == [1, 9, 999]
    moved = ModelConfig(arch="attention", window=5, stride=2)
    assert [moved.seen(n) for n in range(1, 12)] == [1, 2, 3, 4, 5, 4, 5, 4, 5, 4, 5]
    whole = ModelConfig(arch="transformer", window=3, stride=3)
    assert [whole.seen(n) for n in range(1, 8)] == [1, 2, 3, 1, 2, 3, 1]


def test_a_choice_stands_above_the_architecture():
    config = ModelConfig(arch="attention", tie=False, positions="none", window=9).resolved()
    assert (config.tie, config.positions, config.stride, config.heads) == (False, "none", 4, 1)
    assert ModelConfig(arch="transformer", dim=6).resolved().heads == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["lr", "l2", "clip", "dropout", "tolerance", "checkpoint_every"])
def test_numbers_are_finite(name, value):
    with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')}"):
        TrainingConfig(**{name: value})


def test_what_contradicts_each_other():
    with pytest.raises(ConfigError, match="--order 1 sees no word"):
        ModelConfig(order=1)
    assert ModelConfig(arch="ngram", order=1).order == 1
    with pytest.raises(ConfigError, match="nothing is left to train on"):
        SplitConfig(valid_share=0.5, test_share=0.5)
    with pytest.raises(ConfigError, match="--vocab excludes"):
        VocabularyConfig(vocab="v.tsv", max_size=3)
    with pytest.raises(ConfigError, match="--vocab excludes"):
        VocabularyConfig(vocab="v.tsv", min_count=3)
    with pytest.raises(ConfigError, match="--epochs and --steps: choose one length"):
        TrainingConfig(epochs=1, steps=1)
    with pytest.raises(ConfigError, match="--steps and --budget: choose one length"):
        TrainingConfig(steps=1, budget="1m")


# --- JSON ---------------------------------------------------------------------------------------


def test_defaults_go_to_json_and_back():
    config = Config()
    assert Config.from_json(json.loads(json.dumps(config.to_json())), "x") == config
    assert Config.from_json({}, "x") == config
    assert set(config.to_json()) == set(SECTIONS)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "dim": st.integers(1, 65_536),
            "order": st.integers(2, 512),
            "activation": st.sampled_from(["tanh", "relu", "sigmoid", "gelu"]),
            "tie": st.booleans(),
            "init_scale": st.floats(1e-300, 1e300),
            "vectors": st.none() | st.text(),
            "lr": st.none() | st.floats(1e-300, 1e300),
            "dropout": st.floats(0, 1, exclude_max=True),
            "clip": st.none() | st.floats(0, 1e9),
            "seed": st.integers(0, 2**63 - 1),
            "budget": st.none() | st.sampled_from(["90s", "10m", "0.5h"]),
            "valid_share": st.floats(0, 0.5),
            "test_share": st.floats(0, 0.49),
            "max_size": st.none() | st.integers(1, 10**9),
            "lowercase": st.booleans(),
            "encoding": st.text(),
        },
    )
)
@settings(max_examples=100, deadline=None)
def test_json_round_trip(values):
    config = Config().replace(**values)
    assert Config.from_json(json.loads(json.dumps(config.to_json())), "x") == config


def test_missing_keys_take_the_default():
    config = Config.from_json({"model": {"dim": 3}}, "x")
    assert config == Config().replace(dim=3)


# --- presets, rates, budgets --------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_settings(name):
    config = Config().replace(**PRESETS[name])
    for section in SECTIONS:
        for key, value in getattr(config, section).to_json().items():
            if key in PRESETS[name]:
                assert value == PRESETS[name][key]


def test_homework_is_the_homework():
    config = Config().replace(**PRESETS["homework"])
    assert config.vocabulary.max_size == 1000
    assert config.model.dim == 10


def test_every_optimiser_has_a_default_rate():
    choices = get_type_hints(TrainingConfig)["optimizer"].__args__
    assert set(DEFAULT_LR) == set(choices)
    assert all(rate > 0 for rate in DEFAULT_LR.values())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("0.5h", 1800),
        ("1.5m", 90),
        ("1e2s", 100),
    ],
)
def test_budgets(text, seconds):
    assert budget_seconds(text) == seconds
    assert TrainingConfig(budget=text).budget == text


@pytest.mark.parametrize(
    "text",
    ["", "s", "m", "0", "0s", "-1m", "10x", "ten", "1 0", "nan", "inf", "infh", "1e9h", "10ms"],
)
def test_what_is_no_budget(text):
    with pytest.raises(ConfigError, match="expected a time such as 90s, 10m or 2h"):
        TrainingConfig(budget=text)
