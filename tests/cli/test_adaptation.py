"""``--cache`` and ``--dynamic``: off unless asked for, named in every output, leaving no trace."""

import hashlib
import json
import math
import shutil

import pytest

from nplm_cli.corpus import shards

CACHE = ("--cache", "neural", "--cache-size", 9, "--cache-theta", 0.5, "--cache-weight", 0.2)
BOTH = ("--cache", "unigram", *CACHE[:2], "--cache-weight", 0.05, "--cache-weight", 0.2)


def ledger(nplm, *line):
    return nplm("eval", *line, "--json", "-q").ok().json


@pytest.fixture(scope="module")
def text(texts):
    return texts / "seg.txt"


def test_off_by_default(nplm, ffn, text):
    plain = ledger(nplm, ffn, text)
    assert plain["mixture"] is plain["caches"] is plain["dynamic"] is None
    assert plain["order"] == 3
    out = nplm("eval", ffn, text).ok().out
    assert "cache" not in out
    assert "dynamic" not in out
    assert "component" not in out


def test_a_cache_is_named_and_acts(nplm, ffn, text):
    plain, cached = ledger(nplm, ffn, text), ledger(nplm, ffn, text, *CACHE)
    assert cached["caches"] == [
        {"kind": "neural", "size": 9, "theta": 0.5, "weight": 0.2, "reach": "text"}
    ]
    assert cached["ppl"] != pytest.approx(plain["ppl"], rel=1e-3)
    assert cached["order"] == 3 + 9
    [row] = [r for r in nplm("eval", ffn, text, *CACHE).ok().table if "cache" in r["figure"]]
    assert row["figure"] == "cache neural"
    assert row["value"] == "0.2"
    assert "9 words, theta 0.5; runs over each whole file" in row["remark"]


def test_the_figure_is_that_of_the_numpy_mixture(nplm, ffn, ngram, text):
    from nplm_cli.config import CacheConfig
    from nplm_cli.measure import read_text
    from nplm_cli.query.mixture import open_mixture
    from nplm_cli.query.run import Run

    caches = [
        CacheConfig("unigram", weight=0.05),
        CacheConfig("neural", weight=0.2),
    ]
    for policy in ("sentence", "stream"):
        part = read_text(Run(ffn), [str(text)])
        expected = open_mixture(Run(ffn), caches).nll(part, policy).sum()
        found = ledger(nplm, ffn, text, *BOTH, "--context", policy)
        assert found["nll_nats_total"] == pytest.approx(expected, rel=1e-6)
    # Counts have no states, but a unigram cache needs none.
    counts = ledger(nplm, ngram, text, "--cache", "unigram", "--cache-decay", 0.9)
    assert counts["caches"] == [
        {"kind": "unigram", "size": 1000, "decay": 0.9, "weight": 0.1, "reach": "text"}
    ]
    assert counts["zero_probability"] < ledger(nplm, ngram, text)["zero_probability"]


def test_one_value_for_all_caches_or_one_each(nplm, ffn, text):
    line = ("--cache", "unigram", "--cache", "neural", "--cache", "unigram")
    one = ledger(nplm, ffn, text, *line, "--cache-size", 7, "--cache-decay", 0.9)["caches"]
    assert [cache["size"] for cache in one] == [7, 7, 7]
    assert [cache.get("decay") for cache in one] == [0.9, None, 0.9]
    each = ("--cache-size", 1, "--cache-size", 2, "--cache-size", 3)
    each += ("--cache-decay", 0.5, "--cache-decay", 0.6)
    three = ledger(nplm, ffn, text, *line, *each)["caches"]
    assert [cache["size"] for cache in three] == [1, 2, 3]
    assert [cache.get("decay") for cache in three] == [0.5, None, 0.6]


