"""jieba's table and its cache: silent, private, never trusted further than it deserves."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nplm_cli import private_cache
from nplm_cli.corpus import prefix_table as module
from nplm_cli.corpus.prefix_table import CACHE_FILE, build_table, load_table, store_table
from nplm_cli.private_cache import is_private, private_cache_folder

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
DICTIONARY = "南京 3 ns\n南京市 5 ns\n长江大桥 2 ns\nAT&T 3 nz\n南京 4 n\n".encode()
TABLE = (
    {"南京": 4, "南京市": 5, "长江大桥": 2, "AT&T": 3,
     "南": 0, "长": 0, "长江": 0, "长江大": 0, "A": 0, "AT": 0, "AT&": 0},
    17,
)  # fmt: skip
SOURCE = "0" * 64


def test_the_table_is_the_one_that_jieba_makes():
    import jieba

    with jieba.dt.get_dict_file() as file:
        data = file.read()
    with jieba.dt.get_dict_file() as file:
        theirs = jieba.dt.gen_pfdict(file)
    assert build_table(data) == theirs
    assert build_table(DICTIONARY) == TABLE


@pytest.fixture
def path(tmp_path):
    tmp_path.chmod(0o700)
    path = tmp_path / CACHE_FILE
    store_table(path, SOURCE, TABLE)
    return path


def test_what_is_kept_is_what_was_made(path):
    assert load_table(path, SOURCE) == TABLE
    assert list(load_table(path, SOURCE)[0]) == list(TABLE[0])
    assert load_table(path, "1" * 64) is None  # another version of the dictionary
    assert os.listdir(path.parent) == [CACHE_FILE]


@posix
def test_it_is_for_this_user_alone(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_single_byte_can_be_changed(path):
    data = path.read_bytes()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert load_table(path, SOURCE) is None, place
    for end in range(len(data)):
        path.write_bytes(data[:end])
        assert load_table(path, SOURCE) is None, end
    path.write_bytes(data)
    assert load_table(path, SOURCE) == TABLE


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\x00" * 100, b"nplm jieba words 1 x y\n", b"\x80\x04."]
)
def test_what_was_never_ours(path, data):
    path.write_bytes(data)
    path.chmod(0o600)
    assert load_table(path, SOURCE) is None


@posix
def test_what_others_could_have_written_is_not_read(path, monkeypatch):
    for mode in (0o620, 0o602, 0o666):
        path.chmod(mode)
        assert load_table(path, SOURCE) is None
    path.chmod(0o600)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert load_table(path, SOURCE) is None
    monkeypatch.undo()
    other = path.with_name("other")
    path.rename(other)
    path.symlink_to(other)
    assert load_table(path, SOURCE) is None
    path.unlink()
    os.mkfifo(path)
    assert load_table(path, SOURCE) is None
    path.unlink()
    path.mkdir()
    assert load_table(path, SOURCE) is None
    store_table(path, SOURCE, TABLE)  # cannot, and says nothing
    assert sorted(os.listdir(path.parent)) == sorted([CACHE_FILE, "other"])


def test_a_write_that_fails_leaves_what_was_there(path, monkeypatch):
    def fail(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    store_table(path, "2" * 64, TABLE)
    assert load_table(path, SOURCE) == TABLE
    assert os.listdir(path.parent) == [CACHE_FILE]


def test_what_a_killed_process_left_is_removed(path):
    (path.parent / ".xyz.nplm-tmp").write_bytes(b"half")
    store_table(path, SOURCE, TABLE)
    assert os.listdir(path.parent) == [CACHE_FILE]


@pytest.fixture
def made(monkeypatch):
    """Count how often the table is made from the dictionary."""
    count = []
    real = module.build_table
    monkeypatch.setattr(module, "build_table", lambda data: (count.append(1), real(data))[1])
    return count


def test_it_is_made_once_and_anew_when_the_cache_is_damaged(tmp_path, monkeypatch, made):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = module.prefix_table.__wrapped__()
    assert module.prefix_table.__wrapped__() == first
    assert len(made) == 1
    path = tmp_path / "nplm" / CACHE_FILE
    path.write_bytes(path.read_bytes()[:-1])
    assert module.prefix_table.__wrapped__() == first
    assert module.prefix_table.__wrapped__() == first
    assert len(made) == 2


def test_without_a_folder_it_is_made_each_time(tmp_path, monkeypatch, made):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        module.prefix_table.__wrapped__()
    assert len(made) == 2


# --- the folder ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "environment", "home", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "{}/x"}, "{}", "x/nplm"),
        ("linux", {}, "{}", ".cache/nplm"),
        ("linux", {"XDG_CACHE_HOME": ""}, "{}", ".cache/nplm"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "{}", ".cache/nplm"),
        ("linux", {}, "~", None),
        ("darwin", {}, "{}", "Library/Caches/nplm"),
        ("darwin", {"XDG_CACHE_HOME": "{}/x"}, "{}", "x/nplm"),
        ("win32", {"LOCALAPPDATA": "{}/Local"}, "{}", "Local/nplm"),
        ("win32", {}, "{}", "AppData/Local/nplm"),
    ],
)
def test_where_it_is(tmp_path, monkeypatch, platform, environment, home, expected):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    monkeypatch.setattr(private_cache.sys, "platform", platform)
    monkeypatch.setattr(os.path, "expanduser", lambda path: home.format(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert private_cache_folder() == (None if expected is None else tmp_path / expected)
    assert sorted(os.listdir(tmp_path)) == ([] if expected is None else [expected.split("/")[0]])


@posix
def test_its_rights_are_made_right(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "nplm").mkdir()
    (tmp_path / "nplm").chmod(0o777)
    folder = private_cache_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@posix
def test_a_folder_that_others_could_replace_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tmp_path.chmod(0o777)
    assert private_cache_folder() is None
    tmp_path.chmod(0o1777)  # like a temporary folder, where only owners may
    assert private_cache_folder() == tmp_path / "nplm"


@posix
def test_the_rights_of_a_folder_behind_a_link_are_left(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (own := tmp_path / "project").mkdir(mode=0o755)
    (tmp_path / "nplm").symlink_to(own)
    own.chmod(0o755)
    assert private_cache_folder() == tmp_path / "nplm"
    assert stat.S_IMODE(own.stat().st_mode) == 0o755
    own.chmod(0o777)
    assert private_cache_folder() is None


@posix
def test_the_folder_of_somebody_else_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "nplm").mkdir()
    (tmp_path / "nplm").chmod(0o777)
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert private_cache_folder() is None
    assert stat.S_IMODE((tmp_path / "nplm").stat().st_mode) == 0o777  # it is not ours to change


@posix
def test_a_link_that_somebody_else_made_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "nplm").symlink_to(tmp_path / "mine")
    assert private_cache_folder() == tmp_path / "nplm"  # both are this user's
    real = Path.lstat

    def foreign(path):
        found = real(path)
        if path.name != "nplm":
            return found
        return os.stat_result((*found[:4], found.st_uid + 1, *found[5:]))

    monkeypatch.setattr(Path, "lstat", foreign)
    assert private_cache_folder() is None
    assert not is_private(tmp_path / "nplm")


# --- as a process -------------------------------------------------------------------------------

CUT = (
    "from nplm_cli.corpus.recipe import TextRecipe as R; "
    "print(len(R('zh', 'raw', 'line').tokenize('我爱北京')))"
)


def _run(folder, **environment):
    env = {**os.environ, "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    env = {name: value for name, value in env.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", CUT],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )


@posix
def test_the_segmenter_is_silent_and_caches_for_this_user_alone(tmp_path):
    for _ in range(2):  # made, then read
        result = _run(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
        assert (result.stdout, result.stderr) == ("3\n", "")
    folder = tmp_path / "cache" / "nplm"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert os.listdir(folder) == [CACHE_FILE]
    assert stat.S_IMODE((folder / CACHE_FILE).stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["cache"]  # nothing in the shared temporary folder


def test_without_a_cache_folder_nothing_is_left_behind(tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = _run(tmp_path, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert (result.stdout, result.stderr) == ("3\n", "")
    assert os.listdir(tmp_path) == ["file"]


def test_a_home_that_is_not_there(tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = _run(tmp_path, XDG_CACHE_HOME=None, HOME=str(tmp_path / "file" / "nobody"))
    assert (result.stdout, result.stderr) == ("3\n", "")
    assert os.listdir(tmp_path) == ["file"]
