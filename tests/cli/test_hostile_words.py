"""Words, file names and typed text of an attacker: shown as text by every command."""

import io
import itertools
import json
import os
import select
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from nplm_cli.cli import output
from nplm_cli.plain import json_plain, plain

WORDS = [
    *("a\x1b[31mred\x1b[0m", "\x1b]8;;http://x\x07link\x1b]8;;\x07", "\x1b]0;title\x07", "\x07"),
    *("c\x9b2J", "d\u202eright", "g\u200bh", "\u2066i\u2069", "\U000e0041tag"),
    *("[red]", "[/]", "e[bold]f[/bold]", "=1+1", "=cmd()|'/C calc'!A0", "@SUM(1)", "+1", "-1"),
    *("<script>alert(1)</script>", "&amp;", "&", '"', "'", "\\", "\\x1b", "{{7*7}}", "|", "`x`"),
    *("%s", "$x$", "../../etc/passwd", "\x7f", "\x08", "nan", "null"),
]
HIDDEN = "".join(chr(c) for c in (0x1B, 0x9B, 0x7, 0x202E, 0x2066, 0x2028, 0x85, 0x200B, 0xFEFF))


def driving(text):
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"}


@pytest.fixture(scope="module")
def words():
    return [word for word in WORDS if word.split() == [word]]


