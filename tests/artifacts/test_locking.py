"""The lock of a run directory: a file of its own, wherever the folder came from."""

import errno
import os

import pytest

from nplm_cli.errors import ConfigError, InputError
from nplm_cli.locking import exclusive

posix = pytest.mark.skipif(os.name == "nt", reason="no links, pipes or locks as POSIX has them")


def locked(folder, patience=0.0):
    with exclusive(folder, patience):
        return (folder.parent / f".{folder.name}.lock").read_text()


def test_the_lock_names_the_process_and_goes_with_it(tmp_path):
    assert locked(tmp_path / "new" / "run") == str(os.getpid())
    assert list((tmp_path / "new").iterdir()) == []


@posix
def test_only_one_holds_it(tmp_path):
    with exclusive(tmp_path / "run"), pytest.raises(ConfigError, match=rf"process {os.getpid()}\)"):
        locked(tmp_path / "run", patience=0.2)


@pytest.mark.parametrize("left", ["", "17", "123456"])
def test_a_lock_that_a_dead_process_left_is_taken(tmp_path, left):
    (tmp_path / ".run.lock").write_text(left)
    assert locked(tmp_path / "run") == str(os.getpid())


@posix
@pytest.mark.parametrize("kind", ["link", "hard link", "dangling link", "pipe", "folder", "text"])
def test_what_is_no_lock_is_left_alone(tmp_path, kind):
    precious, lock = tmp_path / "precious", tmp_path / ".run.lock"
    precious.write_text("12345678901234567890 years of work\n")
    match kind:
        case "link":
            lock.symlink_to(precious)
        case "hard link":
            os.link(precious, lock)
        case "dangling link":
            lock.symlink_to(tmp_path / "made through a link")
        case "pipe":
            os.mkfifo(lock)
        case "folder":
            lock.mkdir()
        case _:
            lock.write_bytes(precious.read_bytes())
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"run\.lock: no lock file of nplm: .*move it away"):
        locked(tmp_path / "run")
    assert precious.read_text() == "12345678901234567890 years of work\n"
    assert sorted(tmp_path.iterdir()) == before


@posix
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_no_reason_to_stop(tmp_path, monkeypatch, number):
    import fcntl

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert locked(tmp_path / "run") == str(os.getpid())


@posix
def test_new_folders_above_a_run_are_flushed(tmp_path, monkeypatch):
    flushed = []
    opened = os.open

    def opening(path, flags, *rest, **more):
        descriptor = opened(path, flags, *rest, **more)
        names[descriptor] = os.fspath(path)
        return descriptor

    names = {}
    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(names[number]))
    locked(tmp_path / "a" / "b" / "run")
    assert flushed == [str(tmp_path), str(tmp_path / "a")]
