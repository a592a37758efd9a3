"""nplm rescore: scores are those of nplm score, lists come back as they were, weights are tuned."""

import gzip
import json
import math
import random

import pytest

HYPOTHESES = {
    "0": ["今天 我 买 书 。", "今天 我 买 茶 。", "今天 我 乏味 。", ""],
    "1": ["昨天 妈妈 看见 猫 。", "昨天 妈妈 看见 猫 。", "猫 看见"],
    "2": ["我们"],
}
TEXTS = [text for own in HYPOTHESES.values() for text in own]
IDS = [i for i, own in HYPOTHESES.items() for _ in own]
TOTALS = [-1.5, -1.25, -3.0, -9.0, -2.0, -2.0, -1.0, -0.5]
MOSES = "".join(
    f"{i} ||| {text} ||| LM0= -{k}.5 d= 0 ||| {total} ||| 0-0\n"
    for k, (i, text, total) in enumerate(zip(IDS, TEXTS, TOTALS, strict=True))
)
REFERENCES = "今天 我 买 书 。\n昨天 妈妈 看见 猫 。\n我们 买 书\n"


@pytest.fixture(scope="module")
def kn(texts, tmp_path_factory, train):
    folder = tmp_path_factory.mktemp("kn") / "run"
    train(texts / "seg.txt", folder, "--arch", "ngram", "--max-size", 30).ok()
    return folder


