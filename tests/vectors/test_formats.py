"""Reading other programs' files: their habits are tolerated, damage is refused with its place."""

import gzip
import struct

import numpy as np
import pytest

from nplm_cli.artifacts import write_tensors
from nplm_cli.errors import ArtifactError
from nplm_cli.vectors import KeyedVectors, initial_rows, load_vectors, save_vectors
from nplm_cli.vectors import text as text_format
from nplm_cli.vectors.formats import detect_format


@pytest.fixture
def load(tmp_path):
    def load(data, name="v"):
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return load_vectors(path)

    return load


def f4(*numbers):
    return struct.pack(f"<{len(numbers)}f", *numbers)


@pytest.mark.parametrize(
    "data",
    [
        "2 2\na 1 2\nb 3 4\n",
        "2 2\na 1 2\nb 3 4",  # no LF at the end
        "2 2\r\na 1 2\r\nb 3 4\r\n",  # Windows
        "2 2\na 1 2 \nb 3 4 \n",  # fastText's .vec
        "a 1 2\nb 3 4\n",  # GloVe
        "a 1 2\r\nb 3 4\r\n",
        "a\t1\t2\nb\t3\t4\n",
        "\ufeff2 2\na 1 2\nb 3 4\n",
        "\ufeffa 1 2\nb 3 4\n",
        "2 2\na  1   2\nb 3 4\n\n",
        "2 2\na +1.0 2e0\nb 3. 0.4E1\n",
        b"2 2\na " + f4(1, 2) + b"\nb " + f4(3, 4) + b"\n",
        b"2 2\na " + f4(1, 2) + b"b " + f4(3, 4),  # gensim's, without LF
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_habits_of_other_programs(load, data, packed):
    data = data.encode() if isinstance(data, str) else data
    keyed = load(gzip.compress(data, mtime=0) if packed else data)
    assert list(keyed.words) == ["a", "b"]
    assert keyed.vectors.tolist() == [[1, 2], [3, 4]]


def test_words_with_spaces_are_cut_from_the_right(load):
    keyed = load("4 2\nnew york 1 2\nat 5 3 4\n. . . 5 6\nb 7 8\n")
    assert list(keyed.words) == ["new york", "at 5", ". . .", "b"]
    assert keyed.vectors.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    glove = load("the 1 2\nof 3 4\nat 5 3 4\n")
    assert list(glove.words) == ["the", "of", "at 5"]


def test_first_of_repeated_words_wins_and_the_rest_are_counted(load):
    for data in (
        "4 1\na 1\na 3\nb 2\na 4\n",
        b"4 1\na " + f4(1) + b"a " + f4(3) + b"b " + f4(2) + b"a " + f4(4),
    ):
        keyed = load(data)
        assert list(keyed.words) == ["a", "b"]
        assert keyed.vectors.tolist() == [[1], [2]]
        assert keyed.duplicates == 2


def test_specials_are_skipped(load):
    assert load("3 1\n</s> 0\nthe 1\n<unk> 2\n").skip == {0, 2}


def test_many_blocks(load, monkeypatch, tmp_path):
    monkeypatch.setattr(text_format, "_BLOCK_BYTES", 64)
    vectors = np.random.default_rng(0).standard_normal((300, 3)).astype(np.float32)
    for form in ("word2vec", "glove", "word2vec-bin"):
        save_vectors(tmp_path / "x", KeyedVectors([f"词{i}" for i in range(300)], vectors), form)
        monkeypatch.setattr("nplm_cli.vectors.binary._READ_BYTES", 50)
        back = load_vectors(tmp_path / "x")
        assert back.vectors.tobytes() == vectors.tobytes()
        assert back.words[299] == "词299"


BINARY = b"2 2\na " + f4(1, 2) + b"\nb " + f4(3, 4) + b"\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "v: empty"),
        (b"\n", "v:1: not vectors"),
        (b"hello\nworld\n", "v:1: not vectors"),
        (b"1000000000000 300\na 1 2\n", "v:1: the header announces 1000000000000 words"),
        (b"2 1000000000000\na 1 2\n", "v:1: 1000000000000 dimensions: expected 1 to 1,000,000"),
        (b"999999999999999999 1\na " + f4(1), "v:1: the header announces 999999999999999999 words"),
        (b"2 0\na\nb\n", "v:1: 0 dimensions"),
        (b"3 2\na 1 2\nb 3 4\n", "v: 2 words, but line 1 announces 3: cut short"),
        (b"1 2\na 1 2\nb 3 4\n", "v:3: more words than the 1 that line 1 announces"),
        (b"2 2\na 1 2\nb 3\n", "v:3: expected a word and 2 numbers, found 2 fields"),
        (b"2 2\na 1 2\nb 3 x\n", "v:3: expected 2 numbers after 'b'"),
        (b"2 2\na 1 2\nb 3 0x4\n", "v:3: expected 2 numbers after 'b'"),
        # Fields that make up for each other must not shift the numbers of other words.
        (b"2 2\na 1 2 3\nb 4\n", "v:3: expected a word and 2 numbers, found 2 fields"),
        (b"2 2\na 1 2\nb nan 4\n", "v:3: the vector of 'b' holds nan, inf"),
        (b"2 2\na 1 -inf\nb 3 4\n", "v:2: the vector of 'a' holds nan, inf"),
        (b"2 2\na 1 2\nb 3 1e39\n", "v:3: the vector of 'b' holds nan, inf or a number beyond"),
        (b"2 2\na 1 2\n\xff\xfe 3 4\n", "v:3: byte 0 of the word is not UTF-8"),
        (b"2 2\na 1 2\nb\x80 3 4\n", "v:3: byte 1 of the word is not UTF-8"),
        (b"2 2\na 1 2\n 3 4\n", "v:3: no word before the numbers"),
        (b"a 1 2\nb 3 4\nc 5\n", "v:3: expected a word and 2 numbers"),
        (BINARY[:-3], "v: ends in word 2 of 2: cut short"),
        (BINARY.replace(b"2 2", b"1 2"), "v:1: more follows the 1 words"),
        (BINARY.replace(b"b ", b"\xff "), "v: word 2 is not UTF-8 at its byte 0"),
        (b"1 1\na " + f4(float("nan")) + b"\n", "v: the vector of word 1 ('a') holds nan or inf"),
        (b"9 2\na " + f4(0, 0) + b"\n", "v:1: the header announces 9 words"),
        (bytes(range(256)), "v:1: "),
        (b"PK\x03\x04\0\0\0\0\n", "v:1: not vectors: expected a word and its numbers"),
        (gzip.compress(b"2 2\na 1 2\nb 3 4\n", mtime=0)[:-6], "v: corrupt gzip, or cut short"),
        (
            gzip.compress(b"99999999 2\na 1 2\n", mtime=0),
            "v: 1 words, but line 1 announces 99999999",
        ),
        (gzip.compress(b"99999999 2\na " + f4(1, 2), mtime=0), "v: ends in word 2 of 99999999"),
        (b"\x93NUMPY\x01\x00garbage", "v: not a readable npy file"),
        (struct.pack("<Q", 2**39) + b"{}", "v: header of 549755813888 bytes"),
    ],
)
def test_damage_is_refused_with_its_place(load, tmp_path, data, message):
    with pytest.raises(ArtifactError) as caught:
        load(data)
    assert message in str(caught.value).replace(str(tmp_path) + "/", "")


