"""Nearest words of many queries: processor time of one thread, beside plain numpy and gensim.

    python benchmarks/neighbors.py                  # vectors made for it, 400,000 x 300
    python benchmarks/neighbors.py --peers PYTHON   # the python that has gensim, if not this one

Plain numpy is unit rows times queries, one product a block, and np.argpartition of all scores;
the product alone is what none of them can do without. gensim, in a process
of its own, answers one query at a time.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

from machine import describe, peers_python, table, use_checkout
from startup import write_vectors

_GENSIM = """
import sys, time, numpy
from gensim.models import KeyedVectors
v = numpy.load(sys.argv[1]); k = KeyedVectors(v.shape[1])
k.add_vectors(["w%d" % i for i in range(len(v))], v)
k.fill_norms()
for count in map(int, sys.argv[2:]):
    began = time.process_time()
    for i in range(count):
        k.most_similar("w%d" % (i * 397 % len(v)), topn=10)
    print(time.process_time() - began)
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=400_000, help="words")
    parser.add_argument("--queries", type=int, nargs="+", default=[1, 100, 1_000])
    parser.add_argument("--turns", type=int, default=3, help="turns, of which medians are shown")
    parser.add_argument("--peers", help="python that has gensim (this one, if it has)")
    parser.add_argument("--quick", action="store_true", help="50,000 words, 1 turn")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.queries, options.turns = 50_000, [1, 100], 1
    use_checkout()
    from nplm_cli.vectors import load_vectors

    print(describe(1))
    peers = peers_python(options.peers, "gensim")
    with tempfile.TemporaryDirectory(prefix="nplm-neighbors-") as folder:
        path = Path(folder) / "v.npy"
        write_vectors(path, options.rows)
        keyed = load_vectors(path)
        keyed.neighbors(["w0"])  # the lengths of the rows, which gensim and numpy have, too
        rows = []
        for count in options.queries:
            words = [f"w{i * 397 % options.rows}" for i in range(count)]
            took: dict[str, list[float]] = {}
            for _ in range(options.turns):
                for name, function in (
                    ("product", _product), ("numpy", _plain), ("nplm", _neighbors)
                ):  # fmt: skip
                    began = time.process_time()
                    function(keyed, words)
                    took.setdefault(name, []).append(time.process_time() - began)
            rows.append([f"{count:,}", *(f"{statistics.median(x):.3f}" for x in took.values())])
        if peers:
            command = [peers, "-c", _GENSIM, str(path), *map(str, options.queries)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            for row, seconds in zip(rows, done.stdout.split(), strict=True):
                row.append(f"{float(seconds):.3f}")
    header = ["queries", "product alone s", "numpy argpartition s", "nplm s", "gensim s"]
    print(table(header[: len(rows[0])], rows))


def _queries(keyed, words):
    import numpy as np

    return np.stack([keyed[word] for word in words])


def _product(keyed, words):
    queries_QD = _queries(keyed, words)
    for start in range(0, len(keyed), 4_096):
        queries_QD @ keyed.vectors[start : start + 4_096].T


def _plain(keyed, words):
    import numpy as np

    queries_QD = _queries(keyed, words)
    lengths_V = np.sqrt(np.einsum("nd,nd->n", keyed.vectors, keyed.vectors))
    for start in range(0, len(words), 100):  # all scores of 1,000 queries would be 1.6 GB
        scores = queries_QD[start : start + 100] @ keyed.vectors.T
        scores /= lengths_V
        np.argpartition(-scores, 11, axis=1)[:, :11]


def _neighbors(keyed, words):
    keyed.neighbors(words, k=10)


if __name__ == "__main__":
    sys.exit(main())
