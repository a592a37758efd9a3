"""The committed files: reproducible, large and varied enough, and consistent with each other."""

import importlib
import math
import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

PARTS = ("train", "valid", "test")
LANGUAGES = ("en", "zh")


def lines_of(path):
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]


def tokens_of(samples, language, parts=PARTS):
    for part in parts:
        for line in lines_of(samples / language / "segmented" / f"{part}.txt"):
            yield from line.split(" ")


def truth_of(samples, language, part):
    header, *rows = lines_of(samples / language / "truth" / f"{part}.tsv")
    assert header.split("\t") == ["logprob_e", "tokens", "topic", "text"]
    return [row.split("\t") for row in rows]


def test_the_committed_files_are_what_the_script_writes(generator, written, samples):
    assert generator.differences(written, samples) == []


def test_check_reports_a_difference(generator, written, samples, tmp_path):
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "classes.tsv").write_bytes(written["en/classes.tsv"] + b"x")
    assert "en/classes.tsv" in generator.differences(written, tmp_path)


def test_the_bytes_do_not_depend_on_the_hash_seed(samples, tmp_path):
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, samples / "generate.py", "--tokens", "3000", "--out", tmp_path / seed],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
    first = {p.relative_to(tmp_path / "1"): p for p in (tmp_path / "1").rglob("*") if p.is_file()}
    assert len(first) == 21
    for relative, path in first.items():
        assert path.read_bytes() == (tmp_path / "2" / relative).read_bytes()


@pytest.mark.parametrize("language", LANGUAGES)
def test_size_types_and_frequencies(samples, language):
    counts = Counter(tokens_of(samples, language))
    assert counts.total() == pytest.approx(200_000, rel=0.05)
    assert len(counts) >= 2_000
    ranked = np.array(sorted(counts.values(), reverse=True), dtype=float)
    unknown = 1 - ranked[:1000].sum() / ranked.sum()
    assert 0.05 < unknown < 0.15
    ranks = np.arange(10, 1001)
    slope = np.polyfit(np.log(ranks), np.log(ranked[9:1000]), 1)[0]
    assert -1.4 < slope < -0.8


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("part", ["valid", "test"])
def test_few_sentences_of_a_part_occur_in_training(samples, language, part):
    train = set(lines_of(samples / language / "segmented" / "train.txt"))
    held_out = lines_of(samples / language / "segmented" / f"{part}.txt")
    assert len(held_out) > 500
    assert sum(line in train for line in held_out) < 0.05 * len(held_out)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("part", ["valid", "test"])
def test_the_truth_names_the_sentences_of_its_part(samples, language, part):
    rows = truth_of(samples, language, part)
    text = lines_of(samples / language / "segmented" / f"{part}.txt")
    assert [row[3] for row in rows] == text
    assert [int(row[1]) for row in rows] == [len(line.split(" ")) for line in text]
    nats = sum(float(row[0]) for row in rows)
    predictions = sum(int(row[1]) + 1 for row in rows)
    assert 10 < math.exp(-nats / predictions) < 60


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_parsed_again_has_the_same_probability(generator, samples, language):
    documents = generator.documents
    source = documents.read_source(generator.HERE, language)
    for value, _, _, text in truth_of(samples, language, "test")[::40]:
        readings = documents.LANGUAGES[language].readings(text.split(" "))
        again = documents.sentence_logprob(source.grammar, source.topic_weights, readings)
        assert again == pytest.approx(float(value), abs=1e-6)


@pytest.mark.parametrize("language", LANGUAGES)
def test_documents_keep_to_their_topic(generator, samples, language):
    """The topic is information beyond the sentence: given it, sentences are more probable."""
    documents = generator.documents
    source = documents.read_source(generator.HERE, language)
    gain = 0.0
    for value, _, topic, text in truth_of(samples, language, "test")[::10]:
        inside = source.grammar.inside(documents.LANGUAGES[language].readings(text.split(" ")))
        gain += math.log(inside[source.grammar.topics.index(topic)]) - float(value)
    assert gain > 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_classes_hold_words_of_the_corpus(samples, language):
    header, *rows = lines_of(samples / language / "classes.tsv")
    assert header == "class\tword"
    words = {row.split("\t")[1] for row in rows}
    types = set(tokens_of(samples, language))
    assert len(words & types) > 0.9 * len(words)
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("part", PARTS)
def test_raw_chinese_is_the_segmented_text_without_spaces(samples, part):
    raw = lines_of(samples / "zh" / "raw" / f"{part}.txt")
    assert all(line.startswith("　　") for line in raw)
    segmented = lines_of(samples / "zh" / "segmented" / f"{part}.txt")
    assert "".join(line[2:] for line in raw) == "".join(segmented).replace(" ", "")


