"""Chinese words: jieba as it is, words of the user's own, another segmenter."""

import sys
import time
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus.chinese import (
    LONGEST_RUN,
    JiebaSegmenter,
    chinese_spans,
    masked,
    open_segmenter,
)
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.user_words import UserWords
from nplm_cli.errors import ConfigError

NONE = UserWords()


def words(text, own=NONE):
    return [span.token for span in chinese_spans(text, open_segmenter("jieba", own))]


def own(*entries):
    return UserWords(dict.fromkeys(entries))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("我爱北京天安门", "我 爱 北京 天安门"),
        ("1998年增长3.14%，共1,000元。", "1998 年 增长 3.14% ， 共 1,000 元 。"),
        ("增长3．14％", "增长 3．14％"),
        ("我……我不知道——真的", "我 …… 我 不 知道 —— 真的"),
        ("我 爱\u3000北京\t\n天安门", "我 爱 北京 天安门"),
        ("用Python写NLP程序", "用 Python 写 NLP 程序"),
        ("好！！", "好 ！ ！"),
        ("", ""),
    ],
)
def test_chinese_words(text, tokens):
    assert words(text) == tokens.split()


def test_without_own_words_it_is_jieba(tmp_path):
    import jieba

    theirs = jieba.Tokenizer()
    theirs.tmp_dir = str(tmp_path)
    jieba.setLogLevel(60)
    text = (
        "小明硕士毕业于中国科学院计算所，后在日本京都大学深造。他叫欧阳锋，爱吃T恤店旁的C++馅饼3.5个。"
        * 90
    )
    ours = JiebaSegmenter(NONE)
    assert len(text) > LONGEST_RUN
    for piece in (text[:50], text, "。\r\n \u3000😀a-b_c" + text):
        assert list(ours.cut(piece)) == list(theirs.cut(piece))


def test_a_run_without_marks_takes_time_in_proportion():
    segmenter = JiebaSegmenter(NONE)
    began = time.perf_counter()
    assert "".join(segmenter.cut("的" * 12 * LONGEST_RUN)) == "的" * 12 * LONGEST_RUN
    assert time.perf_counter() - began < 20  # with the square of the length it would be minutes


# --- words of the user's own --------------------------------------------------------------------

HARD = (
    "云计算平台",  # three words of jieba's
    "的了是",  # of the most frequent ones
    "深度学习框架",
    "iPhone 12",
    "New York Times",
    "人工 智能",
    "5G",
    "3D打印",
    "GPT-4",
    "C++",
    "C#",
    "Node.js",
    "卡拉OK厅",
    "2024年奥运会",
    "阿卜杜拉·阿齐兹",
    "《红楼梦》",
    "Yahoo!",
    "你好！世界",
    "A/B测试",
    "カタカナ",
    "𠮷野家",
    "café",
    "user@example.org",
    "1,000米",
    "<unk>",
    "</s>",
    "磊",
    "★",
    "—",
)
ESCAPED = {"<unk>": "&lt;unk&gt;", "</s>": "&lt;/s&gt;"}
PROBES = ("{}", "，{}。", "“{}”", "（{}）和（{}）", "{}\n{}", "　{}　", "。{}！{}？")


def expected(word):
    return ESCAPED.get(word, word.replace(" ", "_"))


def test_every_own_word_is_one_token():
    plain = TextRecipe(lang="zh", format="raw", sentences="line")
    recipe = TextRecipe(lang="zh", format="raw", sentences="split", user_words=own(*HARD))
    alone = {"C++", "C#", "5G", "磊", "★", "—"}  # these are one token to jieba, too
    for word in HARD:
        assert word in alone or len(plain.tokenize(word)) > 1, word
        for probe in PROBES:
            text = probe.format(*[word] * probe.count("{}"))
            found = recipe.tokenize(text)
            assert found.count(expected(word)) == probe.count("{}"), (word, text, found)
            by_sentence = [token for sentence in recipe.split(text) for token in sentence]
            assert by_sentence == found


def test_own_words_in_a_sentence():
    recipe = TextRecipe(lang="zh", format="raw", sentences="split", user_words=own(*HARD))
    text = "他在《红楼梦》里找iPhone 12，Yahoo!公司说你好！世界。阿卜杜拉·阿齐兹用5G看3D打印。"
    first, second = recipe.split(text)
    assert " ".join(first) == "他 在 《红楼梦》 里 找 iPhone_12 ， Yahoo! 公司 说 你好！世界 。"
    assert " ".join(second) == "阿卜杜拉·阿齐兹 用 5G 看 3D打印 。"
    assert recipe.tokenize_spans("看New\u3000York\tTimes吗")[1] == ("New_York_Times", 1, 15)
    assert recipe.spelled("New York  Times") == "New_York_Times"
    assert recipe.spelled("New York") == "New York"


def test_own_words_are_not_found_within_latin_words_and_numbers():
    entries = own("AI", "5G", "GPT-4", "a.b", "12", "Д·Д")
    assert words("SAID AID 15G 5GHz GPT-45 xGPT-4 xa.b a.bc 123 ДД·Д", entries) == words(
        "SAID AID 15G 5GHz GPT-45 xGPT-4 xa.b a.bc 123 ДД·Д"
    )
    assert words("用AI和5G，GPT-4、a.b与12", entries) == [
        "用",
        "AI",
        "和",
        "5G",
        "，",
        "GPT-4",
        "、",
        "a.b",
        "与",
        "12",
    ]


