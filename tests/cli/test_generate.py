"""nplm generate, and nplm export --sentences: what reaches the two streams."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer
from nplm_cli.query.sentence_vectors import sentence_vectors
from nplm_cli.vectors.formats import load_vectors


@pytest.fixture(scope="module")
def raw(texts, tmp_path_factory, train):
    """Counts of raw Chinese text. Read only."""
    folder = tmp_path_factory.mktemp("raw") / "run"
    train(texts / "zh.txt", folder, "--arch", "ngram", "--max-size", 30, "--lang", "zh").ok()
    return folder


def test_sentences_a_line(nplm, ffn):
    result = nplm("generate", ffn, "--samples", 5).ok()
    assert len(result.lines) == 5
    assert result.err == ""
    index = Run(ffn).vocabulary.index
    words = {word for line in result.lines for word in line.split(" ")}
    assert words <= set(index) - {"<unk>", "</s>"}


def test_same_seed_same_bytes(nplm, ffn):
    def text(*options):
        return nplm("generate", ffn, "--samples", 4, *options).ok().out

    assert text() == text() == text("--seed", 1)
    assert text("--seed", 2) != text()
    assert text("--temperature", 0.2) != text() != text("--top-k", 1)
    one = nplm("generate", ffn).ok().out
    assert text().startswith(one)


def test_records(nplm, ffn):
    result = nplm(
        "generate", ffn, "--prompt", "今天 我", "--samples", 30, "--max-length", 9, "--json"
    ).ok()
    run = Run(ffn)
    scorer = open_scorer(run)
    assert len(result.records) == 30
    for record in result.records:
        assert list(record) == ["schema", "prompt", "text", "tokens", "finished"]
        assert (record["schema"], record["prompt"]) == (1, "今天 我")
        ids = [token["id"] for token in record["tokens"]]
        words = [t["token"] for t in record["tokens"] if t["id"] != 1]
        assert record["text"] == " ".join(["今天", "我", *words])
        assert record["finished"] is (ids[-1] == 1)
        assert len(ids) == 9 or record["finished"]
        history = run.vocabulary.encode(["今天", "我"])
        for token in record["tokens"]:
            assert list(token) == ["token", "id", "probability", "surprisal_bits"]
            p = np.exp(scorer.next_log_probs(history)[token["id"]])
            assert token["probability"] == pytest.approx(p, abs=1e-6)
            assert token["surprisal_bits"] == pytest.approx(-np.log2(p), abs=1e-4)
            history.append(token["id"])
    assert {record["finished"] for record in result.records} == {True, False}


def test_a_row_a_token(nplm, ffn):
    options = ("generate", ffn, "--samples", 3, "--max-length", 6)
    rows = nplm(*options, "--probabilities").ok().table
    records = nplm(*options, "--json").ok().records
    expected = [
        {
            "sample": str(number),
            "token": token["token"],
            "id": str(token["id"]),
            "probability": f"{token['probability']:.6g}",
            "surprisal_bits": f"{token['surprisal_bits']:.6g}",
        }
        for number, record in enumerate(records, 1)
        for token in record["tokens"]
    ]
    assert rows == expected


@pytest.mark.parametrize("name", ["ffn", "ngram"])
def test_greedy_goes_where_predict_points(request, nplm, name):
    run = request.getfixturevalue(name)
    words = ["今天"]
    [record] = nplm("generate", run, "--prompt", "今天", "--greedy", "--json").ok().records
    for token in record["tokens"]:
        best = nplm("predict", run, " ".join(words), "-k", 2, "--json").ok().json["predictions"]
        assert token["token"] == next(p["word"] for p in best if p["word"] != "<unk>")
        words.append(token["token"])
        if len(words) > 6:
            break


def test_unknown_words_of_the_prompt(nplm, ffn):
    result = nplm("generate", ffn, "--prompt", "今天 乏味").ok()
    assert result.lines[0].startswith("今天 乏味 ")  # what the user wrote
    assert "unknown words in the context, read as <unk>: 乏味" in result.err
    assert "jieba" in nplm("generate", ffn, "--prompt", "今天我们喜欢").ok().err
    whole = nplm("generate", ffn, "--prompt", "今天我们喜欢", "--segmented").ok()
    assert "jieba" not in whole.err


def test_no_text_drives_the_terminal(nplm, ffn):
    result = nplm("generate", ffn, "--prompt", "我 \x1b[31m").ok()
    assert result.lines[0].startswith("我 \\x1b[31m ")
    assert "\x1b" not in result.out + result.err


def test_unk_only_when_asked_for(nplm, ffn):
    options = ("generate", ffn, "--samples", 60)
    assert "<unk>" not in nplm(*options).ok().out
    assert "<unk>" in nplm(*options, "--unk").ok().out


def test_raw_chinese_is_put_together(nplm, raw):
    result = nplm("generate", raw, "--prompt", "今天我", "--samples", 3).ok()
    assert all(line.startswith("今天我") and " " not in line for line in result.lines)


def test_english_has_spaces(nplm, english):
    [line] = nplm("generate", english, "--prompt", "The cat", "--max-length", 3).ok().lines
    assert len(line.split(" ")) in (4, 5)
    assert line.startswith("The cat ")


def test_nothing_may_follow(nplm, ngram):
    result = nplm("generate", ngram, "--prompt", "。 。", "--samples", 2, "--json").ok()
    assert [(r["tokens"], r["finished"], r["text"]) for r in result.records] == [
        ([], False, "。 。")
    ] * 2
    assert result.err.count("no word may follow '。 。'") == 1


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--temperature", "0"), ("--temperature 0", "--greedy")),
        (("--temperature", "-1"), ("--temperature -1",)),
        (("--temperature", "nan"), ("--temperature nan",)),
        (("--temperature", "hot"), ("--temperature", "number")),
        (("--top-k", "0"), ("--top-k 0", "at least 1")),
        (("--top-p", "1.2"), ("--top-p 1.2",)),
        (("--samples", "0"), ("--samples 0",)),
        (("--max-length", "0"), ("--max-length 0",)),
        (("--seed", "-1"), ("--seed -1",)),
        (("--greedy", "--samples", "2"), ("--greedy", "2 samples")),
        (("--greedy", "--top-p", "0.5"), ("--greedy", "--top-p")),
    ],
)
def test_bad_values(nplm, ffn, options, parts):
    nplm("generate", ffn, *options).refused(*parts)


def test_no_run(nplm, tmp_path):
    nplm("generate", tmp_path / "none").refused("no such directory")


@pytest.mark.parametrize("form", [(), ("--json",), ("--probabilities",)])
def test_a_closed_pipe_is_quiet(ffn, environment, form):
    """The reader takes one line of very many; the writer stops without a word."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nplm_cli", "generate", str(ffn), "--samples", "1000000", *form],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    with process:
        assert process.stdout.readline()  # long before the last of a million
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


