"""nplm compare: what is ranked, by what, and why not."""

import json
import shutil

import pytest

RUN_KEYS = {
    "run", "arch", "parameters", "tokens_per_second", "training_seconds", "rank", "ppl_ratio",
    "bits_per_char_ratio", "reason", "ledger",
}  # fmt: skip
COLUMNS = [
    "run", "arch", "parameters", "tokens_per_second", "training_seconds",
    "ppl", "ppl_without_eos", "ppl_excluding_oov", "ppl_oov_adjusted", "bits_per_char",
    "oov_share", "predictions", "context", "order", "kneser_ney_ppl", "ppl_ratio_to_kneser_ney",
    "rank", "ranked_by", "ratio_to_best", "interval_95",
]  # fmt: skip


@pytest.fixture(scope="module")
def counts(texts, tmp_path_factory, train):
    """Smoothed counts of the same text and vocabulary as ``ffn``."""
    folder = tmp_path_factory.mktemp("counts") / "run"
    train(texts / "seg.txt", folder, "--arch", "ngram", "--max-size", 30).ok()
    return folder


@pytest.fixture(scope="module")
def smaller(texts, tmp_path_factory, train):
    """The same text with fewer known words."""
    folder = tmp_path_factory.mktemp("smaller") / "run"
    train(texts / "seg.txt", folder, "--arch", "ngram", "--max-size", 12).ok()
    return folder


@pytest.fixture(scope="module")
def characters(texts, tmp_path_factory, train):
    """The same text as characters."""
    folder = tmp_path_factory.mktemp("characters") / "run"
    train(texts / "seg.txt", folder, "--arch", "ngram", "--lang", "char", "--min-count", 2).ok()
    return folder


@pytest.fixture(scope="module")
def lines(texts, tmp_path_factory):
    """Text that no run was trained on."""
    path = tmp_path_factory.mktemp("lines") / "lines.txt"
    text = (texts / "seg.txt").read_text("utf-8").splitlines()
    path.write_text("\n".join([*text[:20], "我们 看见 稀奇 电影 。"]) + "\n", "utf-8")
    return path


def compared(nplm, *args):
    result = nplm("compare", *args, "--json", "--bootstrap", 100).ok()
    return result.json, result.err


def test_one_vocabulary_is_ranked_by_perplexity(nplm, ffn, counts):
    result, err = compared(nplm, ffn, counts)
    assert "warning" not in err
    assert "context: sentence; ranked by perplexity" in err
    assert (result["schema"], result["part"], result["on"]) == (1, "valid", None)
    assert (result["context"], result["bootstrap"], result["seed"]) == ("sentence", 100, 1)
    assert (result["ranked_by"], result["reasons"]) == ("ppl", [])
    assert result["best"] == str(counts)
    first, second = result["runs"]
    assert set(first) == set(second) == RUN_KEYS
    assert [first["run"], second["run"]] == [str(ffn), str(counts)]
    assert [first["rank"], second["rank"]] == [2, 1]
    low, high = first["ppl_ratio"]["interval_95"]
    assert 1 < low < first["ppl_ratio"]["ratio"] < high
    assert first["ppl_ratio"]["ratio"] == pytest.approx(
        first["ledger"]["ppl"] / second["ledger"]["ppl"], rel=1e-9
    )
    assert result["pairs"][0][1]["ratio"] == first["ppl_ratio"]["ratio"]
    assert result["pairs"][1][0]["ratio"] == pytest.approx(1 / first["ppl_ratio"]["ratio"])


def test_ledgers_are_those_of_the_reports(nplm, ffn, counts):
    for part in ("valid", "test"):
        result, _ = compared(nplm, ffn, counts, "--part", part)
        assert result["part"] == part
        for record, run in zip(result["runs"], (ffn, counts), strict=True):
            report = json.loads((run / "report.json").read_text())
            ledger = report[part]
            assert record["ledger"].keys() == ledger.keys()
            for key, value in ledger.items():
                if isinstance(value, float):
                    assert record["ledger"][key] == pytest.approx(value, rel=1e-5), key
            assert record["ledger"]["predictions"] == ledger["predictions"]
            assert record["training_seconds"] == report["training"]["seconds"]
            assert record["parameters"] == report["training"].get("parameters")


