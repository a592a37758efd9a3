"""Text to a folder of ids: counts agree, explicit files win, the vocabulary is of training only."""

import errno
import itertools
import json

import numpy as np
import pytest

from nplm_cli.config import Config
from nplm_cli.corpus import preparation
from nplm_cli.corpus.preparation import Sources, check_sources, prepare
from nplm_cli.corpus.shards import open_parts
from nplm_cli.corpus.vocabulary import Vocabulary, load_unknown
from nplm_cli.errors import ConfigError, InputError

SEGMENTED = Config().replace(format="segmented", sentences="line")


def lines(count, seed=0, words=30):
    random = np.random.default_rng(seed)
    return [
        " ".join(f"w{min(n, words)}" for n in random.zipf(1.6, random.integers(1, 9)))
        for _ in range(count)
    ]


@pytest.fixture
def prepared(tmp_path):
    def run(train, valid=None, test=None, config=SEGMENTED):
        folder = tmp_path / "run"
        folder.mkdir()
        paths = {}
        for name, text in (("train", train), ("valid", valid), ("test", test)):
            if text is not None:
                (tmp_path / f"{name}.txt").write_text("\n".join(text) + "\n", "utf-8")
                paths[name] = (str(tmp_path / f"{name}.txt"),)
        messages = []
        result = prepare(folder, Sources(**paths), config, messages.append)
        return result, open_parts(folder / "data"), folder, messages

    return run


def decode(part, vocabulary):
    tokens = np.array(vocabulary.tokens)[part.ids_N]
    starts = part.starts.tolist()
    return [" ".join(tokens[a : b - 1]) for a, b in itertools.pairwise(starts)]


def test_counts_agree_everywhere(prepared):
    text = lines(400)
    result, parts, folder, _ = prepared(text, config=SEGMENTED.replace(max_size=15))
    assert list(parts) == ["train", "valid", "test"]
    assert sum(p.sentences for p in parts.values()) == 400
    assert sum(p.words for p in parts.values()) == sum(len(t.split()) for t in text)
    assert sum(p.characters for p in parts.values()) == sum(len(t.replace(" ", "")) for t in text)
    for name, part in parts.items():
        assert result.parts[name] == {
            "sentences": part.sentences,
            "words": part.words,
            "predictions": part.predictions,
            "oov": part.oov(),
            "characters": part.characters,
        }
        assert (part.ids_N[part.starts[1:] - 1] == 1).all()
        assert np.count_nonzero(part.ids_N == 1) == part.sentences
        assert part.ids_N.dtype == np.uint16
    assert result.record["parts"] == result.parts
    assert result.record["vocabulary_size"] == 17
    assert result.record["split_unit"] == "line"
    source = result.record["sources"]["train"]
    assert (source["sentences"], source["lines"], source["files"]) == (400, 400, 1)
    # Nothing of the first pass is left behind.
    assert sorted(p.name for p in (folder / "data").iterdir()) == sorted(
        ["index.json", *(f"{n}.{k}" for n in parts for k in ("ids", "sentences", "files"))]
    )


def test_the_text_comes_back_and_the_vocabulary_counts_the_training_part(prepared):
    text = lines(300)
    result, parts, folder, _ = prepared(text, config=SEGMENTED.replace(max_size=12))
    vocabulary = Vocabulary.load(folder / "vocabulary.tsv")
    train = [w for line in decode(parts["train"], vocabulary) for w in line.split()]
    for token, count in zip(vocabulary.tokens, vocabulary.counts.tolist(), strict=True):
        expected = parts["train"].sentences if token == "</s>" else train.count(token)
        assert count == expected, token
    known = set(vocabulary.tokens[2:])
    masked = sorted(" ".join(w if w in known else "<unk>" for w in t.split()) for t in text)
    assert sorted(s for p in parts.values() for s in decode(p, vocabulary)) == masked
    unknown = load_unknown(folder / "unknown.tsv")
    assert sum(unknown.values()) == vocabulary.counts[0] == parts["train"].oov()
    assert len(unknown) == result.cut.unk_types == result.record["unk_types"]


