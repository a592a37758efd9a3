"""Writing vector files that other programs read back as the same words and numbers.

Everything is checked before the first byte is written: a word that the format cannot hold is
refused by name, with the formats that can. Numbers are written as the shortest text that reads
back as the same float32.
"""

import gzip
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Literal, cast, get_args

import numpy as np

from nplm_cli.artifacts import MAX_HEADER_BYTES, atomic_write, tensors_writer
from nplm_cli.atomic import write_together
from nplm_cli.errors import ArtifactError, ConfigError, did_you_mean
from nplm_cli.vectors.arrays import words_path
from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.number_text import number_texts

Format = Literal["word2vec", "word2vec-bin", "glove", "npy", "projector", "safetensors"]
FORMATS: tuple[Format, ...] = get_args(Format)
# A file, and what writes it.
_Write = Callable[[IO[bytes]], None]
_Part = tuple[Path, _Write]

_BLOCK_NUMBERS = 1 << 18
_SURROGATES = re.compile("[\ud800-\udfff]")
# What cuts a word short where the format is read. Other blanks (U+00A0, U+3000, U+2028, U+0085)
# are cut by no reader of words as bytes, gensim among them.
_CUTS = {
    "word2vec": re.compile(r"[ \t\n\r\x0b\x0c]"),
    "word2vec-bin": re.compile(r"[ \t\n\r\x0b\x0c]"),
    "glove": re.compile(r"[ \t\n\r\x0b\x0c]"),
    "npy": re.compile(r"[\n\r]"),
    "projector": re.compile(r"[\t\n\r]"),
}
# Where a file begins with its first word, U+FEFF there would be read as a byte-order mark.
_NO_BOM = ("glove", "npy", "projector")


def save_vectors(path: str | Path, keyed: KeyedVectors, format: str) -> list[Path]:
    """Write ``keyed`` to ``path`` and return the files written, each atomically.

    ``npy`` writes NAME.npy and NAME.words.txt, ``projector`` NAME.vectors.tsv and
    NAME.metadata.tsv (NAME is ``path`` without such an ending); the others write ``path``
    itself, the first three compressed when it ends in ``.gz``. Raises ConfigError for an unknown
    format and for a word that the format cannot hold, ArtifactError for vectors that are not
    finite, InputError when the folder cannot be written; nothing is written then.
    """
    return save_together([(path, keyed)], format)


def save_together(spaces: Sequence[tuple[str | Path, KeyedVectors]], format: str) -> list[Path]:
    """Write several spaces as ``save_vectors`` does one, all of them or none."""
    parts = [
        part
        for path, keyed in spaces
        for part in _parts(Path(path), keyed, _checked(keyed, format))
    ]
    return _write_all(parts)


def _parts(path: Path, keyed: KeyedVectors, form: Format) -> list[_Part]:
    """Files of one space, and what writes each; the vectors first, without which it is none."""
    match form:
        case "safetensors":
            return [(path, _safetensors_writer(keyed))]
        case "npy":
            array_path = path.with_name(path.name.removesuffix(".npy") + ".npy")
            return [
                (array_path, lambda file: _write_npy(file, keyed)),
                (words_path(array_path), lambda file: _write_words(file, keyed)),
            ]
        case "projector":
            return _projector_parts(
                path,
                lambda file: _write_tsv(file, keyed),
                lambda file: _write_metadata(file, keyed),
            )
    writer = _WRITERS[form]
    if path.suffix != ".gz":
        return [(path, lambda file: writer(file, keyed))]

    def write_packed(file: IO[bytes]) -> None:
        # No name and no time in the header: the same vectors, the same bytes.
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            writer(cast(IO[bytes], packed), keyed)

    return [(path, write_packed)]


def _write_all(parts: list[_Part]) -> list[Path]:
    if len(parts) > 1:
        write_together(*parts)
    for path, write in parts if len(parts) == 1 else ():
        with atomic_write(path) as file:
            write(file)
    return [path for path, _ in parts]


def write_vectors(file: IO[bytes], keyed: KeyedVectors, format: str) -> None:
    """Write to an open binary file, say standard output: word2vec, word2vec-bin and glove only.

    Raises as ``save_vectors`` does, before the first byte.
    """
    form = _checked(keyed, format)
    if form not in _WRITERS:
        raise ConfigError(
            f"format {form} does not go to a stream: name a file, or choose {', '.join(_WRITERS)}"
        )
    _WRITERS[form](file, keyed)


def save_sentence_vectors(
    path: str | Path, vectors_ND: np.ndarray, texts: Sequence[str], format: str
) -> list[Path]:
    """Write a vector for each sentence and return the files written, each atomically.

    ``projector`` writes the sentences, with their line numbers from 1, as NAME.metadata.tsv; in
    the other formats the line number is the key, for two lines may hold the same words, and most
    formats cut a key at a space. Raises as ``save_vectors`` does.
    """
    keyed = number_sentences(vectors_ND)
    if format != "projector":
        return save_vectors(path, keyed, format)
    _checked(keyed, format)

    def write_texts(file: IO[bytes]) -> None:
        file.write(b"line\tsentence\n")
        for number, text in zip(keyed.words, texts, strict=True):
            # The blanks between words are no part of them; a tab would begin another column.
            shown = _SURROGATES.sub("\ufffd", " ".join(text.split()))
            file.write(f"{number}\t{shown}\n".encode())

    parts = _projector_parts(Path(path), lambda file: _write_tsv(file, keyed), write_texts)
    return _write_all(parts)


