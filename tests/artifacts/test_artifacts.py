"""Files that survive a kill, a full disk and a forger: atomic writes, JSON, safetensors."""

import contextlib
import errno
import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli import artifacts, atomic
from nplm_cli.artifacts import (
    TEMPORARY_SUFFIX,
    TensorFile,
    atomic_write,
    check_format,
    read_json,
    remove_stale_temporaries,
    sha256_of_file,
    write_bytes,
    write_json,
    write_tensors,
)
from nplm_cli.atomic import write_together
from nplm_cli.errors import ArtifactError, InputError

DTYPES = [
    np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8,
    np.uint64, np.uint32, np.uint16, np.uint8, np.bool_,
]  # fmt: skip


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


# --- atomic_write -------------------------------------------------------------------------------


def test_a_new_file_and_a_replaced_one(tmp_path):
    path = tmp_path / "file"
    write_bytes(path, b"one")
    assert path.read_bytes() == b"one"
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert files_in(tmp_path) == ["file"]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_bytes(path, b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert files_in(tmp_path) == ["pipe"]


def test_a_short_write_names_the_file(tmp_path):
    """numpy tells of a full disk in an error of its own, without number and file."""
    with pytest.raises(OSError, match="192704 requested") as caught, atomic_write(tmp_path / "f"):
        raise OSError("192704 requested and 25568 written")
    assert caught.value.filename == str(tmp_path / "f")
    assert files_in(tmp_path) == []


def test_the_old_file_stands_until_the_block_ends(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_a_failing_block_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail():
        with atomic_write(path) as file:
            file.write(b"half of the new one")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert files_in(tmp_path) == ["file"]


class FailingSystem:
    """Counts calls of the system and fails at the n-th with a full disk."""

    def __init__(self, fails_at):
        self.calls, self.fails_at, self.names = 0, fails_at, []

    def wrap(self, name, function):
        def call(*args, **kwargs):
            self.calls += 1
            self.names.append(name)
            if self.calls == self.fails_at:
                raise OSError(errno.ENOSPC, "No space left on device")
            return function(*args, **kwargs)

        return call


class FailingFile:
    def __init__(self, file, system):
        self.file = file
        self.write = system.wrap("write", file.write)
        self.flush = system.wrap("flush", file.flush)
        self.fileno, self.close = file.fileno, file.close

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self.file.__exit__(*error)


@pytest.mark.parametrize("existing", [True, False])
def test_whatever_call_fails_there_is_the_old_file_or_the_new_one(tmp_path, monkeypatch, existing):
    tensors = {"a": np.arange(5.0), "b": np.ones((2, 2), np.float32)}
    write_tensors(tmp_path / "reference", tensors)
    new = (tmp_path / "reference").read_bytes()
    outcomes = []
    for n in range(1, 30):
        folder = tmp_path / str(n)
        folder.mkdir()
        path = folder / "file"
        if existing:
            path.write_bytes(b"old")
        system = FailingSystem(n)
        fdopen = os.fdopen
        with monkeypatch.context() as patch:
            for name in ("fsync", "replace", "chmod"):
                patch.setattr(artifacts.os, name, system.wrap(name, getattr(os, name)))
            patch.setattr(
                artifacts.os,
                "fdopen",
                lambda *a, fdopen=fdopen, s=system: FailingFile(fdopen(*a), s),
            )
            try:
                write_tensors(path, tensors)
                outcomes.append("written")
            except OSError:
                outcomes.append("failed")
        assert files_in(folder) in ([["file"]] if existing else [[], ["file"]])
        renamed = "replace" in system.names[: n - 1]  # then only the folder is left to flush
        if outcomes[-1] == "written" or renamed:
            assert path.read_bytes() == new
        elif existing:
            assert path.read_bytes() == b"old"
        else:
            assert not path.exists()
        if system.calls < n:
            break
    assert {"write", "flush", "fsync", "replace", "chmod"} == set(system.names)
    # A name that may not be on the disk is told, too.
    assert system.names[-1] == "fsync"
    assert outcomes == ["failed"] * (len(outcomes) - 1) + ["written"]


# --- what a kill leaves, and files that belong together -----------------------------------------


def test_what_a_kill_left_goes_with_the_next_write_of_that_file(tmp_path):
    left = tmp_path / f".file.abcdefgh{TEMPORARY_SUFFIX}"
    others = [
        tmp_path / f".file.gz.abcdefgh{TEMPORARY_SUFFIX}",  # of another file
        tmp_path / ".file.abcdefgh.something",
        tmp_path / f".file.own{TEMPORARY_SUFFIX}",
    ]
    for path in (left, *others):
        path.write_bytes(b"half")
    write_bytes(tmp_path / "file", b"whole")
    assert files_in(tmp_path) == sorted(["file", *(path.name for path in others)])


def test_what_another_process_is_writing_stays(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as first:
        first.write(b"first")
        assert len(files_in(tmp_path)) == 1
        write_bytes(path, b"second")
        assert len(files_in(tmp_path)) == 2
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert files_in(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["chmod", "replace"])
def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path, monkeypatch, call):
    def full(path, *_):
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="Input/output error") as caught:
        write_bytes(tmp_path / "file", b"text")
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "file"), None)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("fails", range(1, 5))
def test_files_that_belong_together_are_never_mixed(tmp_path, monkeypatch, old, fails):
    paths = [tmp_path / "vectors", tmp_path / "words"]
    parts = [(path, lambda file: file.write(b"new")) for path in paths]
    for path in paths if old else []:
        path.write_bytes(b"old")
    moves, replace = iter(range(1, 9)), os.replace

    def failing(source, target):
        if next(moves) == fails:
            raise OSError(errno.EIO, "Input/output error", str(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    if fails <= (4 if old else 2):
        with pytest.raises(OSError, match="Input/output") as caught:
            write_together(*parts)
        assert ".nplm-tmp" not in caught.value.filename
        assert [path.read_bytes() for path in paths if path.exists()] == [b"old"] * 2 * old
    else:
        write_together(*parts)
        assert [path.read_bytes() for path in paths] == [b"new"] * 2
    assert files_in(tmp_path) == [path.name for path in paths if path.exists()]


def test_missing_folder_and_folder_as_file(tmp_path):
    with pytest.raises(InputError, match="cannot write"), atomic_write(tmp_path / "no" / "file"):
        pass
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(InputError, match="cannot write"), atomic_write(tmp_path / "plain" / "file"):
        pass


def test_a_folder_is_never_replaced(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    with (
        pytest.raises(InputError, match=r"cannot write .*folder: it is a directory; name a file"),
        atomic_write(target),
    ):
        pytest.fail("nothing is asked for what cannot be written")
    assert files_in(tmp_path) == ["folder"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_stale_temporaries_are_removed(tmp_path):
    stale = tmp_path / f".model.safetensors.abc{TEMPORARY_SUFFIX}"
    stale.write_bytes(b"half")
    (tmp_path / "model.safetensors").write_bytes(b"whole")
    remove_stale_temporaries(tmp_path)
    assert files_in(tmp_path) == ["model.safetensors"]


def test_folders_that_are_being_made_or_kept_are_left_alone(tmp_path):
    # Another process may be staging a run there, also one that is called x.old.
    for name in (f".x{TEMPORARY_SUFFIX}", f".x.old{TEMPORARY_SUFFIX}"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"whole")
    (tmp_path / f".z{TEMPORARY_SUFFIX}").write_bytes(b"half")
    remove_stale_temporaries(tmp_path)
    assert files_in(tmp_path) == [f".x{TEMPORARY_SUFFIX}", f".x.old{TEMPORARY_SUFFIX}"]
    assert (tmp_path / f".x.old{TEMPORARY_SUFFIX}" / "model.safetensors").exists()


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_what_was_kept_to_oneself_stays_so(tmp_path):
    (tmp_path / "file").touch(0o600)
    write_bytes(tmp_path / "file", b"new")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


@pytest.mark.skipif(os.name == "nt", reason="no pipes there")
def test_a_pipe_that_looks_like_a_temporary_file_is_not_waited_for(tmp_path):
    pipe = tmp_path / f".file.abcdefgh{TEMPORARY_SUFFIX}"
    os.mkfifo(pipe)
    write_bytes(tmp_path / "file", b"text")
    remove_stale_temporaries(tmp_path)
    assert files_in(tmp_path) == sorted(["file", pipe.name])


def test_old_files_that_wait_for_their_successors_are_kept(tmp_path):
    waiting = tmp_path / f".v.npy.old{TEMPORARY_SUFFIX}"
    waiting.write_bytes(b"old")
    remove_stale_temporaries(tmp_path)
    assert files_in(tmp_path) == [waiting.name]


def test_an_old_file_does_not_come_back_beside_new_ones(tmp_path, monkeypatch):
    """Of a pair there is only the first; a kill comes when the new second one is in its place."""
    vectors, words = tmp_path / "vectors", tmp_path / "words"
    vectors.write_bytes(b"old")
    replace, moves = os.replace, []

    def killed(source, target):
        if moves and moves[-1] == words:
            raise SystemExit
        moves.append(Path(target))
        replace(source, target)

    class Dead(Exception):
        pass

    def dead(self, *_, **__):
        raise Dead

    def write(data):
        write_together(*((path, lambda file: file.write(data)) for path in (vectors, words)))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        patch.setattr(Path, "unlink", dead)  # nothing is mended after a kill
        with pytest.raises(Dead):
            write(b"new")
    assert words.read_bytes() == b"new"
    assert not vectors.exists()
    atomic._put_back([vectors, words])  # as the next attempt begins
    assert (vectors.read_bytes(), words.read_bytes()) == (b"old", b"")
    write(b"newest")
    assert (vectors.read_bytes(), words.read_bytes()) == (b"newest", b"newest")


@pytest.mark.skipif(os.name == "nt", reason="no file locks")
def test_two_exports_to_one_place_do_not_mix(tmp_path):
    code = (
        "import sys; from pathlib import Path; from nplm_cli.atomic import write_together\n"
        "a, b, text = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].encode()\n"
        "for _ in range(60): write_together(*((p, lambda f: f.write(text)) for p in (a, b)))\n"
    )
    paths = [str(tmp_path / name) for name in ("vectors", "words")]
    processes = [
        subprocess.Popen([sys.executable, "-c", code, *paths, text]) for text in ("one", "two")
    ]
    assert [process.wait() for process in processes] == [0, 0]
    assert (tmp_path / "vectors").read_bytes() == (tmp_path / "words").read_bytes()
    assert files_in(tmp_path) == ["vectors", "words"]


def test_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of_file(tmp_path / "file") == expected


# --- JSON ---------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("键ab\n"), inner),
    max_leaves=10,
)  # fmt: skip


@given(values)
@settings(max_examples=50, deadline=None)
def test_json_round_trip(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value
    assert path.read_bytes().endswith(b"\n")


def test_json_is_readable_text(tmp_path):
    write_json(tmp_path / "a.json", {"词": 1.5})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "词": 1.5\n}\n'


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_refuses_what_is_not_json(tmp_path, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": number})
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{\n "a": }', ":2: not JSON"),
        (b"", ":1: not JSON"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\x00" * 40, "not JSON"),
    ],
)
def test_corrupt_json(tmp_path, data, message):
    path = tmp_path / "config.json"
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=message) as caught:
        read_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_endless_number_in_json(tmp_path):
    (tmp_path / "a.json").write_text("9" * 5000)
    with pytest.raises(ArtifactError, match="not"):
        read_json(tmp_path / "a.json")


def test_missing_json(tmp_path):
    with pytest.raises(ArtifactError, match="no such file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(ArtifactError, match="directory"):
        read_json(tmp_path)


@pytest.mark.parametrize("version", [None, "1", True, 1.0, []])
def test_no_format_version(version):
    with pytest.raises(ArtifactError, match="no format version"):
        check_format("f", version)


def test_newer_format_version():
    check_format("f", 1)
    with pytest.raises(ArtifactError, match="format 2, but this nplm reads up to 1; upgrade"):
        check_format("f", 2)


# --- safetensors --------------------------------------------------------------------------------


def example(dtype=np.float32):
    random = np.random.default_rng(0)
    return {
        "embedding.weight": random.integers(0, 2, (7, 3)).astype(dtype),
        "b": random.integers(0, 2, 5).astype(dtype),
        "scalar": np.array(1, dtype),
        "empty": np.zeros((0, 4), dtype),
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_read_by_the_library_and_by_ourselves(tmp_path, dtype):
    path = tmp_path / "w.safetensors"
    write_tensors(path, example(dtype), {"name": "词"})
    own = TensorFile(path)
    library = safetensors.numpy.load_file(path)
    assert set(own) == set(library) == set(example())
    for name, array in example(dtype).items():
        for read in (own[name], library[name]):
            assert read.dtype == array.dtype
            assert read.shape == array.shape
            np.testing.assert_array_equal(read, array)
        assert own.shape(name) == array.shape
    assert own.metadata["name"] == "词"
    assert own.metadata["format_version"] == "1"
    assert not own["b"].flags.writeable
    assert "b" in own
    assert "c" not in own
    assert own.keys() == sorted(example())
    assert len(own) == 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_files_of_the_library_are_read(tmp_path, dtype):
    path = tmp_path / "w.safetensors"
    safetensors.numpy.save_file(example(dtype), path, metadata={"from": "elsewhere"})
    own = TensorFile(path)
    for name, array in example(dtype).items():
        np.testing.assert_array_equal(own[name], array)
    assert own.metadata == {"from": "elsewhere"}


def test_same_tensors_same_bytes(tmp_path):
    tensors = example()
    write_tensors(tmp_path / "a", tensors, {"x": "1"})
    write_tensors(tmp_path / "b", dict(reversed(tensors.items())), {"x": "1"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4).T,
        np.arange(12.0)[::2],
        np.arange(12.0)[::-1],
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.broadcast_to(np.float64(3), (2, 3)),
        np.arange(6.0).astype(">f8"),
    ],
    ids=["transposed", "strided", "reversed", "fortran", "broadcast", "big-endian"],
)
def test_any_layout_in_memory(tmp_path, array):
    write_tensors(tmp_path / "a", {"x": array})
    np.testing.assert_array_equal(TensorFile(tmp_path / "a")["x"], array)
    np.testing.assert_array_equal(safetensors.numpy.load_file(tmp_path / "a")["x"], array)


def test_what_cannot_be_stored(tmp_path):
    with pytest.raises(ArtifactError, match="complex128"):
        write_tensors(tmp_path / "a", {"x": np.zeros(2, complex)})
    with pytest.raises(ArtifactError, match="object"):
        write_tensors(tmp_path / "a", {"x": np.array([{}])})
    assert files_in(tmp_path) == []


def test_an_unknown_name(tmp_path):
    write_tensors(tmp_path / "a", {"x": np.zeros(2)})
    with pytest.raises(ArtifactError, match="no tensor 'y'; it holds x"):
        TensorFile(tmp_path / "a")["y"]


def test_a_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "a"
    write_tensors(path, {"x": np.arange(100.0)})
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="checksum differs"):
        TensorFile(path)
    TensorFile(path, verify=False)
    with pytest.raises(ArtifactError, match="checksum differs"):
        TensorFile(path, verify=False).verify()


def crafted(path, header, data=b"", *, length=None):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded) if length is None else length) + encoded + data)
    return path


