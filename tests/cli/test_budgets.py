"""``nplm train --budget`` and other lengths: what is said, and how it goes on."""

import json
import signal

import numpy as np
import pytest

from nplm_cli import pipeline
from nplm_cli.training import length

LOUD = ("--dim", "4", "--hidden", "6", "--order", "3", "--threads", "1")


@pytest.fixture(autouse=True)
def _a_process_of_its_own(monkeypatch):
    """What the other tests took is no part of a budget."""
    monkeypatch.setattr("nplm_cli.cli.train_command.process_age", lambda: 0.0)


def said(result):
    return [line.removeprefix("nplm: ") for line in result.err.splitlines()]


def one(result, *parts):
    """The line on stderr that has all parts."""
    [line] = [line for line in said(result) if all(part in line for part in parts)]
    return line


def settings(run):
    return json.loads((run / "config.json").read_text("utf-8"))["settings"]["training"]


# --- patience -----------------------------------------------------------------------------------


def test_without_validation_text_a_budget_is_used(nplm, texts, tmp_path):
    run, line = tmp_path / "run", (texts / "seg.txt", *LOUD, "--tolerance", "100")
    line += ("--budget", "2s", "--split-by", "none")
    result = nplm("train", *line, "-o", run, "--json").ok()
    one(result, "no validation text: --patience 0")
    assert settings(run)["patience"] == 0
    assert result.json["training"]["stopped"] == "budget"
    assert result.json["valid"] is None


@pytest.mark.parametrize(
    "options",
    [
        ["--budget", "30s", "--split-by", "none", "--patience", "1"],
        ["--budget", "30s", "--patience", "1", "--eval-every", "5"],
        ["--epochs", "1000", "--split-by", "none"],
    ],
    ids=" ".join,
)
def test_who_stops_early_says_so(nplm, texts, tmp_path, monkeypatch, options):
    """The user's patience, or validation text to be patient with; the cure works."""
    monkeypatch.setattr(length, "EVALUATION_SHARE", 1e9)  # however slow the disk is
    run = tmp_path / "run"
    line = (texts / "seg.txt", "-o", run, *LOUD, "--tolerance", "100", *options)
    result = nplm("train", *line, "--json").ok()
    training = result.json["training"]
    assert training["stopped"] == "converged"
    end = one(result, f"ended at step {training['steps']:,}, before {options[0]} {options[1]}: ")
    assert end.endswith("--patience 0 trains to the end")
    assert "patience 0, so" not in result.err
    longer = ("--patience", "0", "--steps", training["steps"] + 3)
    again = nplm("train", "--resume", "-o", run, *longer, "--json").ok()
    assert again.json["training"]["stopped"] == "length"


def test_settings_of_a_file_keep_their_patience(nplm, texts, tmp_path, monkeypatch):
    """A file of settings has chosen everything."""
    monkeypatch.setattr(length, "EVALUATION_SHARE", 1e9)
    first, run = tmp_path / "first", tmp_path / "run"
    line = (texts / "seg.txt", *LOUD, "-q", "--split-by", "none", "--steps", 2)
    nplm("train", *line, "-o", first).ok()
    options = ("--budget", "30s", "--tolerance", "100")
    config = ("--config", first / "config.json")
    result = nplm("train", texts / "seg.txt", "-o", run, *config, *options, "--json").ok()
    assert result.json["training"]["stopped"] == "converged"
    assert settings(run)["patience"] == 2


# --- going on -----------------------------------------------------------------------------------


def test_a_used_up_budget_says_how_to_go_on(nplm, texts, tmp_path):
    run = tmp_path / "run"
    nplm("train", texts / "seg.txt", "-o", run, *LOUD, "--budget", "0.5s", "-q").ok()
    steps = json.loads((run / "report.json").read_text())["training"]["steps"]
    for again in (
        nplm("train", "--resume", "-o", run, "-q", "--json").ok(),
        nplm("train", "--resume", "-o", run, "-q", "--json", "--budget", "0.4s").ok(),
    ):
        assert again.json["training"]["steps"] == steps
        line = one(again, "warning: ", " is used up")
        assert f"(step {steps:,}, " in line
        assert f"nplm train --resume -o {run} --budget 1m" in line
    longer = nplm("train", "--resume", "-o", run, "--budget", "4s", "--json").ok()
    assert longer.json["training"]["steps"] > steps
    assert "used up" not in longer.err


def test_an_interrupted_training_whose_budget_is_over(nplm, texts, tmp_path):
    run = tmp_path / "run"
    nplm("train", texts / "seg.txt", "-o", run, *LOUD, "--steps", 2, "-q").ok()
    nplm("train", "--resume", "-o", run, "--budget", "0.01s", "-q").ok()
    result = nplm("train", "--resume", "-o", run, "--budget", "0.001s").ok()
    one(result, "--budget 0.001s is used up (step 2, ")


# --- Ctrl-C before the first step ---------------------------------------------------------------


def test_ctrl_c_after_the_text_was_read(nplm, texts, tmp_path, monkeypatch):
    """While the model is built, everything is still beside its place."""

    def pressed(*arguments, **others):
        raise KeyboardInterrupt

    from nplm_cli.training import session

    line = ("train", texts / "seg.txt", "-o", tmp_path / "run", *LOUD, "--steps", 2)
    with monkeypatch.context() as patch:
        patch.setattr(session, "build_network", pressed)
        result = nplm(*line)
    assert result.code == 130
    assert said(result)[-1] == "interrupted before the first step; nothing was written"
    with monkeypatch.context() as patch:
        patch.setattr(session, "open_trainer", pressed)
        result = nplm(*line)
    assert said(result)[-1] == (
        "interrupted before the first step; the text is read, and this trains on it: "
        f"nplm train --resume -o {tmp_path / 'run'}"
    )
    assert nplm("train", "--resume", "-o", tmp_path / "run", "-q").ok().out


