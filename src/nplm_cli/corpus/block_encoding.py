"""Segmented text becomes ids block by block; the same ids as sentence by sentence, sooner."""

import io
from array import array
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

import numpy as np

from nplm_cli.corpus.formats import CorpusReader, Sentence
from nplm_cli.corpus.shards import Part, encode_sentences, ids_dtype, part_of
from nplm_cli.corpus.vocabulary import EOS, EOS_ID, UNK, UNK_ID, Vocabulary
from nplm_cli.corpus.word_blocks import WordBlock
from nplm_cli.corpus.word_table import MISSING, WordTable


class BlockEncoder:
    """Encodes blocks of words with a known vocabulary."""

    def __init__(self, vocabulary: Vocabulary, kernels: ModuleType):
        """Put the vocabulary into a table; ``kernels`` as in ``WordTable``."""
        self.dtype = ids_dtype(len(vocabulary))
        self._kernels = kernels
        self._table = WordTable(kernels)
        words = enumerate(vocabulary.tokens)
        # What looks like </s> in a text is never that.
        self._table.add(
            {word.encode("utf-8", "surrogatepass"): i for i, word in words if word != EOS}
        )

    def encode(self, block: WordBlock) -> tuple[np.ndarray, int]:
        """Ids of a block, ``</s>`` after each sentence, and how many words are ``<unk>`` itself."""
        ids_W = self._table.find(block)
        literal = int(np.count_nonzero(ids_W == UNK_ID))
        ids_W[ids_W == MISSING] = UNK_ID
        ids_N = np.empty(len(ids_W) + block.sentences, self.dtype)
        self._kernels.with_ends(ids_W, block.words_S, EOS_ID, ids_N)
        return ids_N, literal


def encode_text(
    reader: CorpusReader,
    vocabulary: Vocabulary,
    on_texts: Callable[[list[str]], None] | None = None,
) -> Part:
    """Encode what a reader reads with a known vocabulary, in memory, block by block if it can.

    The result is that of ``encode_sentences``. ``on_texts`` is given all sentences in lists, of
    each the words put together without white space.
    """
    if not reader.in_blocks:
        return encode_sentences(_told(reader, on_texts), vocabulary)
    encoder = BlockEncoder(vocabulary, reader.kernels)
    ids = array("H" if encoder.dtype.itemsize == 2 else "I")
    starts, file_starts = array("q", [0]), array("q")
    characters = 0
    file = -1
    for block in reader.blocks():
        if block.file != file:
            file = block.file
            file_starts.append(len(ids))
        if on_texts is not None:
            on_texts(block.texts())
        ids_N, literal = encoder.encode(block)
        starts.frombytes((len(ids) + block.ends_S).tobytes())
        ids.frombytes(ids_N.tobytes())
        characters += block.characters - len(UNK) * literal
    return part_of(ids, starts, file_starts, characters)


def _told(
    sentences: Iterable[Sentence], on_texts: Callable[[list[str]], None] | None
) -> Iterator[Sentence]:
    for sentence in sentences:
        if on_texts is not None:
            on_texts(["".join(sentence.tokens)])
        yield sentence


def id_bytes(reader: CorpusReader, vocabulary: Vocabulary) -> Iterator[bytes]:
    """Yield the ids of what a reader reads, ``</s>`` after each sentence, as they lie on disk."""
    if reader.in_blocks:
        encoder = BlockEncoder(vocabulary, reader.kernels)
        for block in reader.blocks():
            yield encoder.encode(block)[0].tobytes()
        return
    dtype = ids_dtype(len(vocabulary))
    for sentence in reader:
        yield np.array([*vocabulary.encode(sentence.tokens), EOS_ID], dtype).tobytes()


def npy_header(vocabulary: Vocabulary, ids: int) -> bytes:
    """What precedes so many ids in a .npy file; of the same length for any number."""
    file = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(ids_dtype(len(vocabulary)))
    header = {"descr": descr, "fortran_order": False, "shape": (ids,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()
