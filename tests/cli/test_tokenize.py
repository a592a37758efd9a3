"""Words of the user's own, folded numbers, places and workers, through the commands."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

from nplm_cli.corpus.chinese import open_segmenter

RAW = "他在北航实验室里学习深度学习框架。我们用iPhone 12看新闻，2024年买了5台。"
WORDS = ["深度学习框架", "北航实验室", "iPhone_12"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Raw text, and a dictionary with a byte order mark and CRLF."""
    folder = tmp_path_factory.mktemp("own")
    lines = [f"{RAW}第{i}天我们学习。\n" for i in range(60)]
    (folder / "text.txt").write_text("".join(lines), "utf-8")
    data = "深度学习框架\r\n\r\n北航实验室 3 nt\r\niPhone 12\t\r\n"
    (folder / "d.txt").write_bytes(data.encode("utf-8-sig"))
    return folder


def test_a_dictionary_is_read_and_told_of(nplm, corpus):
    plain = nplm("tokenize", corpus / "text.txt").ok()
    assert not set(WORDS) & set(plain.out.split())
    result = nplm("tokenize", corpus / "text.txt", "--user-dict", corpus / "d.txt").ok()
    assert all(result.out.split().count(word) == 60 for word in WORDS)
    assert f"user dictionary {corpus / 'd.txt'}: 3 words, 1 with a frequency" in result.err
    (corpus / "e.txt").write_text("看新闻\n", "utf-8")
    both = ("--user-dict", corpus / "d.txt", "--user-dict", corpus / "e.txt")
    out = nplm("tokenize", corpus / "text.txt", "-q", *both).ok().out.split()
    assert all(out.count(word) == 60 for word in [*WORDS, "看新闻"])


def test_a_bad_dictionary_is_refused(nplm, corpus, tmp_path):
    bad = tmp_path / "bad.txt"
    bad.write_text("好\n\n云计算 3.5\n", "utf-8")
    for command in (("tokenize",), ("vocab",), ("train", "-o", tmp_path / "run")):
        line = (*command, corpus / "text.txt", "-q", "--user-dict", bad)
        nplm(*line).refused(f"{bad}:3: frequency '3.5'")
        nplm(*line[:-1], tmp_path / "gone").refused("gone: no such file")
    both = ("--user-dict", corpus / "d.txt", "--tokenizer", "rjieba")
    nplm("tokenize", corpus / "text.txt", *both).refused("--user-dict", "--tokenizer rjieba")
    assert os.listdir(tmp_path) == ["bad.txt"]


def test_a_dictionary_that_does_nothing_is_told_of(nplm, texts, corpus):
    result = nplm("tokenize", texts / "en.txt", "-q", "--user-dict", corpus / "d.txt").ok()
    assert "warning: --user-dict has no effect: the text is cut as English" in result.err
    result = nplm("tokenize", texts / "en.txt", "-q", "--tokenizer", "rjieba").ok()
    assert "warning: --tokenizer has no effect" in result.err


def test_words_that_never_come_up_are_told_of(nplm, texts, corpus, tmp_path):
    (tmp_path / "d.txt").write_text("北航实验室\n量子计算机\n。\n无此词,3\n", "utf-8")
    result = nplm("tokenize", corpus / "text.txt", "--user-dict", tmp_path / "d.txt").ok()
    assert "2 of 4 words of the user dictionary are no token of this text: " in result.err
    assert "'量子计算机', '无此词,3'" in result.err
    # A mark among the words ends its sentences as before.
    plain = nplm("tokenize", corpus / "text.txt", "-q").ok()
    assert len(result.lines) == len(plain.lines)
    tagged = nplm("tokenize", texts / "tagged.gbk.txt", "--user-dict", tmp_path / "d.txt").ok()
    assert "--user-dict has no effect on this text: its words are separated" in tagged.err


def test_another_tokenizer_must_be_there(nplm, corpus):
    with contextlib.suppress(ImportError):
        import rjieba  # noqa: F401

        pytest.skip("rjieba is installed")
    nplm("tokenize", corpus / "text.txt", "--tokenizer", "rjieba", "-q").refused(
        "rjieba", "pip install 'nplm-cli[fast]'"
    )
    nplm("tokenize", corpus / "text.txt", "--tokenizer", "rjeiba").refused("'rjieba'")


