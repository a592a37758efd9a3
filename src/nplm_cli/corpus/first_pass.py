"""The first pass over a corpus: sentences of provisional ids on disk, before split and cut.

Ids are given in order of first sight, as uint32.
"""

import contextlib
import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from nplm_cli.atomic import named_write
from nplm_cli.corpus.formats import Sentence
from nplm_cli.corpus.vocabulary import EOS, UNK

# Tokens that are looked at together.
BLOCK = 1 << 22


class TokenStore:
    """First pass: sentences as provisional ids in files of ``folder``, units and hashes beside.

    Provisional id 0 is ``</s>``, 1 is a literal ``<unk>``; the others follow in order of first
    sight. Several stores (training text, explicit validation text) share one ``types`` table.
    """

    def __init__(self, folder: Path, name: str, types: defaultdict[str, int]):
        self.types = types
        self._paths = {key: folder / f"{name}.{key}" for key in ("tokens", "offsets", "units")}
        self.sentences = 0
        self.tokens = 0

    def read(self, sentences: Iterable[Sentence]) -> Iterator[int]:
        """Take in all sentences; yields the number of tokens so far now and then."""
        lookup = self.types.__getitem__
        eos = lookup(EOS)
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(named_write(path)) for path in self._paths.values()]
            ids, offsets, units = array("I"), array("q", [0]), array("Q")
            position = 0
            for sentence in sentences:
                ids.extend(map(lookup, sentence.tokens))
                ids.append(eos)
                position += len(sentence.tokens) + 1
                offsets.append(position)
                text_hash = hashlib.blake2b(
                    # The same text lands on the same side whatever the tokens or the case.
                    "".join(sentence.tokens).lower().encode(),
                    digest_size=8,
                )
                units.extend(
                    (
                        sentence.document,
                        sentence.block,
                        sentence.line,
                        sentence.file,
                        int.from_bytes(text_hash.digest(), "little"),
                    )
                )
                self.sentences += 1
                self.tokens += len(sentence.tokens)
                if len(ids) >= 1 << 16:
                    for values, file in zip((ids, offsets, units), files, strict=True):
                        _append(values, file)
                    ids, offsets, units = array("I"), array("q"), array("Q")
                    yield self.tokens
            for values, file in zip((ids, offsets, units), files, strict=True):
                _append(values, file)
        yield self.tokens

    def _load(self, key: str, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
        path = self._paths[key]
        if not path.stat().st_size:
            return np.zeros((0, *shape[1:]), dtype)
        return np.memmap(path, dtype, "r").reshape(shape)

    @property
    def ids_N(self) -> np.ndarray:
        """Provisional ids, uint32."""
        return self._load("tokens", np.uint32, (-1,))

    @property
    def offsets(self) -> np.ndarray:
        """Start of each sentence and the end of the last, int64 of length S + 1."""
        return self._load("offsets", np.int64, (-1,))

    @property
    def units(self) -> np.ndarray:
        """A row a sentence: document, block, line, file, hash of the sentence's text."""
        return self._load("units", np.uint64, (-1, 5))

    def remove(self) -> None:
        """Delete the files of the first pass."""
        for path in self._paths.values():
            path.unlink(missing_ok=True)


def _append(values: array, file: IO[bytes]) -> None:
    try:
        values.tofile(file)
    except OSError as error:  # as named_write would do, if not for the files opened after this one
        error.filename = error.filename or file.name
        raise


def new_types() -> defaultdict[str, int]:
    """Return a table that gives each new token the next provisional id."""
    types: defaultdict[str, int] = defaultdict()
    types.default_factory = types.__len__
    types[EOS], types[UNK]
    return types


def count_tokens(store: TokenStore, parts_S: np.ndarray, part: int) -> np.ndarray:
    """Count each provisional id in the sentences of one part."""
    counts = np.zeros(len(store.types), np.int64)
    for _, ids in sentences_of(store, parts_S, part):
        counts += np.bincount(ids, minlength=len(counts))
    return counts


def sentences_of(
    store: TokenStore, parts_S: np.ndarray, part: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of a part: indices of its sentences and their ids, in bounded memory."""
    offsets = store.offsets
    ids_N = store.ids_N
    begin = 0
    while begin < store.sentences:
        end = int(np.searchsorted(offsets, offsets[begin] + BLOCK, "right")) - 1
        end = max(end, begin + 1)
        chosen = parts_S[begin:end] == part
        lengths = np.diff(offsets[begin : end + 1])
        block = ids_N[offsets[begin] : offsets[end]]
        yield begin + np.flatnonzero(chosen), block[np.repeat(chosen, lengths)]
        begin = end
