"""Runs as ARPA files: size, processor time, perplexity before and after, KenLM's scores.

    python benchmarks/arpa.py            # trains counts and a small window model
    python benchmarks/arpa.py --run RUN  # exports a run of one's own besides

`--peers PYTHON` names the interpreter that has the kenlm module if this one has not; without it
the last columns are empty. Text is the Penn Treebank beside the project, or our samples.
Times are user and system time of whole processes on one thread.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe, environment, peers_python, segmented_texts, table

WINDOW = ("--order", "4", "--dim", "64", "--hidden", "128", "--epochs", "3", "--loss", "sampled")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# Scores of all sentences of a text by KenLM: total log10, tokens, seconds, the worst token's gap.
KENLM = """
import json, sys, time
import kenlm
model = kenlm.Model(sys.argv[1])
# An empty line is no sentence.
lines = [line for line in open(sys.argv[2], encoding="utf-8").read().splitlines() if line.strip()]
began = time.process_time()
total = sum(model.score(line) for line in lines)
seconds = time.process_time() - began
print(json.dumps({"log10": total, "tokens": sum(len(x.split()) + 1 for x in lines),
                  "seconds": seconds}))
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", help="python that has kenlm (this one, if it has)")
    parser.add_argument("--quick", action="store_true", help="fewer epochs, orders of 3")
    parser.add_argument("--run", type=Path, action="append", default=[], help="a run to export")
    parser.add_argument("--only", action="store_true", help="export the given runs alone")
    parser.add_argument("--order", type=int, help="order of the files of networks")
    options = parser.parse_args()
    train, valid = segmented_texts()
    print(describe(1) + f"\ntext      {train}")
    options.peers = peers_python(options.peers, "kenlm")
    print()
    if options.quick:
        options.order = min(3, options.order or 3)
    with tempfile.TemporaryDirectory(prefix="nplm-arpa-") as name:
        folder = Path(name)
        runs = list(options.run)
        if not options.only:
            for label, settings in {
                "counts": ("--arch", "ngram", "--order", "3" if options.quick else "5"),
                "window": (*WINDOW, *(("--epochs", "1") if options.quick else ())),
            }.items():
                command = ["train", str(train), "--valid", str(valid), "-o", str(folder / label)]
                _nplm(*command, "--max-size", "10000", "--threads", "1", "-q", *settings)
                runs.append(folder / label)
        rows = [_row(run, folder / "m.arpa", valid, options) for run in runs]
    header = [
        *("run", "order", "n-grams", "MB", "CPU s", "ppl of run", "ppl of file", "bits lost"),
        *("KenLM's ppl", "KenLM tokens/s"),
    ]
    print(table(header, rows))


def _row(run: Path, file: Path, valid: Path, options: argparse.Namespace) -> list[str]:
    networks = json.loads((run / "config.json").read_text("utf-8"))["settings"]["model"]["arch"]
    order = [] if options.order is None or networks == "ngram" else ["--order", str(options.order)]
    before = os.times()
    record = json.loads(
        _nplm("export", str(run), str(file), "--format", "arpa", "--json", "-q", *order)
    )
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    row = [
        str(run.name),
        str(record["order"]),
        f"{sum(record['ngrams']):,}",
        f"{file.stat().st_size / 1e6:.1f}",
        f"{spent:.1f}",
        *(f"{record[key]:.3f}" for key in ("model_ppl", "arpa_ppl", "bits_lost")),
    ]
    if options.peers is None:
        return [*row, "-", "-"]
    done = subprocess.run(
        [options.peers, "-c", KENLM, str(file), str(valid)],
        check=True, capture_output=True, text=True, env={**os.environ, **ONE_THREAD},
    )  # fmt: skip
    found = json.loads(done.stdout)
    ppl = 10 ** (-found["log10"] / found["tokens"])
    return [*row, f"{ppl:.3f}", f"{found['tokens'] / found['seconds']:,.0f}"]


def _nplm(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "nplm_cli", *arguments],
        check=True, capture_output=True, text=True, env={**environment(), **ONE_THREAD},
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    main()
