"""All stages in a row: a run directory, interrupted or not, and what its report says."""

import hashlib
import json

import numpy as np
import pytest

from nplm_cli import events, measure, pipeline
from nplm_cli.artifacts import TensorFile
from nplm_cli.config import Config
from nplm_cli.corpus.preparation import Sources
from nplm_cli.corpus.shards import open_parts
from nplm_cli.errors import ArtifactError, ConfigError, InputError
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer
from nplm_cli.training.loop import Interrupted

SMALL = Config().replace(
    format="segmented", sentences="line", max_size=20, order=3, dim=4, hidden=5, batch=16,
    epochs=2, threads=1, dropout=0.2, device="cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    random = np.random.default_rng(0)
    lines = [
        " ".join(f"w{min(n, 40)}" for n in random.zipf(1.5, random.integers(1, 12)))
        for _ in range(300)
    ]
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture
def train(corpus, tmp_path):
    def run(name="run", config=SMALL, source=corpus, **arguments):
        folder = tmp_path / name
        return pipeline.train(Sources(train=(str(source),)), folder, config, **arguments), folder

    return run


def digest(folder, name="model.safetensors"):
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_a_run_directory(train):
    report, folder = train(argv=["nplm", "train"])
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [
            "baseline.safetensors", "checkpoint.safetensors", "config.json", "data",
            "metrics.jsonl", "model.safetensors", "report.json", "tokenizer.json", "unknown.tsv",
            "vocabulary.tsv",
        ]
    )  # fmt: skip
    assert [p.name for p in folder.parent.iterdir()] == ["run"]
    assert json.loads((folder / "report.json").read_text("utf-8")) == report
    record = json.loads((folder / "config.json").read_text("utf-8"))
    assert record["format_version"] == 1
    assert record["settings"]["training"]["lr"] == 0.002  # what was left open is filled in
    assert record["argv"] == ["nplm", "train"]
    assert record["environment"]["threads"] == 1
    assert Config.from_json(record["settings"], "x").model == SMALL.model
    summary = report["training"]
    weights = TensorFile(folder / "model.safetensors")
    assert summary["parameters"] == sum(weights[name].size for name in weights)
    assert (summary["epochs"], summary["stopped"]) == (2, "length")


def test_the_report_is_what_the_numpy_scorer_adds_up_to(train):
    report, folder = train()
    run = Run(folder)
    scorer = open_scorer(run)
    for name in ("valid", "test"):
        part = open_parts(folder / "data")[name]
        nll_N = scorer.nll(part, "sentence")
        assert report[name]["nll_nats_total"] == pytest.approx(nll_N.sum(), abs=1e-4)
        assert report[name]["ppl"] == pytest.approx(np.exp(nll_N.mean()), rel=1e-5)
        baseline = -run.baseline.log_probs(part.ids_N, context="sentence").sum()
        kneser_ney = report[name]["baselines"]["kneser_ney"]
        assert kneser_ney["nll_nats_total"] == pytest.approx(baseline, rel=1e-12)
        assert kneser_ney["order"] == 3


def test_the_ledger_of_a_text_is_that_of_the_report(train, tmp_path):
    """``evaluate_text`` on the text of the test part gives the report's figures again."""
    report, folder = train()
    run = Run(folder)
    part = open_parts(folder / "data")["test"]
    tokens = np.array(run.vocabulary.tokens)
    spans = zip(part.starts[:-1], part.starts[1:], strict=True)
    lines = [" ".join(tokens[part.ids_N[a : b - 1]]) for a, b in spans]
    (tmp_path / "t.txt").write_text("\n".join(lines), "utf-8")  # no newline at the end
    again = measure.evaluate_text(
        run, [str(tmp_path / "t.txt")], corpus_changes={"format": "segmented"}, device="cpu"
    )
    for key in ("words", "sentences", "predictions", "oov"):
        assert again[key] == report["test"][key], key
    for key in ("nll_nats_total", "ppl", "ppl_without_eos", "ppl_excluding_oov"):
        assert again[key] == pytest.approx(report["test"][key], rel=1e-6), key


@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_interrupted_and_resumed(train, context):
    config = SMALL.replace(context=context, bptt=8)
    _, straight = train("straight", config)
    calls = iter(range(5))
    with pytest.raises(Interrupted):
        train("broken", config, interrupted=lambda: next(calls, None) is None)
    broken = straight.parent / "broken"
    assert not (broken / "report.json").exists()
    report = pipeline.resume(broken)
    assert digest(broken) == digest(straight)
    assert digest(broken, "vocabulary.tsv") == digest(straight, "vocabulary.tsv")
    expected = json.loads((straight / "report.json").read_text("utf-8"))
    for each in (report, expected):
        each["training"].pop("seconds")
        each.pop("run")
    assert report == expected


