"""nplm plot: every kind, its numbers, and what is refused."""

import json
import shutil
from xml.etree import ElementTree

import pytest
import torch

from nplm_cli.query.run import Run

SENTENCE = "我 买 <script> 书"


@pytest.fixture(scope="module")
def runs(texts, tmp_path_factory, train):
    folder = tmp_path_factory.mktemp("runs")
    for arch in ("lstm", "gru", "attention"):
        train(texts / "seg.txt", folder / arch, "--arch", arch, "--max-size", 30).ok()
    return folder


def texts_of(svg):
    return "".join(ElementTree.fromstring(svg).itertext())


def test_gates_are_those_of_the_model(nplm, runs):
    for arch in ("lstm", "gru"):
        found = nplm("plot", "gates", runs / arch, SENTENCE, "--json").ok().json
        from nplm_cli.explain.network.reading import open_network

        run = Run(runs / arch)
        model = open_network(run)
        ids = [1, *run.vocabulary.encode(SENTENCE.split())]
        with torch.no_grad():
            hidden, _ = model(torch.tensor([ids]), model.initial_state(1))
        torch.testing.assert_close(
            torch.tensor(found["steps"]["h"], dtype=torch.float64), hidden[0]
        )
        assert found["words"] == ["</s>", *SENTENCE.split()]


def test_attention_maps_sum_to_one_and_words_are_text(nplm, runs, tmp_path):
    file = tmp_path / "a.svg"
    found = nplm("plot", "attention", runs / "attention", SENTENCE, "-o", file, "--json").ok().json
    for heads in found["layers"]:
        for rows in heads:
            assert [sum(row) for row in rows] == pytest.approx([1.0] * 5)
            assert all(not any(row[i + 1 :]) for i, row in enumerate(rows))
    assert "<script" not in file.read_text("utf-8")
    assert "<script>" in texts_of(file.read_bytes())


def test_curves_are_the_metrics(nplm, runs, tmp_path):
    found = nplm("plot", "curves", runs / "lstm", runs / "gru", "--json").ok().json
    lines = (runs / "lstm" / "metrics.jsonl").read_text().splitlines()
    expected = [(r["tokens"], r["valid_ppl"]) for r in map(json.loads, lines)]
    assert [(p["tokens"], p["valid_ppl"]) for p in found["runs"][0]["points"]] == expected
    level = Run(runs / "lstm").report()["valid"]["baselines"]["kneser_ney"]["ppl"]
    assert found["runs"][0]["kneser_ney"]["ppl"] == level
    svg = (
        nplm("plot", "curves", runs / "lstm", "-o", "-", "--lang", "zh", "--title", "A<b").ok().out
    )
    assert "困惑度" in texts_of(svg)
    assert "A<b" in texts_of(svg)


def test_vectors_of_words(nplm, runs):
    found = nplm("plot", "vectors", runs / "lstm", "--words", "书 茶 猫", "--json").ok().json
    from nplm_cli.reports.projection import maps

    keyed = Run(runs / "lstm").keyed_vectors()
    assert found["points"] == maps([keyed[w] for w in ("书", "茶", "猫")], 5)["pca"]


@pytest.mark.slow
def test_the_same_bytes_in_processes_without_a_display(spawn, runs, tmp_path):
    for name in ("a.svg", "b.svg"):
        line = ("plot", "gates", runs / "lstm", SENTENCE, "-o", tmp_path / name)
        spawn(*line, env={"DISPLAY": None, "MPLBACKEND": "TkAgg"}).ok()
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_what_is_refused(nplm, runs, ngram, ffn, tmp_path):
    out = ("-o", tmp_path / "x.svg")
    nplm("plot", "activation", *out).refused("did you mean 'activations'")
    nplm("plot", "curves", *out).refused("nplm plot curves RUN...")
    nplm("plot", "gates", runs / "lstm", *out).refused("RUN TEXT")
    nplm("plot", "curves", ngram, *out).refused("counts", "learning curve")
    nplm("plot", "gates", ffn, "我", *out).refused("lstm or gru")
    nplm("plot", "attention", ngram, "我", *out).refused("attention or transformer")
    nplm("plot", "vectors", ngram, *out).refused("n-gram")
    nplm("plot", "gates", runs / "lstm", " ", *out).refused("empty")
    nplm("plot", "gates", runs / "lstm", "书 " * 50, *out).refused("50 words")
    nplm("plot", "gates", runs / "lstm", "书", "--layer", 2, *out).refused("--layer 2")
    nplm("plot", "xor", "--by", "tokens", *out).refused("--by", "xor")
    nplm("plot", "curves", runs / "lstm", "--by", "token", *out).refused("did you mean 'tokens'")
    nplm("plot", "activations", "--set", "relo", *out).refused("did you mean 'relu'")
    nplm("plot", "xor").refused("-o FILE.svg")
    nplm("plot", "xor", "-o", tmp_path / "x.pdf").refused(".svg or .png")
    nplm("plot", "curves", runs / "lstm", "-o", runs / "lstm" / "config.json").refused(
        "config.json"
    )
    assert not (tmp_path / "x.svg").exists()


