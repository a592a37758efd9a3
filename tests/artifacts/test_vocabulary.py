"""The three cuts, where <unk> gets its mass from, vocabulary.tsv and its errors, coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.config import VocabularyConfig
from nplm_cli.corpus import vocabulary as module
from nplm_cli.corpus.vocabulary import (
    Vocabulary,
    coverage,
    cut_vocabulary,
    load_unknown,
    save_unknown,
)
from nplm_cli.errors import ArtifactError, InputError

COUNTS = {"c": 5, "b": 5, "a": 3, "词": 2, "e": 1, "d": 1}
words_and_counts = st.dictionaries(
    st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=3),
    st.integers(1, 6),
    min_size=1,
    max_size=20,
)


def cut(counts, **settings):
    return cut_vocabulary(counts, 4, VocabularyConfig(**settings))


def test_specials_first_then_by_count_and_code_point():
    result = cut(COUNTS, min_count=1)
    assert result.vocabulary.tokens == ("<unk>", "</s>", "b", "c", "a", "词", "d", "e")
    assert result.vocabulary.counts.tolist() == [0, 4, 5, 5, 3, 2, 1, 1]


def test_min_count():
    result = cut(COUNTS, min_count=3)
    assert result.vocabulary.tokens[2:] == ("b", "c", "a")
    assert result.unknown == [("词", 2), ("d", 1), ("e", 1)]
    assert (result.unk_types, result.unk_reason) == (3, None)
    assert result.vocabulary.counts[0] == 4


def test_max_size_does_not_count_the_specials():
    result = cut(COUNTS, max_size=2)
    assert result.vocabulary.tokens == ("<unk>", "</s>", "b", "c")
    assert result.vocabulary.counts.tolist() == [7, 4, 5, 5]
    assert result.unk_types == 4


def test_both_cuts_together():
    assert cut(COUNTS, max_size=4, min_count=3).vocabulary.tokens[2:] == ("b", "c", "a")
    assert cut(COUNTS, max_size=1, min_count=3).vocabulary.tokens[2:] == ("b",)


def test_default_is_20000_words():
    many = {f"w{i:05}": 2 for i in range(20_005)}
    result = cut(many)
    assert len(result.vocabulary) == 20_002
    assert result.unk_types == 5
    assert result.notes == ()


def test_without_a_cut_words_seen_once_become_unknown_and_a_note_says_so():
    for given_cut in ({}, {"max_size": 6}, {"max_size": 100}):
        result = cut(COUNTS, **given_cut)
        assert result.vocabulary.tokens[2:] == ("b", "c", "a", "词")
        assert result.vocabulary.counts[0] == 2
        assert result.unk_types == 2
        [note] = result.notes
        assert "the 2 words seen once are read as <unk>" in note


def test_min_count_1_only_warns():
    result = cut(COUNTS, min_count=1)
    assert len(result.vocabulary) == 8
    assert result.vocabulary.counts[0] == 0
    assert result.unk_types is None
    assert result.unk_reason == "no word of the training text is unknown"
    [note] = result.notes
    assert "<unk> has no training mass" in note


def test_no_word_is_seen_once():
    """Then nothing can be read as <unk>, and the note must not say that it is."""
    result = cut({"a": 4, "b": 2})
    assert result.vocabulary.counts.tolist() == [0, 4, 4, 2]
    [note] = result.notes
    assert "<unk> has no training mass" in note
    assert "the 0 words" not in note


@pytest.mark.parametrize("settings", [{}, {"min_count": 1}, {"max_size": 3}])
def test_a_literal_unk_is_the_unknown_word(settings):
    result = cut({**COUNTS, "<unk>": 9}, **settings)
    assert result.vocabulary.tokens[:2] == ("<unk>", "</s>")
    assert "<unk>" not in result.vocabulary.tokens[2:]
    assert result.unk_types is None
    assert "stands in the text itself" in result.unk_reason
    assert result.notes == ()
    left_out = sum(n for _, n in result.unknown)
    assert result.vocabulary.counts[0] == 9 + left_out
    # With a literal <unk> nothing has to be turned into it.
    assert len(result.unknown) == (3 if settings == {"max_size": 3} else 0)


@pytest.mark.parametrize(
    ("counts", "settings"), [({}, {}), ({"a": 1, "b": 1}, {}), ({"a": 1}, {"min_count": 2})]
)
def test_no_word_left(counts, settings):
    with pytest.raises(InputError, match=r"no word is left .*--min-count 1"):
        cut(counts, **settings)


@given(words_and_counts, st.none() | st.integers(1, 25), st.none() | st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_no_token_is_lost(counts, size, least):
    try:
        result = cut(counts, max_size=size, min_count=least)
    except InputError:
        return
    vocabulary = result.vocabulary
    assert vocabulary.counts[0] + vocabulary.counts[2:].sum() == sum(counts.values())
    known, unknown = set(vocabulary.tokens[2:]), {w for w, _ in result.unknown}
    assert known | unknown == set(counts)
    assert not known & unknown
    assert vocabulary.counts[2:].tolist() == [counts[w] for w in vocabulary.tokens[2:]]
    assert vocabulary.counts[0] > 0 or least == 1 or min(counts.values()) > 1
    assert result.unk_types == (len(unknown) or None)


def test_a_vocabulary_file_of_the_users(tmp_path):
    path = tmp_path / "v.tsv"
    path.write_text("<unk>\t0\n</s>\t0\n词\t7\nnew\t1\na\t1\n", "utf-8")
    result = cut(COUNTS, vocab=str(path))
    assert result.vocabulary.tokens == ("<unk>", "</s>", "词", "new", "a")
    assert result.vocabulary.counts.tolist() == [12, 4, 2, 0, 3]
    assert result.unknown == [("b", 5), ("c", 5), ("d", 1), ("e", 1)]
    assert result.unk_types == 4


def test_a_vocabulary_file_that_holds_every_word(tmp_path):
    path = tmp_path / "v.tsv"
    path.write_text("<unk>\t0\n</s>\t0\n" + "".join(f"{w}\t1\n" for w in COUNTS), "utf-8")
    result = cut(COUNTS, vocab=str(path))
    assert result.unk_types is None
    assert "holds every word" in result.notes[0]


def test_a_vocabulary_file_without_words(tmp_path):
    path = tmp_path / "v.tsv"
    path.write_text("<unk>\t0\n</s>\t0\n", "utf-8")
    with pytest.raises(InputError, match="no word is left"):
        cut(COUNTS, vocab=str(path))


# --- the file -----------------------------------------------------------------------------------


@given(words_and_counts)
@settings(max_examples=50, deadline=None)
def test_save_and_load(tmp_path_factory, counts):
    counts.pop("<unk>", None)
    vocabulary = cut(counts, min_count=1).vocabulary
    path = tmp_path_factory.getbasetemp() / "vocabulary.tsv"
    vocabulary.save(path)
    loaded = Vocabulary.load(path)
    assert loaded.tokens == vocabulary.tokens
    assert loaded.counts.tolist() == vocabulary.counts.tolist()


def test_the_line_number_is_the_id(tmp_path):
    vocabulary = cut(COUNTS, max_size=2).vocabulary
    vocabulary.save(tmp_path / "v.tsv")
    assert (tmp_path / "v.tsv").read_bytes() == b"<unk>\t7\n</s>\t4\nb\t5\nc\t5\n"
    assert vocabulary.index == {"<unk>": 0, "</s>": 1, "b": 2, "c": 3}
    assert vocabulary.encode(["c", "zebra", "b", "<unk>"]) == [3, 0, 2, 0]
    assert "b" in vocabulary
    assert "zebra" not in vocabulary


GOOD = "<unk>\t7\n</s>\t4\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "expected 'token<TAB>count'"),
        ("\n", 1, "expected"),
        ("</s>\t1\n<unk>\t2\n", 1, "begins with"),
        ("<unk>\t1\n", 1, "begins with"),
        (GOOD + "word\n", 3, "expected"),
        (GOOD + "word 5\n", 3, "expected"),
        (GOOD + "a\t1\n\nb\t1\n", 4, "expected"),
        (GOOD + "\t5\n", 3, "expected"),
        (GOOD + "a\t\n", 3, "expected"),
        (GOOD + "a\t-1\n", 3, "expected"),
        (GOOD + "a\t1.5\n", 3, "expected"),
        (GOOD + "a\t1\t2\n", 3, "expected"),
        (GOOD + "a\t٣\n", 3, "expected"),
        (GOOD + "a\t²\n", 3, "expected"),
        (GOOD + "a\t" + "9" * 30 + "\n", 3, "expected"),
        (GOOD + "a\t1\r\n", 3, "expected"),
        (GOOD + "a\t1\nb\t1\na\t2\n", 5, "a second time"),
        (GOOD + "<unk>\t2\n", 3, "a second time"),
        (GOOD + "a b\t2\n", 3, "white space"),
        (GOOD + "a\u3000\t2\n", 3, "white space"),
        (GOOD + "\ufeff \t2\n", 3, "white space"),
    ],
)
def test_malformed_files_name_the_line(tmp_path, text, line, message):
    path = tmp_path / "v.tsv"
    path.write_bytes(text.encode())
    with pytest.raises(ArtifactError, match=message) as caught:
        Vocabulary.load(path)
    assert f"v.tsv:{line}: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_utf8_and_missing(tmp_path):
    (tmp_path / "v.tsv").write_bytes("<unk>\t1\n</s>\t1\n词\t1\n".encode("gb18030"))
    with pytest.raises(ArtifactError, match="byte 15 is not UTF-8"):
        Vocabulary.load(tmp_path / "v.tsv")
    with pytest.raises(ArtifactError, match="No such file"):
        Vocabulary.load(tmp_path / "none.tsv")


def test_a_vocabulary_in_memory_begins_with_the_specials():
    with pytest.raises(ArtifactError, match="begins with <unk> and </s>"):
        Vocabulary(["a", "b"], [1, 2])


def test_unknown_words_on_disk(tmp_path, monkeypatch):
    path = tmp_path / "unknown.tsv"
    assert load_unknown(path) == {}
    save_unknown(path, [])
    assert load_unknown(path) == {}
    save_unknown(path, [("词", 2), ("d", 1), ("e", 1)])
    assert load_unknown(path) == {"词": 2, "d": 1, "e": 1}
    monkeypatch.setattr(module, "MAX_UNKNOWN_LISTED", 2)
    save_unknown(path, [("词", 2), ("d", 1), ("e", 1)])
    assert load_unknown(path) == {"词": 2, "d": 1}


def test_coverage():
    rows = coverage({**COUNTS, "<unk>": 3}, [4, 2, 100, 2, 0])
    assert [(r.size, r.types, r.covered_tokens, r.unk_tokens) for r in rows] == [
        (0, 0, 0, 20),
        (2, 2, 10, 10),
        (4, 4, 15, 5),
        (100, 6, 17, 3),
    ]
    assert [r.unk_share for r in rows] == [1.0, 0.5, 0.25, 0.15]


def test_coverage_of_nothing():
    [row] = coverage({}, [5])
    assert (row.types, row.covered_tokens, row.unk_tokens, row.unk_share) == (0, 0, 0, 0)


def test_coverage_is_what_the_cut_leaves_over():
    counts = {f"w{i}": int(n) for i, n in enumerate(np.random.default_rng(0).zipf(1.5, 300))}
    for row in coverage(counts, [1, 10, 100]):
        assert cut(counts, max_size=row.size).vocabulary.counts[0] == row.unk_tokens
