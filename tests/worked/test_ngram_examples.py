"""W-16: n-gram relative frequencies, p(w | h) = c(h w) / c(h)."""

from fractions import Fraction

import numpy as np
import pytest

from nplm_cli.ngram import NgramModel

TWICE = "这 本 书 很 枯燥 ， 很 乏味 。"

SEVEN = """\
这 本 书 很 有趣 ， 孩子 也 喜欢 。
老师 说 这 本 书 很 真实 。
这 本 书 很 不 容易 懂 。
我 觉得 这 本 书 很 乏味 。
新 出 的 这 本 书 很快 卖 完 了 。
他 昨天 去 图书馆 了 。
老师 讲 了 一 个 故事 ， 他 没有 听 。"""


class Lesson:
    """A model of relative frequencies that is asked in words."""

    def __init__(self, text, order):
        sentences = [line.split() for line in text.split("\n")]
        types = sorted({word for sentence in sentences for word in sentence})
        self.ids = {word: i for i, word in enumerate(types, start=2)}
        stream = np.array([i for s in sentences for i in (*self.of(s), 1)])
        self.model = NgramModel.train(
            stream, order=order, vocab_size=len(types) + 2, smoothing="mle"
        )

    def of(self, words):
        return [self.ids[word] for word in words]

    def log_p(self, word, given):
        return float(self.model.next_log_probs(self.of(given.split()))[self.ids[word]])

    def p(self, word, given):
        return Fraction(float(np.exp(self.log_p(word, given)))).limit_denominator(100)


def test_w16a_a_word_followed_by_two_others():
    lesson = Lesson(TWICE, order=2)
    assert lesson.p("枯燥", "很") == lesson.p("乏味", "很") == Fraction(1, 2)
    assert lesson.log_p("枯燥", "很") == pytest.approx(np.log(1 / 2), abs=1e-15)


@pytest.mark.parametrize("order", [2, 5])
def test_w16b_bigrams(order):
    lesson = Lesson(SEVEN, order)
    assert len(lesson.ids) == 36
    assert lesson.model.count([]) == 62 + 7
    assert lesson.p("乏味", "很") == Fraction(1, 4)
    assert lesson.p("书", "本") == 1


def test_w16b_longer_contexts():
    assert Lesson(SEVEN, order=4).p("很", "这 本 书") == Fraction(4, 5)
    lesson = Lesson(SEVEN, order=5)
    assert lesson.p("很", "这 本 书") == Fraction(4, 5)
    assert lesson.p("很快", "这 本 书") == Fraction(1, 5)
    assert lesson.p("乏味", "这 本 书 很") == Fraction(1, 4)
    assert lesson.p("乏味", "我 觉得 这 本 书 很") == Fraction(1, 4)
    words, counts = lesson.model.continuations(lesson.of(["这", "本", "书"]))
    assert words.tolist() == lesson.of(["很", "很快"])
    assert counts.tolist() == [4, 1]


def test_w16b_an_unseen_pair_has_probability_0_and_infinite_surprisal():
    lesson = Lesson(SEVEN, order=2)
    assert lesson.log_p("图书馆", "很") == -np.inf
    stream = np.array([*lesson.of(["这", "本", "书", "很", "图书馆"]), 1])
    log_p = lesson.model.log_probs(stream)
    assert np.isneginf(log_p).tolist() == [False, False, False, False, True, True]
    assert -log_p.sum() == np.inf
