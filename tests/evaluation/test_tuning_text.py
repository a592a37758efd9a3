"""What speaks against a text that a mixture is to be fitted on."""

import hashlib
import os
from types import SimpleNamespace

import numpy as np
import pytest

from nplm_cli import events, tuning_text
from nplm_cli.corpus.shards import Part, write_index
from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID


def part_of(*sentences):
    ids = [i for sentence in sentences for i in (*sentence, EOS_ID)]
    starts = np.cumsum([0, *(len(s) + 1 for s in sentences)])
    return Part(np.array(ids, np.uint16), starts, np.zeros(1, np.int64), 9)


RANDOM = np.random.default_rng(4)
SENTENCES = [tuple(RANDOM.integers(2, 60, RANDOM.integers(5, 12))) for _ in range(200)]
UNSEEN = [tuple(RANDOM.integers(2, 60, 9)) for _ in range(50)]


def run_of(folder, **parts):
    """A run of which only the records and the ids of its parts are there."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    counts = {}
    for name, sentences in parts.items():
        part = part_of(*sentences)
        part.ids_N.astype("<u2").tofile(data / f"{name}.ids")
        part.starts.astype("<i8").tofile(data / f"{name}.sentences")
        part.file_starts.astype("<i8").tofile(data / f"{name}.files")
        counts[name] = {
            "predictions": part.predictions, "sentences": part.sentences, "characters": 9
        }  # fmt: skip
    write_index(data, 61, counts)
    return SimpleNamespace(folder=folder, record={"data": {}})


@pytest.fixture
def run(tmp_path):
    return run_of(tmp_path / "run", train=SENTENCES, valid=UNSEEN)


def told(run, part, inputs=("t.txt",), digest=None):
    return list(tuning_text.doubts([run], inputs, digest, part))


def test_nothing_against_another_text(run):
    assert told(run, part_of(*UNSEEN)) == []
    assert told(run, part_of(*SENTENCES[:20], *UNSEEN[:21])) == []


@pytest.mark.parametrize("block", [4, 50, 10**6])
def test_sentences_of_the_training_text(run, monkeypatch, block):
    """In whatever pieces the training text is read, and in whatever order they stand."""
    monkeypatch.setattr(tuning_text, "COUNT_BLOCK", block)
    [line] = told(run, part_of(*reversed(SENTENCES[150:180]), *UNSEEN[:10]))
    assert line.startswith(f"{run.folder}: ")
    assert "75% of the longer sentences of t.txt" in line


def test_other_words_or_another_order_are_another_sentence(run):
    turned = [sentence[::-1] for sentence in SENTENCES[:40]]
    swapped = [(s[1], s[0], *s[2:]) for s in SENTENCES[40:80] if s[0] != s[1]]
    one_other = [(*s[:-1], 60) for s in SENTENCES[80:120]]
    assert told(run, part_of(*turned, *swapped, *one_other)) == []


def test_short_sentences_say_nothing(tmp_path):
    short = [(2, 3), (4,), (5, 6, 7, 8)]
    run = run_of(tmp_path / "short", train=short)
    assert told(run, part_of(*short)) == []
    assert told(run, part_of()) == []


def lost(data):
    (data / "valid.ids").unlink()


def longer(data):
    with (data / "train.ids").open("ab") as file:
        file.write(b"\0\0")


def altered(data):
    ids = bytearray((data / "train.ids").read_bytes())
    ids[0] ^= 1
    (data / "train.ids").write_bytes(ids)


def unindexed(data):
    (data / "index.json").write_text("[]")


def unordered(data):
    starts = np.fromfile(data / "train.sentences", "<i8")
    starts[[1, 2]] = starts[[2, 1]]
    starts.tofile(data / "train.sentences")


def shifted(data):
    starts = np.fromfile(data / "train.sentences", "<i8")
    starts[0] = -7
    starts.tofile(data / "train.sentences")


@pytest.mark.parametrize("damage", [lost, longer, altered, unindexed, unordered, shifted])
def test_a_training_text_that_cannot_be_read(run, tmp_path, damage):
    """It keeps nobody from mixing, and the other runs are looked at."""
    damage(run.folder / "data")
    other = run_of(tmp_path / "other", train=[*SENTENCES, (3,)])
    unread, seen = tuning_text.doubts([run, other], ["t.txt"], None, part_of(*SENTENCES))
    assert unread.startswith(f"{run.folder}: its training text cannot be read: not checked (")
    assert f"{run.folder / 'data'}" in unread
    assert seen.startswith(f"{other.folder}: trained on a text where 100%")
    assert told(run, part_of((2, 3))) == []  # short ones only: nothing to look for


def test_a_text_of_many_runs_is_read_once(run, tmp_path, monkeypatch):
    opened = []
    real = tuning_text.open_parts
    monkeypatch.setattr(
        tuning_text, "open_parts", lambda folder: opened.append(folder) or real(folder)
    )
    twin = run_of(tmp_path / "twin", train=SENTENCES)
    other = run_of(tmp_path / "other", train=UNSEEN)
    [line] = tuning_text.doubts([run, twin, other], ["t.txt"], None, part_of(*SENTENCES))
    assert line.startswith(f"{run.folder}, {twin.folder}: trained on a text where 100%")
    assert opened == [run.folder / "data", other.folder / "data"]


def test_reading_is_no_silence(run, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning_text, "COUNT_BLOCK", 500)
    other = run_of(tmp_path / "other", train=SENTENCES[:100])
    seen = []
    list(tuning_text.doubts([run, other], ["t.txt"], None, part_of(*UNSEEN), seen.append))
    assert {type(event) for event in seen} == {events.Progress}
    assert {(event.what, event.total) for event in seen} == {("checking the training texts", 2)}
    done = [event.done for event in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 2)
    assert sum(0 < share < 1 for share in done) >= 2  # within a long text, too
    assert sum(1 < share < 2 for share in done) >= 1
    assert {event.detail for event in seen} == {str(run.folder), str(other.folder), ""}
    seen.clear()
    list(tuning_text.doubts([run], ["t.txt"], None, part_of((2, 3)), seen.append))
    assert seen == []  # nothing read


def test_the_very_bytes(run):
    for name, said in (("train", "has seen"), ("test", "no longer to be measured")):
        run.record["data"]["sources"] = {name: {"inputs": ["-"], "sha256": "ab"}}
        [line] = told(run, part_of(*UNSEEN), digest="ab")
        assert said in line
        assert told(run, part_of(*UNSEEN), digest="cd") == []
        assert told(run, part_of(*UNSEEN), digest=None) == []
    run.record["data"]["sources"] = {"valid": {"inputs": ["-"], "sha256": "ab"}}
    assert told(run, part_of(*UNSEEN), digest="ab") == []  # what validation texts are for


def test_one_of_the_files(run, tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "texts")
    monkeypatch.chdir(tmp_path)
    for inputs in (["texts/a.txt"], ["texts"], ["texts/a.txt", "b.txt"]):
        source = {"inputs": [os.path.abspath(name) for name in inputs], "sha256": "ab"}
        run.record["data"]["sources"] = {"train": source}
        for given in ("texts/a.txt", "link/a.txt", str(tmp_path / "texts" / "a.txt")):
            [line] = told(run, part_of(*UNSEEN), inputs=(given,))
            assert f"trained on {given}" in line
        assert told(run, part_of(*UNSEEN), inputs=("c.txt", "-")) == []


@pytest.mark.parametrize("sources", [None, 3, {"train": 3}, {"train": {"inputs": [3]}}])
def test_records_of_a_stranger(run, sources):
    run.record["data"]["sources"] = sources
    assert told(run, part_of(*UNSEEN), digest="ab") == []


def test_unknown_words(run):
    known, unknown = [(3, 4, 5, 6)] * 18, [(UNK_ID, 4, 5, 6)]
    assert told(run, part_of(*known, *unknown * 3)) == []  # 3 of 84
    [line] = told(run, part_of(*known, *unknown * 5))  # 5 of 92
    assert "5.4% of the words of t.txt are unknown" in line


def test_digest(tmp_path):
    (tmp_path / "a").write_bytes(b"one\n")
    (tmp_path / "b").write_bytes(b"two\n")
    expected = hashlib.sha256(b"one\ntwo\n").hexdigest()
    assert tuning_text.text_digest([str(tmp_path)]) == expected
    assert tuning_text.text_digest([str(tmp_path / "a"), str(tmp_path / "b")]) == expected
    assert tuning_text.text_digest(["-"]) is None
    os.mkfifo(tmp_path / "pipe")  # whose second reader would wait for ever
    assert tuning_text.text_digest([str(tmp_path / "pipe")]) is None