@pytest.mark.parametrize("arch", ["ffn", "lstm", "transformer"])
def test_dynamic_evaluation_changes_nothing_on_disk(nplm, train, text, tmp_path, arch, sha256):
    run = tmp_path / "run"
    train(text, run, "--arch", arch, "--layers", 1, "--max-size", 30).ok()
    before = {path: sha256(path) for path in run.rglob("*") if path.is_file()}
    plain = ledger(nplm, run, text)
    frozen = ledger(nplm, run, text, "--dynamic", "--dynamic-lr", 0)
    assert frozen["nll_nats_total"] == pytest.approx(plain["nll_nats_total"], rel=1e-6)
    line = ("--dynamic", "--dynamic-lr", 0.01, "--dynamic-segment", 10)
    moved = ledger(nplm, run, text, *line)
    settings = {"lr": 0.01, "decay": 0.003, "segment": 10}
    assert moved["dynamic"] == {**settings, "statistics": "training text"}
    assert frozen["dynamic"]["statistics"] == "none"
    assert moved["ppl"] < plain["ppl"] * 0.95  # a model of 20 steps has much to learn
    table = nplm("eval", run, text, *line).ok().table
    [row] = [row for row in table if row["figure"] == "dynamic evaluation"]
    assert row["value"] == "0.01"
    assert "decay 0.003, 10 words a step" in row["remark"]
    assert row["remark"].endswith("scale of the gradients: training text")
    assert before == {path: sha256(path) for path in run.rglob("*") if path.is_file()}


def test_dynamic_evaluation_with_a_cache(nplm, ffn, text):
    """Each makes its own difference, and the cache compares the states that were read."""
    found = [
        ledger(nplm, ffn, text, *line)["ppl"]
        for line in ((), CACHE, ("--dynamic",), (*CACHE, "--dynamic"))
    ]
    assert len({round(ppl, 4) for ppl in found}) == 4
    frozen = ledger(nplm, ffn, text, *CACHE, "--dynamic", "--dynamic-lr", 0)["ppl"]
    assert frozen == pytest.approx(found[1], rel=1e-6)


def test_dynamic_evaluation_without_the_training_text(nplm, train, text, tmp_path):
    run = tmp_path / "run"
    train(text, run, "--max-size", 30).ok()
    shutil.rmtree(run / "data")
    result = nplm("eval", run, text, "--dynamic", "--dynamic-lr", 0.01, "--json").ok()
    assert f"{run} has no training text: the scale of the gradients" in result.err
    assert result.json["ppl"] < ledger(nplm, run, text)["ppl"]
    assert result.json["dynamic"]["statistics"] == "text at hand"


def test_the_training_text_is_read_through_once(nplm, ffn, text, monkeypatch):
    """Its checksum takes as long as all of its ids; naming the text needs none of them."""
    real, read = shards.sha256_of_file, []
    monkeypatch.setattr(shards, "sha256_of_file", lambda path: read.append(path.name) or real(path))
    line = ("--dynamic", "--dynamic-lr", 0.01)
    assert ledger(nplm, ffn, text, *line)["dynamic"]["statistics"] == "training text"
    assert read.count("train.ids") == 1
    read.clear()
    ledger(nplm, ffn, text, *line[:2], 0)
    assert not read