@pytest.fixture(scope="module")
def mixed(nplm, ffn, kn, texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed") / "mix"
    nplm("mix", kn, ffn, "--tune", texts / "seg.txt", "--cache", "unigram", "-o", folder, "-q").ok()
    return folder


def logprobs(nplm, run, texts, *options):
    text = "".join(f"{text}\n" for text in texts)
    records = nplm("score", run, "-", "--json", "-q", *options, stdin=text).ok().records
    return [record["logprob_e"] for record in records]


def scores_of(out):
    """The feature of each line of a Moses list."""
    return [float(line.split(" nplm= ")[1].split(" ")[0]) for line in out.splitlines()]


@pytest.mark.parametrize("which", ["ffn", "kn", "mixed"])
def test_scores_are_those_of_score(nplm, request, which):
    """A mixture's caches take no part in either."""
    run = request.getfixturevalue(which)
    result = nplm("rescore", run, "-", "-q", stdin=MOSES).ok()
    assert result.err == ""
    expected = logprobs(nplm, run, TEXTS)
    assert scores_of(result.out) == pytest.approx(expected, rel=1e-6)
    without = "".join(
        line.replace(f" nplm= {line.split(' nplm= ')[1].split(' ')[0]}", "", 1)
        for line in result.out.splitlines(keepends=True)
    )
    assert without == MOSES
    lines = [json.dumps({"id": i, "hypothesis": text}) for i, text in zip(IDS, TEXTS, strict=True)]
    found = nplm("rescore", run, "-", "-q", stdin="\n".join(lines)).ok().records
    assert [r["nplm_logprob_e"] for r in found] == pytest.approx(expected, rel=1e-6)
    if which == "kn":  # counts know no batch: the very same figures
        assert [r["nplm_logprob_e"] for r in found] == expected


@pytest.mark.parametrize("arch", ["rnn", "gru", "lstm", "attention", "transformer"])
def test_every_architecture(nplm, texts, tmp_path, train, arch):
    train(texts / "seg.txt", tmp_path / "run", "--arch", arch, "--max-size", 30).ok()
    found = scores_of(nplm("rescore", tmp_path / "run", "-", "-q", stdin=MOSES).ok().out)
    assert found == pytest.approx(logprobs(nplm, tmp_path / "run", TEXTS), rel=1e-5)


@pytest.mark.parametrize(("base", "number"), [("e", math.e), ("2", 2), ("10", 10)])
def test_bases_are_stated(nplm, kn, base, number):
    tsv = "id\thypothesis\n" + "".join(f"{i}\t{t}\n" for i, t in zip(IDS, TEXTS, strict=True))
    result = nplm("rescore", kn, "-", "--base", base, stdin=tsv).ok()
    name = {"e": "logprob_e", "2": "logprob_log2", "10": "logprob_log10"}[base]
    assert result.lines[0] == f"id\thypothesis\tnplm_{name}"
    found = [float(row[f"nplm_{name}"]) for row in result.table]
    expected = [own / math.log(number) for own in logprobs(nplm, kn, TEXTS)]
    assert found == pytest.approx(expected, rel=1e-7)
    assert f"base {base}" in result.err


def test_the_stream_policy_of_a_model_does_not_join_hypotheses(nplm, texts, tmp_path, train):
    train(texts / "seg.txt", tmp_path / "run", "--context", "stream", "--max-size", 30).ok()
    found = scores_of(nplm("rescore", tmp_path / "run", "-", "-q", stdin=MOSES).ok().out)
    alone = logprobs(nplm, tmp_path / "run", TEXTS, "--context", "sentence")
    assert found == pytest.approx(alone, rel=1e-6)


def test_caches_hold_the_hypothesis(nplm, kn, mixed):
    line = ("--cache", "unigram", "--cache-weight", 0.3)
    found = scores_of(nplm("rescore", kn, "-", "-q", *line, stdin=MOSES).ok().out)
    expected = logprobs(nplm, kn, TEXTS, *line)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found != pytest.approx(logprobs(nplm, kn, TEXTS), rel=1e-3)
    nplm("rescore", kn, "-", *line, "--cache-reach", "text", stdin=MOSES).refused("--cache-reach")
    assert "are left out" in nplm("rescore", mixed, "-", stdin=MOSES).ok().err


def test_weight_and_best(nplm, kn, tmp_path):
    scores = logprobs(nplm, kn, TEXTS)
    totals = [total + 0.25 * score for total, score in zip(TOTALS, scores, strict=True)]
    result = nplm("rescore", kn, "-", "--weight", 0.25, "-q", stdin=MOSES).ok()
    found = [float(line.split(" ||| ")[3]) for line in result.lines]
    assert found == pytest.approx(totals, rel=1e-7)
    assert [line.rsplit(" ||| ", 1)[1] for line in result.lines] == ["0-0"] * len(TEXTS)
    best = nplm("rescore", kn, "-", "--weight", 0.25, "--best", "-q", stdin=MOSES).ok()
    chosen = [max(group, key=lambda i: totals[i]) for group in ([0, 1, 2, 3], [4, 5, 6], [7])]
    assert best.lines == [result.lines[i] for i in chosen]
    likeliest = nplm("rescore", kn, "-", "--best", "-q", stdin=MOSES).ok().lines
    chosen = [max(group, key=lambda i: scores[i]) for group in ([0, 1, 2, 3], [4, 5, 6], [7])]
    assert [line.split(" ||| ")[1] for line in likeliest] == [TEXTS[i].strip() for i in chosen]
    path = tmp_path / "out.nbest"
    nplm("rescore", kn, "-", "--weight", 0.25, "-o", path, "-q", stdin=MOSES).ok()
    assert path.read_text("utf-8") == result.out


def test_tuned_on_references(nplm, kn, texts, tmp_path):
    """The errors are those of the lines that --best writes, before, after and at another weight."""
    r = random.Random(5)
    sentences = [line.split() for line in (texts / "seg.txt").read_text("utf-8").splitlines()]
    words = sorted({word for own in sentences for word in own})
    lines, references = [], []
    for i in range(25):
        right = r.choice(sentences)
        references.append(" ".join(right) + "\n")
        for _ in range(6):
            own = [r.choice(words) if r.random() < 0.3 else word for word in right]
            lines.append(f"{i} ||| {' '.join(own)} ||| f= 1 ||| {r.uniform(-4, 0):.4f}\n")
    (nbest := tmp_path / "n.txt").write_text("".join(lines), "utf-8")
    (right := tmp_path / "r.txt").write_text("".join(references), "utf-8")

    units = sum(len(reference.split()) for reference in references)

    def wrong(*options):
        out = nplm("rescore", kn, nbest, "--best", "-q", *options).ok().lines
        total = 0
        for line, reference in zip(out, references, strict=True):
            a, b = line.split(" ||| ")[1].split(), reference.split()
            total += _distance(a, b)
        return total

    line = ("--references", right)
    summary = nplm("rescore", kn, nbest, *line, "--json", "-q").ok().json
    report = summary["references"]
    assert (report["metric"], report["units"], report["tuned"]) == ("wer", units, True)
    assert report["before"]["errors"] == wrong("--weight", 0)
    assert report["after"]["errors"] == wrong(*line) == wrong("--weight", summary["weight"])
    assert report["after"]["rate"] == report["after"]["errors"] / units
    others = [wrong("--weight", weight / 8) for weight in range(1, 30)]
    assert report["after"]["errors"] <= min(others)
    low, high = report["interval"]
    assert low < summary["weight"] < (math.inf if high is None else high)
    assert report["oracle"]["errors"] <= report["after"]["errors"]
    given = nplm("rescore", kn, nbest, *line, "--weight", 0.5, "--json", "-q").ok().json
    assert given["references"]["tuned"] is False
    assert given["references"]["after"]["errors"] == wrong("--weight", 0.5)
    told = nplm("rescore", kn, nbest, *line, "-o", tmp_path / "o").ok()
    assert told.out == ""
    assert f"weight {summary['weight']:.6g} of base e (" in told.err
    assert f"WER {report['before']['rate']:.2%} before" in told.err
    assert "tuned on these ids" in told.err


def _distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]


