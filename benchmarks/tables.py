"""Speed of self-normalised scores from compiled tables, beside KenLM's and the exact path's.

    python tables.py [RUN] [--text FILE] [--arpa FILE] [--peers PYTHON] [--turns 5]

RUN is a window model, best one of `quality/ptb_tables.py`; without it a small one is trained first,
which costs as much to ask. Processor time (user and system) of one
thread; all sides take turns, medians are shown. "ids" starts from encoded text; a "process" is
`nplm score --file TEXT --format summary` from start to end. KenLM's side is `score` of its Python
module, a call a line, without the time of loading its model; `--peers` names an interpreter that
has it if this one has not. Without `--arpa` its model is made of counts of the training text.
With numba beside nplm (the extra `fast`) its rows are there, too.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":  # before numpy is loaded
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np
from machine import describe, environment, peers_python, segmented_texts, table, use_checkout

use_checkout()

from nplm_cli.corpus.formats import read_sentences  # noqa: E402
from nplm_cli.corpus.shards import Part, encode_sentences  # noqa: E402
from nplm_cli.query.compiling import COMPILED, compile_run  # noqa: E402
from nplm_cli.query.run import Run  # noqa: E402
from nplm_cli.query.scorer import NeuralScorer  # noqa: E402
from nplm_cli.query.tables import Tables, has_numba, open_tables  # noqa: E402

SMALL = ("--order", "6", "--dim", "64", "--hidden", "128", "--activation", "relu", "--tie",
         "--self-normalize", "0.1", "--epochs", "1")  # fmt: skip
KENLM = """
import sys, time, kenlm
model = kenlm.Model(sys.argv[1])
lines = [line.strip() for line in open(sys.argv[2], encoding="utf-8") if line.strip()]
tokens = sum(len(line.split()) + 1 for line in lines)
for turn in sys.stdin:
    began = time.process_time()
    total = sum(model.score(line) for line in lines)
    print(tokens / (time.process_time() - began), total, flush=True)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--text", type=Path, help="a line a sentence (PTB's validation part)")
    parser.add_argument("--quick", action="store_true", help="one type of tables, 2 turns")
    parser.add_argument("--times", type=int, default=20, help="repetitions of the text (20)")
    parser.add_argument("--arpa", type=Path, help="n-gram model for KenLM's side")
    parser.add_argument("--peers", help="python that has kenlm (this one, if it has)")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "fp16", "int8"])
    options = parser.parse_args()
    if options.quick:
        options.turns, options.times, options.dtypes = 2, min(4, options.times), ["fp32"]
    print(describe(1))
    options.peers = peers_python(options.peers, "kenlm")
    text = options.text or segmented_texts()[1]
    with tempfile.TemporaryDirectory(prefix="nplm-tables-") as folder:
        run = Run(options.run or trained(Path(folder) / "window", *SMALL))
        if options.peers and options.arpa is None:
            counts = trained(Path(folder) / "counts", "--arch", "ngram", "--order", "5")
            options.arpa = Path(folder) / "m.arpa"
            nplm("export", counts, options.arpa, "--format", "arpa", "-q")
        long = Path(folder) / "text.txt"
        long.write_text(text.read_text("utf-8") * options.times, "utf-8")
        part = encode_sentences(
            read_sentences([str(long)], run.config.corpus, recipe=run.recipe), run.vocabulary
        )
        print(f"text      {text.name} x {options.times}: {part.predictions:,} predictions")
        sides = sides_of(run, part, long, Path(folder), options)
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for turn in range(options.turns + 1):
            for name, side in sides.items():
                rate = side()
                if turn:
                    rates[name].append(rate)
    rows = [
        [name, f"{statistics.median(own):,.0f}", f"{min(own):,.0f} to {max(own):,.0f}"]
        for name, own in rates.items()
    ]
    print(table(["what", "tokens/s", "of all turns"], rows))


def sides_of(
    run: Run, part: Part, text: Path, folder: Path, options: argparse.Namespace
) -> dict[str, Callable[[], float]]:
    """What takes turns, by name: each returns predictions a second of processor time."""
    sides: dict[str, Callable[[], float]] = {}
    few = Part(part.ids_N[:6000], part.starts[part.starts < 6000], np.zeros(1, np.int64), 0)
    few = Part(few.ids_N[: few.starts[-1]], few.starts, few.file_starts, 0)
    policy = run.config.training.context
    exact = NeuralScorer(run.weights, run.config.model)
    sides["ids, exact, numpy"] = timed(few.predictions, lambda: exact.nll(few, policy))
    starts = part.sequence_starts(policy)
    for dtype in options.dtypes:
        path = folder / f"{dtype}.{COMPILED}"
        compile_run(run, path, dtype)
        file = open_tables(run, path)
        tables = Tables({name: file[name] for name in file}, run.config.model)
        for compiled in (False, True) if has_numba() and tables.fused else (False,):
            name = f"ids, {dtype} tables, {'numba' if compiled else 'numpy'}"
            work = scoring(tables, part.ids_N, starts, compiled)
            sides[name] = timed(part.predictions, work)
        line = ["score", run.folder, "--file", text, "--format", "summary", "-q"]
        sides[f"process, {dtype} tables"] = process(
            part.predictions, [*line, "--tables", path], folder
        )
    if options.arpa is not None and options.peers is not None:
        sides["kenlm, score a line"] = kenlm_side(options.peers, options.arpa, text)
    return sides


def trained(folder: Path, *settings: str) -> Path:
    """A run of the Penn Treebank or our sample; returns its folder."""
    train, valid = segmented_texts()
    own = ("--max-size", "10000", "-q", *settings)
    nplm("train", train, "--valid", valid, "-o", folder, *own)
    return folder


def nplm(*arguments: object) -> None:
    """A command that has to succeed."""
    command = [sys.executable, "-m", "nplm_cli", *map(str, arguments)]
    subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)


def scoring(
    tables: Tables, ids_N: np.ndarray, starts: np.ndarray, compiled: bool
) -> Callable[[], object]:
    """The work of one side."""
    return lambda: tables.scores(ids_N, starts, compiled)


def timed(amount: int, work: Callable[[], object]) -> Callable[[], float]:
    """Amount a second of this process's time."""

    def measured() -> float:
        began = time.process_time()
        work()
        return amount / (time.process_time() - began)

    return measured


def process(amount: int, arguments: list[object], folder: Path) -> Callable[[], float]:
    """Amount a second of the processor's time of an ``nplm`` from its start to its end.

    Modules are compiled to bytecode in the turn that is not counted, as an installation has them.
    """
    paths = [environment()["PYTHONPATH"], os.environ.get("PYTHONPATH", "")]
    variables = {**environment(), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    variables |= {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)

    def measured() -> float:
        child = subprocess.Popen(
            [sys.executable, "-m", "nplm_cli", *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            env=variables,
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"nplm score failed with exit code {child.returncode}")
        return amount / (used.ru_utime + used.ru_stime)

    return measured


def kenlm_side(python: str, arpa: Path, text: Path) -> Callable[[], float]:
    """KenLM in a process of its own, asked once a turn."""
    child = subprocess.Popen(
        [python, "-c", KENLM, str(arpa), str(text)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def measured() -> float:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("\n")
        child.stdin.flush()
        return float(child.stdout.readline().split()[0])

    return measured


if __name__ == "__main__":
    main()
