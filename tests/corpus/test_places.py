"""Nothing is lost, and every token knows where in the source it stands."""

import io
import json
import re
from itertools import chain, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nplm_cli.config import CorpusConfig
from nplm_cli.corpus.formats import read_sentences
from nplm_cli.corpus.paragraphs import paragraphs
from nplm_cli.corpus.readers import Line
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.tokenizers import escape, fold_width
from nplm_cli.corpus.user_words import UserWords
from nplm_cli.errors import InputError

OWN = UserWords(
    {"人工 智能": None, "３Ｄ": 3, "AI芯片": None, "<unk>": 5, "a.b": None, "。”": None}
)
ALPHABET = "我们中国人工智能１９Ａａ.,'’-—…\"“”!?。，３．14,000 \t\u3000</s>unk@w:nt$%&_İΣé\u0301AI芯片D\x85\u2028🙂"
TEXTS = st.text(max_size=40) | st.text(st.sampled_from(ALPHABET), max_size=60)
RECIPES = st.builds(
    TextRecipe,
    lang=st.sampled_from(["zh", "en", "char"]),
    format=st.sampled_from(["raw", "segmented"]),
    sentences=st.sampled_from(["line", "split"]),
    fold_width=st.booleans(),
    lowercase=st.booleans(),
    fold_numbers=st.booleans(),
    user_words=st.sampled_from([OWN, UserWords()]),
)


def normalised(source, recipe):
    """What the settings make of a stretch of text, written out without the tokenizers."""
    text = "_".join(source.split())
    if recipe.fold_width:
        text = fold_width(text)
    if recipe.lang == "en" and recipe.format == "raw":
        text = text.replace("’", "'")
    if recipe.lowercase:
        text = text.lower()
    return re.sub(r"\d", "0", text) if recipe.fold_numbers else text


@settings(max_examples=600, deadline=None)
@given(TEXTS, RECIPES)
@example("人工 智能。”<unk>AI芯片", TextRecipe("zh", "raw", "split", user_words=OWN))
@example("他说<unk>了</s>。<s>", TextRecipe("zh", "raw", "split", lowercase=True))
@example("<UNK> </S>", TextRecipe("en", "raw", "line", lowercase=True))
def test_nothing_but_white_space_is_lost(text, recipe):
    """Joined, the tokens are the normalised text; each is what its own stretch normalises to."""
    sentences = list(recipe.split_spans(text))
    for spans in (recipe.tokenize_spans(text), list(chain.from_iterable(sentences))):
        assert "".join("".join(text[s:e].split()) for _, s, e in spans) == "".join(text.split())
        for token, start, end in spans:
            assert token
            assert not any(map(str.isspace, token))
            literal = token == "<unk>" and recipe.format == "segmented"
            expected = normalised(text[start:end], recipe)
            assert token == (token if literal else escape(expected)) or "’" in text[start:end]
            assert token.replace("’", "'") == expected.replace("’", "'") or token == escape(
                expected
            )
            assert literal or token not in ("<unk>", "</s>", "<s>")
        assert all(a.end <= b.start for a, b in pairwise(spans))
    assert [[span.token for span in spans] for spans in sentences] == list(recipe.split(text))


# --- places in the file -------------------------------------------------------------------------


def places(data, **settings):
    stdin = io.BytesIO(data.encode())
    return list(read_sentences(["-"], CorpusConfig(**settings), stdin=stdin).placed())


def source(lines, place):
    """The text of the file where a token stands."""
    first, last = place.start_line - 1, place.end_line - 1
    if first == last:
        return lines[first][place.start : place.end]
    return lines[first][place.start :] + "".join(lines[first + 1 : last]) + lines[last][: place.end]


def test_places_of_plain_lines():
    [(first, at), (second, there)] = places("\n  我 爱北京。\r\n１９９８年！\n", format="raw")
    assert first.tokens == ["我", "爱", "北京", "。"]
    assert at == [(2, 2, 2, 3), (2, 4, 2, 5), (2, 5, 2, 7), (2, 7, 2, 8)]
    assert second.tokens == ["1998", "年", "！"]
    assert there[0] == (3, 0, 3, 4)