@pytest.mark.parametrize("part", PARTS)
def test_raw_english_is_the_segmented_text_with_other_spaces(samples, part):
    raw = lines_of(samples / "en" / "raw" / f"{part}.txt")
    segmented = lines_of(samples / "en" / "segmented" / f"{part}.txt")
    assert "".join(raw).replace(" ", "") == "".join(segmented).replace(" ", "")
    assert not any(re.search(r" [,.?!”]|“ |  ", line) for line in raw)


@pytest.mark.parametrize("part", PARTS)
def test_tagged_chinese_without_markup_is_the_segmented_text(samples, part):
    content = (samples / "zh" / "tagged" / f"{part}.txt").read_bytes()
    assert content.count(b"\n") == content.count(b"\r\n")
    half_width = {code + 0xFEE0: code for code in range(0x21, 0x7F) if chr(code).isalnum()}
    found = []
    for line in content.decode("gb18030").split("\r\n"):
        if not line:
            continue
        identifier, *items = line.split()
        assert re.fullmatch(r"2024\d{4}-\d{2}-\d{3}-\d{3}/m", identifier)
        for item in items:
            match = re.fullmatch(r"\[?(/|[^/{]+)(\{[a-z0-9]+\})?/[a-z]+(/%)?(\][a-z]+)?", item)
            assert match, item
            found.append(match[1].translate(half_width))
    assert found == list(tokens_of(samples, "zh", [part]))


def test_the_markup_has_every_feature_of_the_format(samples):
    text = (samples / "zh" / "tagged" / "train.txt").read_bytes().decode("gb18030")
    for feature in (r"\[\S+/ns  \S+/n\]nt", r"\{[a-z]+\d\}/", r"/l/%", r"  //w  ", r"[０-９]+/m"):
        assert re.search(feature, text), feature
    assert not re.search(r"[0-9A-Za-z]+年/t", text)
    # compounds are never nested
    assert re.fullmatch(r"[^\[\]]*(\[[^\[\]]*\][^\[\]]*)*", text)


def test_articles_have_identifiers_of_their_own(samples):
    seen = []
    for part in PARTS:
        text = (samples / "zh" / "tagged" / f"{part}.txt").read_bytes().decode("gb18030")
        seen += re.findall(r"^(\S+)/m", text, flags=re.MULTILINE)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("city", ("cities", "citied", "citying")),
        ("watch", ("watches", "watched", "watching")),
        ("bake", ("bakes", "baked", "baking")),
        ("play", ("plays", "played", "playing")),
        ("tie", ("ties", "tied", "tying")),
    ],
)
def test_english_inflection(generator, word, forms):
    english = importlib.import_module("corpus_maker.english")
    assert (english.plural(word), english.past(word), english.ing(word)) == forms


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("a apple fell .", "An apple fell ."),
        ("he saw a university .", "He saw a university ."),
        ("a hour later , “ a owl sang . ”", "An hour later , “ An owl sang . ”"),
    ],
)
def test_english_spelling_can_be_undone(generator, words, written):
    english = importlib.import_module("corpus_maker.english")
    word = importlib.import_module("corpus_maker.pcfg").Word
    tokens = english.spell([word(text) for text in words.split()])
    assert " ".join(tokens) == written
    readings = english.readings(tokens)
    assert all(text in reading for text, reading in zip(words.split(), readings, strict=True))


def test_measure_words_fit_their_nouns(samples):
    """A noun after a numeral and a measure word is one that the lexicon lists with it."""
    text = " ".join(tokens_of(samples, "zh"))
    for wrong in ("条 桌子", "个 狗", "本 信", "只 汽车", "张 书 ", "辆 火车"):
        assert wrong not in text
    for right in ("条 狗", "张 桌子", "本 书", "辆 汽车", "把 椅子"):
        assert right in text


def test_articles_agree_with_the_next_sound(samples):
    text = " ".join(tokens_of(samples, "en"))
    assert not re.search(r"\ba (apple|old|orange|egg|engineer|hour|owl)\b", text)
    assert not re.search(r"\ban (university|book|house|useful|one)\b", text)