def test_speed_is_the_median_of_the_metrics(nplm, ffn, counts, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(ffn, run)
    records = [json.dumps({"tokens_per_second": speed}) for speed in (900.0, 100.0, 300.0)]
    (run / "metrics.jsonl").write_text("\n".join([*records, '{"tokens_per']))
    result, _ = compared(nplm, run, counts)
    assert [record["tokens_per_second"] for record in result["runs"]] == [300.0, None]
    (run / "metrics.jsonl").unlink()
    training = json.loads((run / "report.json").read_text())["training"]
    speed = compared(nplm, run, counts)[0]["runs"][0]["tokens_per_second"]
    assert speed == pytest.approx(training["tokens"] / training["seconds"])


def test_a_run_against_itself(nplm, ffn):
    result, _ = compared(nplm, ffn, ffn)
    for record in result["runs"]:
        assert record["rank"] == 1
        assert record["ppl_ratio"] == {"ratio": 1.0, "interval_95": [1.0, 1.0]}


def test_runs_of_one_name_are_told_apart(nplm, ffn, counts):
    assert ffn.name == counts.name
    table = nplm("compare", ffn, counts, "-q").ok().table
    assert [row["run"] for row in table] == [str(ffn), str(counts)]


def test_table(nplm, ffn, counts):
    result = nplm("compare", ffn, counts, "-q").ok()
    assert result.err == ""
    assert result.lines[0].split("\t") == COLUMNS
    first, second = result.table
    assert (first["arch"], second["arch"], second["parameters"]) == ("ffn", "ngram", "-")
    assert (first["rank"], second["rank"], first["ranked_by"]) == ("2", "1", "ppl")
    assert second["interval_95"] == "1 to 1"
    low, high = map(float, first["interval_95"].split(" to "))
    assert 1 < low < float(first["ratio_to_best"]) < high


def test_unlike_vocabularies_are_ranked_by_bits(nplm, ffn, counts, smaller):
    result, err = compared(nplm, ffn, counts, smaller)
    assert "perplexities are not ranked: different vocabularies: " in err
    assert f"{ffn}, {counts}: 30 words; {smaller}: 12 words" in err
    assert "ranked by OOV-adjusted bits per character" in err
    assert result["ranked_by"] == "bits_per_char"
    figures = [record["ledger"]["bits_per_char"] for record in result["runs"]]
    assert [record["rank"] for record in result["runs"]] == [
        1 + sorted(figures).index(figure) for figure in figures
    ]
    for record, figure in zip(result["runs"], figures, strict=True):
        assert record["ppl_ratio"] is None
        assert "different vocabularies" in record["reason"]
        ratio = record["bits_per_char_ratio"]["ratio"]
        assert ratio == pytest.approx(figure / min(figures), rel=1e-9)
    assert result["pairs"][0][1]["by"] == "ppl"
    assert result["pairs"][0][2]["by"] == "bits_per_char"


@pytest.mark.parametrize("on", [False, True], ids=["stored", "on"])
def test_words_and_characters_of_one_text(nplm, counts, characters, lines, on):
    result, err = compared(nplm, counts, characters, *(("--on", lines) if on else ()))
    assert result["ranked_by"] == "bits_per_char"
    assert len(result["reasons"]) == 1
    assert err.count("warning") == 1
    sizes = [record["ledger"]["predictions"] for record in result["runs"]]
    assert sizes[0] < sizes[1]


def test_unlike_texts_are_not_ranked(nplm, ffn, train, texts, tmp_path):
    other = tmp_path / "other"
    train(
        texts / "seg.txt", other, "--arch", "ngram", "--vocab", ffn / "vocabulary.tsv",
        "--valid-share", "0.3",
    ).ok()  # fmt: skip
    result, err = compared(nplm, ffn, other)
    assert "different texts: " in err
    assert "--on FILE" in err
    assert "not ranked" in err
    assert result["ranked_by"] is result["best"] is None
    for record in result["runs"]:
        assert record["rank"] is record["ppl_ratio"] is record["bits_per_char_ratio"] is None
        assert "different texts" in record["reason"]
        assert record["ledger"]["ppl"] > 1
    row = nplm("compare", ffn, other, "-q").ok().table[0]
    assert [row[name] for name in ("rank", "ranked_by", "ratio_to_best", "interval_95")] == [
        "-", "-", "-", "-",
    ]  # fmt: skip


def test_on_scores_all_on_one_text(nplm, ffn, counts, lines):
    result, err = compared(nplm, ffn, counts, "--on", lines)
    assert (result["part"], result["on"], result["ranked_by"]) == (None, [str(lines)], "ppl")
    assert str(lines) in err
    for record, run in zip(result["runs"], (ffn, counts), strict=True):
        ledger = nplm("eval", run, lines, "--json", "-q").ok().json
        assert record["ledger"]["ppl"] == pytest.approx(ledger["ppl"], rel=1e-5)
        assert record["ledger"]["sentences"] == 21


def test_policies(nplm, counts, train, texts, tmp_path):
    stream = tmp_path / "stream"
    train(
        texts / "seg.txt", stream, "--arch", "ngram", "--context", "stream",
        "--vocab", counts / "vocabulary.tsv",
    ).ok()  # fmt: skip
    both = (counts, stream, "--on", texts / "seg.txt")
    result, err = compared(nplm, *both)
    assert f"different context policies: {counts}: sentence; {stream}: stream" in err
    assert (result["ranked_by"], result["context"]) == (None, None)
    for policy in ("sentence", "stream"):
        result, err = compared(nplm, *both, "--context", policy)
        assert f"context: {policy} (for all runs, by --context); ranked by perplexity" in err
        assert (result["ranked_by"], result["context"]) == ("ppl", policy)
        assert {record["ledger"]["context"] for record in result["runs"]} == {policy}


def test_unk_of_the_text_has_no_bits(nplm, counts, train, texts, tmp_path):
    text = tmp_path / "unk.txt"
    text.write_text((texts / "seg.txt").read_text("utf-8").replace("苹果", "<unk>"), "utf-8")
    run = tmp_path / "run"
    train(text, run, "--arch", "ngram", "--max-size", 30).ok()
    result, err = compared(nplm, run, counts, "--on", texts / "seg.txt")
    assert f"{run} is not ranked: no adjusted bits per character: <unk> stands in the text" in err
    assert [record["rank"] for record in result["runs"]] == [None, 1]


def test_probability_zero_is_not_ranked(nplm, ffn, ngram, lines):
    result, err = compared(nplm, ffn, ngram, "--on", lines)
    assert f"{ngram} is not ranked: " in err
    assert "probability 0" in err
    assert [record["rank"] for record in result["runs"]] == [1, None]


def test_a_run_of_0_bits_has_no_ratio_to_it(nplm, train, tmp_path):
    """Counts of one sentence only know it for sure; those of one more word do not."""
    (tmp_path / "abc.txt").write_text("a b c\n" * 12)
    (tmp_path / "more.txt").write_text("a b c d e f\n" + "a b c\n" * 12)
    runs = [tmp_path / "sure", tmp_path / "unsure"]
    for text, run in zip(("abc.txt", "more.txt"), runs, strict=True):
        train(
            tmp_path / text, run, "--arch", "ngram", "--smoothing", "mle", "--order", 4,
            "--min-count", 1, "--split-by", "none", "--format", "segmented",
            "--valid", tmp_path / "abc.txt", tiny=False, steps=False,
        ).ok()  # fmt: skip
    result, err = compared(nplm, *runs)
    assert "ranked by OOV-adjusted bits per character" in err
    assert (result["best"], [run["rank"] for run in result["runs"]]) == (str(runs[0]), [1, 2])
    assert [run["ledger"]["bits_per_char"] > 0 for run in result["runs"]] == [False, True]
    for record in result["runs"]:
        assert record["bits_per_char_ratio"] == {"ratio": None, "interval_95": None}
        assert f"{runs[0]} has 0 bits per character: no ratio to it" in record["reason"]
    for row in nplm("compare", *runs, "-q").ok().table:
        assert (row["ratio_to_best"], row["interval_95"]) == ("-", "-")


def test_the_seed_chooses_the_resamples(nplm, ffn, counts):
    def interval(*options):
        result = nplm("compare", ffn, counts, "--json", "-q", "--bootstrap", 100, *options)
        return result.ok().json["runs"][0]["ppl_ratio"]["interval_95"]

    assert interval() == interval("--seed", 1)
    assert interval() != interval("--seed", 2)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--part", "train"), ("--part 'train'", "valid or test")),
        (("--part", "test", "--on", "x"), ("--part", "--on", "choose one")),
        (("--on", "-"), ("--on -", "name a file")),
        (("--on", "gone.txt"), ("gone.txt",)),
        (("--context", "none"), ("--context 'none'",)),
        (("--bootstrap", "0"), ("--bootstrap",)),
        (("--seed", "-1"), ("--seed",)),
    ],
)
def test_wrong_usage(nplm, ffn, options, parts):
    nplm("compare", ffn, ffn, *options).refused(*parts)


