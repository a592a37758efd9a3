"""Next words and counts as values: what the commands predict and count show."""

import numpy as np
import pytest

from nplm_cli import pipeline
from nplm_cli.config import Config
from nplm_cli.corpus.preparation import Sources
from nplm_cli.errors import ConfigError, UnknownWordError
from nplm_cli.query.predict import count_continuations, predict, read_prompt, surprisal_bits
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer

CONFIG = Config().replace(
    format="segmented", sentences="line", lang="zh", max_size=6, order=3, arch="ngram",
    smoothing="mle", split_by="none",
)  # fmt: skip
TEXT = "a b c\na b d\na b c\nb c\nb e f\n我 买\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    (folder / "t.txt").write_text(TEXT * 2, "utf-8")
    pipeline.train(Sources(train=(str(folder / "t.txt"),)), folder / "run", CONFIG)
    return Run(folder / "run")


@pytest.fixture(scope="module")
def scorer(run):
    return open_scorer(run)


def test_a_prompt(run):
    prompt = read_prompt(run, "a  zebra b")
    assert prompt.tokens == ["a", "zebra", "b"]
    assert prompt.ids == run.vocabulary.encode(["a", "zebra", "b"])
    assert prompt.unknown == ["zebra"]
    assert prompt.warnings == []
    empty = read_prompt(run, "")
    assert (empty.tokens, empty.ids, empty.unknown) == ([], [], [])


def test_a_prompt_tells_how_it_was_read(run):
    text = "今天我们喜欢北京"
    assert "jieba" in read_prompt(run, text).warnings[0]
    whole = read_prompt(run, text, segmented=True)
    assert (whole.tokens, whole.warnings) == ([text], [])


def test_predictions(run, scorer):
    """After ``a b``: c twice and d once of three."""
    found = predict(run, scorer, read_prompt(run, "a b"))
    assert [p.word for p in found] == ["c", "d"]
    assert [p.probability for p in found] == pytest.approx([2 / 3, 1 / 3])
    assert [p.surprisal_bits for p in found] == pytest.approx([np.log2(1.5), np.log2(3)])
    assert predict(run, scorer, read_prompt(run, "a b"), 1) == found[:1]


def test_nothing_to_predict_after_an_unseen_context(run, scorer):
    assert predict(run, scorer, read_prompt(run, "c a")) == []


def test_ties_go_by_id(run, scorer):
    class Flat:
        def next_log_probs(self, history):
            return np.log(np.full(len(run.vocabulary), 1 / len(run.vocabulary)))

    found = predict(run, Flat(), read_prompt(run, ""), 3)
    assert [p.word for p in found] == list(run.vocabulary.tokens[:3])


def test_counts(run, scorer):
    history, found = count_continuations(run, scorer, "a b")
    assert history == ["a", "b"]
    assert [(c.count, c.of, c.share) for c in found] == [(4, 6, 4 / 6), (2, 6, 2 / 6)]
    _, [one] = count_continuations(run, scorer, "b", ["c"])
    assert (one.word, one.count, one.of) == ("c", 6, 10)
    _, [never] = count_continuations(run, scorer, "c a", ["b"])
    assert (never.count, never.of, never.share) == (0, 0, None)
    assert count_continuations(run, scorer, "c a") == (["c", "a"], [])
    assert len(count_continuations(run, scorer, "", k=2)[1]) == 2


def test_counts_that_cannot_be(run, scorer, ffn):
    with pytest.raises(ConfigError, match="is no n-gram model"):
        count_continuations(run, ffn, "a")
    with pytest.raises(UnknownWordError, match="'zebra' is not in the vocabulary"):
        count_continuations(run, scorer, "zebra")
    with pytest.raises(UnknownWordError, match="'zebra'"):
        count_continuations(run, scorer, "a", ["zebra"])
    with pytest.raises(ConfigError, match="after at most 2 words"):
        count_continuations(run, scorer, "a b c")


def test_surprisal():
    assert surprisal_bits(np.log(0.25)) == pytest.approx(2)
    assert str(surprisal_bits(0.0)) == "0.0"
