"""``--config RUN/config.json`` repeats a run to the byte; what is typed beside it wins."""

import json

import pytest

from nplm_cli.config import DEFAULT_LR


def settings(run, section):
    return json.loads((run / "config.json").read_text("utf-8"))["settings"][section]


@pytest.fixture(scope="module")
def original(nplm, texts, tmp_path_factory):
    run = tmp_path_factory.mktemp("original") / "run"
    options = ("--dim", 5, "--hidden", 7, "--order", 4, "--steps", 15, "--dropout", 0.2, "--tie")
    more = ("--max-size", 25, "--optimizer", "adagrad", "--seed", 11, "--threads", 1, "-q")
    nplm("train", texts / "seg.txt", "-o", run, *options, *more).ok()
    return run


@pytest.fixture
def replay(nplm, texts, original, tmp_path):
    def run(*options):
        folder = tmp_path / "again"
        config = ("--config", original / "config.json")
        nplm("train", texts / "seg.txt", "-o", folder, *config, "-q", *options).ok()
        return folder

    return run


def test_a_config_replays_to_the_byte(original, replay, sha256):
    again = replay()
    for name in ("model.safetensors", "vocabulary.tsv", "baseline.safetensors", "tokenizer.json"):
        assert sha256(again / name) == sha256(original / name), name
    records = [json.loads((r / "config.json").read_text("utf-8")) for r in (original, again)]
    assert records[0]["settings"] == records[1]["settings"]
    assert records[0]["data"] == records[1]["data"]


def test_the_settings_alone_replay_too(nplm, texts, original, tmp_path, sha256):
    record = json.loads((original / "config.json").read_text("utf-8"))
    (tmp_path / "s.json").write_text(json.dumps(record["settings"]))
    again = tmp_path / "again"
    nplm("train", texts / "seg.txt", "-o", again, "--config", tmp_path / "s.json", "-q").ok()
    assert sha256(again / "model.safetensors") == sha256(original / "model.safetensors")


def test_an_option_beside_the_config_wins(original, replay, sha256):
    again = replay("--seed", 12)
    assert sha256(again / "model.safetensors") != sha256(original / "model.safetensors")
    assert settings(again, "training") == settings(original, "training") | {"seed": 12}
    assert settings(again, "model") == settings(original, "model")


def test_a_length_takes_the_place_of_the_other(replay):
    training = settings(replay("--epochs", 1), "training")
    assert (training["epochs"], training["steps"], training["budget"]) == (1, None, None)


def test_a_cut_takes_the_place_of_the_other(replay):
    vocabulary = settings(replay("--min-count", 2), "vocabulary")
    assert (vocabulary["min_count"], vocabulary["max_size"]) == (2, None)


def test_another_optimiser_brings_its_own_rate(original, replay):
    # The rate of adagrad was a default, not a choice: it does not follow to another optimiser.
    assert settings(original, "training")["lr"] == 0.05
    assert settings(replay("--optimizer", "adamw"), "training")["lr"] == 0.002


def test_the_config_of_another_run_does_not_write_to_it(original, replay, sha256):
    before = {p.name: sha256(p) for p in original.iterdir() if p.is_file()}
    replay("--seed", 3)
    assert {p.name: sha256(p) for p in original.iterdir() if p.is_file()} == before


def test_the_homework_preset(nplm, texts, tmp_path):
    run = tmp_path / "run"
    line = ("train", texts / "seg.txt", "-o", run, "--preset", "homework", "-q", "--steps", 3)
    line = (*line, "--threads", 1)
    nplm(*line).ok()
    model = settings(run, "model")
    assert (model["dim"], model["layers"]) == (10, 1)
    assert settings(run, "vocabulary")["max_size"] == 1000
    nplm(*line, "--force", "--dim", 12, "--min-count", 2).ok()
    assert settings(run, "model")["dim"] == 12
    assert settings(run, "model")["hidden"] == model["hidden"]
    assert settings(run, "vocabulary") == {"max_size": None, "min_count": 2, "vocab": None}
    nplm(*line, "--force", "--optimizer", "sgd").ok()
    assert settings(run, "training")["lr"] == DEFAULT_LR["sgd"]


def test_unknown_preset(nplm, texts, tmp_path):
    line = ("train", texts / "seg.txt", "-o", tmp_path / "run", "--preset", "homeworks")
    nplm(*line).refused("homeworks", "'homework'")
    nplm(*line[:-1], "xyz").refused("xyz", "homework")


def test_a_run_can_be_moved(nplm, original, tmp_path, texts):
    import shutil

    shutil.copytree(original, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("data"))
    for line in (("score", "RUN", "我 买"), ("neighbors", "RUN", "书"), ("info", "RUN")):
        answers = [
            nplm(*[folder if word == "RUN" else word for word in line]).ok().out
            for folder in (original, tmp_path / "elsewhere")
        ]
        assert answers[0].replace(str(original), "") == answers[1].replace(
            str(tmp_path / "elsewhere"), ""
        )


def test_another_architecture_takes_its_own_defaults(replay):
    model = settings(replay("--arch", "transformer", "--dim", 6), "model")
    assert (model["arch"], model["activation"], model["norm"]) == ("transformer", "gelu", "pre")
    assert (model["positions"], model["heads"], model["stride"]) == ("learned", 2, 64)
    assert model["tie"] is True  # chosen by whoever made the first run


def test_defaults_that_nobody_chose_follow_what_is_chosen(nplm, texts, tmp_path):
    first = tmp_path / "first"
    line = ("train", texts / "seg.txt", "-q", "--steps", 2, "--threads", 1)
    nplm(*line, "-o", first, "--arch", "transformer", "--dim", 8, "--hidden", 8).ok()
    assert [settings(first, "model")[k] for k in ("heads", "stride")] == [4, 64]
    again = tmp_path / "again"
    config = ("--config", first / "config.json", "--dim", 6, "--window", 10)
    nplm(*line, "-o", again, *config).ok()
    assert [settings(again, "model")[k] for k in ("heads", "stride")] == [2, 5]
