"""Damaged, foreign and newer files of a run, opened by every command that reads them."""

import json
import os
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

# Command line, and the files of a run that it opens.
COMMANDS = {
    "score": (("score", "RUN", "我 买 书", "-q"), "model vocabulary config tokenizer"),
    "predict": (("predict", "RUN", ""), "model vocabulary config tokenizer"),
    "explain": (("explain", "RUN", "我"), "model vocabulary config tokenizer"),
    "eval": (("eval", "RUN", "TEXT", "-q"), "model vocabulary config tokenizer baseline"),
    "info": (("info", "RUN"), "model vocabulary config tokenizer report"),
    "neighbors": (("neighbors", "RUN", "书"), "model vocabulary config"),
    "export": (("export", "RUN", "OUT", "-q"), "model vocabulary config"),
    "resume": (
        ("train", "--resume", "-o", "RUN", "-q", "--steps", "25"),
        "checkpoint vocabulary config index",
    ),
}
FILES = {
    "model": "model.safetensors",
    "baseline": "baseline.safetensors",
    "checkpoint": "checkpoint.safetensors",
    "vocabulary": "vocabulary.tsv",
    "config": "config.json",
    "tokenizer": "tokenizer.json",
    "report": "report.json",
    "index": "data/index.json",
}


class Evil:
    """Unpickling this makes a file that a test looks for."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def damages(path: Path, mark: Path):
    data = path.read_bytes()
    yield "missing", None
    yield "empty", b""
    yield "truncated", data[: len(data) * 2 // 3]
    yield "binary", bytes(range(256)) * 8
    yield "pickle", pickle.dumps(Evil(mark))
    yield "text", b"this is not a file of nplm\n" * 20
    if path.suffix == ".json":
        yield "a list", b"[1, 2, 3]"
        yield "deep", b"[" * 100_000
        values = json.loads(data)
        if "format_version" in values:
            yield "newer", json.dumps(values | {"format_version": 99}).encode()
            yield "version as text", json.dumps(values | {"format_version": "1"}).encode()
    if path.suffix == ".tsv":
        yield "no specials", data.split(b"\n", 2)[2]
        yield "twice", data + data.splitlines()[-1] + b"\n"
        yield "negative", data.replace(b"\t", b"\t-", 1)
        yield "not utf-8", data + b"\xff\t1\n"
    if path.suffix == ".safetensors":
        (size,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + size])
        yield "bit flip", data[:-3] + bytes([data[-3] ^ 0x40]) + data[-2:]
        yield "long header", struct.pack("<Q", 1 << 60) + data[8:]
        yield "longer", data + b"\0" * 8
        header["__metadata__"]["format_version"] = "99"
        yield "newer", _safetensors(header, data[8 + size :])
        name = next(k for k in header if k != "__metadata__")
        header["__metadata__"]["format_version"] = "1"
        header[name]["data_offsets"] = [0, 1 << 50]
        yield "offsets outside", _safetensors(header, data[8 + size :])


def _safetensors(header: dict, data: bytes) -> bytes:
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


CASES = [(c, f) for c, (_, files) in COMMANDS.items() for f in files.split()]


@pytest.mark.parametrize(("command", "file"), CASES)
def test_damaged_files(nplm, ffn, texts, tmp_path, command, file):
    mark = tmp_path / "mark"
    run = tmp_path / "run"
    words = {"RUN": run, "TEXT": texts / "seg.txt", "OUT": tmp_path / "out"}
    line = [words.get(word, word) for word in COMMANDS[command][0]]
    optional = {"baseline", "report"} | ({"checkpoint"} if command == "resume" else set())
    wrong = []
    for kind, data in damages(ffn / FILES[file], mark):
        if kind == "missing" and (file in optional or (command == "info" and file == "tokenizer")):
            continue
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(ffn, run)
        path = run / FILES[file]
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        try:
            result = nplm(*line)
            # Too few words show in the vocabulary or where the weights are loaded.
            few = (command, file, kind) == ("resume", "vocabulary", "truncated")
            result.refused(*(() if few else (FILES[file],)))
        except Exception as error:
            wrong.append(f"{kind}: {type(error).__name__}: {error}"[:300])
        except AssertionError as error:
            wrong.append(f"{kind}: {error}"[:300])
        assert not mark.exists(), "a pickle was executed"
        assert not (tmp_path / "out").exists()
    assert not wrong, "\n".join(wrong)


def test_weights_of_another_run(nplm, ffn, english, texts, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(ffn, run)
    shutil.copy(english / "model.safetensors", run)
    for command in ("score", "predict", "eval", "info", "neighbors"):
        words = {"RUN": run, "TEXT": texts / "seg.txt"}
        nplm(*[words.get(w, w) for w in COMMANDS[command][0]]).refused("model.safetensors")


def test_counts_of_another_run(nplm, ngram, ffn, train, texts, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(ngram, run)
    shutil.copy(ffn / "model.safetensors", run)
    nplm("score", run, "我", "-q").refused("model.safetensors")
    nplm("count", run, "我").refused("model.safetensors")
    train(texts / "en.txt", tmp_path / "other", "--arch", "ngram").ok()
    shutil.copy(tmp_path / "other" / "model.safetensors", run)
    nplm("score", run, "我", "-q").refused("model.safetensors", "vocabulary.tsv")


@pytest.mark.parametrize("change", ["cut", "one more"])
def test_vocabulary_of_another_length(nplm, ffn, tmp_path, change):
    run = tmp_path / "run"
    shutil.copytree(ffn, run)
    lines = (run / "vocabulary.tsv").read_text("utf-8").splitlines(keepends=True)
    lines = lines[:-1] if change == "cut" else [*lines, "新词\t1\n"]
    (run / "vocabulary.tsv").write_text("".join(lines), "utf-8")
    for line in (("score", run, "我", "-q"), ("neighbors", run, "书"), ("predict", run, "我")):
        nplm(*line).refused("vocabulary.tsv")


def test_an_unknown_key_in_config_json_is_an_error_of_the_file(nplm, ffn, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(ffn, run)
    record = json.loads((run / "config.json").read_text("utf-8"))
    for section, key, value in (
        ("model", "hiden", 3),
        ("model", "dim", -1),
        ("model", "arch", "rnnn"),
    ):
        changed = json.loads(json.dumps(record))
        changed["settings"][section][key] = value
        (run / "config.json").write_text(json.dumps(changed), "utf-8")
        nplm("score", run, "我", "-q").refused("config.json", key)
        nplm("info", run).refused("config.json", key)


def vector_files(folder: Path, mark: Path) -> dict[str, bytes]:
    array = folder / "a.npy"
    np.save(array, np.array([Evil(mark), 1], dtype=object), allow_pickle=True)
    return {
        "empty.txt": b"",
        "pickle.pkl": pickle.dumps(Evil(mark)),
        "objects.npy": array.read_bytes(),
        "binary.bin": bytes(range(256)) * 20,
        "prose.txt": b"this is no file of vectors\nbut a text\n",
        "nan.txt": b"2 2\na 1 nan\nb 1 2\n",
        "short.txt": b"3 2\na 1 2\nb 1 2\n",
        "ragged.txt": b"2 2\na 1 2\nb 1\n",
        "huge.txt": b"99999999999 99999999\na 1 2\n",
        "latin.txt": b"1 2\n\xe9\xff 1 2\n",
        "cut.bin": b"2 4\nword " + b"\0" * 9,
    }


@pytest.mark.parametrize("command", ["neighbors", "export", "train"])
def test_vector_files_that_are_none(nplm, texts, tmp_path, command):
    mark, out = tmp_path / "mark", tmp_path / "out"
    for name, data in vector_files(tmp_path, mark).items():
        path = tmp_path / name
        path.write_bytes(data)
        line = {
            "neighbors": ("neighbors", path, "a"),
            "export": ("export", path, out, "-q"),
            "train": (
                "train",
                texts / "seg.txt",
                "-o",
                out,
                "-q",
                "--dim",
                2,
                "--steps",
                2,
                "--vectors",
                path,
            ),
        }[command]
        if command == "train" and name in (
            "nan.txt",
            "short.txt",
            "huge.txt",
            "latin.txt",
            "ragged.txt",
        ):
            continue  # streamed: numbers of words outside the vocabulary are not looked at
        nplm(*line).refused(name)
        assert not mark.exists(), "a pickle was executed"
        assert not out.exists(), name
