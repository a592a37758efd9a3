"""tokenize, vocab, train and eval count the same text alike: no token lost or counted twice."""

import json
import re

import pytest

FORMS = ("seg.txt", "zh.txt", "en.txt", "tagged.gbk.txt")
COUNTED = re.compile(
    r"([\d,]+) files?, ([\d,]+) lines \(([\d,]+) blank\), ([\d,]+) sentences, ([\d,]+) tokens, ([\d,]+) characters"
)


def variants(data: bytes) -> dict[str, bytes]:
    unix = data.replace(b"\r\n", b"\n").removesuffix(b"\n")
    return {
        "newline": unix + b"\n",
        "no newline": unix,
        "crlf": unix.replace(b"\n", b"\r\n") + b"\r\n",
        "crlf, no newline": unix.replace(b"\n", b"\r\n"),
        "cr": unix.replace(b"\n", b"\r"),
    }


@pytest.mark.parametrize("name", FORMS)
def test_all_commands_agree(nplm, train, texts, tmp_path, name):
    text = texts / name
    written = nplm("tokenize", text).ok()
    files, _, _, sentences, tokens, characters = (
        int(n.replace(",", "")) for n in COUNTED.search(written.err).groups()
    )
    assert files == 1
    assert len(written.lines) == sentences
    assert sum(len(line.split()) for line in written.lines) == tokens
    assert len("".join(written.out.split())) == characters

    vocab = nplm("vocab", text, "--json", "-q", "--max-size", 20).ok().json
    assert (vocab["sentences"], vocab["tokens"]) == (sentences, tokens)
    assert vocab["types"] == len(set(written.out.split()))
    assert sum(
        row["covered_tokens"] + row["unk_tokens"] == tokens for row in vocab["coverage"]
    ) == len(vocab["coverage"])

    run = tmp_path / "run"
    train(text, run, "--max-size", 20).ok()
    data = json.loads((run / "config.json").read_text("utf-8"))["data"]
    source = data["sources"]["train"]
    assert (source["sentences"], source["tokens"], source["characters"]) == (
        sentences,
        tokens,
        characters,
    )
    parts = data["parts"]
    assert set(parts) == {"train", "valid", "test"}
    assert sum(p["sentences"] for p in parts.values()) == sentences
    assert sum(p["words"] for p in parts.values()) == tokens
    assert sum(p["characters"] for p in parts.values()) == characters
    report = json.loads((run / "report.json").read_text("utf-8"))
    for part in ("valid", "test"):
        for key in ("sentences", "words", "predictions", "oov", "characters"):
            assert report[part][key] == parts[part][key]
    counts = [line.split("\t") for line in (run / "vocabulary.tsv").read_text("utf-8").splitlines()]
    assert sum(int(n) for w, n in counts if w != "</s>") == parts["train"]["words"]
    assert int(counts[1][1]) == parts["train"]["sentences"]
    assert int(counts[0][1]) == parts["train"]["oov"]

    ledger = nplm("eval", run, text, "--json", "-q").ok().json
    assert (ledger["sentences"], ledger["words"]) == (sentences, tokens)
    assert ledger["predictions"] == sentences + tokens
    assert ledger["characters"] == characters
    assert ledger["oov"] == sum(p["oov"] for p in parts.values())


@pytest.mark.parametrize("name", FORMS)
def test_line_ends_change_nothing(nplm, ffn, texts, tmp_path, name):
    outputs, ledgers = {}, {}
    for kind, data in variants((texts / name).read_bytes()).items():
        (tmp_path / "text").write_bytes(data)
        outputs[kind] = nplm("tokenize", tmp_path / "text", "-q").ok().out
        ledgers[kind] = nplm("eval", ffn, tmp_path / "text", "--json", "-q").ok().out
    assert len(set(outputs.values())) == 1
    assert len(set(ledgers.values())) == 1


def test_line_ends_do_not_change_the_weights(train, texts, tmp_path, sha256):
    found = set()
    for i, data in enumerate(variants((texts / "seg.txt").read_bytes()).values()):
        (tmp_path / f"{i}.txt").write_bytes(data)
        train(tmp_path / f"{i}.txt", tmp_path / str(i)).ok()
        found.add(sha256(tmp_path / str(i) / "model.safetensors"))
    assert len(found) == 1