def test_own_words_compete_where_another_reading_is_likelier():
    # 和服 is a word, but not of this sentence; jieba's frequency of 和服 stays what it is.
    text = "经济和服务"
    assert words(text) == words(text, own("和服")) == ["经济", "和", "服务"]
    assert words("她穿和服", own("和服")) == ["她", "穿", "和服"]


@pytest.mark.parametrize("frequency", [1, 3, 10_000, None])
def test_a_frequency_too_small_is_raised(frequency):
    assert words("云计算平台。") == ["云", "计算", "平台", "。"]
    entries = {"云计算平台": frequency, "计算": 9_000_000, "云计算": 1, "平台": 500}
    for order in (entries, dict(reversed(entries.items()))):
        assert words("云计算平台。", UserWords(order)) == ["云计算平台", "。"]
        assert words("云计算。", UserWords(order)) == ["云计算", "。"]


def test_a_single_character_is_kept_apart_from_unknown_names():
    assert words("他叫李小磊。") == ["他", "叫", "李小磊", "。"]
    assert words("他叫李小磊。", own("磊")) == ["他", "叫", "李小", "磊", "。"]
    assert words("光明磊落", own("磊")) == words("光明磊落") == ["光明磊落"]


def test_own_words_leave_other_text_alone():
    text = "小明硕士毕业于中国科学院计算所，后在日本京都大学深造。他用Python 3.14写程序。" * 3
    assert words(text, own("龘靐", "Zzz 9")) == words(text)


CHARACTERS = "中国人工智能的了是和服务云计算 ABab129-+#&_%·《》/@!é<>"


@settings(max_examples=120, deadline=None)
@given(
    st.dictionaries(
        st.text(st.sampled_from(CHARACTERS), min_size=1, max_size=8)
        .map(lambda word: " ".join(word.split()))
        .filter(bool),
        st.none() | st.integers(1, 10**6),
        min_size=1,
        max_size=12,
    )
)
def test_any_own_words_are_each_one_token(entries):
    segmenter = JiebaSegmenter(UserWords(entries))
    for word in entries:
        for text in (f"，{word}。", f"“{word}”"):
            found = [span.token for span in chinese_spans(text, segmenter)]
            assert found == [text[0], word.replace(" ", "_"), text[-1]], (word, entries)


@settings(max_examples=120, deadline=None)
@given(
    st.text(st.sampled_from(CHARACTERS + "，。？…—"), max_size=60),
    st.lists(st.text(st.sampled_from(CHARACTERS), min_size=1, max_size=6), max_size=5),
)
def test_own_words_lose_nothing(text, entries):
    kept = {" ".join(word.split()): None for word in entries if word.split()}
    segmenter = JiebaSegmenter(UserWords(kept))
    spans = list(chinese_spans(text, segmenter))
    assert "".join(text[start:end] for _, start, end in spans).split() == text.split() or (
        "".join("".join(text[s.start : s.end].split()) for s in spans) == "".join(text.split())
    )
    for token, start, end in spans:
        assert token == "_".join(text[start:end].split())
    hidden = masked(text, segmenter)
    assert len(hidden) == len(text)
    for start, end in segmenter.fixed(text):
        word = any(map(str.isalnum, text[start:end]))
        assert hidden[start:end] == ("字" * (end - start) if word else text[start:end])


# --- another segmenter --------------------------------------------------------------------------


def test_another_segmenter_is_named_or_missing(monkeypatch):
    def characters(text, hmm):
        assert hmm is True
        return list(text)

    recipe = TextRecipe(lang="zh", format="raw", sentences="line", tokenizer="rjieba")
    monkeypatch.setitem(sys.modules, "rjieba", types.SimpleNamespace(cut=characters))
    open_segmenter.cache_clear()
    assert recipe.tokenize("北京……1,000元 好") == ["北", "京", "……", "1,000", "元", "好"]
    monkeypatch.setitem(sys.modules, "rjieba", None)
    open_segmenter.cache_clear()
    with pytest.raises(ConfigError, match=r"rjieba.*not installed: pip install 'nplm-cli\[fast\]'"):
        recipe.tokenize("北京")
    open_segmenter.cache_clear()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text(st.sampled_from("我们在北京1２aB.%…— \n"), max_size=60))
def test_the_faster_one_loses_nothing_either(text):
    pytest.importorskip("rjieba")
    segmenter = open_segmenter("rjieba", NONE)
    spans = list(chinese_spans(text, segmenter))
    assert "".join(text[start:end] for _, start, end in spans) == "".join(text.split())


@pytest.mark.parametrize("unit", ["1", "1,", "1,000", "111,", "1．", "1%"])
def test_figures_are_looked_for_once(unit):
    segmenter = types.SimpleNamespace(fixed=lambda text: iter(()), cut=lambda text: [text])
    began = time.process_time()
    spans = list(chinese_spans(unit * 100_000, segmenter))
    # A tenth of a second; with the square of the length a minute.
    assert time.process_time() - began < 5
    assert "".join(span.token for span in spans) == unit * 100_000
