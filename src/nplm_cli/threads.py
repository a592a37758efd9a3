"""How many threads compute, and how they wait for each other."""

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# About a tenth of a millisecond: longer than the gaps between the products of a training step,
# which a sleeping thread wakes up too late for, and short beside what a busy machine takes away.
SPINS = 10_000


def available_cores(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use: of its affinity, and of a container's quota if it has one.

    ``group`` is the folder of its control group (version 2).
    """
    if sys.platform != "linux":
        return os.cpu_count() or 1
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = map(int, (group / "cpu.max").read_text().split())  # "max": no quota
    except (OSError, ValueError):
        return cores
    return max(1, min(cores, math.ceil(quota / period)))


def let_threads_wait() -> None:
    """Let waiting threads spin for a moment, then sleep, unless the environment says otherwise.

    To be said before torch is loaded, which reads it.
    Threads that spin as long as they do by default make a training up to fifteen times slower as
    soon as anything else wants a core (docs/results.md, Speed).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch, if it is loaded, compute with one thread: a few numbers are soonest done so."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
