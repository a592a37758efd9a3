"""How far caches look back in questions: over a text, over one sentence, or not at all."""

import math
import random

import pytest

KINDS = ("--cache", "unigram", "--cache", "neural", "--cache-size", 12)
TINY_CACHE = ("--cache", "unigram", "--cache-weight", 0.3)


@pytest.fixture(scope="module")
def kn(texts, tmp_path_factory, train):
    folder = tmp_path_factory.mktemp("kn") / "run"
    train(texts / "seg.txt", folder, "--arch", "ngram", "--max-size", 30).ok()
    return folder


@pytest.fixture(scope="module")
def mixed(nplm, ffn, kn, tune, tmp_path_factory):
    """Counts and a window model with two caches of their own. Read only."""
    folder = tmp_path_factory.mktemp("mixed") / "mix"
    nplm("mix", kn, ffn, "--tune", tune, *KINDS, "-o", folder, "-q").ok()
    return folder


@pytest.fixture(scope="module")
def tune(texts):
    """Lines of words in no order, each three times: what caches are for, and counts are not."""
    seen = sorted(set((texts / "seg.txt").read_text("utf-8").split()))
    chosen = random.Random(3)
    lines = [" ".join(chosen.choices(seen, k=6)) + "\n" for _ in range(12)]
    path = texts / "again.txt"
    path.write_text("".join(line * 3 for line in lines), "utf-8")
    return path


def words(nplm, run, *line):
    """p of every word and </s>, a list of all sentences, and the first record."""
    records = nplm("score", run, *line, "--per-token", "--json", "-q").ok().records
    return [math.exp(t["logprob_e"]) for r in records for t in r["per_token"]], records[0]


def nats(nplm, run, *line):
    records = nplm("score", run, *line, "--json", "-q").ok().records
    return -math.fsum(record["logprob_e"] for record in records)


def test_a_sentence_alone_does_without_the_caches_of_a_run(nplm, mixed, kn, ffn, tune):
    """p = sum of weight times p over the models, whose weights are made to sum to 1."""
    found, record = words(nplm, mixed, "--file", tune)
    ledger = nplm("eval", mixed, tune, "--json", "-q").ok().json
    a, b = (part["weight"] for part in ledger["mixture"])
    ours, theirs = (words(nplm, run, "--file", tune)[0] for run in (kn, ffn))
    expected = [(a * p + b * q) / (a + b) for p, q in zip(ours, theirs, strict=True)]
    assert found == pytest.approx(expected, rel=1e-9)
    assert a + b < 0.95
    assert [(c["kind"], c["weight"], c["reach"]) for c in record["caches"]] == [
        ("unigram", 0.0, "none"), ("neural", 0.0, "none"),
    ]  # fmt: skip
    told = nplm("score", mixed, "我", "--json").ok().err.splitlines()
    assert told == [
        f"nplm: the caches of {mixed} are left out: their weights are for a running text "
        "(--cache-reach text or sentence takes them in)"
    ]


def test_caches_of_a_sentence_when_asked_for(nplm, mixed):
    """The first word is the models' own; a word that came just before is likelier."""
    line = ("我 我", "--cache-reach", "sentence")
    (first, second, _), record = words(nplm, mixed, *line)
    (own_first, own_second, _), _ = words(nplm, mixed, "我 我")
    assert first == pytest.approx(own_first, rel=1e-6)
    caches = record["caches"]
    assert {c["reach"] for c in caches} == {"sentence"}
    # Both caches hold this word alone, so that each gives it probability 1.
    share = sum(c["weight"] for c in caches)
    assert second == pytest.approx((1 - share) * own_second + share, rel=1e-6)
    assert "empty at each sentence" in nplm("score", mixed, *line).ok().err


