"""What is chosen for a time budget."""

import itertools

import pytest

from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.config import Config, ModelConfig
from nplm_cli.training.sizing import (
    FULL_SOFTMAX,
    KINDS,
    LSTM_NOISE,
    SAMPLES,
    WIDTHS,
    _operations,
    _shape_of,
    _words_scored,
    sized,
)

NEURAL = [name for name, arch in ARCHITECTURES.items() if arch.neural]


def always(name):
    """A machine on which all models compute in one number format."""
    return lambda shape: name


def choose(budget="10m", given=(), arch="lstm", **known):
    config = Config().replace(arch=arch, budget=budget, context=known.pop("context", "stream"))
    defaults = {
        "vocabulary": 10_000,
        "tokens": 900_000,
        "sentences": 40_000,
        "cores": 1,
        "device": "cpu",
        "precision": always("bf16"),
    }
    return sized(config, {"budget", "arch", *given}, **{**defaults, **known})


@pytest.mark.parametrize("arch", NEURAL)
def test_more_time_is_never_a_narrower_model_nor_less_noise_per_width(arch):
    chosen = [choose(f"{s}s", arch=arch)[1] for s in (1, 10, 60, 300, 600, 1800, 3600, 36_000)]
    for before, after in itertools.pairwise(chosen):
        assert before.get("hidden", 0) <= after.get("hidden", 0)
        assert before["dim"] <= after["dim"]
        if before["dim"] == after["dim"]:
            noise = [n for n in before if n in KINDS[1] and n != "dropout_ramp"]
            assert all(before[n] <= after[n] for n in noise)
    assert chosen[0]["dim"] < chosen[-1]["dim"]


@pytest.mark.parametrize("arch", NEURAL)
@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_the_settings_are_those_of_a_training(arch, context):
    """They go into the configuration, and none of them is idle."""
    from nplm_cli.cli.options import idle_options

    config, chosen = choose(arch=arch, context=context)
    assert {name: getattr(section(config, name), name) for name in chosen} == chosen
    assert not idle_options(config, chosen)


def section(config, name):
    return next(s for s in (config.model, config.training) if hasattr(s, name))


def test_a_short_text_gets_a_small_model_whatever_the_time():
    _, chosen = choose("10h", tokens=10_000, sentences=500, vocabulary=800)
    assert chosen["hidden"] ** 2 <= 10_000
    assert chosen["loss"] == "full"


def test_one_pass_needs_no_dropout():
    _, chosen = choose("60s", tokens=10**9, sentences=10**7)
    assert chosen["dropout_output"] == 0
    assert "dropout_ramp" not in chosen or chosen["dropout_ramp"] == 0


