"""How fast the work goes: the training engine, training, scoring, encoding, neighbours, Kneser-Ney.

    python benchmarks/throughput.py                      # all sections
    python benchmarks/throughput.py --only engine
    taskset -c 1 python benchmarks/throughput.py --only engine --cpu-time  # beside other work

Each row stands beside a peer measured in the same run, the two taking turns: plain PyTorch, plain
numpy or plain Python written with care (peers.py), and gensim or kenlm where installed. Read the
ratios (nplm / peer, above 1 is faster); the figures belong to this machine at this hour. The text
is the Penn Treebank where the real corpora are (NPLM_REAL_CORPORA), else made up with Zipf's law.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from machine import cores, describe, table, use_checkout

use_checkout()
from nplm_cli.threads import let_threads_wait  # noqa: E402

let_threads_wait()

import sections  # noqa: E402
import torch  # noqa: E402
from engine import engine  # noqa: E402
from measuring import HEADER, VOCABULARY, Row, Settings  # noqa: E402


def main() -> None:
    """Print a table for each section."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known: dict[str, Callable[[Settings], Iterable[str]]] = {
        "engine": engine,
        "training": _tabulated(sections.training),
        "scoring": _tabulated(sections.scoring),
        "encoding": _tabulated(sections.encoding),
        "neighbors": _tabulated(sections.neighbors),
        "kneser-ney": _tabulated(sections.kneser_ney),
    }
    parser.add_argument("--quick", action="store_true", help="less of everything, 3 turns")
    parser.add_argument("--only", nargs="+", choices=known, metavar="SECTION", help="these only")
    parser.add_argument("--turns", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--threads", type=int, default=cores(), help="threads of torch")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="engine and scoring, one thread: count the processor's time instead of the clock's",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(describe(options.threads))
    with tempfile.TemporaryDirectory(prefix="nplm-throughput-") as folder:
        clock = time.process_time if options.cpu_time else time.perf_counter
        turns = 3 if options.quick else options.turns
        settings = Settings(options.quick, turns, Path(folder), options.threads, clock)
        print(f"text      {settings.text_name}, {settings.part.predictions:,} tokens, "
              f"{VOCABULARY:,} types; medians of {settings.turns} turns")  # fmt: skip
        for name in options.only or known:
            print(f"\n{name}", flush=True)
            for text in known[name](settings):
                print(text, flush=True)


def _tabulated(section: Callable[[Settings], list[Row]]) -> Callable[[Settings], list[str]]:
    """A section that is one table of comparisons."""
    return lambda settings: [table(HEADER, section(settings))]


if __name__ == "__main__":
    main()