def test_a_list_without_totals(nplm, kn, tmp_path):
    tsv = "id\thypothesis\n" + "".join(f"{i}\t{t}\n" for i, t in zip(IDS, TEXTS, strict=True))
    (right := tmp_path / "r.txt").write_text(REFERENCES, "utf-8")
    found = nplm("rescore", kn, "-", "--references", right, "--json", stdin=tsv).ok().json
    assert found["weight"] is None
    assert found["references"]["before"]["errors"] == 0 + 0 + 2
    assert found["references"]["oracle"]["errors"] == 2
    nplm("rescore", kn, "-", "--weight", 1, stdin=tsv).refused("--weight", "no totals")
    nplm("rescore", kn, "-", "--total-column", "x", stdin=tsv).refused("--total-column 'x'")


def test_summary(nplm, kn):
    found = nplm("rescore", kn, "-", "--json", "-q", stdin=MOSES).ok()
    assert found.err == ""
    assert len(found.lines) == 1
    assert {k: v for k, v in found.json.items() if k != "run"} == {
        "schema": 1, "format": "moses", "ids": 3, "hypotheses": 8, "distinct": 7, "blank": 1,
        "words": sum(len(text.split()) for text in TEXTS), "oov": found.json["oov"],
        "zero_probability": 0, "base": "e", "context": "sentence", "name": "nplm",
        "weight": None, "references": None, "self_normalised": False,
    }  # fmt: skip
    assert found.json["oov"] >= 1
    told = nplm("rescore", kn, "-", stdin=MOSES).ok().err
    assert "8 hypotheses of 3 ids" in told
    assert "warning: 1 hypothesis without a word" in told
    assert "</s> counted" in told


def test_probability_0(nplm, ngram):
    """Relative frequencies: -inf in lists, null in JSON, and never the best but of none."""
    moses = "0 ||| 书 书 书 ||| f= 1 ||| -1\n0 ||| 我 ||| f= 1 ||| -5\n1 ||| 书 书 书 ||| ||| -1\n"
    scores = logprobs(nplm, ngram, ["书 书 书", "我"])
    assert scores[0] is None
    result = nplm("rescore", ngram, "-", "--weight", 0.5, "--best", stdin=moses).ok()
    kept = 1 if scores[1] is not None else 0
    assert result.lines[0].startswith(f"0 ||| {['书 书 书', '我'][kept]} |||")
    assert result.lines[1] == "1 ||| 书 书 书 ||| nplm= -inf ||| -inf"
    assert "probability 0" in result.err
    record = '{"id": 0, "hypothesis": "书 书 书", "total": 1}'
    found = nplm("rescore", ngram, "-", "--weight", 2, "-q", stdin=record).ok().json
    assert (found["nplm_logprob_e"], found["nplm_total"]) == (None, None)


def test_files_encodings_and_compression(nplm, kn, tmp_path):
    """The list goes out in the encoding that it came in; references may be in another."""
    expected = nplm("rescore", kn, "-", "-q", stdin=MOSES).ok().out
    (gbk := tmp_path / "n.gbk").write_bytes(MOSES.encode("gbk"))
    (packed := tmp_path / "n.gz").write_bytes(gzip.compress(MOSES.encode()))
    (mark := tmp_path / "n.bom").write_bytes(MOSES.replace("\n", "\r\n").encode("utf-8-sig"))
    nplm("rescore", kn, gbk, "-o", tmp_path / "o", "-q").ok()
    assert (tmp_path / "o").read_bytes() == expected.encode("gbk")
    assert nplm("rescore", kn, packed, "-q").ok().out == expected
    out = nplm("rescore", kn, mark, "-q").ok().out
    assert out == "\ufeff" + expected.replace("\n", "\r\n")
    nplm("rescore", kn, gbk, "--encoding", "utf-8").refused("n.gbk:1", "byte")


def test_raw_text_is_cut_as_in_training(nplm, english):
    moses = "0 ||| It isn't. The cat sees it. ||| f= 1 ||| -1\n"
    one = nplm("rescore", english, "-", stdin=moses).ok()
    assert "2 sentences" in one.err
    split = nplm("rescore", english, "-", "--sentences", "split", "-q", stdin=moses).ok()
    parts = logprobs(nplm, english, ["It isn't.", "The cat sees it."])
    assert scores_of(split.out) == pytest.approx([sum(parts)], rel=1e-6)
    assert scores_of(one.out) != pytest.approx(scores_of(split.out), rel=1e-4)