def test_another_tokenizer_is_kept_with_the_model(nplm, train, corpus, tmp_path, monkeypatch):
    """A stand-in for rjieba, which may not be installed."""

    def characters(text, hmm):
        return list(text)

    monkeypatch.setitem(sys.modules, "rjieba", types.SimpleNamespace(cut=characters))
    open_segmenter.cache_clear()
    train(corpus / "text.txt", tmp_path / "run", "--tokenizer", "rjieba", "--workers", 1).ok()
    record = json.loads((tmp_path / "run" / "tokenizer.json").read_text("utf-8"))
    assert record["tokenizer"] == "rjieba"
    question = ("score", tmp_path / "run", "我们学习", "--json")
    assert nplm(*question).ok().json["words"] == 4
    monkeypatch.setitem(sys.modules, "rjieba", None)
    open_segmenter.cache_clear()
    nplm(*question).refused("rjieba", "not installed", "nplm-cli[fast]")
    open_segmenter.cache_clear()


@pytest.fixture(scope="module")
def run(train, corpus, tmp_path_factory):
    """A model of text cut with the dictionary, and a copy of the dictionary that is gone by now."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copy(corpus / "d.txt", folder / "d.txt")
    train(
        corpus / "text.txt", folder / "run", "--user-dict", folder / "d.txt", "--fold-numbers"
    ).ok()
    (folder / "d.txt").unlink()
    return folder / "run"


def test_questions_are_cut_as_the_text_was(nplm, run, corpus):
    tokens = [
        line.split("\t")[0] for line in (run / "vocabulary.tsv").read_text("utf-8").split("\n")
    ]
    assert {"深度学习框架", "北航实验室", "iPhone_00", "0000"} <= set(tokens)
    assert "2024" not in tokens
    record = nplm("score", run, RAW, "--sentences", "split", "--per-token", "--json", "-q").ok()
    scored = [t for sentence in record.records for t in sentence["per_token"]]
    known = [t["token"] for t in scored if not t["oov"]]
    assert {"深度学习框架", "北航实验室", "iPhone_00", "0000"} <= set(known)
    context = nplm("predict", run, "我们用iPhone 12看", "--json").ok().json["context"]
    assert context == ["我们", "用", "iPhone_00", "看"]
    ledger = nplm("eval", run, corpus / "text.txt", "--json", "-q").ok().json
    data = json.loads((run / "config.json").read_text("utf-8"))["data"]
    assert ledger["words"] == sum(part["words"] for part in data["parts"].values())
    assert ledger["oov"] == sum(part["oov"] for part in data["parts"].values())
    near = nplm("neighbors", run, "iPhone 12", "１９９９", "0000", "-k", 2, "--json").ok().records
    assert [record["query"] for record in near] == ["iPhone 12", "１９９９", "0000"]
    assert near[1]["neighbors"] == near[2]["neighbors"] != near[0]["neighbors"]
    asked = nplm("score", run, "--given", "我们用", "--word", "2031", "--json").ok().json
    assert asked["oov"] is False
    assert nplm("info", run, "--json").ok().json["user_words"] == 3


def test_the_words_of_a_run_are_checked(nplm, run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    path = copy / "tokenizer.json"
    record = json.loads(path.read_text("utf-8"))
    for words in ([], {"a b": 0}, {"字" * 200: None}, {"词": "x"}, {"": 1}, None):
        path.write_text(json.dumps({**record, "user_words": words}))
        nplm("score", copy, RAW).refused("tokenizer.json", "user_words")
    for key, value in (("fold_numbers", 1), ("tokenizer", "jeiba"), ("tokenizer", None)):
        path.write_text(json.dumps({**record, key: value}))
        nplm("score", copy, RAW).refused("tokenizer.json", key.replace("_", "-"))


def test_a_changed_dictionary_stops_a_resume(nplm, train, corpus, tmp_path, monkeypatch):
    own, run = tmp_path / "d.txt", tmp_path / "run"
    shutil.copy(corpus / "d.txt", own)
    train(corpus / "text.txt", run, "--user-dict", own).ok()
    resume = ("train", "--resume", "-o", run, "--steps", 22, "-q")
    nplm(*resume, "--user-dict", own).refused("--user-dict cannot change on --resume")
    data = own.read_bytes()
    own.write_bytes(data + "新词\r\n".encode())
    nplm(*resume).refused(str(own), "the user dictionary has changed", "restore it")
    own.unlink()
    assert f"{own} is gone" in nplm(*[x for x in resume if x != "-q"]).ok().err
    own.write_bytes(data)
    nplm("train", "--resume", "-o", run, "--steps", 24, "-q").ok()
    again = ("--config", run / "config.json", "-q")
    own.write_bytes(b"\xff\xff\xff")
    nplm("train", corpus / "text.txt", "-o", tmp_path / "new", *again).refused(str(own))
    own.write_bytes(data)
    monkeypatch.chdir(tmp_path.parent)  # the settings hold the whole path
    nplm("train", corpus / "text.txt", "-o", tmp_path / "new", *again).ok()
    ours, theirs = ((r / "tokenizer.json").read_bytes() for r in (run, tmp_path / "new"))
    assert ours == theirs


def test_runs_of_other_words_are_told_apart_by_mix(nplm, train, run, corpus, tmp_path):
    other = tmp_path / "other"
    line = ("--vocab", run / "vocabulary.tsv", "--fold-numbers", "--seed", 5)
    train(corpus / "text.txt", other, *line).ok()
    mixed = nplm("mix", run, other, "--tune", corpus / "text.txt", "-o", tmp_path / "mix").ok()
    assert "user_words (0 words) instead of (3 words)" in mixed.err


# --- places -------------------------------------------------------------------------------------


def test_json_has_the_places_of_tokens(nplm, corpus):
    own = ("--user-dict", corpus / "d.txt", "--fold-numbers", "-q")
    result = nplm("tokenize", corpus / "text.txt", "--json", *own).ok()
    plain = nplm("tokenize", corpus / "text.txt", *own).ok()
    assert [" ".join(record["tokens"]) for record in result.records] == plain.lines
    lines = (corpus / "text.txt").read_text("utf-8").splitlines()
    for record in result.records:
        columns = (record[key] for key in ("tokens", "start_line", "start", "end_line", "end"))
        for token, first, start, last, end in zip(*columns, strict=True):
            assert first == last
            source = lines[first - 1][start:end]
            assert token == "".join("0" if c.isdecimal() else c for c in source.replace(" ", "_"))


def test_json_of_a_blank_line_that_is_kept(nplm):
    options = ("--json", "-q", "--blank-lines", "keep", "--format", "segmented")
    first, second = nplm("tokenize", "-", *options, stdin="\na\n").ok().records
    assert (first["tokens"], first["start"], first["end_line"]) == ([], [], [])
    assert (second["tokens"], second["start_line"], second["end"]) == (["a"], [2], [1])


def test_specials_that_a_user_types_are_words(nplm, tmp_path):
    own = tmp_path / "d.txt"
    own.write_text("<unk>\n</s>\n<s>\n", "utf-8")
    text = "他写<unk>和</s>，再写<s>。\n"
    (tmp_path / "t.txt").write_text(text * 5, "utf-8")
    out = nplm("tokenize", tmp_path / "t.txt", "-q").ok().out
    assert out.splitlines()[0] == "他 写 < unk > 和 < / s > ， 再 写 < s > 。"
    result = nplm("tokenize", tmp_path / "t.txt", "-q", "--user-dict", own).ok()
    assert result.lines[0] == "他 写 &lt;unk&gt; 和 &lt;/s&gt; ， 再 写 &lt;s&gt; 。"
    assert "15 tokens of the text look like special ones" in result.err
    vocab = nplm("vocab", tmp_path / "t.txt", "-q", "--user-dict", own, "--json", "--min-count", 1)
    assert vocab.ok().json["tokens"] == 5 * 10


# --- workers ------------------------------------------------------------------------------------


def test_workers_write_the_same_bytes(nplm, texts, corpus, tmp_path, sha256):
    own = ("--user-dict", corpus / "d.txt", "--lowercase")
    for text, options in (
        (texts / "zh.txt", ()),
        (texts / "en.txt", ("--json",)),
        (corpus / "text.txt", own),
        (texts / "seg.txt", ()),
    ):
        one, many = (nplm("tokenize", text, "--workers", n, *options).ok() for n in (1, 2))
        assert (one.out, one.err) == (many.out, many.err)
    for n in (1, 2):
        nplm("vocab", corpus / "text.txt", "-o", tmp_path / str(n), "--workers", n, "-q").ok()
    assert sha256(tmp_path / "1") == sha256(tmp_path / "2")


def test_workers_train_the_same_model(train, corpus, tmp_path, sha256):
    for n in (1, 2):
        train(corpus / "text.txt", tmp_path / str(n), "--workers", n).ok()
    for name in ("model.safetensors", "vocabulary.tsv", "tokenizer.json", "data/train.ids"):
        assert sha256(tmp_path / "1" / name) == sha256(tmp_path / "2" / name)


def test_wrong_numbers_of_workers(nplm, corpus, run):
    nplm("tokenize", corpus / "text.txt", "--workers", 0).refused("--workers", "1")
    nplm("tokenize", corpus / "text.txt", "--workers", "many").refused("--workers")
    nplm("train", "--resume", "-o", run, "-q", "--workers", 2).refused("--resume")


def _children(process):
    """Processes that this one has started (Linux)."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in path.read_text().split()]


