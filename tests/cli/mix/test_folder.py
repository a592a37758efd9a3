"""The folder of a mixture: its files, damaged ones, its components as runs."""

import json
import shutil
from pathlib import Path

import pytest

from nplm_cli.errors import ArtifactError
from nplm_cli.query.run import Run

FILES = {
    "config.json", "vocabulary.tsv", "unknown.tsv", "tokenizer.json", "baseline.safetensors",
    "report.json", "components",
}  # fmt: skip
COMPONENT_FILES = (FILES - {"components"}) | {"model.safetensors"}


def test_files(mixed, kn):
    folder, _ = mixed
    assert {path.name for path in folder.iterdir()} == FILES
    assert sorted(path.name for path in (folder / "components").iterdir()) == ["1", "2", "3"]
    for path in (folder / "components").iterdir():
        assert {file.name for file in path.iterdir()} == COMPONENT_FILES
    assert not list(folder.parent.glob(".*"))
    weights = (folder / "components" / "1" / "model.safetensors").read_bytes()
    assert weights == (kn / "model.safetensors").read_bytes()


def test_it_stands_on_its_own(nplm, ffn, kn, tune, tmp_path):
    for name, run in (("a", ffn), ("b", kn)):
        shutil.copytree(run, tmp_path / name)
    nplm("mix", tmp_path / "a", tmp_path / "b", "--tune", tune, "-o", tmp_path / "m", "-q").ok()
    before = nplm("eval", tmp_path / "m", tune, "--json", "-q").ok().json["ppl"]
    shutil.rmtree(tmp_path / "a")
    shutil.rmtree(tmp_path / "b")
    (tmp_path / "m").rename(tmp_path / "elsewhere")
    assert nplm("eval", tmp_path / "elsewhere", tune, "--json", "-q").ok().json["ppl"] == before


def test_compared(nplm, mixed, ffn, tune):
    runs = nplm("compare", mixed[0], ffn, "--on", tune, "--json", "-q").ok().json["runs"]
    reports = [mixed[0] / "report.json", *mixed[0].glob("components/*/report.json")]
    assert [(run["arch"], run["rank"]) for run in runs] == [("mixture", 1), ("ffn", 2)]
    assert runs[0]["ledger"]["ppl"] == pytest.approx(mixed[1].json["tune"]["ppl"], rel=1e-5)
    assert runs[0]["ledger"]["caches"] == mixed[1].json["caches"]
    seconds = [json.loads(path.read_text("utf-8"))["training"]["seconds"] for path in reports]
    assert len(seconds) == 4
    assert runs[0]["training_seconds"] == pytest.approx(sum(seconds), abs=1e-6)


@pytest.mark.parametrize(
    "command",
    [
        ("neighbors", "MIX", "书"),
        ("export", "MIX", "OUT"),
        ("export", "MIX", "OUT", "--sentences", "TEXT"),
        ("analogy", "MIX", "我", "你", "书"),
        ("compare-vectors", "MIX", "MIX"),
        ("count", "MIX", "书"),
    ],
)
def test_questions_for_a_component(nplm, mixed, tune, tmp_path, command):
    folder = mixed[0]
    words = {"MIX": folder, "OUT": tmp_path / "out", "TEXT": tune}
    best = "1 (ngram)" if command[0] == "count" else "2 (ffn)"
    line = [words.get(word, word) for word in command]
    nplm(*line).refused("is a mixture", str(Path("components") / best))


def test_another_network_in_the_place_of_a_component(nplm, mixed, train_ffn, texts, ffn, tmp_path):
    """Of the very same shape, so that nothing else would tell."""
    train_ffn(tmp_path / "other", "--seed", 9)
    folder = tmp_path / "m"
    shutil.copytree(mixed[0], folder)
    own = folder / "components" / "2"
    (own / "model.safetensors").unlink()
    shutil.copyfile(tmp_path / "other" / "model.safetensors", own / "model.safetensors")
    nplm("eval", folder, texts / "seg.txt").refused(
        "components/2: not the model that was mixed", "mix again"
    )
    shutil.copyfile(ffn / "model.safetensors", own / "model.safetensors")
    nplm("score", folder, "我").ok()
    settings = json.loads((own / "config.json").read_text("utf-8"))
    settings["settings"]["model"]["activation"] = "relu"
    (own / "config.json").write_text(json.dumps(settings), "utf-8")
    nplm("score", folder, "我").refused("components/2: not the model that was mixed")
    # Mixtures of before say nothing of their components.
    path = folder / "config.json"
    record = json.loads(path.read_text("utf-8"))
    for component in record["mixture"]["components"]:
        del component["sha256"]
    path.write_text(json.dumps(record), "utf-8")
    nplm("score", folder, "我").ok()


def test_no_training_goes_on_in_a_mixture(nplm, mixed):
    nplm("train", "--resume", "-o", mixed[0]).refused("is a mixture")
    with pytest.raises(ArtifactError) as caught:
        Run(mixed[0]).require_trainable()
    for run in mixed[1].json["components"]:
        assert run["run"] in str(caught.value)
    assert "cannot be trained on" in str(caught.value)
    component = mixed[0] / "components" / "2"
    with pytest.raises(ArtifactError, match="its text is gone") as caught:
        Run(component).require_trainable()
    assert f"--config {component / 'config.json'}" in str(caught.value)


