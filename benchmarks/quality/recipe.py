"""What the recipes of this folder share: run nplm train, then print command, seed and ledger."""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from machine import cores, corpora, describe, environment, table
from peak import described_peaks

QUICK_STEPS = 50


def run(
    doc: str,
    texts: Sequence[str],
    settings: Sequence[str],
    *,
    epochs: int | None = None,
    budget: str | None = None,
) -> None:
    """Train with ``settings`` on the first of ``texts``, validate on the second, print it all.

    ``texts`` are paths below the folder of the real corpora; ``epochs`` or ``budget`` is the length
    unless the user says otherwise. No bound is asserted: the figures are for reading, and for
    docs/results.md.
    """
    parser = arguments(doc, f"{epochs} epochs" if epochs else str(budget))
    parser.add_argument("--epochs", type=int, help="passes over the text")
    options = parser.parse_args()
    if options.quick:
        length = ["--steps", str(QUICK_STEPS)]
    elif options.budget or not (options.epochs or epochs):
        length = ["--budget", str(options.budget or budget)]
    else:
        length = ["--epochs", str(options.epochs or epochs)]
    begin(options, texts)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="nplm-quality-") as folder:
        for seed in options.seed:
            print(f"\nseed      {seed}", flush=True)
            target = (options.keep or Path(folder)) / f"{Path(sys.argv[0]).stem}-{seed}"
            own = [*settings, *length, "--seed", str(seed), *options.more]
            report, seconds = train(options, texts, own, target)
            print(_shown(report, seconds))
            print(f"peak      {described_peaks()}", flush=True)
            outcomes.append((seed, report, seconds))
    if len(outcomes) > 1:
        print(f"\n{_spread(outcomes)}")


def arguments(doc: str, length: str) -> argparse.ArgumentParser:
    """The options of every recipe; ``length`` says how long it trains unless told otherwise."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_STEPS} steps: does the recipe work?"
    )
    parser.add_argument(
        "--budget", metavar="TIME", help=f"wall-clock time: 90s, 10m, 2h (default {length})"
    )
    parser.add_argument(
        "--cores", type=int, metavar="N",
        help="pin to so many of the cores at hand, a thread each (default: all, not pinned)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one run a seed")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the runs in this folder")
    parser.add_argument("more", nargs="*", metavar="-- OPTION", help="more options for nplm train")
    return parser


def begin(options: argparse.Namespace, texts: Sequence[str]) -> None:
    """Check that the texts are there, pin the process, print the machine and its matrix peak."""
    for path in (corpora() / text for text in texts):
        if not path.exists():
            sys.exit(
                f"{path} is not there: this recipe needs the real corpora; set NPLM_REAL_CORPORA "
                f"to the folder that holds {texts[0]} (they may not be passed on with nplm)"
            )
    pinned = ""
    if options.cores:
        if not 1 <= options.cores <= cores():
            sys.exit(f"--cores {options.cores}: this process may use {cores()}")
        if hasattr(os, "sched_setaffinity"):
            own = sorted(os.sched_getaffinity(0))[: options.cores]
            os.sched_setaffinity(0, own)
            pinned = f"pinned    to core {', '.join(map(str, own))}\n"
        torch.set_num_threads(options.cores)
    print(describe(torch.get_num_threads()))
    print(f"{pinned}peak      {described_peaks()}", flush=True)


def train(
    options: argparse.Namespace, texts: Sequence[str], settings: Sequence[str], target: Path
) -> tuple[dict[str, Any], float]:
    """Run nplm train; returns its report and the seconds of the whole process."""
    paths = [str(corpora() / text) for text in texts]
    if options.cores and "ngram" not in settings:
        settings = [*settings, "--threads", str(options.cores)]
    print(f"command   {shlex.join(['nplm', 'train', texts[0], '--valid', texts[1], *settings])}")
    began = time.monotonic()
    out = nplm(
        ["train", paths[0], "--valid", paths[1], *settings, "-o", str(target), "--force", "--json"]
    )
    return json.loads(out), time.monotonic() - began


def nplm(words: Sequence[str]) -> str:
    """What a command of the code beside this folder writes; a failure ends the recipe."""
    sys.stdout.flush()
    command = [sys.executable, "-m", "nplm_cli", *words]
    done = subprocess.run(
        command, env=environment(), stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def _shown(report: dict[str, Any], seconds: float) -> str:
    training, ledger = report["training"], dict(report["valid"])
    lines = [
        f"training  {training['parameters']:,} parameters, {training['steps']:,} steps, "
        f"{training['tokens']:,} tokens, {_speed(report):,.0f} tokens/s, "
        f"{training['seconds']:.1f} s, stopped by {training['stopped']}",
        f"process   {seconds:.1f} s from start to end",
    ]
    lines += [f"note      {note}" for note in report["notes"]]
    baselines = ledger.pop("baselines")
    ratio = ledger.pop("ppl_ratio_to_kneser_ney")
    rows = [[key, _figure(value)] for key, value in ledger.items() if key != "schema"]
    for name in ("unigram", "kneser_ney"):
        order = baselines[name]["order"]
        rows.append([f"{name} ppl (order {order})", _figure(baselines[name]["ppl"])])
    rows.append(["always_unk_accuracy", _figure(baselines["always_unk_accuracy"])])
    low, high = ratio["interval_95"]
    rows.append(["ppl ratio to Kneser-Ney", f"{ratio['ratio']:.4f} ({low:.4f} to {high:.4f})"])
    return "\n".join(lines) + "\n" + table(["validation", "figure"], rows)


def _spread(outcomes: Sequence[tuple[int, dict[str, Any], float]]) -> str:
    """A row a seed, and how far they lie apart."""
    rows = [
        [str(seed), f"{report['valid']['ppl']:.2f}", f"{_speed(report):,.0f}",
         f"{report['training']['tokens']:,}", f"{seconds:.1f}"]
        for seed, report, seconds in outcomes
    ]  # fmt: skip
    return f"{table(['seed', 'valid ppl', 'tokens/s', 'tokens', 'seconds'], rows)}\n" + spread_line(
        [report["valid"]["ppl"] for _, report, _ in outcomes]
    )


def spread_line(ppl: Sequence[float]) -> str:
    """Mean, extremes and sample deviation of perplexities."""
    return (
        f"valid ppl {statistics.mean(ppl):.2f} in the mean of {len(ppl)} seeds, {min(ppl):.2f} to "
        f"{max(ppl):.2f}, standard deviation {statistics.stdev(ppl):.2f}"
    )


def _speed(report: dict[str, Any]) -> float:
    return float(report["training"]["tokens"] / report["training"]["seconds"])


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