def test_ctrl_c_before_an_old_run_gives_way(nplm, texts, tmp_path, monkeypatch):
    """The model in the folder is the old one: nothing goes on with it."""
    from nplm_cli.training import session

    def pressed(*arguments, **others):
        raise KeyboardInterrupt

    run = tmp_path / "run"
    line = ("train", texts / "seg.txt", "-o", run, *LOUD, "--steps", 2, "-q")
    nplm(*line).ok()
    monkeypatch.setattr(session, "build_network", pressed)
    result = nplm(*line, "--force")
    assert said(result)[-1] == f"interrupted before the first step; {run} is as it was"
    resumed = nplm("train", "--resume", "-o", run)
    assert said(resumed)[-1] == f"interrupted before the first step; {run} is as it was"
    (run / "report.json").unlink()  # as in a training that was interrupted
    resumed = nplm("train", "--resume", "-o", run)
    assert said(resumed)[-1].startswith("interrupted; the model so far is usable, and this goes on")


def test_ctrl_c_after_the_report(nplm, texts, tmp_path, monkeypatch):
    """All is there: nothing is to be gone on with."""
    write = pipeline.write_json

    def pressed(path, value):
        write(path, value)
        if path.name == "report.json":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(pipeline, "write_json", pressed)
    run = tmp_path / "my run"
    result = nplm("train", texts / "seg.txt", "-o", run, *LOUD, "--steps", 2, "-q")
    assert result.code == 130
    assert said(result)[-1] == f"interrupted, but {run} is finished: nplm info '{run}'"


# --- found early --------------------------------------------------------------------------------


@pytest.fixture
def unread(monkeypatch):
    """No text is read."""

    def read(*arguments, **others):
        raise AssertionError("the text was read first")

    monkeypatch.setattr(pipeline, "make_run", read)


def write_vectors(path, form, dim):
    words, rows_VD = ["我", "书"], np.ones((2, dim), np.float32)
    if form == "npy":
        np.save(path, rows_VD)
        path.with_name(path.stem + ".words.txt").write_text("我\n书\n", "utf-8")
        return
    header = b"" if form == "glove" else f"2 {dim}\n".encode()
    lines = []
    for word, row in zip(words, rows_VD, strict=True):
        text = row.tobytes() if form == "binary" else " ".join(map(str, row)).encode()
        lines.append(word.encode() + b" " + text + b"\n")
    path.write_bytes(header + b"".join(lines))


@pytest.mark.parametrize("form", ["word2vec", "glove", "binary", "npy"])
@pytest.mark.usefixtures("unread")
def test_vectors_of_another_dimension_are_refused_before_text_is_read(nplm, texts, tmp_path, form):
    path = tmp_path / "vectors.npy"
    write_vectors(path, form, 7)
    line = ("train", texts / "seg.txt", "-o", tmp_path / "run", *LOUD, "--vectors", path)
    nplm(*line).refused(str(path), "7 dimensions", "--dim is 4", "give --dim 7")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("unread")
def test_missing_vectors_are_missed_before_text_is_read(nplm, texts, tmp_path):
    line = ("train", texts / "seg.txt", "-o", tmp_path / "run", *LOUD, "--budget", "10m")
    nplm(*line, "--vectors", tmp_path / "none.vec").refused("none.vec", "no such file")


def test_vectors_of_the_dimension_are_taken(nplm, texts, tmp_path):
    write_vectors(tmp_path / "v.vec", "word2vec", 4)
    line = (texts / "seg.txt", "-o", tmp_path / "run", *LOUD, "--vectors", tmp_path / "v.vec")
    one(nplm("train", *line, "--steps", 2).ok(), "v.vec: vectors for 2 of ")


@pytest.mark.parametrize(("cutoffs", "warns"), [("4000,20000", True), ("20", False)])
def test_an_adaptive_softmax_without_clusters(nplm, texts, tmp_path, cutoffs, warns):
    line = ("train", texts / "seg.txt", "-o", tmp_path / "run", *LOUD, "--steps", 2, "-q")
    result = nplm(*line, "--softmax", "adaptive", "--cutoffs", cutoffs).ok()
    found = [text for text in said(result) if text.startswith("warning: --softmax adaptive: ")]
    assert len(found) == warns
    if warns:
        assert "4000,20000" in found[0]
        assert "this is the full softmax; give smaller --cutoffs" in found[0]


# --- a full disk --------------------------------------------------------------------------------


def test_a_full_disk_names_the_file_of_the_metrics(nplm, texts, tmp_path, monkeypatch):
    """A write that fails names no file by itself."""
    import errno

    from nplm_cli.training import store

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *exc):
            return None

        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    run = tmp_path / "run"
    monkeypatch.setattr(store, "open", lambda *a, **k: Full(), raising=False)
    result = nplm("train", texts / "seg.txt", "-o", run, *LOUD, "--steps", 2)
    assert result.code == 1
    full = f"{run / 'metrics.jsonl'}: No space left on device"
    cure = "; what was there is whole: make room and run it again (a training: --resume)"
    assert said(result)[-1] == full + cure
