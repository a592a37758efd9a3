"""Whatever change of the disk fails, the old result or the new one is there (faulty_disk.py).

``python tests/faults`` tries every change, fault and command and prints the table.
"""

import functools
import mmap
import os
import shutil

import numpy as np
import pytest
from fault_loop import Case, Loss, cases, check_silence, digest, make_given
from faulty_disk import FAULTS, FaultyDisk, PowerCut
from faulty_reads import FaultyReads

from nplm_cli import atomic
from nplm_cli.artifacts import write_tensors
from nplm_cli.atomic import sync_folder

# Which of a training's some two hundred changes are tried by default: every so manieth.
SAMPLE = 67
pytestmark = pytest.mark.skipif(os.name == "nt", reason="names and locks are not POSIX's")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults").resolve()
    make_given(folder / "given")
    return folder


@pytest.fixture(scope="module")
def case(folder):
    """Return a case by its name, its undisturbed run done."""

    @functools.cache
    def named(name: str) -> Case:
        place = folder / name.replace(" ", "-")
        (found,) = (c for c in cases(folder / "given", place) if c.name == name)
        found.prepare()
        return found

    return named


def tried(case, faults, every=1):
    """Try the faults at every so manieth change, each fault at others; returns how many."""
    number = 0
    for offset, fault in enumerate(faults):
        for point in case.points(fault)[offset * every // len(faults) :: every]:
            case.fail_at(fault, point)
            number += 1
    return number


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("tokenize", 6),
        ("vocab, over an old file", 6),
        ("export glove", 6),
        ("export safetensors, over an old file", 6),
        ("export npy, over an old file", 12),
        ("export arpa, over an old file", 6),
        ("export nplm", 6),
        ("compile", 6),
        ("compile, over an old file", 6),
    ],
)
def test_every_change_of_a_file_that_is_written(case, name, least):
    made = case(name)
    assert len(made.changes) >= least
    faults = [FAULTS[name] for name in ("full", "half", "power", "names")]
    assert tried(made, faults) > 2 * least


@pytest.mark.parametrize(
    ("name", "least"), [("train --force", 150), ("train --resume", 50), ("mix --force", 60)]
)
def test_some_changes_of_a_run_that_is_made(case, name, least):
    made = case(name)
    assert len(made.changes) >= least
    tried(made, [FAULTS["full"], FAULTS["power"], FAULTS["names"], FAULTS["some"]], SAMPLE)


@pytest.mark.parametrize("name", ["tokenize", "vocab, over an old file", "compile"])
def test_every_read_that_fails(case, name):
    assert tried(case(name), [FAULTS["read"]]) >= 3


@pytest.mark.parametrize("name", ["export npy, over an old file", "train --force", "mix --force"])
def test_a_disk_without_locks(case, name):
    assert tried(case(name), [FAULTS["nolock"]]) == 1


@pytest.mark.parametrize("name", ["rescore", "surprisal"])
def test_a_power_cut_before_and_after_what_a_question_writes(case, name):
    assert tried(case(name), [FAULTS["names"]], 3) >= 2


@pytest.mark.parametrize("fault", ["full", "kill"])
def test_where_an_old_run_gives_way(case, fault):
    """At every move of the folders a question is answered by the old run, or by the new one."""
    made = case("train --force")
    moves = [
        point
        for point, (kind, path) in enumerate(made.changes, 1)
        if kind == "rename" and path is not None and os.path.dirname(path) == str(made.place)
    ]
    assert len(moves) >= 3
    for point in moves:
        made.fail_at(FAULTS[fault], point)


def test_a_training_that_was_lengthened_and_cut_short_goes_on(case):
    """Its new length stands in config.json; the checkpoint still says that it is finished."""
    made = case("train --resume")
    point = next(
        number
        for number, (kind, path) in enumerate(made.changes, 1)
        if kind == "open" and path is not None and "checkpoint" in path
    )
    made.fail_at(FAULTS["kill"], point)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "name",
    [
        *("tokenize", "vocab", "export word2vec", "export word2vec-bin", "export projector"),
        *("export arpa", "export nplm", "compile", "compile, over an old file"),
        *("rescore", "surprisal", "align", "homework"),
        *("train", "train --force", "train --resume", "train --arch ngram --force", "mix"),
    ],
)
def test_every_change(case, name, fault):
    assert tried(case(name), [FAULTS[fault]])


