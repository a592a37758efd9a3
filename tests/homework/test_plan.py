"""What a homework trains, what it stores of itself, and when earlier runs serve."""

import json

import pytest

from nplm_cli.config import Config, HomeworkConfig
from nplm_cli.corpus.preparation import Sources
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.homework.plan import load_plan, make_plan

TEXT = Sources(("/texts/a.txt",), ("/texts/b.txt",))


def plan(sources=(TEXT,), config=None, **homework):
    return make_plan(config or Config(), HomeworkConfig(**homework), sources)


def test_every_architecture_is_trained_with_every_seed_and_only_these_differ(tmp_path):
    runs = plan(archs="ffn, lstm", seeds=2, config=Config().replace(seed=7, dim=12)).runs(tmp_path)
    assert [run.name for run in runs] == ["runs/ffn-7", "runs/lstm-7", "runs/ffn-8", "runs/lstm-8"]
    for run in runs:
        changed = run.config.replace(arch="ffn", seed=7, norm=None, activation=None)
        assert changed == runs[0].config.replace(norm=None, activation=None)
        assert (run.config.model.arch, run.config.training.seed) == (run.arch, run.seed)


def test_a_second_corpus_has_the_same_runs(tmp_path):
    runs = plan((TEXT, Sources(("/texts/c.txt",))), archs="gru", seeds=1).runs(tmp_path)
    assert [(run.corpus, run.name) for run in runs] == [
        ("first", "runs/gru-1"),
        ("second", "second/gru-1"),
    ]
    assert runs[0].config == runs[1].config


def test_stored_and_read_again(tmp_path):
    before = make_plan(
        Config().replace(dim=10, epochs=3),
        HomeworkConfig(archs="rnn", seeds=5, words="words.txt", band="5-50"),
        [TEXT, Sources(("-",))],
        "homework",
    )
    (tmp_path / "config.json").write_text(json.dumps(before.to_json(["homework"])), "utf-8")
    assert load_plan(tmp_path / "config.json") == before


def test_paths_hold_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make_plan(Config(), HomeworkConfig(words="w.txt"), [Sources(("a.txt", "-"))])
    assert made.sources[0].train == (str(tmp_path / "a.txt"), "-")
    assert made.homework.words == str(tmp_path / "w.txt")


@pytest.mark.parametrize(
    "record",
    [
        [],
        {},
        {"format_version": 1, "settings": {}},
        {"format_version": 1, "homework": {}, "settings": {}},
        {"format_version": 1, "homework": {}, "settings": {}, "sources": []},
        {"format_version": 1, "homework": {}, "settings": {}, "sources": [{"train": "a"}]},
        {"format_version": 1, "homework": {}, "settings": {}, "sources": [{"other": ["a"]}]},
        {"format_version": 1, "homework": {}, "settings": {}, "sources": [{"train": [1]}]},
        {"format_version": 1, "homework": {"archs": 3}, "settings": {}, "sources": [{"train": ["a"]}]},
        {"format_version": 1, "homework": {}, "settings": {"x": 1}, "sources": [{"train": ["a"]}]},
        {"format_version": 99, "homework": {}, "settings": {}, "sources": [{"train": ["a"]}]},
    ],
)  # fmt: skip
def test_any_other_file_is_refused_by_name(tmp_path, record):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(record), "utf-8")
    with pytest.raises(ArtifactError, match=r"config\.json"):
        load_plan(path)


def test_runs_serve_other_questions_but_no_other_training():
    base = plan()
    assert plan(seeds=9, archs="gru", words="w", top=5, workers=1).trains_like(base) is None
    assert plan(config=Config().replace(seed=4, device="cpu")).trains_like(base) is None
    assert plan((TEXT, Sources(("/c",)))).trains_like(base) is None
    assert base.trains_like(plan((TEXT, Sources(("/c",))))) is None
    assert (
        plan(config=Config().replace(dim=9)).trains_like(base) == "--dim (128 there, 9 asked for)"
    )
    assert "the text" in plan((Sources(("/c",)),)).trains_like(base)
    assert "/texts/b.txt" in plan((Sources(("/texts/a.txt",)),)).trains_like(base)


@pytest.mark.parametrize("archs", ["", "ffn,ffn", "lstn", "ngram", "ffn;rnn"])
def test_architectures_are_checked(archs):
    with pytest.raises(ConfigError, match="--archs"):
        HomeworkConfig(archs=archs)


def test_a_typing_error_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'lstm'"):
        HomeworkConfig(archs="lstn")


@pytest.mark.parametrize("band", ["5", "-3", "a-b", "1-2-3"])
def test_a_band_has_two_ranks(band):
    with pytest.raises(ConfigError, match="--band"):
        HomeworkConfig(band=band)


def test_settings_that_do_not_fit_an_architecture_show_before_anything_is_read():
    with pytest.raises(ConfigError, match="--heads 3"):
        plan(archs="ffn,attention", config=Config().replace(heads=3, dim=10))


def test_a_dictionary_needs_two_languages():
    with pytest.raises(ConfigError, match="--second-corpus"):
        plan(dictionary="d.tsv")
