"""Counts and mixtures explained: what is added up is the probability."""

import math

import pytest

from nplm_cli.cli.app import run as run_command
from nplm_cli.corpus.vocabulary import UNK_ID
from nplm_cli.errors import ConfigError
from nplm_cli.explain import MOST_WORDS, explain
from nplm_cli.explain.sections import sections
from nplm_cli.query.cache_use import use_caches
from nplm_cli.query.predict import predict, read_prompt
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import NgramScorer, open_scorer

TEXTS = ("我 买 书", "今天 罕见 看见", "")


def explained(run, text, words=(), k=10):
    return explain(run, read_prompt(run, text, segmented=True), words, k)


@pytest.mark.parametrize("name", ["kn", "mle", "addk"])
@pytest.mark.parametrize("text", TEXTS)
def test_probabilities_are_those_of_predict(name, text, run_of):
    run = run_of(name)
    record = explained(run, text, ["书", "罕见"], 99)
    expected = predict(run, open_scorer(run), read_prompt(run, text, segmented=True), 99)
    assert [(p["word"], p["probability"]) for p in record["predictions"]] == [
        (p.word, p.probability) for p in expected
    ]
    assert [word["oov"] for word in record["asked"]] == [False, True]
    assert record["asked"][1]["id"] == UNK_ID


@pytest.mark.parametrize("text", TEXTS)
def test_what_the_orders_add_is_the_probability(text, run_of):
    run = run_of("kn")
    words = run.vocabulary.tokens
    record = explained(run, text, words)
    for word in record["explained"]:
        parts = [order["adds"] for order in word["orders"]] + [word["uniform"]["adds"]]
        assert math.fsum(parts) == pytest.approx(word["probability"], rel=1e-12)
        longest = word["orders"][0]
        assert longest["weight"] == 1
        assert longest["probability"] == pytest.approx(word["probability"], rel=1e-12)
        for order in word["orders"]:
            if order["known"]:
                own = (order["adjusted"] - order["discount"]) / order["total"]
                assert order["own"] == own
            else:
                assert (order["own"], order["backoff"], order["count"]) == (0, 1, 0)
            assert order["adds"] == order["weight"] * order["own"]


def test_counts_are_those_of_the_text(run_of, corpus):
    run = run_of("kn")
    text = " 。 ".join(corpus.read_text("utf-8").splitlines()[:90])
    assert "买 书" in text
    (word,) = explained(run, "我 买", ["书"])["explained"]
    longest, middle, _ = word["orders"]
    scorer = open_scorer(run)
    ids = run.vocabulary.encode(["我", "买", "书"])
    assert longest["count"] == longest["adjusted"] == scorer.model.count(ids)
    assert middle["count"] == scorer.model.count(ids[1:])
    assert middle["adjusted"] <= middle["count"]
    assert (longest["history"], middle["history"]) == (["我", "买"], ["买"])


@pytest.mark.parametrize(("name", "k"), [("mle", 0), ("addk", 0.5)])
def test_one_fraction(name, k, run_of):
    run = run_of(name)
    for word in explained(run, "我 买", run.vocabulary.tokens)["explained"]:
        p = (word["count"] + k) / (word["of"] + k * len(run.vocabulary))
        assert p == pytest.approx(word["probability"], rel=1e-12)


def test_occlusion_of_counts(run_of):
    run = run_of("kn")
    record = explained(run, "今天 我 买", ["书"])
    assert [place["word"] for place in record["places"]] == ["我", "买"]
    scorer, target = open_scorer(run), run.vocabulary.index["书"]
    today, i, buy = run.vocabulary.encode(["今天", "我", "买"])
    before = scorer.next_log_probs([today, i, buy])[target]
    changed = [
        scorer.next_log_probs([today, UNK_ID, buy])[target] - before,
        scorer.next_log_probs([today, i, UNK_ID])[target] - before,
    ]
    (moved,) = record["attribution"]
    assert [place["occlusion"] for place in moved["places"]] == changed
    assert changed[1] != 0


def test_a_context_never_seen_under_relative_frequencies(run_of):
    run = run_of("mle")
    record = explained(run, "书 书 书")
    assert record["predictions"] == []
    (word,) = record["explained"]
    assert (word["count"], word["of"], word["probability"]) == (0, 0, 0)


