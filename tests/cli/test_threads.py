"""How many threads there are, and how those of OpenMP are told to wait."""

import os
import sys

import pytest

from nplm_cli.threads import SPINS, available_cores, let_threads_wait


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": str(SPINS)}),
        ({"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
    ],
    ids=["neither", "spins", "policy"],
)
def test_what_the_environment_says_is_kept(monkeypatch, given, expected):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    let_threads_wait()
    assert {n: v for n, v in os.environ.items() if n in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")} == (
        expected
    )


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1),
        ("9000000 100000", 8), ("", 8), (None, 8),
    ],
)  # fmt: skip
def test_a_container_has_the_cores_of_its_quota(tmp_path, monkeypatch, quota, cores):
    """Two processors' time on a machine of eight is two cores, however many can be seen."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota + "\n")
    assert available_cores(tmp_path) == cores
