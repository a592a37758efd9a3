"""What every benchmark says first: machine, versions, date; and the shape of its tables."""

import datetime
import importlib.util
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"


def use_checkout() -> None:
    """Measure the code beside this folder, whatever is installed."""
    sys.path.insert(0, str(SOURCE))


def environment() -> dict[str, str]:
    """Environment of processes that run the code beside this folder."""
    return {**os.environ, "PYTHONPATH": str(SOURCE)}


def cpu_model() -> str:
    """Name of the processor as the system tells it, with family and model where it does."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name") or platform.processor() or platform.machine()
    if "cpu family" not in facts:
        return name
    return f"{name} (family {facts['cpu family']}, model {facts.get('model')})"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def describe(threads: int | None = None) -> str:
    """Machine, load, versions and date in a few lines."""
    versions = []
    for name in ("numpy", "torch", "gensim", "kenlm"):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            versions.append(f"no {name}")
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return (
        f"machine   {cpu_model()}, {cores()} cores, {threads or cores()} threads{load}\n"
        f"system    {platform.platform()}\n"
        f"versions  python {platform.python_version()}, {', '.join(versions)}\n"
        f"date      {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    )


def peers_python(given: str | None, *modules: str) -> str | None:
    """Interpreter that has the modules of the peers: the one named, or this one if it has all.

    Says so, once, where there is none.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if given is not None or not missing:
        return given or sys.executable
    print(f"peers     no {', no '.join(missing)} in this python: without them (see --help)")
    return None


def segmented_texts() -> tuple[Path, Path]:
    """Training and validation text: the Penn Treebank where the real corpora are, or a sample."""
    ptb, sample = corpora() / "ptb", ROOT / "sample_corpora" / "en" / "segmented"
    if (ptb / "ptb.train.txt").exists():
        return ptb / "ptb.train.txt", ptb / "ptb.valid.txt"
    return sample / "train.txt", sample / "valid.txt"


def corpora() -> Path:
    """Folder of the real corpora: NPLM_REAL_CORPORA, or ../shared/corpora beside the repository."""
    return Path(os.environ.get("NPLM_REAL_CORPORA", ROOT.parent / "shared" / "corpora"))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns with two spaces between: the first to the left, figures to the right."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def interquartile(values: Sequence[float]) -> tuple[float, float]:
    """First and third quartile; the single value twice when there is one."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third