def test_a_run_without_metrics(nplm, runs, tmp_path):
    shutil.copytree(runs / "lstm", tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    nplm("plot", "curves", tmp_path / "run", "--json").refused("metrics.jsonl", "--resume")


def test_a_baseline_without_a_figure(nplm, runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs / "lstm", run)
    report = json.loads((run / "report.json").read_text("utf-8"))
    report["valid"]["baselines"]["kneser_ney"]["ppl"] = None
    (run / "report.json").write_text(json.dumps(report), "utf-8")
    found = nplm("plot", "curves", run, "-o", tmp_path / "a.svg", "--json").ok().json
    assert found["runs"][0]["kneser_ney"] is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"tokens": 5, "train_ppl": 0, "valid_ppl": 0}', "no perplexity above 0"),
        ('{"tokens": 5, "train_ppl": null, "valid_ppl": null}', "no perplexity above 0"),
        ('{"tokens": 5, "train_ppl": -1, "valid_ppl": 3}', "damaged"),
        ('{"tokens": 5, "train_ppl": 1e400, "valid_ppl": 3}', "damaged"),
        ("[5, 3]", "damaged"),
        ("", "no evaluations on record"),
    ],
)
def test_curves_of_metrics_that_cannot_be_drawn(line, said, nplm, runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs / "lstm", run)
    (run / "metrics.jsonl").write_text(line, "utf-8")
    nplm("plot", "curves", run, "-o", tmp_path / "a.svg").refused("metrics.jsonl", said)


def test_two_spellings_of_a_word_are_drawn_once(nplm, runs, monkeypatch):
    monkeypatch.setattr(Run, "spelled", lambda run, word: word.rstrip("★"))
    first, second = nplm("plot", "vectors", runs / "lstm", "--json").ok().json["words"][:2]
    words = f"{first} {first}★ {second}"
    found = nplm("plot", "vectors", runs / "lstm", "--words", words, "--json").ok().json
    assert found["words"] == [first, second]


def test_attention_of_one_layer_and_of_too_many(nplm, runs, tmp_path, texts, train, monkeypatch):
    run = tmp_path / "run"
    train(texts / "seg.txt", run, "--arch", "attention", "--max-size", 30, "--layers", 2).ok()
    whole = nplm("plot", "attention", run, SENTENCE, "--json").ok().json["layers"]
    one = nplm("plot", "attention", run, SENTENCE, "--layer", 2, "--json").ok().json
    assert (one["layer"], one["layers"]) == (2, whole[1:])
    nplm("plot", "attention", run, SENTENCE, "--layer", 3, "--json").refused("--layer 3", "has 2")
    monkeypatch.setattr("nplm_cli.plots.attention.LARGEST", 1.0)
    nplm("plot", "attention", run, SENTENCE, "--json").refused("shorter text or --layer N")


def test_without_matplotlib(nplm, monkeypatch, tmp_path):
    import nplm_cli.reports as reports

    real = reports.find_spec
    monkeypatch.setattr(reports, "find_spec", lambda n: None if n == "matplotlib" else real(n))
    nplm("plot", "xor", "-o", tmp_path / "x.svg").refused("pip install matplotlib")
    assert nplm("plot", "positions", "--json").ok().json["count"] == 50