def entry(shape, offsets, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


CRAFTED = {
    "header length 2^63": ({}, b"", 2**63),
    "header length 2^64-1": ({}, b"", 2**64 - 1),
    "header longer than the file": ({"x": entry([1], [0, 4])}, b"", 10_000),
    "header length 0": (b"", b"1234", None),
    "not JSON": (b"{nothing}", b"", None),
    "not UTF-8": (b'{"\xff": 1}', b"", None),
    "deep nesting": (b'{"a":' * 50_000, b"", None),
    "endless number": (b'{"a":' + b"9" * 5000 + b"}", b"", None),
    "a list": ([], b"", None),
    "a number": (b"1", b"", None),
    "entry is a number": ({"x": 1}, b"", None),
    "entry is null": ({"x": None}, b"", None),
    "entry is a list": ({"x": [1, 2]}, b"", None),
    "no dtype": ({"x": {"shape": [1], "data_offsets": [0, 4]}}, b"1234", None),
    "wrong dtype": ({"x": entry([1], [0, 4], "F31")}, b"1234", None),
    "dtype is a list": ({"x": entry([1], [0, 4], [])}, b"1234", None),
    "dtype is an object": ({"x": entry([1], [0, 4], {})}, b"1234", None),
    "shape is a number": ({"x": entry(1, [0, 4])}, b"1234", None),
    "shape is text": ({"x": entry("1", [0, 4])}, b"1234", None),
    "shape of floats": ({"x": entry([1.0], [0, 4])}, b"1234", None),
    "shape of booleans": ({"x": entry([True], [0, 4])}, b"1234", None),
    "shape of NaN": (b'{"x":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', b"1234", None),
    "negative shape": ({"x": entry([-1, -1], [0, 4])}, b"1234", None),
    "negative offset": ({"x": entry([1], [-4, 0])}, b"1234", None),
    "offsets reversed": ({"x": entry([1], [4, 0])}, b"1234", None),
    "three offsets": ({"x": entry([1], [0, 2, 4])}, b"1234", None),
    "overflowing shape": ({"x": entry([2**33, 2**33], [0, 16])}, b"1" * 16, None),
    "overflow to the right size": ({"x": entry([2**32, 2**32, 4], [0, 0], "U8")}, b"", None),
    "shape too large for the data": ({"x": entry([2], [0, 4])}, b"1234", None),
    "data past the end": ({"x": entry([2], [0, 8])}, b"1234", None),
    "data left over": ({"x": entry([1], [0, 4])}, b"12345678", None),
    "a hole at the beginning": ({"x": entry([1], [4, 8])}, b"12345678", None),
    "a hole between": ({"x": entry([1], [0, 4]), "y": entry([1], [8, 12])}, b"1" * 12, None),
    "overlap": ({"x": entry([2], [0, 8]), "y": entry([1], [4, 8])}, b"12345678", None),
    "the same bytes twice": ({"x": entry([1], [0, 4]), "y": entry([1], [0, 4])}, b"1234", None),
    "empty tensor inside another": ({"x": entry([2], [0, 8]), "y": entry([0], [4, 4])}, b"1" * 8, None),
    "metadata is a list": ({"__metadata__": []}, b"", None),
    "metadata is null": ({"__metadata__": None}, b"", None),
    "metadata holds a number": ({"__metadata__": {"a": 1}}, b"", None),
    "newer format": ({"__metadata__": {"format_version": "2"}}, b"", None),
    "format is text": ({"__metadata__": {"format_version": "one"}}, b"", None),
    "format is negative": ({"__metadata__": {"format_version": "-1"}}, b"", None),
    "format is endless": ({"__metadata__": {"format_version": "9" * 5000}}, b"", None),
    "wrong checksum": ({"__metadata__": {"sha256": "0" * 64}}, b"", None),
    "more axes than numpy has": ({"x": entry([1] * 70, [0, 4])}, b"1234", None),
    "empty and yet too large": ({"x": entry([0, 2**61, 2**61], [0, 0])}, b"", None),
}  # fmt: skip


@pytest.mark.parametrize("case", CRAFTED)
def test_crafted_files_are_refused(tmp_path, case):
    header, data, length = CRAFTED[case]
    path = crafted(tmp_path / "evil.safetensors", header, data, length=length)
    with pytest.raises(ArtifactError, match=r"evil\.safetensors") as caught:
        _read_all(path)
    assert len(str(caught.value)) < 1000


def _read_all(path):
    file = TensorFile(path)
    return [np.array(file[name]) for name in file]


@pytest.mark.parametrize("size", [0, 1, 7, 8])
def test_files_without_a_header(tmp_path, size):
    (tmp_path / "a").write_bytes(b"\x01" * size)
    with pytest.raises(ArtifactError, match="not a safetensors file"):
        TensorFile(tmp_path / "a")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ArtifactError, match="no such file"):
        TensorFile(tmp_path / "a")
    with pytest.raises(ArtifactError, match="directory"):
        TensorFile(tmp_path)


