import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.tokenizers import (
    character_spans,
    count_chinese,
    escape,
    fold_numbers,
    fold_width,
    is_unsegmented,
)


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


def test_folding_numbers_touches_digits_of_all_scripts():
    assert fold_numbers("1998年3.14% １２ ٣ 二〇 ½ ² Ⅷ ③") == "0000年0.00% 00 0 二〇 ½ ² Ⅷ ③"


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


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.booleans(), st.booleans(), st.booleans(), st.sampled_from(["zh", "char"]))
def test_segmented_text_has_a_fast_way_with_the_same_result(text, fold, lower, numbers, lang):
    recipe = TextRecipe(
        lang=lang,
        format="segmented",
        sentences="line",
        fold_width=fold,
        lowercase=lower,
        fold_numbers=numbers,
    )
    assert recipe.segmented_tokens(text) == recipe.tokenize(text)


def test_importing_the_readers_loads_neither_jieba_nor_torch():
    code = (
        "import sys, nplm_cli.corpus.formats; print({'jieba', 'torch', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"set()\n"