@pytest.mark.parametrize("policy", ["sentence", "stream"])
@pytest.mark.parametrize("more", [(), ("--cache", "unigram", "--cache-decay", 0.9)])
def test_caches_that_run_over_the_text_are_those_of_eval(nplm, mixed, tune, texts, policy, more):
    """Each file begins with empty caches, in both commands."""
    (other := texts / "other.txt").write_text("你 买 书 。\n你 买 书 。\n", "utf-8")
    options = ("--context", policy, *more)
    ledger = nplm("eval", mixed, tune, other, *options, "--json", "-q").ok().json
    files = ("--file", tune, "--file", other, *options)
    found = nats(nplm, mixed, *files, "--cache-reach", "text")
    assert ledger["words"] > 100
    # torch in the one and numpy in the other, both in float32.
    assert found == pytest.approx(ledger["nll_nats_total"], abs=1e-6 * ledger["predictions"])
    apart = sum(
        nats(nplm, mixed, "--file", path, *options, "--cache-reach", "text")
        for path in (tune, other)
    )
    assert found == pytest.approx(apart, abs=1e-6 * ledger["predictions"])
    told = nplm("score", mixed, *files, "--cache-reach", "text").ok().err
    assert told.count("it runs over the whole text") == 2 + bool(more)


def test_counts_and_a_cache_agree_with_eval_to_the_last_digits(nplm, kn, tune):
    ledger = nplm("eval", kn, tune, *TINY_CACHE, "--json", "-q").ok().json
    line = ("--file", tune, *TINY_CACHE)
    assert nats(nplm, kn, *line, "--cache-reach", "text") == pytest.approx(
        ledger["nll_nats_total"], abs=1e-6
    )
    assert abs(nats(nplm, kn, *line) - ledger["nll_nats_total"]) > 1  # a sentence at a time


def test_standard_input_is_one_text(nplm, kn, tune):
    line = (*TINY_CACHE, "--cache-reach", "text", "--json", "-q")
    from_file = nplm("score", kn, "--file", tune, *line).ok().out
    assert nplm("score", kn, "-", *line, stdin=tune.read_bytes()).ok().out == from_file


def test_a_text_of_sentences_under_the_stream_policy(nplm, mixed):
    """The models read on; caches run on too, or are emptied, or are left out."""
    found = {}
    for reach in ("text", "sentence", "none"):
        line = ("我 买 书", "我 买 书", "--context", "stream", "--cache-reach", reach)
        found[reach], record = words(nplm, mixed, *line)
        assert {c["reach"] for c in record["caches"]} == {reach}
    plain, record = words(nplm, mixed, "我 买 书", "我 买 书", "--context", "stream")
    assert plain == found["text"]
    assert found["text"][:4] == pytest.approx(found["sentence"][:4], rel=1e-6)
    assert found["sentence"][4] == pytest.approx(found["none"][4], rel=1e-6)
    assert found["text"][4] != pytest.approx(found["none"][4], rel=1e-3)


def test_caches_asked_for_take_part_where_those_of_the_run_do_not(nplm, mixed):
    (_, second, _), record = words(nplm, mixed, "我 我", *TINY_CACHE)
    (_, without, _), _ = words(nplm, mixed, "我 我")
    assert second == pytest.approx(0.7 * without + 0.3, rel=1e-6)
    assert [c["reach"] for c in record["caches"]] == ["none", "none", "sentence"]
    assert record["caches"][-1]["weight"] == 0.3


def test_what_a_word_rests_on(nplm, kn, mixed):
    """The length in KenLM's layout: 1 and the words before, up to what model or cache holds."""

    def lengths(reach, policy):
        line = ("我 买 书", "我 买 书", "--cache", "unigram", "--cache-size", 6)
        options = ("--cache-reach", reach, "--context", policy, "--format", "kenlm")
        rows = nplm("score", kn, *line, *options).ok().lines[:2]
        return [int(cell.split(" ")[1]) for row in rows for cell in row.split("\t")[:-1]]

    # Counts of order 3 see two tokens, the boundary among them; a cache holds words alone.
    assert lengths("text", "sentence") == [2, 3, 3, 4, 5, 6, 7, 7]
    assert lengths("text", "stream") == [2, 3, 3, 4, 5, 6, 7, 7]
    assert lengths("sentence", "sentence") == [2, 3, 3, 4, 2, 3, 3, 4]
    assert lengths("sentence", "stream") == [2, 3, 3, 4, 3, 3, 3, 4]


