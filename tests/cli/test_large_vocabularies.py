"""What trains large vocabularies, through the commands: losses that sample, adaptive softmax."""

import json
import shutil

import pytest

KINDS = {
    "sampled": ("--loss", "sampled", "--samples", "6"),
    "nce": ("--loss", "nce", "--samples", "6"),
    "adaptive": ("--softmax", "adaptive", "--cutoffs", "4,9"),
    "adaptive-tied": ("--softmax", "adaptive", "--cutoffs", "4,9", "--tie"),
}
SMALL = ("--arch", "lstm", "--dim", 6, "--hidden", 8, "--threads", 1, "--batch", 8, "--lr", 0.02)


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def run(nplm, texts, kind, tmp_path_factory):
    folder = tmp_path_factory.mktemp(kind) / "run"
    options = (*SMALL, *KINDS[kind], "--steps", 60, "--test", texts / "seg.txt", "-q")
    nplm("train", texts / "seg.txt", "-o", folder, *options).ok()
    return folder


def words_of(run):
    return [
        line.split("\t")[0] for line in (run / "vocabulary.tsv").read_text("utf-8").splitlines()
    ]


def test_the_report_is_exact_and_below_chance(nplm, run, texts):
    """Torch at the end of the training, numpy in eval of a short text and in score: the same."""
    report = json.loads((run / "report.json").read_text("utf-8"))["test"]
    assert report["ppl"] < 0.8 * len(words_of(run))
    again = nplm("eval", run, texts / "seg.txt", "--json").ok().json
    assert again["nll_nats_total"] == pytest.approx(report["nll_nats_total"], rel=1e-7)
    text = (texts / "seg.txt").read_text("utf-8")
    scored = nplm("score", run, "-", "--json", "--base", "e", "-q", stdin=text).ok()
    total = -sum(record["logprob_e"] for record in scored.records)
    assert total == pytest.approx(report["nll_nats_total"], rel=1e-5)


def test_all_words_together_are_certain(nplm, run):
    words = words_of(run)
    found = nplm("predict", run, words[2], "-k", len(words), "--json").ok().json
    text = json.dumps(found)
    assert len(found["predictions"]) == len(words), text[:200]
    assert sum(p["probability"] for p in found["predictions"]) == pytest.approx(1, abs=1e-6)


def test_what_is_predicted_is_what_is_scored(nplm, run):
    words = words_of(run)
    found = nplm("predict", run, words[2], "-k", 3, "--json").ok().json["predictions"]
    for prediction in found:
        if prediction["word"] in words[2:]:
            line = ("score", run, "--given", words[2], "--word", prediction["word"], "--json")
            scored = nplm(*line).ok().json
            text = json.dumps(scored, ensure_ascii=False)
            assert scored["probability"] == pytest.approx(prediction["probability"], rel=1e-6), text


def test_generating_and_neighbours(nplm, run, tmp_path):
    words = words_of(run)
    assert nplm("generate", run, "--seed", 1).ok().out.strip()
    assert len(nplm("neighbors", run, words[2], "-k", 3).ok().table) == 3
    nplm("export", run, tmp_path / "v.txt", "-q").ok()
    assert nplm("info", run, "--json").ok().json["parameters"] > 0


def test_rows_of_the_output(nplm, run, kind):
    found = nplm("neighbors", run, words_of(run)[2], "-k", 3, "--vectors", "output")
    if kind == "adaptive":
        found.refused("adaptive softmax", "ask for the word vectors")
    else:
        assert len(found.ok().table) == 3


def test_resumed_is_uninterrupted(nplm, run, texts, kind, tmp_path):
    part = tmp_path / "part"
    options = (*SMALL, *KINDS[kind], "--steps", 30, "--test", texts / "seg.txt", "-q")
    nplm("train", texts / "seg.txt", "-o", part, *options, "--schedule", "constant").ok()
    whole = tmp_path / "whole"
    options = (*options[: options.index("--steps")], "--steps", 40, *options[-3:])
    nplm("train", texts / "seg.txt", "-o", whole, *options, "--schedule", "constant").ok()
    shutil.copytree(part, tmp_path / "longer")
    nplm("train", "--resume", "-o", tmp_path / "longer", "--steps", 40, "-q").ok()
    a, b = ((folder / "checkpoint.safetensors") for folder in (whole, tmp_path / "longer"))
    from nplm_cli.artifacts import TensorFile

    one, two = TensorFile(a), TensorFile(b)
    assert one.keys() == two.keys()
    for name in one:
        assert (one[name] == two[name]).all(), name


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--loss", "sampled", "--softmax", "adaptive"), ("--loss sampled", "--softmax full")),
        (("--loss", "nce", "--softmax", "adaptive"), ("--loss nce", "--loss full")),
        (("--softmax", "adaptive", "--cutoffs", "9,4"), ("--cutoffs '9,4'", "4000,20000")),
        (("--softmax", "adaptive", "--cutoffs", "0,4"), ("--cutoffs '0,4'", "rise")),
        (("--softmax", "adaptive", "--cutoffs", "many"), ("--cutoffs 'many'",)),
        (("--softmax", "adaptiv"), ("adaptive",)),
        (("--tail-division", "0.5"), ("--tail-division 0.5", "at least 1")),
        (("--loss", "softmax"), ("full, sampled, nce",)),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other(nplm, texts, tmp_path, options, parts):
    result = nplm("train", texts / "seg.txt", "-o", tmp_path / "run", *options)
    result.refused(*parts)
    assert not (tmp_path / "run").exists()
