import re
from collections import Counter

import pytest

from nplm_cli.config import CorpusConfig
from nplm_cli.corpus.formats import read_sentences

pytestmark = pytest.mark.real


def read(folder, name, **settings):
    reader = read_sentences([str(folder / name)], CorpusConfig(**settings))
    return list(reader), reader


def test_peoples_daily_as_it_is(real_corpora):
    events = []
    path = real_corpora / "pku199801" / "tagged.sample.gbk.txt"
    reader = read_sentences([str(path)], CorpusConfig(fold_width=False), on_event=events.append)
    types = Counter(token for sentence in reader for token in sentence.tokens)
    assert (reader.counts.lines, types.total(), len(types)) == (1903, 111_327, 15_983)
    assert events[0].endswith("GB18030")
    assert events[1] == "format: pku (People's Daily markup), language: Chinese"
    markup = re.compile(r"\[.|.*\][A-Za-z]|.*/[A-Za-z]|[0-9]{8}-|.*\{")
    assert [token for token in types if markup.match(token)] == []


@pytest.mark.parametrize(
    ("name", "lines", "blank", "tokens", "types"),
    [
        # types: 10,000 with </s>, of which <unk> is one
        ("ptb/ptb.train.txt", 42_068, 0, 887_521, 9_999),
        ("ptb/ptb.valid.txt", 3_370, 0, 70_390, None),
        ("wikitext2/valid.txt", 3_760, 1_299, 213_886, None),
        ("pku199801/words.valid.txt", 1_674, 0, 88_880, None),
    ],
)
def test_segmented_corpora_have_their_known_sizes(real_corpora, name, lines, blank, tokens, types):
    sentences, reader = read(real_corpora, name)
    assert reader.recipe.format == "segmented"
    assert reader.recipe.sentences == "line"
    counts = reader.counts
    assert (counts.lines, counts.blank_lines, counts.tokens) == (lines, blank, tokens)
    assert types is None or len({token for s in sentences for token in s.tokens}) == types


def test_raw_english_novels(real_corpora):
    sentences, reader = read(real_corpora, "raw_en/sherlock.txt")
    assert (reader.recipe.lang, reader.recipe.format) == ("en", "raw")
    tokens = Counter(token for s in sentences for token in s.tokens)
    assert 600_000 < tokens.total() < 700_000
    assert 30_000 < len(sentences) < 45_000
    assert max(len(s.tokens) for s in sentences) < 200
    ends = Counter(s.tokens[-1] for s in sentences)
    assert sum(ends[mark] for mark in '.!?"') > 0.95 * len(sentences)
    assert not {"Mr", "Mrs", "Dr", "don't", "it's"} & set(tokens)
    # A sentence gives the same tokens when it is scored by itself.
    text = [" ".join(s.tokens) for s in sentences[:3000]]
    assert [" ".join(reader.recipe.tokenize(t)) for t in text] == text


def test_raw_chinese_novel(real_corpora):
    sentences, reader = read(real_corpora, "raw_zh/hongloumeng.txt")
    assert (reader.recipe.lang, reader.recipe.format) == ("zh", "raw")
    assert 30_000 < len(sentences) < 40_000
    ends = Counter(s.tokens[-1] for s in sentences)
    assert sum(ends[mark] for mark in '．。？！”"') > 0.95 * len(sentences)
    assert not any(c.isspace() for s in sentences for token in s.tokens for c in token)
    assert reader.counts.characters == sum(len(token) for s in sentences for token in s.tokens)


def test_workers_and_places_on_a_novel(real_corpora):
    path = real_corpora / "raw_zh" / "hongloumeng.txt"
    one = list(read_sentences([str(path)], CorpusConfig()))
    assert list(read_sentences([str(path)], CorpusConfig(), workers=2)) == one
    lines = path.read_bytes().decode("utf-8-sig").split("\r\n")
    seen = []
    for sentence, places in read_sentences([str(path)], CorpusConfig(), workers=2).placed():
        seen.append(sentence)
        for token, place in zip(sentence.tokens, places, strict=True):
            assert place.start_line == place.end_line
            assert lines[place.start_line - 1][place.start : place.end] == token or token.isascii()
    assert seen == one
