"""How much memory and time a large corpus takes on its way to ids.

    python benchmarks/large_corpus.py                         # 0.1, 0.3 and 1 GB
    python benchmarks/large_corpus.py --gigabytes 10 --folder /somewhere/with/50/GB

The text is made up: words by Zipf's law out of five million, so that new ones keep coming as they
do in a real corpus, a sentence of 22 words or so a line, a blank line after twenty. ``tokenize``
and ``vocab`` are the commands; ``ids`` is what a training does before its first step: split,
vocabulary and ids on disk. Own memory (RssAnon) is looked at ten times a second; pages of files
that are mapped come on top and go when others need the room. The speed is that of processor time.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import describe, environment, table

WORDS = 5_000_000
BLOCK_WORDS = 2_000_000
PREPARE = """
import sys
from pathlib import Path
from nplm_cli.config import Config
from nplm_cli.corpus.preparation import Sources, prepare
config = Config().replace(format=sys.argv[3])
prepared = prepare(Path(sys.argv[2]), Sources(train=(sys.argv[1],)), config)
print(sum(part["predictions"] for part in prepared.parts.values()))
"""


def main() -> None:
    """Print a row for each size and piece of work."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.1, 0.3, 1.0])
    parser.add_argument("--folder", help="where the text and the ids go for the time being")
    parser.add_argument("--only", nargs="+", choices=["tokenize", "vocab", "ids"])
    parser.add_argument("--format", choices=["raw", "segmented"], default="segmented")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(describe(), flush=True)
    rows = []
    for gigabytes in arguments.gigabytes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            folder = Path(name)
            text = folder / "text.txt"
            size = write_text(text, int(gigabytes * 1e9), arguments.seed)
            for what in arguments.only or ["tokenize", "vocab", "ids"]:
                seconds, own, mapped = measured(command(what, text, folder, arguments.format))
                rows.append(
                    [
                        f"{size / 1e9:.2f} GB",
                        what,
                        f"{seconds:,.0f} s",
                        f"{size / 1e6 / seconds:.2f} MB/s",
                        f"{own / 1024:,.0f} MiB",
                        f"{mapped / 1024:,.0f} MiB",
                    ]
                )
                print("  ".join(rows[-1]), flush=True)
    print(table(["text", "work", "time", "speed", "own memory", "mapped files"], rows))


def write_text(path: Path, size: int, seed: int) -> int:
    """Write about ``size`` bytes of made-up text; returns how many."""
    random = np.random.default_rng(seed)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = []
    for rank in range(WORDS):  # frequent words are short
        rank, word = rank + 1, ""
        while rank:
            rank, letter = divmod(rank, 26)
            word += letters[letter]
        words.append(word)
    # By its inverse the continuous law of Zipf and Mandelbrot, p(r) ~ (r + 2.7)^-1.3.
    top, bottom = 2.7**-0.3, (WORDS + 2.7) ** -0.3
    written = 0
    with path.open("wb") as file:
        while written < size:
            share = random.random(BLOCK_WORDS)
            ranks = ((top - share * (top - bottom)) ** (-1 / 0.3) - 2.7).astype(np.int64)
            tokens = [words[rank] for rank in np.clip(ranks, 0, WORDS - 1).tolist()]
            ends = np.cumsum(random.integers(5, 40, BLOCK_WORDS // 22))
            for number, end in enumerate(ends[ends < BLOCK_WORDS].tolist()):
                tokens[end] = "\n\n" if number % 20 == 0 else "\n"
            data = " ".join(tokens).replace(" \n", "\n").replace("\n ", "\n").encode()
            file.write(data + b"\n")
            written += len(data) + 1
    return written


def command(what: str, text: Path, folder: Path, format: str) -> list[str]:
    """The process to measure."""
    if what == "ids":
        run = folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        return [sys.executable, "-c", PREPARE, str(text), str(run), format]
    line = [sys.executable, "-m", "nplm_cli", what, str(text), "-q", "-o", str(folder / what)]
    return [*line, "--workers", "1", "--format", format]


def measured(line: list[str]) -> tuple[float, int, int]:
    """Seconds of processor time, and the most memory seen in KiB: own, and mapped files."""
    before = os.times()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, env=environment())
    own = mapped = 0
    while process.poll() is None:
        now = dict.fromkeys(("RssAnon", "RssFile"), 0)
        try:
            for text in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                key, _, value = text.partition(":")
                if key in now:
                    now[key] = int(value.split()[0])
        except (OSError, ValueError):  # it has just ended
            continue
        own, mapped = max(own, now["RssAnon"]), max(mapped, now["RssFile"])
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{line}: ended with code {process.returncode}")
    after = os.times()
    seconds = after.children_user + after.children_system
    return seconds - before.children_user - before.children_system, own, mapped


if __name__ == "__main__":
    main()
