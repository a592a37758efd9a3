"""What is shown: the numbers of the record, in both languages, on terminals and pages."""

import re
from pathlib import Path

import numpy as np
import pytest

from nplm_cli.bilingual import Table, Text
from nplm_cli.cli.app import run as run_command
from nplm_cli.explain import explain
from nplm_cli.explain.page import page
from nplm_cli.explain.sections import Heat, sections
from nplm_cli.plain import shortened, shown_number
from nplm_cli.query.predict import read_prompt
from nplm_cli.query.run import Run

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"
TEXT = "今天 罕见 看见 我 买"
KINDS = ("ffn-modern", "ffn-mean-3-layers-post", "ffn-no-layer", "rnn", "gru", "lstm-adaptive-tied")
KINDS += ("attention-window", "transformer", "kn", "mle", "addk")


def explained(run, text=TEXT, words=("书", "</s>")):
    return explain(run, read_prompt(run, text, segmented=True), words)


def texts_of(found):
    for section in found:
        yield section.title
        for block in section.blocks:
            if isinstance(block, Text):
                yield block
            elif isinstance(block, Table):
                yield from (cell for cell in block.columns if isinstance(cell, Text))
            elif isinstance(block, Heat):
                yield block.caption


@pytest.mark.parametrize("name", KINDS)
def test_both_languages_say_as_much(name, run_of):
    shown = sections(explained(run_of(name)))
    assert len(shown) >= 4
    for text in texts_of(shown):
        assert bool(text.en) == bool(text.zh)
        assert "{" not in text.en + text.zh
        if len(re.findall(r"[a-z]{3,}", re.sub(r"<\w+>|ln p.*", "", text.en))) > 1:
            assert re.search("[\u4e00-\u9fff]", text.zh), text


@pytest.mark.parametrize("name", KINDS)
def test_tables_and_maps_are_whole(name, run_of):
    record = explained(run_of(name))
    for section in sections(record, components=3):
        for block in section.blocks:
            if isinstance(block, Table):
                assert {len(row) for row in block.rows} <= {len(block.columns)}
            elif isinstance(block, Heat):
                assert len(block.rows) == len(block.values)
                assert {len(row) for row in block.values} == {len(block.columns)}
                there = [x for row in block.values for x in row if x is not None]
                assert block.signed or all(0 <= x <= 1 for x in there)


def test_the_units_shown_are_the_largest(run_of):
    record = explained(run_of("ffn"))
    (layer,) = record["layers"]
    [shown] = [s for s in sections(record, components=3) if s.title.en == "Hidden layer 1"]
    table = next(block for block in shown.blocks if isinstance(block, Table))
    largest = np.argsort(-np.abs(layer["influence"]))[:3]
    assert [row[0] for row in table.rows] == [str(i + 1) for i in largest]
    assert [row[-1] for row in table.rows] == [layer["influence"][i] for i in largest]
    made = next(s for s in sections(record, 3) if s.title.en == "What the logit is made of")
    rows = next(block for block in made.blocks if isinstance(block, Table)).rows
    assert sum(row[3] for row in rows[:-1]) == pytest.approx(rows[-1][3], abs=1e-12)


def test_a_later_word_is_blank_in_a_map_of_attention(run_of):
    shown = sections(explained(run_of("transformer")))
    heats = [b for s in shown for b in s.blocks if isinstance(b, Heat)]
    assert heats
    for heat in heats:
        for t, row in enumerate(heat.values):
            assert [value is None for value in row] == [s > t for s in range(len(row))]


def test_a_page_shows_every_number_of_its_maps(run_of):
    record = explained(run_of("gru"))
    written = page(record, "en")
    for section in sections(record):
        for block in section.blocks:
            if isinstance(block, Heat):
                for row in block.values:
                    assert all(f">{shown_number(x, block.places)}</td>" in written for x in row)


def test_a_unigram_model_sees_nothing(corpus, tmp_path):
    folder = tmp_path / "run"
    order = ["--arch", "ngram", "--order", "1", "--max-size", "24"]
    assert run_command(["train", str(corpus), "-o", str(folder), *order, "-q"]) == 0
    record = explained(Run(folder))
    assert record["places"] == []
    assert [moved["places"] for moved in record["attribution"]] == [[], []]
    assert run_command(["explain", str(folder), TEXT]) == 0
    assert "<h1>" in page(record, "zh")


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("书包里", 6, "书包里"),
        ("书包里", 5, "书包…"),
        ("书包里", 4, "书…"),
        ("a\x1b", 5, "a\\x1b"),
        ("a\x1b", 4, "a\\x…"),
        ("", 3, ""),
    ],
)
def test_words_are_shortened_to_columns(text, columns, expected):
    assert shortened(text, columns) == expected


def keys_of(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key != "settings":
                yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value[:3]:
            yield from keys_of(inner)


@pytest.mark.parametrize("name", KINDS)
def test_every_key_is_documented(name, run_of):
    text = FORMATS.read_text("utf-8")
    part = text[
        text.index("## JSON of nplm explain") : text.index("## JSON of the vector commands")
    ]
    [line] = [row for row in text.splitlines() if row.startswith("| `nplm explain` |")]
    named = set(re.findall(r"`(\w+)`", part + line)) | {"choices"}
    ranks = {f"{key}_rank" for key in ("occlusion", "gradient", "gradient_x_input")}
    assert set(keys_of(explained(run_of(name)))) <= named | ranks
