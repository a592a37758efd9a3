"""Ctrl-C and SIGKILL: what is left is usable, and going on ends where the whole would have."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from nplm_cli import pipeline
from nplm_cli.artifacts import TensorFile
from nplm_cli.cli.interruption import SigintFlag

TINY = ["--dim", "8", "--hidden", "8", "--order", "3", "--threads", "1", "--batch", "8"]


@pytest.fixture
def start(environment):
    """Start a training in a process of its own; whatever is left of it is killed in the end."""
    processes = []

    def run(*line, **options):
        process = subprocess.Popen(
            [sys.executable, "-m", "nplm_cli", "train", *map(str, line)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            **options,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(condition, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


def step_of(run):
    """Steps done by the last checkpoint; 0 before there is one."""
    path = run / "checkpoint.safetensors"
    if not path.exists():
        return 0
    return json.loads(TensorFile(path, verify=False).metadata["progress"])["step"]


def test_ctrl_c_leaves_a_usable_model_and_says_how_to_go_on(start, nplm, texts, tmp_path):
    run = tmp_path / "run"
    process = start(
        texts / "seg.txt", "-o", run, *TINY, "--steps", 10**7, "--checkpoint-every", 0, "-q"
    )
    wait_for(lambda: step_of(run) > 3, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    told = err.decode().splitlines()
    assert process.returncode == 130
    assert out == b""
    assert "Traceback" not in err.decode()
    assert f"nplm train --resume -o {run}" in err.decode(), told
    assert not [p.name for p in run.iterdir() if p.name.endswith(".nplm-tmp")]
    assert os.listdir(tmp_path) == ["run"]

    assert nplm("score", run, "我 买 书", "--json").ok().json["words"] == 3
    assert nplm("neighbors", run, "书").code == 0
    info = nplm("info", run, "--json").ok().json
    assert info["finished"] is False
    step = step_of(run)
    result = nplm("train", "--resume", "-o", run, "--steps", step + 5, "-q", "--json").ok()
    assert result.json["training"]["steps"] == step + 5
    assert nplm("info", run, "--json").ok().json["finished"] is True


@pytest.mark.parametrize(("arch", "presses"), [("ffn", 1), ("ffn", 2), ("ngram", 1)])
def test_ctrl_c_during_the_report(nplm, train, texts, tmp_path, monkeypatch, arch, presses):
    """Whether it waits to be asked or acts at once, it ends with 130 and says what is missing."""
    run, done = tmp_path / "run", []

    def pressing(*arguments, **options):
        for _ in range(presses):
            signal.raise_signal(signal.SIGINT)
        done.append(part_ledger(*arguments, **options))
        return done[-1]

    part_ledger = pipeline.part_ledger
    monkeypatch.setattr(pipeline, "part_ledger", pressing)
    result = train(texts / "seg.txt", run, "--arch", arch)
    assert result.code == 130
    assert result.out == ""
    assert len(done) == (1 if (arch, presses) == ("ffn", 1) else 0)
    *_, last = result.err.splitlines()
    assert last == (
        "nplm: interrupted; the model is trained, its report is not written yet; this writes it: "
        f"nplm train --resume -o {run}"
    )
    assert not (run / "report.json").exists()
    monkeypatch.undo()
    nplm("train", "--resume", "-o", run, "-q").ok()
    assert json.loads((run / "report.json").read_text("utf-8"))["test"]["ppl"] > 1


def test_a_ctrl_c_that_nobody_asked_about_acts_in_the_end():
    def work(press, error=None):
        with SigintFlag() as pressed:
            assert not pressed()
            if press:
                signal.raise_signal(signal.SIGINT)
            if error:
                raise error

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        work(press=True)
    with pytest.raises(ZeroDivisionError):  # which says more
        work(press=True, error=ZeroDivisionError)
    work(press=False)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_reading_leaves_nothing(start, tmp_path):
    run = tmp_path / "runs" / "run"
    process = start("-", "-o", run, *TINY, stdin=subprocess.PIPE)
    process.stdin.write("今天 我 买 书 。\n".encode() * 2000)
    process.stdin.flush()
    staged = tmp_path / "runs" / ".run.nplm-tmp" / "data"
    wait_for(staged.exists, process)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.stdin.close()
    process.stdin = None
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err.decode()
    assert err.decode().count("interrupted") == 1
    assert "nothing was written" in err.decode()
    assert not list((tmp_path / "runs").iterdir())


def test_ctrl_c_while_an_old_run_is_replaced_keeps_it(start, train, texts, tmp_path, sha256):
    run = tmp_path / "run"
    train(texts / "seg.txt", run).ok()
    before = sha256(run / "model.safetensors")
    process = start("-", "-o", run, *TINY, "--force", stdin=subprocess.PIPE)
    wait_for((tmp_path / ".run.nplm-tmp" / "data").exists, process)
    process.send_signal(signal.SIGINT)
    process.stdin.close()
    process.stdin = None
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert os.listdir(tmp_path) == ["run"]
    assert sha256(run / "model.safetensors") == before


def test_ctrl_c_during_a_question_is_one_line(environment, ffn):
    process = subprocess.Popen(
        [sys.executable, "-m", "nplm_cli", "score", str(ffn), "-", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    with process:
        process.stdin.write(b"a\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        err = process.stderr.read().decode()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "nplm: interrupted"


LONG = ["--dropout", "0.3", "--epochs", "40", "--patience", "0", "-q"]


def measured(run):
    """Records of metrics.jsonl without what the clock says."""
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    clock = ("seconds", "tokens_per_second")
    return [{k: v for k, v in json.loads(line).items() if k not in clock} for line in lines]


def kill_and_resume(start, nplm, texts, tmp_path, sha256, options, kills, seed):
    whole, run = tmp_path / "whole", tmp_path / "run"
    nplm("train", texts / "seg.txt", "-o", whole, *TINY, *LONG, *options).ok()
    total = step_of(whole)
    points = sorted(random.Random(seed).sample(range(1, total * 9 // 10), kills))
    line = [texts / "seg.txt", "-o", run, *TINY, *LONG, *options, "--checkpoint-every", "0.02"]
    for point in points:
        process = start(*line)
        wait_for(lambda point=point: step_of(run) >= point, process)
        process.kill()
        process.communicate()
        assert step_of(run) < total, "killed too late to mean anything"
        line = ["--resume", "-o", run, "-q"]
    nplm("train", *line).ok()
    assert step_of(run) == total
    assert sha256(run / "model.safetensors") == sha256(whole / "model.safetensors"), points
    assert measured(run) == measured(whole)
    reports = [json.loads((r / "report.json").read_text("utf-8")) for r in (run, whole)]
    assert reports[0]["valid"] == reports[1]["valid"]
    assert not [p.name for p in run.iterdir() if p.name.endswith(".nplm-tmp")]
    assert sorted(os.listdir(tmp_path)) == ["run", "whole"]


@pytest.mark.slow
def test_sigkill_and_resume_give_the_same_bytes(start, nplm, texts, tmp_path, sha256):
    kill_and_resume(start, nplm, texts, tmp_path, sha256, [], 2, seed=5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        ["--context", "stream", "--bptt", "4", "--batch", "4"],
        ["--optimizer", "momentum"],
        ["--optimizer", "sgd", "--schedule", "plateau", "--lr", "1", "--eval-every", "7"],
        ["--optimizer", "adagrad"],
        ["--optimizer", "rmsprop", "--batch", "0", "--epochs", "400"],
    ],
    ids=" ".join,
)
def test_sigkill_and_resume_for_other_trainings(
    start, nplm, texts, tmp_path, sha256, options, seed
):
    kill_and_resume(start, nplm, texts, tmp_path, sha256, options, 2, seed)


def test_a_kill_before_the_first_checkpoint_leaves_no_broken_run(start, nplm, texts, tmp_path):
    run = tmp_path / "run"
    process = start("-", "-o", run, *TINY, "-q", stdin=subprocess.PIPE)
    wait_for((tmp_path / ".run.nplm-tmp" / "data").exists, process)
    process.kill()
    process.communicate()
    assert not run.exists()
    # The next training clears what the killed one left.
    nplm("train", texts / "seg.txt", "-o", run, *TINY, "--steps", 3, "-q").ok()
    assert os.listdir(tmp_path) == ["run"]


def test_resume_of_a_finished_run_changes_nothing(nplm, train, texts, tmp_path, sha256):
    run = tmp_path / "run"
    train(texts / "seg.txt", run).ok()
    before = sha256(run / "model.safetensors"), measured(run)
    nplm("train", "--resume", "-o", run, "-q").ok()
    assert (sha256(run / "model.safetensors"), measured(run)) == before


def test_resume_refuses_a_text_that_has_changed(nplm, train, tmp_path, sha256):
    run, text = tmp_path / "run", tmp_path / "t.txt"
    text.write_text("今天 我 买 书 。\n昨天 你 看见 猫 。\n" * 30, "utf-8")
    train(text, run).ok()
    before = sha256(run / "model.safetensors")
    text.write_text("昨天 你 看见 猫 。\n" * 30, "utf-8")
    nplm("train", "--resume", "-o", run, "--steps", 30, "-q").refused("t.txt", "changed", "--force")
    assert sha256(run / "model.safetensors") == before
    text.unlink()
    assert "gone" in nplm("train", "--resume", "-o", run, "--steps", 30).ok().err


def test_the_signal_handler_is_put_back(train, texts, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    train(texts / "seg.txt", tmp_path / "run").ok()
    assert signal.getsignal(signal.SIGINT) is before


def test_resume_refuses_other_vectors_and_another_vocabulary(nplm, train, texts, tmp_path):
    """Vectors count until the first checkpoint has them; the stored ids stand for words for ever."""
    run, vectors, words = tmp_path / "run", tmp_path / "v.txt", tmp_path / "words.tsv"
    vectors.write_text("书 0.1 0.2 0.3 0.4\n茶 0.4 0.3 0.2 0.1\n", "utf-8")
    nplm("vocab", texts / "seg.txt", "-o", words, "-q").ok()
    train(texts / "seg.txt", run, "--vectors", vectors, "--vocab", words).ok()
    (run / "checkpoint.safetensors").unlink()  # as after a kill before it was written
    vectors.write_text("书 0.1 0.2 0.3 0.5\n茶 0.4 0.3 0.2 0.1\n", "utf-8")
    words.unlink()  # the run has its own
    nplm("train", "--resume", "-o", run, "-q").refused("v.txt", "vectors have changed", "--force")
    vectors.write_text("书 0.1 0.2 0.3 0.4\n茶 0.4 0.3 0.2 0.1\n", "utf-8")
    nplm("train", "--resume", "-o", run, "-q").ok()
    vectors.unlink()  # no longer asked for
    own = (run / "vocabulary.tsv").read_text("utf-8")
    (run / "vocabulary.tsv").write_text(own.replace("书\t", "本\t"), "utf-8")
    nplm("train", "--resume", "-o", run, "-q").refused("vocabulary.tsv", "changed", "--force")
    (run / "vocabulary.tsv").write_text(own, "utf-8")
    nplm("train", "--resume", "-o", run, "-q").ok()


@pytest.mark.parametrize("part", ["valid", "test"])
def test_resume_refuses_another_text_to_measure(nplm, train, texts, tmp_path, part):
    run, text = tmp_path / "run", tmp_path / "t.txt"
    text.write_text("今天 我 买 书 。\n昨天 你 看见 猫 。\n" * 3, "utf-8")
    train(texts / "seg.txt", run, f"--{part}", text).ok()
    text.write_text("今天 我 买 书 。\n", "utf-8")
    nplm("train", "--resume", "-o", run, "-q").refused("t.txt", f"the {part} text has changed")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGHUP", marks=pytest.mark.slow)])
def test_a_batch_system_or_a_closed_terminal_ends_it_as_ctrl_c_does(start, texts, tmp_path, name):
    run = tmp_path / "run"
    process = start(
        *(texts / "seg.txt", "-o", run, *TINY, "--epochs", 5000, "--patience", 0),
        # Under nohup, as tests may be, a program that is started has no SIGHUP either.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    wait_for(lambda: (run / "checkpoint.safetensors").exists(), process)
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in err.decode().splitlines()[-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]
