"""``nplm mix``, and what the commands make of a mixture."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

SAME = ("--max-size", 30)
# Enough to know more than counts do of the words that may follow each other.
TRAINED = ("--steps", 300, "--lr", 0.02)
FILES = {
    "config.json", "vocabulary.tsv", "unknown.tsv", "tokenizer.json", "baseline.safetensors",
    "report.json", "components",
}  # fmt: skip
COMPONENT_FILES = (FILES - {"components"}) | {"model.safetensors"}


@pytest.fixture(scope="module")
def kn(texts, tmp_path_factory, train):
    folder = tmp_path_factory.mktemp("kn") / "run"
    train(texts / "seg.txt", folder, "--arch", "ngram", "--order", 3, *SAME).ok()
    return folder


@pytest.fixture(scope="module")
def ffn(texts, tmp_path_factory, train):
    folder = tmp_path_factory.mktemp("window") / "run"
    train(texts / "seg.txt", folder, *SAME, *TRAINED).ok()
    return folder


@pytest.fixture(scope="module")
def lstm(texts, tmp_path_factory, train, ffn):
    folder = tmp_path_factory.mktemp("lstm") / "run"
    # Another policy splits the text otherwise: other words, unless they are told.
    options = ("--context", "stream", "--vocab", ffn / "vocabulary.tsv")
    train(texts / "seg.txt", folder, "--arch", "lstm", *options, *TRAINED).ok()
    return folder


@pytest.fixture(scope="module")
def tune(tmp_path_factory, texts):
    """The words of other lines put together anew, so that counts alone do not know them."""
    lines = [line.split() for line in (texts / "seg.txt").read_text("utf-8").splitlines()]
    random = np.random.default_rng(2)
    columns = [[line[k] for line in lines] for k in range(4)]
    rows = [[str(random.choice(column)) for column in columns] for _ in range(50)]
    path = tmp_path_factory.mktemp("tune") / "tune.txt"
    path.write_text("".join(" ".join([*row, "。"]) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def mixed(nplm, ffn, kn, lstm, tune, tmp_path_factory):
    """A window model, counts and an LSTM with a neural cache. Read only."""
    folder = tmp_path_factory.mktemp("mixed") / "mix"
    caches = ("--cache", "neural", "--cache-size", 20)
    return folder, nplm("mix", kn, ffn, lstm, "--tune", tune, *caches, "-o", folder, "--json").ok()


def test_report(mixed, kn, ffn, lstm, tune):
    folder, result = mixed
    report = result.json
    assert report == json.loads((folder / "report.json").read_text("utf-8"))
    assert (report["schema"], report["arch"], report["run"]) == (1, "mixture", "mix")
    parts = report["components"]
    assert [part["run"] for part in parts] == [str(kn), str(ffn), str(lstm)]
    assert [part["arch"] for part in parts] == ["ngram", "ffn", "lstm"]
    [cache] = report["caches"]
    assert (cache["kind"], cache["size"]) == ("neural", 20)
    weights = [part["weight"] for part in (*parts, cache)]
    assert sum(weights) == pytest.approx(1, abs=1e-9)
    assert all(0 <= weight <= 1 for weight in weights)
    assert report["tuned_on"] == [str(tune)]
    assert report["training"]["iterations"] > 0
    assert report["valid"] is report["test"] is None
    # Fitted on this text: no component alone is better on it, but for what EM leaves.
    best = min(part["ppl"] for part in parts)
    assert report["tune"]["ppl"] < best * (1 + 1e-6)
    assert sum(weight > 0.01 for weight in weights) > 1
    assert report["tune"]["baselines"]["kneser_ney"]["order"] == 3


def test_files(mixed, kn):
    folder, _ = mixed
    assert {path.name for path in folder.iterdir()} == FILES
    assert sorted(path.name for path in (folder / "components").iterdir()) == ["1", "2", "3"]
    for path in (folder / "components").iterdir():
        assert {file.name for file in path.iterdir()} == COMPONENT_FILES
    assert not list(folder.parent.glob(".*"))
    weights = (folder / "components" / "1" / "model.safetensors").read_bytes()
    assert weights == (kn / "model.safetensors").read_bytes()


def test_components_measured_alone(nplm, mixed, kn, ffn, lstm, tune):
    """The policy is that of the first network, the window model: sentence."""
    parts = mixed[1].json["components"]
    for folder, part in zip((kn, ffn, lstm), parts, strict=True):
        alone = nplm("eval", folder, tune, "--context", "sentence", "--json", "-q").ok().json
        assert part["ppl"] == pytest.approx(alone["ppl"], rel=1e-6)
    assert mixed[1].json["tune"]["context"] == "sentence"
    assert f"{lstm} (lstm) was trained under --context stream" in mixed[1].err


def test_measured_again_and_named(nplm, mixed, tune):
    folder, result = mixed
    report = result.json
    ledger = nplm("eval", folder, tune, "--json", "-q").ok().json
    assert ledger["ppl"] == pytest.approx(report["tune"]["ppl"], rel=1e-6)
    assert ledger["order"] is None
    names = ("component", "run", "arch", "weight")
    assert ledger["mixture"] == [
        {name: part[name] for name in names} for part in report["components"]
    ]
    assert ledger["caches"] == report["caches"]
    rows = {row["figure"]: row for row in nplm("eval", folder, tune).ok().table}
    for part in report["components"]:
        row = rows[f"component {part['component']}"]
        assert float(row["value"]) == pytest.approx(part["weight"], rel=1e-5)
        assert part["arch"] in row["remark"]
    assert "20 words" in rows["cache neural"]["remark"]
    assert "whole file" in rows["cache neural"]["remark"]


def test_torch_and_numpy_agree(mixed, nplm, tune):
    from nplm_cli.measure import read_text
    from nplm_cli.query.run import Run
    from nplm_cli.query.scorer import open_scorer

    run = Run(mixed[0])
    part = read_text(run, [str(tune)])
    for policy in ("sentence", "stream"):
        nll_N = open_scorer(run).nll(part, policy)
        ledger = nplm("eval", mixed[0], tune, "--context", policy, "--json", "-q").ok().json
        assert ledger["nll_nats_total"] == pytest.approx(nll_N.sum(), rel=1e-6)


def test_a_mixture_of_two_is_the_formula(nplm, kn, ffn, tune, tmp_path):
    report = nplm("mix", kn, ffn, "--tune", tune, "-o", tmp_path / "m", "--json", "-q").ok().json
    a, b = (part["weight"] for part in report["components"])
    logs = []
    for run in (kn, ffn, tmp_path / "m"):
        records = nplm("score", run, "--file", tune, "--per-token", "--json", "-q").ok().records
        logs.append([t["logprob_e"] for record in records for t in record["per_token"]])
    for x, y, mixed in zip(*logs, strict=True):
        assert math.exp(mixed) == pytest.approx(a * math.exp(x) + b * math.exp(y), rel=1e-5)


def test_it_stands_on_its_own(nplm, ffn, kn, tune, tmp_path):
    for name, run in (("a", ffn), ("b", kn)):
        shutil.copytree(run, tmp_path / name)
    nplm("mix", tmp_path / "a", tmp_path / "b", "--tune", tune, "-o", tmp_path / "m", "-q").ok()
    before = nplm("eval", tmp_path / "m", tune, "--json", "-q").ok().json["ppl"]
    shutil.rmtree(tmp_path / "a")
    shutil.rmtree(tmp_path / "b")
    (tmp_path / "m").rename(tmp_path / "elsewhere")
    assert nplm("eval", tmp_path / "elsewhere", tune, "--json", "-q").ok().json["ppl"] == before


def test_questions(nplm, mixed):
    folder = mixed[0]
    predictions = nplm("predict", folder, "我们", "-k", 5, "--json").ok()
    assert "this sentence alone" in predictions.err
    assert predictions.json["caches"] == mixed[1].json["caches"]
    first = predictions.json["predictions"][0]
    [word] = (
        nplm("score", folder, "--given", "我们", "--word", first["word"], "--json").ok().records
    )
    assert word["probability"] == pytest.approx(first["probability"], rel=1e-6)
    samples = nplm("generate", folder, "--samples", 3, "--seed", 4, "--json").ok().records
    assert [record["finished"] for record in samples] == [True] * 3
    record = nplm("info", folder, "--json").ok().json
    assert (record["arch"], record["context"]) == ("mixture", "sentence")
    assert "lstm" in record["component_3"]
    assert "neural cache" in record["cache_1"]


def test_compared(nplm, mixed, ffn, tune):
    runs = nplm("compare", mixed[0], ffn, "--on", tune, "--json", "-q").ok().json["runs"]
    assert [(run["arch"], run["rank"]) for run in runs] == [("mixture", 1), ("ffn", 2)]
    assert runs[0]["ledger"]["ppl"] == pytest.approx(mixed[1].json["tune"]["ppl"], rel=1e-5)
    assert runs[0]["ledger"]["caches"] == mixed[1].json["caches"]


@pytest.mark.parametrize(
    "command",
    [
        ("neighbors", "MIX", "书"),
        ("export", "MIX", "OUT"),
        ("export", "MIX", "OUT", "--sentences", "TEXT"),
        ("analogy", "MIX", "我", "你", "书"),
        ("compare-vectors", "MIX", "MIX"),
        ("train", "--resume", "-o", "MIX"),
        ("count", "MIX", "书"),
    ],
)
def test_questions_for_a_component(nplm, mixed, tune, tmp_path, command):
    folder = mixed[0]
    words = {"MIX": folder, "OUT": tmp_path / "out", "TEXT": tune}
    best = "1 (ngram)" if command[0] == "count" else "2 (ffn)"
    line = [words.get(word, word) for word in command]
    nplm(*line).refused("is a mixture", str(Path("components") / best))


def test_other_vocabularies(nplm, ffn, kn, texts, train, tune, tmp_path):
    train(texts / "seg.txt", tmp_path / "other", "--arch", "ngram", "--max-size", 20).ok()
    line = nplm("mix", ffn, tmp_path / "other", "--tune", tune, "-o", tmp_path / "m").refused(
        "id 22 is", "nothing more", f"--vocab {ffn / 'vocabulary.tsv'}"
    )
    token = (ffn / "vocabulary.tsv").read_text("utf-8").splitlines()[22].split("\t")[0]
    assert repr(token) in line
    shutil.copytree(kn, tmp_path / "swapped")
    path = tmp_path / "swapped" / "vocabulary.tsv"
    rows = path.read_text("utf-8").splitlines()
    rows[4], rows[5] = rows[5], rows[4]
    path.write_text("\n".join(rows) + "\n", "utf-8")
    nplm("mix", ffn, tmp_path / "swapped", "--tune", tune, "-o", tmp_path / "m").refused(
        f"id 4 is {rows[5].split()[0]!r} in the one and {rows[4].split()[0]!r} in the other"
    )
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (("KN", "--tune", "TUNE", "-o", "OUT"), ["one run alone is no mixture"]),
        (("KN", "FFN", "-o", "OUT"), ["--tune FILE"]),
        (("KN", "FFN", "--tune", "TUNE"), ["-o MIX"]),
        (("KN", "MIX", "--tune", "TUNE", "-o", "OUT"), ["is a mixture already", "components"]),
        (("KN", "nowhere", "--tune", "TUNE", "-o", "OUT"), ["no such directory"]),
        (("KN", "FFN", "--tune", "nowhere", "-o", "OUT"), ["nowhere"]),
        (("KN", "FFN", "--tune", "EMPTY", "-o", "OUT"), ["EMPTY"]),
        (("KN", "FFN", "--tune", "TUNE", "-o", "MIX"), ["holds a run already: --force replaces"]),
        (("KN", "--tune", "TUNE", "-o", "OUT", "--cache", "neural"), ["needs a neural model"]),
        (("KN", "--tune", "TUNE", "-o", "OUT", "--cache", "x"), ["unigram or neural"]),
        (("KN", "FFN", "--tune", "TUNE", "-o", "OUT", "--cache-size", "9"), ["has no --cache"]),
        (
            ("FFN", "--tune", "TUNE", "-o", "OUT", "--cache", "neural", "--cache-size", "0"),
            ["--cache-size 0"],
        ),
        (("KN", "FFN", "--tune", "TUNE", "-o", "OUT", "--context", "x"), ["sentence or stream"]),
    ],
)
def test_refused(nplm, mixed, kn, ffn, tune, tmp_path, line, parts):
    empty = tmp_path / "EMPTY"
    empty.write_text("\n")
    words = {"KN": kn, "FFN": ffn, "MIX": mixed[0], "TUNE": tune, "OUT": tmp_path / "out"}
    words["EMPTY"] = empty
    nplm("mix", *[words.get(word, word) for word in line], "-q").refused(*parts)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_unfinished_runs_are_refused(nplm, ffn, kn, tune, tmp_path):
    shutil.copytree(ffn, tmp_path / "begun")
    (tmp_path / "begun" / "model.safetensors").unlink()
    nplm("mix", tmp_path / "begun", kn, "--tune", tune, "-o", tmp_path / "m").refused(
        "no weights yet"
    )


def test_force_replaces(nplm, ffn, kn, tune, tmp_path):
    folder = tmp_path / "m"
    nplm("mix", ffn, kn, "--tune", tune, "-o", folder, "-q").ok()
    nplm("mix", kn, "--cache", "unigram", "--tune", tune, "-o", folder, "--force", "-q").ok()
    assert [path.name for path in (folder / "components").iterdir()] == ["1"]
    # A component of the old mixture may stand in the new one.
    again = nplm(
        "mix",
        folder / "components" / "1",
        ffn,
        "--tune",
        tune,
        "-o",
        folder,
        "--force",
        "--json",
        "-q",
    ).ok()
    assert [part["arch"] for part in again.json["components"]] == ["ngram", "ffn"]
    assert nplm("info", folder).ok()


def test_a_source_is_never_replaced(nplm, ffn, kn, tune):
    before = sorted(path.name for path in ffn.iterdir())
    nplm("mix", ffn, kn, "--tune", tune, "-o", ffn, "--force").refused("one of the runs")
    assert sorted(path.name for path in ffn.iterdir()) == before


def test_what_differs_is_told(nplm, ngram, ffn, tune, tmp_path):
    shutil.copytree(ffn, tmp_path / "other")
    recipe = json.loads((ffn / "tokenizer.json").read_text("utf-8"))
    (tmp_path / "other" / "tokenizer.json").write_text(json.dumps({**recipe, "lowercase": True}))
    err = nplm("mix", ngram, tmp_path / "other", "--tune", tune, "-o", tmp_path / "m").ok().err
    assert f"warning: {tmp_path / 'other'} read its text otherwise than {ngram}" in err
    assert f"warning: {ngram}: relative frequencies are all 0 after an unseen context" in err
    assert "fitted on this very text" in err


def test_the_grid_is_searched(nplm, lstm, tune, tmp_path):
    """What is chosen is at least as good as each candidate by itself."""
    options = ("--context", "stream", "--json", "-q")
    found = (
        nplm("mix", lstm, "--cache", "neural", "--tune", tune, "-o", tmp_path / "m", *options)
        .ok()
        .json
    )
    for size, theta in ((500, 0.05), (500, 1.0), (2000, 0.3)):
        other = nplm(
            "mix", lstm, "--cache", "neural", "--cache-size", size, "--cache-theta", theta,
            "--tune", tune, "-o", tmp_path / f"m{size}-{theta}", *options,
        ).ok().json  # fmt: skip
        assert (other["caches"][0]["size"], other["caches"][0]["theta"]) == (size, theta)
        assert found["tune"]["ppl"] <= other["tune"]["ppl"] * (1 + 2e-6)


def damaged(record):
    mixture = record["mixture"]
    one = mixture["components"][0]
    yield {**mixture, "components": []}
    yield {**mixture, "components": mixture["components"] * 400}
    yield {**mixture, "components": [*mixture["components"], {**one, "weight": 0.0}]}
    yield {**mixture, "components": [{**one, "weight": 2.0}, *mixture["components"][1:]]}
    yield {**mixture, "components": [{**one, "weight": -0.1}, *mixture["components"][1:]]}
    yield {**mixture, "components": [{**one, "weight": "1"}, *mixture["components"][1:]]}
    yield {**mixture, "components": [{**one, "path": "/etc"}, *mixture["components"][1:]]}
    yield {**mixture, "components": ["../../x"] * 3}
    yield {**mixture, "components": 3}
    yield {**mixture, "caches": [{"kind": "bigram", "weight": 0.1}]}
    yield {**mixture, "caches": [{"weight": 0.1}]}
    yield {**mixture, "caches": [{**mixture["caches"][0], "size": 10**12}]}
    yield {**mixture, "context": "paragraph"}
    yield {key: value for key, value in mixture.items() if key != "caches"}
    yield [mixture]
    yield "mixture"


def test_damaged_settings(nplm, mixed, tmp_path):
    shutil.copytree(mixed[0], tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    record = json.loads(path.read_text("utf-8"))
    for mixture in damaged(record):
        path.write_text(json.dumps({**record, "mixture": mixture}), "utf-8")
        nplm("score", tmp_path / "m", "我", "-q").refused("m")


def test_damaged_components(nplm, mixed, tmp_path):
    folder = tmp_path / "m"

    def fresh():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(mixed[0], folder)
        return folder / "components"

    shutil.rmtree(fresh() / "2")
    nplm("score", folder, "我").refused("components", "2", "no such directory")
    (fresh() / "2" / "model.safetensors").unlink()
    nplm("score", folder, "我").refused("model.safetensors")
    path = fresh() / "2" / "vocabulary.tsv"
    path.write_text(path.read_text("utf-8").replace("\n我\t", "\n俺\t"), "utf-8")
    nplm("score", folder, "我").refused("not the vocabulary of")
    shutil.rmtree(fresh() / "2")
    shutil.copytree(mixed[0], folder / "components" / "2")
    nplm("score", folder, "我").refused("a mixture within a mixture")


def test_a_table_for_people(nplm, ffn, kn, tune, tmp_path):
    result = nplm("mix", ffn, kn, "--cache", "unigram", "--tune", tune, "-o", tmp_path / "m").ok()
    parts = [row["part"] for row in result.table]
    assert parts == ["components/1", "components/2", "cache", "mixture"]
    assert result.table[-1]["what"] == f"fitted on {tune}"
    weights = [float(row["weight"]) for row in result.table]
    assert sum(weights[:-1]) == pytest.approx(1, abs=1e-4)
    assert np.all(np.array([float(row["ppl"]) for row in result.table if row["ppl"] != "-"]) > 1)
    assert "iterations of EM" in result.err
