"""The report in Markdown: tables of equal rows, words as text, figures that are there."""

import doctest
import html
import re

import pytest

from nplm_cli.reports import words, write_report
from nplm_cli.reports.words import markdown, shown

CASES = [("plain", "zh"), ("two", "en"), ("one_seed", "zh"), ("not_held_out", "en"), ("tiny", "zh")]


def text_of(reports, kind, lang):
    return (reports(kind, lang) / "report.md").read_text("utf-8")


def tables(text):
    """Blocks of lines that begin with a bar, as rows of raw cells."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.M)
    return [[line.strip()[1:-1].split("|") for line in block.splitlines()] for block in blocks]


@pytest.mark.parametrize(("kind", "lang"), CASES)
def test_tables_are_tables(reports, kind, lang):
    text = text_of(reports, kind, lang)
    found = tables(text)
    assert len(found) >= 8
    for head, rule, *rows in found:
        assert all(re.fullmatch(" ---:? ", cell) for cell in rule)
        assert rows
        assert {len(row) for row in [rule, *rows]} == {len(head)}
    for block in re.finditer(r"(?:^\|.*\n)+", text, re.M):
        assert text[: block.start()].endswith("\n\n")
        assert text[block.end() :].startswith("\n") or block.end() == len(text)


@pytest.mark.parametrize(("kind", "lang"), CASES)
def test_no_html_no_formula_no_leftover(reports, kind, lang):
    text = text_of(reports, kind, lang)
    outside_code = re.sub(r"^> |^    nplm .*$", "", text, flags=re.M)
    assert not re.search(r"(?<!^)[<>$`~]", outside_code)
    for leftover in ("{{", "{%", "None", "Markup", "&amp;", "&lt;", "http://", "\\n"):
        assert leftover not in text.replace("{{ 7&#42;7 }}", "").replace("{% raw %}", ""), leftover
    assert not re.search(r"\n{4,}", text)


@pytest.mark.parametrize(("kind", "lang"), CASES)
def test_figures_lie_beside_the_text(reports, kind, lang):
    folder = reports(kind, lang)
    named = re.findall(r"!\[[^\]]+\]\((figures/[\w-]+\.svg)\)", text_of(reports, kind, lang))
    assert sorted(named) == sorted(
        f"figures/{path.name}" for path in (folder / "figures").iterdir()
    )


def test_lists_of_neighbours_hold_the_words(reports, make_results):
    corpus = make_results()["corpora"][0]
    found = {
        tuple(cell.strip() for cell in table[0]): table
        for table in tables(text_of(reports, "plain", "zh"))
    }
    assert ("", "FNN", "RNN", "LSTM") in found
    lists = [
        t
        for t in tables(text_of(reports, "plain", "zh"))
        if [c.strip() for c in t[0]] == ["", "FNN", "RNN", "LSTM"]
    ]
    assert len(lists) == len(corpus["neighbors"])
    for table, query in zip(lists, corpus["neighbors"], strict=True):
        for place, row in enumerate(table[2:]):
            for arch, cell in zip(("ffn", "rnn", "lstm"), row[1:], strict=True):
                neighbor = query["lists"][arch][place]
                box, word, *_ = html.unescape(cell).strip().split(" ", 1)
                assert box == "☐"
                assert word.startswith(shown(neighbor["word"]) + " "), neighbor
                assert word.endswith("●" * neighbor["seeds"] + "○" * (3 - neighbor["seeds"]))


def test_every_odd_word_comes_back_from_its_escape(odd_words):
    for word in odd_words:
        written = markdown(word)
        assert html.unescape(written) == shown(word)
        assert not set(written) & set("|`*_<>[]$~\\\n\x1b\u202e")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("- x", "&#45; x"), ("# x", "&#35; x"), ("1. x", "&#49;&#46; x"), ("===", "&#61;&#61;&#61;"),
        ("33.30 %", "33.30 %"), ("-1", "-1"), ("a: b", "a: b"), (":smile:", "&#58;smile:"), ("www.x", "www&#46;x"),
        ("https://x", "https&#58;//x"), ("a@b", "a&#64;b"), ("\x00", "&#92;x00"), ("&lt;", "&#38;lt;"),
    ],
)  # fmt: skip
def test_only_what_means_something_is_escaped(text, written):
    assert markdown(text) == written


def test_examples_of_the_docstrings():
    from nplm_cli.reports import svg
    from nplm_cli.reports import tables as table_values

    for module in (words, svg, table_values):
        result = doctest.testmod(module)
        assert result.attempted > 0
        assert result.failed == 0


def test_the_command_is_code_that_no_word_of_it_ends(make_results, tmp_path):
    results = make_results(queries=1)
    results["command"] = ["nplm", "homework", "raw_en/`a`.txt", "--words", "a\n# b"]
    write_report(tmp_path, results, "en")
    lines = (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()
    command = r"    nplm homework 'raw_en/`a`.txt' --words $'a\n# b'"
    assert lines.count(command) == 1
    assert lines[lines.index(command) - 1] == ""
