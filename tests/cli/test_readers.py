"""Whatever bytes a text is in, the commands make the same of it, or say what is wrong."""

import bz2
import gzip
import io
import json
import lzma
import shutil

import pytest

TEXT = (
    "昨天 下午 我 和 朋友 去 城南 的 舊 書店 看 書 。\n"
    "店主 說 這 家 店 已經 開 了 四十 年 ， 許多 學生 在 這裡 讀書 。\n"
    "\n"
    "我們 買 了 兩 本 書 ： 一 本 講 歷史 ， 一 本 是 游記 abc 12 。\r\n"
    "回家 的 路 上 下 起 了 雨 ， 我們 在 車站 等 了 半 個 小時 。"
)
ENCODED = {
    "utf-8": TEXT.encode(),
    "utf-8 with a mark": TEXT.encode("utf-8-sig"),
    "gb18030": TEXT.encode("gb18030"),
    "big5": TEXT.encode("big5"),
    "utf-16-le with a mark": b"\xff\xfe" + TEXT.encode("utf-16-le"),
    "utf-16-be with a mark": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "utf-16-le": TEXT.encode("utf-16-le"),
    "utf-32-be": TEXT.encode("utf-32-be"),
}


def zstd(data):
    return pytest.importorskip("zstandard").compress(data)


COMPRESS = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd,
}


@pytest.mark.parametrize("compression", COMPRESS)
def test_the_same_text_gives_the_same_vocabulary(nplm, tmp_path, compression):
    found = set()
    for encoding, data in ENCODED.items():
        path = tmp_path / "text"
        path.write_bytes(COMPRESS[compression](data))
        out = tmp_path / "vocabulary.tsv"
        nplm("vocab", path, "-o", out, "-q", "--min-count", 1).ok()
        found.add(out.read_bytes())
        assert len(found) == 1, encoding
    (tmp_path / "reference").write_bytes(TEXT.encode())
    nplm("vocab", tmp_path / "reference", "-o", out, "-q", "--min-count", 1).ok()
    assert found == {out.read_bytes()}
    assert out.read_text("utf-8").count("\n") > 40


def test_the_decision_is_said(nplm, tmp_path):
    shown = {"gb18030": "GB18030", "big5": "Big5 (cp950)", "utf-16-le": "UTF-16-LE (without a"}
    for encoding, name in shown.items():
        path = tmp_path / encoding
        path.write_bytes(ENCODED[encoding])
        assert f"{path}: {name}" in nplm("tokenize", path).ok().err
    assert "UTF" not in nplm("tokenize", tmp_path / "utf-16-le", "-q").ok().err


# --- --errors ------------------------------------------------------------------------------------


@pytest.fixture
def damaged(texts, tmp_path):
    """Segmented text with three bad sequences, and the same without them."""
    text = (texts / "seg.txt").read_bytes()
    lines = text.split(b"\n")
    for i in (3, 50, 90):
        lines[i] += b" \xff"
    (tmp_path / "damaged.txt").write_bytes(b"\n".join(lines))
    return tmp_path / "damaged.txt"


NOTE = "damaged.txt: 3 bad byte sequences replaced by U+FFFD (--errors replace)"


def test_replacing_is_said(nplm, damaged, tmp_path):
    nplm("tokenize", damaged, "-q").refused("damaged.txt:4: byte", "--errors replace")
    done = nplm("tokenize", damaged, "--errors", "replace").ok()
    assert f"warning: {damaged.parent}/{NOTE}" in done.err
    assert "3 bad byte sequences replaced" in done.err.splitlines()[-1]
    assert done.out.count("\ufffd") == 3
    # A warning is said to the quiet, too.
    assert NOTE in nplm("vocab", damaged, "--errors", "replace", "-q").ok().err
    clean = tmp_path / "clean.txt"
    clean.write_bytes(damaged.read_bytes().replace(b" \xff", b""))
    assert "replaced" not in nplm("vocab", clean, "--errors", "replace").ok().err


def test_replacing_is_stored_and_resumed(nplm, train, damaged, texts, tmp_path, sha256):
    train(damaged, tmp_path / "none").refused("damaged.txt:4")
    whole, run = tmp_path / "whole", tmp_path / "run"
    replace = ("--errors", "replace", "--valid", damaged)
    for folder in (whole, run):
        train(damaged, folder, *replace).ok()
    record = json.loads((run / "config.json").read_text("utf-8"))
    assert record["settings"]["corpus"]["errors"] == "replace"
    assert [note for note in record["data"]["notes"] if NOTE in note] == [
        f"{damaged.parent}/{NOTE}"
    ] * 2
    for part in ("train", "valid"):
        assert record["data"]["sources"][part]["replaced"] == 3
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert any(NOTE in note for note in report["notes"])
    for folder in (whole, run):
        nplm("train", "--resume", "-o", folder, "--steps", 30, "-q").ok()
    assert sha256(run / "model.safetensors") == sha256(whole / "model.safetensors")
    nplm("train", "--resume", "-o", run, "--errors", "strict").refused("--errors", "--resume")
    # A changed text is refused as before.
    damaged.write_bytes(damaged.read_bytes() + b"a b\n")
    nplm("train", "--resume", "-o", run, "--steps", 40, "-q").refused("has changed")


def test_runs_from_before_the_option_go_on(nplm, train, texts, tmp_path):
    run = tmp_path / "run"
    train(texts / "seg.txt", run).ok()
    record = json.loads((run / "config.json").read_text("utf-8"))
    assert record["settings"]["corpus"].pop("errors") == "strict"
    assert record["settings"]["corpus"].pop("markup") == "auto"
    (run / "config.json").write_text(json.dumps(record), "utf-8")
    nplm("train", "--resume", "-o", run, "--steps", 30, "-q").ok()
    nplm("eval", run, texts / "seg.txt", "-q").ok()


