"""Token ids on disk: the parts of a corpus as memory-mapped arrays of sentences.

A corpus is tokenised once (``first_pass.py``); after the split and the vocabulary cut, a table
turns provisional ids into final ones part by part. Ids are little-endian uint16 when the
vocabulary has fewer than 65,536 entries, else uint32.
"""

import contextlib
import os
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from nplm_cli.artifacts import (
    atomic_write,
    check_format,
    is_count,
    read_json,
    sha256_of_file,
    write_json,
)
from nplm_cli.config import Context
from nplm_cli.corpus.vocabulary import EOS_ID, UNK, UNK_ID, Vocabulary
from nplm_cli.errors import ArtifactError
from nplm_cli.opening import open_regular

if TYPE_CHECKING:
    from nplm_cli.corpus.first_pass import TokenStore
    from nplm_cli.corpus.formats import Sentence

PartName = Literal["train", "valid", "test"]
PARTS: tuple[PartName, ...] = ("train", "valid", "test")


# Ids that are counted at once.
COUNT_BLOCK = 4_000_000


@dataclass(frozen=True)
class Part:
    """Sentences of ids, each ended by ``</s>``; the layout every scorer reads.

    ``ids_N`` is the stream w w ``</s>`` w ``</s>`` ...; sentence s is
    ``ids_N[starts[s]:starts[s + 1]]`` with ``starts`` of length S + 1; ``file_starts`` are the
    positions where a new file begins (stream policy: a new sequence). ``characters`` counts the
    non-space characters of the words before they became ids.
    """

    ids_N: np.ndarray
    starts: np.ndarray
    file_starts: np.ndarray
    characters: int

    @property
    def predictions(self) -> int:
        """Number of predicted tokens: words and one ``</s>`` a sentence."""
        return len(self.ids_N)

    @property
    def sentences(self) -> int:
        """Number of sentences."""
        return len(self.starts) - 1

    @property
    def words(self) -> int:
        """Number of words, ``</s>`` not counted."""
        return self.predictions - self.sentences

    def sequence_starts(self, context: Context) -> np.ndarray:
        """Where a sequence begins and the last one ends: sentences, or files under ``stream``."""
        if context == "sentence":
            return self.starts
        return np.append(self.file_starts, self.predictions).astype(np.int64)

    def oov(self) -> int:
        """Number of ``<unk>`` tokens."""
        blocks = range(0, len(self.ids_N), COUNT_BLOCK)
        return sum(int(np.count_nonzero(self.ids_N[i : i + COUNT_BLOCK] == UNK_ID)) for i in blocks)


def count_ids(ids_N: np.ndarray, size: int) -> np.ndarray:
    """How often each id below ``size`` occurs (int64), in memory that does not grow with N."""
    counts = np.zeros(size, np.int64)
    for start in range(0, len(ids_N), COUNT_BLOCK):
        counts += np.bincount(ids_N[start : start + COUNT_BLOCK], minlength=size)
    return counts


def beginning(part: Part, tokens: int) -> Part:
    """The first sentences of a part, at least one, up to about ``tokens`` tokens.

    Its ``characters`` are 0: it is for timing, not for a ledger.
    """
    sentences = max(1, int(np.searchsorted(part.starts, tokens, "right")) - 1)
    starts = part.starts[: sentences + 1]
    end = int(starts[-1])
    return Part(part.ids_N[:end], starts, part.file_starts[part.file_starts < end], 0)


def sentences_of_ids(sentences: Sequence[Sequence[int]]) -> Part:
    """Sentences of ids as one file; each gets its ``</s>``. No characters are counted."""
    ended = [[*sentence, EOS_ID] for sentence in sentences]
    starts = np.cumsum([0, *map(len, ended)], dtype=np.int64)
    flat = np.array([i for sentence in ended for i in sentence], np.int64)
    return Part(flat, starts, np.zeros(min(len(ended), 1), np.int64), 0)


