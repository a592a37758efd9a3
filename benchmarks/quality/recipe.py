"""What the recipes of this folder share: run nplm train, then print command, seed and ledger."""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from machine import corpora, describe, environment, table


def run(doc: str, texts: Sequence[str], settings: Sequence[str], epochs: int) -> None:
    """Train with ``settings`` on the first of ``texts``, validate on the second, print it all.

    ``texts`` are paths below the folder of the real corpora. No bound is asserted: the figures
    are for reading, and for docs/results.md.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="200 steps: does the recipe work?")
    parser.add_argument("--epochs", type=int, help=f"passes over the text (default {epochs})")
    parser.add_argument("--budget", metavar="TIME", help="wall-clock time instead: 90s, 10m, 2h")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one run a seed")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the runs in this folder")
    parser.add_argument("more", nargs="*", metavar="-- OPTION", help="more options for nplm train")
    options = parser.parse_args()
    train, valid = (corpora() / text for text in texts)
    for path in (train, valid):
        if not path.exists():
            sys.exit(
                f"{path} is not there: this recipe needs the real corpora; set NPLM_REAL_CORPORA "
                f"to the folder that holds {texts[0]} (they may not be passed on with nplm)"
            )
    if options.quick:
        length = ["--steps", "200"]
    elif options.budget:
        length = ["--budget", options.budget]
    else:
        length = ["--epochs", str(options.epochs or epochs)]
    print(describe())
    with tempfile.TemporaryDirectory(prefix="nplm-quality-") as folder:
        target = options.keep or Path(folder)
        for seed in options.seed:
            shown = ["nplm", "train", texts[0], "--valid", texts[1], *settings, *length]
            shown += ["--seed", str(seed), *options.more]
            print(f"\nseed      {seed}\ncommand   {shlex.join(shown)}", flush=True)
            command = [sys.executable, "-m", "nplm_cli", "train", str(train), "--valid", str(valid)]
            command += [*settings, *length, "--seed", str(seed), *options.more]
            command += ["-o", str(target / f"{Path(sys.argv[0]).stem}-{seed}"), "--force", "--json"]
            done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, check=False)
            if done.returncode:
                sys.exit(done.returncode)
            print(_shown(json.loads(done.stdout)))


def _shown(report: dict) -> str:
    training, ledger = report["training"], report["valid"]
    minutes = training["seconds"] / 60
    lines = [
        f"training  {training['parameters']:,} parameters, {training['steps']:,} steps, "
        f"{training['tokens']:,} tokens, {minutes:.1f} min, stopped by {training['stopped']}"
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


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
