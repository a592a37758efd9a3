"""Back-off models as ARPA files, as SRILM, KenLM and Kaldi read them.

Layout: SRILM's manual, ngram-format(5). Logarithms are to base 10, with seven digits.
"""

import gzip
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np

from nplm_cli.atomic import atomic_write
from nplm_cli.interchange.backoff import NEVER, BackoffModel
from nplm_cli.interchange.words import check_words

BLOCK_NGRAMS = 1 << 16

OnDone = Callable[[int], None]


def save_arpa(
    path: Path, model: BackoffModel, tokens: Sequence[str], on_done: OnDone = lambda done: None
) -> None:
    """Write a model atomically, compressed when the name ends in ``.gz``.

    ``tokens`` are the words by id, ``<unk>`` and ``</s>`` the first two; ``on_done`` gets the
    number of n-grams written. Raises ConfigError, before a byte is written, for a word that the
    format cannot hold.
    """
    check_words(tokens, "arpa")
    with atomic_write(path) as file:
        if path.suffix == ".gz":
            # No name and no time in the header: the same model, the same bytes.
            with gzip.GzipFile("", "wb", 6, fileobj=file, mtime=0) as packed:
                write_arpa(cast(IO[bytes], packed), model, tokens, on_done)
        else:
            write_arpa(file, model, tokens, on_done)


def write_arpa(
    file: IO[bytes], model: BackoffModel, tokens: Sequence[str], on_done: OnDone = lambda done: None
) -> None:
    """Write to an open binary file."""
    sizes = model.sizes
    file.write(b"\\data\\\n")
    for order, size in enumerate(sizes, 1):
        file.write(b"ngram %d=%d\n" % (order, size + (order == 1)))  # <s> besides
    done = 0
    for order, size in enumerate(sizes, 1):
        file.write(b"\n\\%d-grams:\n" % order)
        for start in range(0, size, BLOCK_NGRAMS):
            block = slice(start, min(start + BLOCK_NGRAMS, size))
            file.write("".join(_lines(model, tokens, order, block)).encode())
            done += block.stop - block.start
            on_done(done)
    file.write(b"\n\\end\\\n")


def _lines(model: BackoffModel, tokens: Sequence[str], order: int, block: slice) -> Iterator[str]:
    """Lines of some n-grams of an order."""
    size, tables = model.trie.vocab_size, model.trie.tables
    nodes = np.arange(block.start, block.stop)
    texts: list[str] = []
    for n in range(order, 0, -1):
        nodes, words = np.divmod(tables[n].keys_N[nodes], size) if n > 1 else (nodes, nodes)
        if n == order:
            texts = [tokens[word] for word in words.tolist()]
        else:
            texts = [
                f"{tokens[word] if word != 1 else '<s>'} {text}"
                for word, text in zip(words.tolist(), texts, strict=True)
            ]
    log_p = np.minimum(model.log_p[order][block] / np.log(10), 0.0).tolist()
    if order == model.order > 1:
        yield from (f"{p:.7g}\t{text}\n" for p, text in zip(log_p, texts, strict=True))
        return
    followed = _followed(model, order)[block].tolist()
    log_b = np.zeros(len(log_p)).tolist()
    if order < model.order:
        log_b = (model.log_b[order][block] / np.log(10) + 0.0).tolist()
    for i, (p, text, b, has) in enumerate(zip(log_p, texts, log_b, followed, strict=True)):
        weight = f"\t{b:.7g}" if has else ""
        if order == 1 and block.start + i == 1:
            yield f"{NEVER:.7g}\t<s>{weight}\n{p:.7g}\t{text}\n"
        else:
            yield f"{p:.7g}\t{text}{weight}\n"


def _followed(model: BackoffModel, order: int) -> np.ndarray:
    """Whether longer n-grams begin with an n-gram: the others need no back-off weight."""
    if order == model.order:
        return np.zeros(len(model.log_p[order]), bool)
    contexts = model.trie.tables[order + 1].keys_N // model.trie.vocab_size
    return np.bincount(contexts, minlength=len(model.log_p[order])) > 0