def every_second(part: Part, first: int) -> Part:
    """Every second sentence of a part, from number ``first`` (0 or 1) on, as one file.

    Its ``characters`` are 0: it is for choosing and comparing, not for a ledger.
    """
    lengths_S = np.diff(part.starts)
    chosen_S = np.arange(part.sentences) % 2 == first
    starts = np.concatenate([[0], np.cumsum(lengths_S[chosen_S])])
    ids_N = np.asarray(part.ids_N)[np.repeat(chosen_S, lengths_S)]
    return Part(ids_N, starts, np.zeros(min(1, len(ids_N)), np.int64), 0)


def encode_sentences(sentences: "Iterable[Sentence]", vocabulary: Vocabulary) -> Part:
    """Encode sentences in memory with a known vocabulary."""
    get = vocabulary.index.get
    ids = array("H" if ids_dtype(len(vocabulary)).itemsize == 2 else "I")
    starts = array("q", [0])
    file_starts = array("q")
    characters = 0
    file = -1
    for sentence in sentences:
        if sentence.file != file:
            file = sentence.file
            file_starts.append(len(ids))
        ids.extend([get(token, UNK_ID) for token in sentence.tokens])
        ids.append(EOS_ID)
        starts.append(len(ids))
        # <unk> in the text is not a word of five characters.
        characters += sum(map(len, sentence.tokens)) - len(UNK) * sentence.tokens.count(UNK)
    return part_of(ids, starts, file_starts, characters)


def part_of(ids: array, starts: array, file_starts: array, characters: int) -> Part:
    """Return the part that these arrays hold, without a copy of them."""
    ids_N, starts_S, files = (
        np.frombuffer(values, values.typecode) if values else np.zeros(0, values.typecode)
        for values in (ids, starts, file_starts)
    )
    return Part(ids_N, starts_S, files, characters)


def write_part(
    folder: Path,
    name: PartName,
    store: "TokenStore",
    parts_S: np.ndarray,
    table: np.ndarray,
    characters_by_type: np.ndarray,
) -> dict[str, int]:
    """Write the sentences of one part with final ids; returns its counts.

    ``table`` maps provisional to final ids and has the dtype of the ids on disk.
    """
    number = PARTS.index(name)
    counts = dict.fromkeys(("sentences", "words", "predictions", "oov", "characters"), 0)
    before = last_file = -1  # the sentence before, and its file
    offsets, units = store.offsets, store.units
    from nplm_cli.corpus.first_pass import sentences_of

    with contextlib.ExitStack() as stack:
        file, starts_file, breaks_file = (
            stack.enter_context(atomic_write(folder / f"{name}.{suffix}"))
            for suffix in ("ids", "sentences", "files")
        )
        starts_file.write(np.zeros(1, "<i8").tobytes())
        for chosen, ids in sentences_of(store, parts_S, number):
            final = table[ids]
            file.write(final.tobytes())
            ends = counts["predictions"] + np.cumsum(offsets[chosen + 1] - offsets[chosen])
            starts_file.write(ends.astype("<i8").tobytes())
            # A running text breaks where a file begins and where the split left sentences out.
            files = units[chosen, 3].astype(np.int64)
            broken = (np.diff(files, prepend=last_file) != 0) | (
                np.diff(chosen, prepend=before) != 1
            )
            starts = np.concatenate([[counts["predictions"]], ends])[:-1]
            breaks_file.write(starts[broken].astype("<i8").tobytes())
            if len(chosen):
                before, last_file = int(chosen[-1]), int(files[-1])
            counts["sentences"] += len(chosen)
            counts["predictions"] += len(ids)
            counts["oov"] += int(np.count_nonzero(final == UNK_ID))
            counts["characters"] += int(characters_by_type[ids].sum())
    counts["words"] = counts["predictions"] - counts["sentences"]
    return counts


def ids_dtype(vocabulary_size: int) -> np.dtype:
    """Dtype of ids on disk."""
    return np.dtype("<u2" if vocabulary_size < 65_536 else "<u4")


