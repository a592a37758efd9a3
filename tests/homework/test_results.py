"""Figures of a homework that no other command gives."""

import json
import math

import numpy as np
import pytest

from nplm_cli import run_folders
from nplm_cli.config import Config
from nplm_cli.corpus.preparation import Sources
from nplm_cli.corpus.shards import Part
from nplm_cli.homework import results
from nplm_cli.query.run import Run

RECORD = {
    "step": 3,
    "epoch": 0.5,
    "train_ppl": 90.5,
    "valid_ppl": 100.25,
    "tokens_per_second": 1000.0,
    "more": None,
}


def part(*sentences):
    """Sentences of ids, </s> (1) added to each."""
    ids = [number for sentence in sentences for number in (*sentence, 1)]
    starts = np.cumsum([0, *(len(sentence) + 1 for sentence in sentences)])
    return Part(np.array(ids, np.uint16), starts, np.zeros(1, np.int64), 0)


LONG = [list(range(start, start + 9)) for start in range(2, 50, 9)]


def test_long_sentences_that_stand_in_the_training_text_are_counted():
    train = part(LONG[0], [2, 3], LONG[1], LONG[2])
    valid = part(LONG[3], [2, 3], LONG[1], LONG[4][::-1], LONG[1])
    seen = set(results._long_sentences(train))
    assert results._repeated_share(seen, valid) == pytest.approx(2 / 4)
    assert results._repeated_share(seen, train) == 1
    assert results._repeated_share(seen, part([2, 3])) is None


def test_eight_words_are_long_and_seven_are_not():
    eight = list(range(2, 10))
    assert len(set(results._long_sentences(part(eight, eight)))) == 1
    assert list(results._long_sentences(part(eight[1:]))) == []
    assert results._repeated_share(set(), part(eight)) == 0
    assert results._repeated_share(set(), part(eight[1:])) is None


def test_a_known_sentence_takes_a_few_bytes_however_long_it_is():
    [digest] = results._long_sentences(part(list(range(2, 9000))))
    assert len(digest) == 16


def test_the_training_text_is_looked_through_once(tmp_path, monkeypatch):
    words = [f"w{a}{b}" for a in "abcdefgh" for b in "abcdefgh"]
    lines = [" ".join(words[i : i + 9]) for i in range(50)]
    (tmp_path / "text.txt").write_text("\n".join(lines * 2), "utf-8")
    config = Config().replace(split_by="order", valid_share=0.2, test_share=0.2, dim=4, hidden=4)
    run_folders.prepare_run(Sources((str(tmp_path / "text.txt"),)), tmp_path / "run", config)
    looked, real = [], results._long_sentences
    monkeypatch.setattr(results, "_long_sentences", lambda p: looked.append(p) or real(p))
    data = results._data(Run(tmp_path / "run"))
    assert set(data["repeated_share"]) == {"valid", "test"}
    assert [len(p.starts) for p in looked] == [
        data["parts"][name]["sentences"] + 1 for name in ("train", "valid", "test")
    ]


def test_a_learning_curve_survives_a_line_cut_short(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert results._curve(path) == []
    path.write_text(json.dumps(RECORD) + '\n[]\n{"step": 2, "valid_p', "utf-8")
    assert results._curve(path) == [RECORD]


@pytest.mark.parametrize("key", [key for key in RECORD if key != "more"])
def test_a_record_that_cannot_be_drawn_is_left_out(tmp_path, key):
    wrong = [{**RECORD, key: v} for v in ("3", [], True, -1, math.nan, math.inf, 10**400)]
    wrong.append({name: value for name, value in RECORD.items() if name != key})
    lines = [json.dumps(record) for record in (*wrong, RECORD, {"step": 1})]
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join([*lines, "[" * 100_000]), "utf-8")
    assert results._curve(path) == [RECORD]


@pytest.mark.parametrize("key", [key for key in RECORD if key != "more"])
def test_only_the_held_out_perplexity_may_be_missing(tmp_path, key):
    record = {**RECORD, key: None}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record), "utf-8")
    assert results._curve(tmp_path / "metrics.jsonl") == ([record] if key == "valid_ppl" else [])