def test_a_line_without_end_is_refused(load, monkeypatch):
    monkeypatch.setattr(text_format, "_BLOCK_BYTES", 100)
    monkeypatch.setattr(text_format, "_MAX_LINE_BYTES", 1000)
    with pytest.raises(ArtifactError, match="a line of over 1,000 bytes"):
        load("a 1\nb " + "1" * 5000)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ArtifactError, match="no such file"):
        load_vectors(tmp_path / "none")
    with pytest.raises(ArtifactError, match="a folder"):
        load_vectors(tmp_path)


def test_npy_and_its_words(tmp_path):
    path, words = tmp_path / "v.npy", tmp_path / "v.words.txt"
    np.save(path, np.eye(2))
    with pytest.raises(ArtifactError, match=r"v.words.txt: no such file: v.npy needs its words"):
        load_vectors(path)
    words.write_bytes(b"a\r\nb\r\n")
    assert list(load_vectors(path).words) == ["a", "b"]
    words.write_bytes(b"a\nb\nc\n")
    with pytest.raises(ArtifactError, match=r"3 words, but v.npy has 2 rows"):
        load_vectors(path)
    words.write_bytes(b"a\n\xff\n")
    with pytest.raises(ArtifactError, match=r"v.words.txt:2: byte 0 is not UTF-8"):
        load_vectors(path)
    for array in (np.zeros(3), np.zeros((2, 2), dtype=int)):
        np.save(path, array)
        with pytest.raises(ArtifactError, match="expected floats, words x dimensions"):
            load_vectors(path)
    np.save(path, np.array([[None]]), allow_pickle=True)
    with pytest.raises(ArtifactError, match="not a readable npy file"):
        load_vectors(path)


