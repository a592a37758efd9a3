"""Whatever change of the disk fails, the old result or the new one is there (faulty_disk.py).

``python tests/faults`` tries every change, fault and command and prints the table.
"""

import functools
import os

import pytest
from fault_loop import Case, cases, make_given
from faulty_disk import FAULTS, FaultyDisk, PowerCut

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
    ],
)
def test_every_change_of_a_file_that_is_written(case, name, least):
    made = case(name)
    assert len(made.changes) >= least
    faults = [FAULTS["full"], FAULTS["half"], FAULTS["power"]]
    assert tried(made, faults) > 2 * least


@pytest.mark.parametrize(
    ("name", "least"), [("train --force", 150), ("train --resume", 50), ("mix --force", 60)]
)
def test_some_changes_of_a_run_that_is_made(case, name, least):
    made = case(name)
    assert len(made.changes) >= least
    tried(made, [FAULTS["full"], FAULTS["power"]], SAMPLE)


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


def test_half_a_write(tmp_path):
    def write():
        (tmp_path / "file").write_bytes(b"text")

    with FaultyDisk(tmp_path, FAULTS["half"], 2), pytest.raises(OSError, match="No space"):
        write()
    assert (tmp_path / "file").read_bytes() == b"te"
