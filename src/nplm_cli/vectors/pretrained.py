"""First rows of an embedding from a file of pretrained vectors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nplm_cli.vectors.binary import read_binary
from nplm_cli.vectors.formats import detect_format, load_vectors
from nplm_cli.vectors.text import parse_numbers, read_layout, read_lines


@dataclass(frozen=True)
class Coverage:
    """How much of a vocabulary a vector file covers.

    ``found`` of ``total`` vocabulary words have a vector of ``dim`` numbers; the file holds
    ``file_words`` entries; ``missing`` are the first words without one, at most ten.
    """

    found: int
    total: int
    dim: int
    file_words: int
    missing: tuple[str, ...]


def initial_rows(
    path: str | Path, vocabulary_words: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, Coverage]:
    """Rows (ascending, int64, N) of the vocabulary that the file has vectors for, and these.

    The vectors are float32 (N, d). A text or binary word2vec file or a GloVe file is read as a
    stream, so that memory is bounded by the vocabulary and not by the file; of a repeated word
    the first vector counts. Raises ArtifactError as ``load_vectors`` does (numbers of words
    outside the vocabulary are not looked at in text files).
    """
    path = Path(path)
    wanted = {word: row for row, word in enumerate(vocabulary_words)}
    found: dict[int, np.ndarray] = {}
    dim, file_words = 0, 0
    for block_dim, size, words, rows in _blocks(path, wanted):
        dim, file_words = block_dim, file_words + size
        for word, vector in zip(words, rows, strict=True):
            # A copy: a view would hold the whole block in memory.
            if word in wanted and wanted[word] not in found:
                found[wanted[word]] = vector.astype(np.float32)
    rows_N = np.array(sorted(found), dtype=np.int64)
    vectors_ND = np.zeros((len(found), dim), np.float32)
    for i, row in enumerate(rows_N.tolist()):
        vectors_ND[i] = found[row]
    missing = (word for row, word in enumerate(vocabulary_words) if row not in found)
    first_missing = tuple(word for _, word in zip(range(10), missing, strict=False))
    return (
        rows_N,
        vectors_ND,
        Coverage(len(found), len(vocabulary_words), dim, file_words, first_missing),
    )


def _blocks(path: Path, wanted: dict[str, int]) -> Iterator[tuple[int, int, list[str], np.ndarray]]:
    """(d, words read, words, their rows); of text, only the wanted words are parsed."""
    form = detect_format(path)
    if form in ("npy", "safetensors"):
        keyed = load_vectors(path)
        rows = {word: keyed.index_of(word) for word in wanted}
        have = {word: row for word, row in rows.items() if row is not None}
        yield keyed.dim, len(keyed), list(have), keyed.vectors[list(have.values())]
    elif form == "word2vec-bin":
        dim, blocks = read_binary(path)
        for block_words, block_rows in blocks:
            yield dim, len(block_words), block_words, block_rows
    else:
        layout = read_layout(path)
        for lines in read_lines(path, layout):
            kept = [line for line in lines if line.word in wanted]
            words = [line.word for line in kept]
            yield layout.dim, len(lines), words, parse_numbers(path, kept, layout.dim)
