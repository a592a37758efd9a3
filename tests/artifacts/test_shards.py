"""Ids on disk and the split: shares, documents kept whole, the same text on the same side."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.config import SplitConfig
from nplm_cli.corpus import first_pass
from nplm_cli.corpus import split as split_module
from nplm_cli.corpus.first_pass import TokenStore, count_tokens, new_types
from nplm_cli.corpus.formats import Sentence
from nplm_cli.corpus.shards import (
    encode_sentences,
    ids_dtype,
    open_parts,
    write_index,
    write_part,
)
from nplm_cli.corpus.split import split_sentences
from nplm_cli.corpus.vocabulary import Vocabulary
from nplm_cli.errors import ArtifactError, ConfigError


def text_of(*documents):
    """Documents of blocks of lines of words -> sentences; a document is a file."""
    block = line = 0
    for number, document in enumerate(documents):
        for lines in document:
            for words in lines:
                yield Sentence(words.split(), number, block, line, number)
                line += 1
            block += 1


def stored(folder, sentences, types=None, name="train"):
    store = TokenStore(folder, name, types if types is not None else new_types())
    list(store.read(sentences))
    return store


@pytest.fixture
def split(tmp_path):
    """Documents and settings -> part of each sentence, unit, and the sentences' words."""
    numbers = iter(range(1000))

    def run(*documents, **settings):
        sentences = list(text_of(*documents))
        store = stored(tmp_path, sentences, name=str(next(numbers)))
        parts, unit = split_sentences(store.units, SplitConfig(**settings))
        return parts, unit, [" ".join(s.tokens) for s in sentences], sentences

    return run


def documents(count, seed=0, sentences=5):
    random = np.random.default_rng(seed)
    return [
        [[f"d{n} w{random.integers(10**6)} s{i}" for i in range(random.integers(1, sentences + 1))]]
        for n in range(count)
    ]


# --- the split ----------------------------------------------------------------------------------


def test_shares_of_a_hash_split(split):
    parts, unit, _, sentences = split(*documents(4000))
    assert unit == "document"
    per_document = {s.document: part for s, part in zip(sentences, parts.tolist(), strict=True)}
    shares = Counter(per_document.values())
    for part, share in ((0, 0.90), (1, 0.05), (2, 0.05)):
        assert shares[part] / 4000 == pytest.approx(share, abs=0.012)


@pytest.mark.parametrize("by", ["hash", "order"])
@pytest.mark.parametrize("count", [20, 50, 300])
def test_no_document_on_two_sides(split, by, count):
    parts, unit, _, sentences = split(*documents(count), split_by=by)
    assert unit == "document"
    sides = {}
    for sentence, part in zip(sentences, parts.tolist(), strict=True):
        assert sides.setdefault(sentence.document, part) == part
    assert set(parts.tolist()) == {0, 1, 2}


def test_the_same_text_is_on_the_same_side_wherever_it_stands(split):
    texts = documents(300)
    parts, _, words, _ = split(*texts)
    side = dict(zip(words, parts.tolist(), strict=True))
    order = np.random.default_rng(1).permutation(300)
    shuffled, _, words, _ = split(*(texts[i] for i in order), *documents(100, seed=9))
    for sentence, part in zip(words, shuffled.tolist(), strict=True):
        assert side.get(sentence, part) == part


def test_other_tokens_or_case_of_the_same_text_stay_on_their_side(split):
    """What decides is the text: neither where words are cut nor how they are capitalised."""
    texts = documents(300)
    parts = split(*texts)[0].tolist()
    assert set(parts) == {0, 1, 2}
    cut = [[[" ".join(line.replace(" ", "")) for line in block] for block in d] for d in texts]
    upper = [[[line.upper() for line in block] for block in document] for document in texts]
    assert split(*cut)[0].tolist() == parts
    assert split(*upper)[0].tolist() == parts
    other = [[[line + "!" for line in block] for block in document] for document in texts]
    assert split(*other)[0].tolist() != parts