def test_a_component_is_a_run(nplm, mixed, ffn, tune, tmp_path):
    component = mixed[0] / "components" / "2"
    for command in ("eval", "compare"):
        names = [component, tune] if command == "eval" else [component, ffn, "--on", tune]
        nplm(command, *names, "-q").ok()
    alone = nplm("eval", component, tune, "--json", "-q").ok().json["ppl"]
    assert alone == nplm("eval", ffn, tune, "--json", "-q").ok().json["ppl"]
    nplm("compare", component, ffn).refused(str(component), "its text is gone", "--on FILE")
    # It may be mixed again, and its settings replayed.
    nplm("mix", component, mixed[0] / "components" / "1", "--tune", tune, "-o", tmp_path / "m").ok()


def test_a_mixture_among_compared_runs(nplm, mixed, ffn, tune, texts):
    nplm("compare", mixed[0], ffn).refused("a mixture keeps no text", "--on FILE")
    told = f"{mixed[0]}: its weights were fitted on this very text"
    assert told in nplm("compare", mixed[0], ffn, "--on", tune).ok().err
    other = texts / "seg.txt"
    assert "fitted on" not in nplm("compare", mixed[0], ffn, "--on", other).ok().err


def test_only_mixtures_are_asked_for_their_text(nplm, mixed, ffn, kn, tune, monkeypatch):
    """Its bytes are read once more for that, which may be long."""
    from nplm_cli import comparison

    read = []
    real = comparison.text_digest
    monkeypatch.setattr(
        comparison, "text_digest", lambda inputs: read.append(list(inputs)) or real(inputs)
    )
    nplm("compare", ffn, kn, "--on", tune, "-q").ok()
    assert read == []
    nplm("compare", ffn, mixed[0], "--on", tune, "-q").ok()
    assert read == [[str(tune)]]


def damaged(record):
    mixture = record["mixture"]
    one, *others = mixture["components"]
    nameless = {key: value for key, value in one.items() if key != "run"}
    yield {**mixture, "components": []}, "0 components and 1 caches"
    yield {**mixture, "components": mixture["components"] * 400}, "expected 1 to 1000 components"
    yield {**mixture, "components": [one, *others, {**one, "weight": 0.0}]}, "components/4: no such"
    yield {**mixture, "components": [{**one, "weight": 2.0}, *others]}, "component 1: weight 2.0"
    yield {**mixture, "components": [{**one, "weight": -0.1}, *others]}, "at least 0"
    yield {**mixture, "components": [*others, {**one, "weight": "1"}]}, "component 3: weight '1'"
    yield {**mixture, "components": [{**one, "path": "/etc"}, *others]}, "unknown key 'path'"
    yield {**mixture, "components": [one, nameless]}, "component 2: no 'run'"
    heaviest = max((one, *others), key=lambda component: component["weight"])
    fewer = [component for component in (one, *others) if component is not heaviest]
    yield {**mixture, "components": fewer}, "weights that sum to"
    yield {**mixture, "components": ["../../x"] * 3}, "component 1: expected an object"
    yield {**mixture, "components": 3}, "expected a list of them, found 3"
    yield {**mixture, "caches": [{"kind": "bigram", "weight": 0.1}]}, "cache 1: --cache 'bigram'"
    yield {**mixture, "caches": [{"weight": 0.1}]}, "cache 1: no 'kind'"
    yield {**mixture, "caches": [{**mixture["caches"][0], "size": 10**12}]}, "at most 1000000"
    yield {**mixture, "context": "paragraph"}, "sentence or stream"
    yield {key: value for key, value in mixture.items() if key != "caches"}, "expected context"
    yield [mixture], "expected context"
    yield "mixture", "expected context"


def test_damaged_settings(nplm, mixed, tmp_path):
    shutil.copytree(mixed[0], tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    record = json.loads(path.read_text("utf-8"))
    for mixture, said in damaged(record):
        path.write_text(json.dumps({**record, "mixture": mixture}), "utf-8")
        where = "" if said.startswith("components/") else f"{path}: mixture"
        nplm("score", tmp_path / "m", "我", "-q").refused(where, said, "or mix again")


def test_damaged_components(nplm, mixed, tmp_path):
    folder = tmp_path / "m"

    def fresh():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(mixed[0], folder)
        return folder / "components"

    shutil.rmtree(fresh() / "2")
    nplm("score", folder, "我").refused("components/2: no such directory", "mix again")
    (fresh() / "2").rename(tmp_path / "elsewhere")
    (folder / "components" / "2").symlink_to(tmp_path / "elsewhere")
    nplm("score", folder, "我").refused(
        "components/2: a link out of the mixture", str(tmp_path / "elsewhere"), "mix again"
    )
    (fresh() / "2").rename(folder / "components" / "moved")
    (folder / "components" / "2").symlink_to("moved")
    nplm("score", folder, "我").ok()
    (fresh() / "2" / "config.json").unlink()
    nplm("score", folder, "我").refused("components/2: no config.json")
    for name in ("vocabulary.tsv", "tokenizer.json"):
        fresh()
        (folder / name).unlink()
        nplm("score", folder, "我").refused(f"{folder / name}: no such file", "mix again")
    (fresh() / "2" / "model.safetensors").unlink()
    nplm("score", folder, "我").refused("model.safetensors")
    path = fresh() / "2" / "vocabulary.tsv"
    path.write_text(path.read_text("utf-8").replace("\n我\t", "\n俺\t"), "utf-8")
    nplm("score", folder, "我").refused("components/2/vocabulary.tsv: changed since")
    config = path.with_name("config.json")  # of a stranger, whose checksum is right
    config.write_text(config.read_text("utf-8").replace('"vocabulary_sha256"', '"x"'), "utf-8")
    nplm("score", folder, "我").refused("not the vocabulary of")
    shutil.rmtree(fresh() / "2")
    shutil.copytree(mixed[0], folder / "components" / "2")
    nplm("score", folder, "我").refused("a mixture within a mixture")
