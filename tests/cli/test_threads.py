"""How the threads of OpenMP are told to wait."""

import os

import pytest

from nplm_cli.threads import SPINS, let_threads_wait


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
