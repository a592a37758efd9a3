"""How fast segmented text becomes ids: MB of text a second of processor time, one thread.

    python benchmarks/encoding.py [--megabytes 20] [--text FILE ...] [--quick]

Each side in turn, in a process of its own, so that nothing is warm that would not be for a user:
a plain Python loop over lines with a dict beside what nplm does: the reading of eval and compare
(known vocabulary), the first pass of a training, ``tokenize --ids`` and plain ``tokenize``; with
numpy alone and, where numba is installed, compiled. The times are those of the work without the
imports; the peak memory is that of the whole process.
"""

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe, environment, use_checkout

use_checkout()

from nplm_cli.config import CorpusConfig  # noqa: E402
from nplm_cli.corpus import word_kernels  # noqa: E402
from nplm_cli.corpus.block_encoding import encode_text, id_bytes  # noqa: E402
from nplm_cli.corpus.first_pass import TokenStore, new_types  # noqa: E402
from nplm_cli.corpus.formats import CorpusReader, read_sentences  # noqa: E402
from nplm_cli.corpus.shards import encode_sentences  # noqa: E402
from nplm_cli.corpus.vocabulary import SPECIALS, Vocabulary  # noqa: E402

TYPES, KNOWN = 50_000, 10_000
TASKS = (
    "python loop",
    "sentences",
    "eval",
    "first pass",
    "tokenize --ids",
    "tokenize",
)


def write_text(path: Path, megabytes: float, seed: int = 0) -> None:
    """Made-up sentences of about 20 words, whose frequencies and lengths are Zipf's."""
    random = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    lengths = np.minimum(1 + np.log2(2 + np.arange(TYPES)) / 2.2, 20)
    lengths = np.maximum(1, random.poisson(lengths))
    words = [
        f"{''.join(random.choice(letters, n))}{i if i > 99 else ''}" for i, n in enumerate(lengths)
    ]
    weights = 1 / (2.7 + np.arange(TYPES))  # Mandelbrot 1953
    edges = np.cumsum(weights) / weights.sum()
    written = 0
    with path.open("w", encoding="utf-8") as file:
        while written < megabytes * 1e6:
            drawn = np.searchsorted(edges, random.random(200_000)).tolist()
            ends = (random.random(len(drawn)) < 0.05).tolist()
            marks = ("\n" if end else " " for end in ends)
            written += file.write("".join(words[w] + m for w, m in zip(drawn, marks, strict=True)))
        file.write("\n")


def vocabulary_of(path: Path) -> Vocabulary:
    """The most frequent words of the first lines."""
    counts: dict[str, int] = {}
    with path.open(encoding="utf-8") as file:
        for word in file.read(20_000_000).split():
            counts[word] = counts.get(word, 0) + 1
    words = sorted(counts, key=lambda w: (-counts[w], w))
    words = [w for w in words if w not in SPECIALS][: KNOWN - 2]
    return Vocabulary([*SPECIALS, *words], [1] * (len(words) + 2))


def plain_loop(path: Path, vocabulary: Vocabulary) -> int:
    """What anybody would write."""
    get = vocabulary.index.get
    ids: list[np.ndarray] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            ids.append(np.array([*(get(word, 0) for word in line.split()), 1], np.uint16))
    return sum(map(len, ids))


def reader_of(path: Path, compiled: bool) -> CorpusReader:
    """A reader with loops of one kind."""
    reader = read_sentences([str(path)], CorpusConfig(format="segmented"))
    kernels: Any = word_kernels
    if compiled:
        from nplm_cli.corpus import compiled_kernels as kernels
    reader.kernels = kernels
    return reader


def work(task: str, path: Path, vocabulary: Vocabulary, compiled: bool, folder: Path) -> int:
    """Do one task; returns how many ids or bytes there were."""
    if task == "python loop":
        return plain_loop(path, vocabulary)
    reader = reader_of(path, compiled)
    if task == "sentences":
        return encode_sentences(reader, vocabulary).predictions
    if task == "eval":
        return encode_text(reader, vocabulary).predictions
    if task == "first pass":
        store = TokenStore(folder, "first", new_types())
        for _ in store.read_blocks(reader.blocks(), reader.kernels):
            pass
        store.remove()
        return store.tokens + store.sentences
    with (folder / "out").open("wb") as file:
        if task == "tokenize --ids":
            return sum(map(file.write, id_bytes(reader, vocabulary))) // 2
        return sum(file.write(block.compact()) for block in reader.blocks())


def measure(task: str, path: Path, words: Path, compiled: bool) -> dict[str, float]:
    """Time one task in this process."""
    vocabulary = Vocabulary.load(words)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm = folder / "warm.txt"
        warm.write_text("a b\n", "utf-8")
        work(task, warm, vocabulary, compiled, folder)  # compiles, or loads what was compiled
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        made = work(task, path, vocabulary, compiled, folder)
        seconds = time.process_time() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "made": made, "grown": max(0, after - before) / 1024}


def median_of(turns: list[dict[str, float]], key: Callable[[dict[str, float]], float]) -> float:
    """Median over the turns."""
    return statistics.median(map(key, turns))


def main() -> None:
    """Measure all tasks in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=float, default=20, help="of made-up text")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one turn over 5 MB")
    parser.add_argument("--text", type=Path, action="append", default=[], help="another text")
    parser.add_argument("--task", choices=TASKS, action="append", help="only this one")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.quick:
        given.megabytes, given.turns = 5, 1
    if given.one:
        task, path, words, compiled = given.one
        print(json.dumps(measure(task, Path(path), Path(words), compiled == "1")))
        return
    started = time.monotonic()
    print(describe(1), flush=True)
    one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    found = importlib.util.find_spec("numba") is not None
    with tempfile.TemporaryDirectory() as name:
        made_up = Path(name) / "zipf.txt"
        write_text(made_up, given.megabytes)
        for path in [made_up, *given.text]:
            size = path.stat().st_size / 1e6
            words = Path(name) / "vocabulary.tsv"
            vocabulary_of(path).save(words)
            print(
                f"\n{path.name}, {size:.0f} MB\n"
                f"{'task':<16}{'loops':<10}{'MB/s':>7}{'of loop':>9}{'MB grown':>10}"
            )
            sides = [(task, "0") for task in given.task or TASKS]
            sides += [(task, "1") for task in given.task or TASKS if found and task in TASKS[2:]]
            turns: dict[tuple[str, str], list[dict[str, float]]] = {side: [] for side in sides}
            for _ in range(given.turns):
                for task, compiled in sides:
                    command: list[str] = [
                        sys.executable,
                        __file__,
                        "--one",
                        task,
                        str(path),
                        str(words),
                        compiled,
                    ]
                    env = {**environment(), **one_thread, "PYTHONPATH": ":".join(sys.path[1:])}
                    done = subprocess.run(command, env=env, check=True, capture_output=True)
                    turns[task, compiled].append(json.loads(done.stdout))
            first = turns[sides[0]]  # the loop, or the first that was asked for
            loop = median_of(first, lambda t: t["seconds"])
            for (task, compiled), each in turns.items():
                seconds = median_of(each, lambda t: t["seconds"])
                grown = median_of(each, lambda t: t["grown"])
                kind = "compiled" if compiled == "1" else "numpy" if task in TASKS[2:] else "-"
                print(
                    f"{task:<16}{kind:<10}{size / seconds:>7.1f}"
                    f"{loop / seconds:>9.2f}{grown:>10.0f}",
                    flush=True,
                )
    print(f"\ntook {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