def test_predict(nplm, mixed):
    def asked(*line):
        result = nplm("predict", mixed, "我 我", "-k", 40, "--json", *line).ok()
        return {p["word"]: p["probability"] for p in result.json["predictions"]}, result

    plain, result = asked()
    assert result.err.count("\n") == 1
    assert "are left out" in result.err
    assert {c["reach"] for c in result.json["caches"]} == {"none"}
    assert sum(plain.values()) == pytest.approx(1, abs=1e-9)
    cached, result = asked(*TINY_CACHE)
    assert cached == pytest.approx({w: 0.7 * p + 0.3 * (w == "我") for w, p in plain.items()})
    own, result = asked("--cache-reach", "sentence")
    share = sum(c["weight"] for c in result.json["caches"])
    assert own == pytest.approx(
        {w: (1 - share) * p + share * (w == "我") for w, p in plain.items()}
    )
    assert "left out" not in result.err
    one = nplm("score", mixed, "--given", "我 我", "--word", "我", "--json").ok().json
    assert one["probability"] == pytest.approx(plain["我"], rel=1e-9)
    assert {c["reach"] for c in one["caches"]} == {"none"}


def test_generate(nplm, mixed):
    """A heavy cache repeats the word before; without it the run's own caches are left out."""
    line = ("generate", mixed, "--prompt", "我 买", "--greedy", "--max-length", 4)
    plain = nplm(*line, "--json").ok()
    assert {c["reach"] for c in plain.json["caches"]} == {"none"}
    assert "are left out" in plain.err
    heavy = ("--cache", "unigram", "--cache-decay", 0.01, "--cache-weight", 0.99)
    repeated = nplm(*line, *heavy, "--json").ok()
    assert [t["token"] for t in repeated.json["tokens"]] == ["买"] * 4
    assert repeated.json["caches"][-1]["reach"] == "sentence"
    at_first = plain.json["tokens"][0]
    [word] = (
        nplm("score", mixed, "--given", "我 买", "--word", at_first["token"], "--json").ok().records
    )
    assert at_first["probability"] == pytest.approx(word["probability"], rel=1e-5)


def test_a_run_without_caches_is_asked_as_before(nplm, ffn):
    for line in (("score", ffn, "我"), ("predict", ffn, "我"), ("generate", ffn)):
        result = nplm(*line, "--json", "--cache-reach", "none").ok()
        assert "caches" not in result.json
        assert "cache" not in result.err
        assert result.out == nplm(*line, "--json").ok().out


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (("score", "我", "--cache-reach", "file"), "'file': expected text, sentence or none"),
        (("score", "我", "--cache-reach", "text"), "has no cache: ask for one with --cache"),
        (("predict", "我", "--cache-reach", "sentence"), "has no cache"),
        (("score", "我", *TINY_CACHE, "--cache-reach", "none"), "leave out --cache"),
        (("predict", "我", *TINY_CACHE, "--cache-reach", "text"), "expected sentence or none"),
        (("generate", *TINY_CACHE, "--cache-reach", "text"), "expected sentence or none"),
        (("predict", "我", "--cache-size", 3), "--cache-size has no --cache"),
        (("generate", "--cache", "neural", "--cache-weight", 1), "leaves nothing for the model"),
        (
            ("score", "--given", "我", "--word", "书", *TINY_CACHE, "--cache-reach", "text"),
            "expected sentence or none",
        ),
    ],
)
def test_refused(nplm, ffn, line, part):
    command, *rest = line
    nplm(command, ffn, *rest).refused(part)
