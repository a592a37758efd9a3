"""nplm compare-vectors and nplm align: groups of runs, what is warned of, files in and out."""

import json
import shutil

import numpy as np
import pytest

from nplm_cli.vectors import load_vectors

MEASURES = ("overlap", "aligned_cosine", "rsa")
COLUMNS = [
    "a", "b", "measure", "agreement", "floor", "difference", "interval_95", "below_floor", "note",
]  # fmt: skip


@pytest.fixture(scope="module")
def second(texts, tmp_path_factory, train):
    """As ``ffn``, with another seed and another number of threads."""
    folder = tmp_path_factory.mktemp("second") / "run"
    train(texts / "seg.txt", folder, "--max-size", 30, "--seed", 2, "--baseline-order", 2).ok()
    return folder


@pytest.fixture(scope="module")
def rnns(texts, tmp_path_factory, train):
    """Two seeds of another architecture."""
    folders = [tmp_path_factory.mktemp("rnn") / f"rnn-{seed}" for seed in (1, 2)]
    for seed, folder in enumerate(folders, 1):
        train(texts / "seg.txt", folder, "--max-size", 30, "--arch", "rnn", "--seed", seed).ok()
    return folders


@pytest.fixture
def wider(texts, tmp_path, train):
    folder = tmp_path / "wider"
    train(texts / "seg.txt", folder, "--max-size", 30, "--hidden", 7, "--seed", 5).ok()
    return folder


def test_runs_that_differ_in_the_seed_are_one_group(nplm, ffn, second, rnns):
    done = nplm("compare-vectors", ffn, rnns[0], second, rnns[1], "-k", 5, "--json").ok()
    result = done.json
    assert [s["group"] for s in result["spaces"]] == ["ffn", "rnn", "ffn", "rnn"]
    assert [s["name"] for s in result["spaces"]] == [
        str(path) for path in (ffn, rnns[0], second, rnns[1])
    ]
    assert (result["schema"], result["k"], result["words"], result["seed"]) == (1, 5, 30, 1)
    assert "warning" not in done.err
    assert "30 words common to 4 spaces of 30 words; overlap of 5 nearest words" in done.err
    assert "(by chance 0.172)" in done.err
    assert "ffn and rnn differ most below the floor in: " in done.err
    [pair] = result["group_pairs"]
    for measure in MEASURES:
        figure = pair[measure]
        assert figure["difference"] == pytest.approx(figure["between"] - figure["floor"], abs=1e-12)
    rows = nplm("compare-vectors", ffn, rnns[0], second, rnns[1], "-k", 5, "-q").ok()
    assert rows.err == ""
    assert list(rows.table[0]) == COLUMNS
    assert [(r["a"], r["b"], r["measure"]) for r in rows.table] == [
        (a, b, m) for a, b in (("ffn", "rnn"), ("ffn", "ffn"), ("rnn", "rnn")) for m in MEASURES
    ]
    assert float(rows.table[0]["agreement"]) == pytest.approx(pair["overlap"]["between"], rel=1e-5)
    assert float(rows.table[3]["agreement"]) == pytest.approx(
        result["within"]["ffn"]["overlap"], rel=1e-5
    )
    assert rows.table[3]["note"] == "2 runs"


def test_other_settings_are_another_group(nplm, ffn, second, wider):
    result = nplm("compare-vectors", ffn, second, wider, "-k", 5, "--json").ok()
    assert [s["group"] for s in result.json["spaces"]] == [
        f"ffn ({ffn})", f"ffn ({ffn})", f"ffn ({wider})",
    ]  # fmt: skip
    assert f"no noise floor for ffn ({wider}): " in result.err
    assert "differ in --seed alone" in result.err


