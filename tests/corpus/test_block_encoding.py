"""Blocks against sentences: the reader's sentence by sentence path is the definition."""

import dataclasses
import io
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nplm_cli.config import CorpusConfig
from nplm_cli.corpus import word_blocks, word_kernels
from nplm_cli.corpus.block_encoding import encode_text, id_bytes, npy_header
from nplm_cli.corpus.first_pass import TokenStore, new_types
from nplm_cli.corpus.formats import read_sentences
from nplm_cli.corpus.shards import encode_sentences
from nplm_cli.corpus.vocabulary import Vocabulary
from nplm_cli.corpus.word_table import WordTable
from nplm_cli.errors import InputError

try:
    from nplm_cli.corpus import compiled_kernels

    KERNELS = [word_kernels, compiled_kernels]
except ImportError:
    KERNELS = [word_kernels]

WORDS = [
    "a", "b", "ab", "词", "词语很长很长", "exactly15bytes!", "sixteen bytes ok".replace(" ", "_"),
    "<unk>", "<s>", "</s>", "&lt;s&gt;", "&lt;unk&gt;", "x</s>", "ΑΣ", "Σ", "İx", "Ａ９", "𝒳", "１９９８年",
    "\u0001", "e\u0301", "an-uncommonly-long-word-of-many-bytes",
]  # fmt: skip
SPACES = [" ", "  ", "\t", "\u3000", "\xa0", "\x85", "\u2028", "\x0b", "\x1c", "\n", "\r\n", "\r"]
SPACES += ["\n\n", "\n \n"]
TEXTS = st.lists(
    st.one_of(st.sampled_from(WORDS), st.sampled_from(SPACES), st.text(max_size=4)), max_size=40
).map("".join)
VOCABULARY = Vocabulary(
    ["<unk>", "</s>", "a", "词", "&lt;/s&gt;", "1998年", "词语很长很长", "sixteen_bytes_ok", "ας", "αΣ"],
    [1] * 10,
)  # fmt: skip


def reader(data, kernels=None, **given_):
    made = read_sentences(
        ["-"], CorpusConfig(format="segmented", **given_), stdin=io.BytesIO(data), on_event=print
    )
    if kernels is not None:
        made.kernels = kernels
    return made


def outcome(make):
    """What it returns, or what it refuses."""
    try:
        return make()
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("kernels", KERNELS, ids=lambda kernels: kernels.__name__.split(".")[-1])
@given(
    text=TEXTS,
    config=st.fixed_dictionaries(
        {
            "blank_lines": st.sampled_from(["skip", "keep"]),
            "sentences": st.sampled_from(["auto", "split"]),
            "lowercase": st.booleans(),
            "fold_width": st.booleans(),
            "fold_numbers": st.booleans(),
            "errors": st.just("replace"),
            "encoding": st.sampled_from(["utf-8", "utf-16-le"]),
        }
    ),
    size=st.sampled_from([1, 7, 1 << 17]),
)
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_blocks_are_the_sentences(kernels, text, config, size, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(word_blocks, "BLOCK_CHARACTERS", size)
    data = text.encode(config["encoding"], "replace")
    by_sentence, by_block = reader(data, **config), reader(data, kernels, **config)
    expected = outcome(lambda: encode_sentences(by_sentence, VOCABULARY))
    found = outcome(lambda: encode_text(by_block, VOCABULARY))
    if isinstance(expected, str):
        assert found == expected
        return
    assert dataclasses.asdict(by_block.counts) == dataclasses.asdict(by_sentence.counts)
    assert by_block.warnings == by_sentence.warnings
    for key in ("ids_N", "starts", "file_starts"):
        assert getattr(found, key).tolist() == getattr(expected, key).tolist()
        assert getattr(found, key).dtype == getattr(expected, key).dtype
    assert found.characters == expected.characters
    ids = b"".join(id_bytes(reader(data, kernels, **config), VOCABULARY))
    assert np.frombuffer(ids, "<u2").tolist() == expected.ids_N.tolist()
    if not by_block.in_blocks:
        return
    sentences = list(reader(data, **config))
    texts, lines, words = [], b"", []
    blocks = list(reader(data, kernels, **config).blocks())
    for block in blocks:
        texts += block.texts()
        lines += block.compact()
        words += block.words()
    assert texts == ["".join(s.tokens) for s in sentences]
    assert lines.decode() == "".join(" ".join(s.tokens) + "\n" for s in sentences)
    assert words == [token for s in sentences for token in s.tokens]
    folder = tmp_path_factory.mktemp("pass")
    slow, fast = (TokenStore(folder, name, new_types()) for name in ("slow", "fast"))
    list(slow.read(sentences))
    list(fast.read_blocks(blocks, kernels))
    assert list(fast.types.items()) == list(slow.types.items())
    assert (fast.sentences, fast.tokens) == (slow.sentences, slow.tokens)
    for key in ("ids_N", "offsets", "units"):
        assert getattr(fast, key).tolist() == getattr(slow, key).tolist()


def test_files_and_blank_lines_are_numbered_alike(tmp_path):
    for name, text in (("a", "x y\n\nz\n"), ("b", "\n\n"), ("c", "\n词 x\nw"), ("d", "x")):
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in "abcd"]
    for blank in ("skip", "keep"):
        config = CorpusConfig(format="segmented", blank_lines=blank)
        slow, fast = (TokenStore(tmp_path, name, new_types()) for name in ("slow", "fast"))
        list(slow.read(read_sentences(files, config)))
        read = read_sentences(files, config)
        list(fast.read_blocks(read.blocks(), read.kernels))
        assert fast.units.tolist() == slow.units.tolist()
        assert fast.ids_N.tolist() == slow.ids_N.tolist()
        part = encode_text(read_sentences(files, config), VOCABULARY)
        expected = encode_sentences(read_sentences(files, config), VOCABULARY)
        assert part.file_starts.tolist() == expected.file_starts.tolist()


