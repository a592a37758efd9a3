"""Folders that appear whole or not at all, and what is said of a full disk."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from nplm_cli import atomic, locking, placement
from nplm_cli.corpus.first_pass import TokenStore, new_types
from nplm_cli.corpus.formats import Sentence
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.query.run import Run

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")


def full_disk(source, target):
    """What shutil says: both names, the source first."""
    raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))


def test_a_copy_names_the_target(monkeypatch, tmp_path):
    (tmp_path / "a").write_text("text")
    monkeypatch.setattr(shutil, "copyfile", full_disk)
    with pytest.raises(OSError, match="No space") as caught:
        atomic.copy_file(tmp_path / "a", tmp_path / "b")
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "b"), None)
    # A second name that cannot be given is a copy that cannot be made either.
    monkeypatch.setattr(os, "link", full_disk)
    with pytest.raises(OSError, match="No space") as caught:
        placement.link_or_copy(tmp_path / "a", tmp_path / "b")
    assert caught.value.filename == str(tmp_path / "b")


def test_a_source_that_cannot_be_read_is_named_itself(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        atomic.copy_file(tmp_path / "gone", tmp_path / "b")
    assert caught.value.filename == str(tmp_path / "gone")


def test_a_file_is_named_where_it_would_have_come_to_be(tmp_path):
    folder = tmp_path / "run"

    def fail():
        with placement.staging_folder(folder) as staging:
            (staging / "half").write_text("half")
            full_disk(staging / "config.json", None)

    with pytest.raises(OSError, match="No space") as caught:
        fail()
    assert caught.value.filename == str(folder / "config.json")
    assert list(tmp_path.iterdir()) == []


@needs_full
def test_a_full_device_is_named(tmp_path):
    with pytest.raises(OSError, match="No space") as caught:
        atomic.write_bytes(FULL, b"text")
    assert caught.value.filename == str(FULL)


@needs_full
@pytest.mark.parametrize("key", ["tokens", "offsets", "units"])
@pytest.mark.parametrize("sentences", [1, 40_000])
def test_a_full_disk_in_the_first_pass_is_named(tmp_path, key, sentences):
    """At the end of a short text, and in the midst of a long one."""
    (tmp_path / f"train.{key}").symlink_to(FULL)
    store = TokenStore(tmp_path, "train", new_types())
    text = (Sentence(("a", "b"), 0, 0, line, 0) for line in range(sentences))
    with pytest.raises(OSError, match="No space") as caught:
        list(store.read(text))
    assert caught.value.filename == str(tmp_path / f"train.{key}")


def test_a_full_disk_leaves_the_lock_a_lock(monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with (
        locking.exclusive(tmp_path / "run"),
        pytest.raises(ConfigError, match="process unknown"),
        locking.exclusive(tmp_path / "run"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_run_takes_the_place_of_a_homework(tmp_path):
    """Its runs would be gone with it."""
    folder = tmp_path / "hw"
    folder.mkdir()
    for text in ('{"format_version": 1, "homework": {}, "settings": {}}', "no JSON"):
        (folder / "config.json").write_text(text)
        refused = text[0] == "{"
        if refused:
            with pytest.raises(ConfigError, match=r"hw holds a homework.*another directory"):
                placement.check_target(folder, True)
        else:  # a damaged run may be replaced
            placement.check_target(folder, True)


# --- an old run and its successor ---------------------------------------------------------------

REMOVE, REPLACE, SYNC = shutil.rmtree, os.replace, os.fsync
posix = pytest.mark.skipif(os.name == "nt", reason="folders cannot be flushed there")


class Killed(BaseException):
    """What no code can catch."""


def a_run(folder, text):
    (folder / "data").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "data/train.ids"):
        (folder / name).write_text(text)


def successor(folder, text="new"):
    with placement.staging_folder(folder) as staging:
        staging.rmdir()
        a_run(staging, text)
        placement.move_into_place(staging, folder)


def test_nothing_is_left_of_an_old_run(tmp_path):
    a_run(tmp_path / "run", "old")
    successor(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "data" / "train.ids").read_text() == "new"


@pytest.mark.parametrize("removed", [True, False])
def test_a_half_deleted_run_does_not_come_back(tmp_path, monkeypatch, removed):
    """SIGKILL while the old run is deleted; then the new one is removed by the user, or not."""
    folder = tmp_path / "run"
    a_run(folder, "old")

    def half(path, *_, **__):
        if (Path(path) / "config.json").exists():
            (Path(path) / "model.safetensors").unlink()
            raise Killed

    monkeypatch.setattr(shutil, "rmtree", half)
    with pytest.raises(Killed):
        successor(folder)
    monkeypatch.setattr(shutil, "rmtree", REMOVE)
    assert (folder / "model.safetensors").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 2
    if removed:
        REMOVE(folder)
    placement.restore_old(folder)
    assert [path.name for path in tmp_path.iterdir()] == ([] if removed else ["run"])
    successor(folder, "newer")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("moves", [2, 3])
def test_an_old_run_goes_for_good_when_its_successor_is_there(tmp_path, monkeypatch, moves):
    """SIGKILL right after the moves: the next command clears up."""
    folder, made = tmp_path / "run", []
    a_run(folder, "old")

    def killed(source, target):
        if len(made) == moves:
            raise Killed
        REPLACE(source, target)
        made.append(target)

    def removed(path, *args, **options):
        if len(made) >= moves:
            raise Killed
        REMOVE(path, *args, **options)

    monkeypatch.setattr(os, "replace", killed)
    monkeypatch.setattr(shutil, "rmtree", removed)
    with pytest.raises(Killed):
        successor(folder)
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 2
    placement.restore_old(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    REMOVE(folder)
    placement.restore_old(folder)
    assert not folder.exists()


@pytest.mark.parametrize("made", [None, "empty", "other"])
def test_the_only_copy_of_an_old_run_is_never_deleted(tmp_path, made):
    """SIGKILL between the moves; then something else is made where it stood."""
    folder = tmp_path / "run"
    a_run(placement.old_folder(folder), "old")
    if made:
        folder.mkdir()
    if made == "other":
        (folder / "notes.txt").write_text("mine")
    placement.restore_old(folder)
    where = placement.old_folder(folder) if made == "other" else folder
    assert (where / "data" / "train.ids").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == (2 if made == "other" else 1)


def test_no_run_is_made_where_an_old_one_waits(tmp_path):
    """``run.old`` is a name like another: its new run is not the old one of ``run``."""
    with placement.staging_folder(tmp_path / "run.old") as staging:
        a_run_inside = staging / "config.json"
        a_run_inside.write_text("new")
        placement.restore_old(tmp_path / "run")
        assert a_run_inside.exists()
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "config.json").write_text("another")
        placement.restore_old(tmp_path / "run")
        assert a_run_inside.exists()


# --- flushed to the disk ------------------------------------------------------------------------


@pytest.fixture
def flushed(monkeypatch):
    """What is moved, flushed and removed, in order; a place is its number on the disk."""
    order = []

    def number(path):
        return os.stat(path).st_ino

    def sync(descriptor):
        order.append(("flush", os.fstat(descriptor).st_ino))
        SYNC(descriptor)

    def move(source, target):
        order.append(("move", number(source)))
        REPLACE(source, target)

    def remove(path, *args, **options):
        if os.path.isdir(path):
            order.append(("remove", number(path)))
        REMOVE(path, *args, **options)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", move)
    monkeypatch.setattr(shutil, "rmtree", remove)
    return order


def test_a_copy_is_flushed(flushed, tmp_path):
    (tmp_path / "a").write_text("text")
    atomic.copy_file(tmp_path / "a", tmp_path / "b")
    assert flushed == [("flush", (tmp_path / "b").stat().st_ino)]
    assert (tmp_path / "b").read_text() == "text"


def test_a_copy_that_cannot_be_flushed_names_the_target(monkeypatch, tmp_path):
    def full(_):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    (tmp_path / "a").write_text("text")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="quota") as caught:
        atomic.copy_file(tmp_path / "a", tmp_path / "b")
    assert caught.value.filename == str(tmp_path / "b")


@posix
def test_a_run_is_on_the_disk_before_its_predecessor_is_deleted(flushed, tmp_path):
    folder = tmp_path / "run"
    a_run(folder, "old")
    old = folder.stat().st_ino
    with placement.staging_folder(folder) as staging:
        staging.rmdir()
        a_run(staging, "new")
        new, inner = (path.stat().st_ino for path in (staging, staging / "data"))
        placement.move_into_place(staging, folder)
    moved = flushed.index(("move", new))
    assert {("flush", new), ("flush", inner)} <= set(flushed[:moved])
    last = max(place for place, (what, _) in enumerate(flushed) if what == "move")
    removed = flushed.index(("remove", old))
    assert moved <= last < flushed.index(("flush", tmp_path.stat().st_ino), last) < removed


def test_folders_that_cannot_be_flushed(monkeypatch, tmp_path):
    """As on Windows, which opens no folder."""
    real = os.open

    def files_only(path, *args, **options):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(placement.os, "open", files_only)
    a_run(tmp_path / "run", "old")
    staging = tmp_path / "staging"
    a_run(staging, "new")
    placement.move_into_place(staging, tmp_path / "run")
    monkeypatch.undo()
    assert (tmp_path / "run" / "config.json").read_text() == "new"


@pytest.mark.parametrize("half_deleted", [False, True])
def test_an_old_run_stays_while_its_successor_is_beside_its_place(tmp_path, half_deleted):
    """A kill between the two moves; then somebody puts another run there."""
    folder = tmp_path / "run"
    for name in ("run", ".run.nplm-tmp", ".run.nplm-old", *[".run.nplm-gone"] * half_deleted):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(name)
    placement.restore_old(folder)
    assert (placement.old_folder(folder) / "config.json").read_text() == ".run.nplm-old"
    assert (folder / "config.json").read_text() == "run"
    assert not (tmp_path / ".run.nplm-gone").exists()


def test_a_question_brings_back_an_old_run(tmp_path):
    """A kill between the two moves; nobody else is at it."""
    folder = tmp_path / "run"
    a_run(placement.old_folder(folder), "old")
    with locking.exclusive(folder):  # somebody is
        with pytest.raises(ArtifactError, match="no such directory"):
            Run(folder)
        assert not folder.exists()
    Run(folder)
    assert (folder / "data" / "train.ids").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_question_touches_nothing_where_all_is_in_place(tmp_path):
    folder = tmp_path / "run"
    for name in ("run", ".run.nplm-old", ".run.nplm-gone"):
        a_run(tmp_path / name, name)
    Run(folder)
    assert len(list(tmp_path.iterdir())) == 3


# --- what --force takes -------------------------------------------------------------------------


def of_nplm(folder):
    a_run(folder, "old")
    (folder / "config.json").write_text('{"format_version": 1, "settings": {}}')


@pytest.mark.parametrize(
    "name",
    ["thesis.tex", "data/photos", "data/train.txt", "components/1/notes", ".v.npy.old.nplm-tmp"],
)
def test_what_is_no_part_of_a_run_is_not_replaced(tmp_path, name):
    of_nplm(tmp_path / "run")
    placement.check_target(tmp_path / "run", True)
    (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "run" / name).write_text("years of work")
    with pytest.raises(ConfigError, match=rf"would be gone with it: {name}: move it away"):
        placement.check_target(tmp_path / "run", True)


def test_all_that_nplm_writes_or_leaves_is_replaced(tmp_path):
    folder = tmp_path / "run"
    of_nplm(folder)
    for name in placement.RUN_FILES[:-1]:
        (folder / name).touch()
    for name in ("index.json", "test.files", ".train.ids.abcdefgh.nplm-tmp"):
        (folder / "data" / name).touch()
    of_nplm(folder / "components" / "2")
    for name in (".report.json.abcdefgh.nplm-tmp", "components/.2.lock"):
        (folder / name).touch()
    placement.check_target(folder, True)


@pytest.mark.parametrize("config", ['{"model_type": "bert"}', "[]", "3"])
def test_a_folder_of_another_program_is_no_run(tmp_path, config):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(config)
    with pytest.raises(ConfigError, match="exists and is no run of nplm"):
        placement.check_target(tmp_path / "run", True)


def test_no_run_takes_the_place_of_a_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path).endswith("out"))
    placement.check_target(tmp_path / "out" / "run", False)
    with pytest.raises(ConfigError, match=r"out is where a disk is mounted.*name a folder in it"):
        placement.check_target(tmp_path / "out", False)


@posix
def test_a_run_that_was_kept_to_oneself_stays_so(tmp_path):
    a_run(tmp_path / "run", "old")
    (tmp_path / "run").chmod(0o700)
    successor(tmp_path / "run")
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


@posix
def test_an_old_run_that_is_a_link_is_not_put_back(tmp_path):
    """A stranger's folder may hold one, which leads anywhere."""
    a_run(tmp_path / "outside", "precious")
    placement.old_folder(tmp_path / "run").symlink_to(tmp_path / "outside")
    placement.bring_back(tmp_path / "run")
    placement.restore_old(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "outside" / "config.json").read_text() == "precious"