def test_a_file_cut_short_anywhere(tmp_path):
    path = tmp_path / "a"
    write_tensors(path, {"x": np.arange(6, dtype=np.float32), "y": np.arange(3)})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError):
            TensorFile(path)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_changed_bytes_are_an_artifact_error_or_read(tmp_path_factory, data):
    """Whatever happens to the bytes, nothing but ArtifactError comes out."""
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    write_tensors(path, {"x": np.arange(4, dtype=np.float32), "y": np.zeros((0, 2))})
    changed = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        # Forget the checksum, so that damage reaches further.
        changed = bytearray(bytes(changed).replace(b'"sha256"', b'"nothing"'[:8]))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.sampled_from(b'0129-[]{}",:e.\\u\x00\xff') | st.integers(0, 255))
    path.write_bytes(changed)
    try:
        _read_all(path)
    except ArtifactError as error:
        assert "\n" not in str(error)  # noqa: PT017


@given(st.binary(max_size=200), st.binary(max_size=20))
@settings(max_examples=200, deadline=None)
def test_random_bytes(tmp_path_factory, header, data):
    path = crafted(tmp_path_factory.getbasetemp() / "random", header, data)
    with contextlib.suppress(ArtifactError):
        _read_all(path)


shapes = st.lists(st.integers(-1, 3) | st.sampled_from([2**31, 2**62, 2**64]), max_size=4)
offsets = st.lists(st.integers(-1, 20), min_size=1, max_size=3)


@given(
    st.dictionaries(
        st.sampled_from(["x", "y", "z"]),
        st.builds(entry, shapes, offsets, st.sampled_from(["F32", "U8", "BOOL", "BF16", None])),
    ),
    st.integers(0, 20),
)
@settings(max_examples=300, deadline=None)
def test_random_entries(tmp_path_factory, header, size):
    """What is accepted stays within the data; the rest is refused."""
    path = crafted(tmp_path_factory.getbasetemp() / "entries", header, b"\x01" * size)
    try:
        arrays = _read_all(path)
    except ArtifactError:
        return
    assert sum(array.nbytes for array in arrays) == size


def test_a_header_of_many_small_things_is_refused_before_it_is_read(tmp_path, monkeypatch):
    encoded = b'{"a":[' + b"[]," * 1_000_001 + b"[]]}"
    (tmp_path / "file").write_bytes(struct.pack("<Q", len(encoded)) + encoded)
    monkeypatch.setattr(json, "loads", lambda *_: pytest.fail("all of it was parsed"))
    with pytest.raises(ArtifactError, match="not of a safetensors file"):
        TensorFile(tmp_path / "file")