def test_a_document_twice_is_on_one_side(split):
    texts = documents(200)
    parts, _, _, _ = split(*texts, *texts)
    assert parts[: len(parts) // 2].tolist() == parts[len(parts) // 2 :].tolist()


def test_the_order_of_sentences_makes_another_document(split):
    """A sum that forgets the order would send all anagrams to one side."""
    texts = [[[f"d{n} a", f"d{n} b"]] for n in range(300)]
    turned = [[lines[0][::-1]] for lines in texts]
    there = split(*texts)[0].reshape(-1, 2)[:, 0]
    back = split(*turned)[0].reshape(-1, 2)[:, 0]
    assert there.tolist() != back.tolist()


def test_order_takes_the_first_the_next_and_the_last(split):
    parts, _, _, _ = split(*documents(100, sentences=1), split_by="order")
    assert parts.tolist() == [0] * 90 + [1] * 5 + [2] * 5


def test_order_counts_sentences_and_keeps_documents_whole(split):
    parts, _, _, _ = split(*documents(100), split_by="order")
    assert parts.tolist() == sorted(parts.tolist())
    for part in (1, 2):
        assert np.mean(parts == part) == pytest.approx(0.05, abs=0.02)


def test_none_trains_on_everything(split):
    parts, unit, _, _ = split(*documents(30), split_by="none")
    assert not parts.any()
    assert unit == "none"
    parts, unit, _, _ = split(*documents(30), valid_share=0.0, test_share=0.0)
    assert not parts.any()


def test_only_the_parts_that_are_asked_for(split):
    assert set(split(*documents(60), test_share=0.0)[0].tolist()) == {0, 1}
    assert set(split(*documents(60), valid_share=0.0)[0].tolist()) == {0, 2}


def test_few_documents_are_split_by_blocks_and_then_by_lines(split):
    one_file = [[[f"block {b} line {i}" for i in range(3)] for b in range(30)]]
    parts, unit, _, sentences = split(*one_file)
    assert unit == "block"
    sides = {}
    for sentence, part in zip(sentences, parts.tolist(), strict=True):
        assert sides.setdefault(sentence.block, part) == part
    parts, unit, _, _ = split([[f"line {i}" for i in range(40)]])
    assert unit == "line"
    assert set(parts.tolist()) == {0, 1, 2}


def test_sentences_of_one_line_stay_together(tmp_path):
    sentences = [Sentence([f"w{i}"], 0, 0, i // 3, 0) for i in range(90)]
    store = stored(tmp_path, sentences)
    parts, unit = split_sentences(store.units, SplitConfig(valid_share=0.3))
    assert unit == "line"
    assert (parts.reshape(-1, 3) == parts.reshape(-1, 3)[:, :1]).all()


def test_the_same_number_in_two_files_is_two_units(tmp_path):
    sentences = [Sentence([f"w{f}"], 0, 0, 0, f) for f in range(40)]
    store = stored(tmp_path, sentences)
    parts, unit = split_sentences(store.units, SplitConfig())
    assert unit == "document"
    assert set(parts.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("by", ["hash", "order"])
@pytest.mark.parametrize("lines", [3, 4, 5, 19])
def test_tiny_texts_have_all_three_parts(split, by, lines):
    parts, unit, _, _ = split([[f"line {i}" for i in range(lines)]], split_by=by)
    assert unit == "line"
    assert set(parts.tolist()) == {0, 1, 2}
    assert Counter(parts.tolist())[0] == lines - 2


@pytest.mark.parametrize(
    ("lines", "settings"),
    [(1, {}), (2, {}), (1, {"test_share": 0.0}), (1, {"split_by": "order", "valid_share": 0.0})],
)
def test_too_tiny(split, lines, settings):
    with pytest.raises(ConfigError, match=r"cannot be split .*--split-by none") as caught:
        split([[f"line {i}" for i in range(lines)]], **settings)
    assert "line" in str(caught.value)


@given(
    st.integers(1, 12),
    st.sampled_from([0.0, 0.05, 0.3, 0.6, 0.9]),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.sampled_from(["hash", "order"]),
    st.integers(0, 10**6),
)
@settings(max_examples=200, deadline=None)
def test_any_shares_of_a_small_text(lines, valid, test, by, seed):
    """Every part that was asked for holds something, or ConfigError says why not."""
    if valid + test >= 1:
        return
    units = np.zeros((lines, 5), np.uint64)
    units[:, 2] = np.arange(lines)
    units[:, 4] = np.random.default_rng(seed).integers(0, 2**63, lines)
    try:
        parts, _ = split_sentences(
            units, SplitConfig(split_by=by, valid_share=valid, test_share=test)
        )
    except ConfigError:
        return
    assert len(parts) == lines
    asked = {0} | ({1} if valid else set()) | ({2} if test else set())
    assert set(parts.tolist()) == asked


# --- the store and the parts --------------------------------------------------------------------


def test_first_pass(tmp_path):
    types = new_types()
    store = stored(tmp_path, text_of([["b a b"], ["<unk> a"]]), types)
    other = stored(tmp_path, text_of([["c b"]]), types, name="valid")
    assert list(types) == ["</s>", "<unk>", "b", "a", "c"]
    assert store.ids_N.tolist() == [2, 3, 2, 0, 1, 3, 0]
    assert other.ids_N.tolist() == [4, 2, 0]
    assert store.offsets.tolist() == [0, 4, 7]
    assert (store.sentences, store.tokens) == (2, 5)
    assert store.units[:, :4].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0]]
    store.remove()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "valid.offsets", "valid.tokens", "valid.units",
    ]  # fmt: skip


def test_first_pass_of_more_than_a_buffer(tmp_path):
    """Sentences written in several pieces are those written at once."""
    sentences = [Sentence([str(i)] * 100, 0, 0, i, 0) for i in range(2000)]
    store = TokenStore(tmp_path, "train", new_types())
    progress = list(store.read(sentences))
    assert len(progress) > 2
    assert progress == sorted(progress)
    assert progress[-1] == 200_000
    assert store.offsets.tolist() == list(range(0, 202_001, 101))
    assert np.array_equal(store.ids_N.reshape(2000, 101)[:, 0], np.arange(2000) + 2)
    assert store.units[:, 2].tolist() == list(range(2000))


def test_first_pass_of_nothing(tmp_path):
    store = stored(tmp_path, [])
    assert (store.sentences, len(store.ids_N), len(store.units)) == (0, 0, 0)


def two_parts(folder, vocabulary=None):
    """Two files of five sentences, the second and fifth for validation."""
    types = new_types()
    store = stored(folder, text_of([["b a b", "词语 a"], ["zz"]], [["a", "b zz"]]), types)
    parts_S = np.array([0, 1, 0, 0, 1], np.uint8)
    vocabulary = vocabulary or Vocabulary(["<unk>", "</s>", "a", "b"], [0, 0, 0, 0])
    names = list(types)
    table = np.array(vocabulary.encode(names), ids_dtype(len(vocabulary)))
    characters = np.array([0 if n in ("<unk>", "</s>") else len(n) for n in names])
    counts = {
        name: write_part(folder, name, store, parts_S, table, characters)
        for name in ("train", "valid")
    }
    write_index(folder, len(vocabulary), counts)
    return counts, count_tokens(store, parts_S, 0), names


def test_ids_that_were_changed_are_refused(tmp_path):
    """A flipped bit makes another word of the same length: only the checksum sees it."""
    two_parts(tmp_path)
    path = tmp_path / "train.ids"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"train\.ids: checksum differs: damaged"):
        open_parts(tmp_path)