def test_fewer_than_two_runs(nplm, ffn):
    nplm("compare", ffn).refused("name two or more runs")
    nplm("compare").refused("compare: missing argument")


def test_no_such_part(nplm, ffn, texts, train, tmp_path):
    run = tmp_path / "run"
    train(
        texts / "seg.txt", run, "--arch", "ngram", "--valid", texts / "seg.txt"
    ).ok()  # fmt: skip
    nplm("compare", ffn, run, "--part", "test").refused(
        str(run), "has no test text", "--on FILE", "--test FILE"
    )


def test_unfinished_and_incomplete_runs(nplm, ffn, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(ffn, run)
    (run / "report.json").unlink()
    nplm("compare", ffn, run).refused(str(run), "not finished", f"--resume -o {run}")
    shutil.copy(ffn / "report.json", run)
    shutil.rmtree(run / "data")
    nplm("compare", ffn, run).refused(str(run), "its text is gone", "--on")
    shutil.copytree(ffn / "data", run / "data")
    (run / "model.safetensors").unlink()
    nplm("compare", ffn, run).refused(str(run), "no weights")


def test_a_text_full_of_unknown_words_is_told(nplm, ffn, counts, tmp_path):
    (tmp_path / "strange.txt").write_text("甲 乙 我\n丙 丁 书\n", "utf-8")
    result = nplm("compare", ffn, counts, "--on", tmp_path / "strange.txt").ok()
    assert "of the words are unknown" in result.err
    assert "of the words are unknown" not in nplm("compare", ffn, counts).ok().err