def write_index(folder: Path, vocabulary_size: int, parts: dict[str, dict[str, int]]) -> None:
    """Write what is needed to open the parts again."""
    dtype = "uint16" if ids_dtype(vocabulary_size).itemsize == 2 else "uint32"
    files = [f"{name}.{kind}" for name in parts for kind in ("ids", "sentences", "files")]
    sums = {name: sha256_of_file(folder / name) for name in files}
    index = {"format_version": 1, "dtype": dtype, "parts": parts, "sha256": sums}
    write_json(folder / "index.json", index)


def open_parts(folder: Path) -> dict[str, Part]:
    """Open all parts that were written; sizes are checked against the index."""
    index = read_json(folder / "index.json")
    path = folder / "index.json"
    if not isinstance(index, dict) or not isinstance(index.get("parts"), dict):
        raise ArtifactError(f"{path}: not an index of parts")
    check_format(path, index.get("format_version"))
    if index.get("dtype") not in ("uint16", "uint32"):
        raise ArtifactError(f"{path}: unknown dtype {index.get('dtype')!r}")
    dtype = np.dtype("<u2" if index["dtype"] == "uint16" else "<u4")
    sums = index.get("sha256")
    if not isinstance(sums, dict):
        raise ArtifactError(f"{path}: no checksums: not an index of this nplm; train anew")
    parts = {}
    for name, counts in index["parts"].items():
        if name not in PARTS:
            raise ArtifactError(f"{path}: unknown part {name!r}")
        keys = ("predictions", "sentences", "characters")
        if not isinstance(counts, dict) or not all(is_count(counts.get(k)) for k in keys):
            raise ArtifactError(f"{path}: the counts of {name!r} are incomplete: damaged")
        ids = _map(folder / f"{name}.ids", dtype)
        starts = _map(folder / f"{name}.sentences", np.dtype("<i8"))
        if len(ids) != counts["predictions"] or len(starts) != counts["sentences"] + 1:
            raise ArtifactError(f"{folder / name}.ids: not as long as index.json says: damaged")
        files = _map(folder / f"{name}.files", np.dtype("<i8"))
        for file in (f"{name}.ids", f"{name}.sentences", f"{name}.files"):
            if sums.get(file) != sha256_of_file(folder / file):
                raise ArtifactError(f"{folder / file}: checksum differs: damaged; train anew")
        if not (_ascends(starts, len(ids)) and starts[-1] == len(ids)):
            raise ArtifactError(f"{folder / name}.sentences: not where sentences begin: damaged")
        if bool(len(ids)) != bool(len(files)) or not _ascends(files, len(ids) - 1):
            raise ArtifactError(f"{folder / name}.files: not where files begin: damaged")
        parts[name] = Part(ids, starts, files, counts["characters"])
    return parts


def _ascends(places: np.ndarray, end: int) -> bool:
    """Whether places rise from 0 up to ``end`` at most, looked at in blocks."""
    if not len(places):
        return True
    rises = all(
        bool((np.diff(places[start : start + COUNT_BLOCK + 1]) > 0).all())
        for start in range(0, len(places), COUNT_BLOCK)
    )
    return rises and bool(places[0] == 0 and places[-1] <= end)


def check_ids(folder: Path, parts: dict[str, Part], vocabulary_size: int) -> None:
    """Raise ArtifactError when a part holds an id that the vocabulary lacks."""
    for part in parts.values():
        if part.predictions and int(np.max(part.ids_N)) >= vocabulary_size:
            raise ArtifactError(
                f"{folder}: ids that vocabulary.tsv lacks: not the text of this run"
            )


def _map(path: Path, dtype: np.dtype) -> np.ndarray:
    try:
        with open_regular(path) as file:
            if not os.fstat(file.fileno()).st_size:
                return np.zeros(0, dtype)
            return np.memmap(file, dtype, "r")
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: {error}") from error
