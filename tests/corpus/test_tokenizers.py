import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus import tokenizers
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.tokenizers import (
    character_spans,
    chinese_spans,
    count_chinese,
    escape,
    fold_width,
    is_unsegmented,
)


def words(text):
    return [span.token for span in chinese_spans(text)]


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("１９９８年", "1998年"),
        ("ＡＢＣａｂｚＺ０９", "ABCabzZ09"),
        ("，（）：；？！．％／－＋＝＠＃　", "，（）：；？！．％／－＋＝＠＃　"),
        ("ﾊﾝｶｸ ㎏ ② ﬁ Ⅷ", "ﾊﾝｶｸ ㎏ ② ﬁ Ⅷ"),
        ("plain", "plain"),
    ],
)
def test_folding_touches_digits_and_letters_only(text, folded):
    assert fold_width(text) == folded


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


def test_characters_are_code_points_without_white_space():
    assert list(character_spans("我 a𠮷\u3000é")) == [
        ("我", 0, 1),
        ("a", 2, 3),
        ("𠮷", 3, 4),
        ("é", 5, 6),
    ]


@pytest.mark.parametrize(
    ("token", "escaped", "kept"),
    [
        ("<unk>", "&lt;unk&gt;", "<unk>"),
        ("</s>", "&lt;/s&gt;", "&lt;/s&gt;"),
        ("<s>", "&lt;s&gt;", "&lt;s&gt;"),
        ("<UNK>", "<UNK>", "<UNK>"),
        ("<", "<", "<"),
        ("unk", "unk", "unk"),
    ],
)
def test_escaping(token, escaped, kept):
    assert escape(token) == escaped
    assert escape(token, keep_unknown=True) == kept


def test_chinese_characters_are_counted():
    assert count_chinese("我a，。𠮷〇カ한1Ａ") == 5
    assert is_unsegmented("我爱北京天安门")
    assert not is_unsegmented("我爱 北京天安门")
    assert not is_unsegmented("我爱北京")
    assert not is_unsegmented("antidisestablishmentarianism")


TEXTS = st.text(max_size=40) | st.text(
    st.sampled_from(
        "我们中国１９Ａａ.,'’-—…\"“”!?。，３．14,000 \t\n\u3000</s>unk@w:nt$%&_İΣé\u0301"
    ),
    max_size=60,
)


@settings(max_examples=250, deadline=None)
@given(TEXTS, st.sampled_from(["zh", "en", "char"]), st.booleans())
def test_nothing_but_white_space_is_lost(text, lang, fold):
    recipe = TextRecipe(lang=lang, format="raw", sentences="line", fold_width=fold)
    spans = recipe.tokenize_spans(text)
    normalized = fold_width(text) if fold else text
    for token, start, end in spans:
        assert token
        assert not any(map(str.isspace, token))
        assert token not in ("<unk>", "</s>", "<s>")
        assert token in (normalized[start:end], normalized[start:end].replace("’", "'"))
    assert "".join(normalized[s.start : s.end] for s in spans) == "".join(normalized.split())
    # Splitting into sentences loses nothing either, and agrees on where the words are.
    split = TextRecipe(lang=lang, format="raw", sentences="split", fold_width=fold)
    sentences = list(split.split(text))
    assert all(sentences)
    joined = "".join(token for sentence in sentences for token in sentence)
    assert joined.replace("’", "'") == "".join(normalized.split()).replace("’", "'")


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.booleans(), st.booleans(), st.sampled_from(["zh", "char"]))
def test_segmented_text_has_a_fast_way_with_the_same_result(text, fold, lower, lang):
    recipe = TextRecipe(
        lang=lang, format="segmented", sentences="line", fold_width=fold, lowercase=lower
    )
    if lang == "char" and lower:
        return  # a letter whose lower case is two characters is one token then
    assert recipe.segmented_tokens(text) == recipe.tokenize(text)


def _run(code, **environment):
    env = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )


CUT = "from nplm_cli.corpus.tokenizers import chinese_spans as c; print(len(list(c('我爱北京'))))"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_the_segmenter_is_silent_and_caches_for_this_user_alone(tmp_path):
    result = _run(CUT, XDG_CACHE_HOME=str(tmp_path / "cache"), TMPDIR=str(tmp_path))
    assert (result.stdout, result.stderr) == ("3\n", "")
    folder = tmp_path / "cache" / "nplm"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(list(folder.iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_without_a_cache_folder_nothing_is_left_behind(tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = _run(CUT, XDG_CACHE_HOME=str(tmp_path / "file"), TMPDIR=str(tmp_path))
    assert (result.stdout, result.stderr) == ("3\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_importing_the_readers_loads_neither_jieba_nor_torch():
    code = (
        "import sys, nplm_cli.corpus.formats; print({'jieba', 'torch', 'scipy'} & set(sys.modules))"
    )
    assert _run(code).stdout == "set()\n"
    assert tokenizers._jieba.cache_info().maxsize is None
