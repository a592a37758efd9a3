"""Words and sentences that are unknown, empty, long, dangerous or look like something else."""

import json
import math
import unicodedata

import pytest


def controls(text: str) -> set[str]:
    return {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf")}


def test_an_unknown_word_alone_is_an_error_with_its_reason(nplm, ffn):
    rare = next(
        line.split("\t")[0]
        for line in (ffn / "unknown.tsv").read_text("utf-8").splitlines()
        if line.split("\t")[1] == "1"
    )
    nplm("neighbors", ffn, rare).refused(rare, "seen once in training, below the cut")
    nplm("neighbors", ffn, "乏味").refused("never seen in training")
    nplm("neighbors", ffn, "老师们").refused("老师")
    line = nplm("neighbors", ffn, "老师学生").refused("老师|学生")
    assert line.count("\n") == 0


def test_an_unknown_word_of_an_english_model_has_near_spellings(nplm, english):
    nplm("neighbors", english, "aple", "--json").refused("apple")
    nplm("neighbors", english, "APPLE").refused("apple")


def test_unknown_words_in_a_batch_are_records(nplm, ffn):
    result = nplm("neighbors", ffn, "书", "乏味", "茶", "--json").ok()
    records = result.records
    assert [(r["query"], r["oov"]) for r in records] == [
        ("书", False),
        ("乏味", True),
        ("茶", False),
    ]
    assert records[1]["neighbors"] == []
    assert records[1]["reason"] == "never seen in training"
    assert result.err == ""
    shown = nplm("neighbors", ffn, "书", "乏味").ok()
    assert {row["query"] for row in shown.table} == {"书"}
    assert "warning" in shown.err
    assert "乏味" in shown.err
    from_stdin = nplm("neighbors", ffn, "-", "--json", stdin="乏味\n").ok()
    assert from_stdin.json["oov"] is True
    assert nplm("neighbors", ffn, "-", stdin="").code == 2


def test_a_word_twice_is_answered_twice(nplm, ffn):
    records = nplm("neighbors", ffn, "书", "书", "-k", 1, "--json").ok().records
    assert len(records) == 2
    assert records[0] == records[1]


def test_more_neighbours_than_words(nplm, ffn):
    assert len(nplm("neighbors", ffn, "书", "-k", 100_000, "--json").ok().json["neighbors"]) == 29


def test_words_of_a_score_that_are_unknown(nplm, ffn):
    record = nplm("score", ffn, "乏味 的 稀", "--per-token", "--json").ok().json
    assert (record["words"], record["oov"]) == (3, 3)
    assert [t["id"] for t in record["per_token"]] == [0, 0, 0, 1]
    for layout in ("kenlm", "srilm", "tsv", "table"):
        assert nplm("score", ffn, "乏味 的 稀", "--format", layout, "-q").ok().err == ""
    assert "Perplexity excluding OOVs" in nplm("score", ffn, "乏味", "--format", "kenlm").out
    assert "ppl1= undefined" in nplm("score", ffn, "乏味", "--format", "srilm").out
    word = nplm("score", ffn, "--given", "我", "--word", "乏味", "--json").ok().json
    assert word["oov"] is True


@pytest.mark.parametrize("text", ["", "   ", "\u3000"])
def test_an_empty_sentence_is_its_end(nplm, ffn, text):
    record = nplm("score", ffn, text, "--per-token", "--json").ok().json
    assert (record["words"], record["oov"]) == (0, 0)
    assert [t["token"] for t in record["per_token"]] == ["</s>"]
    end = nplm("score", ffn, "--given", "", "--word", "</s>", "--json").ok().json
    assert record["logprob_e"] == pytest.approx(end["logprob_e"], abs=1e-6)
    without = nplm("score", ffn, text, "--no-eos", "--json").ok().json
    assert without["logprob_e"] == 0
    assert without["surprisal_bits"] == 0
    assert "-0" not in nplm("score", ffn, text, "--no-eos", "-q").out
    for options in (("kenlm",), ("srilm",), ("kenlm", "--no-eos")):
        assert nplm("score", ffn, text, "-q", "--format", *options).ok().err == ""
    nplm("score", ffn, text, "--format", "srilm", "--no-eos").refused("--no-eos")
    assert len(nplm("predict", ffn, text, "--json").ok().json["predictions"]) == 10


def test_empty_stdin_has_no_sentences(nplm, ffn):
    assert nplm("score", ffn, "-", "--json", stdin="").ok().out == ""
    assert nplm("score", ffn, "-", "-q", stdin="").ok().lines == [
        "text\twords\toov\tlogprob_e\tsurprisal_bits"
    ]
    assert len(nplm("score", ffn, "-", "--json", stdin="\n\n").ok().lines) == 2


def test_a_very_long_sentence(nplm, ffn, ngram):
    words = ["今天", "我", "买", "书"] * 5000
    for run in (ffn, ngram):
        record = nplm("score", run, " ".join(words), "--per-token", "--json").ok().json
        assert record["words"] == 20_000
        assert len(record["per_token"]) == 20_001
    tokens = nplm("score", ffn, " ".join(words), "--per-token", "--json").json["per_token"]
    # The window sees two words: far from the start the same words have the same probability.
    assert tokens[10]["logprob_e"] == pytest.approx(tokens[19_998]["logprob_e"], abs=1e-5)
    assert nplm("predict", ffn, " ".join(words)).code == 0


def test_special_tokens_that_a_user_types_are_words(nplm, ffn):
    record = nplm("score", ffn, "我 </s> <s> <unk> 书", "--per-token", "--json").ok().json
    assert record["words"] == 5
    assert [t["id"] for t in record["per_token"]].count(1) == 1  # the real end alone
    assert [t["oov"] for t in record["per_token"]][1:4] == [True, True, True]
    total = math.fsum(t["logprob_e"] for t in record["per_token"])
    assert record["logprob_e"] == pytest.approx(total, abs=1e-9)
    given = nplm("score", ffn, "--given", "我 </s>", "--word", "书", "--json").ok().json
    unknown = nplm("score", ffn, "--given", "我 乏味", "--word", "书", "--json").ok().json
    assert given["logprob_e"] == pytest.approx(unknown["logprob_e"], abs=1e-9)
    assert nplm("predict", ffn, "我 </s>").ok()
    nplm("neighbors", ffn, "<s>").refused("<s>")
    for special in ("<unk>", "</s>"):
        result = nplm("neighbors", ffn, special, "--json")
        assert result.code in (0, 2)
        assert "Traceback" not in result.err


def test_specials_never_are_neighbours(nplm, ffn):
    for metric in ("cosine", "euclidean", "correlation"):
        near = nplm("neighbors", ffn, "书", "-k", 99, "--metric", metric, "--json").json[
            "neighbors"
        ]
        assert not {n["word"] for n in near} & {"<unk>", "</s>", "书"}


def test_a_word_that_begins_with_a_dash(nplm, train, tmp_path):
    (tmp_path / "t.txt").write_text(
        "the -er form , -k ! and -- too .\n" * 40 + "rare words here .\n"
    )
    run = tmp_path / "run"
    train(
        tmp_path / "t.txt", run, "--format", "segmented", "--split-by", "none", "--min-count", 1
    ).ok()
    for word in ("-er", "-k", "--"):
        assert nplm("neighbors", run, "--json", "--", word).ok().json["query"] == word
    assert nplm("score", run, "--json", "--", "-er form").ok().json["oov"] == 0
    assert nplm("score", run, "--json", "--given", "the", "--word", "-er").ok().json["oov"] is False
    assert nplm("predict", run, "--json", "--", "-er").ok().json["context"] == ["-er"]
    nplm("neighbors", run, "-er").refused("--help")


EVIL = [
    "a\x1b[31mred\x1b[0m",
    "b\x07bell",
    "c\x9b2J",
    "d\u202eright",
    "e[bold]f[/bold]",
    "g\u200bh",
]


@pytest.fixture(scope="module")
def evil(train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evil")
    text = (" ".join(EVIL) + " the cat .\n") * 40 + "seen once\x1b[2J .\n"
    (folder / "t.txt").write_bytes(text.encode())
    options = ("--format", "segmented", "--split-by", "none", "--min-count", 2)
    train(folder / "t.txt", folder / "run", *options).ok()
    return folder / "run"


@pytest.mark.parametrize("style", ["tsv", "table"])
def test_control_characters_never_reach_the_terminal(nplm, evil, style):
    sentence = " ".join(EVIL)
    lines = [
        ("score", evil, sentence, "--per-token", "--format", style),
        ("score", evil, sentence, "--format", style),
        ("score", evil, "--given", sentence, "--word", EVIL[0], "--format", style),
    ]
    if style == "tsv":
        lines += [
            ("score", evil, sentence, "--format", "kenlm"),
            ("score", evil, sentence, "--format", "srilm"),
            ("predict", evil, "the"),
            ("neighbors", evil, *EVIL),
            ("neighbors", evil, "x\x1b[31m", "the"),
            ("info", evil),
            ("predict", evil, "x\x1b[31m"),
        ]
    for line in lines:
        result = nplm(*line).ok()
        assert not controls(result.out), line
        assert not controls(result.err), line
    assert not controls(nplm("neighbors", evil, "x\x1b[31m\ny").err)
    assert nplm("neighbors", evil, "x\ny").err.count("\n") == 1
    assert "\\x1b" in nplm("score", evil, sentence, "--per-token", "--format", "tsv").out


def test_markup_is_shown_as_it_is(nplm, evil, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    out = nplm("score", evil, EVIL[4], "--per-token", "--format", "table", "-q").ok().out
    assert EVIL[4] in out


def test_json_keeps_words_as_they_are(nplm, evil):
    record = json.loads(nplm("neighbors", evil, EVIL[0], "--json").ok().out)
    assert record["query"] == EVIL[0]
    assert "\x1b" not in nplm("neighbors", evil, EVIL[0], "--json").out


def test_control_characters_in_vocab_and_errors(nplm, tmp_path):
    path = tmp_path / "a\x1b[31m.txt"
    path.write_text("b\x1b[2J b\x1b[2J c\x07 c d .\n" * 3)
    result = nplm("vocab", path, "--format", "segmented", "--max-size", 2).ok()
    assert not controls(result.out)
    assert not controls(result.err)
    assert not controls(nplm("vocab", tmp_path / "x\x1b[31m").err)
    assert not controls(nplm("voc\x1b[31mab", path).err)
    assert not controls(nplm("vocab", path, "--fo\x1b[31m").err)