@pytest.mark.parametrize(
    ("line", "stdin", "parts"),
    [
        ((), "a b c\n", ["standard input:1", "no n-best list"]),
        ((), "0 ||| a ||| f\n", ["standard input:1", "3 fields"]),
        ((), MOSES.replace("1 |||", "5 |||"), ["standard input:5", "--allow-missing"]),
        ((), "", ["standard input", "empty"]),
        (("--base", "3"), MOSES, ["--base '3'"]),
        (("--weight", "-1"), MOSES, ["--weight"]),
        (("--weight", "inf"), MOSES, ["--weight inf"]),
        (("--metric", "ser"), MOSES, ["--references"]),
        (("--references", "REFS", "--metric", "bleu"), MOSES, ["--metric 'bleu'"]),
        (("--references", "TWO"), MOSES, ["2 references for 3 ids"]),
        (("--references", "GONE"), MOSES, ["no such file"]),
        (("--references", "-"), MOSES, ["standard input can be read only once"]),
        (("--sentences", "word"), MOSES, ["--sentences 'word'"]),
        (("--format", "xml"), MOSES, ["--format 'xml'"]),
        (("--name", "a b"), MOSES, ["--name 'a b'"]),
        (("--json", "-o", "-"), MOSES, ["-o"]),
        (("--json", "--best"), MOSES, ["nowhere to go", "-o"]),
        (("--references", "REFS", "-o", "REFS"), MOSES, ["would be lost"]),
        (("-o", "GONE/out"), MOSES, ["cannot write"]),
    ],
)
def test_refused_in_one_line(nplm, kn, tmp_path, line, stdin, parts):
    (tmp_path / "REFS").write_text(REFERENCES, "utf-8")
    (tmp_path / "TWO").write_text("a\nb\n", "utf-8")
    upper = [str(tmp_path / word) if word.isupper() or "/" in word else word for word in line]
    told = nplm("rescore", kn, "-", "-q", *upper, stdin=stdin).refused(*parts)
    assert told.count("\n") == 0


def test_the_list_itself_is_not_written_over(nplm, kn, tmp_path):
    (nbest := tmp_path / "n").write_text(MOSES, "utf-8")
    (other := tmp_path / "link").symlink_to(nbest)
    for path in (nbest, other):
        nplm("rescore", kn, nbest, "-o", path, "-q").refused(f"{path}", "would be lost")
    assert nbest.read_text("utf-8") == MOSES


def test_the_default_metric_may_be_said(nplm, kn):
    line = ("rescore", kn, "-", "--best", "-q")
    said = nplm(*line, "--metric", "wer", stdin=MOSES).ok()
    assert said.out == nplm(*line, stdin=MOSES).ok().out != ""


def test_blank_references_are_counted(nplm, kn, tmp_path):
    (right := tmp_path / "r").write_text("今天 我\n\n我们\n", "utf-8")
    result = nplm("rescore", kn, "-", "--references", right, stdin=MOSES).ok()
    assert "warning: " + f"{right}: 1 reference of 3 blank" in result.err


def test_references_counted_from_1(nplm, kn, tmp_path):
    """Ids 1, 2 and 4 of five lines: a, b and d; of a list from 2 on nothing is guessed."""
    tsv = "id\thypothesis\n1\ta\n2\tb\n4\td\n"
    (right := tmp_path / "r").write_text("a\nb\nc\nd\ne\n", "utf-8")
    line = ("--references", right, "--allow-missing")
    result = nplm("rescore", kn, "-", *line, "--json", stdin=tsv).ok()
    assert result.json["references"]["after"]["errors"] == 0
    assert "id k has line k, counted from 1" in result.err
    later = tsv.replace("1\ta\n", "")
    nplm("rescore", kn, "-", *line, "-q", stdin=later).refused("from 0 or from 1", "alone")
    huge = tsv.replace("4\td", "9" * 5_000 + "\td")
    nplm("rescore", kn, "-", *line, "-q", stdin=huge).refused("5 references for 3 ids")


def test_left_out_ids_have_their_own_references(nplm, kn, tmp_path):
    moses = MOSES.replace("2 ||| ", "4 ||| ")
    (right := tmp_path / "r.txt").write_text(REFERENCES.replace("我们", "x\ny\n我们"), "utf-8")
    line = ("--allow-missing", "--references", right, "--json", "-q")
    found = nplm("rescore", kn, "-", *line, stdin=moses).ok().json
    (whole := tmp_path / "w.txt").write_text(REFERENCES, "utf-8")
    expected = nplm("rescore", kn, "-", "--references", whole, "--json", "-q", stdin=MOSES)
    assert found["references"] == expected.ok().json["references"]
