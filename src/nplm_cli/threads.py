"""How the threads of OpenMP wait for each other: said before torch is loaded, which reads it."""

import os

# About a tenth of a millisecond: longer than the gaps between the products of a training step,
# which a sleeping thread wakes up too late for, and short beside what a busy machine takes away.
SPINS = 10_000


def let_threads_wait() -> None:
    """Let waiting threads spin for a moment, then sleep, unless the environment says otherwise.

    Threads that spin as long as they do by default make a training up to fifteen times slower as
    soon as anything else wants a core (docs/results.md, Speed).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
