"""``nplm similarity`` and ``nplm analogy`` from the command line."""

import pytest

VECTORS = """6 3
man 1 0 0
woman 1 1 0
king 1 0 1
queen 1 1 1
Paris 0 1 -1
stone 0 1 -3
"""
RATINGS = "king queen 9\nking man 6\nwoman stone 2\nking tiger 5\nking KING 10\n"
QUESTIONS = ": family\nman woman king queen\nman king woman queen\n: towns\nParis king Rome queen\n"


@pytest.fixture
def files(tmp_path):
    for name, text in [("v.txt", VECTORS), ("r.txt", RATINGS), ("q.txt", QUESTIONS)]:
        (tmp_path / name).write_text(text, "utf-8")
    return lambda name: tmp_path / name


def test_similarity_table(nplm, files):
    result = nplm("similarity", files("v.txt"), files("r.txt")).ok()
    [row] = result.table
    assert row["file"] == str(files("r.txt"))
    assert [row[k] for k in ("pairs", "covered", "coverage", "words", "unknown_words")] == [
        *("5", "3", "0.6", "7", "2")
    ]
    # Over all five: ranks 4 3 1 2 5 and 5 4 1 2.5 2.5, so 5.5 / sqrt(10 * 9.5).
    assert (row["spearman"], row["spearman_uncovered_as_mean"]) == ("1", "0.564288")
    assert result.err == (
        f"nplm: warning: {files('r.txt')}: 2 of 7 words are unknown (28.6%): tiger, KING\n"
    )


def test_similarity_json_of_several_files(nplm, files):
    arguments = ("similarity", files("v.txt"), files("r.txt"), "-", "--json", "--ignore-case")
    result = nplm(*arguments, stdin=RATINGS).ok()
    one, two = result.json["files"]
    assert result.json["schema"] == 1
    assert (result.json["bootstrap"], result.json["seed"]) == (1000, 1)
    assert two.pop("file") == "standard input"
    assert one.pop("file") == str(files("r.txt"))
    assert one == two
    assert one["covered"] == 4
    assert one["unknown_words"] == ["tiger"]
    assert one["interval_95"][0] <= one["spearman"] <= one["interval_95"][1]
    assert "per_pair" not in one
    # Seeded: the same again.
    assert nplm(*arguments, stdin=RATINGS).out == result.out


def test_similarity_per_pair(nplm, files):
    result = nplm("similarity", files("v.txt"), files("r.txt"), "--per-pair").ok()
    rows = result.table
    assert [row["word2"] for row in rows] == ["queen", "man", "stone", "tiger", "KING"]
    assert [row["cosine"] for row in rows] == ["0.816497", "0.707107", "0.223607", "-", "-"]
    assert "Spearman 1 (95 %: " in result.err
    quiet = nplm("similarity", files("v.txt"), files("r.txt"), "--per-pair", "-q").ok()
    assert quiet.out == result.out
    assert "Spearman" not in quiet.err
    record = nplm("similarity", files("v.txt"), files("r.txt"), "--per-pair", "--json").ok().json
    pairs = record["files"][0]["per_pair"]
    assert pairs[3] == {"word1": "king", "word2": "tiger", "rating": 5.0, "cosine": None}


def test_similarity_without_a_figure(nplm, files, tmp_path):
    rated = tmp_path / "few.txt"
    rated.write_text("king queen 9\nking man 3\n")
    few = nplm("similarity", files("v.txt"), rated, "--json").ok()
    assert few.json["files"][0]["spearman"] is None
    assert "no rho of 2 covered pairs: at least 3 are needed" in few.err
    rated.write_text("king queen 5\nking man 5\nman queen 5\n")
    constant = nplm("similarity", files("v.txt"), rated).ok()
    assert constant.table[0]["interval_low"] == "-"
    assert "no rho of 3 covered pairs: one column is constant" in constant.err


