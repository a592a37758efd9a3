"""All stages in a row: a run directory, interrupted or not, and what its report says."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from nplm_cli import events, measure, pipeline, placement, text_probabilities
from nplm_cli.artifacts import TensorFile
from nplm_cli.config import Config
from nplm_cli.corpus.preparation import Sources
from nplm_cli.corpus.shards import open_parts
from nplm_cli.errors import ArtifactError, ConfigError, InputError, TrainingError
from nplm_cli.locking import exclusive
from nplm_cli.ngram import NgramModel
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer
from nplm_cli.training import session
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
    assert Config.from_json(record["settings"], "x").model == SMALL.model.resolved()
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


def test_numpy_reads_short_texts_and_torch_the_others(train, tmp_path, monkeypatch):
    _, folder = train()
    run = Run(folder)
    (tmp_path / "t.txt").write_text("a b c\nb\n", "utf-8")
    part = measure.read_text(run, [str(tmp_path / "t.txt")], {"format": "segmented"})
    parameters = sum(weight.size for weight in (run.weights[name] for name in run.weights))
    work = part.predictions * parameters
    found = {}
    for limit in (work, work - 1):
        monkeypatch.setattr(text_probabilities, "NUMPY_WORK", limit)
        assert text_probabilities.numpy_is_sooner(run, part, "auto") == (limit == work)
        assert not text_probabilities.numpy_is_sooner(run, part, "cuda")
        found[limit] = text_probabilities.text_log_probs([run], part, "sentence", device="cpu")[0]
    expected = open_scorer(run).nll(part, "sentence")
    np.testing.assert_array_equal(found[work], 0.0 - expected)
    np.testing.assert_allclose(found[work - 1], -expected, atol=1e-5)
    figures = {}
    for limit, engine in ((work, "numpy"), (work - 1, "torch")):
        monkeypatch.setattr(text_probabilities, "NUMPY_WORK", limit)
        text, format = [str(tmp_path / "t.txt")], {"format": "segmented"}
        figures[engine] = measure.evaluate_text(run, text, corpus_changes=format, device="cpu")
        assert figures[engine]["engine"] == engine
    assert figures["numpy"]["ppl"] == pytest.approx(figures["torch"]["ppl"], rel=1e-5)


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


@pytest.mark.parametrize("when", ["last evaluation", "evaluating valid", "evaluating test"])
def test_interrupted_during_the_report(train, when):
    """What the last step left nobody asked about is asked; going on writes the report alone."""
    config, pressed, steps = SMALL.replace(epochs=1), [], []
    _, straight = train("straight", config)

    def press(event):
        name = "last evaluation" if isinstance(event, events.Evaluated) else None
        if isinstance(event, events.Progress):
            name = event.what
        pressed.extend([True] * (name == when))

    with pytest.raises(KeyboardInterrupt, match=r"nplm train --resume -o \S*broken") as raised:
        train("broken", config, on_event=press, interrupted=lambda: bool(pressed))
    assert not isinstance(raised.value, Interrupted)  # that one is of a step
    assert "trained" in str(raised.value)
    broken = straight.parent / "broken"
    assert not (broken / "report.json").exists()
    weights = digest(broken)
    assert weights == digest(straight)
    report = pipeline.resume(
        broken, on_event=lambda event: steps.append(isinstance(event, events.Evaluated))
    )
    assert not any(steps)
    assert digest(broken) == weights
    expected = json.loads((straight / "report.json").read_text("utf-8"))
    assert (report["valid"], report["test"]) == (expected["valid"], expected["test"])


def test_an_evaluation_for_the_report_ends_after_a_batch(train, monkeypatch):
    from nplm_cli.evaluation import evaluator

    pressed, ended, real = [], [], evaluator.evaluate

    def pressing(*arguments, **options):
        pressed.append(True)
        ended.append(real(*arguments, **options))
        return ended[-1]

    monkeypatch.setattr(evaluator, "evaluate", pressing)
    with pytest.raises(KeyboardInterrupt, match="--resume"):
        train(interrupted=lambda: bool(pressed))
    assert (len(pressed), len(ended)) == (1, 0)


def test_a_run_is_lengthened(train):
    config = SMALL.replace(schedule="constant", warmup=0.0)
    _, straight = train("straight", config.replace(epochs=4))
    _, other = train("other", config)
    report = pipeline.resume(other, changes={"epochs": 4})
    assert report["training"]["epochs"] == 4
    assert digest(other) == digest(straight)
    settings = json.loads((other / "config.json").read_text("utf-8"))["settings"]
    assert settings["training"]["epochs"] == 4


def test_only_the_length_of_a_resumed_training_is_kept(train):
    """Where and how often it saves is for this time only, and lengthens nothing."""
    config = SMALL.replace(epochs=50, patience=1, tolerance=100.0)
    report, folder = train(config=config)
    assert report["training"]["stopped"] == "converged"
    before = (folder / "config.json").read_bytes(), digest(folder)
    metrics = (folder / "metrics.jsonl").read_bytes()
    again = pipeline.resume(folder, changes={"checkpoint_every": 0.0, "device": "cpu"})
    assert again["training"]["stopped"] == "converged"
    assert again["training"]["steps"] == report["training"]["steps"]
    assert ((folder / "config.json").read_bytes(), digest(folder)) == before
    assert (folder / "metrics.jsonl").read_bytes() == metrics
    longer = pipeline.resume(folder, changes={"patience": 3, "checkpoint_every": 7.0})
    assert longer["training"]["steps"] > report["training"]["steps"]
    training = json.loads((folder / "config.json").read_text("utf-8"))["settings"]["training"]
    assert training["patience"] == 3
    assert training["checkpoint_every"] == SMALL.training.checkpoint_every


def test_a_report_of_other_weights_is_removed(train):
    """While a training runs, or stands interrupted, no report speaks of it."""
    _, folder = train()
    stale = (folder / "report.json").read_bytes()
    with pytest.raises(Interrupted):
        pipeline.resume(folder, changes={"epochs": 4}, interrupted=lambda: True)
    assert not (folder / "report.json").exists()
    pipeline.resume(folder)
    assert (folder / "report.json").read_bytes() != stale


def test_what_fails_before_it_trains_leaves_the_report(train):
    _, folder = train()
    before = (folder / "report.json").read_bytes(), (folder / "config.json").read_bytes()
    with pytest.raises(ConfigError):
        pipeline.resume(folder, changes={"epochs": 4, "device": "cuda:99"})
    assert ((folder / "report.json").read_bytes(), (folder / "config.json").read_bytes()) == before


def test_memory_is_asked_for_before_an_old_run_gives_way(train, monkeypatch):
    from nplm_cli.training import devices

    _, folder = train(config=SMALL.replace(steps=1, epochs=None))
    before = digest(folder)
    monkeypatch.setattr(devices, "_free_memory", lambda device: 1000)
    monkeypatch.setattr(
        "nplm_cli.training.session.build", lambda *a: pytest.fail("the network was built")
    )
    with pytest.raises(TrainingError, match="MiB are free"):
        train(force=True)
    assert digest(folder) == before
    assert [p.name for p in folder.parent.iterdir()] == ["run"]
    with pytest.raises(TrainingError, match="MiB are free"):
        pipeline.resume(folder)
    assert (folder / "report.json").exists()


# --- one writer at a time -----------------------------------------------------------------------

HOLDS = """
import sys
from pathlib import Path
from nplm_cli.locking import exclusive