def test_all_white_space_of_str_is_known():
    known = set(word_blocks.ASCII_SPACES + word_blocks.OTHER_SPACES + " \n\r")
    assert known == {chr(c) for c in range(sys.maxunicode + 1) if chr(c).isspace()}


@pytest.mark.parametrize("kernels", KERNELS, ids=lambda kernels: kernels.__name__.split(".")[-1])
def test_a_table_of_many_words_finds_each_and_no_other(kernels):
    words = [f"w{i}" for i in range(3000)] + [f"a-longer-word-{i}" for i in range(3000)]
    table = WordTable(kernels)
    for begin in range(0, len(words), 700):  # grows
        table.add({w.encode(): i for i, w in enumerate(words[begin : begin + 700], begin)})
    assert len(table) == len(words)
    asked = [*words[::-1], "w", "w3000", "w1\0", "", "a-longer-word-", "a-longer-word-3000"]
    (block,) = reader(" ".join(asked).encode().replace(b"\0", b"\x01"), kernels).blocks()
    found = table.find(block).tolist()
    assert found == [*range(len(words))[::-1], -1, -1, -1, -1, -1]


def test_words_whose_cells_are_the_same_are_told_apart(monkeypatch):
    monkeypatch.setattr(
        word_kernels, "cells_of", lambda keys, bits: np.full(len(keys), (1 << bits) - 1)
    )
    monkeypatch.setattr("nplm_cli.corpus.word_table.cells_of", word_kernels.cells_of)
    table = WordTable()
    table.add({b"a": 0, b"b": 1, b"abcdefgh": 2, b"abcdefghi": 3})
    (block,) = reader(b"abcdefghi b z a abcdefgh").blocks()
    assert table.find(block).tolist() == [3, 1, -1, 0, 2]


def test_many_full_width_characters_are_folded_as_few_are():
    few = "".join(map(chr, range(0xFF00, 0xFF70))) + "𝒳aＡ词"
    from nplm_cli.corpus.tokenizers import MANY_CHARACTERS, fold_width

    many = few * (1 + MANY_CHARACTERS // len(few))
    assert fold_width(many) == fold_width(few) * (1 + MANY_CHARACTERS // len(few))
    assert "0123456789" in fold_width(few)


def test_the_header_of_an_array_has_one_length():
    assert len(npy_header(VOCABULARY, 0)) == len(npy_header(VOCABULARY, 10**12))
