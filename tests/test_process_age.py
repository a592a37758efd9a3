"""How long a process has been running."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nplm_cli.process_age import process_age

PROGRAM = "import time; time.sleep(0.5); import nplm_cli.process_age as a; print(a.process_age())"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="nothing says when it began")
def test_waiting_counts():
    """A process that slept before it asked: processor time alone would not know."""
    began = time.monotonic()
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    # The start is counted in hundredths of a second.
    assert 0.5 <= float(run.stdout) <= time.monotonic() - began + 0.02


@pytest.fixture
def clocks(monkeypatch):
    """The machine has been running for 99,002.5 s."""
    monkeypatch.setattr(time, "process_time", lambda: 0.125)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: 99_002.5)


def stat(path, began):
    """As proc(5) has it: blanks and brackets may stand in the name; the 22nd field is the start."""
    path.write_text("12 (a) b (c) S " + "7 " * 18 + f"{began} 7 7\n")
    return path


def test_the_start_is_found_behind_any_name(tmp_path, clocks):
    began = 99_000 * os.sysconf("SC_CLK_TCK")
    assert process_age(stat(tmp_path / "stat", began)) == pytest.approx(2.5)


@pytest.mark.parametrize("began", [0, 10**12, "", "soon"])
def test_where_nothing_sensible_is_said_the_processors_time_counts(tmp_path, clocks, began):
    """At boot, as some containers have it; in the future; no number."""
    assert process_age(stat(tmp_path / "stat", began)) == 0.125


@pytest.mark.parametrize("content", [None, "", "12 (a) S 7"])
def test_where_nothing_is_said_the_processors_time_counts(tmp_path, clocks, content):
    if content is not None:
        (tmp_path / "stat").write_text(content)
    assert process_age(tmp_path / "stat") == 0.125
