"""Which runs may stand in one ranking, judged from ids, vocabularies and policies."""

import dataclasses

import pytest

from nplm_cli.corpus.vocabulary import Vocabulary
from nplm_cli.evaluation.comparability import ScoredText, comparability, same_text, same_tokens

WORDS = ("我", "买", "书", "茶", "你", "苹果")
SENTENCES = ("我 买 书", "你 买 苹果", "我 买 茶")


@pytest.fixture(scope="module")
def text(make_part):
    """The text as a run with these words reads it; a file is a list of sentences."""

    def build(words=WORDS, sentences=SENTENCES, *, files=None, name="A", **settings):
        vocabulary = Vocabulary(["<unk>", "</s>", *words], [0] * (len(words) + 2))
        files = files or [sentences]
        part = make_part(
            *([vocabulary.encode(s.split()) for s in file] for file in files),
            characters=sum(len(s.replace(" ", "")) for file in files for s in file),
        )
        return ScoredText(name, vocabulary, part, settings.pop("context", "sentence"), **settings)

    return build


def ranked(*texts):
    return comparability(texts).ranked_by


def test_alike_is_ranked_by_perplexity(text):
    result = comparability([text(), text(name="B"), text(name="C")])
    assert (result.ranked_by, result.reasons) == ("ppl", [])
    assert result.by(0, 2) == "ppl"


def test_the_order_of_a_vocabulary_does_not_matter(text):
    assert ranked(text(), text(WORDS[::-1])) == "ppl"


@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_other_words_in_the_vocabulary_leave_bits(text, context):
    texts = [text(context=context), text(WORDS[:3], name="B", context=context)]
    result = comparability(texts)
    assert result.ranked_by == result.by(0, 1) == result.by(1, 0) == "bits_per_char"
    (reason,) = result.reasons
    assert reason.startswith("different vocabularies: A: 6 words; B: 3 words")


def test_as_many_words_but_others(text):
    result = comparability([text(WORDS[:3]), text(WORDS[1:4], name="B"), text(WORDS[:3], name="C")])
    assert "A, C: 3 words; B: as many, but not the same" in result.reasons[0]
    assert [result.by(0, 1), result.by(0, 2)] == ["bits_per_char", "ppl"]


@pytest.mark.parametrize(
    "changed",
    [
        ("我 买 书", "你 买 苹果", "我 买 书"),  # another word of one character
        ("我 买 书", "你 买 苹果"),
        ("我 买 书 你", "买 苹果", "我 买 茶"),  # other sentences of the same running words
        ("我 买 书", "你 买 苹果", "我 买 不"),  # one that no vocabulary holds
    ],
)
def test_another_text_is_not_ranked(text, changed):
    other = text(sentences=changed, name="B")
    result = comparability([text(), other])
    assert result.ranked_by is None
    assert result.by(0, 1) is None
    assert [r.split(":")[0] for r in result.reasons] == ["different texts"]
    assert not same_text(text(WORDS[:4]), text(sentences=changed))


def test_two_reasons(text):
    result = comparability([text(), text(WORDS[:4], sentences=SENTENCES[:2], name="B")])
    assert result.ranked_by is None
    assert [r.split(":")[0] for r in result.reasons] == [
        "different vocabularies",
        "different texts",
    ]


def test_policies(text):
    result = comparability([text(), text(context="stream", name="B")])
    assert (result.ranked_by, result.by(0, 1)) == (None, None)
    (reason,) = result.reasons
    assert "A: sentence; B: stream" in reason
    assert "--context" in reason


def test_breaks_of_a_running_text(text):
    files = [SENTENCES[:1], SENTENCES[1:]]
    assert ranked(text(), text(files=files)) == "ppl"
    streams = text(context="stream"), text(files=files, context="stream", name="B")
    assert ranked(*streams) is None
    assert ranked(streams[1], streams[1]) == "ppl"


CHARACTERS = ("我", "买", "书", "茶", "你", "苹", "果")
SPACED = ("我 买 书", "你 买 苹 果", "我 买 茶")


def test_characters_and_words_of_one_text(text):
    words, characters = text(source="x"), text(CHARACTERS, SPACED, name="B", source="x")
    result = comparability([words, characters])
    assert result.ranked_by == "bits_per_char"
    assert len(result.reasons) == 1
    assert not same_tokens(words, characters)


def test_other_tokens_need_the_same_source_and_the_same_known_sentences(text):
    words = text(source="x")
    assert not same_text(words, text(CHARACTERS, SPACED, source="y"))
    assert not same_text(text(), text(CHARACTERS, SPACED))
    changed = ("我 买 书", "你 买 苹 果", "我 买 书")
    assert not same_text(words, text(CHARACTERS, changed, source="x"))
    assert same_text(words, text(CHARACTERS[1:], changed, source="x"))  # 我 unknown: no evidence


def test_one_vocabulary_two_segmentations(text):
    both = (*WORDS, "苹", "果")
    result = comparability([text(both, source="x"), text(both, SPACED, name="B", source="x")])
    assert result.ranked_by == "bits_per_char"
    assert [r.split(":")[0] for r in result.reasons] == ["different segmentations of one text"]


def test_digests_see_what_ids_cannot(text):
    few = WORDS[:2]
    a, b = text(few), text(few, ("我 买 书", "你 买 香蕉", "我 买 茶"))
    assert same_text(a, b)  # the unknown words differ, and nothing stored tells
    a, b = (dataclasses.replace(t, digests_S=d) for t, d in ((a, (b"1", b"2")), (b, (b"1", b"3"))))
    assert not same_text(a, b)
    assert not same_tokens(a, b)
    assert same_text(a, dataclasses.replace(b, digests_S=a.digests_S))


def test_alike_in_pairs_but_not_all(text):
    """Unknown words of other lengths: the same ids, another text."""
    few = WORDS[:2]
    a = text(few)
    b = text(few, ("我 买 书", "你 买 香蕉水", "我 买 茶"), name="B")
    c = text(WORDS[:3], name="C")
    result = comparability([a, b, c])
    assert [result.by(0, 1), result.by(0, 2), result.by(1, 2)] == ["ppl", "bits_per_char", None]
    assert result.ranked_by is None
