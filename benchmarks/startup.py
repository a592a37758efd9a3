"""How long a user waits for an answer: whole processes, from the call to the exit.

    python benchmarks/startup.py             # trains a small run on the sample corpora first
    python benchmarks/startup.py --run RUN   # asks a run of one's own

All commands take turns, so that a busy machine slows them alike; the table gives medians and what
they are of `python -c pass`, of `import numpy` and of `import torch` in the same turns. CPU is
the time of all threads of the process, which another program's load changes less.
"""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import ROOT, describe, environment, interquartile, peers_python, table

SAMPLES = ROOT / "sample_corpora" / "en" / "segmented"
CHINESE_SAMPLES = ROOT / "sample_corpora" / "zh" / "raw"
SENTENCE = "The old farmer sold three horses ."
WORD = "horses"
CHINESE = "今天我们喜欢北京"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=11, help="turns (default 11, at least 7)")
    parser.add_argument("--quick", action="store_true", help="7 turns, 50,000 rows")
    parser.add_argument("--run", type=Path, help="run directory to ask")
    parser.add_argument("--sentence", default=SENTENCE, help="sentence to score")
    parser.add_argument("--word", default=WORD, help="word whose neighbours are asked for")
    parser.add_argument("--chinese", type=Path, help="run of raw Chinese to ask (two small ones)")
    parser.add_argument("--vectors", type=int, default=400_000, help="rows of the vector file")
    parser.add_argument("--peers", help="python that has gensim or kenlm (this one, if it has)")
    parser.add_argument("--kenlm", type=Path, help="model of kenlm's (one of the sample's counts)")
    options = parser.parse_args()
    turns = 7 if options.quick else max(7, options.runs)
    options.vectors = min(options.vectors, 50_000) if options.quick else options.vectors
    print(describe())
    with tempfile.TemporaryDirectory(prefix="nplm-startup-") as folder:
        run = options.run or _small_run(Path(folder) / "run")
        weights = (run / "model.safetensors").stat().st_size / 1e6
        print(f"run       {'trained here for it' if options.run is None else options.run}, "
              f"weights of {weights:.1f} MB\n")  # fmt: skip
        commands = _commands(str(run), options.sentence, options.word)
        commands |= _more(options, Path(folder))
        wall, cpu = _measure(commands, turns, Path(folder) / "bytecode")
    rows = []
    for name, values in wall.items():
        median = statistics.median(values)
        low, high = interquartile(values)
        ratios = [
            f"{median / statistics.median(wall[base]):.2f}"
            for base in ("python -c pass", "import numpy", "import torch")
        ]
        rows.append(
            [name, f"{median * 1e3:.0f}", f"{low * 1e3:.0f}-{high * 1e3:.0f}",
             f"{statistics.median(cpu[name]) * 1e3:.0f}", *ratios]
        )  # fmt: skip
    header = ["command", "ms", "quartiles", "CPU ms", "x pass", "x numpy", "x torch"]
    print(table(header, rows))
    print(f"\nmedians of {turns} turns after one that is not counted")


def _commands(run: str, sentence: str, word: str) -> dict[str, list[str]]:
    nplm = [sys.executable, "-m", "nplm_cli"]
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import numpy": [sys.executable, "-c", "import numpy"],
        "import torch": [sys.executable, "-c", "import torch"],
        "nplm --help": [*nplm, "--help"],
        "nplm info": [*nplm, "info", run],
        "nplm neighbors": [*nplm, "neighbors", run, word],
        "nplm score": [*nplm, "score", run, sentence],
        "nplm predict": [*nplm, "predict", run, " ".join(sentence.split()[:3])],
    }


