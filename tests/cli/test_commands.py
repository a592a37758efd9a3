"""Every command does its work on ordinary input, and its JSON has the keys that others rely on."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

LEDGER_KEYS = {
    "schema", "ppl", "ppl_without_eos", "ppl_excluding_oov", "ppl_oov_adjusted", "bits_per_char",
    "nll_nats_total", "words", "sentences", "predictions", "oov", "oov_share", "context", "order",
    "baselines", "ppl_ratio_to_kneser_ney",
}  # fmt: skip
RUN_FILES = {
    "config.json", "vocabulary.tsv", "unknown.tsv", "tokenizer.json", "model.safetensors",
    "baseline.safetensors", "report.json", "data",
}  # fmt: skip


def check_ledger(ledger):
    assert set(ledger) >= LEDGER_KEYS
    assert ledger["predictions"] == ledger["words"] + ledger["sentences"]
    assert ledger["ppl"] == pytest.approx(
        math.exp(ledger["nll_nats_total"] / ledger["predictions"])
    )
    baselines = ledger["baselines"]
    assert set(baselines) >= {"unigram", "kneser_ney", "always_unk_accuracy"}
    for name in ("unigram", "kneser_ney"):
        assert set(baselines[name]) == {
            "ppl", "ppl_without_eos", "ppl_excluding_oov", "ppl_oov_adjusted", "bits_per_char",
            "nll_nats_total", "order",
        }  # fmt: skip
    ratio = ledger["ppl_ratio_to_kneser_ney"]
    assert ratio["ratio"] == pytest.approx(ledger["ppl"] / baselines["kneser_ney"]["ppl"])
    low, high = ratio["interval_95"]
    assert low <= ratio["ratio"] <= high


@pytest.mark.parametrize("command", [(), ("tokenize",), ("train",), ("score",), ("export",)])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(nplm, command, flag):
    result = nplm(*command, flag).ok()
    assert result.out.startswith("Usage: nplm")
    assert result.err == ""


def test_version(nplm):
    from nplm_cli import __version__

    assert nplm("--version").ok().out == f"nplm {__version__}\n"


def test_tokenize_writes_a_sentence_a_line(nplm):
    text = "It isn't, is it? Yes!\n"
    result = nplm("tokenize", "-", "--lang", "en", "-q", stdin=text).ok()
    assert result.out == "It is n't , is it ?\nYes !\n"
    assert result.err == ""


def test_tokenize_json_and_file(nplm, tmp_path):
    out = tmp_path / "out.txt"
    nplm("tokenize", "-", "-q", "-o", out, stdin="今天 我 买 书 。\n").ok()
    assert out.read_text("utf-8") == "今天 我 买 书 。\n"
    record = nplm("tokenize", "-", "-q", "--json", stdin="今天 我 买 书 。\n").ok().json
    assert record["schema"] == 1
    assert record["tokens"] == ["今天", "我", "买", "书", "。"]
    assert nplm("tokenize", "-", "-q", "-o", "-", stdin="a b\n").ok().out == "a b\n"


def test_tokenize_characters(nplm):
    result = nplm("tokenize", "-", "--lang", "char", "--format", "raw", "-q", stdin="我看书。\n")
    assert result.ok().out == "我 看 书 。\n"


def test_vocab_writes_table_file_and_json(nplm, tmp_path):
    text = "b a a b c b d\n"
    file = tmp_path / "vocabulary.tsv"
    options = ("--format", "segmented", "--max-size", 2, "-q")
    result = nplm("vocab", "-", "-o", file, *options, stdin=text).ok()
    assert file.read_text() == "<unk>\t2\n</s>\t1\nb\t3\na\t2\n"
    chosen = [row for row in result.table if row["chosen"] == "*"]
    assert [row["size"] for row in chosen] == ["2"]
    assert (chosen[0]["covered_tokens"], chosen[0]["unk_tokens"]) == ("5", "2")
    record = nplm("vocab", "-", *options, "--json", stdin=text).ok().json
    assert record["schema"] == 1
    assert (record["tokens"], record["types"], record["size"], record["unk_types"]) == (7, 4, 2, 2)
    assert record["top_oov"] == [{"word": "c", "count": 1}, {"word": "d", "count": 1}]


@pytest.mark.parametrize(
    ("name", "format_", "lang"),
    [
        ("seg.txt", "segmented", "zh"),
        ("zh.txt", "raw", "zh"),
        ("en.txt", "raw", "en"),
        ("tagged.gbk.txt", "pku", "zh"),
    ],
)
def test_train_takes_every_form_of_text(nplm, train, texts, tmp_path, name, format_, lang):
    report = (
        train(texts / name, tmp_path / "run", "--valid-share", 0.2, "--test-share", 0.2, "--json")
        .ok()
        .json
    )
    check_ledger(report["valid"])
    check_ledger(report["test"])
    assert {p.name for p in (tmp_path / "run").iterdir()} == RUN_FILES | {
        "metrics.jsonl",
        "checkpoint.safetensors",
    }
    assert report == json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    recipe = json.loads((tmp_path / "run" / "tokenizer.json").read_text("utf-8"))
    assert (recipe["format"], recipe["lang"]) == (format_, lang)
    words = {
        line.split("\t")[0]
        for line in (tmp_path / "run/vocabulary.tsv").read_text("utf-8").splitlines()
    }
    assert not [w for w in words - {"<unk>", "</s>"} if any(c in w for c in "/[]{}")]


def test_train_gz_folder_and_stdin_give_the_same_vocabulary(train, nplm, texts, tmp_path):
    data = (texts / "seg.txt").read_bytes()
    (tmp_path / "corpus" / "sub").mkdir(parents=True)
    (tmp_path / "corpus" / "sub" / "a.txt").write_bytes(data)
    (tmp_path / "corpus" / ".hidden").write_bytes(b"\xff\xfe\0")
    (tmp_path / "a.gz").write_bytes(gzip.compress(data))
    train(texts / "seg.txt", tmp_path / "plain").ok()
    train(tmp_path / "corpus", tmp_path / "folder").ok()
    train(tmp_path / "a.gz", tmp_path / "gz").ok()
    options = ("--dim", 4, "--hidden", 6, "--order", 3, "--threads", 1, "--steps", 20, "-q")
    nplm("train", "-", "-o", tmp_path / "stdin", *options, stdin=data).ok()
    for name in ("vocabulary.tsv", "model.safetensors"):
        plain = (tmp_path / "plain" / name).read_bytes()
        for run in ("folder", "gz", "stdin"):
            assert (tmp_path / run / name).read_bytes() == plain


def test_train_ngram_leaves_a_whole_run(ngram, nplm):
    assert {p.name for p in ngram.iterdir()} == RUN_FILES
    info = nplm("info", ngram, "--json").ok().json
    assert (info["arch"], info["order"], info["smoothing"], info["finished"]) == (
        "ngram",
        3,
        "mle",
        True,
    )


def test_train_with_files_of_its_own_for_validation_and_test(train, texts, tmp_path):
    valid = tmp_path / "valid.txt"
    valid.write_text("今天 我 买 书 。\n昨天 你 看见 猫 。\n", "utf-8")
    run = tmp_path / "run"
    report = train(texts / "seg.txt", run, "--valid", valid, "--test", valid, "--json").ok().json
    assert report["valid"]["sentences"] == report["test"]["sentences"] == 2
    assert report["valid"]["words"] == 10
    parts = json.loads((run / "config.json").read_text("utf-8"))["data"]["parts"]
    assert parts["train"]["sentences"] == 150


def test_eval_json_and_table(nplm, ffn, texts):
    check_ledger(nplm("eval", ffn, texts / "seg.txt", "-q", "--json").ok().json)
    result = nplm("eval", ffn, texts / "seg.txt", "-q").ok()
    assert result.lines[0] == "figure\tvalue\tremark"
    assert {"ppl", "oov_share", "unigram ppl", "kneser_ney ppl"} <= {
        r["figure"] for r in result.table
    }


def test_eval_knows_both_context_policies(nplm, ffn, texts):
    shown = {}
    for policy in ("sentence", "stream"):
        ledger = nplm("eval", ffn, texts / "seg.txt", "-q", "--json", "--context", policy).ok().json
        assert ledger["context"] == policy
        shown[policy] = ledger["ppl"]
    assert shown["sentence"] != shown["stream"]
    assert nplm("eval", ffn, texts / "seg.txt", "-q", "--json").json["ppl"] == shown["sentence"]


def test_predict(nplm, ffn):
    record = nplm("predict", ffn, "今天 我", "-k", 3, "--json").ok().json
    assert record["schema"] == 1
    assert record["context"] == ["今天", "我"]
    assert [set(p) for p in record["predictions"]] == [
        {"word", "probability", "surprisal_bits"}
    ] * 3
    shares = [p["probability"] for p in record["predictions"]]
    assert shares == sorted(shares, reverse=True)
    for p in record["predictions"]:
        assert p["surprisal_bits"] == pytest.approx(-math.log2(p["probability"]), abs=1e-9)
    everything = nplm("predict", ffn, "今天 我", "-k", 10_000, "--json").ok().json["predictions"]
    assert sum(p["probability"] for p in everything) == pytest.approx(1, abs=1e-5)
    assert len(everything) == 32
    assert nplm("predict", ffn, "").ok().lines[0] == "rank\tword\tprobability\tsurprisal_bits"


def test_predict_says_which_words_it_does_not_know(nplm, ffn):
    assert "乏味" in nplm("predict", ffn, "今天 乏味").ok().err


def test_count(nplm, ngram, train, texts, tmp_path):
    run = tmp_path / "all"
    train(texts / "seg.txt", run, "--arch", "ngram", "--split-by", "none").ok()
    lines = [line.split() for line in (texts / "seg.txt").read_text("utf-8").splitlines()]
    follow = [w[i + 1] for w in lines for i in range(len(w) - 1) if w[i] == "我"]
    record = nplm("count", run, "我", "--json").ok().json
    assert (record["schema"], record["history"]) == (1, ["我"])
    assert {c["word"]: c["count"] for c in record["continuations"]} == {
        w: follow.count(w) for w in set(follow)
    }
    assert {c["of"] for c in record["continuations"]} == {len(follow)}
    one = nplm("count", run, "我", "--word", "喜欢").ok()
    assert one.table == [
        {
            "word": "喜欢",
            "count": str(follow.count("喜欢")),
            "of": str(len(follow)),
            "share": f"{follow.count('喜欢') / len(follow):.6g}",
        }
    ]


def test_info(nplm, ffn):
    record = nplm("info", ffn, "--json").ok().json
    assert (record["schema"], record["arch"], record["layers"], record["vocabulary"]) == (
        1,
        "ffn",
        2,
        32,
    )
    assert record["parameters"] == 32 * 4 + (2 * 4 + 1) * 6 + (6 + 1) * 32
    assert nplm("info", ffn).ok().lines[0] == "what\tvalue"


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_neighbors(nplm, ffn):
    from nplm_cli.query.run import Run

    keyed = Run(ffn).keyed_vectors()
    record = nplm("neighbors", ffn, "苹果", "-k", 4, "--json").ok().json
    assert set(record) == {"schema", "query", "oov", "metric", "neighbors"}
    assert (record["schema"], record["query"], record["oov"]) == (1, "苹果", False)
    vector = {w: keyed[w].astype(float) for w in keyed.words}
    best = sorted(
        set(keyed.words) - {"<unk>", "</s>", "苹果"},
        key=lambda w: -cosine(vector["苹果"], vector[w]),
    )[:4]
    assert [n["word"] for n in record["neighbors"]] == best
    for n in record["neighbors"]:
        assert set(n) == {"word", "score", "count"}
        assert n["score"] == pytest.approx(cosine(vector["苹果"], vector[n["word"]]), abs=1e-6)
        assert n["count"] == keyed.counts[keyed.index_of(n["word"])]


@pytest.mark.parametrize(
    ("metric", "column"),
    [("cosine", "cosine"), ("correlation", "correlation"), ("euclidean", "distance")],
)
def test_neighbors_by_each_metric(nplm, ffn, metric, column):
    result = nplm("neighbors", ffn, "书", "茶", "-k", 2, "--metric", metric).ok()
    assert result.lines[0].split("\t") == ["query", "rank", "word", column, "count"]
    assert [(r["query"], r["rank"]) for r in result.table] == [
        ("书", "1"),
        ("书", "2"),
        ("茶", "1"),
        ("茶", "2"),
    ]


def test_neighbors_from_stdin_and_at_random(nplm, ffn):
    named = nplm("neighbors", ffn, "书", "茶")
    assert nplm("neighbors", ffn, "-", stdin="书\n茶\n").ok().out == named.ok().out
    drawn = [nplm("neighbors", ffn, "--random", 5, "--seed", s).ok().out for s in (7, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]
    words = {line.split("\t")[0] for line in drawn[0].splitlines()[1:]}
    assert len(words) == 5
    assert not words & {"。", "1998", "<unk>", "</s>"}


def test_neighbors_of_the_output_layer_differ(nplm, ffn):
    assert (
        nplm("neighbors", ffn, "书").out
        != nplm("neighbors", ffn, "书", "--vectors", "output").ok().out
    )


@pytest.mark.parametrize("format_", ["word2vec", "word2vec-bin", "glove", "npy", "safetensors"])
def test_export_is_read_back(nplm, ffn, tmp_path, format_):
    file = tmp_path / ("v.npy" if format_ == "npy" else "v")
    nplm("export", ffn, file, "--format", format_, "-q").ok()
    near = nplm("neighbors", ffn, "苹果", "--json").json["neighbors"]
    again = nplm("neighbors", file, "苹果", "--json").ok().json["neighbors"]
    assert [(n["word"], n["score"]) for n in near] == [(n["word"], n["score"]) for n in again]


def test_export_for_the_projector_and_to_stdout(nplm, ffn, tmp_path):
    nplm("export", ffn, tmp_path / "p", "--format", "projector", "-q").ok()
    assert len((tmp_path / "p.vectors.tsv").read_text("utf-8").splitlines()) >= 30
    nplm("export", ffn, tmp_path / "v.txt", "-q").ok()
    assert nplm("export", ffn, "-").ok().out == Path(tmp_path / "v.txt").read_text("utf-8")