def test_parts_on_disk(tmp_path):
    counts, train_counts, names = two_parts(tmp_path)
    assert dict(zip(names, train_counts.tolist(), strict=True)) == {
        "</s>": 3, "<unk>": 0, "b": 2, "a": 2, "词语": 0, "zz": 1,
    }  # fmt: skip
    parts = open_parts(tmp_path)
    train, valid = parts["train"], parts["valid"]
    assert train.ids_N.tolist() == [3, 2, 3, 1, 0, 1, 2, 1]
    assert train.starts.tolist() == [0, 4, 6, 8]
    # A running text breaks where the split took a sentence out (4) and where a file begins (6).
    assert train.file_starts.tolist() == [0, 4, 6]
    assert valid.ids_N.tolist() == [0, 2, 1, 3, 0, 1]
    assert valid.file_starts.tolist() == [0, 3]
    assert counts["train"] == {
        "sentences": 3, "words": 5, "predictions": 8, "oov": 1, "characters": 6,
    }  # fmt: skip
    for name, part in parts.items():
        assert part.sentences == counts[name]["sentences"]
        assert part.words == counts[name]["words"]
        assert part.predictions == counts[name]["predictions"]
        assert part.oov() == counts[name]["oov"]
        assert part.characters == counts[name]["characters"]
        assert (part.ids_N[part.starts[1:] - 1] == 1).all()
        assert np.count_nonzero(part.ids_N == 1) == part.sentences
        assert not part.ids_N.flags.writeable
    assert train.sequence_starts("sentence").tolist() == [0, 4, 6, 8]
    assert train.sequence_starts("stream").tolist() == [0, 4, 6, 8]


def test_bounded_blocks_give_the_same_parts(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = two_parts(tmp_path / "a")
    monkeypatch.setattr(first_pass, "BLOCK", 3)
    pieces = two_parts(tmp_path / "b")
    assert whole[0] == pieces[0]
    assert whole[1].tolist() == pieces[1].tolist()
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    block=st.integers(1, 40),
    settings=st.builds(
        SplitConfig,
        split_by=st.sampled_from(["hash", "order"]),
        valid_share=st.sampled_from([0.0, 0.05, 0.3]),
        test_share=st.sampled_from([0.05, 0.3]),
    ),
)
def test_a_split_does_not_depend_on_its_blocks(seed, block, settings):
    random = np.random.default_rng(seed)
    size = random.integers(1, 200)
    columns = [np.cumsum(random.random(size) < share) for share in random.random(4)]
    hashes = random.integers(0, 2**63, size)
    units = np.stack([*columns, hashes], axis=1).astype(np.uint64)

    def outcome():
        try:
            parts, unit = split_sentences(units, settings)
        except ConfigError as error:
            return str(error)
        return parts.tolist(), unit

    whole = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split_module, "BLOCK_SENTENCES", block)
        assert outcome() == whole