# --- the disk itself ----------------------------------------------------------------------------


def test_what_is_not_counted_is_seen(tmp_path):
    with FaultyDisk(tmp_path) as disk:
        (tmp_path / "counted").write_text("text")
        assert disk.unseen == []
        assert disk.changes[0] == ("open", str(tmp_path / "counted"))
        disk._patches[0].stop()  # the system's own os.open again
        os.close(os.open(tmp_path / "past", os.O_WRONLY | os.O_CREAT))
        disk._patches[0].start()
    assert len(disk.unseen) == 1
    assert "past" in disk.unseen[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda descriptor: os.pwrite(descriptor, b"ab", 1),
        lambda descriptor: os.writev(descriptor, [b"a", b"b"]),
        lambda descriptor: os.write(descriptor, b"ab"),
        lambda descriptor: os.utime(descriptor),
        lambda descriptor: os.chown(descriptor, os.getuid(), os.getgid()),
    ],
)
def test_changes_by_other_calls_are_counted(tmp_path, change):
    with FaultyDisk(tmp_path, FAULTS["full"], 2) as disk:
        descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
        try:
            with pytest.raises(OSError, match="No space"):
                change(descriptor)
        finally:
            os.close(descriptor)
    assert len(disk.changes) == 2
    assert not disk.unseen


def test_what_is_written_in_ways_that_nobody_counts_is_seen(tmp_path):
    with FaultyDisk(tmp_path) as disk:
        descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        os.posix_fallocate(descriptor, 0, 10)
        with mmap.mmap(descriptor, 10):
            pass
        with mmap.mmap(descriptor, 10, access=mmap.ACCESS_READ):
            pass
        os.close(descriptor)
    assert disk.unseen == ["posix_fallocate", f"map to be written {tmp_path / 'file'}"]


def test_reads_fail_where_they_should(tmp_path):
    path = tmp_path / "file"
    path.write_text("text")

    def read(at):
        with FaultyReads(tmp_path, at) as disk:
            assert path.read_text() == "text"
            with open(path, "rb") as file:
                assert file.read(2) == b"te"
        return disk.reads

    found = read(0)
    assert [kind for kind, _ in found if kind == "open"] == ["open", "open"]
    assert {where for _, where in found} == {str(path)}
    for at, (kind, _) in enumerate(found, 1):
        with pytest.raises(OSError, match="Input/output error") as caught:
            read(at)
        assert (caught.value.filename is None) == (kind == "read")


def test_a_power_cut_takes_what_was_not_flushed(tmp_path):
    def write(name, *, flush):
        with open(tmp_path / name, "wb") as file:
            file.write(b"text")
            file.flush()
            if flush:
                os.fsync(file.fileno())

    with FaultyDisk(tmp_path, FAULTS["power"], 6) as disk:
        write("kept", flush=True)
        write("lost", flush=False)
        assert disk.unflushed() == [str(tmp_path / "lost")]
        with pytest.raises(PowerCut):
            os.mkdir(tmp_path / "folder")
        os.unlink(tmp_path / "kept")  # nothing happens any more
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "kept": b"text",
        "lost": b"",
    }


