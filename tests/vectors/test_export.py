"""Every format: what is written, that it comes back bit for bit, and that gensim reads it."""

import gzip
import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nplm_cli.errors import ArtifactError, ConfigError, InputError
from nplm_cli.vectors import KeyedVectors, load_vectors, save_vectors, write_vectors
from nplm_cli.vectors.export import FORMATS, _fault

STREAMED = ["word2vec", "word2vec-bin", "glove"]
LOADABLE = [*STREAMED, "npy", "safetensors"]
NAMES = {"npy": "v.npy", "safetensors": "v.safetensors"}

# Blanks that are not ASCII, control characters, an emoji with joiners, a word of 200 bytes,
# digits that look like a header or a number, and what other readers trip over.
ODD_WORDS = [
    "<unk>", "</s>", "a\u00a0b", "\u00a0", "\u3000", "a\u2028b", "\u2028", "\u0085", "\x1c", "x\x1f",
    "👩‍👩‍👧‍👦", "字" * 66 + "ab", "0.5", "12", "-1e5", "nan", "inf", "#", '"', "\\n", "a\ufeff",
    "\u200b", "e\u0301", "é", "\x00", "-", "\U0010ffff",
]  # fmt: skip
# Numbers at the edges of float32, and one whose shortest text a reader in float64 gets wrong.
EDGES = [0.0, -0.0, 1e-45, -1e-40, 3.4028235e38, 1.1754944e-38, 0.1, 1 / 3, 16777216, 7.0385307e-26]


def vectors_for(words):
    dim = len(EDGES)
    rng = np.random.default_rng(len(words))
    vectors = (rng.standard_normal((len(words), dim)) * 0.1).astype(np.float32)
    vectors[0] = EDGES
    return vectors


@pytest.fixture
def odd() -> KeyedVectors:
    return KeyedVectors(ODD_WORDS, vectors_for(ODD_WORDS), skip=[0, 1])


@pytest.fixture
def small() -> KeyedVectors:
    table = np.array([[0.5, -1], [1e-5, 0.1]], dtype=np.float32)
    return KeyedVectors(["好", "b"], table, counts=[7, 2])


def assert_same(ours, words, vectors):
    assert list(ours.words) == list(words)
    assert ours.vectors.dtype == np.float32
    assert ours.vectors.tobytes() == np.asarray(vectors, np.float32).tobytes()


@pytest.mark.parametrize("form", LOADABLE)
def test_round_trip_is_bit_for_bit(tmp_path, odd, form):
    path = tmp_path / NAMES.get(form, "v")
    assert save_vectors(path, odd, form)[0] == path
    back = load_vectors(path)
    assert_same(back, odd.words, odd.vectors)
    assert back.skip == {0, 1}
    assert back.duplicates == 0


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    words=st.lists(st.text(max_size=6), min_size=1, max_size=5, unique=True),
    numbers=st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=10, max_size=10
    ),
    form=st.sampled_from(LOADABLE),
)
def test_whatever_is_written_comes_back_or_is_refused(tmp_path, words, numbers, form):
    vectors = np.resize(np.array(numbers, dtype=np.float32), (len(words), 2))
    path = tmp_path / NAMES.get(form, "v")
    keyed = KeyedVectors(words, vectors)
    if any(_fault(word, row, form) for row, word in enumerate(words)):
        with pytest.raises(ConfigError, match="cannot be written as"):
            save_vectors(path, keyed, form)
        return
    save_vectors(path, keyed, form)
    assert_same(load_vectors(path), words, vectors)


@pytest.mark.parametrize("form", STREAMED)
@pytest.mark.filterwarnings("ignore")
def test_gensim_reads_every_export(tmp_path, odd, form):
    models = pytest.importorskip("gensim.models")
    path = str(tmp_path / "v")
    save_vectors(path, odd, form)
    theirs = models.KeyedVectors.load_word2vec_format(
        path, binary=form == "word2vec-bin", no_header=form == "glove"
    )
    assert theirs.index_to_key == ODD_WORDS
    assert theirs.vectors == pytest.approx(odd.vectors, rel=1e-6, abs=1e-44)


@pytest.mark.parametrize("binary", [False, True])
def test_what_gensim_writes_is_read(tmp_path, odd, binary):
    models = pytest.importorskip("gensim.models")
    theirs = models.KeyedVectors(odd.dim)
    theirs.add_vectors(ODD_WORDS, odd.vectors)
    path = tmp_path / "v"
    theirs.save_word2vec_format(str(path), binary=binary, sort_attr="none", write_header=True)
    back = load_vectors(path)
    assert back.words == ODD_WORDS
    # gensim's text does not read back to the bit where float64 rounds to a neighbour.
    assert back.vectors == pytest.approx(odd.vectors, rel=0 if binary else 1e-6, abs=0)


def test_the_safetensors_library_reads_ours(tmp_path, small):
    library = pytest.importorskip("safetensors.numpy")
    save_vectors(tmp_path / "v", small, "safetensors")
    tensors = library.load_file(tmp_path / "v")
    assert tensors["embedding.weight"].tobytes() == small.vectors.tobytes()
    assert tensors["counts"].tolist() == [7, 2]
    back = load_vectors(tmp_path / "v")
    assert back.counts is not None
    assert back.counts.tolist() == [7, 2]