@pytest.fixture(scope="module")
def folder(train, words, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    text = (" ".join(words) + " the cat .\n") * 12 + "seen once\x1b[2J .\n"
    (folder / "text.txt").write_bytes(text.encode())
    lines = [f"{a}\t{b}\t{i}\n" for i, (a, b) in enumerate(itertools.pairwise(words))]
    lines = [line for line in lines if '"' not in line]
    (folder / "pairs.tsv").write_bytes("".join(lines).encode())
    lines = [f"{a}\t{a}\n" for a in words]
    (folder / "dictionary.tsv").write_bytes("".join(lines).encode())
    quads = [" ".join(words[i : i + 4]) + "\n" for i in range(len(words) - 4)]
    (folder / "analogies.txt").write_bytes((": a\x1b[31m\n" + "".join(quads)).encode())
    options = ("--format", "segmented", "--split-by", "none", "--min-count", 2)
    for name, more in (("run", ()), ("other", ("--seed", 2)), ("counts", ("--arch", "ngram"))):
        train(folder / "text.txt", folder / name, *options, *more).ok()
    return folder


def lines(folder, words):
    """Every command that shows words, and whether it can say them as JSON."""
    run, sentence = folder / "run", " ".join(words)
    text = folder / "text.txt"
    return {
        "score": ("score", run, sentence, "--per-token"),
        "score sentences": ("score", run, *words[:9]),
        "score a word": ("score", run, "--given", sentence, "--word", words[0]),
        "predict": ("predict", run, "the", "-k", 60),
        "explain": ("explain", run, sentence, "-k", 60),
        "explain counts": ("explain", folder / "counts", sentence, "-k", 60),
        "count": ("count", folder / "counts", " ".join(words[:2])),
        "info": ("info", run),
        "eval": ("eval", run, text),
        "generate": ("generate", run, "--samples", 5, "--seed", 3),
        "generate tokens": ("generate", run, "--samples", 3, "--seed", 3, "--probabilities"),
        "compare": ("compare", run, folder / "other", "--on", text, "--bootstrap", 100),
        "neighbors": ("neighbors", run, "-k", 60, "--", *words[:3], "the"),
        "similarity": ("similarity", run, folder / "pairs.tsv"),
        "analogy": ("analogy", run, "--", *words[:3]),
        "analogies": ("analogy", run, folder / "analogies.txt"),
        "compare-vectors": ("compare-vectors", run, folder / "other"),
        "align": (
            "align", run, folder / "other", "--dictionary", folder / "dictionary.tsv",
        ),
        "vocab": ("vocab", text, "--format", "segmented", "--min-count", 1),
    }  # fmt: skip


NAMES = list(lines(Path(), ["a", "b", "c"]))


@pytest.mark.parametrize("name", NAMES)
def test_columns_stay_columns(nplm, folder, words, name):
    result = nplm(*lines(folder, words)[name])
    assert result.code == 0, result.err
    for stream in (result.out, result.err):
        assert not driving(stream.replace("\t", " ")), name
    rows = [line.split("\t") for line in result.lines]
    if name not in ("generate", "info", "eval", "analogy", "vocab", "explain", "explain counts"):
        assert {len(row) for row in rows} == {len(rows[0])}
        assert len(rows) > 1


@pytest.mark.parametrize("name", NAMES)
def test_a_terminal_is_not_driven(nplm, folder, words, name, monkeypatch):
    monkeypatch.setattr(output, "to_terminal", lambda stream=None: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "250")
    result = nplm(*lines(folder, words)[name])
    assert result.code == 0, result.err
    assert not driving(result.out), name
    assert not driving(result.err), name


@pytest.mark.parametrize("name", NAMES)
def test_json_is_json_of_the_very_words(nplm, folder, words, name):
    result = nplm(*lines(folder, words)[name][:1], "--json", *lines(folder, words)[name][1:])
    assert result.code == 0, result.err
    assert result.records
    assert not driving(result.out)
    if name == "score":
        assert [t["token"] for t in result.json["per_token"]] == [*words, "</s>"]
    if name == "predict":
        assert set(words) <= {p["word"] for p in result.json["predictions"]}


def test_every_word_of_a_table_can_be_told_from_the_others(nplm, folder, words):
    rows = nplm(*lines(folder, words)["score"]).ok().table
    shown = [row["token"] for row in rows]
    assert shown == [*map(plain, words), "</s>"]
    plain_ones = [word for word in words if not driving(word)]
    assert {"=1+1", "-1", "[red]", "<script>alert(1)</script>", "&amp;"} <= set(plain_ones)
    assert set(plain_ones) <= set(shown)  # figures and formulas too: what a program reads is exact


def test_json_spells_what_would_drive_a_terminal():
    value = {"a": [HIDDEN, "\U000e0041", "书\t\n"], HIDDEN: "\ud800"}
    text = json_plain(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert not driving(text)
    assert "书" in text
    text.encode("utf-8")


def test_file_names_and_options_in_messages(nplm, folder, tmp_path):
    for name in ("x\x1b[31m", "x\x9b2J", "x\u202e", "x\ny", "x\u2028y", "[red]x", "x\udcff"):
        path = tmp_path / name
        for line in (
            ("score", path, "a"),
            ("info", path),
            ("train", path, "-o", tmp_path / "o"),
            ("train", folder / "text.txt", "-o", tmp_path / "o", "--config", path),
            ("neighbors", path, "a"),
            ("neighbors", folder / "run", name),
            ("similarity", folder / "run", path),
            ("analogy", folder / "run", "--", "the", name, "cat"),
            (f"sc{name}",),
            ("score", folder / "run", "a", f"--{name}"),
            ("score", folder / "run", "a", "--format", name),
        ):
            message = nplm(*line).refused()
            assert not driving(message), line
            assert "\n" not in message


def test_damaged_files_are_quoted_as_text(nplm, folder, tmp_path):
    run = tmp_path / "run\x1b[31m"
    run.mkdir()
    for name, data in (
        ("config.json", b'{"format_version": 1, "\\u001b[31m\\u202e": 1, "x\x7f": 2}'),
        ("config.json", b'{"format_version": "\\u001b[31m"}'),
        ("config.json", b'\x1b[31m{"'),
    ):
        (run / name).write_bytes(data)
        for line in (("score", run, "a"), ("info", run)):
            assert not driving(nplm(*line).refused())
    (tmp_path / "v.txt").write_bytes(b"2 2\na\x1b[31m 1 2\nb\x9b 1 x\n")
    assert not driving(nplm("neighbors", tmp_path / "v.txt", "a").refused("v.txt"))


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals here")
@pytest.mark.parametrize(
    "line",
    [
        ("tokenize", "text.txt", "--format", "segmented", "-q"),
        ("export", "run", "-", "--format", "word2vec"),
        ("predict", "run", "the", "-k", "60"),
        ("generate", "run", "--samples", "4"),
    ],
)
def test_a_real_terminal(folder, environment, line):
    ours, theirs = os.openpty()
    env = environment(TERM="xterm-256color", COLUMNS="200", NO_COLOR="1")
    command = [sys.executable, "-m", "nplm_cli", *line]
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env
    )
    os.close(theirs)
    shown = b""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            piece = os.read(ours, 65_536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert process.wait() == 0
    os.close(ours)
    text = shown.decode("utf-8").replace("\r\n", "\n").replace("\t", " ")
    assert "cat" in text
    assert not driving(text), driving(text)
    if line[0] != "generate":
        assert "\\x1b[31mred" in text


class _Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


def test_a_character_cut_in_two_on_its_way_to_a_terminal(monkeypatch):
    stream = _Terminal(io.BytesIO(), "utf-8", newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    with output.data_out(None) as file:
        for byte in "书\x1b[2J\t茶\n".encode() + b"\xff\n":
            file.write(bytes([byte]))
    stream.flush()
    assert stream.buffer.getvalue().decode() == "书\\x1b[2J\t茶\n\\xff\n"


def test_bytes_to_a_pipe_stay_as_they_are(nplm, folder, words):
    out = nplm("tokenize", folder / "text.txt", "--format", "segmented", "-q").ok().out
    assert out.split("\n")[0].split(" ")[: len(words)] == words
    out = nplm("export", folder / "run", "-", "--format", "word2vec").ok().out
    assert {line.split(" ")[0] for line in out.split("\n")} > set(words)