def passes_of_an_lstm(passes, *, cores, hidden=256, dim=128, vocabulary=40_000):
    """The choice for a text, a long one, that ten hours are enough to read so many times."""
    a_token = 6 * (4 * hidden * (dim + hidden) + (SAMPLES + 500) * hidden)  # untied
    operations = 36_000 * 0.95 * 130e9 * (1 + 0.8 * (cores - 1))
    tokens = int(operations / a_token / passes)
    config = Config().replace(arch="lstm", budget="10h", context="stream", hidden=hidden)
    known = {"vocabulary": vocabulary, "tokens": tokens, "sentences": tokens // 20}
    _, chosen = sized(
        config, {"hidden", "budget"}, **known, cores=cores, device="cpu", precision=always("bf16")
    )
    return chosen


@pytest.mark.parametrize("cores", [1, 2, 8])
@pytest.mark.parametrize(
    ("passes", "strength"),
    [(0.5, 0.0), (0.99, 0.0), (3.25, 0.5), (9.9, 0.994), (10.1, 1), (40, 1)],
)
def test_noise_is_the_root_of_the_further_passes(passes, strength, cores):
    """The whole of it from the tenth pass on; each further core adds 0.8 of the first."""
    chosen = passes_of_an_lstm(passes, cores=cores)
    for name, share in LSTM_NOISE.items():
        assert chosen[name] == pytest.approx(share * strength, abs=0.0051)
    assert chosen.get("locked_dropout", False) is (strength > 0)


@pytest.mark.parametrize(
    ("tokens", "more"), [(10**6, 1), (900_000, 1), (156_000, 1.5498), (56_250, 2), (2_000, 4.6058)]
)
def test_a_short_text_gets_more_noise(tokens, more):
    """By the fourth root of what it lacks of 900,000 tokens, up to three quarters dropped."""
    chosen = choose("1000h", tokens=tokens, sentences=tokens // 20)[1]
    for name, share in LSTM_NOISE.items():
        assert chosen[name] == pytest.approx(min(share * more, 0.75), abs=0.0051)


@pytest.mark.parametrize(("passes", "ramp"), [(0.9, 0), (2, 0.7), (8, 0.7), (12, 0.5), (24, 0.25)])
def test_noise_rises_in_six_passes_at_most(passes, ramp):
    assert passes_of_an_lstm(passes, cores=2)["dropout_ramp"] == pytest.approx(ramp, abs=0.0051)


def test_the_rate_falls_with_the_root_of_the_width():
    for hidden, expected in ((64, 0.008), (128, 0.008), (512, 0.004), (2048, 0.002)):
        config = Config().replace(arch="lstm", budget="10m", context="stream", hidden=hidden)
        known = {"vocabulary": 10_000, "tokens": 900_000, "sentences": 40_000, "cores": 1}
        _, chosen = sized(config, {"hidden"}, **known, device="cpu", precision=always("bf16"))
        assert chosen["lr"] == pytest.approx(expected)


def test_the_same_sizes_get_the_same_rate_and_noise_whoever_chose_them():
    for arch in NEURAL:
        _, free = choose(arch=arch)
        own = {name: free[name] for name in KINDS[0] if name in free}
        config = Config().replace(arch=arch, budget="10m", context="stream", **own)
        known = {"vocabulary": 10_000, "tokens": 900_000, "sentences": 40_000, "cores": 1}
        _, chosen = sized(config, set(own), **known, device="cpu", precision=always("bf16"))
        assert chosen == {name: value for name, value in free.items() if name not in own}


def test_a_deeper_network_has_fewer_passes_and_less_noise():
    def noise(arch, **own):
        config = Config().replace(arch=arch, budget="20m", context="stream", **own)
        known = {"vocabulary": 10_000, "tokens": 900_000, "sentences": 40_000, "cores": 1}
        _, chosen = sized(config, set(own), **known, device="cpu", precision=always("bf16"))
        return chosen["dropout_embedding"]

    for arch in NEURAL:
        if arch != "attention":
            assert noise(arch, dim=256, hidden=512, layers=6) < noise(
                arch, dim=256, hidden=512, layers=1
            )


@pytest.mark.parametrize("vocabulary", [100, 10_000, 10**6])
def test_weights_are_counted_as_the_model_multiplies_them(vocabulary):
    """Six operations a weight, by the parameters of the very models; biases are no products."""
    words = 0.7 * vocabulary
    for own, weights in (
        ({"hidden": 512, "dim": 128}, 4 * 512 * (128 + 512) + words * 512),
        ({"hidden": 64, "dim": 32, "layers": 3, "tie": True},
         4 * 64 * (32 + 64 + 4 * 64) + 64 * 32 + words * 32),
    ):  # fmt: skip
        shape = _shape_of(ModelConfig(arch="lstm", **own))
        assert _operations("lstm", shape, words) == pytest.approx(6 * weights)
    for own, weights in (
        ({"layers": 0, "dim": 32, "order": 4, "hidden": 2048}, words * 96),
        ({"layers": 0, "dim": 32, "order": 4, "tie": True}, 96 * 32 + words * 32),
        ({"layers": 2, "dim": 32, "hidden": 64, "order": 3, "combine": "sum"},
         (32 + 64) * 64 + words * 64),
        ({"layers": 1, "dim": 32, "hidden": 64, "order": 3, "gate": True, "far": 9, "averages": 2},
         2 * 4 * 32 * 64 + words * 64),
    ):  # fmt: skip
        shape = _shape_of(ModelConfig(arch="ffn", **own))
        assert _operations("ffn", shape, words) == pytest.approx(6 * weights)


@pytest.mark.parametrize(
    ("own", "vocabulary", "words"),
    [
        ({}, 100, 100),
        ({"loss": "full"}, 10_000, 10_000),
        ({"loss": "sampled", "samples": 1024, "full_from": 0.7}, 100, 100),
        ({"loss": "sampled", "samples": 1024, "full_from": 0.7}, 10_000,
         0.7 * 1524 + 0.3 * 10_000),
        ({"loss": "nce", "samples": 4000, "full_from": 1.0}, 10**6, 4500),
        ({"softmax": "adaptive", "cutoffs": "2000,10000"}, 50_000, 4000),
        ({"softmax": "adaptive", "cutoffs": "2000"}, 3000, 3000),
    ],
)  # fmt: skip
def test_words_that_the_softmax_goes_over(own, vocabulary, words):
    """About 500 targets of a step beside its samples; the whole vocabulary without samples."""
    assert _words_scored(Config().replace(**own), vocabulary) == pytest.approx(words)


def test_the_loss_that_a_user_chose_counts():
    """Over all of a large vocabulary ten minutes are less than a pass: no dropout."""
    large = {"vocabulary": 50_000, "tokens": 1_000_000}
    config = Config().replace(arch="lstm", budget="10m", context="stream", loss="full")
    known = {"sentences": 40_000, "cores": 1, "device": "cpu", "precision": always("bf16")}
    _, chosen = sized(config, {"loss"}, **large, **known)
    _, sampled = choose(**large)
    assert chosen["hidden"] < sampled["hidden"]
    config = config.replace(hidden=512, dim=256, tie=True)
    _, chosen = sized(config, {"loss", "hidden"}, **large, **known)
    assert chosen["dropout_output"] == 0


def test_a_model_that_computes_in_fp32_is_sized_for_it():
    """Only what multiplies much is in bf16: the number format is asked for each candidate."""
    fp32, bf16 = choose(precision=always("fp32"))[1], choose(precision=always("bf16"))[1]
    assert fp32["hidden"] < bf16["hidden"]
    wide_only = {"precision": lambda shape: "bf16" if shape["hidden"] > bf16["hidden"] else "fp32"}
    assert choose(**wide_only)[1] == fp32


def test_a_falling_rate_is_not_cut_short():
    assert choose()[1]["patience"] == 0
    assert "patience" not in choose(given=("schedule",))[1]
    for given in ("patience", "tolerance"):
        _, chosen = choose(given=(given,))
        assert "patience" not in chosen
        assert chosen["schedule"] == "cosine"


def test_a_step_reads_960_predictions():
    """Of sentences, whose ends are predicted, too; streams have them among their tokens."""
    assert choose(context="sentence", tokens=900_000, sentences=90_000)[1]["batch"] == 87  # / 11
    assert choose(context="stream", tokens=900_000, sentences=90_000)[1]["batch"] == 20  # / 48


def test_a_slower_machine_gets_a_smaller_model():
    widths = [
        choose(**known)[1]["hidden"]
        for known in (
            {"precision": always("fp32"), "budget": "4m"},
            {"precision": always("bf16"), "budget": "4m"},
            {"precision": always("bf16"), "budget": "4m", "cores": 16},
            {"precision": always("bf16"), "budget": "4m", "device": "cuda"},
        )
    ]
    assert widths == sorted(widths)
    assert widths[0] < widths[1] < widths[2]
    assert set(widths) <= set(WIDTHS)


def test_a_large_vocabulary_stays_on_samples():
    assert choose(vocabulary=FULL_SOFTMAX)[1]["full_from"] < 1
    assert choose(vocabulary=FULL_SOFTMAX + 1)[1]["full_from"] == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("hidden", {"hidden", "dim", "tie", "layers"}),
        ("dropout", {"dropout_output", "weight_drop", "dropout_ramp"}),
        ("lr", {"lr", "optimizer"}),
        ("batch", {"batch", "bptt"}),
        ("loss", {"loss", "samples", "full_from"}),
    ],
)
def test_what_the_user_chose_is_left_alone(given, kept):
    _, free = choose()
    config, chosen = choose(given=(given,))
    assert kept <= set(free) | {"loss"}
    assert not kept & set(chosen)
    assert chosen, "the other kinds are still chosen"
    defaults = Config()
    for name in kept:
        assert getattr(section(config, name), name) == getattr(section(defaults, name), name)


