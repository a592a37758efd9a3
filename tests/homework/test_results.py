"""Figures of a homework that no other command gives."""

import numpy as np
import pytest

from nplm_cli.corpus.shards import Part
from nplm_cli.homework import results


def part(*sentences):
    """Sentences of ids, </s> (1) added to each."""
    ids = [number for sentence in sentences for number in (*sentence, 1)]
    starts = np.cumsum([0, *(len(sentence) + 1 for sentence in sentences)])
    return Part(np.array(ids, np.uint16), starts, np.zeros(1, np.int64), 0)


LONG = [list(range(start, start + 9)) for start in range(2, 50, 9)]


def test_long_sentences_that_stand_in_the_training_text_are_counted():
    train = part(LONG[0], [2, 3], LONG[1], LONG[2])
    valid = part(LONG[3], [2, 3], LONG[1], LONG[4][::-1], LONG[1])
    assert results._repeated_share(train, valid) == pytest.approx(2 / 4)
    assert results._repeated_share(train, train) == 1
    assert results._repeated_share(train, part([2, 3])) is None


def test_eight_words_are_long_and_seven_are_not():
    eight = list(range(2, 10))
    assert results._repeated_share(part(eight), part(eight)) == 1
    assert results._repeated_share(part(eight[1:]), part(eight[1:])) is None


def test_a_learning_curve_survives_a_line_cut_short(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert results._curve(path) == []
    path.write_text('{"step": 1}\n[]\n{"step": 2, "valid_p', "utf-8")
    assert results._curve(path) == [{"step": 1}]
