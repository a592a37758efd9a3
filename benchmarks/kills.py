"""SIGKILL at random moments: does a training that is taken up again end as if nothing had been?

    python benchmarks/kills.py                         # 100 kills, five to ten minutes
    python benchmarks/kills.py --kills 20 --seed 3

`nplm train` runs in processes of its own, each killed after a random time (of the processor, where
the system tells it, so that a busy machine changes nothing), from its first moment (start, reading,
first weights, steps, checkpoints) to its last (the report). Then the same command starts anew where
there is no run yet, or `--resume` goes on. Every other training replaces an old run (--force).
Between the kills the run is asked: it answers, or there is none yet, or none of its weights. When a
training is through, all files are compared with those of one which nobody killed (sha256, without
the times of the clock: CLOCK in tests/faults/fault_loop.py), and nothing else may be left.
Exit status 1 when anything differs.
"""

import argparse
import collections
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import ROOT, describe, environment, use_checkout

use_checkout()
sys.path.insert(0, str(ROOT / "tests" / "faults"))

from fault_loop import CLOCK, check_silence, command, digests  # noqa: E402

from nplm_cli.artifacts import TensorFile  # noqa: E402

SAMPLES = ROOT / "sample_corpora" / "en" / "segmented"
SETTINGS = (
    "--dim", "16", "--hidden", "16", "--order", "3", "--threads", "1", "--batch", "32",
    "--dropout", "0.2", "--epochs", "6", "--eval-every", "40", "--checkpoint-every", "0.1", "-q",
    "--min-count", "2",
)  # fmt: skip
_POLL = 0.005
_STARTED: dict[int, float] = {}
QUESTION = "The old farmer sold three horses ."


class Difference(Exception):
    """What is not as in the training that nobody killed."""


def main() -> int:
    """Kill, resume, compare; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    options = parser.parse_args()
    print(describe(threads=1))
    folder = Path(tempfile.mkdtemp(prefix="nplm-kills-")).resolve()
    try:
        return _kill(folder, options.kills, random.Random(options.seed))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kill(folder: Path, wanted: int, draw: random.Random) -> int:
    place, old = folder / "place", folder / "old"
    place.mkdir()
    run = place / "run"
    _train("train", SAMPLES / "test.txt", "-o", old / "run", *SETTINGS, "--epochs", "1").wait()
    # With --force in a new place, too: the command line stands in config.json.
    words = ("train", SAMPLES / "valid.txt", "-o", run, *SETTINGS, "--force")
    process = _train(*words)
    whole = 0.0
    while process.poll() is None:
        whole = max(whole, _seconds(process))
        time.sleep(_POLL)
    if process.returncode:
        raise SystemExit("the training failed")
    expected = digests(place)
    print(f"reference {whole:.1f} s of the processor, {len(expected)} files and folders\n")
    kills = trainings = 0
    phases: collections.Counter[str] = collections.Counter()
    began = time.monotonic()
    while kills < wanted:
        shutil.rmtree(place)
        if trainings % 2:
            shutil.copytree(old, place)
        else:
            place.mkdir()
        before = _config(run)
        done = through = False
        while not done:
            resumed = _config(run) not in (None, before)
            process = _train(*(("train", "--resume", "-o", run, "-q") if resumed else words))
            if kills >= wanted:
                if process.wait():
                    raise Difference("the last command failed")
                break
            # A run that is through is killed once more at most, so that most kills hit the work.
            through, was_through = resumed and (run / "report.json").exists(), through
            limit = math.inf if through and was_through else draw.uniform(0, whole)
            while process.poll() is None and _seconds(process) < limit:
                time.sleep(_POLL)
            process.kill()
            code = process.wait()
            done = code == 0
            if code not in (0, -signal.SIGKILL):
                raise Difference(f"exit {code}")
            if not done:
                kills += 1
                phases[_phase(place, run, before)] += 1
                _ask(run)
        trainings += 1
        found = digests(place)
        if found != expected:
            names = sorted(
                n for n in {*found, *expected} if found.get(n, "-") != expected.get(n, "-")
            )
            print(f"after {kills} kills: {', '.join(names)}", file=sys.stderr)
            return 1
    for name, count in phases.most_common():
        print(f"{count:5}  killed {name}")
    print(
        f"\n{kills} kills in {trainings} trainings, {time.monotonic() - began:.0f} s: all "
        f"{len(expected)} files and folders as in the training that nobody killed"
    )
    clock = (
        f"{name} ({', '.join(keys)})" for name, keys in CLOCK.items() if name != "results.json"
    )
    print(f"not compared, for the clock tells them: {'; '.join(clock)}")
    return 0


def _train(*words: object) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "nplm_cli", *map(str, words)], env=environment(),
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _STARTED[process.pid] = time.monotonic()
    return process


def _seconds(process: subprocess.Popen[bytes]) -> float:
    """Seconds of the processor that a process has had; since its start where nobody tells."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except (OSError, IndexError):
        return time.monotonic() - _STARTED[process.pid]
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _config(run: Path) -> bytes | None:
    """What config.json says, of the run or of the one that waits for its successor."""
    for folder in (run, run.with_name(".run.nplm-old")):
        if (folder / "config.json").exists():
            return (folder / "config.json").read_bytes()
    return None


def _phase(place: Path, run: Path, before: bytes | None) -> str:
    """Where the process was that has been killed, as far as the disk tells."""
    if _config(run) in (None, before):
        left = [name for name in os.listdir(place) if name != "run"]
        return "while it read the text" if any("tmp" in n for n in left) else "before it read"
    checkpoint = run / "checkpoint.safetensors"
    if not checkpoint.exists():
        return "before the first step"
    progress = json.loads(TensorFile(checkpoint).metadata["progress"])
    if progress["finished"] is None:
        return "while it trained"
    return "after the report" if (run / "report.json").exists() else "after the last step"


def _ask(run: Path) -> None:
    """Ask the run what there is of it; raises Difference when it does not tell what is there."""
    code, out, err = command("score", run, QUESTION, "--json")
    if code == 0 and out:
        return
    try:
        assert code == 2, f"exit {code}: {err}"
        check_silence(run, err)
    except AssertionError as error:
        raise Difference(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