def test_other_text_is_another_group(nplm, ffn, second, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(second, other)
    config = json.loads((other / "config.json").read_text("utf-8"))
    config["data"]["sources"]["train"]["sha256"] = "0" * 64
    (other / "config.json").write_text(json.dumps(config), "utf-8")
    result = nplm("compare-vectors", ffn, other, "-k", 5, "--json").ok().json
    assert len(result["groups"]) == 2


def test_a_copy_of_a_run_is_no_noise_floor(nplm, ffn, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(ffn, copy)
    result = nplm("compare-vectors", ffn, copy, "-k", 5, "--json").ok()
    assert result.json["pairs"][0]["overlap"] == 1
    assert f"{ffn}, {copy} are of one seed: their agreement is no noise floor" in result.err
    assert result.json["warnings"][0].startswith(f"{ffn}, {copy} are of one seed")


def test_a_file_is_a_group_of_its_own(nplm, ffn, second, tmp_path):
    file = tmp_path / "v.txt"
    nplm("export", ffn, file, "-q").ok()
    done = nplm("compare-vectors", ffn, second, file, "-k", 5, "--json").ok()
    assert [s["group"] for s in done.json["spaces"]] == ["ffn", "ffn", str(file)]
    assert done.json["pairs"][1]["overlap"] == 1
    assert f"no noise floor for {file}: " in done.err
    rows = nplm("compare-vectors", ffn, second, file, "-k", 5, "-q").ok().table
    assert rows[0]["note"] == f"one run of {file}: no noise floor"
    assert {(row["a"], row["b"]) for row in rows} == {("ffn", str(file)), ("ffn", "ffn")}


def test_one_word(nplm, ffn, second, rnns):
    args = ("compare-vectors", ffn, second, *rnns, "-k", 5, "--word", "书", "--word", "茶")
    rows = nplm(*args, "-q").ok().table
    assert [(r["word"], r["a"], r["b"]) for r in rows] == [
        (w, a, b) for a, b in (("ffn", "rnn"), ("ffn", "ffn"), ("rnn", "rnn")) for w in ("书", "茶")
    ]
    pair, *within = nplm(*args, "--json", "-q").ok().json["of_words"]
    assert pair["words"][1]["floor"] in [group["words"][1]["between"] for group in within]
    assert (rows[1]["floor"] != "-", rows[3]["floor"]) == (True, "-")
    assert float(rows[0]["overlap"]) == pytest.approx(pair["words"][0]["between"], rel=1e-5)
    nplm("compare-vectors", ffn, second, "-k", 5, "--word", "乏味").refused("unknown word '乏味'")
    rare = (ffn / "vocabulary.tsv").read_text("utf-8").splitlines()[-1].split("\t")[0]
    nplm("compare-vectors", ffn, second, "-k", 5, "--words", 20, "--word", rare).refused("--words")


def test_output_vectors(nplm, ffn, second, tmp_path):
    both = [
        nplm("compare-vectors", ffn, second, "-k", 5, "--json", "--vectors", which).ok().json
        for which in ("input", "output")
    ]
    assert both[0]["pairs"] != both[1]["pairs"]


def test_comparisons_refused(nplm, ffn, second, english, ngram, tmp_path):
    nplm("compare-vectors", ffn).refused("expected two or more")
    nplm("compare-vectors", ffn, ngram).refused("no word vectors")
    nplm("compare-vectors", ffn, english).refused("words are common to", "expected at least 20")
    nplm("compare-vectors", ffn, second, "-k", 29).refused("k is 29: expected 1 to 28")
    nplm("compare-vectors", ffn, tmp_path / "none").refused("none")
    nplm("compare-vectors", ffn, second, "--vectors", "x").refused("expected input or output")


@pytest.fixture
def languages(tmp_path):
    """Two vector files, the second a turned copy with words of its own, and a dictionary."""
    random = np.random.default_rng(1)
    rows = random.standard_normal((80, 4))
    turned = rows @ np.linalg.qr(random.standard_normal((4, 4)))[0]
    zh, en = tmp_path / "zh.vec", tmp_path / "en.vec"
    for path, prefix, values in ((zh, "字", rows), (en, "word", turned)):
        lines = [f"{prefix}{i} {' '.join(map(repr, row))}" for i, row in enumerate(values.tolist())]
        path.write_text(f"80 4\n{chr(10).join(lines)}\n", "utf-8")
    dictionary = tmp_path / "zh-en.txt"
    pairs = [f"字{i}\tword{i}" for i in range(40)]
    dictionary.write_bytes("\r\n".join(["# 词典", *pairs, "缺 word1"]).encode("gb18030"))
    return zh, en, dictionary


def test_align_writes_accuracies(nplm, languages):
    zh, en, dictionary = languages
    done = nplm("align", zh, en, "--dictionary", dictionary, "--permutations", 5).ok()
    assert [(r["retrieval"], r["at"]) for r in done.table] == [
        (by, n) for by in ("csls", "cosine") for n in ("1", "5", "10")
    ]
    # A word may be ranked below another by CSLS even where it is an exact copy.
    assert done.table[3]["accuracy"] == "1"
    assert float(done.table[3]["interval_low"]) == pytest.approx(0.91238, abs=1e-5)
    assert "warning: 1 of 41 pairs of the dictionary have a word without a vector" in done.err
    assert "40 of 41 pairs covered (unknown: 1 source, 0 target words)" in done.err
    assert "shuffled dictionary, 5 times: accuracy at 1 0.0" in done.err
    assert "gb18030" in done.err.lower()
    quiet = nplm("align", zh, en, "--dictionary", dictionary, "--permutations", 0, "-q").ok()
    assert quiet.lines == done.lines
    assert quiet.err.count("\n") == 1


def test_align_json_and_pairs(nplm, languages):
    zh, en, dictionary = languages
    args = ("align", zh, en, "--dictionary", dictionary, "--permutations", 2, "-k", 3)
    result = nplm(*args, "--json").ok().json
    assert result["schema"] == 1
    assert (len(result["pairs"]), result["pairs_covered"]) == (40, 40)
    assert result["permutation"]["n"] == 2
    rows = nplm(*args, "--pair", "字7:word7", "--pair", "字50:word51", "-q").ok().table
    assert list(rows[0]) == [
        "source", "target", "cosine_before", "cosine_after", "rank", "neighbors",
    ]  # fmt: skip
    assert (rows[0]["source"], rows[0]["target"]) == ("字7", "word7")
    assert float(rows[0]["cosine_after"]) == pytest.approx(1, abs=1e-5)
    assert float(rows[1]["cosine_after"]) < 0.99
    assert len(rows[1]["neighbors"].split()) == 3
    assert "word50" in rows[1]["neighbors"].split()
    assert len(nplm(*args, "--per-pair", "-q").ok().table) == 40


@pytest.mark.parametrize(
    ("name", "form", "files"),
    [
        ("a.vec", None, ["a.source.vec", "a.target.vec"]),
        ("a.vec.gz", "glove", ["a.source.vec.gz", "a.target.vec.gz"]),
        ("a.npy", "npy", ["a.source.npy", "a.target.npy"]),
        ("a", "safetensors", ["a.source", "a.target"]),
    ],
)
def test_written_spaces_can_be_compared(nplm, languages, tmp_path, name, form, files):
    zh, en, dictionary = languages
    option = ("--format", form) if form else ()
    done = nplm(
        "align",
        zh,
        en,
        "--dictionary",
        dictionary,
        "--permutations",
        0,
        "-o",
        tmp_path / name,
        *option,
    ).ok()
    source, target = (load_vectors(tmp_path / file) for file in files)
    for i in range(80):
        assert float(source[f"字{i}"] @ target[f"word{i}"]) == pytest.approx(1, abs=1e-5)
    for file in files:
        assert str(tmp_path / file) in done.err


def test_words_are_spelt_as_the_run_spells_them(nplm, texts, train, languages, tmp_path):
    zh, _, _ = languages
    run = tmp_path / "lower"
    train(texts / "en.txt", run, "--lowercase", "--min-count", 3).ok()
    words = ["the", "cat", "dog", "king", "old", "she", "red", "book", "tea", "city", "coins"]
    dictionary = tmp_path / "d.txt"
    dictionary.write_text(
        "\n".join(f"字{i} {word.upper()}" for i, word in enumerate(words)), "utf-8"
    )
    args = ("align", zh, run, "--dictionary", dictionary, "--permutations", 0, "--json")
    done = nplm(*args, "--pair", "字1:Cat").ok()
    assert done.json["pairs_covered"] == 11
    assert done.json["pairs"][0]["target"] == "cat"
    assert "11 pairs for 4 dimensions: expected at least 20" in done.err


def test_alignments_refused(nplm, languages, tmp_path):
    zh, en, dictionary = languages
    args = ("align", zh, en, "--dictionary")
    nplm(*args[:-1]).refused("dictionary")
    nplm(*args, tmp_path / "none").refused("none: no such file")
    nplm("align", en, zh, "--dictionary", dictionary, "-q").refused("0 source words of 41 pairs")
    bad = tmp_path / "bad.txt"
    bad.write_text("字1 word1\n字2\n", "utf-8")
    nplm(*args, bad).refused(f"{bad}:2: 1 field in '字2'")
    for pair in ("字1", "字1:", ":word1"):
        nplm(*args, dictionary, "--pair", pair, "-q").refused("expected two words with a colon")
    nplm(*args, dictionary, "--pair", "字1:乏味", "-q").refused("unknown word '乏味'")
    nplm(*args, dictionary, "--folds", 41, "-q").refused("41 folds of 40 source words")
    nplm(*args, dictionary, "--format", "glove", "-q").refused("-o FILE")
    nplm(*args, dictionary, "-o", tmp_path / "x", "--format", "y", "-q").refused("expected one of")