@pytest.mark.parametrize(("size", "name"), [(65_535, "uint16"), (65_536, "uint32")])
def test_dtype_of_the_ids(tmp_path, size, name):
    tokens = ["<unk>", "</s>", *(f"w{i}" for i in range(size - 4)), "a", "b"]
    two_parts(tmp_path, Vocabulary(tokens, [0] * size))
    assert ids_dtype(size) == np.dtype(name)
    train = open_parts(tmp_path)["train"]
    assert train.ids_N.dtype == np.dtype(name)
    assert train.ids_N.tolist() == [size - 1, size - 2, size - 1, 1, 0, 1, size - 2, 1]
    assert json.loads((tmp_path / "index.json").read_text())["dtype"] == name


def test_encoding_in_memory_is_what_is_on_disk(tmp_path):
    vocabulary = Vocabulary(["<unk>", "</s>", "a", "b"], [0, 0, 0, 0])
    part = encode_sentences(text_of([["b a b", "词语 a"], ["zz"]], [["a", "b zz"]]), vocabulary)
    assert part.ids_N.tolist() == [3, 2, 3, 1, 0, 2, 1, 0, 1, 2, 1, 3, 0, 1]
    assert part.starts.tolist() == [0, 4, 7, 9, 11, 14]
    assert part.file_starts.tolist() == [0, 9]
    assert part.characters == 3 + 3 + 2 + 1 + 3
    empty = encode_sentences([], vocabulary)
    assert (empty.predictions, empty.sentences, empty.words, len(empty.file_starts)) == (0, 0, 0, 0)


def test_a_literal_unk_is_no_word_of_five_characters():
    """Characters in memory are counted as on disk, where <unk> has none."""
    vocabulary = Vocabulary(["<unk>", "</s>", "a"], [0, 0, 0])
    assert encode_sentences(text_of([["<unk> a"]]), vocabulary).characters == 1


DAMAGE = {
    "a list": lambda i: [],
    "no parts": lambda i: {k: v for k, v in i.items() if k != "parts"},
    "parts is a list": lambda i: {**i, "parts": []},
    "no version": lambda i: {k: v for k, v in i.items() if k != "format_version"},
    "newer": lambda i: {**i, "format_version": 9},
    "no dtype": lambda i: {k: v for k, v in i.items() if k != "dtype"},
    "dtype is a list": lambda i: {**i, "dtype": ["uint16"]},
    "other dtype": lambda i: {**i, "dtype": "float32"},
    "wider dtype": lambda i: {**i, "dtype": "uint32"},
    "unknown part": lambda i: {**i, "parts": {"../../etc": i["parts"]["train"]}},
    "too few predictions": lambda i: _with(i, predictions=7),
    "too many sentences": lambda i: _with(i, sentences=4),
    "part is null": lambda i: {**i, "parts": {"train": None}},
    "part is empty": lambda i: {**i, "parts": {"train": {}}},
    "no characters": lambda i: {
        **i, "parts": {"train": {"predictions": 8, "sentences": 3}}
    },
    "characters is text": lambda i: _with(i, characters="6"),
}  # fmt: skip


def _with(index, **changes):
    return {**index, "parts": {"train": {**index["parts"]["train"], **changes}}}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index(tmp_path, damage):
    two_parts(tmp_path)
    path = tmp_path / "index.json"
    path.write_text(json.dumps(DAMAGE[damage](json.loads(path.read_text()))))
    with pytest.raises(ArtifactError):
        open_parts(tmp_path)


@pytest.mark.parametrize("name", ["index.json", "train.ids", "train.sentences", "train.files"])
def test_a_missing_file(tmp_path, name):
    two_parts(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        open_parts(tmp_path)


@pytest.mark.parametrize("name", ["train.ids", "train.sentences", "train.files"])
def test_a_file_cut_short(tmp_path, name):
    two_parts(tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:-1])
    with pytest.raises(ArtifactError):
        open_parts(tmp_path)
    (tmp_path / name).write_bytes(data + b"\x00\x00")
    with pytest.raises(ArtifactError):
        open_parts(tmp_path)