def number_sentences(vectors_ND: np.ndarray) -> KeyedVectors:
    """Vectors of sentences under the numbers of their lines, from 1."""
    return KeyedVectors([str(number + 1) for number in range(len(vectors_ND))], vectors_ND)


def _checked(keyed: KeyedVectors, form: str) -> Format:
    if form not in FORMATS:
        raise ConfigError(
            f"unknown vector format {form!r}: expected {', '.join(FORMATS)}"
            f"{did_you_mean(form, FORMATS)}"
        )
    if not len(keyed) or not keyed.dim:
        raise ArtifactError(f"no vectors to write: {len(keyed)} words of {keyed.dim} dimensions")
    for row, word in enumerate(keyed.words):
        fault = _fault(word, row, form)
        if fault:
            able = [other for other in FORMATS if not _fault(word, row, other)]
            raise ConfigError(
                f"word {word!r} (row {row}) cannot be written as {form}: {fault}; "
                + (f"formats that hold it: {', '.join(able)}" if able else "no format holds it")
            )
    for start, block in _row_blocks(keyed):
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            row = start + int(np.flatnonzero(~finite)[0])
            raise ArtifactError(
                f"the vector of {keyed.words[row]!r} (row {row}) holds nan or inf; train again"
            )
    return form


def _fault(word: str, row: int, form: str) -> str | None:
    """Why the format cannot hold the word, or None."""
    if _SURROGATES.search(word):
        return "it holds a lone surrogate, which is not UTF-8"
    if form == "safetensors":
        return None
    if not word:
        return "it is empty"
    cut = _CUTS[form].search(word)
    if cut:
        return f"it holds {cut[0]!r}, where readers would cut it"
    if form == "projector" and not word.replace("\ufeff", "").strip():
        return "it is all blanks, and the projector drops such lines"
    if row == 0 and form in _NO_BOM and word.startswith("\ufeff"):
        return "the file would begin with U+FEFF, a byte-order mark"
    return None


def _row_blocks(keyed: KeyedVectors) -> Iterator[tuple[int, np.ndarray]]:
    """First row and rows, of at most about a megabyte."""
    size = max(1, _BLOCK_NUMBERS // keyed.dim)
    for start in range(0, len(keyed), size):
        yield start, keyed.vectors[start : start + size]


def _texts(keyed: KeyedVectors, separator: bytes) -> Iterator[tuple[str, bytes]]:
    """Each word and its numbers as text."""
    for start, block in _row_blocks(keyed):
        texts = number_texts(block, separator)
        yield from zip(keyed.words[start : start + len(block)], texts, strict=True)


def _write_glove(file: IO[bytes], keyed: KeyedVectors) -> None:
    for word, numbers in _texts(keyed, b" "):
        file.write(b"%s %s\n" % (word.encode(), numbers))


def _write_word2vec(file: IO[bytes], keyed: KeyedVectors) -> None:
    file.write(b"%d %d\n" % (len(keyed), keyed.dim))
    _write_glove(file, keyed)


def _write_binary(file: IO[bytes], keyed: KeyedVectors) -> None:
    file.write(b"%d %d\n" % (len(keyed), keyed.dim))
    for row, word in enumerate(keyed.words):
        vector = keyed.vectors[row].astype("<f4", copy=False)
        file.write(b"%s %s\n" % (word.encode(), vector.tobytes()))


_Writer = Callable[[IO[bytes], KeyedVectors], None]
_WRITERS: dict[str, _Writer] = {
    "word2vec": _write_word2vec,
    "word2vec-bin": _write_binary,
    "glove": _write_glove,
}


def _write_npy(file: IO[bytes], keyed: KeyedVectors) -> None:
    np.save(file, np.asarray(keyed.vectors, dtype="<f4"), allow_pickle=False)


def _write_words(file: IO[bytes], keyed: KeyedVectors) -> None:
    file.writelines(word.encode() + b"\n" for word in keyed.words)


def _write_tsv(file: IO[bytes], keyed: KeyedVectors) -> None:
    for _, numbers in _texts(keyed, b"\t"):
        file.write(numbers + b"\n")


def _write_metadata(file: IO[bytes], keyed: KeyedVectors) -> None:
    # The projector wants a header with several columns and none with one.
    if keyed.counts is None:
        _write_words(file, keyed)
        return
    file.write(b"word\tcount\n")
    for word, count in zip(keyed.words, keyed.counts.tolist(), strict=True):
        file.write(b"%s\t%d\n" % (word.encode(), count))


def _projector_parts(path: Path, vectors: _Write, metadata: _Write) -> list[_Part]:
    stem = path.name.removesuffix(".tsv").removesuffix(".vectors").removesuffix(".metadata")
    return [
        (path.with_name(stem + ".vectors.tsv"), vectors),
        (path.with_name(stem + ".metadata.tsv"), metadata),
    ]


def _safetensors_writer(keyed: KeyedVectors) -> _Write:
    words = json.dumps(list(keyed.words), ensure_ascii=False, separators=(",", ":"))
    # Escaped once more within the header: twice the size at the very most.
    if 2 * len(words.encode()) > MAX_HEADER_BYTES:
        raise ConfigError(
            "the words are too long for a safetensors header (100 MB); choose npy or word2vec"
        )
    tensors = {"embedding.weight": keyed.vectors}
    if keyed.counts is not None:
        tensors["counts"] = keyed.counts
    return tensors_writer(tensors, {"words": words, "skip": json.dumps(sorted(keyed.skip))})
