"""The first pass over a corpus: sentences of provisional ids on disk, before split and cut.

Ids are given in order of first sight, as uint32.
"""

import contextlib
import hashlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO

import numpy as np

from nplm_cli.atomic import named_write
from nplm_cli.corpus.formats import Sentence
from nplm_cli.corpus.vocabulary import EOS, UNK
from nplm_cli.corpus.word_blocks import WordBlock
from nplm_cli.corpus.word_table import MISSING, WordTable

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
        with self._writer() as write:
            ids, offsets, units = array("I"), array("q"), array("Q")
            position = 0
            for sentence in sentences:
                ids.extend(map(lookup, sentence.tokens))
                ids.append(eos)
                position += len(sentence.tokens) + 1
                offsets.append(position)
                units.extend(
                    (
                        sentence.document,
                        sentence.block,
                        sentence.line,
                        sentence.file,
                        _hash("".join(sentence.tokens).lower()),
                    )
                )
                self.sentences += 1
                self.tokens += len(sentence.tokens)
                if len(ids) >= 1 << 16:
                    write(ids, offsets, units)
                    ids, offsets, units = array("I"), array("q"), array("Q")
                    yield self.tokens
            write(ids, offsets, units)
        yield self.tokens

    def read_blocks(self, blocks: Iterable[WordBlock], kernels: ModuleType) -> Iterator[int]:
        """Take in sentences by blocks, with the same result as ``read``; yields the same.

        ``kernels`` as in ``WordTable``.
        """
        table = WordTable(kernels)
        eos = self.types[EOS]
        position = 0
        with self._writer() as write:
            for block in blocks:
                ids_N = np.empty(len(block.starts_W) + block.sentences, np.uint32)
                kernels.with_ends(self._provisional(block, table), block.words_S, eos, ids_N)
                units = np.empty((block.sentences, 5), np.uint64)
                units[:, 0], units[:, 3] = block.document, block.file
                units[:, 1], units[:, 2] = block.block_S, block.line_S
                units[:, 4] = [_hash(text) for text in block.texts(lowered=True)]
                write(ids_N, position + block.ends_S, units)
                position += len(ids_N)
                self.sentences += block.sentences
                self.tokens += len(block.starts_W)
                yield self.tokens
        yield self.tokens

    def _provisional(self, block: WordBlock, table: WordTable) -> np.ndarray:
        """Ids of the words of a block, those seen for the first time put into the table."""
        ids_W = table.find(block)
        missing = np.flatnonzero(ids_W == MISSING)
        words = [block.word(w) for w in missing.tolist()]
        new = {
            word: self.types[word.decode("utf-8", "surrogatepass")] for word in dict.fromkeys(words)
        }
        ids_W[missing] = [new[word] for word in words]
        table.add(new)
        return ids_W

    @contextlib.contextmanager
    def _writer(self) -> Iterator[Callable[..., None]]:
        """Open the files; gives what takes ids, ends and units of sentences."""
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(named_write(path)) for path in self._paths.values()]

            def write(*values: array | np.ndarray) -> None:
                for each, file in zip(values, files, strict=True):
                    _append(each, file)

            write(array("I"), array("q", [0]), array("Q"))
            yield write

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


def _hash(text: str) -> int:
    """The same for the same text, whatever the tokens; ``text`` in lower case."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _append(values: array | np.ndarray, file: IO[bytes]) -> None:
    try:
        file.write(values.tobytes())
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
