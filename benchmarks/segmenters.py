"""Chinese words: how fast jieba, rjieba and several workers cut, and how their words differ.

    python benchmarks/segmenters.py                    # the novel of the real corpora
    python benchmarks/segmenters.py novel.txt other.txt

rjieba is the extra ``fast`` (pip install 'nplm-cli[fast]'); without it jieba and its workers are
measured alone, and that is said. Words are compared by where they end: of the cuts that jieba makes
the share that rjieba makes too (recall), of those of rjieba the share that are jieba's (precision),
and the sentences that are the same throughout.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import accumulate

from machine import cores, corpora, describe, table, use_checkout

use_checkout()

from nplm_cli.config import CorpusConfig  # noqa: E402
from nplm_cli.corpus.formats import read_sentences  # noqa: E402

NOVEL = corpora() / "raw_zh" / "hongloumeng.txt"
# The most frequent differences that are shown.
SHOWN = 12
Words = list[list[str]]


def main() -> int:
    """Print speeds and differences; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", default=[str(NOVEL)], help="raw Chinese text")
    parser.add_argument("--turns", type=int, default=3, help="turns, of which the best counts")
    options = parser.parse_args()
    if options.files == [str(NOVEL)] and not NOVEL.exists():
        print(f"{NOVEL}: not there: name files of raw Chinese text", file=sys.stderr)
        return 2
    print(describe())
    kinds = [("jieba", 1)] + [("jieba", n) for n in (2, 4) if n <= cores()]
    if find_spec("rjieba") is None:
        print("rjieba    not installed (pip install 'nplm-cli[fast]'): jieba alone is measured")
    else:
        kinds.append(("rjieba", 1))
    rows, words = [], {}
    for name, workers in kinds:
        seconds, found = _best(options.files, name, workers, options.turns)
        characters = sum(len(token) for sentence in found for token in sentence)
        words[name, workers] = found
        tokens = sum(map(len, found))
        rows.append(
            [name, f"{workers}", f"{seconds:.2f}", f"{characters / seconds:,.0f}", f"{tokens:,}"]
        )
    print()
    print(table(["segmenter", "workers", "seconds", "characters/s", "words"], rows))
    plain = words["jieba", 1]
    for kind, found in words.items():
        if kind[0] == "jieba" and found != plain:
            print(f"{kind[1]} workers cut other words than one", file=sys.stderr)
            return 1
    if ("rjieba", 1) in words:
        print()
        print("\n".join(differences(plain, words["rjieba", 1])))
    return 0


def _best(files: Sequence[str], name: str, workers: int, turns: int) -> tuple[float, Words]:
    config = CorpusConfig(lang="zh", format="raw", tokenizer=name)
    # Once for nothing: what is loaded once is no part of the speed; a worker loads it each time.
    list(read_sentences(files, config)) if workers == 1 else None
    best, found = float("inf"), []
    for _ in range(turns):
        began = time.perf_counter()
        found = [s.tokens for s in read_sentences(files, config, workers=workers)]
        best = min(best, time.perf_counter() - began)
    return best, found


def differences(first: Words, second: Words) -> Iterator[str]:
    """Lines that tell how the words of two segmenters differ; the sentences are the same text."""
    common = ours = theirs = same = 0
    pairs: Counter[tuple[str, str]] = Counter()
    for a, b in zip(first, second, strict=True):
        ends_a, ends_b = (set(accumulate(map(len, words))) for words in (a, b))
        common += len(ends_a & ends_b)
        ours += len(ends_a)
        theirs += len(ends_b)
        same += a == b
        pairs.update(_unlike(a, b))
    yield f"cuts of jieba {ours:,}, of rjieba {theirs:,}, of both {common:,}"
    yield f"precision {common / theirs:.5f}, recall {common / ours:.5f}"
    yield f"sentences that are the same {same:,} of {len(first):,} ({same / len(first):.3%})"
    yield f"most frequent of {len(pairs):,} differences (jieba: rjieba)"
    for (a, b), count in pairs.most_common(SHOWN):
        yield f"{count:>6}  {a}: {b}"


def _unlike(a: list[str], b: list[str]) -> Iterator[tuple[str, str]]:
    """Stretches between two cuts that both make, which they cut differently inside."""
    i = j = 0
    while i < len(a):
        first, second = [a[i]], [b[j]]
        length = len(a[i]) - len(b[j])
        i, j = i + 1, j + 1
        while length:
            if length < 0:
                first.append(a[i])
                length += len(a[i])
                i += 1
            else:
                second.append(b[j])
                length -= len(b[j])
                j += 1
        if first != second:
            yield " ".join(first), " ".join(second)


if __name__ == "__main__":
    sys.exit(main())