def test_similarity_refusals(nplm, files, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("Lion Tiger 9\nmoon sun 8\n")
    nplm("similarity", files("v.txt"), other).refused(
        "none of 2 pairs is covered", "4 of 4 words are unknown", "Lion, Tiger, moon, sun"
    )
    other.write_text("king queen 9\nking queen\n")
    nplm("similarity", files("v.txt"), other).refused("other.txt:2: ", "found 2")
    nplm("similarity", files("v.txt"), tmp_path / "none.txt").refused("no such file")
    nplm("similarity", files("v.txt"), files("r.txt"), "--vectors", "output").refused("--vectors")
    nplm("similarity", files("v.txt")).refused("FILE")


def test_a_run_spells_words_as_its_text_was(nplm, train, texts, tmp_path, ffn):
    run = tmp_path / "lower"
    train(texts / "en.txt", run, "--lowercase").ok()
    rated = tmp_path / "rated.txt"
    rated.write_text("King CAT 3\nDog cat 8\nBOOK tea 2\n")
    assert nplm("similarity", run, rated, "--json").ok().json["files"][0]["covered"] == 3
    assert len(nplm("analogy", run, "KING", "Cat", "dog", "-k", 3).ok().lines) == 4
    # Full-width letters and digits were folded, too.
    rated.write_text("１９９８ 年 3\n1998 书 8\n我 书 2\n", "utf-8")
    assert nplm("similarity", ffn, rated, "--json").ok().json["files"][0]["covered"] == 3
    output = nplm("similarity", ffn, rated, "--vectors", "output", "--per-pair", "-q").ok()
    assert output.out != nplm("similarity", ffn, rated, "--per-pair", "-q").ok().out


def test_three_words(nplm, files):
    result = nplm("analogy", files("v.txt"), "man", "woman", "king", "-k", 2).ok()
    rows = result.table
    assert list(rows[0]) == ["rank", "cosadd_word", "cosadd_score", "cosmul_word", "cosmul_score"]
    assert len(rows) == 2
    assert (rows[0]["cosadd_word"], rows[0]["cosmul_word"]) == ("queen", "queen")
    record = nplm("analogy", files("v.txt"), "man", "woman", "king", "--json").ok().json
    assert (record["schema"], record["a"], record["b"], record["c"]) == (1, "man", "woman", "king")
    assert [n["word"] for n in record["cosadd"]] == ["queen", "Paris", "stone"]
    assert set(record["cosmul"][0]) == {"word", "score", "count"}


def test_specials_and_inputs_do_not_answer(nplm, ffn):
    record = nplm("analogy", ffn, "我", "你", "书", "-k", 100, "--json").ok().json
    for method in ("cosadd", "cosmul"):
        words = {n["word"] for n in record[method]}
        assert len(words) == 30 - 3
        assert not words & {"<unk>", "</s>", "我", "你", "书"}


def test_unknown_words_of_a_query(nplm, files, ffn):
    nplm("analogy", files("v.txt"), "man", "womn", "king").refused("'womn'", "near: woman")
    nplm("analogy", files("v.txt"), "paris", "man", "king").refused("near: Paris")
    nplm("analogy", files("v.txt"), "paris", "man", "king", "--ignore-case").ok()
    nplm("analogy", ffn, "我", "乏味", "书").refused("never seen in training")
    nplm("analogy", files("v.txt"), "man", "woman", "stone", "--restrict", 4).refused(
        "'stone' is not among the 4 most frequent words"
    )


def test_question_files(nplm, files):
    result = nplm("analogy", files("v.txt"), files("q.txt")).ok()
    rows = [list(row.values())[1:] for row in result.table]
    assert rows == [
        ["family", "2", "2", "1", "1", "1", "1"],
        ["towns", "1", "0", "-", "0", "-", "0"],
        ["TOTAL", "3", "2", "1", "0.666667", "1", "0.666667"],
    ]
    assert "1 of 6 words are unknown (16.7%): Rome" in result.err
    record = nplm("analogy", files("v.txt"), "-", "--json", stdin=QUESTIONS).ok().json
    assert record["files"][0]["file"] == "standard input"
    assert record["files"][0]["total"]["cosmul"]["correct"] == 2
    two = nplm("analogy", files("v.txt"), files("q.txt"), "-", stdin=QUESTIONS).ok()
    assert len(two.table) == 6


def test_per_question(nplm, files):
    result = nplm("analogy", files("v.txt"), files("q.txt"), "--per-question", "-q").ok()
    first, _, last = result.table
    assert (first["section"], first["expected"], first["cosadd"]) == ("family", "queen", "queen")
    assert (first["covered"], first["cosmul_correct"]) == ("yes", "yes")
    assert (last["covered"], last["cosadd"], last["cosmul_correct"]) == ("no", "-", "no")
    arguments = ("analogy", files("v.txt"), files("q.txt"), "--json")
    [without] = nplm(*arguments).ok().json["files"]
    [record] = nplm(*arguments, "--per-question").ok().json["files"]
    assert [q["cosmul"] for q in record.pop("per_question")] == ["queen", "queen", None]
    assert record == without


def test_restricted_questions(nplm, files):
    arguments = ("analogy", files("v.txt"), files("q.txt"), "--json")
    [three] = nplm(*arguments, "--restrict", 4).ok().json["files"]
    assert three["total"]["covered"] == 2
    assert three["unknown_words"] == ["Paris", "Rome"]
    nplm("analogy", files("v.txt"), files("q.txt"), "--restrict", 3).refused(
        "none of 3 questions is covered"
    )


def test_one_argument_or_three(nplm, files, tmp_path, monkeypatch):
    nplm("analogy", files("v.txt"), "nothing").refused(
        "nothing: no such file", "three words, A B C", "files of questions"
    )
    nplm("analogy", files("v.txt"), "man", "woman").refused("2 arguments", "three words, A B C")
    nplm("analogy", files("v.txt"), files("q.txt"), "woman").refused("2 arguments")
    nplm("analogy", files("v.txt"), files("q.txt"), "-k", 3).refused("-k belongs to three words")
    nplm("analogy", files("v.txt"), "man", "woman", "king", "--per-question").refused(
        "--per-question belongs to files"
    )
    (tmp_path / "bad.txt").write_text(": s\nman woman king\n")
    nplm("analogy", files("v.txt"), tmp_path / "bad.txt").refused("bad.txt:2: 3 words")
    # A file that happens to be called like one word is no file of questions.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "man").write_text("")
    assert (
        nplm("analogy", files("v.txt"), "man", "woman", "king").ok().lines[1].startswith("1\tqueen")
    )


def test_odd_words_drive_nothing(nplm, tmp_path):
    (tmp_path / "v.txt").write_text("a\x1b[31m 1 0\nb 0 1\nc 1 1\nd 1 2\n", "utf-8")
    (tmp_path / "r.txt").write_text(
        "a\x1b[31m\tb\t1\nc\td\t3\nb\tc\t2\nlost\x1b[2J\tb\t1\n", "utf-8"
    )
    result = nplm("similarity", tmp_path / "v.txt", tmp_path / "r.txt", "--per-pair").ok()
    assert "\x1b" not in result.out + result.err
    assert "\\x1b[31m" in result.out
    assert "lost\\x1b[2J" in result.err