def test_each_text_has_its_own_errors(nplm, train, damaged, tmp_path):
    run = tmp_path / "run"
    train(damaged, run, "--errors", "replace").ok()
    # That the training text was read so says nothing of another text.
    nplm("eval", run, damaged, "-q").refused("damaged.txt:4")
    done = nplm("eval", run, damaged, "--errors", "replace", "--json", "-q").ok()
    assert NOTE in done.err
    assert done.json["words"] > 3
    nplm("eval", run, damaged, "--errors", "replce").refused("--errors", "'replace'")


def test_scoring_and_exporting_damaged_lines(nplm, ffn, damaged, tmp_path):
    replace = ("--errors", "replace", "--json", "-q")
    nplm("score", ffn, "--errors", "no", "我").refused("--errors", "strict or replace")
    by_file = nplm("score", ffn, "--file", damaged, *replace).ok()
    assert NOTE in by_file.err
    note = "standard input: 3 bad byte sequences replaced"
    for encoding in ((), ("--encoding", "utf-8")):
        by_stdin = nplm("score", ffn, "-", *replace, *encoding, stdin=damaged.read_bytes()).ok()
        assert by_stdin.out == by_file.out
        assert note in by_stdin.err
    out = tmp_path / "vectors"
    export = ("export", ffn, out, "--sentences", damaged, "-q")
    nplm(*export).refused("damaged.txt:4")
    assert NOTE in nplm(*export, "--errors", "replace").ok().err
    nplm("export", ffn, out, "--errors", "replace").refused("--sentences")


def test_wide_standard_input_is_scored(nplm, ffn):
    text = "我 喜欢 书 。\n你 买 茶 。\n"
    expected = nplm("score", ffn, "-", "--json", stdin=text).ok().out
    for encoding in ("utf-16-le", "utf-16", "utf-32-be"):
        options = ("--json", "--encoding", encoding)
        assert nplm("score", ffn, "-", *options, stdin=text.encode(encoding)).ok().out == expected


# --- Files that are no text, or odd text ---------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04\x14\0\x06\0", "zip archive"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "office program"),
        (b"{\\rtf1\\ansi hello}", "RTF document"),
        (b"7z\xbc\xaf\x27\x1c", "7z archive"),
        (b"\x04\x22\x4d\x18dd", "lz4"),
        (b"\x1f\x9d\x90", "compress"),
        (b"name".ljust(257, b"\0") + b"ustar\x0000", "tar archive"),
    ],
)
def test_what_is_no_text_is_named(nplm, tmp_path, data, what):
    for compress in (bytes, gzip.compress):
        (tmp_path / "file").write_bytes(compress(data))
        nplm("tokenize", tmp_path / "file", "-q").refused("file: ", what, "plain text")


def test_a_bomb_and_a_file_cut_short(nplm, tmp_path, monkeypatch):
    monkeypatch.setattr("nplm_cli.corpus.compression.FREE_BYTES", 1 << 20)
    for name, compress in (("b.bz2", bz2.compress), ("b.xz", lzma.compress)):
        (tmp_path / name).write_bytes(compress(b"a " * 4_000_000))
        nplm("vocab", tmp_path / name, "-q").refused(name, "bomb", "unpack it with")
        (tmp_path / name).write_bytes(compress(TEXT.encode())[:-9])
        nplm("vocab", tmp_path / name, "-q").refused(name, "cut short", "fetch")


def test_a_line_without_end(nplm, tmp_path, monkeypatch):
    monkeypatch.setattr("nplm_cli.corpus.line_blocks.MAX_LINE_CHARACTERS", 1 << 20)
    (tmp_path / "a").write_bytes(b"word " * 1_000_000)
    nplm("tokenize", tmp_path / "a", "-q").refused("a line of more than", "line ends")


def test_a_page_needs_the_extra_or_is_source(nplm, tmp_path, monkeypatch):
    import sys

    page = tmp_path / "page.html"
    page.write_text("<html><p>We bought two books.</p><p>It rained.</p>")
    source = nplm("tokenize", page, "--markup", "text", "--lang", "en", "-q").ok()
    assert "< html >" in source.out
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "lxml", None)
        nplm("tokenize", page, "-q").refused("page.html", "nplm-cli[html]", "--markup text")
    pytest.importorskip("lxml")
    done = nplm("tokenize", page).ok()
    assert done.lines == ["We bought two books .", "It rained ."]
    assert "visible text" in done.err


def test_a_compressed_copy_scores_the_same(nplm, train, texts, tmp_path):
    """What is packed differently is the same text: the same run comes of it."""
    runs = []
    for name, compress in (("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)):
        path = tmp_path / f"text.{name}"
        path.write_bytes(compress((texts / "seg.txt").read_bytes()))
        train(path, tmp_path / name).ok()
        runs.append((tmp_path / name / "model.safetensors").read_bytes())
    assert len(set(runs)) == 1
    shutil.rmtree(tmp_path / "gz")


def test_members_on_standard_input(nplm):
    data = io.BytesIO()
    for line in TEXT.splitlines(keepends=True):
        data.write(bz2.compress(line.encode()))
    expected = nplm("tokenize", "-", "-q", stdin=TEXT).ok().out
    assert nplm("tokenize", "-", "-q", stdin=data.getvalue()).ok().out == expected
