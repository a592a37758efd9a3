import contextlib
import gzip
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.config import CorpusConfig
from nplm_cli.corpus.formats import TextRecipe, read_sentences
from nplm_cli.errors import ArtifactError, ConfigError, InputError

PKU = """\
19980101-01-001-001/m  迈向/v  [中国/ns  政府/n]nt\r
19980101-01-001-002/m  １２月/t  ３１日/t  。/wj  “/wyz  好/a  ！/wt  ”/wyy  他/rr  说/v  。/wj\r
\r
19980101-01-002-001/m  上{shang5}/f\r
"""


def reader(text, *, recipe=None, on_event=None, **settings):
    return read_sentences(
        ["-"],
        CorpusConfig(**settings),
        recipe=recipe,
        stdin=io.BytesIO(text.encode()),
        on_event=on_event,
    )


def tokens(text, **settings):
    return [" ".join(sentence.tokens) for sentence in reader(text, **settings)]


def units(text, **settings):
    return [sentence[1:] for sentence in reader(text, **settings)]


def test_pku():
    assert tokens(PKU) == ["迈向 中国 政府", "12月 31日 。", "“ 好 ！ ”", "他 说 。", "上"]
    assert tokens(PKU, sentences="line") == [
        "迈向 中国 政府",
        "12月 31日 。 “ 好 ！ ” 他 说 。",
        "上",
    ]
    assert tokens(PKU, compounds="join", fold_width=False)[:2] == [
        "迈向 中国政府",
        "１２月 ３１日 。",
    ]
    assert tokens(PKU, keep_pos=True, compounds="join")[0] == "迈向/v 中国政府/nt"
    assert tokens(PKU, lang="char")[:2] == ["迈 向 中 国 政 府", "1 2 月 3 1 日 。"]
    # document, block, line, file
    assert units(PKU) == [(0, 0, 0, 0), (0, 1, 1, 0), (0, 1, 1, 0), (0, 1, 1, 0), (1, 2, 2, 0)]


def test_segmented():
    text = "我们 的 １９９８ ，\n\n<unk> </s> Ａb <s>"
    assert tokens(text) == ["我们 的 1998 ，", "<unk> &lt;/s&gt; Ab &lt;s&gt;"]
    assert tokens(text, fold_width=False, lowercase=True)[1] == "<unk> &lt;/s&gt; ａb &lt;s&gt;"
    assert tokens(text, lang="char")[0] == "我 们 的 1 9 9 8 ，"
    assert tokens("好 。 不 好 。", sentences="split", format="segmented") == ["好 。", "不 好 。"]
    assert units(text) == [(0, 0, 0, 0), (0, 1, 1, 0)]


def test_blank_lines():
    text = "a b\n\n \t\nc <unk>\n\n"
    assert tokens(text) == ["a b", "c <unk>"]
    assert tokens(text, blank_lines="keep") == ["a b", "", "", "c <unk>", ""]
    result = reader(text)
    list(result)
    assert (result.counts.lines, result.counts.blank_lines, result.counts.sentences) == (5, 3, 2)


def test_raw_chinese_and_english():
    assert tokens("我爱北京。１９９８年好！", lang="zh", format="raw") == [
        "我 爱 北京 。",
        "1998 年 好 ！",
    ]
    assert tokens("I don't. It's a day.") == ["I do n't .", "It 's a day ."]
    assert tokens("I Don't. It's a day.", lowercase=True, sentences="line") == [
        "i do n't . it 's a day ."
    ]
    assert tokens("我 a。", lang="char", format="raw") == ["我 a 。"]


def test_special_tokens_of_tagged_text_are_escaped_and_counted():
    events = []
    result = reader("<unk>/x <s>/x 好/a", on_event=events.append)
    assert [s.tokens for s in result] == [["&lt;unk&gt;", "&lt;s&gt;", "好"]]
    assert result.counts.escaped == 2
    assert len(result.warnings) == 1
    assert events[-1] == f"warning: {result.warnings[0]}"


