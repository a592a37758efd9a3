"""Vectors as arrays on disk, memory-mapped: npy and safetensors, and the words beside them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nplm_cli.errors import ArtifactError
from nplm_cli.opening import open_regular
from nplm_cli.vectors.line_words import LineWords
from nplm_cli.vectors.text import BOM

if TYPE_CHECKING:
    from nplm_cli.artifacts import TensorFile

WORDS_SUFFIX = ".words.txt"


def words_path(path: Path) -> Path:
    """NAME.words.txt beside NAME.npy or NAME.safetensors."""
    return path.with_suffix(WORDS_SUFFIX)


def load_npy(path: Path) -> tuple[list[str] | LineWords, np.ndarray]:
    """Words and a memory-mapped (V, d) array; never unpickles. Raises ArtifactError."""
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the header is parsed as Python: whatever that may raise
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"{path}: not a readable npy file, or cut short: {why:.200}") from error
    _check_matrix(path, vectors.shape, vectors.dtype)
    return _read_words(path, len(vectors)), vectors


def load_safetensors(
    path: Path,
) -> tuple[list[str] | LineWords, np.ndarray, np.ndarray | None, list[int] | None]:
    """Words, memory-mapped vectors, counts if stored, rows to skip if stored."""
    from nplm_cli.artifacts import TensorFile

    tensors = TensorFile(path)
    vectors = tensors["embedding.weight"]
    _check_matrix(path, vectors.shape, vectors.dtype)
    if "words" not in tensors.metadata:
        return _read_words(path, len(vectors)), vectors, None, None
    words: object = _plain_list(tensors.metadata["words"]) or _json(path, tensors, "words")
    if not isinstance(words, LineWords) and not (
        isinstance(words, list) and all(isinstance(word, str) for word in words)
    ):
        raise ArtifactError(f"{path}: its metadata 'words' is not a list of words: corrupt")
    counts = None
    if "counts" in tensors:
        counts = tensors["counts"]
        if counts.ndim != 1 or counts.dtype.kind not in "iu":
            raise ArtifactError(f"{path}: its tensor 'counts' is not whole numbers: corrupt")
    skip = _json(path, tensors, "skip") if "skip" in tensors.metadata else None
    if skip is not None and not (isinstance(skip, list) and all(type(row) is int for row in skip)):
        raise ArtifactError(f"{path}: its metadata 'skip' is not a list of rows: corrupt")
    return words, vectors, counts, skip


def _plain_list(text: str) -> LineWords | None:
    """Words of a JSON list of strings that is written in the plainest way, as ours are."""
    if len(text) < 4 or (text[:2], text[-2:]) != ('["', '"]') or "\\" in text:
        return None
    body = text[2:-2]
    try:
        lines = (body.replace('","', "\n") + "\n").encode()
    except UnicodeEncodeError:
        return None
    # Each quote ends a word or begins one; JSON has no control characters, LF among them.
    plain = body.count('"') == 2 * body.count('","') and not _has_controls(text)
    return LineWords(lines) if plain else None


def _has_controls(text: str) -> bool:
    return bool(np.frombuffer(text.encode(), np.uint8).min(initial=255) < ord(" "))


def _json(path: Path, tensors: "TensorFile", key: str) -> object:
    try:
        return json.loads(tensors.metadata[key])
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: its metadata {key!r} is not JSON: corrupt") from error


def _check_matrix(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if len(shape) != 2 or dtype.kind != "f":
        raise ArtifactError(
            f"{path}: holds {dtype} of shape {shape}: expected floats, words x dimensions"
        )


def _read_words(path: Path, expected: int) -> list[str] | LineWords:
    """NAME.words.txt: one word a line, LF or CRLF, as many as there are rows."""
    words_file = words_path(path)
    try:
        with open_regular(words_file) as file:
            data = file.read().removeprefix(BOM)
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{words_file}: no such file: {path.name} needs its words beside it, one a line"
        ) from error
    except OSError as error:
        raise ArtifactError(f"{words_file}: {error.strerror or error}") from error
    if b"\r" not in data and _is_utf8(data):  # most files
        found = LineWords(data if data.endswith(b"\n") or not data else data + b"\n")
        if len(found) == expected:
            return found
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if len(lines) != expected:
        raise ArtifactError(
            f"{words_file}: {len(lines)} words, but {path.name} has {expected} rows"
        )
    words = []
    for number, line in enumerate(lines, start=1):
        try:
            words.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ArtifactError(
                f"{words_file}:{number}: byte {error.start} is not UTF-8; convert it to UTF-8"
            ) from error
    return words


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
