"""What is written, what is derived from the results, and what is asked of the student."""

import copy
import json
from pathlib import Path

import pytest

from nplm_cli import reports as reports_package
from nplm_cli.errors import ConfigError
from nplm_cli.reports import write_report
from nplm_cli.reports.corpus_tables import comparison_tables, data_tables, perplexity_tables
from nplm_cli.reports.method import method
from nplm_cli.reports.questions import questions
from nplm_cli.reports.study_tables import alignment_tables, alignment_warning
from nplm_cli.reports.summary import (
    dots,
    held_out_part,
    model_label,
    query_blocks,
    spread,
    unstable,
    unstable_share,
)
from nplm_cli.reports.tables import Cell, Table, fixed, percent, rounded
from nplm_cli.reports.texts import Texts


def test_files_are_those_returned_and_repeat_to_the_byte(tmp_path, make_results):
    results = json.loads(json.dumps(make_results(queries=1, archs=("ffn", "rnn"))))
    kept = copy.deepcopy(results)
    written = write_report(tmp_path / "new" / "folder", results, "en")
    assert results == kept
    found = sorted(path for path in (tmp_path / "new" / "folder").rglob("*") if path.is_file())
    assert sorted(written) == found
    before = {path: path.read_bytes() for path in found}
    write_report(tmp_path / "new" / "folder", results, "en")
    assert {path: path.read_bytes() for path in found} == before


def test_unknown_language_is_refused(tmp_path, make_results):
    with pytest.raises(ConfigError, match="'fr': expected zh or en"):
        write_report(tmp_path, make_results(queries=1), "fr")
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named(monkeypatch):
    reports_package.require()
    monkeypatch.setattr(
        reports_package, "find_spec", lambda name: None if name == "sklearn" else object()
    )
    with pytest.raises(
        ConfigError, match=r"needs scikit-learn, not installed: pip install scikit-learn$"
    ):
        reports_package.require()


def test_spread_and_stability():
    assert spread([2.0, None, 4.0]) == (3.0, 2.0, 4.0)
    assert spread([2.0, 4.0]).width == 2.0
    assert spread([None]) is None
    assert [unstable(n, 3) for n in (1, 2, 3)] == [True, False, False]
    assert [unstable(n, 2) for n in (1, 2)] == [True, False]
    assert not unstable(1, 1)
    assert (dots(2, 3), dots(1, 1)) == ("●●○", "")


def test_unstable_share_counts_all_lists():
    lists = [
        {"lists": {"ffn": [{"seeds": 1}, {"seeds": 3}]}},
        {"lists": {"ffn": [{"seeds": 2}, {"seeds": 1}]}},
    ]
    assert unstable_share({"neighbors": lists}, "ffn", 3) == 0.5
    assert unstable_share({"neighbors": lists}, "rnn", 3) is None
    assert unstable_share({"neighbors": lists}, "ffn", 1) is None


def test_part_of_the_result_is_what_every_run_has(make_corpus):
    corpus = make_corpus("en", odd=False, queries=1)
    assert held_out_part(corpus) == "test"
    corpus["models"][1]["seeds"][2]["test"] = None
    assert held_out_part(corpus) == "valid"
    corpus["models"][0]["seeds"][0]["valid"] = None
    assert held_out_part(corpus) is None


def test_pairs_have_one_id_each(make_corpus):
    [block] = query_blocks(make_corpus("en", odd=False, queries=1, k=3), ["ffn", "rnn"], 3)
    for found in block["lists"]:
        for row in found["rows"]:
            assert block["pairs"][row["pair"]] == row["word"]
    assert len(set(block["pairs"].values())) == len(block["pairs"])


def test_names_and_numbers():
    assert [model_label(a) for a in ("ffn", "lstm-2", "new")] == ["FNN", "LSTM-2", "new"]
    assert (fixed(-0.0004, 3), fixed(-12.3), fixed(1234.5, 1)) == ("0.000", "−12.30", "1,234.5")
    assert [rounded(x) for x in (9.876, 99.99, 687.03, 1760.4)] == [
        "9.88",
        "99.99",
        "687.0",
        "1,760",
    ]
    assert percent(0.33333, 2) == "33.33\N{NO-BREAK SPACE}%"


