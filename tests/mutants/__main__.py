"""Do the tests notice a wrong model? Each mutant is a plausible mistake in the core.

    make mutants                              # all mutants, each against its part of the tests
    python tests/mutants --only padding bom   # those whose name holds one of these words
    python tests/mutants --all-tests          # the whole default suite for each (long)
    python tests/mutants --list

A mutant is applied to a copy of the repository in a temporary folder, never in place, and killed
when a test fails with it that passes without it, alone as well as among the others. Tests that
fail without any mutant say nothing about mutants: they are listed and left out. Exit status 1 when
a mutant survives, does not fit the source any more (its old text must occur exactly once), or when
a test fails without a mutant.
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boundaries
import engine
import mixtures
import networks
import predictions
import text
from mutant import Mutant

import vectors

ROOT = Path(__file__).resolve().parents[2]
AREAS = (predictions, networks, text, vectors, engine, mixtures, boundaries)
MUTANTS = [mutant for area in AREAS for mutant in area.MUTANTS]
LIMIT_SECONDS = 600  # a mutant that makes a test run for ever is noticed, too
PYTEST_FOUND_FAILURES = 1
NOT_COPIED = (".*", "__pycache__", "*.egg-info", "runs", "build", "dist")


def main() -> int:
    """Ask the tests about every mutant; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all-tests", action="store_true", help="the whole default suite for each")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="mutants with a word in the name")
    parser.add_argument("--workers", type=int, default=2, help="mutants at a time (default 2)")
    parser.add_argument("--list", action="store_true", help="list the mutants and do nothing")
    options = parser.parse_args()
    mutants = [
        m for m in MUTANTS if not options.only or any(word in m.name for word in options.only)
    ]
    if options.list:
        for m in mutants:
            print(f"{m.name:40}  {m.why}")
        return 0
    if not mutants:
        parser.error(f"no mutant has {' or '.join(options.only)} in its name")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nplm-mutants-") as folder:
        status = _ask_all(mutants, Path(folder), options.all_tests, options.workers)
    print(f"{time.monotonic() - began:.0f} s")
    return status


def _ask_all(mutants: list[Mutant], folder: Path, all_tests: bool, workers: int) -> int:
    # One copy of everything, from which all others are made: the checkout may change meanwhile.
    plain = folder / "plain"
    shutil.copytree(ROOT, plain, ignore=shutil.ignore_patterns(*NOT_COPIED))
    _check_that_the_copy_is_tested(plain)
    asked = ["tests"] if all_tests else sorted({t for m in mutants for t in _paths(m.tests)})
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda path: _pytest(plain, [path], keep_going=True), asked))
        for code, output in results:
            if code not in (0, PYTEST_FOUND_FAILURES):
                print(output)
                print("the tests do not run without a mutant")
                return 1
        failing = sorted({test for _, output in results for test in _failures(output)})
        for test in failing:
            print(f"fails without a mutant, left out: {test}")
        jobs = {
            pool.submit(_ask, m, plain, folder / f"mutant-{i}", all_tests, failing): m
            for i, m in enumerate(mutants)
        }
        verdicts = {}
        for job in concurrent.futures.as_completed(jobs):
            verdict, detail = verdicts[jobs[job].name] = job.result()
            print(f"{verdict:9}{jobs[job].name}: {detail}", flush=True)
    killed = sum(verdict == "killed" for verdict, _ in verdicts.values())
    print(f"{killed} of {len(mutants)} mutants killed")
    for m in mutants:
        if verdicts[m.name][0] == "survived":
            print(f"SURVIVED {m.name} ({', '.join(e.file for e in m.edits)}): {m.why}")
    return int(killed < len(mutants) or bool(failing))


def _ask(
    m: Mutant, plain: Path, copy: Path, all_tests: bool, failing: list[str]
) -> tuple[str, str]:
    """Return killed, survived or unfit, and by which test or why."""
    for edit in m.edits:
        path = plain / "src" / "nplm_cli" / edit.file
        found = path.read_text("utf-8").count(edit.old) if path.exists() else 0
        if found != 1:
            return "unfit", f"{edit.file} holds {found} times {edit.old!r}"
    shutil.copytree(plain, copy)
    try:
        for edit in m.edits:
            path = copy / "src" / "nplm_cli" / edit.file
            path.write_text(path.read_text("utf-8").replace(edit.old, edit.new), "utf-8")
        return _judge(m, plain, copy, ["tests"] if all_tests else _paths(m.tests), failing)
    finally:
        shutil.rmtree(copy)


def _judge(
    m: Mutant, plain: Path, copy: Path, tests: list[str], failing: list[str]
) -> tuple[str, str]:
    left_out = list(failing)
    while True:
        try:
            code, output = _pytest(copy, tests, left_out=left_out)
        except subprocess.TimeoutExpired:
            return "killed", f"no end within {LIMIT_SECONDS} s"
        if code == 0:
            return "survived", m.why
        found = _failures(output)
        if code != PYTEST_FOUND_FAILURES or not found:
            # A copy that cannot even be imported proves nothing about the tests.
            return "unfit", (output.strip().splitlines() or [f"pytest: {code}"])[-1]
        if _pytest(plain, found[:1])[0] == 0:
            return "killed", found[0]
        left_out.append(found[0])  # it fails by itself now and then


def _paths(tests: tuple[str, ...]) -> list[str]:
    return [f"tests/{name}" for name in tests]


def _environment(copy: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(copy / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }


def _check_that_the_copy_is_tested(copy: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import nplm_cli; print(nplm_cli.__file__)"],
        env=_environment(copy),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if not Path(found).resolve().is_relative_to(copy.resolve()):
        sys.exit(f"nplm_cli comes from {found}, not from the copy in {copy}: mutants prove nothing")


def _pytest(
    copy: Path, tests: list[str], *, keep_going: bool = False, left_out: list[str] | None = None
) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "-rfE"]
    command += ["--hypothesis-seed=1", *([] if keep_going else ["-x"])]
    command += [f"--deselect={test}" for test in left_out or []]
    done = subprocess.run(
        [*command, *tests],
        cwd=copy,
        env=_environment(copy),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _failures(output: str) -> list[str]:
    """Tests (or files that could not be collected) that the summary of pytest names."""
    return [found[1] for found in re.finditer(r"^(?:FAILED|ERROR) (tests/\S+?\.py(?:::.*?)?)(?: - .*)?$", output, re.M)]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
