"""Vector files: which format a file is in, and loading it.

| format         | what it is                                                              |
|----------------|-------------------------------------------------------------------------|
| word2vec       | text, a header ``V d``, then ``word f f ... f``; also fastText's .vec    |
| word2vec-bin   | the same header, then ``word``, a space, d little-endian float32, LF     |
| glove          | word2vec text without the header                                        |
| npy            | NAME.npy, and NAME.words.txt with a word a line                         |
| safetensors    | tensor ``embedding.weight``, ``counts`` if known, the words as metadata |
| projector      | NAME.vectors.tsv and NAME.metadata.tsv for TensorBoard; written only    |

The first three may be compressed with gzip. The format is read from the bytes, not the name.
"""

import codecs
from pathlib import Path

import numpy as np

from nplm_cli.errors import ArtifactError
from nplm_cli.vectors.arrays import load_npy, load_safetensors
from nplm_cli.vectors.keyed import KeyedVectors
from nplm_cli.vectors.line_words import LineWords
from nplm_cli.vectors.text import (
    BOM,
    HEADER,
    open_binary,
    parse_numbers,
    read_layout,
    read_lines,
)

_SPECIALS = ("<unk>", "</s>")
_SAMPLE_BYTES = 1 << 20


def detect_format(path: str | Path) -> str:
    """``npy``, ``safetensors``, ``word2vec``, ``word2vec-bin`` or ``glove``, from the first bytes.

    Raises ArtifactError when the file is missing or empty.
    """
    path = Path(path)
    with open_binary(path) as file:
        head = file.read(_SAMPLE_BYTES)
    if not head:
        raise ArtifactError(f"{path}: empty: expected word vectors")
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    # A safetensors file begins with the length of its JSON header: a small number, zero bytes.
    if head[8:9] == b"{" and head[5:8] == b"\0\0\0":
        return "safetensors"
    line, _, rest = head.partition(b"\n")
    header = HEADER.fullmatch(line.removeprefix(BOM))
    if not header:
        return "glove"
    whole = len(head) < _SAMPLE_BYTES
    return "word2vec" if _is_text(rest, int(header[2]), whole) else "word2vec-bin"


def _is_text(body: bytes, dim: int, whole: bool) -> bool:
    """Whether what follows a word2vec header is text: its first line ends in d numbers.

    ``whole``: nothing is cut off at the end.
    """
    first, _, _ = body.partition(b"\n")
    fields = first.rsplit(None, dim)[1:]
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        numbers = []
    if len(numbers) == dim:
        return True
    # Damaged text should be reported as text. Where the first vector would be, binary has bytes
    # that no number has, or all of its rows end where binary ones do.
    if _are_binary_rows(body, dim, whole):
        return False
    vector = body.partition(b" ")[2][: 4 * dim]
    if not vector.partition(b"\n")[0].isascii():
        return False
    return not any(byte < 32 and byte not in b"\t\n\r" for byte in vector) and _is_utf8_cut(vector)


def _are_binary_rows(body: bytes, dim: int, whole: bool) -> bool:
    """Whether each row that is whole here is a word, a space, 4 d bytes, and a line end.

    Not so if in every row the bytes are d fields, as those of text may be: 3 digits and a space.
    """
    at, fields_alone = 0, True
    while at < len(body):
        start = body.find(b" ", at) + 1
        end = start + 4 * dim
        if not start or end >= len(body):  # no space, or no end
            if whole:
                return False
            break
        if body[end : end + 1] != b"\n":
            return False
        fields_alone = fields_alone and len(body[start:end].split()) == dim
        at = end + 1
    return at > 0 and not fields_alone


def _is_utf8_cut(cut: bytes) -> bool:
    """Whether the bytes are UTF-8, but for a character cut off at the end."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(cut)
    except UnicodeDecodeError:
        return False
    return True


def load_vectors(path: str | Path) -> KeyedVectors:
    """Load a vector file of any format of this module's table.

    ``npy`` and ``safetensors`` stay memory-mapped. ``<unk>`` and ``</s>`` are in ``skip``. Of a
    word that occurs twice the first vector is kept, and ``duplicates`` counts the rest. Raises
    ArtifactError, with the line where there is one, for a missing, corrupt, cut-short or foreign
    file, for bytes that are not UTF-8 and for nan or inf.
    """
    path = Path(path)
    if path.is_dir():
        raise ArtifactError(f"{path}: a folder: expected a vector file")
    form = detect_format(path)
    if form == "npy":
        words, vectors = load_npy(path)
        return KeyedVectors(words, vectors, skip=_specials(words))
    if form == "safetensors":
        words, vectors, counts, skip = load_safetensors(path)
        return KeyedVectors(words, vectors, counts, _specials(words) if skip is None else skip)
    if form == "word2vec-bin":
        from nplm_cli.vectors.binary import read_binary

        dim, blocks = read_binary(path)
    else:
        layout = read_layout(path)
        dim = layout.dim
        blocks = (
            ([line.word for line in lines], parse_numbers(path, lines, layout.dim))
            for lines in read_lines(path, layout)
        )
    gathered = _Gathered(dim)
    for block_words, rows in blocks:
        gathered.add(block_words, rows)
    return KeyedVectors(
        gathered.words,
        gathered.matrix(),
        skip=_specials(gathered.words),
        duplicates=gathered.duplicates,
    )


def _specials(words: list[str] | LineWords) -> list[int]:
    # A word that occurs twice is refused later on.
    if isinstance(words, LineWords):
        rows = map(words.row, _SPECIALS)
        return [row for row in rows if row is not None]
    return [words.index(word) for word in _SPECIALS if word in words]


class _Gathered:
    """Words and rows as they are read; the first of equal words wins."""

    def __init__(self, dim: int):
        self.words: list[str] = []
        self.duplicates = 0
        self._seen: set[str] = set()
        self._rows = np.empty((0, dim), np.float32)

    def add(self, words: list[str], rows: np.ndarray) -> None:
        before = len(self.words)
        fresh = []
        for i, word in enumerate(words):
            if word not in self._seen:
                self._seen.add(word)
                self.words.append(word)
                fresh.append(i)
        self.duplicates += len(words) - len(fresh)
        if len(self.words) > len(self._rows):
            # Grown in place by a quarter: neither a second copy nor a header's promise.
            capacity = max(len(self.words), len(self._rows) * 5 // 4)
            self._rows.resize((capacity, self._rows.shape[1]), refcheck=False)
        self._rows[before : len(self.words)] = rows if len(fresh) == len(words) else rows[fresh]

    def matrix(self) -> np.ndarray:
        self._rows.resize((len(self.words), self._rows.shape[1]), refcheck=False)
        return self._rows