def test_occlusion_of_what_has_no_probability(run_of):
    run = run_of("mle")
    scorer, words = open_scorer(run), run.vocabulary.tokens
    seen = set()
    for text in ("书 书 书", "我 买", "今天 我"):
        history = run.vocabulary.encode(text.split())
        record = explained(run, text, words)
        for word, moved in zip(record["explained"], record["attribution"], strict=True):
            before = scorer.next_log_probs(history)[word["id"]]
            for back, place in enumerate(reversed(moved["places"])):
                if place["word"] == "</s>":
                    continue
                other = list(history)
                other[-1 - back] = UNK_ID
                after = scorer.next_log_probs(other)[word["id"]]
                possible = (before > -math.inf, after > -math.inf)
                seen.add(possible)
                expected = {
                    (False, False): None, (False, True): math.inf, (True, False): -math.inf,
                }.get(possible, after - before if all(possible) else None)  # fmt: skip
                assert place["occlusion"] == expected
                assert (place["occlusion_rank"] is None) == (not all(possible))
        page = str(sections(record, 3))
        assert "nan" not in page
        assert "Only finite changes are ranked" in page
    assert {(False, False), (True, False)} <= seen


def test_each_occlusion_is_read_once_for_all_words(run_of, monkeypatch):
    run, read = run_of("kn"), []
    next_log_probs = NgramScorer.next_log_probs
    monkeypatch.setattr(
        NgramScorer,
        "next_log_probs",
        lambda self, ids: read.append(1) or next_log_probs(self, ids),
    )
    explained(run, "今天 我 买", ["书"])
    one = len(read)
    explained(run, "今天 我 买", ["书", "茶", "猫"])
    assert len(read) == 2 * one


@pytest.fixture(scope="module")
def mixture(folder_of, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixture") / "run"
    text = folder.parent / "tune.txt"
    text.write_text("今天 我 买 书 。\n书 书 书 茶 茶 茶 。\n你 找 找 猫 。\n" * 5, "utf-8")
    runs = [str(folder_of(name)) for name in ("lstm", "kn")]
    line = ["mix", *runs, "--cache", "unigram", "--tune", str(text), "-o", str(folder), "-q"]
    assert run_command(line) == 0
    return Run(folder)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("reach", [None, "sentence"])
def test_what_the_components_add_is_the_probability(text, reach, mixture):
    prompt = read_prompt(mixture, text, segmented=True)
    record = explain(mixture, prompt, ["书", "我"], 99, cache_reach=reach)
    scorer = use_caches(mixture, reach=reach, running=False).open()
    expected = predict(mixture, scorer, prompt, 99)
    assert [p["word"] for p in record["predictions"]] == [p.word for p in expected]
    for said, p in zip(record["predictions"], expected, strict=True):
        assert said["probability"] == pytest.approx(p.probability, rel=1e-12)
    assert sum(part["weight"] for part in record["components"]) == pytest.approx(1, abs=1e-12)
    for word in record["explained"]:
        adds = [part["adds"] for part in word["parts"] if part["adds"] is not None]
        assert math.fsum(adds) == pytest.approx(word["probability"], rel=1e-12)
    if reach is None:
        assert len(record["components"]) == 2
        return
    # The cache is empty before the first word: the others share its weight.
    assert (record["explained"][0]["parts"][2]["probability"] is None) == (text == "")
    assert (record["components"][2]["weight"] == 0) == (text == "")


def test_components_explain_themselves(mixture):
    record = explained(mixture, "我 买", ["书"])
    for part, said in zip(record["components"], record["explained"][0]["parts"], strict=True):
        if part["folder"] is not None:
            own = explained(Run(part["folder"]), "我 买", ["书"])["explained"][0]
            assert own["probability"] == pytest.approx(said["probability"], abs=1e-6)


@pytest.mark.parametrize("name", ["ffn", "kn"])
def test_a_text_that_is_too_long(name, run_of):
    run = run_of(name)
    longest = " ".join(["书"] * MOST_WORDS)
    assert explained(run, longest)["read"] == MOST_WORDS + 1
    with pytest.raises(ConfigError, match="expected at most 256"):
        explained(run, longest + " 书")


def test_attention_of_more_weights_than_there_is_room_for(run_of, monkeypatch):
    run = run_of("transformer")
    maps = run.config.model.layers * run.config.model.heads
    monkeypatch.setattr("nplm_cli.explain.MOST_WEIGHTS", maps * 16)
    assert explained(run, "我 买 书")["read"] == 4
    with pytest.raises(ConfigError, match="at most 3 words"):
        explained(run, "今天 我 买 书")


@pytest.mark.parametrize("name", ["ffn", "kn"])
def test_an_empty_word(name, run_of):
    with pytest.raises(ConfigError, match="--word ''"):
        explained(run_of(name), "我", ["书", " "])
