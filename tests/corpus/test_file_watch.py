"""Files of one input that are not like the others are told of."""

import pytest

from nplm_cli.config import CorpusConfig
from nplm_cli.corpus.formats import read_sentences

RAW_ZH = "他在城里住了很久，后来搬到乡下去种地；又过了几年，才回来看望老朋友。\n" * 12
SEGMENTED_ZH = "他 在 城里 住 了 很久 ， 后来 搬 到 乡下 去 种地 。\n" * 20
TAGGED = "19980101-01-001-001/m  他/r  在/p  城里/s  住/v  了/u  很/d  久/a  。/w\n" * 12
RAW_EN = "He lived in town for a long time, didn't he? Then he moved, and stayed there.\n" * 8
SEGMENTED_EN = "he lived in town for a long time , did n't he ? then he moved .\n" * 8
TEXTS = {
    "raw_zh": RAW_ZH, "seg_zh": SEGMENTED_ZH, "tagged": TAGGED, "raw_en": RAW_EN,
    "seg_en": SEGMENTED_EN,
}  # fmt: skip


@pytest.fixture
def told(tmp_path):
    """Names of texts -> what is told of files that look otherwise, by file."""

    def run(*names, **settings):
        events = []
        files = []
        for number, name in enumerate(names):
            files.append(str(tmp_path / f"{number}.txt"))
            # The first file has more lines than the recipe is decided by.
            text = TEXTS.get(name, name) * (100 if number == 0 else 1)
            (tmp_path / files[-1]).write_text(text, "utf-8")
        list(read_sentences(files, CorpusConfig(**settings), on_event=events.append))
        return [event for event in events if "look" in event]

    return run


@pytest.mark.parametrize(
    ("first", "second", "looks"),
    [
        ("seg_en", "raw_zh", "raw text, read as segmented"),
        ("seg_zh", "raw_zh", "raw text, read as segmented"),
        ("seg_zh", "tagged", "pku (People's Daily markup), read as segmented"),
        ("tagged", "raw_zh", "raw text, read as pku"),
        ("raw_zh", "seg_zh", "segmented (words separated by spaces), read as raw text"),
        ("raw_zh", "raw_en", "English, read as Chinese"),
        ("raw_en", "raw_zh", "Chinese, read as English"),
    ],
)
def test_another_kind_of_file_is_told_of(told, first, second, looks):
    (event,) = told(first, second, first)
    assert event.startswith("warning: ")
    assert f"1.txt looks like {looks}" in event


@pytest.mark.parametrize("name", TEXTS)
def test_files_of_one_kind_are_not_told_of(told, name):
    assert not told(name, name, name, "甲。\n", "short\n")


def test_what_the_user_says_is_not_doubted(told):
    assert not told("seg_zh", "raw_zh", format="segmented")


def test_many_files_are_counted(told):
    events = told("seg_zh", *["raw_zh"] * 5)
    assert len(events) == 4
    assert events[-1] == "warning: 2 more files look otherwise than they are read"