def test_column_of_figures_is_found():
    table = Table(
        "t",
        "c",
        ["a", "b", "c"],
        [[Cell("x"), Cell("1", 1), Cell("–")], [Cell("y"), Cell("–"), Cell("–")]],
    )
    assert table.figures == [False, True, False]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_method_tells_the_settings(make_results, lang):
    results = make_results(queries=2)
    told = "\n".join(method(results, Texts(lang)))
    for fact in (
        "words_$1_.zh.txt",
        "53,000",
        "adamw",
        "0.002",
        "0.1",
        "FNN",
        "Elman 1990",
        "5\N{NO-BREAK SPACE}%",
    ):
        assert fact in told
    results["settings"]["training"] |= {
        "budget": "10m",
        "lr": 0.5,
        "context": "stream",
        "clip": 0,
        "patience": 0,
    }
    results["corpora"][0]["data"] |= {
        "split_unit": "none",
        "unk_types": None,
        "unk_reason": "of a reason",
        "oov_share": {"train": 0.0},
    }
    results["plan"] |= {"words_file": "folder/my words.txt", "seeds": [4]}
    results["corpora"][0]["drawn_ranks"] = None
    results["corpora"][0]["models"][0] |= {"arch": "newest", "title": "its own title"}
    told = "\n".join(method(results, Texts(lang)))
    assert "folder" not in told
    for fact in ("10m", "0.5", "my words.txt", "4", "its own title"):
        assert fact in told


def test_questions_state_figures_and_end_in_a_question(make_results):
    results = make_results(queries=3)
    models = results["corpora"][0]["models"]
    for model, values in zip(
        models, ([30.0, 31.0, 32.0], [29.0, 29.5, 30.0], [27.0, 27.0, 27.0]), strict=True
    ):
        for run, value in zip(model["seeds"], values, strict=True):
            run["test"]["ppl"] = value
    [(name, asked)] = questions(results, Texts("en"))
    assert name == "words_$1_.zh.txt"
    assert asked[0] == (
        "On the test part FNN has perplexity 31.00, RNN 29.50: a difference of 1.50. Over 3 seeds FNN ranges over 2.00, RNN over 1.00. "
        "Is the difference larger than what another seed brings about?"
    )
    assert all(question.endswith("?") for question in asked)
    assert len(asked) == 3 + 2 + 1 + 3 + 2
    assert not [q for q in asked if " better than " in q or "therefore" in q or "significant" in q]


def test_questions_of_one_seed_and_of_no_held_out_text(make_results):
    [(_, asked)] = questions(make_results(seeds=1, queries=2), Texts("en"))
    assert sum("from one seed each" in q for q in asked) == 3
    assert sum("Without a second seed" in q for q in asked) == 3
    assert not [q for q in asked if "at most half" in q]
    [(_, asked)] = questions(make_results(held_out=False, queries=2), Texts("en"))
    assert asked[0].startswith("No text was held out.")


def test_questions_of_two_languages(make_results, make_corpus):
    results = make_results(make_corpus("zh", queries=1), make_corpus("en", key="second", queries=1))
    groups = questions(results, Texts("zh"))
    assert [name for name, _ in groups] == [
        "words_$1_.zh.txt（中文）",
        "words_$1_.en.txt（英文）",
        "两种语言",
    ]
    assert len(groups[2][1]) == 3
    results["alignment"] = {
        arch: found | {"permutation": None} for arch, found in results["alignment"].items()
    }
    assert [name for name, _ in questions(results, Texts("zh"))] == [
        "words_$1_.zh.txt（中文）",
        "words_$1_.en.txt（英文）",
    ]