def test_no_character_but_white_space_is_lost(nplm, texts):
    for name in ("seg.txt", "zh.txt", "en.txt"):
        text = "".join((texts / name).read_text("utf-8").split())
        out = nplm("tokenize", texts / name, "-q", "--no-fold-width").ok().out
        assert "".join(out.split()) == text


def test_blank_lines(nplm, train, tmp_path):
    text = "a b .\n\n\nb c .\n" * 30
    (tmp_path / "t.txt").write_text(text)
    for choice, sentences in (("skip", 60), ("keep", 120)):
        options = ("--format", "segmented", "--blank-lines", choice)
        out = nplm("tokenize", tmp_path / "t.txt", *options).ok()
        assert len(out.lines) == sentences
        assert "120 lines (60 blank)" in out.err
        run = tmp_path / choice
        train(tmp_path / "t.txt", run, *options).ok()
        parts = json.loads((run / "config.json").read_text("utf-8"))["data"]["parts"]
        assert sum(p["sentences"] for p in parts.values()) == sentences
        ledger = nplm("eval", run, tmp_path / "t.txt", "--json", "-q").ok().json
        assert (ledger["sentences"], ledger["words"]) == (sentences, 180)


def test_several_files_count_as_one_text(nplm, ffn, texts, tmp_path):
    lines = (texts / "seg.txt").read_text("utf-8").splitlines()
    (tmp_path / "a.txt").write_text("\n".join(lines[:70]), "utf-8")
    (tmp_path / "b.txt").write_text("\n".join(lines[70:]), "utf-8")
    both = nplm("eval", ffn, tmp_path / "a.txt", tmp_path / "b.txt", "--json", "-q").ok().json
    whole = nplm("eval", ffn, texts / "seg.txt", "--json", "-q").ok().json
    assert {k: both[k] for k in ("words", "sentences", "oov", "characters")} == {
        k: whole[k] for k in ("words", "sentences", "oov", "characters")
    }
    assert both["nll_nats_total"] == pytest.approx(whole["nll_nats_total"], rel=1e-9)


def test_a_literal_unk_is_the_unknown_word_everywhere(nplm, train, tmp_path):
    (tmp_path / "t.txt").write_text("the <unk> sees <unk> .\nthe cat sees the <unk> .\n" * 30)
    vocab = nplm("vocab", tmp_path / "t.txt", "--json", "-q").ok().json
    assert (vocab["tokens"], vocab["unk_types"]) == (330, None)
    train(tmp_path / "t.txt", tmp_path / "run", "--split-by", "order").ok()
    parts = json.loads((tmp_path / "run/config.json").read_text("utf-8"))["data"]["parts"]
    assert sum(p["oov"] for p in parts.values()) == 90
    ledger = nplm("eval", tmp_path / "run", tmp_path / "t.txt", "--json", "-q").ok().json
    assert (ledger["oov"], ledger["words"]) == (90, 330)
    assert ledger["ppl_oov_adjusted"] is None
    assert ledger["oov_adjusted_reason"]
    report = (
        train(tmp_path / "t.txt", tmp_path / "with-valid", "--valid", tmp_path / "t.txt", "--json")
        .ok()
        .json
    )
    assert report["valid"]["characters"] == ledger["characters"]


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (("--sentences", "line"), "A cat. A dog.\nThe old king. She!\n"),
        (("--blank-lines", "keep"), "A cat sees it.\n\nA dog sees it.\n"),
        (("--format", "segmented"), "The cat doesn't. A dog isn't.\n"),
        (("--encoding", "cp1252"), "The caf\u00e9.\n"),
    ],
)
def test_eval_options_are_not_ignored(nplm, english, tmp_path, option, text):
    (tmp_path / "t.txt").write_bytes(text.encode("cp1252" if "é" in text else "utf-8"))
    ledger = nplm("eval", english, tmp_path / "t.txt", "--json", "-q", *option).ok().json
    counts = {
        "line": (2, 12),
        "keep": (3, 10),
        "segmented": (1, 6),
        "cp1252": (1, 3),
    }
    assert (ledger["sentences"], ledger["words"]) == counts[option[1]]
