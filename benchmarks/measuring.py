"""The text of the throughput benchmark, and how two sides of a comparison take turns."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import corpora

from nplm_cli.config import CorpusConfig, VocabularyConfig
from nplm_cli.corpus.formats import read_sentences
from nplm_cli.corpus.shards import Part, encode_sentences
from nplm_cli.corpus.vocabulary import cut_vocabulary

VOCABULARY = 10_000
Row = list[str]
HEADER = ["what", "nplm", "peer", "unit", "ratio", "of each turn"]


class Settings:
    """How much to measure, and the text."""

    def __init__(self, quick: bool, turns: int, folder: Path):
        self.quick, self.turns, self.folder = quick, turns, folder
        ptb = corpora() / "ptb" / "ptb.train.txt"
        if ptb.exists():
            self.text_name, self.file = "Penn Treebank", ptb
        else:
            self.text_name, self.file = "Zipf text (no real corpora)", folder / "zipf.txt"
            self.file.write_text(zipf_text(200_000 if quick else 900_000), "utf-8")
        self.lines = self.file.read_text("utf-8").splitlines()
        if quick:
            self.lines = self.lines[:8000]
            self.file = folder / "quick.txt"
            self.file.write_text("\n".join(self.lines) + "\n", "utf-8")
        self.part = self.encode()

    def encode(self) -> Part:
        """Read, count, cut, encode: what nplm does with text before a training."""
        corpus = CorpusConfig(format="segmented")
        counts: dict[str, int] = {}
        sentences = 0
        for sentence in read_sentences([str(self.file)], corpus):
            sentences += 1
            for token in sentence.tokens:
                counts[token] = counts.get(token, 0) + 1
        cut = cut_vocabulary(counts, sentences, VocabularyConfig(max_size=VOCABULARY - 2))
        return encode_sentences(read_sentences([str(self.file)], corpus), cut.vocabulary)


def zipf_text(tokens: int) -> str:
    """Made-up sentences of about 20 words, word r with a probability of about 1/r."""
    random = np.random.default_rng(1)
    p = 1 / (np.arange(VOCABULARY + 500) + 2.7)
    words = random.choice(len(p), tokens, p=p / p.sum())
    ends = random.random(tokens) < 1 / 20
    pieces = [f"w{word}\n" if end else f"w{word} " for word, end in zip(words, ends, strict=True)]
    return "".join(pieces) + "\n"


def compared(
    what: str, unit: str, turns: int, ours: Callable[[], float], peer: Callable[[], float]
) -> Row:
    """Take turns; ``ours`` and ``peer`` return a rate (more is better)."""
    ours(), peer()
    pairs = [(ours(), peer()) for _ in range(turns)]
    mine, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratios = " ".join(f"{a / b:.2f}" for a, b in pairs)
    return [what, shown(mine), shown(theirs), unit, f"{mine / theirs:.2f}", ratios]


def shown(value: float) -> str:
    """Three or four figures that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rate(amount: float, work: Callable[[], Any]) -> Callable[[], float]:
    """Amount a second of some work."""

    def measured() -> float:
        began = time.perf_counter()
        work()
        return amount / (time.perf_counter() - began)

    return measured
