"""What stands where a file should, and files that are too large: refused at once."""

import ast
import gzip
import json
import os
import signal
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nplm_cli
from nplm_cli import artifacts
from nplm_cli.artifacts import TensorFile, read_json, read_json_lines, write_tensors
from nplm_cli.config import Config, MixtureConfig, ModelConfig
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.shards import open_parts
from nplm_cli.corpus.vocabulary import Vocabulary, load_unknown, read_counts
from nplm_cli.errors import LONGEST_MESSAGE, ArtifactError, ConfigError, NplmError
from nplm_cli.ngram import NgramModel
from nplm_cli.opening import check_inside, open_regular
from nplm_cli.query.components import fingerprint
from nplm_cli.query.settings import recorded_settings
from nplm_cli.vectors import text
from nplm_cli.vectors.formats import load_vectors

READERS = {
    "json": read_json,
    "json lines": lambda path: list(read_json_lines(path)),
    "tensors": TensorFile,
    "vocabulary": Vocabulary.load,
    "recipe": TextRecipe.load,
    "vectors": load_vectors,
    "ids": lambda path: open_parts(path.parent),
    "fingerprint": lambda path: fingerprint(path.parent),
}
NAMES = {"ids": "index.json", "fingerprint": "config.json"}


@pytest.fixture
def no_hang():
    """A reader that waits is a failure and not a test that never ends."""

    def stop(*_):
        raise AssertionError("waited for something that never comes")

    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ["pipe", "link to a device", "folder", "loop"])
def test_what_is_no_file_is_refused_at_once(tmp_path, no_hang, reader, what):
    path = tmp_path / NAMES.get(reader, "file")
    match what:
        case "pipe":
            os.mkfifo(path)
        case "link to a device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path.name)
    with pytest.raises(ArtifactError) as refused:
        READERS[reader](path)
    assert str(path) in str(refused.value)


def test_a_file_is_opened_whatever_leads_to_it(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"abc"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


def test_links_stay_in_their_folder(tmp_path):
    folder = tmp_path / "run"
    (folder / "data").mkdir(parents=True)
    (folder / "a").write_text("x")
    (tmp_path / "outside").write_text("x")
    (folder / "near").symlink_to("a")
    (folder / "round").symlink_to("../run/data/../a")
    (folder / "gone").symlink_to("nothing")
    check_inside(folder, ["a", "near", "round", "gone", "missing", "data"])
    link = tmp_path / "link"
    link.symlink_to(folder)
    check_inside(link, ["near", "round"])  # the folder itself may be reached by a link
    for number, target in enumerate(
        ("../outside", tmp_path / "outside", "..", "/etc/passwd", "../gone")
    ):
        (folder / f"out{number}").symlink_to(target)
        with pytest.raises(ArtifactError, match=f"out{number}: a link out of its folder"):
            check_inside(folder, [f"out{number}"])


def test_json_of_a_gigabyte(tmp_path):
    path = tmp_path / "config.json"
    with open(path, "wb") as file:
        file.write(b"[" * 1000)
        file.truncate(1 << 30)
    tracemalloc.start()
    with pytest.raises(ArtifactError, match=r"over 16,000,000 bytes"):
        read_json(path)
    assert tracemalloc.get_traced_memory()[1] < 3 * artifacts.MAX_JSON_BYTES
    tracemalloc.stop()


def test_a_line_of_json_that_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "MAX_JSON_BYTES", 100)
    path = tmp_path / "metrics.jsonl"
    lines = [b'{"step": 1}', b'{"x": "' + b"a" * 500 + b'"}', b"[1]", b'{"step": \xff}', b"[" * 90]
    path.write_bytes(b"\n".join([*lines, b'{"step": 2}']))
    assert [record for _, record in read_json_lines(path)] == [{"step": 1}, {"step": 2}]
    assert list(read_json_lines(tmp_path / "none")) == []


def test_equal_words_fill_no_memory(tmp_path):
    path = tmp_path / "vocabulary.tsv"
    path.write_bytes(b"<unk>\t1\n</s>\t1\n" + b"word\t1\n" * 1_000_000)
    tracemalloc.start()
    with pytest.raises(ArtifactError, match=r"vocabulary.tsv:4: 'word' stands here a second time"):
        Vocabulary.load(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    with pytest.raises(ArtifactError, match=r":4: 'word'"):
        load_unknown(path)


def test_a_word_of_megabytes(tmp_path, monkeypatch):
    monkeypatch.setattr("nplm_cli.corpus.vocabulary.MAX_LINE_BYTES", 1000)
    path = tmp_path / "vocabulary.tsv"
    path.write_bytes(b"a" * 5000 + b"\t1\n")
    with pytest.raises(ArtifactError, match=":1: expected"):
        read_counts(path)
    path.write_bytes("书".encode() * 500 + b"\t1\n")
    with pytest.raises(ArtifactError, match=":1: over 1,000 bytes"):
        read_counts(path)


def test_a_long_message_keeps_its_ends():
    message = str(ConfigError("begins " + "x" * 1_000_000 + " ends"))
    assert message.startswith("begins x")
    assert message.endswith("x ends")
    assert len(message) < LONGEST_MESSAGE + 10
    assert str(ConfigError("short")) == "short"


def test_a_packed_vector_file_that_expands_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "FREE_BYTES", 1 << 20)
    path = tmp_path / "v.txt.gz"
    path.write_bytes(gzip.compress(b"a 1 2\n" * 2_000_000))
    with pytest.raises(ArtifactError, match="decompression bomb"):
        load_vectors(path)
    path.write_bytes(gzip.compress(b"a 1 2\n" * 100_000))  # of 600 kB, however well it packs
    assert len(load_vectors(path)) == 1