def test_places_of_tagged_text():
    data = "19980101-01-001-001/m  [中国/ns  政府/n]nt  上{shang5}/f\n"
    [(sentence, at)] = places(data)
    assert [data[p.start : p.end] for p in at] == sentence.tokens == ["中国", "政府", "上"]
    [(sentence, at)] = places(data, compounds="join")
    assert [data[p.start : p.end] for p in at] == ["中国/ns  政府", "上"]
    [(sentence, at)] = places(data, compounds="join", lang="char")
    assert [data[p.start : p.end] for p in at] == sentence.tokens == list("中国政府上")


def test_places_in_hard_wrapped_text():
    text = "他在城里住了很久后来又回到了北京大学看望老师。" * 60
    lines = ["  " + text[:27], *(text[i : i + 29] for i in range(27, len(text), 29))]
    found = places("\n".join(lines), format="raw")
    divided = [
        (token, place)
        for sentence, at in found
        for token, place in zip(sentence.tokens, at, strict=True)
        if place.start_line != place.end_line
    ]
    words = {token for token, _ in divided}
    assert {"北京大学", "老师"} <= words
    assert all(place.end_line == place.start_line + 1 for _, place in divided)
    assert found[0][1][0] == (1, 2, 1, 3)
    for sentence, at in found:
        for token, place in zip(sentence.tokens, at, strict=True):
            assert source(lines, place) == token
    together = "".join(source(lines, place) for _, at in found for place in at)
    assert together == "".join("".join(lines).split())


def test_places_of_a_book_on_one_line(monkeypatch):
    monkeypatch.setattr("nplm_cli.corpus.paragraphs.MAX_PARAGRAPH_CHARACTERS", 10)
    text = "  " + "我们看书。" * 9
    [*cut] = paragraphs([Line(text, "f", 0, 7)])
    assert len(cut) > 2
    for line in cut:
        for offset, character in enumerate(line.text):
            number, column = line.place(offset)
            assert (number, text[column]) == (7, character)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(st.sampled_from(ALPHABET), max_size=30) | st.text(max_size=30), max_size=8),
    st.sampled_from(["auto", "raw", "segmented"]),
    st.sampled_from(["zh", "en", "char"]),
)
def test_places_point_at_the_file(texts, form, lang):
    lines = [
        re.sub("[\r\n\0\ufeff]", "", text.encode("utf-8", "ignore").decode()) for text in texts
    ]
    try:
        found = places("\n".join(lines), format=form, lang=lang)
    except InputError:
        assert not "".join("".join(lines).split())
        return
    at = [place for _, of in found for place in of]
    assert "".join("".join(source(lines, place).split()) for place in at) == "".join(
        "".join(lines).split()
    )
    assert at == sorted(at)


# --- the file of the recipe ---------------------------------------------------------------------


def test_own_words_survive_the_file(tmp_path):
    recipe = TextRecipe("zh", "raw", "split", fold_numbers=True, user_words=OWN)
    recipe.save(tmp_path / "tokenizer.json")
    again = TextRecipe.load(tmp_path / "tokenizer.json")
    assert again == recipe
    assert again.user_words.to_json() == OWN.to_json()
    record = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    assert (record["fold_numbers"], record["tokenizer"]) == (True, "jieba")


@pytest.mark.parametrize("lang", ["zh", "en", "char"])
def test_numbers_are_folded_after_the_text_is_cut(lang):
    recipe = TextRecipe(lang, "raw", "line", fold_numbers=True)
    text = "1998 3.14 1,000 5G"
    expected = TextRecipe(lang, "raw", "line").tokenize(text)
    assert recipe.tokenize(text) == [re.sub("[0-9]", "0", token) for token in expected]
    assert recipe.spelled("１９９８年") == "0000年"
