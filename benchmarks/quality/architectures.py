"""Every architecture at the same wall-clock budget on one core, Kneser-Ney beside them.

PTB as one stream, or the People's Daily sentence by sentence with 10,000 words. One table a corpus:
parameters, training tokens a second, validation perplexity, ratio to Kneser-Ney with its interval.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from machine import corpora, describe, environment, table

CORPORA = {
    "ptb": (
        ("ptb/ptb.train.txt", "ptb/ptb.valid.txt"),
        ("--context", "stream", "--baseline-order", "5", "--batch", "16", "--bptt", "24"),
    ),
    "people-daily": (
        ("pku199801/words.train.txt", "pku199801/words.valid.txt"),
        ("--max-size", "10000", "--sentences", "line", "--batch", "16"),
    ),
}
COLUMNS = ["arch", "parameters", "tokens/s", "tokens", "valid ppl", "Kneser-Ney", "ratio"]
COMMON = ("--dim", "128", "--tie", "--schedule", "cosine", "--clip", "1", "--patience", "0")
SETTINGS = {
    "ffn": ("--order", "6", "--hidden", "256", "--dropout", "0.1", "--lr", "0.006"),
    "rnn": ("--hidden", "256", "--dropout", "0.1", "--lr", "0.004"),
    "gru": ("--hidden", "256", "--dropout", "0.1", "--lr", "0.008"),
    "lstm": ("--hidden", "256", "--dropout", "0.1", "--lr", "0.01"),
    "attention": ("--positions", "learned", "--window", "24", "--lr", "0.006"),
    "transformer": ("--hidden", "512", "--norm", "post", "--window", "48", "--lr", "0.003"),
}  # fmt: skip


def main() -> None:
    """Train and tabulate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", choices=CORPORA)
    parser.add_argument("--budget", default="120s", metavar="TIME", help="of each (default 120s)")
    parser.add_argument("--archs", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--core", type=int, default=0, help="the core to run on")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the runs in this folder")
    parser.add_argument("more", nargs="*", metavar="-- OPTION", help="more options for nplm train")
    options = parser.parse_args()
    texts, own = CORPORA[options.corpus]
    train, valid = (corpora() / text for text in texts)
    if not train.exists():
        sys.exit(f"{train} is not there: set NPLM_REAL_CORPORA to the folder of the real corpora")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.core})
    print(describe())
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="nplm-quality-") as folder:
        for arch in options.archs:
            settings = ["--arch", arch, *COMMON, *SETTINGS[arch], *own, "--threads", "1"]
            settings += ["--budget", options.budget, "--seed", options.seed, *options.more]
            print(f"nplm train {texts[0]} --valid {texts[1]} {' '.join(settings)}", flush=True)
            command = [sys.executable, "-m", "nplm_cli", "train", str(train), "--valid", str(valid)]
            target = (options.keep or Path(folder)) / f"{options.corpus}-{arch}"
            command += [*settings, "-o", str(target), "--force", "--json", "-q"]
            done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, check=False)
            if done.returncode:
                sys.exit(done.returncode)
            rows.append(_row(arch, json.loads(done.stdout)))
            print("  ".join(rows[-1]), flush=True)
    print(table(COLUMNS, rows))


def _row(arch: str, report: dict) -> list[str]:
    training, ledger = report["training"], report["valid"]
    kneser_ney = ledger["baselines"]["kneser_ney"]
    ratio = ledger["ppl_ratio_to_kneser_ney"]
    low, high = ratio["interval_95"]
    return [
        arch,
        f"{training['parameters']:,}",
        f"{training['tokens'] / training['seconds']:,.0f}",
        f"{training['tokens']:,}",
        f"{ledger['ppl']:.2f}",
        f"{kneser_ney['ppl']:.2f} (order {kneser_ney['order']})",
        f"{ratio['ratio']:.3f} ({low:.3f} to {high:.3f})",
    ]


if __name__ == "__main__":
    main()