def test_explicit_files_win(prepared):
    result, parts, folder, _ = prepared(
        ["a b", "a c", "a b"], ["b c new", "a"], ["a"], SEGMENTED.replace(min_count=1)
    )
    vocabulary = Vocabulary.load(folder / "vocabulary.tsv")
    assert decode(parts["train"], vocabulary) == ["a b", "a c", "a b"]
    assert decode(parts["valid"], vocabulary) == ["b c <unk>", "a"]
    assert decode(parts["test"], vocabulary) == ["a"]
    assert "new" not in vocabulary
    assert result.parts["valid"]["oov"] == 1
    assert result.parts["valid"]["characters"] == 6


def test_with_a_validation_file_all_of_the_training_text_is_trained_on(prepared):
    _, parts, _, _ = prepared(lines(100), ["w1 w2"])
    assert list(parts) == ["train", "valid"]
    assert parts["train"].sentences == 100


def test_with_a_test_file_validation_is_split_off(prepared):
    _, parts, _, _ = prepared(lines(100), None, ["w1 w2"])
    assert list(parts) == ["train", "valid", "test"]
    assert parts["train"].sentences + parts["valid"].sentences == 100
    assert parts["test"].sentences == 1


def test_split_none(prepared):
    result, parts, _, _ = prepared(lines(30), config=SEGMENTED.replace(split_by="none"))
    assert list(parts) == ["train"]
    assert result.record["split_unit"] == "none"


def test_notes_are_told_and_recorded(prepared):
    result, _, _, messages = prepared(["a b c", "a b", "a"], ["a"])
    told = [m.text for m in messages if getattr(m, "warning", False)]
    assert told == list(result.cut.notes) == result.record["notes"]
    assert "words seen once are read as <unk>" in told[0]


def test_a_literal_unk(prepared):
    result, parts, folder, _ = prepared(["a <unk> b", "a b"], ["<unk> a"])
    vocabulary = Vocabulary.load(folder / "vocabulary.tsv")
    assert vocabulary.tokens == ("<unk>", "</s>", "a", "b")
    assert vocabulary.counts.tolist() == [1, 2, 2, 2]
    assert parts["train"].ids_N.tolist() == [2, 0, 3, 1, 2, 3, 1]
    assert result.record["unk_types"] is None
    assert "stands in the text itself" in result.record["unk_reason"]
    assert parts["train"].characters == 4


def test_blank_lines_that_are_kept_are_sentences(prepared):
    config = SEGMENTED.replace(blank_lines="keep", min_count=1)
    _, parts, _, _ = prepared(["a b", "", "a"], ["a", ""], config=config)
    assert parts["train"].ids_N.tolist() == [2, 3, 1, 1, 2, 1]
    assert parts["valid"].sentences == 2


def test_too_small_for_a_split(prepared):
    with pytest.raises(ConfigError, match="cannot be split"):
        prepared(["a b"])


def test_standard_input_only_once(tmp_path):
    with pytest.raises(ConfigError, match="only once"):
        prepare(tmp_path, Sources(train=("-",), valid=("-",)), SEGMENTED)


def test_same_bytes_twice(prepared, tmp_path):
    text = lines(200)
    _, _, folder, _ = prepared(text)
    first = {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    folder.rename(tmp_path / "old")
    _, _, folder, _ = prepared(text)
    assert {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == first


def test_sources_are_checked(prepared, tmp_path):
    result, _, _, _ = prepared(lines(100), lines(5, seed=2))
    record = json.loads(json.dumps(result.record))
    assert check_sources(record) == []
    valid = tmp_path / "valid.txt"
    valid.write_text(valid.read_text() + "one more\n")
    with pytest.raises(InputError, match="valid text has changed"):
        check_sources(record)
    valid.unlink()
    assert check_sources(record) == [str(valid)]


def test_a_text_that_can_no_longer_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_text("a b")
    record = {"sources": {"train": {"inputs": [str(path)], "sha256": "0"}}}

    def broken(path):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(preparation, "open_regular", broken)
    with pytest.raises(InputError, match=r"text\.txt: Input/output error"):
        check_sources(record)