with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
locks = pytest.mark.skipif(os.name == "nt", reason="no file locks")


@locks
def test_a_second_writer_is_told(train, tmp_path):
    _, folder = train()
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with exclusive(folder.resolve()):
        for write in (lambda: train(force=True), train, lambda: pipeline.resume(folder)):
            with pytest.raises(ConfigError, match="is being written by another nplm") as caught:
                write()
            assert f"process {os.getpid()}" in str(caught.value)
        with pytest.raises(ConfigError, match="is being written by another nplm"):
            pipeline.resume(tmp_path / "." / "run")
        train("other")  # only this folder is held
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "run"]
    pipeline.resume(folder)


@locks
def test_the_lock_ends_with_its_process(train, tmp_path):
    _, folder = train()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder.resolve())],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=f"by another nplm .process {other.pid}."):
            pipeline.resume(folder)
        other.kill()
    assert (tmp_path / ".run.lock").exists()  # it had no time to tidy up
    pipeline.resume(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_an_error_gives_the_lock_back(train, tmp_path):
    for _ in range(2):
        with pytest.raises(InputError, match=r"missing\.txt"):
            train(source=tmp_path / "missing.txt")
        assert list(tmp_path.iterdir()) == []


def test_an_old_run_is_restored_when_the_new_one_cannot_take_its_place(train, monkeypatch):
    _, folder = train(config=SMALL.replace(steps=1, epochs=None))
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    real, moves = os.replace, []

    def failing(source, target):
        if str(folder) in (str(source), str(target)):
            moves.append((str(source), str(target)))
            if len(moves) == 2:
                raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(placement.os, "replace", failing)
    with pytest.raises(OSError, match="No space left"):
        train(config=SMALL.replace(seed=2), force=True)
    assert len(moves) == 3  # away, not into place, back
    assert moves[0] == moves[2][::-1]
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["run"]


def test_an_old_run_is_restored_when_its_successor_was_killed(train):
    """SIGKILL between the two moves: the next command finds the old run where it was."""
    _, folder = train()
    before = digest(folder)
    os.replace(folder, placement.old_folder(folder))
    pipeline.resume(folder)
    assert digest(folder) == before
    os.replace(folder, placement.old_folder(folder))
    with pytest.raises(ConfigError, match="holds a run already"):
        train()
    assert [p.name for p in folder.parent.iterdir()] == ["run"]


def test_where_you_stand_is_no_place_for_a_run(train, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ConfigError, match="is where you stand"):
        train("here")


# --- what it resumes from -----------------------------------------------------------------------


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


def test_pretrained_vectors_are_not_read_again(train, tmp_path):
    """The checkpoint holds what became of them; without one they are needed."""
    path = tmp_path / "vectors.txt"
    path.write_text("1 4\nw1 1 2 3 4\n", "utf-8")
    config = SMALL.replace(vectors=str(path), schedule="constant", warmup=0.0)
    _, straight = train("straight", config.replace(epochs=3))
    _, folder = train(config=config)
    path.unlink()
    pipeline.resume(folder, changes={"epochs": 3})
    assert digest(folder) == digest(straight)
    (folder / "checkpoint.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"vectors\.txt: no such file"):
        pipeline.resume(folder)


def test_pretrained_vectors_of_another_dimension(train, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("1 3\nw1 1 2 3\n", "utf-8")
    with pytest.raises(ConfigError, match="3 dimensions, --dim is 4: give --dim 3"):
        train(config=SMALL.replace(vectors=str(path)))


@pytest.mark.parametrize("arch", ["ffn", "ngram"])
@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_the_baseline_reads_the_text_as_the_model_does(tmp_path, arch, context):
    """Same policy, same file starts: windows neither cross what the model's do not, nor stop."""
    random = np.random.default_rng(3)
    sources = []
    for number in range(12):
        sources.append(tmp_path / f"{number:02}.txt")
        words = random.zipf(1.4, (8, 5)).clip(max=9)
        sources[-1].write_text("\n".join(" ".join(f"w{w}" for w in s) for s in words), "utf-8")
    config = SMALL.replace(
        context=context, arch=arch, split_by="none", steps=1, epochs=None, baseline_order=3,
        smoothing="kn",
    )  # fmt: skip
    folder = tmp_path / "run"
    pipeline.train(Sources(train=tuple(map(str, sources))), folder, config)
    run, part = Run(folder), open_parts(folder / "data")["train"]
    assert len(part.file_starts) == 12
    settings = {"order": 3, "vocab_size": len(run.vocabulary), "smoothing": "kn"}
    by_hand = NgramModel.train(
        part.ids_N, context=context, file_starts=part.file_starts, **settings
    )
    found = [TensorFile(folder / "baseline.safetensors")]
    if arch == "ngram":
        found.append(TensorFile(folder / "model.safetensors"))
    for file in found:
        assert set(file.keys()) == set(by_hand.tensors())
        for name, array in by_hand.tensors().items():
            np.testing.assert_array_equal(file[name], array, err_msg=name)
    nll_N = -by_hand.log_probs(part.ids_N, context=context, file_starts=part.file_starts)
    np.testing.assert_array_equal(-run.baseline.log_probs(
        part.ids_N, context=context, file_starts=part.file_starts
    ), nll_N)  # fmt: skip
    # The comparison has teeth: other readings count other n-grams.
    other = {"sentence": "stream", "stream": "sentence"}[context]
    for arguments in (
        {"context": other, "file_starts": part.file_starts},
        *([{"context": context, "file_starts": None}] if context == "stream" else []),
    ):
        tensors = NgramModel.train(part.ids_N, **arguments, **settings).tensors()
        same = [np.array_equal(tensors[name], array) for name, array in by_hand.tensors().items()]
        assert not all(same)


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


def test_another_precision_on_resume_is_said_and_stored(train):
    """Then the weights are not those of a training that never stopped."""
    _, folder = train(config=SMALL.replace(epochs=None, steps=3, precision="bf16"))
    before = json.loads((folder / "config.json").read_text("utf-8"))["environment"]
    assert before["precision"] == "bf16"
    said = []
    pipeline.resume(folder, changes={"steps": 5, "precision": "fp32"}, on_event=said.append)
    record = json.loads((folder / "config.json").read_text("utf-8"))
    assert record["environment"] == {**before, "precision": "fp32"}
    assert record["settings"]["training"]["precision"] == "fp32"  # it stays for whoever goes on
    warned = [e.text for e in said if isinstance(e, events.Message) and e.warning]
    assert any("began in bf16" in text for text in warned)


def test_a_length_that_lies_behind_is_said(train):
    _, folder = train(config=SMALL.replace(epochs=None, steps=6))
    said = []
    pipeline.resume(folder, changes={"steps": 4}, on_event=said.append)
    [text] = [e.text for e in said if isinstance(e, events.Message) and e.warning]
    assert text == "step 6 is done, the new length ends at step 4: nothing more is trained"
    said.clear()
    pipeline.resume(folder, changes={"steps": 6}, on_event=said.append)
    assert not [e for e in said if isinstance(e, events.Message) and e.warning]


def test_threads_on_resume(train, monkeypatch):
    """No more than there are cores, unless the user asks; the bytes are others then."""
    _, folder = train(config=SMALL.replace(epochs=None, steps=3, threads=None))
    path = folder / "config.json"
    record = json.loads(path.read_text("utf-8"))
    record["environment"]["threads"] = 64
    path.write_text(json.dumps(record), "utf-8")
    monkeypatch.setattr(session, "available_cores", lambda: 2)
    used = []
    monkeypatch.setattr(session.torch, "set_num_threads", used.append)

    def warned(**changes):
        said = []
        pipeline.resume(folder, changes=changes, on_event=said.append)
        return [e.text for e in said if isinstance(e, events.Message) and e.warning]

    [text] = warned(steps=4)
    assert "began with 64 threads, it goes on with 2" in text
    [text] = warned(steps=5, threads=3)
    assert "goes on with 3" in text
    assert warned(steps=6, threads=64) == []
    assert used == [2, 3, 64]
    assert json.loads(path.read_text("utf-8"))["environment"]["threads"] == 64
    assert json.loads(path.read_text("utf-8"))["settings"]["training"]["threads"] is None


def test_a_resume_that_changes_nothing_leaves_the_settings_alone(train):
    _, folder = train()
    before = (folder / "config.json").read_bytes()
    pipeline.resume(folder)
    assert (folder / "config.json").read_bytes() == before
