import pytest

from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.sentences import split_sentences


def split(text, lang):
    """The sentences of ``text`` as substrings."""
    recipe = TextRecipe(lang=lang, format="raw", sentences="split", fold_width=False)
    return [" ".join(tokens) if lang == "en" else "".join(tokens) for tokens in recipe.split(text)]


# Sentences are separated by " | ".
CHINESE = [
    "今天好。|明天呢？|好！|再见",
    "他说：“你好。”|她笑了。",
    "他说：“你好！|我走了。”|她笑了。",
    "「好。」|『好！』|（好。）|【好？】|《好！》",
    "“真的吗？”|他问。",
    "“真的吗？”，他问。",
    "好！！|什么？！……|好",
    "他走了……|她来了。",
    "“……”|他不说话。",
    "……他不说话。",
    "等等……，再说。",
    '他说:"你好。"|她说:"好。"|完',
    '他说：“你好．"|她笑了．',
    "作者自云：风尘碌碌．|一事无成．",
    "增长３．１４倍。|好",
    "增长3.14倍。|好",
    "一．总则|",
    "1.总则很长。|2.附则。",
    "第一章。|第二章。",
    "好。’”|他",
    "公司在www.example.com上。|好",
    "他是J. Smith。|好",
    "好.|不好.",
    "没有标点",
    "。。。",
    "”",
]
ENGLISH = [
    "It rains . | We stay ! | Why ? | End",
    '" Good . " | He left .',
    "“ Good . ” | “ Bad . ”",
    '" Really ? " he asked . | Yes .',
    '" Good , " he said . | " Bye . "',
    "' It was so . ' | He left .",
    "\" He said ' Police News . ' \" | The end .",
    "( See below . ) | Then go .",
    "Mr. Smith met Dr. Watson . | They left .",
    "At 5 p.m. the train left . | Good",
    "At 5 p.m. | The train left .",
    "the U.S. Army . | Good",
    "cats , etc. | He left .",
    "cats , etc. and dogs .",
    "J. Watson came . | So did I . | Watson left .",
    "It cost 3.14 . | No. 5 came . | No . | That is all .",
    "Wait ... what ? | Yes .",
    "Wait ... | He left .",
    "What ? ! | Yes .",
    "1 . Introduction to it . | 2 . More",
    "Yahoo ! , said he . | Yes",
    "Well ! -- he left . | Yes",
    "see file . txt now",
]


@pytest.mark.parametrize("text", CHINESE)
@pytest.mark.parametrize("lang", ["zh", "char"])
def test_chinese(text, lang):
    # Word boundaries do not matter here, white space is dropped.
    expected = [part.replace(" ", "") for part in text.split("|") if part]
    assert split(text.replace("|", ""), lang) == expected


@pytest.mark.parametrize("text", ENGLISH)
def test_english_words_separated_by_spaces(text):
    expected = [part.strip() for part in text.split("|")]
    tokens = text.replace("|", " ").split()
    assert [" ".join(tokens[a:b]) for a, b in split_sentences(tokens)] == expected


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ('"Good." He left.', ['" Good . "', "He left ."]),
        ('He left. "Good," he said.', ["He left .", '" Good , " he said .']),
        ('He left. "Good." "Bad."', ["He left .", '" Good . "', '" Bad . "']),
        ("'It was so.' He left.", ["' It was so . '", "He left ."]),
        ("He left. 'It was so.'", ["He left .", "' It was so . '"]),
        ("the 'News.'\" I left", ["the ' News . ' \"", "I left"]),
        # An unmatched quote of a speech over several paragraphs changes nothing.
        ('"One speech. It goes on. And on.', ['" One speech .', "It goes on .", "And on ."]),
        ("Did he cry 'Fire!'? Yes.", ["Did he cry ' Fire ! ' ?", "Yes ."]),
        ("What? U.S. troops came.", ["What ?", "U.S. troops came ."]),
        ("see file.txt now. Go", ["see file . txt now .", "Go"]),
        ("Python 3.11.4. Go", ["Python 3.11.4 .", "Go"]),
    ],
)
def test_english_with_straight_quotes_told_apart_by_white_space(text, sentences):
    assert split(text, "en") == sentences


def test_every_token_is_in_one_sentence():
    tokens = ["“", "好", "。", "”", "他", "……", "来", "？", "！", "1", ".", "x"]
    spans = list(split_sentences(tokens))
    assert [i for start, end in spans for i in range(start, end)] == list(range(len(tokens)))
    assert list(split_sentences([])) == []