@pytest.mark.parametrize("header", ["1000000000000 300", "999999999999999999 1", "5 1000000000000"])
@pytest.mark.parametrize("body", [b"\na 1 2\n", b"\na \0\0\x80?\0\0\x80?\n"])
def test_vectors_that_claim_more_than_there_is(tmp_path, header, body):
    path = tmp_path / "v"
    for data in (header.encode() + body, gzip.compress(header.encode() + body)):
        path.write_bytes(data)
        tracemalloc.start()
        with pytest.raises(ArtifactError, match="v"):
            load_vectors(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()


HUGE = {
    "layers": [10**9, 65, -1, True, "1", 1.0, 10**400],
    "dim": [10**12, 65_537, 0, -5, True, None, 2**63],
    "hidden": [10**12, -1, False],
    "order": [10**9, 0, -3, True],
    "window": [2**63, 0],
    "heads": [10**9, -2, True],
    "far": [-1, 10**9],
    "kernels": [10**9],
    "norm_eps": [float("nan"), float("inf"), -1, True, 10**400],
    "tail_division": [float("inf"), 0, "2"],
    "cutoffs": ["9" * 5000, "1,1", "-1", "", "1e9", 5],
}


@pytest.mark.parametrize("key", HUGE)
def test_sizes_that_no_model_has(tmp_path, key):
    path = tmp_path / "config.json"
    for value in HUGE[key]:
        settings = {"model": {"arch": "transformer", key: value}}
        try:
            data = json.dumps(settings)
        except ValueError:  # more digits than Python writes
            continue
        path.write_text(data)
        with pytest.raises(NplmError) as refused:
            recorded_settings(path)
        assert str(path) in str(refused.value)
        assert len(str(refused.value)) < 2_500
        with pytest.raises(ConfigError):
            ModelConfig(arch="transformer", **{key: value})


def test_a_vocabulary_larger_than_the_file_of_counts(tmp_path):
    ids = np.array([2, 3, 1] * 9, np.uint16)
    model = NgramModel.train(ids, order=2, vocab_size=4)
    path = tmp_path / "model.safetensors"
    for key, value in (
        ("vocab_size", "4294967295"),
        ("vocab_size", "9" * 4000),
        ("order", "512"),
        ("order", "1000000000"),
        ("k", "inf"),
        ("notes", "[" * 5000),
    ):
        write_tensors(path, model.tensors(), {**model.metadata(), key: value})
        file = TensorFile(path)
        tracemalloc.start()
        with pytest.raises(ArtifactError):
            NgramModel.from_tensors(file, file.metadata)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        tracemalloc.stop()


MODULES = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "marshal", "shelve", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.save", "pd.read_pickle"}


def what_runs_files(source: str) -> list[str]:
    """Names in a source by which the contents of a file could be executed."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [n.name for n in names if n.name.split(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
                found.append(module)
            case ast.Call(func=func, keywords=keywords):
                name = ast.unparse(func)
                safe = any(ast.unparse(k) == "allow_pickle=False" for k in keywords)
                if name in CALLS or (name in ("np.load", "numpy.load") and not safe):
                    found.append(name)
    return found


def test_no_source_unpickles_or_runs_what_it_reads():
    """Of a file that is read nothing is ever executed; the guard is a look at every source."""
    folder = Path(nplm_cli.__file__).parent
    sources = sorted(folder.rglob("*.py"))
    assert len(sources) > 100
    found = {str(path): what_runs_files(path.read_text("utf-8")) for path in sources}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        *("import pickle", "from marshal import loads", "def f():\n  import yaml", "eval(text)"),
        *("exec(code)", "torch.load(path, weights_only=True)", "np.load(path)"),
        *("np.load(path, allow_pickle=True)", "__import__(name)"),
    ],
)
def test_the_guard_sees_what_it_is_there_for(source):
    assert what_runs_files(source)
    assert not what_runs_files("model.eval()\nnp.load(path, mmap_mode='r', allow_pickle=False)")


# --- any JSON ------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63), 10**300, 1e308, float("inf"), float("nan")])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["ffn", "lstm", "transformer", "sentence", "../x", "/etc/passwd", "1,2"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(sorted({*ModelConfig().to_json(), "components", "caches", "context", "x"}))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(KEYS, VALUES, max_size=4), VALUES)
def test_any_settings_are_refused_or_kept(values, other):
    for build in (
        lambda: Config.from_json({"model": values}, "f"),
        lambda: Config.from_json({"model": other, "training": values}, "f"),
        lambda: MixtureConfig.from_json({**values, "components": other}, "f"),
        lambda: MixtureConfig.from_json(
            {"context": "sentence", "components": [{"run": "a", "arch": "ffn", **values}],
             "caches": other if isinstance(other, list) else []}, "f"
        ),
    ):  # fmt: skip
        kept = _refused_or_read(build)
        if kept is not None:
            assert type(kept).from_json(kept.to_json(), "f") == kept


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(VALUES, st.binary(max_size=60))
def test_any_file_of_a_run_is_refused_or_read(tmp_path_factory, value, data):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    for name in ("index.json", "vocabulary.tsv"):
        (folder / name).write_bytes(data)
        for read in (read_json, read_counts, TextRecipe.load, load_vectors, TensorFile):
            _refused_or_read(read, folder / name)
    (folder / "index.json").write_text(json.dumps(value), "utf-8", "surrogatepass")
    for read in (recorded_settings, TextRecipe.load, lambda p: open_parts(p.parent)):
        _refused_or_read(read, folder / "index.json")


def _refused_or_read(read, *arguments):
    """What was read; None where an error of one line, and no other, refused it."""
    message = "of one line"
    try:
        return read(*arguments)
    except NplmError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    return None