@pytest.mark.parametrize("flush", [False, True])
def test_a_power_cut_takes_names_whose_folder_was_not_flushed(tmp_path, flush):
    for name in ("old", "gone", "moved", "over"):
        (tmp_path / name).write_text(name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    before = {path.name: path.is_dir() or path.read_text() for path in tmp_path.iterdir()}
    with FaultyDisk(tmp_path, FAULTS["names"]) as disk:
        (tmp_path / "new").write_text("new")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "inner").write_text("inner")
        os.replace(tmp_path / "new", tmp_path / "old")
        (tmp_path / "gone").unlink()
        os.link(tmp_path / "old", tmp_path / "second")
        os.rename(tmp_path / "moved", tmp_path / "full" / "moved")
        os.replace(tmp_path / "folder", tmp_path / "empty")
        shutil.rmtree(tmp_path / "empty")
        os.replace(tmp_path / "full", tmp_path / "renamed")
        with pytest.raises(OSError, match="not empty"):
            (tmp_path / "renamed").rmdir()
        with open(tmp_path / "old", "ab") as file:
            os.fsync(file.fileno())  # its bytes, not its name
        if flush:
            sync_folder(tmp_path)
        disk.cut()
    after = {path.name: path.is_dir() or path.read_text() for path in tmp_path.iterdir()}
    if flush:
        assert after == {"old": "new", "second": "new", "over": "over", "renamed": True}
        assert (tmp_path / "renamed" / "moved").read_text() == "moved"
    else:
        assert after == before
        assert list((tmp_path / "full").iterdir()) == list((tmp_path / "empty").iterdir()) == []
    assert list(tmp_path.parent.glob(".names-*")) == []


def test_of_some_names_the_last_ones_go_of_each_folder(tmp_path):
    ways = set()
    for seed in range(40):
        place = tmp_path / str(seed)
        (place / "a").mkdir(parents=True)
        (place / "b").mkdir()
        with FaultyDisk(place, FAULTS["some"], seed + 1000) as disk:
            for name in ("a/1", "b/1", "a/2", "b/2"):
                (place / name).mkdir()
            os.rename(place / "a" / "2", place / "b" / "3")
            disk.cut()
        ways.add(tuple(sorted(str(p.relative_to(place)) for p in place.rglob("[123]"))))
    assert {(), ("a/1", "a/2", "b/1", "b/2"), ("a/1", "b/1", "b/2", "b/3"), ("b/1",)} <= ways
    for names in ways:
        for folder in "ab":  # no later one without the ones before
            assert f"{folder}/2" not in names or f"{folder}/1" in names
        assert ("b/3" not in names) or ("a/2" not in names and {"a/1", "b/2"} <= {*names})


def test_what_is_told_to_be_done_is_done(case, monkeypatch):
    """Without the flush of the folder a power cut takes the result after exit 0."""
    made = case("tokenize")
    monkeypatch.setattr(atomic, "sync_folder", lambda folder: None)
    monkeypatch.setattr(made, "changes", made.changes[:-1])
    with pytest.raises(Loss, match="exit 0 without the new result"):
        made.fail_at(FAULTS["names"], len(made.changes) + 1)


def test_a_run_that_does_not_answer_has_to_say_why(tmp_path):
    run = tmp_path / "run"
    nothing = f"nplm: {run}: no such directory: expected a run"
    weights = f"nplm: {run}/model.safetensors: no weights yet: finish the training"
    check_silence(run, nothing)
    run.mkdir()
    check_silence(run, weights)
    (run / "model.safetensors").touch()
    for err in (nothing, weights, "nplm: damaged", f"{nothing}\nmore", ""):
        with pytest.raises(AssertionError):
            check_silence(run, err)


def test_checkpoints_of_other_names_or_shapes_are_others(tmp_path):
    one, two = np.arange(6, dtype=np.float32), np.zeros(6, np.float32)
    meta = {"progress": "{}"}
    made = []
    for tensors in (
        {"a": one, "b": two}, {"a": one, "c": two}, {"a": one, "b": two.reshape(2, 3)},
        {"a": one, "b": two.view(np.int32)},
    ):  # fmt: skip
        path = tmp_path / "checkpoint.safetensors"
        write_tensors(path, tensors, meta)
        made.append(digest(path))
    assert len(set(made)) == 4


def test_half_a_write(tmp_path):
    def write():
        (tmp_path / "file").write_bytes(b"text")

    with FaultyDisk(tmp_path, FAULTS["half"], 2), pytest.raises(OSError, match="No space"):
        write()
    assert (tmp_path / "file").read_bytes() == b"te"