def test_without_a_budget_nothing_is_chosen():
    config = Config().replace(epochs=3)
    known = {"vocabulary": 10, "tokens": 10, "sentences": 2, "cores": 1}
    assert sized(config, (), **known, device="cpu", precision=always("fp32")) == (config, {})
    counts = Config().replace(arch="ngram", budget="10m")
    assert sized(counts, (), **known, device="cpu", precision=always("fp32")) == (counts, {})


def test_l2_is_chosen_for_adamw_alone():
    """Beside another optimiser it is part of the gradient, and 0.02 stops the training."""
    assert choose()[1]["l2"] > 0
    config = Config().replace(arch="lstm", budget="10m", optimizer="sgd", context="stream")
    known = {"vocabulary": 10_000, "tokens": 900_000, "sentences": 40_000, "cores": 1}
    _, chosen = sized(config, {"optimizer"}, **known, device="cpu", precision=always("bf16"))
    assert "l2" not in chosen
    assert "lr" not in chosen
    assert choose(given=("lr",))[1]["l2"] > 0


def test_what_is_over_of_the_budget_buys_nothing():
    assert choose("10m", elapsed=540.0)[1]["hidden"] == choose("1m")[1]["hidden"]


def test_any_number_of_cores_and_any_gpu():
    widths = [choose(cores=cores)[1]["hidden"] for cores in (1, 2, 8, 64, 1000)]
    assert widths == sorted(widths)
    assert widths[-1] == widths[-3]
    gpu = choose(device="cuda", precision=always("fp32"))[1]
    assert gpu["hidden"] >= choose(precision=always("fp32"))[1]["hidden"]
    assert gpu["batch"] > choose()[1]["batch"]