def _more(options: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """Questions to a large file of vectors, to a run of raw Chinese, and to the peers."""
    nplm = [sys.executable, "-m", "nplm_cli"]
    path = folder / "v.npy"
    write_vectors(path, options.vectors)
    commands = {f"nplm neighbors, {options.vectors:,} x 300": [*nplm, "neighbors", str(path), "w7"]}
    chinese = {"": options.chinese} if options.chinese else _small_chinese(folder)
    for name, run in chinese.items():
        commands[f"nplm score, raw Chinese{name}"] = [*nplm, "score", str(run), CHINESE]
    gensim = peers_python(options.peers, "gensim")
    if gensim:
        save = (
            "import sys, numpy; from gensim.models import KeyedVectors as K; "
            "v = numpy.load(sys.argv[1]); k = K(v.shape[1]); "
            "k.add_vectors(['w%d' % i for i in range(len(v))], v); k.save(sys.argv[2])"
        )
        kept = str(folder / "v.kv")
        subprocess.run([gensim, "-c", save, str(path), kept], check=True)
        ask = (
            "import sys; from gensim.models import KeyedVectors as K; "
            "print(K.load(sys.argv[1], mmap='r').most_similar('w7'))"
        )
        commands["gensim most_similar, .kv"] = [gensim, "-c", ask, kept]
    kenlm = peers_python(options.peers, "kenlm")
    if kenlm:
        model = options.kenlm or _small_model(folder)
        ask = "import sys, kenlm; print(kenlm.Model(sys.argv[1]).score(sys.argv[2]))"
        commands["kenlm score"] = [kenlm, "-c", ask, str(model), options.sentence]
    return commands


def write_vectors(path: Path, rows: int, dim: int = 300) -> None:
    """Write NAME.npy of normal numbers around 2,000 centres, and NAME.words.txt."""
    import numpy as np

    random = np.random.default_rng(1)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dim))
    centres = random.standard_normal((2_000, dim), np.float32)
    for start in range(0, rows, 20_000):
        block = out[start : start + 20_000]
        block[:] = random.standard_normal(block.shape, np.float32)
        block += centres[random.integers(0, len(centres), len(block))]
    out.flush()
    path.with_suffix(".words.txt").write_text("".join(f"w{i}\n" for i in range(rows)), "utf-8")


def _small_chinese(folder: Path) -> dict[str, Path]:
    """A run whose words jieba cuts, and one of rjieba's where that is installed."""
    cutters = [name for name in ("jieba", "rjieba") if importlib.util.find_spec(name)]
    steps = ("--steps", "20", "--tokenizer")
    return {
        f", {name}": _small_run(folder / name, *steps, name, samples=CHINESE_SAMPLES)
        for name in cutters
    }


def _small_run(folder: Path, *settings: str, samples: Path = SAMPLES) -> Path:
    texts = [str(samples / f"{name}.txt") for name in ("train", "valid")]
    command = [sys.executable, "-m", "nplm_cli", "train", texts[0], "--valid", texts[1]]
    command += [*(settings or ("--steps", "20")), "-q", "-o", str(folder)]
    subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)
    return folder


def _small_model(folder: Path) -> Path:
    """Counts of the sample as an ARPA file."""
    run = _small_run(folder / "counts", "--arch", "ngram", "--order", "3")
    command = [sys.executable, "-m", "nplm_cli", "export", str(run), str(folder / "m.arpa")]
    command += ["--format", "arpa", "-q"]
    subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)
    return folder / "m.arpa"


def _measure(
    commands: dict[str, list[str]], turns: int, bytecode: Path
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Wall-clock and CPU seconds of each command in each turn.

    As after an installation, all modules are compiled, by the turn that is not counted.
    """
    variables = {**environment(), "PYTHONPYCACHEPREFIX": str(bytecode)}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    wall: dict[str, list[float]] = {name: [] for name in commands}
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(turns + 1):
        for name, command in commands.items():
            before = os.times()
            began = time.perf_counter()
            done = subprocess.run(command, env=variables, capture_output=True, check=False)
            seconds = time.perf_counter() - began
            after = os.times()
            if done.returncode:
                sys.exit(f"{name}: exit code {done.returncode}: {done.stderr.decode()}")
            if turn:
                wall[name].append(seconds)
                cpu[name].append(
                    after.children_user - before.children_user
                    + after.children_system - before.children_system
                )  # fmt: skip
    return wall, cpu


if __name__ == "__main__":
    main()
