"""The sample dictionary: one pair a line, none twice, and words that the sample corpora have."""

from collections import Counter
from pathlib import Path

import pytest

from nplm_cli.vectors.dictionary import read_dictionary


@pytest.fixture(scope="module")
def pairs(samples: Path) -> list[tuple[str, str]]:
    return read_dictionary(str(samples / "dictionary.tsv"))


@pytest.fixture(scope="module")
def counts(samples: Path) -> tuple[Counter[str], Counter[str]]:
    """Words of the training parts: Chinese, English."""
    zh, en = (
        Counter((samples / language / "segmented" / "train.txt").read_text("utf-8").split())
        for language in ("zh", "en")
    )
    return zh, en


def test_lines_are_pairs_with_a_tab_and_none_occurs_twice(
    samples: Path, pairs: list[tuple[str, str]]
) -> None:
    text = (samples / "dictionary.tsv").read_bytes().decode("utf-8")
    lines = text.removesuffix("\n").split("\n")
    written = [line for line in lines if not line.startswith("#")]
    assert all(line.count("\t") == 1 and len(line.split()) == 2 for line in written)
    assert len(set(written)) == len(written)
    assert ["\t".join(pair) for pair in pairs] == written
    assert 300 <= len(pairs) <= 500


def test_every_word_occurs_in_its_corpus(
    pairs: list[tuple[str, str]], counts: tuple[Counter[str], Counter[str]]
) -> None:
    zh, en = counts
    assert [a for a, _ in pairs if a not in zh] == []
    assert [b for _, b in pairs if b not in en] == []


def test_enough_pairs_are_among_the_thousand_most_frequent_words(
    pairs: list[tuple[str, str]], counts: tuple[Counter[str], Counter[str]]
) -> None:
    """The vocabulary of ``--preset homework`` covers them: five pairs a dimension and more."""
    zh, en = (
        set(sorted(counter, key=lambda word: (-counter[word], word))[:1000]) for counter in counts
    )
    covered = [(a, b) for a, b in pairs if a in zh and b in en]
    assert len(covered) >= 400
    assert len({a for a, _ in covered}) >= 300
