import pytest

from nplm_cli.corpus.detection import detect

CASES = [
    ("19980101-01-001-001/m  我们/rr  党/n\n[中国/ns  政府/n]nt", "zh", "pku"),
    ("the/DT cat/NN sat/VBD", "en", "pku"),
    ("我们/rr " * 9 + "党", "zh", "pku"),
    ("我们/rr " * 8 + "党 的", "zh", "segmented"),
    ("我们 的 祖国 是 花园 。\n花园 的 花朵 真 鲜艳 。", "zh", "segmented"),
    ("我 爱 北 京", "zh", "segmented"),
    ("<unk> 的 话", "zh", "segmented"),
    ("我们的祖国是花园。\n花园的花朵真鲜艳。", "zh", "raw"),
    ("　　我们的祖国是花园，\n\n　　花园的花朵真鲜艳。", "zh", "raw"),
    ("好的 谢谢你，再见。\n不用 客气，再见！", "zh", "raw"),
    ("第一回 甄士隐梦幻识通灵 贾雨村风尘怀闺秀\n原来女娲氏炼石补天之时，炼成顽石。", "zh", "raw"),
    ("我用 Python 写了一个 program，它能 parse 文本。", "zh", "raw"),
    ("我 用 Python 写 了 一 个 program ， 它 能 parse 文本 。", "zh", "segmented"),
    ("the <unk> sat", "en", "segmented"),
    ("the cat , the dog and the cow .\nit 's what they do n't say .", "en", "segmented"),
    ("Mr. Smith , of the U.S. , came . He left , too .", "en", "segmented"),
    ("The cat, the dog and the cow.\nIt's what they don't say.", "en", "raw"),
    ('"Good," he said. "And you?"', "en", "raw"),
    ("He wrote 1 , 2 and 3 . Then, slowly, he left; so did I.", "en", "raw"),
    ("and/or", "en", "pku"),
    ("either and/or both", "en", "raw"),
    ("the cat sat", "en", "raw"),
    ("It was in 北京 that the meeting took place.", "en", "raw"),
    ("123 456", "en", "raw"),
    ("", "en", "raw"),
]


@pytest.mark.parametrize(("text", "lang", "format_"), CASES)
def test_language_and_format(text, lang, format_):
    assert detect(text.split("\n")) == (lang, format_)


@pytest.mark.parametrize(
    "text",
    [
        "他写<unk>和</s>，再写<s>。",
        "请看https://example.org/about的说明。",
        "速度是每秒3m/s左右吧。",
    ],
)
def test_a_slash_in_a_sentence_without_spaces_is_no_tag(text):
    assert detect([text]) == ("zh", "raw")


@pytest.mark.parametrize(
    "token", ["中国/ns", "政府/n]nt", "年/l/%", "//w", "好/NN-SHORT", "台/n]/nt", "开/v]x"]
)
def test_tags(token):
    assert detect([f"{token} 的/u"] * 3).format == "pku"
