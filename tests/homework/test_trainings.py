"""The processes that train: how many, how long they will take, what is said when one ends."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from nplm_cli.config import Config
from nplm_cli.errors import InputError, TrainingError
from nplm_cli.homework import trainings
from nplm_cli.homework.plan import PlannedRun


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
