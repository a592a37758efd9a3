"""The processes that train: how many, how long they will take, what is said when one ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from nplm_cli import pipeline
from nplm_cli.artifacts import write_tensors
from nplm_cli.config import Config
from nplm_cli.corpus.preparation import Sources
from nplm_cli.errors import InputError, TrainingError
from nplm_cli.homework import trainings
from nplm_cli.homework.plan import PlannedRun
from nplm_cli.homework.worker import weights_are_lost


def run(arch="ffn", seed=1):
    return PlannedRun("first", arch, seed, Path(f"{arch}-{seed}"), Config())


@pytest.fixture
def worker():
    """A worker whose process has ended already."""
    made = []

    def make(arch="ffn", seed=1, code="", share=0.0, took=0.0):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        process.communicate()
        stderr = tempfile.TemporaryFile()  # noqa: SIM115
        began = time.monotonic() - took
        made.append(trainings.Worker(run(arch, seed), process, stderr, began))
        made[-1].share_at_start, made[-1].share = 0.0, share
        return made[-1]

    yield make
    for one in made:
        one.stderr.close()


@pytest.mark.parametrize(
    ("asked", "cores", "runs", "gpu", "expected"),
    [(None, 2, 9, False, 2), (None, 16, 9, False, 9), (None, 16, 9, True, 1), (4, 2, 9, True, 4)],
)
def test_as_many_at_a_time_as_there_are_cores_and_one_on_a_gpu(asked, cores, runs, gpu, expected):
    assert trainings.worker_count(asked, cores, runs, on_gpu=gpu) == expected


def test_time_left_gives_each_waiting_run_to_the_worker_that_is_free_first(worker):
    timing = trainings.Timing({"ffn": [100.0], "lstm": [200.0]})
    running = [worker("ffn", 2, share=0.5, took=50.0), worker("lstm", 1, share=0.25, took=50.0)]
    # 50 s and 150 s are left; then ffn (100) begins at 50, lstm (200) at 150 on either.
    left = trainings._seconds_left([run("ffn", 3), run("lstm", 3)], running, 2, timing)
    assert left == pytest.approx(350, abs=1)


def test_time_left_of_a_first_run_is_unknown_until_it_has_come_some_way(worker):
    running = [worker(share=0.01, took=5.0)]
    assert trainings._seconds_left([], running, 1, trainings.Timing()) is None
    running[0].share = 0.5
    assert trainings._seconds_left([], running, 1, trainings.Timing()) == pytest.approx(5, abs=0.5)


def test_a_run_never_timed_is_guessed_from_the_others(worker):
    running = [worker("lstm", 1, share=0.5, took=10.0)]
    left = trainings._seconds_left([run("lstm", 2)], running, 1, trainings.Timing())
    assert left == pytest.approx(30, abs=1)


def test_a_killed_process_is_told_from_a_failed_one(worker):
    killed = worker(code="import os; os.kill(os.getpid(), 9)")
    with pytest.raises(TrainingError, match=r"ffn seed 1: its process was killed.*--workers 1"):
        trainings._check_ended(killed)
    broken = worker("rnn", 2, code="raise SystemExit(3)")
    broken.stderr.write(b"Traceback\nRuntimeError: odd\n")
    with pytest.raises(TrainingError, match=r"rnn seed 2: .*code 3: RuntimeError: odd"):
        trainings._check_ended(broken)


def test_what_a_training_says_of_its_end_is_raised(worker):
    failed = worker(code="raise SystemExit(2)")
    trainings._take_in(failed, {"what": "failed", "text": "no text", "code": 2}, print)
    with pytest.raises(InputError, match="ffn seed 1: no text"):
        trainings._check_ended(failed)
    diverged = worker(code="raise SystemExit(1)")
    trainings._take_in(diverged, {"what": "failed", "text": "nan", "code": 1}, print)
    with pytest.raises(TrainingError, match="nan"):
        trainings._check_ended(diverged)


STUCK = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); time.sleep(600)"


@pytest.fixture
def stuck():
    """Workers that neither Ctrl-C nor the end of their input stops; the last one stands still."""
    made = []
    for seed in (1, 2, 3, 4):
        process = subprocess.Popen(
            [sys.executable, "-c", STUCK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        stderr = tempfile.TemporaryFile()  # noqa: SIM115
        made.append(trainings.Worker(run(seed=seed), process, stderr, time.monotonic()))
    for one in made:
        one.process.stdout.readline()
    os.kill(made[-1].process.pid, signal.SIGSTOP)
    yield made
    for one in made:
        one.process.kill()
        one.process.wait()
        for file in (one.process.stdin, one.process.stdout, one.stderr):
            file.close()


@contextlib.contextmanager
def ctrl_c_after(seconds):
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGINT, old)


def exit_codes(workers):
    return [one.process.poll() for one in workers]


def test_ctrl_c_while_trainings_are_stopped_kills_all_that_are_left(stuck):
    with ctrl_c_after(0.3), pytest.raises(KeyboardInterrupt):
        trainings._stop_all(stuck, 60.0)
    assert exit_codes(stuck) == [-signal.SIGKILL] * 4


def test_all_trainings_have_the_same_time_to_stop(stuck, worker):
    began = time.monotonic()
    ended = worker()
    trainings._stop_all([*stuck, ended], 1.0)
    assert 1 <= time.monotonic() - began < 3  # each in turn: 4
    assert exit_codes([*stuck, ended]) == [-signal.SIGKILL] * 4 + [0]


def test_a_second_ctrl_c_before_anybody_looked_kills_at_once(stuck, monkeypatch):
    monkeypatch.setattr(trainings, "_start", lambda *_: stuck[-1])
    pressed = []

    def interrupted():
        pressed.append(True)
        if len(pressed) == 2:  # when one is running
            raise KeyboardInterrupt
        return len(pressed) > 2

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        trainings.train_all([run()], 1, interrupted=interrupted)
    assert time.monotonic() - began < 30
    assert stuck[-1].process.poll() == -signal.SIGKILL


def test_a_worker_imports_nothing_from_the_folder_where_the_user_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("random", "numpy", "json", "nplm_cli"):
        Path(f"{name}.py").write_text("open('executed', 'w'); raise SystemExit(77)", "utf-8")
    nothing = PlannedRun("first", "ffn", 1, Path("runs/none"), Config())
    with pytest.raises(InputError, match=r"ffn seed 1: .*none"):
        trainings.train_all([nothing], 1)
    assert not Path("executed").exists()


@pytest.mark.slow
def test_a_run_whose_weights_are_gone_is_not_finished(tmp_path):
    # What is learned from the one text makes the other one worse: the first step is the best.
    (tmp_path / "train.txt").write_text("a a a a b\n" * 20, "utf-8")
    (tmp_path / "valid.txt").write_text("b b b b b\n", "utf-8")
    config = Config().replace(dim=4, hidden=4, order=3, steps=6, eval_every=1, lr=0.1, patience=0)
    sources = Sources((str(tmp_path / "train.txt"),), (str(tmp_path / "valid.txt"),))
    report = pipeline.train(sources, tmp_path / "ffn-1", config)
    assert report["training"]["best_step"] < report["training"]["steps"] == 6
    weights = tmp_path / "ffn-1" / "model.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    told = []
    planned = PlannedRun("first", "ffn", 1, tmp_path / "ffn-1", config)
    trainings.train_all([planned], 1, on_event=told.append)
    assert weights.read_bytes() == before
    again = json.loads((tmp_path / "ffn-1" / "report.json").read_text("utf-8"))
    assert again["valid"] == report["valid"]
    assert len((tmp_path / "ffn-1" / "metrics.jsonl").read_text("utf-8").splitlines()) == 6
    assert any("weights are gone" in getattr(event, "text", "") for event in told)


@pytest.mark.parametrize(
    ("best", "step", "lost"),
    [(2, 6, True), (6, 6, False), (0, 6, False), (0, 0, False), ("2", 6, False)],
)
def test_weights_are_lost_where_the_checkpoint_is_of_a_later_step(tmp_path, best, step, lost):
    assert not weights_are_lost(tmp_path)
    progress = json.dumps({"best_step": best, "step": step})
    write_tensors(tmp_path / "checkpoint.safetensors", {}, {"progress": progress})
    assert weights_are_lost(tmp_path) is lost
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert not weights_are_lost(tmp_path)


def test_a_damaged_checkpoint_is_left_to_the_training_to_name(tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"damaged")
    assert not weights_are_lost(tmp_path)
