"""Wrong input and wrong usage: exit code 2, one line that names it and its cure, nothing written."""

import gzip
import os
from pathlib import Path

import pytest

GOOD = "今天 我 买 书 。\n昨天 你 看见 猫 。\n" * 30


def make(tmp_path: Path, name: str) -> Path:
    """A text that something is wrong with."""
    path = tmp_path / name
    match name:
        case "missing.txt":
            pass
        case "empty.txt":
            path.write_bytes(b"")
        case "blank.txt":
            path.write_bytes(b"\n \n\xe3\x80\x80\n")
        case "folder":
            path.mkdir()
        case "hidden":
            path.mkdir()
            (path / ".notes").write_text("a b c")
        case "binary.txt":
            path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 4)
        case "undecodable.txt":
            path.write_bytes("好的 。\n".encode() * 20 + b"ab \xff\xfe\xff cd\n")
        case "short.gz":
            path.write_bytes(gzip.compress(os.urandom(4000).hex().encode())[:-200])
        case "damaged.gz":
            data = bytearray(gzip.compress(GOOD.encode() * 50))
            data[20:40] = b"\xff" * 20
            path.write_bytes(bytes(data))
    return path


BAD_TEXTS = {
    "missing.txt": ("missing.txt", "no such file"),
    "empty.txt": ("empty.txt", "no text found"),
    "blank.txt": ("blank.txt", "no text found"),
    "folder": ("folder", "without files"),
    "hidden": ("hidden", "without files"),
    "binary.txt": ("binary.txt", "a PNG picture"),
    "undecodable.txt": ("undecodable.txt:21: byte 223", "--encoding"),
    "short.gz": ("short.gz", "cut short", "fetch"),
    "damaged.gz": ("damaged.gz", "corrupt", "fetch"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
@pytest.mark.parametrize(
    "command", ["tokenize", "vocab", "train", "train --valid", "eval", "score"]
)
def test_bad_texts(nplm, texts, ffn, tmp_path, command, name):
    made = make(tmp_path, name)
    before = sorted(tmp_path.iterdir())
    out = tmp_path / "out"
    line = {
        "tokenize": ("tokenize", made, "-o", out, "-q"),
        "vocab": ("vocab", made, "-o", out, "-q"),
        "train": ("train", made, "-o", out, "-q"),
        "train --valid": ("train", texts / "seg.txt", "--valid", made, "-o", out, "-q"),
        "eval": ("eval", ffn, made, "-q"),
        "score": ("score", ffn, "--file", made, "-q", "--json"),
    }[command]
    result = nplm(*line)
    if command == "score" and name in ("empty.txt", "blank.txt"):
        # No lines are no sentences; a blank line is an empty sentence.
        assert result.code == 0
        return
    if command == "score":
        assert result.code == 2
        assert all(part in result.err for part in BAD_TEXTS[name])
        assert len(result.err.splitlines()) == 1
    else:
        result.refused(*BAD_TEXTS[name])
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("text", "options", "parts"),
    [
        ("今天 我 买 书 。\n", (), ("cannot be split", "--split-by none")),
        ("今天 我 买 书 。\n", ("--split-by", "none"), ("no word is left", "--min-count 1")),
        (GOOD, ("--min-count", "1000"), ("no word is left",)),
        (GOOD, ("--valid-share", "0.6", "--test-share", "0.6"), ("nothing is left to train on",)),
    ],
)
def test_too_little_text(nplm, tmp_path, text, options, parts):
    (tmp_path / "t.txt").write_text(text, "utf-8")
    result = nplm("train", tmp_path / "t.txt", "-o", tmp_path / "run", "-q", *options)
    result.refused(*parts)
    assert os.listdir(tmp_path) == ["t.txt"]


def test_one_sentence_can_be_learnt_by_heart(train, nplm, tmp_path):
    (tmp_path / "t.txt").write_text("今天 我 买 书 。\n", "utf-8")
    run = tmp_path / "run"
    result = train(tmp_path / "t.txt", run, "--split-by", "none", "--min-count", "1").ok()
    assert "no validation or test text" in result.err
    assert nplm("score", run, "今天 我 买 书 。", "--json").ok().json["oov"] == 0
    assert nplm("info", run, "--json").ok().json["finished"] is True


def test_a_vocabulary_larger_than_the_corpus(train, nplm, texts, tmp_path):
    train(texts / "seg.txt", tmp_path / "run", "--max-size", 1_000_000).ok()
    info = nplm("info", tmp_path / "run", "--json").ok().json
    assert info["vocabulary"] < 60
    assert info["unknown_types"] > 0  # words seen once give <unk> its mass


def test_output_that_cannot_be_written(nplm, texts, ffn, tmp_path):
    (tmp_path / "file").write_text("x")
    under = tmp_path / "file" / "run"
    nplm("train", texts / "seg.txt", "-o", under, "-q").refused(str(under))
    nplm("tokenize", texts / "seg.txt", "-o", under, "-q").refused(str(under))
    nplm("vocab", texts / "seg.txt", "-o", under, "-q").refused(str(under))
    nplm("export", ffn, under, "-q").refused(str(under))
    nplm("export", ffn, tmp_path / "no" / "v.txt", "-q").refused("v.txt")
    assert os.listdir(tmp_path) == ["file"]


def test_what_is_read_is_not_written_over(nplm, texts, ffn, tmp_path, sha256):
    text = tmp_path / "text.txt"
    text.write_bytes((texts / "seg.txt").read_bytes())
    (tmp_path / "link.txt").symlink_to(text)
    vectors = tmp_path / "vectors.txt"
    nplm("export", ffn, vectors, "-q").ok()
    before = {path: sha256(path) for path in (text, vectors)}
    for line in (
        ("tokenize", text, "-o", text),
        ("tokenize", tmp_path, "-o", tmp_path / "link.txt"),
        ("vocab", text, "-o", text),
        ("export", ffn, text, "--sentences", text),
        ("export", vectors, vectors, "--format", "glove"),
    ):
        nplm(*line, "-q").refused("is read here, and would be lost")
    assert {path: sha256(path) for path in before} == before


def test_train_leaves_what_stands_in_its_way(nplm, train, texts, tmp_path):
    run, notes = tmp_path / "run", tmp_path / "notes"
    text = texts / "seg.txt"
    train(text, run).ok()
    notes.mkdir()
    (notes / "diary.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = (run / "model.safetensors").stat().st_mtime_ns
    nplm("train", text, "-o", run, "-q").refused(str(run), "--resume", "--force")
    for force in ((), ("--force",)):
        nplm("train", text, "-o", notes, "-q", *force).refused("no run of nplm")
        nplm("train", text, "-o", tmp_path / "file", "-q", *force).refused("is a file")
    nplm("train", tmp_path / "missing", "-o", run, "--force", "-q").refused("missing")
    assert (run / "model.safetensors").stat().st_mtime_ns == before
    assert (notes / "diary.txt").read_text() == (tmp_path / "file").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["file", "notes", "run"]
    train(text, run, "--force", "--seed", 2).ok()
    assert (run / "model.safetensors").stat().st_mtime_ns != before
    (tmp_path / "empty").mkdir()
    train(text, tmp_path / "empty").ok()


def test_resume_needs_a_run_and_nothing_else(nplm, texts, ffn, tmp_path):
    nplm("train", "--resume", "-o", tmp_path / "none", "-q").refused("no such directory")
    nplm("train", "--resume", "-o", tmp_path, "-q").refused("no config.json")
    text = texts / "seg.txt"
    for extra in (
        (text,),
        ("--force",),
        ("--preset", "homework"),
        ("--valid", text),
        ("--test", text),
    ):
        nplm("train", "--resume", "-o", ffn, "-q", *extra).refused("--resume")
    nplm("train", "--resume", "-o", ffn, "-q", "--dim", 9).refused("--dim", "--epochs")


RUN_COMMANDS = {
    "eval": ("eval", "RUN", "TEXT"),
    "score": ("score", "RUN", "我"),
    "predict": ("predict", "RUN", "我"),
    "explain": ("explain", "RUN", "我"),
    "count": ("count", "RUN", "我"),
    "info": ("info", "RUN"),
    "neighbors": ("neighbors", "RUN", "我"),
    "export": ("export", "RUN", "OUT"),
}


@pytest.mark.parametrize("command", RUN_COMMANDS)
def test_a_run_that_is_none(nplm, texts, tmp_path, command):
    (tmp_path / "file").write_bytes(b"hello there\n")
    (tmp_path / "folder").mkdir()
    for name in ("missing", "file", "folder"):
        words = {"RUN": tmp_path / name, "TEXT": texts / "seg.txt", "OUT": tmp_path / "out"}
        line = [words.get(word, word) for word in RUN_COMMANDS[command]]
        nplm(*line).refused(name)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


USAGE = {
    "option": (("train", "TEXT", "-o", "OUT", "--epoch", "3"), ("--epoch", "--epochs")),
    "option of score": (("score", "RUN", "我", "--per-tokn"), ("--per-tokn", "--per-token")),
    "command": (("neighbours", "RUN", "我"), ("neighbours", "neighbors")),
    "choice": (("train", "TEXT", "-o", "OUT", "--optimizer", "adamm"), ("adamm", "'adam")),
    "choice of arch": (("train", "TEXT", "-o", "OUT", "--arch", "ngramm"), ("ngramm", "'ngram'")),
    "preset": (("train", "TEXT", "-o", "OUT", "--preset", "homewrok"), ("homewrok", "'homework'")),
    "encoding": (("tokenize", "TEXT", "--encoding", "utf-9"), ("utf-9", "utf-8")),
    "number": (("train", "TEXT", "-o", "OUT", "--dim", "ten"), ("--dim", "integer")),
    "bound": (("train", "TEXT", "-o", "OUT", "--dropout", "1.5"), ("--dropout", "less than 1")),
    "not a number": (("train", "TEXT", "-o", "OUT", "--lr", "nan"), ("--lr", "finite")),
    "order 1": (("train", "TEXT", "-o", "OUT", "--order", "1"), ("--order", "at least 2")),
    "order 0": (("train", "TEXT", "-o", "OUT", "--order", "0"), ("--order", "at least 1")),
    "budget": (("train", "TEXT", "-o", "OUT", "--budget", "soon"), ("--budget", "10m")),
    "no input": (("train", "-o", "OUT"), ("no input",)),
    "no output": (("train", "TEXT"), ("-o RUN",)),
    "two lengths": (
        ("train", "TEXT", "-o", "OUT", "--steps", "3", "--epochs", "1"),
        ("--steps", "--epochs"),
    ),
    "vocab and cut": (
        ("train", "TEXT", "-o", "OUT", "--vocab", "x", "--max-size", "3"),
        ("--vocab", "--max-size"),
    ),
    "stdin twice": (("train", "-", "--valid", "-", "-o", "OUT"), ("once",)),
    "progress": (("train", "TEXT", "-o", "OUT", "--progress", "x"), ("--progress", "plain")),
    "device": (("train", "TEXT", "-o", "OUT", "-q", "--device", "tpu"), ("--device", "cpu")),
    "device of eval": (("eval", "RUN", "TEXT", "-q", "--device", "tpu"), ("--device", "cpu")),
    "base": (("score", "RUN", "我", "--base", "3"), ("--base", "10")),
    "layout": (("score", "RUN", "我", "--format", "xml"), ("--format", "kenlm")),
    "context": (("score", "RUN", "我", "--context", "steam"), ("--context", "stream")),
    "given alone": (("score", "RUN", "--given", "我"), ("--given", "--word")),
    "word alone": (("score", "RUN", "--word", "我"), ("--given", "--word")),
    "given and sentence": (("score", "RUN", "我", "--given", "我", "--word", "书"), ("--given",)),
    "no sentence": (("score", "RUN"), ("no sentence",)),
    "stdin and sentence": (("score", "RUN", "-", "我"), ("'-'",)),
    "two layouts": (("score", "RUN", "我", "--json", "--format", "kenlm"), ("--json", "--format")),
    "k 0": (("neighbors", "RUN", "我", "-k", "0"), ("-k", "1")),
    "k 0 of predict": (("predict", "RUN", "我", "-k", "0"), ("-k", "1")),
    "k -1": (("predict", "RUN", "我", "-k", "-1"), ("-k", "1")),
    "no word": (("neighbors", "RUN"), ("no word",)),
    "metric": (("neighbors", "RUN", "我", "--metric", "cosin"), ("cosin", "cosine")),
    "random and word": (("neighbors", "RUN", "我", "--random", "3"), ("--random",)),
    "band": (("neighbors", "RUN", "--random", "3", "--band", "9"), ("--band", "100-5000")),
    "band alone": (("neighbors", "RUN", "我", "--band", "1-9"), ("--random",)),
    "vectors": (("neighbors", "RUN", "我", "--vectors", "inptu"), ("--vectors", "input")),
    "export format": (("export", "RUN", "OUT", "--format", "word2vce"), ("word2vce", "word2vec")),
    "projector to stdout": (("export", "RUN", "-", "--format", "projector"), ("stdout",)),
    "count of a neural model": (("count", "RUN", "我"), ("--arch ngram",)),
    "count of too many": (("count", "NGRAM", "我 买 书"), ("order 3", "2 words")),
    "count of an unknown": (("count", "NGRAM", "乏味"), ("乏味",)),
    "vectors of counts": (("neighbors", "NGRAM", "我"), ("no word vectors", "--arch ffn")),
    "missing argument": (("predict", "RUN"), ("--help",)),
    "unknown word": (("neighbors", "RUN", "乏味"), ("乏味", "never seen")),
    "boundary of others": (("neighbors", "RUN", "<s>"), ("<s>",)),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage(nplm, ffn, ngram, texts, tmp_path, case):
    line, parts = USAGE[case]
    words = {"RUN": ffn, "NGRAM": ngram, "TEXT": texts / "seg.txt", "OUT": tmp_path / "out"}
    nplm(*[words.get(word, word) for word in line]).refused(*parts)
    assert not list(tmp_path.iterdir())


def test_a_gpu_that_is_not_there(nplm, texts, ffn, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    run = tmp_path / "run"
    options = ("--device", "cuda", "-q", "--dim", 4, "--steps", 2)
    nplm("train", texts / "seg.txt", "-o", run, *options).refused("cuda", "--device cpu")
    assert not list(tmp_path.iterdir())
    nplm("eval", ffn, texts / "seg.txt", "--device", "cuda", "-q").refused("--device cpu")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("{", (":1", "not JSON")),
        ("[]", ("object",)),
        ('{"settings": 3}', ("object",)),
        ('{"settings": {"model": {"hiden": 3}}}', ("hiden", "'hidden'")),
        ('{"modle": {}}', ("modle", "'model'")),
        ('{"model": {"dim": "4"}}', ("--dim",)),
        ('{"model": {"dim": 0}}', ("--dim", "at least 1")),
        ('{"training": {"optimizer": 3}}', ("--optimizer", "adamw")),
    ],
)
def test_bad_config_files(nplm, texts, tmp_path, content, parts):
    path = tmp_path / "c.json"
    path.write_text(content)
    out = tmp_path / "run"
    nplm("train", texts / "seg.txt", "-o", out, "--config", path, "-q").refused("c.json", *parts)
    assert not out.exists()


def test_missing_files_in_options(nplm, texts, tmp_path):
    line = ("train", texts / "seg.txt", "-o", tmp_path / "run", "-q", "--dim", 4, "--steps", 2)
    for option in ("--config", "--vocab", "--vectors", "--valid", "--test"):
        nplm(*line, option, tmp_path / "gone").refused("gone")
        assert not list(tmp_path.iterdir()), option


def test_vectors_of_another_size(nplm, texts, ffn, tmp_path):
    nplm("export", ffn, tmp_path / "v", "-q").ok()
    line = ("train", texts / "seg.txt", "-o", tmp_path / "run", "-q", "--steps", 2)
    nplm(*line, "--dim", 5, "--vectors", tmp_path / "v").refused("4 dimensions", "--dim 4")
    assert not (tmp_path / "run").exists()


def test_stdin_that_cannot_be_decoded(nplm, ffn):
    assert (
        "standard input:2"
        in nplm("score", ffn, "-", "-q", "--format", "json", stdin=b"a\n\xff\n").err
    )
    nplm("score", ffn, "-", "-q", stdin=b"\xff\n").refused("standard input:1", "--encoding")
    nplm("neighbors", ffn, "-", stdin=b"\xff\n").refused("standard input")
    nplm("tokenize", "-", "-q", stdin=b"abc \xff\n").refused("standard input:1: byte 4")
    nplm("score", ffn, "-", "--encoding", "utf-9", stdin=b"a\n").refused("--encoding", "utf-8")