def test_a_training_part_without_a_token_is_no_training_text(nplm, ffn, text, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(ffn, run)
    index = json.loads((run / "data" / "index.json").read_text("utf-8"))
    index["parts"]["train"] |= {"predictions": 0, "sentences": 0}
    empty = {"ids": b"", "sentences": bytes(8), "files": b""}
    for suffix, data in empty.items():
        (run / "data" / f"train.{suffix}").write_bytes(data)
        index["sha256"][f"train.{suffix}"] = hashlib.sha256(data).hexdigest()
    (run / "data" / "index.json").write_text(json.dumps(index), "utf-8")
    found = ledger(nplm, run, text, "--dynamic", "--dynamic-lr", 0.01)
    assert found["dynamic"]["statistics"] == "text at hand"


def test_a_component_has_no_training_text(nplm, ffn, ngram, text, tmp_path):
    """So its figures differ from those of its run, and the ledger says why."""
    folder = tmp_path / "m"
    nplm("mix", ffn, ngram, "--tune", text, "-o", folder, "-q").ok()
    line = ("--dynamic", "--dynamic-lr", 0.01)
    found = [ledger(nplm, run, text, *line) for run in (ffn, folder / "components" / "1", folder)]
    sources = [result["dynamic"]["statistics"] for result in found]
    assert sources == ["training text", "text at hand", "text at hand"]
    assert found[0]["ppl"] != pytest.approx(found[1]["ppl"], rel=1e-3)
    nothing = ledger(nplm, ffn, text)["ppl"], ledger(nplm, folder / "components" / "1", text)["ppl"]
    assert nothing[0] == nothing[1]
    shutil.copytree(ffn / "data", folder / "components" / "1" / "data")
    again = ledger(nplm, folder / "components" / "1", text, *line)
    assert again["dynamic"] == found[0]["dynamic"]
    assert again["ppl"] == pytest.approx(found[0]["ppl"], rel=1e-9)


def test_the_text_of_another_run_is_refused(nplm, train, text, tmp_path):
    """A larger vocabulary's ids, found before torch looks them up."""
    train(text, tmp_path / "a", "--max-size", 10).ok()
    train(text, tmp_path / "b", "--max-size", 30).ok()
    shutil.rmtree(tmp_path / "a" / "data")
    shutil.copytree(tmp_path / "b" / "data", tmp_path / "a" / "data")
    nplm("eval", tmp_path / "a", text, "--dynamic", "-q").refused("not the text of this run")
    (tmp_path / "a" / "data" / "train.ids").write_bytes(b"")
    nplm("eval", tmp_path / "a", text, "--dynamic", "-q").refused("train.ids")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (("--cache", "trigram"), "--cache 'trigram': expected unigram or neural"),
        (("--cache", "unigram", "--cache-theta", 1), "--cache-theta has no --cache neural"),
        (("--cache", "neural", "--cache-decay", 1), "--cache-decay has no --cache unigram"),
        (("--cache-size", 5), "--cache-size has no --cache neural or unigram"),
        (("--cache", "neural", "--cache-size", 5, "--cache-size", 6), "2 times for 1 cache"),
        (("--cache", "neural", "--cache-weight", 1.5), "--cache-weight 1.5: expected at most 1"),
        (("--cache", "neural", "--cache-weight", 1), "--cache-weight: 1 in all leaves nothing"),
        (("--cache", "neural", "--cache-weight", "nan"), "--cache-weight nan: expected a finite"),
        (
            ("--cache", "neural", "--cache", "unigram", "--cache-weight", 0.5),
            "--cache-weight: 1 in all leaves nothing for the model",
        ),
        (("--dynamic-lr", 0.1), "--dynamic-lr acts on --dynamic"),
        (("--dynamic", "--dynamic-segment", 0), "--dynamic-segment 0: expected at least 1"),
        (("--dynamic", "--dynamic-lr", -1), "--dynamic-lr -1.0: expected at least 0"),
    ],
)
def test_refused(nplm, ffn, text, line, part):
    nplm("eval", ffn, text, *line, "-q").refused(part)


def test_counts_have_nothing_to_adapt(nplm, ngram, text):
    nplm("eval", ngram, text, "--dynamic").refused("counts have no weights")
    nplm("eval", ngram, text, "--cache", "neural").refused("needs a neural model")
    nplm("score", ngram, "我", "--cache", "neural").refused("needs a neural model")


@pytest.mark.parametrize(("rate", "cure"), [(1e30, "0.0005"), (3, "0.0005")])
def test_a_rate_that_leads_nowhere(nplm, ffn, ngram, text, tmp_path, rate, cure):
    """No numbers at all, or numbers without sense: an error either way, of mixtures too."""
    line = ("--dynamic", "--dynamic-lr", rate, "--json", "-q")
    advice = f"--dynamic-lr {rate:g}: take a lower one, such as {cure}"
    nplm("eval", ffn, text, *line).refused("dynamic evaluation: ", advice, code=1)
    # In a mixture the counts would hide it.
    nplm("mix", ffn, ngram, "--tune", text, "-o", tmp_path / "m", "-q").ok()
    nplm("eval", tmp_path / "m", text, *line).refused(advice, code=1)