def test_a_run_is_lengthened(train):
    config = SMALL.replace(schedule="constant", warmup=0.0)
    _, straight = train("straight", config.replace(epochs=4))
    _, other = train("other", config)
    report = pipeline.resume(other, changes={"epochs": 4})
    assert report["training"]["epochs"] == 4
    assert digest(other) == digest(straight)
    settings = json.loads((other / "config.json").read_text("utf-8"))["settings"]
    assert settings["training"]["epochs"] == 4


def test_a_changed_text_is_not_resumed(train, tmp_path):
    source = tmp_path / "own.txt"
    source.write_text("".join(f"a b c d{i} b c\n" for i in range(60)), "utf-8")
    _, folder = train(source=source)
    source.write_text("a b c\n" * 30, "utf-8")
    with pytest.raises(InputError, match="has changed"):
        pipeline.resume(folder)
    source.unlink()
    told = []
    pipeline.resume(folder, on_event=told.append)
    assert any("is gone" in e.text for e in told if isinstance(e, events.Message))


def test_what_stands_in_the_way(train, tmp_path):
    _, folder = train(config=SMALL.replace(steps=1, epochs=None))
    before = digest(folder)
    with pytest.raises(ConfigError, match=r"holds a run already: --resume goes on .* --force"):
        train()
    assert digest(folder) == before
    train(config=SMALL.replace(steps=1, epochs=None, seed=2), force=True)
    assert digest(folder) != before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="no run of nplm"):
        train("other", force=True)
    assert (tmp_path / "other" / "thesis.tex").exists()
    (tmp_path / "plain").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        train("plain", force=True)


def test_an_input_error_leaves_nothing_behind_and_an_old_run_alone(train, tmp_path):
    with pytest.raises(InputError):
        train(source=tmp_path / "missing.txt")
    assert list(tmp_path.iterdir()) == []
    _, folder = train(config=SMALL.replace(steps=1, epochs=None))
    before = digest(folder)
    with pytest.raises(InputError):
        train(source=tmp_path / "missing.txt", force=True)
    assert digest(folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("freeze", [True, False])
def test_pretrained_vectors(train, tmp_path, freeze):
    path = tmp_path / "vectors.txt"
    path.write_text("3 4\nw1 1 2 3 4\nzebra 9 9 9 9\nw2 -1 -2 -3 -4\n", "utf-8")
    told = []
    config = SMALL.replace(vectors=str(path), freeze_vectors=freeze)
    _, folder = train(config=config, on_event=told.append)
    run = Run(folder)
    table = run.weights["embedding.weight"]
    rows = table[run.vocabulary.encode(["w1", "w2"])]
    expected = np.array([[1, 2, 3, 4], [-1, -2, -3, -4]], np.float32)
    if freeze:
        np.testing.assert_array_equal(rows, expected)
    else:
        assert 0 < abs(rows - expected).max() < 0.5
    assert abs(table[run.vocabulary.encode(["w3"])]).max() < 1
    assert any("vectors for 2 of 22 words" in e.text for e in told if isinstance(e, events.Message))


def test_pretrained_vectors_of_another_dimension(train, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("1 3\nw1 1 2 3\n", "utf-8")
    with pytest.raises(ConfigError, match="3 dimensions, --dim is 4: give --dim 3"):
        train(config=SMALL.replace(vectors=str(path)))


def test_an_ngram_run(train):
    report, folder = train(config=SMALL.replace(arch="ngram", order=3))
    valid = report["valid"]
    assert valid["ppl"] == pytest.approx(valid["baselines"]["kneser_ney"]["ppl"], rel=1e-12)
    assert valid["ppl_ratio_to_kneser_ney"] == {"ratio": 1.0, "interval_95": [1.0, 1.0]}
    with pytest.raises(ArtifactError, match="no word vectors"):
        Run(folder).keyed_vectors()


def test_zero_init_is_warned_of(train):
    told = []
    train(config=SMALL.replace(init="zero", steps=1, epochs=None), on_event=told.append)
    assert any(e.warning and "stay equal" in e.text for e in told if isinstance(e, events.Message))


def test_without_a_split_there_is_nothing_to_report(train):
    report, _ = train(config=SMALL.replace(split_by="none"))
    assert (report["valid"], report["test"]) == (None, None)