def test_the_package_loads_nothing_heavy():
    import subprocess
    import sys

    code = "import sys, nplm_cli.reports; print(sorted({'matplotlib', 'sklearn', 'jinja2', 'torch', 'scipy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.strip() == "[]"


def test_sources_are_named_by_file_alone(make_results):
    corpus = make_results(queries=1)["corpora"][0]
    corpus["data"]["sources"]["train"]["inputs"] = ["/home/someone/a b/one.txt", "two.txt", "-"]
    sources = data_tables(corpus, Texts("en"))[0]
    assert sources.rows[0][1].text == "one.txt, two.txt, -"


def test_why_a_figure_is_missing_is_said_in_the_reports_language(make_results):
    results = make_results(queries=1)
    corpus = results["corpora"][0]
    assert spaces_note(corpus) == Texts("zh")("table.spaces.note")
    for pair in corpus["comparison"]["group_pairs"]:
        pair["rsa"]["between"] = None
    assert spaces_note(corpus).endswith(Texts("zh")("spaces.no_ranks"))
    corpus["data"] |= {"unk_types": None, "unk_reason": "of a reason"}
    told = "".join(method(results, Texts("zh")))
    assert Texts("zh")("method.unk_in_text") in told
    corpus["data"]["oov_share"]["train"] = 0.0
    assert Texts("zh")("method.unk_nowhere") in "".join(method(results, Texts("zh")))


def spaces_note(corpus):
    return comparison_tables(corpus, Texts("zh"))[0].note


def test_few_pairs_of_a_dictionary_are_warned_of(make_corpus, make_results):
    results = make_results(make_corpus("zh", queries=1), make_corpus("en", key="second", queries=1))
    assert alignment_warning(results, Texts("en")) is None
    for found in results["alignment"].values():
        found["pairs_covered"] = 49
    assert alignment_warning(results, Texts("en")).startswith("49 pairs for 10 dimensions")
    assert "49" in alignment_warning(results, Texts("zh"))
    assert alignment_warning(make_results(queries=1), Texts("en")) is None


def test_where_the_words_come_from_is_told_of_each_corpus(make_corpus, make_results):
    results = make_results(make_corpus("zh", queries=2), make_corpus("en", key="second", queries=3))
    results["plan"]["words_file"] = "mine.txt"
    results["corpora"][0]["drawn_ranks"] = None
    told = method(results, Texts("en"))[-1]
    assert "words_$1_.zh.txt (Chinese) that are looked at are those of the list mine.txt" in told
    assert "words_$1_.en.txt (English) that are looked at were drawn by seed 1 from its" in told
    assert f"ranks 101 to {results['corpora'][1]['drawn_ranks'][1]}:" in told


def test_a_long_dictionary_is_shown_in_part(make_corpus, make_results):
    results = make_results(make_corpus("zh", queries=1), make_corpus("en", key="second", queries=1))
    found = results["alignment"]["ffn"]
    found["pairs"] = [found["pairs"][0] | {"source": f"w{i}"} for i in range(90)]
    table = alignment_tables(results, Texts("en"))[1]
    assert [row[0].text for row in table.rows] == [f"w{i}" for i in range(0, 90, 3)]
    assert "30 of 90, the others are in results.json" in table.caption
    found["pairs"] = []
    assert alignment_tables(results, Texts("zh"))[1].rows == []


def test_baselines_have_all_figures_that_their_ledger_has(make_results):
    corpus = make_results(queries=1)["corpora"][0]
    for run in [run for model in corpus["models"] for run in model["seeds"]]:
        kneser_ney = run["test"]["baselines"]["kneser_ney"]
        kneser_ney |= {"ppl": 33.1, "ppl_excluding_oov": 88.8, "bits_per_char": 6.25}
    [row] = [
        [cell.text for cell in row]
        for row in perplexity_tables(corpus, Texts("en"))[0].rows
        if row[0].text.startswith("Kneser")
    ]
    assert row[1:] == ["33.10", "–", "88.80", "–", "6.25", "–"]
