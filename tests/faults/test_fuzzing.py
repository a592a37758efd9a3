"""The fuzzing of files (benchmarks/fuzz_files.py) reaches what it says it does."""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest

if os.name == "nt":
    pytest.skip("needs fork and resource", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import damage
import fuzz_files
import fuzzing
import sealing
from fault_loop import TINY, _done, command

from nplm_cli.corpus.shards import check_ids, open_parts
from nplm_cli.errors import ArtifactError
from nplm_cli.query.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed")
    text = folder / "text.txt"
    text.write_text("今天 我 买 书 。\n你 看 书 吗 ？\n" * 10, "utf-8")
    words = ("train", text, "-o", folder / "run", "--arch", "ngram", *TINY)
    _done(command(*words), words)
    return folder / "run"


def test_damaged_ids_reach_the_check_of_ids(run):
    path = run / "data" / "train.ids"
    ids = np.fromfile(path, "<u2")
    old = path.read_bytes(), (run / "data" / "index.json").read_bytes()
    try:
        ids[3] = 60_000
        ids.tofile(path)
        with pytest.raises(ArtifactError, match="checksum"):
            open_parts(run / "data")
        sealing.seal(path)
        parts = open_parts(run / "data")
        with pytest.raises(ArtifactError, match="lacks"):
            check_ids(run / "data", parts, len(Run(run).vocabulary))
    finally:
        path.write_bytes(old[0])
        (run / "data" / "index.json").write_bytes(old[1])


def test_starts_and_words_are_sealed(run):
    for name in ("data/train.files", "data/train.sentences", "vocabulary.tsv"):
        path = run / name
        before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
        try:
            data = path.read_bytes()
            path.write_bytes(
                data.replace("书".encode(), "茶".encode()) if name == "vocabulary.tsv"
                else np.array([0, *range(5, 50, 5)], "<i8").tobytes() if "files" in name
                else np.delete(np.frombuffer(data, "<i8"), 1).tobytes()
            )  # fmt: skip
            sealing.seal(path)
            fuzz_files.parts(run / "data")  # reads on
        finally:
            for p, old in before.items():
                p.write_bytes(old)


@pytest.mark.parametrize(
    ("mutate", "seed", "suffix"),
    [
        (fuzz_files.in_ids, b"\1\0\1\0", ".ids"),
        (fuzz_files.in_table, b"<unk>\t1\n", ".tsv"),
        (damage.damaged_json, b'{"a": 1}', ".json"),
    ],
)
def test_no_input_is_its_seed(mutate, seed, suffix):
    draw = random.Random(1)
    inputs = [fuzz_files.changed(seed, draw, mutate, suffix) for _ in range(300)]
    assert not any(damage.same(seed, data, suffix) for data in inputs)
    plain = random.Random(1)
    assert any(damage.same(seed, mutate(seed, plain), suffix) for _ in range(300))


def test_a_seed_is_the_same_however_it_is_spelled():
    assert damage.same(b'{"a": 1, "b": 2}', b'{"b":2,\n"a":1}', ".json")
    assert not damage.same(b'{"a": 1}', b'{"a": 2}', ".json")
    assert not damage.same(b'{"a": 1}', b'{"a": 1', ".json")


def test_refusals_are_counted_without_names_and_numbers():
    tally = fuzzing.Tally()
    for message in ("/tmp/x/1.ids: 12 words, not 'abc'", "/y/2.ids: 7 words, not 'd'", "/z: gone"):
        tally.add(fuzzing.Tally(messages={fuzzing.shortened(message): 1}))
    assert tally.most_frequent(2) == [("FILE: _ words, not _", 2), ("FILE: gone", 1)]
