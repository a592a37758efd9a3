"""The text of the throughput benchmark, and how two sides of a comparison take turns."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from machine import corpora

from nplm_cli.config import CorpusConfig, VocabularyConfig
from nplm_cli.corpus.formats import read_sentences
from nplm_cli.corpus.shards import Part, encode_sentences
from nplm_cli.corpus.vocabulary import EOS_ID, cut_vocabulary

VOCABULARY = 10_000
Row = list[str]
HEADER = ["what", "nplm", "peer", "unit", "ratio", "of each turn"]


class Settings:
    """How much to measure, on how many threads and by which clock, and the text."""

    def __init__(
        self, quick: bool, turns: int, folder: Path, threads: int, clock: Callable[[], float]
    ):
        self.quick, self.turns, self.folder = quick, turns, folder
        self.threads, self.clock = threads, clock
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
    """Made-up sentences of about 20 words as text."""
    words, ends = zipf_words(VOCABULARY + 500, tokens)
    pieces = [f"w{word}\n" if end else f"w{word} " for word, end in zip(words, ends, strict=True)]
    return "".join(pieces) + "\n"


def zipf_part(vocabulary: int, tokens: int) -> Part:
    """Made-up sentences of about 20 words as ids, one file."""
    words, ends = zipf_words(vocabulary - 2, tokens)
    ends[-1] = True
    ids_N = np.where(ends, EOS_ID, words + 2).astype(np.uint32)
    starts = np.concatenate([[0], np.flatnonzero(ends) + 1])
    return Part(ids_N, starts, np.zeros(1, np.int64), 5 * tokens)


def zipf_words(types: int, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of words, word r with a probability of about 1/r, and where a sentence ends."""
    random = np.random.default_rng(1)
    p = 1 / (np.arange(types) + 2.7)
    return random.choice(types, tokens, p=p / p.sum()), random.random(tokens) < 1 / 20


def in_turns(sides: Mapping[str, Callable[[], float]], turns: int) -> dict[str, list[float]]:
    """What each side returns in each turn, after a turn that is not counted."""
    every = [{name: side() for name, side in sides.items()} for _ in range(turns + 1)]
    return {name: [turn[name] for turn in every[1:]] for name in sides}


def compared(
    what: str, unit: str, turns: int, ours: Callable[[], float], peer: Callable[[], float]
) -> Row:
    """Take turns; ``ours`` and ``peer`` return a rate (more is better)."""
    rates = in_turns({"ours": ours, "peer": peer}, turns)
    mine, theirs = statistics.median(rates["ours"]), statistics.median(rates["peer"])
    ratios = ratios_shown(rates["ours"], rates["peer"])
    return [what, shown(mine), shown(theirs), unit, f"{mine / theirs:.2f}", ratios]


def ratios_shown(ours: list[float], peer: list[float]) -> str:
    """The ratio of each turn."""
    return " ".join(f"{a / b:.2f}" for a, b in zip(ours, peer, strict=True))


def shown(value: float) -> str:
    """Three or four figures that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rate(
    amount: float, work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter
) -> Callable[[], float]:
    """Amount a second of some work."""

    def measured() -> float:
        began = clock()
        work()
        return amount / (clock() - began)

    return measured
