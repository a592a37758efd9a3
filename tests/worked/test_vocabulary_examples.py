"""W-17: the three vocabulary cuts on the seven sentences of W-16b (Zong Chengqing, ch. 5, s. 3)."""

from collections import Counter

import pytest

from nplm_cli.config import VocabularyConfig
from nplm_cli.corpus.vocabulary import coverage, cut_vocabulary

SEVEN = """\
这 本 书 很 有趣 ， 孩子 也 喜欢 。
老师 说 这 本 书 很 真实 。
这 本 书 很 不 容易 懂 。
我 觉得 这 本 书 很 乏味 。
新 出 的 这 本 书 很快 卖 完 了 。
他 昨天 去 图书馆 了 。
老师 讲 了 一 个 故事 ， 他 没有 听 。"""


@pytest.fixture
def counts():
    return Counter(SEVEN.split())


def cut(counts, **settings):
    return cut_vocabulary(counts, 7, VocabularyConfig(**settings))


def words(cut):
    vocabulary = cut.vocabulary
    return list(zip(vocabulary.tokens[2:], vocabulary.counts[2:].tolist(), strict=True))


def test_w17_all_words(counts):
    assert counts.total() == 62
    everything = cut(counts, min_count=1)
    assert len(everything.vocabulary) == 36 + 2
    assert everything.vocabulary.counts[:2].tolist() == [0, 7]
    assert everything.unknown == []


def test_w17_by_count(counts):
    twice = cut(counts, min_count=2)
    assert words(twice) == [
        ("。", 7), ("书", 5), ("本", 5), ("这", 5), ("很", 4), ("了", 3),
        ("他", 2), ("老师", 2), ("，", 2),
    ]  # fmt: skip
    assert sum(n for _, n in words(twice)) == 35
    assert twice.unk_types == 27
    assert twice.vocabulary.counts[0] == 27
    thrice = cut(counts, min_count=3)
    assert len(words(thrice)) == 6
    assert sum(n for _, n in words(thrice)) == 29


def test_w17_by_size(counts):
    assert [w for w, _ in words(cut(counts, max_size=4))] == ["。", "书", "本", "这"]
    assert [w for w, _ in words(cut(counts, max_size=3))] == ["。", "书", "本"]


def test_w17_coverage(counts):
    rows = {row.size: row for row in coverage(counts, [9, 6, 1000])}
    assert (rows[9].covered_tokens, rows[9].unk_tokens) == (35, 27)
    assert (rows[6].covered_tokens, rows[6].unk_tokens) == (29, 33)
    assert (rows[1000].types, rows[1000].covered_tokens, rows[1000].unk_share) == (36, 62, 0)