def test_counts_and_events():
    events = []
    result = reader(PKU + "没有 标记/n 的/u 词/n\n", on_event=events.append)
    list(result)
    counts = result.counts
    assert (counts.files, counts.lines, counts.blank_lines, counts.sentences) == (1, 5, 1, 6)
    assert (counts.tokens, counts.characters) == (18, 27)
    assert (counts.malformed_total, counts.malformed) == (
        1,
        ["standard input:5: a word without a tag: '没有'"],
    )
    assert events == [
        "format: pku (People's Daily markup), language: Chinese",
        "warning: 1 malformed tokens, first standard input:5: a word without a tag: '没有'",
    ]


def test_only_the_first_twenty_faults_are_listed():
    result = reader("好/a " * 1000 + "没有 " * 50)
    list(result)
    assert (result.counts.malformed_total, len(result.counts.malformed)) == (50, 20)


def test_resolved_recipe_is_known_before_reading():
    result = reader(PKU, lowercase=True)
    assert result.recipe == TextRecipe(lang="zh", format="pku", sentences="split", lowercase=True)
    assert len(list(result)) == 5
    assert reader("a <unk>").recipe.sentences == "line"
    assert reader("我们", lang="char", format="raw").recipe.lang == "char"


def test_a_given_recipe_wins_and_a_different_format_is_told():
    recipe = TextRecipe(lang="zh", format="pku", sentences="line", lowercase=True)
    events = []
    result = reader("我们 的 Ab 。 好 。", recipe=recipe, on_event=events.append)
    assert [s.tokens for s in result] == [["我们", "的", "ab", "。", "好", "。"]]
    assert result.recipe.format == "segmented"
    assert events == [
        "format: segmented (words separated by spaces); the training text was pku (People's Daily markup)"
    ]


@pytest.mark.parametrize(
    ("training", "text", "found"),
    [
        # A few words look raw; beside a segmented text they are not.
        ("segmented", "the cat sat", "segmented"),
        ("segmented", "u.s. c$ n't the", "segmented"),
        ("segmented", "我们 好", "segmented"),
        ("pku", "我们", "segmented"),
        ("segmented", "The cat, it sat.", "raw"),
        ("segmented", "我们的祖国是花园。", "raw"),
        ("segmented", "我们/rr 好/a", "pku"),
        ("raw", "the cat sat", "raw"),
        ("raw", "the <unk> sat", "segmented"),
        ("pku", "", "pku"),
    ],
)
def test_format_of_a_text_beside_the_training_text(training, text, found):
    events = []
    recipe = TextRecipe(lang="zh", format=training, sentences="line")
    assert reader(text, recipe=recipe, on_event=events.append).recipe.format == found
    assert len(events) == (found != training)


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=60)
    | st.text(st.sampled_from('我们 /a[]{}n.。”"\n\r\t<unk></s>１9- \u3000'), max_size=80),
    st.builds(
        CorpusConfig,
        lang=st.sampled_from(["auto", "zh", "en", "char"]),
        format=st.sampled_from(["auto", "raw", "segmented", "pku"]),
        sentences=st.sampled_from(["auto", "line", "split"]),
        blank_lines=st.sampled_from(["skip", "keep"]),
        compounds=st.sampled_from(["open", "join"]),
        lowercase=st.booleans(),
    ),
)
def test_any_text_gives_clean_tokens(text, config):
    result = read_sentences(["-"], config, stdin=io.BytesIO(text.encode("utf-8", "ignore")))
    found = []
    with contextlib.suppress(InputError):
        found.extend(result)
    allowed = {"<unk>"} if result.recipe.format == "segmented" else set()
    for sentence in found:
        assert sentence.tokens or config.blank_lines == "keep"
        for token in sentence.tokens:
            assert token
            assert not any(map(str.isspace, token))
            assert token not in {"<unk>", "<s>", "</s>"} - allowed
    for place in range(1, 5):
        numbers = [sentence[place] for sentence in found]
        assert numbers == sorted(numbers)


