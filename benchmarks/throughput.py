"""How fast the work goes: training, scoring, encoding, neighbours, Kneser-Ney.

    python benchmarks/throughput.py                      # all sections
    python benchmarks/throughput.py --only training

Each row stands beside a peer measured in the same run, the two taking turns: plain PyTorch, plain
numpy or plain Python written with care (peers.py), and gensim or kenlm where installed. Read the
ratios (nplm / peer, above 1 is faster); the figures belong to this machine at this hour. The text
is the Penn Treebank where the real corpora are (NPLM_REAL_CORPORA), else made up with Zipf's law.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from machine import cores, describe, table, use_checkout

use_checkout()

import sections  # noqa: E402
import torch  # noqa: E402
from measuring import HEADER, VOCABULARY, Row, Settings  # noqa: E402


def main() -> None:
    """Print a table for each section."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known: dict[str, Callable[[Settings], list[Row]]] = {
        "training": sections.training,
        "scoring": sections.scoring,
        "encoding": sections.encoding,
        "neighbors": sections.neighbors,
        "kneser-ney": sections.kneser_ney,
    }
    parser.add_argument("--quick", action="store_true", help="less of everything, 3 turns")
    parser.add_argument("--only", nargs="+", choices=known, metavar="SECTION", help="these only")
    parser.add_argument("--turns", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--threads", type=int, default=cores(), help="threads of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(describe(options.threads))
    with tempfile.TemporaryDirectory(prefix="nplm-throughput-") as folder:
        settings = Settings(options.quick, 3 if options.quick else options.turns, Path(folder))
        print(f"text      {settings.text_name}, {settings.part.predictions:,} tokens, "
              f"{VOCABULARY:,} types; medians of {settings.turns} turns")  # fmt: skip
        for name in options.only or known:
            print(f"\n{name}\n{table(HEADER, known[name](settings))}", flush=True)


if __name__ == "__main__":
    main()
