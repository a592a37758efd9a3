"""Folders that appear whole or not at all, and what is said of a full disk."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from nplm_cli import atomic, locking, placement
from nplm_cli.corpus.first_pass import TokenStore, new_types
from nplm_cli.corpus.formats import Sentence
from nplm_cli.errors import ConfigError

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
