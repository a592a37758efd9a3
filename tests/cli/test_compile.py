"""``nplm compile`` and what asks its tables: names, numbers, refusals, strangers' files."""

import json
import math
import shutil

import numpy as np
import pytest

from nplm_cli.artifacts import TensorFile, write_tensors
from nplm_cli.query.layers import ACTIVATIONS

LINES = "今天 我 喜欢 茶 。\n\n他 看见 稀罕 猫\n"


@pytest.fixture(scope="module")
def run(texts, train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("normalised") / "run"
    options = ("--max-size", 30, "--self-normalize", "0.5", "--valid", texts / "seg.txt")
    train(texts / "seg.txt", folder, *options).ok()
    return folder


@pytest.fixture(scope="module")
def report(run, nplm):
    return nplm("compile", run, "--json", "-q").ok().json


@pytest.fixture
def own(run, report, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


def unnormalised(run, ids):
    """Scores of one sentence of ids and its end, from the weights by the formula, float64."""
    file = TensorFile(run / "model.safetensors")
    w = {name: file[name].astype(np.float64) for name in file}
    padded, scores, z = [1, 1, *ids, 1], [], []
    for t in range(len(ids) + 1):
        x = np.concatenate([w["embedding.weight"][i] for i in padded[t : t + 2]])
        h = ACTIVATIONS["tanh"](w["encoder.layers.0.weight"] @ x + w["encoder.layers.0.bias"])
        logits = w["output.weight"] @ h + w["output.bias"]
        scores.append(logits[padded[t + 2]])
        z.append(np.log(np.exp(logits).sum()))
    return np.array(scores), np.array(z)


def ids_of(run, text):
    rows = (run / "vocabulary.tsv").read_text("utf-8").splitlines()
    words = [row.split("\t")[0] for row in rows if not row.startswith("#")]
    index = {word: i - words.index("<unk>") for i, word in enumerate(words)}
    return [index.get(word, 0) for word in text.split()]


def test_the_report(run, report, texts, nplm):
    assert report["dtype"] == "fp32"
    assert report["positions"] == 2
    assert report["file"] == str(run / "compiled.safetensors")
    assert report["bytes"]["all"] == (run / "compiled.safetensors").stat().st_size
    assert report["bytes"]["tables"] == 2 * 32 * 6 * 4
    assert report["bytes"]["rows"] == 32 * 6 * 4
    ledger = nplm("eval", run, texts / "seg.txt", "--json", "-q").ok().json
    compared = report["compared"]
    assert compared["ppl"] == pytest.approx(ledger["ppl"], rel=1e-5)
    for name, value in ledger["self_normalisation"].items():
        assert compared["self_normalisation"][name] == pytest.approx(value, abs=1e-5)
    assert compared["difference"]["max_abs"] < 1e-5


def test_log_z_of_eval_is_that_of_the_formula(run, tmp_path, nplm, texts):
    (tmp_path / "t.txt").write_text("今天 我 喜欢 茶 。\n", "utf-8")
    figures = nplm("eval", run, tmp_path / "t.txt", "--json", "-q").ok().json["self_normalisation"]
    _, z = unnormalised(run, ids_of(run, "今天 我 喜欢 茶 。"))
    assert figures["log_z_mean"] == pytest.approx(z.mean(), abs=1e-5)
    assert figures["log_z_sd"] == pytest.approx(z.std(), abs=1e-5)
    assert figures["log_z_abs_max"] == pytest.approx(np.abs(z).max(), abs=1e-5)
    table = nplm("eval", run, tmp_path / "t.txt", "-q").ok().table
    assert [r["figure"] for r in table if "log_z" in r["figure"]] == ["log_z_mean"]


def test_eval_of_another_run_has_no_log_z(ffn, texts, nplm):
    ledger = nplm("eval", ffn, texts / "seg.txt", "--json", "-q").ok().json
    assert ledger["self_normalisation"] is None


@pytest.mark.usefixtures("report")
def test_scores_and_their_names(run, nplm):
    text = "今天 我 喜欢 茶 。"
    (record,) = nplm("score", run, text, "--compiled", "--per-token", "--json", "-q").ok().records
    scores, _ = unnormalised(run, ids_of(run, text))
    found = [token["self_normalised_logscore_e"] for token in record["per_token"]]
    assert found == pytest.approx(scores.tolist(), abs=1e-5)
    assert record["self_normalised_logscore_e"] == pytest.approx(scores.sum(), abs=1e-5)
    bits = -scores.sum() / math.log(2)
    assert record["self_normalised_bits"] == pytest.approx(bits, abs=1e-4)
    names = json.dumps(record)
    assert not any(word in names for word in ("surprisal", "logprob", "ppl", "perplex", "prob"))
    (row,) = nplm("score", run, text, "--compiled", "--base", "e", "-q").ok().table
    assert list(row)[3:] == ["self_normalised_logscore_e", "self_normalised_nats"]
    noted = nplm("score", run, text, "--compiled").ok().err
    assert "self-normalised, no probabilities" in noted


@pytest.mark.usefixtures("report")
@pytest.mark.parametrize("context", ["sentence", "stream"])
@pytest.mark.parametrize("more", [(), ("--no-eos",), ("--compiled",)])
def test_a_summary_adds_the_sentences_up(run, nplm, tmp_path, context, more):
    (tmp_path / "a.txt").write_text(LINES, "utf-8")
    (tmp_path / "b.txt").write_text("我们 找 书\n", "utf-8")
    line = ("score", run, "--file", tmp_path / "a.txt", "--file", tmp_path / "b.txt", "-q")
    line = (*line, "--context", context, *more)
    records = nplm(*line, "--json").ok().records
    total = nplm(*line, "--json", "--format", "summary").ok().json
    score = "self_normalised_logscore_e" if "--compiled" in more else "logprob_e"
    assert total["sentences"] == len(records) == 4
    assert total["words"] == sum(r["words"] for r in records) == 12
    assert total["oov"] == sum(r["oov"] for r in records) == 1
    assert total["predictions"] == 12 + (0 if "--no-eos" in more else 4)
    assert total[score] == pytest.approx(sum(r[score] for r in records), rel=1e-6)
    assert ("ppl" in total) == (score == "logprob_e")
    if "ppl" in total:
        assert total["ppl"] == pytest.approx(math.exp(-total[score] / total["predictions"]))
    (row,) = nplm(*line, "--format", "summary").ok().table
    assert list(row) == list(total)[1:]


def test_an_exact_summary_is_that_of_eval(run, nplm, texts):
    file = texts / "seg.txt"
    total = nplm("score", run, "--file", file, "--format", "summary", "--json", "-q").ok().json
    ledger = nplm("eval", run, file, "--json", "-q").ok().json
    for name in ("ppl", "ppl_excluding_oov"):
        assert total[name] == pytest.approx(ledger[name], rel=1e-5)
    for name in ("sentences", "words", "oov", "predictions"):
        assert total[name] == ledger[name]


def test_a_summary_of_english_words(nplm, train, tmp_path):
    """The way without offsets reads a line as the other does."""
    lines = ["the cat sees tea", "", "The  DOG <b> </s> <unk> 12", "a\u00a0b \uff21 tea"]
    (tmp_path / "t.txt").write_text("\n".join([*lines, "the cat sees the tea"] * 9), "utf-8")
    train(tmp_path / "t.txt", tmp_path / "run", "--format", "segmented", "--lowercase").ok()
    (tmp_path / "u.txt").write_text("\n".join(lines) + "\n", "utf-8")
    line = ("score", tmp_path / "run", "--file", tmp_path / "u.txt", "--json", "-q")
    records = nplm(*line).ok().records
    total = nplm(*line, "--format", "summary").ok().json
    for name in ("words", "oov", "logprob_e"):
        assert total[name] == pytest.approx(sum(r[name] for r in records), rel=1e-6)


@pytest.mark.usefixtures("report")
def test_kenlm_layout_without_perplexity(run, nplm):
    exact = nplm("score", run, "我 买 书", "--format", "kenlm", "-q").ok().lines
    found = nplm("score", run, "我 买 书", "--format", "kenlm", "--compiled", "-q").ok().lines
    assert [x.split(":")[0] for x in exact[1:]][:2] == [
        "Perplexity including OOVs",
        "Perplexity excluding OOVs",
    ]
    assert found[1:] == exact[3:]
    assert found[0].split("\t")[0].split()[:2] == exact[0].split("\t")[0].split()[:2]


@pytest.mark.usefixtures("report")
def test_rescore(run, nplm, tmp_path):
    (tmp_path / "n.tsv").write_text("id\thypothesis\n0\t我 买 书\n0\t我 买 茶\n", "utf-8")
    rows = nplm("rescore", run, tmp_path / "n.tsv", "--compiled", "-q").ok().table
    for row in rows:
        (own,) = nplm("score", run, row["hypothesis"], "--compiled", "--json", "-q").records
        assert float(row["nplm_self_normalised_e"]) == pytest.approx(
            own["self_normalised_logscore_e"], rel=1e-6
        )
    line = ("rescore", run, tmp_path / "n.tsv", "--json", "-q", "-o", tmp_path / "o.tsv")
    assert nplm(*line, "--compiled").ok().json["self_normalised"] is True
    assert nplm(*line).ok().json["self_normalised"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--given", "我", "--word", "书"), "sentences"),
        (("我", "--cache", "unigram"), "--cache"),
        (("我", "--format", "srilm"), "--format srilm"),
    ],
)
@pytest.mark.usefixtures("report")
def test_what_tables_cannot_say(run, nplm, options, words):
    nplm("score", run, "--compiled", "-q", *options).refused(words)


def test_a_summary_has_no_rows(run, nplm):
    nplm("score", run, "我", "--format", "summary", "--per-token").refused("--per-token")


@pytest.mark.parametrize("dtype", ["fp16", "int8"])
def test_smaller_tables_in_another_file(run, nplm, tmp_path, dtype):
    path = tmp_path / "t.safetensors"
    made = nplm("compile", run, "--dtype", dtype, "-o", path, "--json", "-q").ok().json
    scales = 6 * 4  # one a hidden unit
    assert made["bytes"]["tables"] == 2 * 32 * 6 * 2 if dtype == "fp16" else 2 * 32 * 6 + scales
    off = made["compared"]["difference"]
    assert 0 < off["mean_abs"] <= off["max_abs"] < 0.1
    (found,) = nplm("score", run, "我 买 书", "--tables", path, "--json", "-q").ok().records
    scores, _ = unnormalised(run, ids_of(run, "我 买 书"))
    assert found["self_normalised_logscore_e"] == pytest.approx(
        scores.sum(), abs=4 * off["max_abs"]
    )


REFUSED = {
    "lstm": (("--arch", "lstm"), "--arch lstm"),
    "attention": (("--arch", "attention", "--dim", "4"), "--arch attention"),
    "counts": (("--arch", "ngram"), "counts"),
    "far": (("--far", "3", "--averages", "1"), "--far 3"),
    "no layer": (("--layers", "0"), "--layers 0: a hidden layer is what tables save"),
    "adaptive": (("--softmax", "adaptive", "--cutoffs", "3,6"), "--softmax adaptive"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compiled(nplm, train, texts, tmp_path, name):
    options, words = REFUSED[name]
    train(texts / "seg.txt", tmp_path / "run", *options).ok()
    nplm("compile", tmp_path / "run", "-q").refused("cannot be compiled", words)
    nplm("score", tmp_path / "run", "我", "--compiled", "-q").refused("cannot be compiled", words)
    assert not (tmp_path / "run" / "compiled.safetensors").exists()


def test_a_mixture_names_its_components(ffn, ngram, nplm, texts, tmp_path):
    nplm("mix", ffn, ngram, "-o", tmp_path / "m", "--tune", texts / "seg.txt", "-q").ok()
    nplm("compile", tmp_path / "m", "-q").refused("mixture", str(tmp_path / "m"), "component")


def test_an_adaptive_softmax_is_not_normalised(train, texts, tmp_path):
    options = ("--softmax", "adaptive", "--cutoffs", "3,6", "--self-normalize", "1")
    train(texts / "seg.txt", tmp_path / "run", *options).refused("--self-normalize 1", "adaptive")


def test_a_run_not_trained_for_it_is_told(ffn, nplm, tmp_path):
    found = nplm(
        "compile",
        ffn,
        "-o",
        tmp_path / "t",
        "--file",
        "-",
        stdin="我 买 书\n",
    ).ok()
    assert "not trained with --self-normalize" in found.err


def test_no_tables_yet(ffn, nplm):
    nplm("score", ffn, "我", "--compiled", "-q").refused("compiled.safetensors", "nplm compile")
    nplm("compile", ffn, "--dtype", "fp8", "-q").refused("--dtype 'fp8'", "fp16")


def damaged(kind, tensors, metadata):
    match kind:
        case "other weights":
            metadata["model"] = "0" * 64
        case "dtype":
            metadata["dtype"] = "pickle"
        case "shape":
            tensors["first"] = tensors["first"][:, :-1]
        case "type":
            tensors["rows"] = tensors["rows"].astype(np.float64)
        case "missing":
            del tensors["bias"]
        case "more":
            tensors["evil"] = tensors["bias"]
        case "nan":
            tensors["bias"] = np.full_like(tensors["bias"], np.nan)


@pytest.mark.parametrize(
    "kind", ["other weights", "dtype", "shape", "type", "missing", "more", "nan"]
)
def test_tables_of_a_stranger(own, nplm, kind):
    path = own / "compiled.safetensors"
    file = TensorFile(path)
    tensors, metadata = {name: file[name].copy() for name in file}, dict(file.metadata)
    damaged(kind, tensors, metadata)
    write_tensors(path, tensors, metadata)
    nplm("score", own, "我 买 书", "--compiled", "-q").refused("compiled.safetensors")
    nplm("score", own, "我 买 书", "-q").ok()


def test_a_cut_or_linked_file_of_tables(own, nplm, tmp_path):
    path = own / "compiled.safetensors"
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        nplm("score", own, "我", "--compiled", "-q").refused("compiled.safetensors")
    path.unlink()
    (tmp_path / "precious").write_bytes(whole)
    path.symlink_to("../precious")
    for command in (("score", own, "我"), ("score", own, "我", "--compiled"), ("compile", own)):
        nplm(*command, "-q").refused("compiled.safetensors: a link out of its folder")
    assert (tmp_path / "precious").read_bytes() == whole


@pytest.mark.usefixtures("report")
def test_the_same_bytes_again(run, nplm, tmp_path, sha256):
    nplm("compile", run, "-o", tmp_path / "again", "-q").ok()
    assert sha256(tmp_path / "again") == sha256(run / "compiled.safetensors")


def test_a_training_that_goes_on_leaves_no_old_tables(own, nplm):
    nplm("train", "--resume", "-o", own, "-q", "--steps", 25).ok()
    nplm("score", own, "我", "--compiled", "-q").refused("compiled.safetensors", "other weights")
    nplm("compile", own, "-q").ok()
    nplm("score", own, "我", "--compiled", "-q").ok()


PARTS = ("model.safetensors", "vocabulary.tsv", "config.json", "data/train.ids")


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("linked", [False, True])
def test_no_part_of_a_run_is_written_over(nplm, own, texts, tmp_path, name, linked):
    path, before = own / name, (own / name).read_bytes()
    if linked:
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    nplm("compile", own, "-o", path, "-q").refused("is a part of the run", "another file")
    for form in ("arpa", "nplm", "word2vec", "safetensors"):
        nplm("export", own, path, "--format", form, "-q").refused("is a part of the run")
    nplm("tokenize", texts / "seg.txt", "-o", path, "-q").refused("is a part of the run")
    assert (own / name).read_bytes() == before


def test_nothing_is_written_before_the_text_is_read(nplm, own, tmp_path):
    out = tmp_path / "tables"
    nplm("compile", own, "-o", out, "--file", tmp_path / "typo.txt").refused("typo.txt")
    assert not out.exists()
    nplm("compile", own, "-o", "-").refused("cannot go to stdout")


def test_scores_of_a_run_that_was_not_trained_for_it_are_relative(nplm, ffn, tmp_path):
    shutil.copytree(ffn, tmp_path / "run")
    nplm("compile", tmp_path / "run", "-q").ok()
    told = nplm("score", tmp_path / "run", "我 买 书", "--compiled").ok().err
    assert "was not trained with --self-normalize: its scores are relative" in told