def test_npy_announcing_more_than_the_file_holds(tmp_path):
    path = tmp_path / "v.npy"
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 300), }"
    header += b" " * (117 - len(header)) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 64)
    with pytest.raises(ArtifactError, match="not a readable npy file, or cut short"):
        load_vectors(path)


def test_npy_stays_mapped(tmp_path):
    save_vectors(tmp_path / "v.npy", KeyedVectors(["a", "b"], np.eye(2)), "npy")
    vectors = load_vectors(tmp_path / "v.npy").vectors
    assert not vectors.flags.writeable
    assert not vectors.flags.owndata


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"x": np.eye(2)}, {"words": "[]"}, "no tensor 'embedding.weight'"),
        ({"embedding.weight": np.eye(2)}, {"words": "{"}, "'words' is not JSON"),
        ({"embedding.weight": np.eye(2)}, {"words": "[1, 2]"}, "not a list of words"),
        ({"embedding.weight": np.eye(2)}, {"words": '["a"]'}, "1 words but vectors of shape"),
        ({"embedding.weight": np.ones(2)}, {"words": '["a"]'}, "expected floats"),
        ({"embedding.weight": np.eye(2)}, {}, "v.words.txt: no such file"),
        ({"embedding.weight": np.eye(1), "counts": np.ones(1)}, {"words": '["a"]'}, "'counts'"),
        ({"embedding.weight": np.eye(1)}, {"words": '["a"]', "skip": '["a"]'}, "'skip'"),
    ],
)
def test_safetensors_of_another_making(tmp_path, tensors, metadata, message):
    write_tensors(tmp_path / "v.safetensors", tensors, metadata)
    with pytest.raises(ArtifactError, match=message):
        load_vectors(tmp_path / "v.safetensors")


def test_safetensors_with_words_beside(tmp_path):
    write_tensors(tmp_path / "v.safetensors", {"embedding.weight": np.eye(2, dtype=np.float32)})
    (tmp_path / "v.words.txt").write_text("</s>\nb\n")
    keyed = load_vectors(tmp_path / "v.safetensors")
    assert list(keyed.words) == ["</s>", "b"]
    assert keyed.skip == {0}