def test_documents_are_files_and_blocks_are_set_off_by_blank_lines(tmp_path):
    (tmp_path / "a").write_text("A b.\nC d.\n\nE f. G h.\n")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"\nI j.\n"))
    result = read_sentences([str(tmp_path)], CorpusConfig())
    assert [(" ".join(s.tokens), *s[1:]) for s in result] == [
        ("A b .", 0, 0, 0, 0),
        ("C d .", 0, 0, 1, 0),
        ("E f .", 0, 1, 2, 0),
        ("G h .", 0, 1, 2, 0),
        ("I j .", 1, 2, 3, 1),
    ]
    assert result.counts.files == 2


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf\r\n"])
def test_nothing_at_all_is_an_error(tmp_path, data):
    (tmp_path / "empty.txt").write_bytes(data)
    with pytest.raises(InputError, match=r"empty\.txt: no text found"):
        list(read_sentences([str(tmp_path / "empty.txt")], CorpusConfig()))
    with pytest.raises(InputError, match="standard input"):
        list(reader(data.decode("utf-8-sig"), blank_lines="keep"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_encodings_give_identical_sentences(encoding, compress):
    data = compress(PKU.encode(encoding))
    result = read_sentences(["-"], CorpusConfig(), stdin=io.BytesIO(data))
    assert list(result) == list(reader(PKU))


def test_memory_does_not_grow_with_the_input():
    """Of a long input no more is read than the head and the block at hand."""

    class Endless(io.RawIOBase):
        def read(self, size=-1):
            return b"a , b .\n" * 10_000

    sentences = iter(read_sentences(["-"], CorpusConfig(), stdin=Endless()))
    assert [next(sentences).line for _ in range(50_000)][-1] == 49_999


RECIPE = TextRecipe(lang="en", format="raw", sentences="split", lowercase=True)


def test_recipe_of_one_sentence():
    assert RECIPE.tokenize("It’s ３pm. No!") == ["it", "'s", "3pm", ".", "no", "!"]
    assert RECIPE.tokenize_spans(" It’s")[1] == ("'s", 3, 5)
    pku = TextRecipe(lang="zh", format="pku", sentences="split")
    assert pku.tokenize("迈向/v  [中国/ns  政府/n]nt") == ["迈向", "中国", "政府"]
    assert pku.tokenize_spans("迈向 ２０ <unk>") == [("迈向", 0, 2), ("20", 3, 5), ("<unk>", 6, 11)]
    segmented = TextRecipe(lang="zh", format="segmented", sentences="line")
    assert segmented.tokenize("<unk> </s>\n我\u3000们") == ["<unk>", "&lt;/s&gt;", "我", "们"]


def test_tags_on_characters_are_refused():
    with pytest.raises(ConfigError, match="--keep-pos with --lang char"):
        list(reader(PKU, keep_pos=True, lang="char"))


def test_recipe_survives_the_file(tmp_path):
    path = tmp_path / "tokenizer.json"
    RECIPE.save(path)
    assert TextRecipe.load(path) == RECIPE
    assert json.loads(path.read_text())["format_version"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        ("{}", "no format version"),
        ('{"format_version": 99}', "upgrade nplm"),
        ('{"format_version": 1}', "no 'lang'"),
        (
            '{"format_version": 1, "lang": "auto", "format": "raw", "sentences": "line"}',
            "--lang 'auto'",
        ),
        (
            '{"format_version": 1, "lang": "zh", "format": "raw", "sentences": "line", "low": 1}',
            "'low'",
        ),
    ],
)
def test_a_corrupt_recipe_is_refused(tmp_path, text, message):
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(ArtifactError, match=message) as caught:
        TextRecipe.load(path)
    assert str(caught.value).startswith(str(path))