def _alive(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks into /proc")
@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("command", ["tokenize", "train"])
def test_nothing_is_left_running(environment, tmp_path, how, command):
    text = tmp_path / "t.txt"
    text.write_text(("他在北京的实验室里学习新的方法。" * 60 + "\n") * 1500, "utf-8")
    line = {
        "tokenize": ("-o", tmp_path / "out.txt", "-q"),
        "train": ("-o", tmp_path / "run", "-q", "--arch", "ngram"),
    }[command]
    command_line = [sys.executable, "-m", "nplm_cli", command, text, "--workers", 2, *line]
    process = subprocess.Popen(
        list(map(str, command_line)), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(), start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    children = []
    while len(children) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
        children = _children(process)
    time.sleep(1.5)  # they are at work
    assert process.poll() is None
    assert all(map(_alive, children))
    os.killpg(process.pid, how)  # as a terminal does
    _, err = process.communicate(timeout=30)
    assert process.returncode == (130 if how == signal.SIGINT else -9)
    if how == signal.SIGINT:
        assert b"Traceback" not in err
        assert len(err.splitlines()) == 1
        assert sorted(os.listdir(tmp_path)) == ["t.txt"]
    while any(map(_alive, children)):
        assert time.monotonic() < deadline, "orphans"
        time.sleep(0.05)


def test_a_closed_pipe_ends_the_workers_too(environment, tmp_path):
    text = tmp_path / "t.txt"
    text.write_text("他在北京的实验室里学习新的方法。\n" * 30_000, "utf-8")
    line = f"{sys.executable} -m nplm_cli tokenize {text} --workers 2 -q | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == "他 在 北京 的 实验室 里 学习 新 的 方法 。\n"


@pytest.fixture
def segmented(tmp_path):
    """A text of separated words, and a vocabulary of some of them."""
    text = tmp_path / "words.txt"
    text.write_text("the  cat , it sat .\n\nthe dog , it did n't . </s>\n", "utf-8")
    vocabulary = tmp_path / "words.tsv"
    vocabulary.write_text("<unk>\t0\n</s>\t2\nthe\t2\n.\t2\nit\t2\n", "utf-8")
    return text, vocabulary


def test_ids_are_those_of_the_vocabulary(nplm, segmented, tmp_path):
    text, vocabulary = segmented
    ids, array = tmp_path / "text.ids", tmp_path / "text.npy"
    expected = [2, 0, 0, 4, 0, 3, 1, 2, 0, 0, 4, 0, 0, 3, 0, 1]
    result = nplm("tokenize", text, "--ids", vocabulary, "-o", ids)
    assert result.code == 0
    assert "2 sentences, 14 tokens" in result.err
    assert ids.read_bytes() == b"".join(i.to_bytes(2, "little") for i in expected)
    assert nplm("tokenize", text, "--ids", vocabulary, "-o", array).code == 0
    assert np.load(array).tolist() == expected
    assert np.load(array).dtype == np.uint16
    # Not only of text that is taken by blocks.
    assert nplm("tokenize", text, "--ids", vocabulary, "--sentences", "split", "-o", ids).code == 0
    assert np.frombuffer(ids.read_bytes(), "<u2")[:7].tolist() == expected[:7]


def test_lines_of_words_become_tidy(nplm, segmented):
    result = nplm("tokenize", segmented[0], "--blank-lines", "keep")
    assert result.out == "the cat , it sat .\n\nthe dog , it did n't . &lt;/s&gt;\n"


def test_ids_of_what_is_no_vocabulary(nplm, segmented, tmp_path):
    text, vocabulary = segmented
    result = nplm("tokenize", text, "--ids", tmp_path, "-o", tmp_path / "x.ids")
    assert result.code == 2
    assert "expected a vocabulary.tsv" in result.err
    result = nplm("tokenize", text, "--ids", vocabulary, "--json")
    assert result.code == 2
    assert "leave one of them out" in result.err
    result = nplm("tokenize", text, "--ids", vocabulary, "-o", vocabulary)
    assert result.code == 2
    assert vocabulary.read_text("utf-8").startswith("<unk>")