def test_the_bytes_of_each_format(tmp_path, small):
    def written(form, name="v"):
        files = save_vectors(tmp_path / name, small, form)
        return {file.name: file.read_bytes() for file in files}

    lines = "好 0.5 -1.0\nb 1e-05 0.1\n".encode()
    assert written("word2vec") == {"v": b"2 2\n" + lines}
    assert written("glove") == {"v": lines}
    first, second = (row.astype("<f4").tobytes() for row in small.vectors)
    expected = b"2 2\n" + "好 ".encode() + first + b"\nb " + second + b"\n"
    assert written("word2vec-bin") == {"v": expected}
    metadata = "word\tcount\n好\t7\nb\t2\n".encode()
    projector = {"v.vectors.tsv": b"0.5\t-1.0\n1e-05\t0.1\n", "v.metadata.tsv": metadata}
    assert written("projector") == projector
    assert written("projector", "v.vectors.tsv") == projector
    npy = written("npy", "x.npy")
    assert npy["x.words.txt"] == "好\nb\n".encode()
    assert np.load(io.BytesIO(npy["x.npy"])).tolist() == small.vectors.tolist()


def test_projector_metadata_of_one_column_has_no_header(tmp_path):
    keyed = KeyedVectors(["a", "b"], np.eye(2))
    [_, metadata] = save_vectors(tmp_path / "v", keyed, "projector")
    assert metadata.read_bytes() == b"a\nb\n"


def test_numbers_are_the_shortest_that_read_back(tmp_path):
    numbers = np.array([[0.1, 1 / 3, 1e-8, 123456.78, 5e-45]], dtype=np.float32)
    stream = io.BytesIO()
    write_vectors(stream, KeyedVectors(["w"], numbers), "glove")
    assert stream.getvalue() == b"w 0.1 0.33333334 1e-08 123456.78 6e-45\n"


@pytest.mark.parametrize("form", STREAMED)
def test_gzip_by_name_and_a_stream(tmp_path, odd, form):
    stream = io.BytesIO()
    write_vectors(stream, odd, form)
    save_vectors(tmp_path / "v.gz", odd, form)
    packed = (tmp_path / "v.gz").read_bytes()
    assert gzip.decompress(packed) == stream.getvalue()
    assert_same(load_vectors(tmp_path / "v.gz"), odd.words, odd.vectors)
    save_vectors(tmp_path / "v.gz", odd, form)
    assert (tmp_path / "v.gz").read_bytes() == packed


@pytest.mark.parametrize(
    ("form", "word", "able"),
    [(form, word, "npy, projector, safetensors") for form in STREAMED for word in ("a b", " ", "a\x0b")
     if word.strip()]
    + [(form, " ", "npy, safetensors") for form in STREAMED]
    + [(form, "a\tb", "npy, safetensors") for form in [*STREAMED, "projector"]]
    + [(form, word, "safetensors") for form in FORMATS if form != "safetensors" for word in ("", "a\n", "\r")]
    + [("projector", "\u3000", "word2vec, word2vec-bin, glove, npy, safetensors")],
)  # fmt: skip
def test_a_word_that_does_not_fit_is_refused_by_name(tmp_path, form, word, able):
    old = tmp_path / "v"
    old.write_text("old")
    keyed = KeyedVectors(["fine", word], np.eye(2))
    with pytest.raises(ConfigError) as caught:
        save_vectors(old, keyed, form)
    assert f"word {word!r} (row 1) cannot be written as {form}" in str(caught.value)
    assert str(caught.value).endswith(f"formats that hold it: {able}")
    assert [file.name for file in tmp_path.iterdir()] == ["v"]
    assert old.read_text() == "old"


def test_other_refusals(tmp_path, small):
    def refuse(error, match, keyed, form, path=tmp_path / "v"):
        with pytest.raises(error, match=match):
            save_vectors(path, keyed, form)
        assert list(tmp_path.iterdir()) == []

    refuse(ConfigError, "did you mean 'word2vec'", small, "word2vek")
    for form in FORMATS:
        surrogate = KeyedVectors(["\ud800"], np.ones((1, 1)))
        refuse(ConfigError, r"'\\ud800'.*surrogate.*no format holds it", surrogate, form)
        bad = KeyedVectors(["a", "b"], np.array([[1], [np.inf]]))
        refuse(ArtifactError, "'b' .row 1. holds nan or inf", bad, form)
        refuse(ArtifactError, "no vectors to write", KeyedVectors([], np.zeros((0, 3))), form)
        refuse(InputError, "cannot write", small, form, tmp_path / "missing" / "v")
    bom = KeyedVectors(["\ufeffa", "b"], np.eye(2))
    refuse(ConfigError, "U\\+FEFF.*word2vec, word2vec-bin, safetensors", bom, "glove")
    for form in ("npy", "projector", "safetensors"):
        with pytest.raises(ConfigError, match="does not go to a stream"):
            write_vectors(io.BytesIO(), small, form)


@pytest.mark.parametrize("form", ["npy", "projector"])
def test_a_failure_halfway_leaves_neither_file(tmp_path, small, form, monkeypatch):
    def full(file, keyed):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    for writer in ("_write_words", "_write_metadata"):
        monkeypatch.setattr(f"nplm_cli.vectors.export.{writer}", full)
    with pytest.raises(OSError, match="No space"):
        save_vectors(tmp_path / "v", small, form)
    assert list(tmp_path.iterdir()) == []


def test_words_are_json_in_the_safetensors_header(tmp_path, small):
    save_vectors(tmp_path / "v", small, "safetensors")
    data = (tmp_path / "v").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert json.loads(header["__metadata__"]["words"]) == ["好", "b"]