@pytest.mark.parametrize("form", ["word2vec", "word2vec-bin", "glove", "npy", "safetensors"])
def test_the_format_is_told_from_the_bytes(tmp_path, form):
    # All-zero and all-equal vectors, digits as words: nothing to go by but the layout.
    keyed = KeyedVectors(["12", "7"], np.array([[0, 0, 0], [1, 1, 1]]))
    [path, *_] = save_vectors(tmp_path / "x.npy", keyed, form)
    assert detect_format(path) == form


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"a " + f4(93249.0, 3.6e-16), "word2vec-bin"),  # no control byte in the vector
        (b"5 7\n" + f4(1.5) + b"\x3f\x80", "word2vec-bin"),  # a vector that begins like a number
        (b"a 1 x\n\xe5\xa5\xbd 3 4\n", "word2vec"),  # damaged text is still text
        (b"a 1\nb 3 4\n", "word2vec"),
        (b"new york 1 2\nb 3 4\n", "word2vec"),
    ],
)
def test_text_or_binary_after_the_same_header(tmp_path, body, form):
    (tmp_path / "v").write_bytes(b"2 2\n" + body)
    assert detect_format(tmp_path / "v") == form


@pytest.mark.parametrize("form", ["word2vec", "word2vec-bin", "glove", "npy", "safetensors"])
def test_initial_rows_takes_what_the_vocabulary_needs(tmp_path, form):
    words = ["</s>", "x", "好", "y", "cat"]
    vectors = np.arange(10, dtype=np.float32).reshape(5, 2)
    [path, *_] = save_vectors(tmp_path / "v.npy", KeyedVectors(words, vectors), form)
    vocabulary = ["<unk>", "</s>", "cat", "dog", "好", *(f"m{i}" for i in range(20))]
    rows, found, coverage = initial_rows(path, vocabulary)
    assert rows.tolist() == [1, 2, 4]
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 1], [8, 9], [4, 5]]
    assert (coverage.found, coverage.total, coverage.dim, coverage.file_words) == (3, 25, 2, 5)
    assert coverage.missing == ("<unk>", "dog", *(f"m{i}" for i in range(8)))


def test_initial_rows_keeps_the_first_of_repeated_words(tmp_path):
    path = tmp_path / "v"
    path.write_text("b 1\na 2\na 3\n")
    rows, found, _ = initial_rows(path, ["a"])
    assert (rows.tolist(), found.tolist()) == ([0], [[2]])
    rows, found, coverage = initial_rows(path, ["none"])
    assert (rows.tolist(), found.shape, coverage.found) == ([], (0, 1), 0)


def test_initial_rows_refuses_damage(tmp_path):
    path = tmp_path / "v"
    path.write_text("2 2\na 1 2\nb 3 nan\n")
    with pytest.raises(ArtifactError, match=r"v:3: the vector of 'b'"):
        initial_rows(path, ["b"])
    path.write_text("9 2\na 1 2\nb 3 4\ncccccccccccccccccccccccccccccccccccc 1 2\n")
    with pytest.raises(ArtifactError, match="3 words, but line 1 announces 9"):
        initial_rows(path, ["b"])


def test_binary_numbers_whose_bytes_are_letters_are_no_text(tmp_path):
    """999999552.0 and its like are printable bytes: what tells is where the rows end."""
    path = tmp_path / "v.bin"
    numbers = np.frombuffer(b"#knN~aaaSbcd" * 2, "<f4").reshape(3, 2)
    save_vectors(path, KeyedVectors(["a", "b", "c"], numbers), "word2vec-bin")
    assert detect_format(path) == "word2vec-bin"
    assert load_vectors(path).vectors.tobytes() == numbers.tobytes()


@pytest.mark.parametrize(
    "text",
    ["2 2\na 123 abcd\nb 1 2\n", "2 3\na 0,1 0,2 0,3 \nb 0,4 0,5 0,6 \n", "1 1\na 0,1 \n"],
)
def test_damaged_text_is_reported_as_text(tmp_path, text):
    """Also where d fields of three signs, each with a space, are as long as d binary numbers."""
    path = tmp_path / "v.txt"
    path.write_text(text, "utf-8")
    assert detect_format(path) == "word2vec"