def test_scores_of_sentences_find_the_cache_empty(nplm, ffn):
    """Alone or in company, unless the text is read as one."""
    sentences = ["我 买 书 我 买 书", "我 买 书"]
    options = ("--json", *CACHE)
    together = nplm("score", ffn, *sentences, *options).ok()
    alone = [nplm("score", ffn, text, *options, "-q").ok().json for text in sentences]
    for one, other in zip(together.records, alone, strict=True):
        assert one["logprob_e"] == pytest.approx(other["logprob_e"], abs=1e-5)
        assert one["caches"] == [
            {"kind": "neural", "size": 9, "theta": 0.5, "weight": 0.2, "reach": "sentence"}
        ]
    assert "empty at each sentence" in together.err
    plain = nplm("score", ffn, *sentences, "--json", "-q").ok().records
    assert "caches" not in plain[0]
    assert plain[0]["logprob_e"] != pytest.approx(alone[0]["logprob_e"], abs=1e-3)
    whole = nplm("score", ffn, *sentences, *options, "--context", "stream").ok()
    assert "it runs over the whole text" in whole.err
    without = nplm("score", ffn, *sentences, "--json", "--context", "stream", "-q").ok().records
    for i, expected in ((0, False), (1, True)):
        gain = whole.records[i]["logprob_e"] - without[i]["logprob_e"]
        own = alone[i]["logprob_e"] - plain[i]["logprob_e"]
        assert (abs(gain - own) > 1e-3) is expected


def test_the_first_word_of_a_sentence_is_the_models_own(nplm, ffn):
    rows = [
        nplm("score", ffn, "我 我", "--per-token", "--json", "-q", *line).ok().json["per_token"]
        for line in ((), ("--cache", "unigram", "--cache-weight", 0.3))
    ]
    assert rows[1][0]["logprob_e"] == pytest.approx(rows[0][0]["logprob_e"], abs=1e-9)
    # The second finds the first in the cache, with probability 1.
    expected = 0.7 * math.exp(rows[0][1]["logprob_e"]) + 0.3
    assert math.exp(rows[1][1]["logprob_e"]) == pytest.approx(expected, rel=1e-6)


def test_one_word_with_a_cache(nplm, ffn):
    line = ("score", ffn, "--given", "我 我", "--word", "我", "--cache", "unigram", "--json")
    result = nplm(*line, "--context", "stream")
    result.refused("leave out")
    record = nplm(*line).ok()
    [plain] = nplm("score", ffn, "--given", "我 我", "--word", "我", "--json").ok().records
    assert record.json["probability"] == pytest.approx(0.9 * plain["probability"] + 0.1)
    assert record.json["caches"][0]["kind"] == "unigram"
    assert "empty at each sentence" in record.err


def test_a_mixture_takes_a_cache_more(nplm, ffn, ngram, text, tmp_path):
    nplm("mix", ffn, ngram, "--tune", text, "-o", tmp_path / "m", "-q").ok()
    plain = ledger(nplm, tmp_path / "m", text)
    cached = ledger(nplm, tmp_path / "m", text, "--cache", "unigram", "--cache-weight", 0.25)
    for before, after in zip(plain["mixture"], cached["mixture"], strict=True):
        assert after["weight"] == pytest.approx(0.75 * before["weight"])
    assert cached["caches"] == [
        {"kind": "unigram", "size": 1000, "decay": 1.0, "weight": 0.25, "reach": "text"}
    ]
    assert (
        json.loads((tmp_path / "m" / "config.json").read_text("utf-8"))["mixture"]["caches"] == []
    )
    moved = ledger(nplm, tmp_path / "m", text, "--dynamic", "--dynamic-lr", 0.01)
    assert moved["dynamic"]["lr"] == 0.01
    assert moved["ppl"] != plain["ppl"]
    nplm("eval", tmp_path / "m", text, "--stride", 2).refused("--arch mixture has no window")