# --- export --sentences -------------------------------------------------------------------------


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("我 买 书 。\n\n今天 乏味 书\n我 买 书 。\n", "utf-8")
    return path


def expected(run, path):
    opened = Run(run)
    ids = [opened.vocabulary.encode(line.split()) for line in path.read_text("utf-8").splitlines()]
    return np.concatenate([sentence_vectors(open_scorer(opened), [row]) for row in ids])


@pytest.mark.parametrize("form", ["word2vec", "word2vec-bin", "glove", "npy", "safetensors"])
def test_vectors_of_lines(nplm, ffn, lines, tmp_path, form):
    out = tmp_path / {"npy": "v.npy", "safetensors": "v.safetensors"}.get(form, "v")
    result = nplm("export", ffn, out, "--sentences", lines, "--format", form).ok()
    assert "4 vectors of 6 dimensions" in result.err
    back = load_vectors(out)
    assert list(back.words) == ["1", "2", "3", "4"]
    np.testing.assert_allclose(back.vectors, expected(ffn, lines), rtol=0, atol=1e-5)
    assert np.array_equal(back["1"], back["4"])


def test_sentences_for_the_projector(nplm, ffn, lines, tmp_path):
    out = tmp_path / "p"
    nplm("export", ffn, out, "--sentences", lines, "--format", "projector", "-q").ok()
    assert Path(f"{out}.metadata.tsv").read_text("utf-8").splitlines() == [
        "line\tsentence", "1\t我 买 书 。", "2\t", "3\t今天 乏味 书", "4\t我 买 书 。"
    ]  # fmt: skip
    table = np.loadtxt(f"{out}.vectors.tsv", dtype=np.float32)
    np.testing.assert_allclose(table, expected(ffn, lines), rtol=0, atol=1e-5)


def test_sentences_from_stdin_to_stdout_and_their_neighbours(nplm, ffn, lines, tmp_path):
    result = nplm("export", ffn, "-", "--sentences", "-", stdin=lines.read_bytes()).ok()
    assert result.lines[0] == "4 6"
    (tmp_path / "v.txt").write_text(result.out, "utf-8")
    nearest = nplm("neighbors", tmp_path / "v.txt", "1", "-k", 1, "--json").ok().json
    assert nearest["neighbors"][0]["word"] == "4"


def test_what_has_no_sentence_vectors(nplm, ffn, ngram, lines, tmp_path):
    out = tmp_path / "v"
    nplm("export", ngram, out, "--sentences", lines).refused("n-gram count model", "--arch ffn")
    nplm("export", ffn, out, "--sentences", tmp_path / "none").refused("no such file")
    (tmp_path / "empty").write_bytes(b"")
    nplm("export", ffn, out, "--sentences", tmp_path / "empty").refused("empty", "no line")
    nplm("export", ffn, out, "-q").ok()
    nplm("export", out, tmp_path / "w", "--sentences", lines).refused("needs a run directory")
    nplm("export", ffn, tmp_path / "w", "--sentences", lines, "--vectors", "output").refused(
        "--vectors"
    )
    nplm("export", ffn, tmp_path / "w", "--segmented").refused("--sentences")
    nplm("export", ffn, tmp_path / "w", "--encoding", "gbk").refused("--sentences")
    assert not (tmp_path / "w").exists()


def test_encoding_of_sentences(nplm, ffn, lines, tmp_path):
    gbk = tmp_path / "gbk.txt"
    gbk.write_bytes(lines.read_text("utf-8").encode("gbk"))
    for name, options in (("a", ()), ("b", ("--encoding", "gbk"))):
        nplm("export", ffn, tmp_path / name, "--sentences", gbk, "-q", *options).ok()
    nplm("export", ffn, tmp_path / "c", "--sentences", lines, "-q").ok()
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1
