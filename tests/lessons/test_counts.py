"""Lessons on words and counts: impossible settings, and second answers by hand."""

import math
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest

from nplm_cli.errors import ConfigError
from nplm_cli.lessons import run_lesson
from nplm_cli.lessons.counts.text import SENTENCES, sentences_of


def set_(name, *settings):
    return run_lesson(name, settings=settings)


def unheld(lesson):
    return [c.text.en for step in lesson.steps for c in step.claims if not c.holds]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ngram", ["ngram=很"], "expected 2 to 12 words, found 1"),
        ("ngram", ["ngram=这 x"], "'x' is no word of the sentences"),
        ("ngram", ["ngram=这 </s>"], "'</s>' is no word of the sentences"),
        ("ngram", ["sentences=/ /"], "expected words"),
        ("ngram", ["sentences=a </s> b", "ngram=a b"], "leave it out"),
        ("ngram", ["sentences=a <unk> b", "ngram=a b"], "leave it out"),
        ("ngram", ["sentences=" + "a " * 129], "expected 1 to 128 values"),
        ("vocabulary", ["min_count=8"], "the most frequent word has the count 7"),
        ("vocabulary", ["max_size=36"], "less than the 36 different words"),
        ("vocabulary", ["sentences=a a", "max_size=1"], "less than the 1 different words"),
        ("one-hot", ["E=1,2;3"], "differ in length"),
        ("one-hot", ["E=1;2"], "at least two columns"),
        ("one-hot", ["index=8"], "word 8 of 7"),
        ("one-hot", ["context=1,2,9"], "word 9 of 7"),
        ("one-hot", ["target=8"], "word 8 of 7"),
        ("uniform", ["sizes=1"], "from 2 to 200000"),
    ],
)
def test_impossible_settings(name, settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        set_(name, *settings)
    assert "\n" not in str(caught.value)


def test_the_sentences_are_those_of_the_example():
    sentences = sentences_of(SENTENCES)
    assert [len(s) for s in sentences] == [10, 8, 8, 8, 11, 6, 11]
    assert sentences[3] == ["我", "觉得", "这", "本", "书", "很", "乏味", "。"]


def test_fractions_by_hand():
    """Every pair of the sentences: c(h w) / c(h), counted here by a dictionary."""
    words = [[*s, "</s>"] for s in sentences_of(SENTENCES)]
    pairs = Counter(pair for s in words for pair in pairwise(s))
    for (h, w), n in sorted(pairs.items())[:8]:
        if w == "</s>":
            continue
        values = set_("ngram", f"ngram={h} {w}").values
        whole = sum(m for (first, _), m in pairs.items() if first == h)
        assert Fraction(values["p_bigram"][0]).limit_denominator(100) == Fraction(n, whole)
        assert values["c_h"] == whole
        assert sum(values["c_hw"]) == whole


def test_a_history_never_seen():
    lesson = set_("ngram", "ngram=这 很 很 有趣")
    assert lesson.values["c_h"] == lesson.values["p_by_length"][-1] == 0
    assert lesson.values["zeros"] == 38
    assert lesson.values["mle"] == [0, 0, 0]
    assert unheld(lesson) == ["the shares sum to 1"]
    assert lesson.values["kn"][0] == pytest.approx(  # backs off to the history 很 as it stands
        set_("ngram", "ngram=很 很 有趣").values["kn"][0]
    )


def test_every_word_seen():
    values = set_("ngram", "sentences=a b / a a b", "ngram=a a").values
    assert values["unseen_p"] is values["unseen_nll"] is None
    assert values["p_after"] == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize("k", [0.01, 1.0, 10.0])
def test_add_k_by_hand(k):
    values = set_("ngram", f"k={k}").values
    seen, unseen, all_unseen = values["addk"]
    assert seen == pytest.approx((1 + k) / (4 + 38 * k))
    assert unseen == pytest.approx(k / (4 + 38 * k))
    assert all_unseen == pytest.approx(34 * k / (4 + 38 * k))


def test_kneser_ney_by_hand():
    """Order 2 of ``a b / a c``, with the fallback discounts D1 = 0.5, D2 = 1; V = 5.

    Different words to the left: of a 1 (the boundary), of b and c 1 each, of </s> 2; in all 5.
    p1(b) = (1 - 0.5)/5 + b1/5 with b1 = (0.5 + 0.5 + 0.5 + 1)/5;
    p(b | a) = (1 - 0.5)/2 + (0.5 + 0.5)/2 p1(b).
    """
    p1 = 0.5 / 5 + 2.5 / 5 / 5
    values = set_("ngram", "sentences=a b / a c", "ngram=a b").values
    assert values["kn"][0] == pytest.approx(0.25 + 0.5 * p1)


def test_the_words_that_each_cut_keeps():
    values = set_("vocabulary").values
    assert values["frequent_words"] == ["。", "书", "本", "这", "很", "了", "他", "老师", "，"]
    assert values["sized_words"] == ["。", "书", "本", "这"]
    assert set_("vocabulary", "max_size=3").values["sized_words"] == ["。", "书", "本"]
    assert set_("vocabulary", "min_count=3").values["frequent_covered"] == 29


def test_one_vocabulary_is_cut_between_equal_counts_by_code_point():
    lesson = set_("vocabulary", "sentences=c b a d d", "max_size=2", "min_count=1")
    assert lesson.values["sized_words"] == ["d", "a"]
    assert lesson.values["frequent_words"] == ["d", "a", "b", "c"]
    assert unheld(lesson) == []


@pytest.mark.parametrize("index", [1, 7])
def test_one_hot_takes_its_column(index):
    lesson = set_("one-hot", f"index={index}", "context=3,3,3")
    E = lesson.given["E"]
    assert lesson.values["product"] == lesson.values["row"] == [row[index - 1] for row in E]
    lengths = lesson.values["gradient_lengths"]
    assert [i for i, length in enumerate(lengths, 1) if length] == [3]
    assert unheld(lesson) == []


def test_uniform_of_small_vocabularies():
    values = set_("uniform", "sizes=2,3").values
    assert values["nats"] == pytest.approx([math.log(2), math.log(3)])
    assert values["perplexity"] == pytest.approx([2, 3])


@pytest.mark.parametrize("name", ["ngram", "vocabulary"])
def test_counts_need_no_torch(name):
    code = (
        "import sys; from nplm_cli.lessons import run_lesson; "
        f"run_lesson({name!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
