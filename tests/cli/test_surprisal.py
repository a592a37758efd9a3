"""nplm surprisal: the rows that went in come back, with the figures of nplm score beside them."""

import csv
import io
import itertools
import math
import os
import random
from pathlib import Path

import numpy as np
import pytest

from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer

ITEMS = {
    ("1", "a"): ["今天", "我", "买", "书", "。"],
    ("1", "b"): ["昨天", "妈妈", "看见", "乏味", "的", "猫", "。"],
    ("2", "a"): ["我们"],
}
HEADER = ["item", "cond", "region", "word", "note"]
ROWS = [
    [item, cond, str(place), word, 'say "x", y' if place == 2 else ""]
    for (item, cond), words in ITEMS.items()
    for place, word in enumerate(words, 1)
]
NEW = [
    "tokens", "oov", "length", "surprisal_bits", "entropy_bits", "rank", "count",
    "log10_freq_per_million", "oov_prev", "length_prev", "surprisal_bits_prev",
    "entropy_bits_prev", "rank_prev", "log10_freq_per_million_prev",
]  # fmt: skip
WORDS = ("--word-column", "word", "--item-column", "item", "--item-column", "cond")


def written(rows, separator="\t", quoting=csv.QUOTE_MINIMAL, end="\n"):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerows([HEADER, *rows])
    return out.getvalue()


def read(text, separator="\t"):
    head, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [dict(zip(head, row, strict=True)) for row in rows]


def tokens_of(nplm, run, text, *options):
    return nplm("score", run, text, "--per-token", "--json", "-q", *options).ok().json["per_token"]


@pytest.fixture(scope="module")
def kn(texts, tmp_path_factory, train):
    folder = tmp_path_factory.mktemp("kn") / "run"
    train(texts / "seg.txt", folder, "--arch", "ngram", "--max-size", 30).ok()
    return folder


@pytest.fixture(scope="module")
def raw(texts, tmp_path_factory, train):
    """Counts of raw Chinese text, its words by jieba. Read only."""
    folder = tmp_path_factory.mktemp("raw") / "run"
    train(texts / "zh.txt", folder, "--arch", "ngram", "--max-size", 30, "--lang", "zh").ok()
    return folder


@pytest.fixture(scope="module")
def char(texts, tmp_path_factory, train):
    folder = tmp_path_factory.mktemp("char") / "run"
    train(texts / "zh.txt", folder, "--arch", "ngram", "--lang", "char").ok()
    return folder


@pytest.mark.parametrize("which", ["kn", "ffn"])
def test_a_word_a_row(nplm, request, which):
    run = request.getfixturevalue(which)
    result = nplm("surprisal", run, "-", *WORDS, stdin=written(ROWS)).ok()
    rows = read(result.out)
    assert list(rows[0]) == HEADER + NEW
    assert [[row[name] for name in HEADER] for row in rows] == ROWS
    opened = Run(run)
    scorer, index = open_scorer(opened), opened.vocabulary.index
    counts = dict(zip(opened.vocabulary.tokens, opened.vocabulary.counts.tolist(), strict=True))
    counts |= opened.unknown_counts
    words = sum(counts.values()) - counts["</s>"] - counts["<unk>"]
    types = len(counts) - 2
    at = 0
    for own in ITEMS.values():
        tokens = tokens_of(nplm, run, " ".join(own), "--segmented")
        before = None
        for place, word in enumerate(own):
            row, token = rows[at], tokens[place]
            assert float(row["surprisal_bits"]) == (
                token["surprisal_bits"]  # counts know no batch: the very same figures
                if which == "kn"
                else pytest.approx(token["surprisal_bits"], rel=1e-6)
            )
            assert (row["tokens"], row["length"]) == ("1", str(len(word)))
            assert row["oov"] == str(int(token["oov"])) == str(int(word not in index))
            log_p = scorer.next_log_probs([index.get(w, 0) for w in own[:place]])
            assert int(row["rank"]) == 1 + sum(log_p > log_p[index.get(word, 0)] + 1e-9)
            entropy = -sum(math.exp(x) * x for x in log_p) / math.log(2)
            assert float(row["entropy_bits"]) == pytest.approx(entropy, abs=1e-5)
            count = counts.get(word, 0)
            assert int(row["count"]) == count
            assert float(row["log10_freq_per_million"]) == pytest.approx(
                math.log10((count + 1) / (words + types) * 1e6), abs=1e-9
            )
            for name in NEW[-6:]:
                assert row[name] == ("" if before is None else before[name.removesuffix("_prev")])
            before, at = row, at + 1
    assert at == len(rows)
    assert "2 words (15.4%) with an unknown token" in result.err
    assert "nplm: 13 words; context: sentence; surprisal in bits" in result.err


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize(("encoding", "end"), [("utf-8-sig", "\r\n"), ("gb18030", "\n")])
def test_the_rows_that_went_in(nplm, kn, tmp_path, separator, quoting, encoding, end):
    """Each line of the output begins with the bytes of the line that went in."""
    (path := tmp_path / "items.csv").write_bytes(
        written(ROWS, separator, quoting, end).encode(encoding)
    )
    nplm("surprisal", kn, path, *WORDS, "-o", tmp_path / "out", "-q").ok()
    data, out = path.read_bytes(), (tmp_path / "out").read_bytes()
    lines, found = data.split(end.encode()), out.split(end.encode())
    assert len(lines) == len(found) == len(ROWS) + 2
    for line, own in zip(lines[:-1], found[:-1], strict=True):
        assert own.startswith(line + separator.encode())
    text = nplm("surprisal", kn, "-", *WORDS, "-q", stdin=written(ROWS)).ok().out
    rows = read(out.decode(encoding.removesuffix("-sig")).lstrip("\ufeff"), separator)
    assert rows == read(text)


def test_bases_spillover_and_prefix(nplm, kn):
    bits = read(nplm("surprisal", kn, "-", *WORDS, "-q", stdin=written(ROWS)).ok().out)
    line = ("--base", "e", "--spillover", 3, "--prefix", "lm.")
    rows = read(nplm("surprisal", kn, "-", *WORDS, *line, "-q", stdin=written(ROWS)).ok().out)
    assert list(rows[0])[:9] == [*HEADER, "lm.tokens", "lm.oov", "lm.length", "lm.surprisal_nats"]
    for i, (row, own) in enumerate(zip(rows, bits, strict=True)):
        for name in ("surprisal", "entropy"):
            expected = float(own[f"{name}_bits"]) * math.log(2)
            assert float(row[f"lm.{name}_nats"]) == pytest.approx(expected, rel=1e-12)
        for k, end in ((1, "_prev"), (2, "_prev2"), (3, "_prev3")):
            inside = int(own["region"]) > k
            expected = rows[i - k]["lm.surprisal_nats"] if inside else ""
            assert row[f"lm.surprisal_nats{end}"] == expected
    none = nplm("surprisal", kn, "-", *WORDS, "--spillover", 0, "-q", stdin=written(ROWS)).ok()
    assert none.lines[0].split("\t") == HEADER + NEW[:8]


def test_rows_in_any_order_with_their_places(nplm, kn):
    """Sorted by word, as some data come: the same figures, in the order of the rows."""
    expected = {
        (row["item"], row["cond"], row["region"]): row
        for row in read(nplm("surprisal", kn, "-", *WORDS, "-q", stdin=written(ROWS)).ok().out)
    }
    mixed = sorted(ROWS, key=lambda row: row[3])
    line = (*WORDS, "--position-column", "region", "-q")
    rows = read(nplm("surprisal", kn, "-", *line, stdin=written(mixed)).ok().out)
    assert [[row[name] for name in HEADER] for row in rows] == mixed
    assert all(row == expected[row["item"], row["cond"], row["region"]] for row in rows)
    told = nplm("surprisal", kn, "-", *WORDS, "-q", stdin=written(mixed)).refused("standard input:")
    assert "--position-column" in told


def test_json(nplm, kn):
    text = written(ROWS)
    rows = read(nplm("surprisal", kn, "-", *WORDS, "-q", stdin=text).ok().out)
    records = nplm("surprisal", kn, "-", *WORDS, "--json", "-q", stdin=text).ok().records
    for row, record in zip(rows, records, strict=True):
        assert list(record) == ["schema", *HEADER, *NEW]
        assert [record[name] for name in HEADER] == [row[name] for name in HEADER]
        assert record["surprisal_bits"] == float(row["surprisal_bits"])
        assert record["oov"] is (row["oov"] == "1")
        assert (record["surprisal_bits_prev"] is None) == (row["surprisal_bits_prev"] == "")
    doubled = "word\titem\tx\tx\n我\t1\t2\t3\n"
    line = ("--word-column", "word", "--item-column", "item")
    nplm("surprisal", kn, "-", *line, "--json", "-q", stdin=doubled).refused("two columns 'x'")
    nplm("surprisal", kn, "-", *line, "-q", stdin=doubled).ok()
    schema = "word\titem\tschema\n我\t1\t2\n"
    nplm("surprisal", kn, "-", *line, "--json", "-q", stdin=schema).refused("'schema'")
    assert (
        nplm("surprisal", kn, "-", *line, "-q", stdin=schema).ok().lines[0].startswith(schema[:16])
    )


def test_decimal_commas_of_excel(nplm, kn):
    """The table of Excel gives the report of the plain one; its new figures are Excel's, too."""
    plain, _, _ = times_table(nplm, kn, 5)
    excel = plain.replace("\t", ";").replace(".", ",")
    line = (*LINE, "--times-column", "RT", "--json")
    result = nplm("surprisal", kn, "-", *line, stdin=excel).ok()
    assert result.json == nplm("surprisal", kn, "-", *line, "-q", stdin=plain).ok().json
    assert "decimal commas" in result.err
    told = nplm("surprisal", kn, "-", *line, "-q", "--decimal", "point", stdin=excel)
    told.refused("standard input:2", "--decimal comma")
    rows = read(nplm("surprisal", kn, "-", *LINE, "-q", stdin=excel).ok().out, ";")
    expected = read(nplm("surprisal", kn, "-", *LINE, "-q", stdin=plain).ok().out)
    assert [row["surprisal_bits"].replace(",", ".") for row in rows] == [
        row["surprisal_bits"] for row in expected
    ]
    assert all("." not in row["entropy_bits"] for row in rows)
    commas = nplm("surprisal", kn, "-", *LINE, "-q", "--decimal", "comma", stdin=TABLE).ok()
    assert "," in read(commas.out)[0]["surprisal_bits"]


def test_the_line_that_tells_excel_the_separator(nplm, kn):
    table = "item;word\r\n1;我\r\n"
    expected = nplm("surprisal", kn, "-", *LINE, "-q", stdin=table).ok().out
    out = nplm("surprisal", kn, "-", *LINE, "-q", stdin="sep=;\r\n" + table).ok().out
    assert out == "sep=;\r\n" + expected


def test_the_table_itself_is_not_written_over(nplm, kn, tmp_path):
    (path := tmp_path / "t.tsv").write_text(TABLE, "utf-8")
    nplm("surprisal", kn, path, *LINE, "-o", path, "-q").refused("would be lost")
    assert path.read_text("utf-8") == TABLE


def test_words_of_several_tokens(nplm, english):
    """``don't,`` is do, n't and a comma: surprisals added up, entropy and rank of the first."""
    words = ["She", "doesn't", "like", "tea,", "again."]
    table = "item\tword\n" + "".join(f"1\t{word}\n" for word in words)
    line = ("--word-column", "word", "--item-column", "item")
    result = nplm("surprisal", english, "-", *line, stdin=table).ok()
    rows = read(result.out)
    tokens = tokens_of(nplm, english, " ".join(words))
    assert [t["token"] for t in tokens] == [
        "She", "does", "n't", "like", "tea", ",", "again", ".", "</s>",
    ]  # fmt: skip
    spans = [(0, 1), (1, 3), (3, 4), (4, 6), (6, 8)]
    assert [row["tokens"] for row in rows] == ["1", "2", "1", "2", "2"]
    assert "3 words of several tokens" in result.err
    for row, (begin, end) in zip(rows, spans, strict=True):
        total = math.fsum(t["surprisal_bits"] for t in tokens[begin:end])
        assert float(row["surprisal_bits"]) == pytest.approx(total, rel=1e-6)
        assert row["oov"] == str(int(any(t["oov"] for t in tokens[begin:end])))
    run = Run(english)
    vocabulary, unknown = run.vocabulary, run.unknown_counts
    own = {t: int(vocabulary.counts[i]) for t, i in vocabulary.index.items()} | unknown
    assert rows[3]["count"] == str(min(own["tea"], own[","]))


def test_why_words_are_unknown(nplm, english, kn):
    """In capitals or with marks that a model of segmented words does not have."""
    table = "item\tword\n" + "".join(f"1\t{word}\n" for word in ("TEA", "CAT", "zebras"))
    told = nplm("surprisal", english, "-", *LINE, stdin=table).ok().err
    assert "warning: of 3 unknown words the model knows 2 in lower case" in told
    table = "item\tword\n1\t书，\n1\t茶。\n"
    told = nplm("surprisal", kn, "-", *LINE, stdin=table).ok().err
    assert "of 2 unknown words the model knows" in told
    assert "of 2 unknown" not in nplm("surprisal", kn, "-", *LINE, "-q", stdin=table).ok().err


def test_sentences_become_words(nplm, english):
    """A row a word: where it is, what it is, and the cells of its sentence before it."""
    sentences = ["She doesn't like tea.", "", "The cat sees  it again."]
    table = "id,sentence\n" + "".join(f'{i},"{s}"\n' for i, s in enumerate(sentences))
    line = ("--text-column", "sentence", "--eos")
    rows = read(nplm("surprisal", english, "-", *line, "-q", stdin=table).ok().out, ",")
    assert list(rows[0])[:7] == ["id", "sentence", "row", "position", "word", "start", "end"]
    words = [[*s.split(), "</s>"] for s in sentences]
    assert [row["word"] for row in rows] == list(itertools.chain(*words))
    for number, (sentence, own) in enumerate(zip(sentences, words, strict=True), 1):
        found = [row for row in rows if row["row"] == str(number)]
        assert [row["position"] for row in found] == [str(i + 1) for i in range(len(own))]
        assert {row["sentence"] for row in found} == {sentence}
        for row in found[:-1]:
            assert sentence[int(row["start"]) : int(row["end"])] == row["word"]
        total = math.fsum(float(row["surprisal_bits"]) for row in found)
        [record] = nplm("score", english, sentence, "--json", "-q").ok().records
        assert total == pytest.approx(record["surprisal_bits"], rel=1e-6)
    without = read(nplm("surprisal", english, "-", *line[:2], "-q", stdin=table).ok().out, ",")
    assert [row["word"] for row in without] == [
        "She", "doesn't", "like", "tea.", "", "The", "cat", "sees", "it", "again.",
    ]  # fmt: skip
    assert without[4]["surprisal_bits"] == ""
    assert without[0]["surprisal_bits_prev"] == without[5]["surprisal_bits_prev"] == ""


def test_chinese_keeps_the_words_of_the_user(nplm, raw, char, kn):
    """The same sentence for a model of words, of raw text and of characters."""
    own = ["今天我", "买", "书。"]
    table = "item\tword\n" + "".join(f"1\t{word}\n" for word in own)
    line = ("--word-column", "word", "--item-column", "item", "-q")
    rows = read(nplm("surprisal", raw, "-", *line, stdin=table).ok().out)
    assert [row["tokens"] for row in rows] == ["2", "1", "2"]
    tokens = tokens_of(nplm, raw, "今天 我 买 书 。")
    sums = [tokens[0:2], tokens[2:3], tokens[3:5]]
    for row, part in zip(rows, sums, strict=True):
        total = math.fsum(t["surprisal_bits"] for t in part)
        assert float(row["surprisal_bits"]) == pytest.approx(total, rel=1e-9)
    rows = read(nplm("surprisal", char, "-", *line, stdin=table).ok().out)
    assert [row["tokens"] for row in rows] == ["3", "1", "2"]
    tokens = tokens_of(nplm, char, "今天我买书。")
    assert float(rows[0]["surprisal_bits"]) == pytest.approx(
        math.fsum(t["surprisal_bits"] for t in tokens[:3]), rel=1e-9
    )
    # A model of segmented words takes a cell as it is, however long, and says that it is unknown.
    long = "item\tword\n1\t今天我买书喝茶\n"
    [row] = read(nplm("surprisal", kn, "-", *line, stdin=long).ok().out)
    assert (row["tokens"], row["oov"], row["count"]) == ("1", "1", "0")
    spaced = "item\tword\n1\t今天 我\n1\t买\n"
    rows = read(nplm("surprisal", kn, "-", *line, stdin=spaced).ok().out)
    assert [row["tokens"] for row in rows] == ["2", "1"]
    cut = read(nplm("surprisal", kn, "-", *line, "--raw", stdin=table).ok().out)
    assert [row["tokens"] for row in cut] == ["2", "1", "2"]


def test_unspaced_chinese_sentences(nplm, raw, char):
    table = "sentence\n今天我们喜欢北京。\n今天 我们 喜欢 北京 。\n"
    line = ("--text-column", "sentence", "-q")
    rows = read(nplm("surprisal", raw, "-", *line, stdin=table).ok().out)
    first = [row["word"] for row in rows if row["row"] == "1"]
    assert first == ["今天", "我们", "喜欢", "北京", "。"]
    assert [row["word"] for row in rows if row["row"] == "2"] == first
    rows = read(nplm("surprisal", char, "-", *line, stdin=table).ok().out)
    assert [row["word"] for row in rows if row["row"] == "1"] == list("今天我们喜欢北京。")
    assert [row["word"] for row in rows if row["row"] == "2"] == first
    line = (*line, "--words", "tokens")
    rows = read(nplm("surprisal", char, "-", *line, stdin=table).ok().out)
    assert [row["word"] for row in rows] == 2 * list("今天我们喜欢北京。")


def test_texts_of_several_sentences(nplm, english, texts, train, tmp_path):
    """Split, each sentence begins anew; under the stream policy the context runs on."""
    words = [
        "The",
        "cat",
        "sees",
        "it.",
        "She",
        "likes",
        "an",
        "apple.",
        "A",
        "dog",
        "finds",
        "some",
        "tea.",
    ]
    table = "item\tword\n" + "".join(f"1\t{word}\n" for word in words)
    line = ("--word-column", "word", "--item-column", "item")
    one = nplm("surprisal", english, "-", *line, stdin=table).ok()
    assert "3 sentences" in one.err
    split = nplm("surprisal", english, "-", *line, "--sentences", "split", stdin=table).ok()
    assert "sentences" not in split.err
    text = "The cat sees it.\nShe likes an apple.\nA dog finds some tea.\n"
    for context in ("sentence", "stream"):
        options = ("--sentences", "split", "--context", context, "-q")
        rows = read(nplm("surprisal", english, "-", *line, *options, stdin=table).ok().out)
        records = nplm(
            "score", english, "-", "--context", context, "--per-token", "--json", stdin=text
        ).ok()
        tokens = [t for r in records.records for t in r["per_token"] if t["token"] != "</s>"]
        total = math.fsum(t["surprisal_bits"] for t in tokens)
        found = math.fsum(float(row["surprisal_bits"]) for row in rows)
        assert found == pytest.approx(total, rel=1e-6)
        assert float(rows[4]["surprisal_bits"]) == pytest.approx(
            next(t for t in tokens if t["token"] == "She")["surprisal_bits"], rel=1e-6
        )
        assert rows[4]["surprisal_bits_prev"] == rows[3]["surprisal_bits"]


def test_a_mixture(nplm, ffn, kn, texts, tmp_path):
    line = ("mix", kn, ffn, "--tune", texts / "seg.txt", "--cache", "unigram")
    nplm(*line, "-o", tmp_path / "m", "-q").ok()
    result = nplm("surprisal", tmp_path / "m", "-", *WORDS, stdin=written(ROWS)).ok()
    assert "are left out" in result.err
    rows = read(result.out)
    tokens = tokens_of(nplm, tmp_path / "m", "今天 我 买 书 。")[:-1]
    for row, token in zip(rows[:5], tokens, strict=True):
        assert float(row["surprisal_bits"]) == pytest.approx(token["surprisal_bits"], rel=1e-6)
        assert int(row["rank"]) >= 1
        assert float(row["entropy_bits"]) > 0


def test_probability_0_is_said(nplm, ngram):
    table = "item\tword\n" + "1\t书\n" * 3
    line = ("--word-column", "word", "--item-column", "item")
    result = nplm("surprisal", ngram, "-", *line, stdin=table).ok()
    rows = read(result.out)
    assert rows[-1]["surprisal_bits"] == "inf"
    assert (rows[-1]["rank"], rows[-1]["entropy_bits"]) == ("", "")
    assert "probability 0" in result.err
    assert "nan" not in result.out.lower()
    records = nplm("surprisal", ngram, "-", *line, "--json", "-q", stdin=table).ok().records
    assert records[-1]["surprisal_bits"] is None


def test_empty_cells_and_blank_lines_stay(nplm, kn):
    table = "item\tword\n1\t我\n1\t\n\n1\t书\n"
    line = ("--word-column", "word", "--item-column", "item")
    result = nplm("surprisal", kn, "-", *line, stdin=table).ok()
    assert [text.split("\t")[:2] for text in result.lines] == [
        ["item", "word"], ["1", "我"], ["1", ""], [""], ["1", "书"],
    ]  # fmt: skip
    empty = dict(zip(result.lines[0].split("\t"), result.lines[2].split("\t"), strict=True))
    assert (empty["tokens"], empty["surprisal_bits"], empty["oov"]) == ("0", "", "")
    assert empty["surprisal_bits_prev"] != ""
    assert result.lines[4].split("\t")[-4:] == [""] * 4
    tokens = tokens_of(nplm, kn, "我 书")
    assert result.lines[4].split("\t")[5] == repr(tokens[1]["surprisal_bits"])
    assert "1 cell without a word" in result.err


def times_table(nplm, run, noise):
    """Words of made-up sentences with times that follow their surprisal."""
    r = random.Random(2)
    words = [
        "今天",
        "昨天",
        "我",
        "你",
        "他",
        "买",
        "看见",
        "书",
        "茶",
        "猫",
        "。",
        "妈妈",
        "喜欢",
        "苹果",
    ]
    rows = [(str(i), r.choice(words)) for i in range(12) for _ in range(9)]
    table = "item\tword\n" + "".join(f"{i}\t{word}\n" for i, word in rows)
    line = ("--word-column", "word", "--item-column", "item", "-q")
    found = read(nplm("surprisal", run, "-", *line, stdin=table).ok().out)
    times = [
        200 + 9 * float(row["surprisal_bits"]) + 6 * int(row["length"]) + r.gauss(0, noise)
        for row in found
    ]
    lines = [f"{i}\t{word}\t{time:.3f}\n" for (i, word), time in zip(rows, times, strict=True)]
    return "item\tword\tRT\n" + "".join(lines), found, times


def test_reading_times(nplm, kn, tmp_path):
    """The report is that of regressions on the columns that go out."""
    table, rows, times = times_table(nplm, kn, 5)
    line = ("--word-column", "word", "--item-column", "item", "--times-column", "RT")
    report = nplm("surprisal", kn, "-", *line, "--json", "-q", stdin=table).ok().json
    assert (report["schema"], report["times"], report["rows"]) == (1, "RT", 108)
    assert report["words"] == 12 * 8
    assert report["left_out"]["no_previous_word"] == 12
    used = [i for i, row in enumerate(rows) if row["surprisal_bits_prev"]]
    names = ["length", "log10_freq_per_million", "length_prev", "log10_freq_per_million_prev"]

    def rss(columns):
        x = np.array([[1.0, *(float(rows[i][name]) for name in columns)] for i in used])
        y = np.array([round(times[i], 3) for i in used])
        return float(((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum())

    small, large = rss(names), rss([*names, "surprisal_bits"])
    [first, *_] = report["comparisons"]
    assert first["delta_log_likelihood"] == pytest.approx(48 * math.log(small / large))
    assert first["f"] == pytest.approx((small - large) / (large / (96 - 6)))
    assert first["p_value"] < 1e-6
    named = {c["predictor"]: c["estimate"] for c in report["coefficients"]}
    assert named["surprisal_bits"] == pytest.approx(9, abs=1)
    result = nplm("surprisal", kn, "-", *line, "-o", tmp_path / "rows.tsv", stdin=table).ok()
    assert {row["part"] for row in result.table} == {
        "correlation", "partial_correlation", "model", "comparison", "coefficient",
    }  # fmt: skip
    assert "96 of 108 rows in the regressions; left out: 12 no previous word" in result.err
    out = read((tmp_path / "rows.tsv").read_text("utf-8"))
    assert [row["surprisal_bits"] for row in out] == [row["surprisal_bits"] for row in rows]
    blank = table.replace("\n", "\n\n")
    assert nplm("surprisal", kn, "-", *line, "--json", "-q", stdin=blank).ok().json == report
    logs = nplm("surprisal", kn, "-", *line, "--log-times", "--json", "-q", stdin=table).ok().json
    assert logs["response"] == "ln(time)"


LINE = ("--word-column", "word", "--item-column", "item")
TABLE = "item\tword\tRT\n1\t我\t300\n1\t买\tNA\n2\t书\t310\n"


@pytest.mark.parametrize(
    ("line", "table", "parts"),
    [
        ((), TABLE, ["--text-column", "--word-column"]),
        (("--text-column", "word", "--word-column", "word"), TABLE, ["--text-column"]),
        (("--word-column", "word"), TABLE, ["--item-column"]),
        (("--text-column", "word", "--item-column", "item"), TABLE, ["--item-column acts on"]),
        (("--text-column", "word", "--times-column", "RT"), TABLE, ["--times-column acts on"]),
        ((*LINE, "--eos"), TABLE, ["--eos acts on --text-column"]),
        ((*LINE, "--words", "tokens"), TABLE, ["--words acts on --text-column"]),
        ((*LINE, "--log-times"), TABLE, ["--log-times acts on --times-column"]),
        ((*LINE, "--segmented", "--raw"), TABLE, ["--segmented and --raw"]),
        ((*LINE, "--base", "3"), TABLE, ["--base '3'"]),
        ((*LINE, "--context", "none"), TABLE, ["--context 'none'"]),
        ((*LINE, "--sentences", "word"), TABLE, ["--sentences 'word'"]),
        ((*LINE, "--prefix", "a b"), TABLE, ["--prefix"]),
        ((*LINE, "--separator", "pipe"), TABLE, ["--separator 'pipe'"]),
        ((*LINE, "--quoting", "no"), TABLE, ["--quoting 'no'"]),
        ((*LINE, "--decimal", "dot"), TABLE, ["--decimal 'dot'"]),
        ((*LINE, "--spillover", "-1"), TABLE, ["--spillover"]),
        (("--word-column", "wrd", "--item-column", "item"), TABLE, [":1", "did you mean 'word'"]),
        (LINE, TABLE.replace("RT", "rank"), ["'rank'", "--prefix"]),
        (LINE, TABLE.replace("2\t书", "\t书"), ["standard input:4", "no item"]),
        (LINE, TABLE.replace("2\t书\t310", "2\t书"), ["standard input:4", "2 cells"]),
        (LINE, TABLE + "1\t茶\t1\n", ["standard input:5", "item 1 again"]),
        ((*LINE, "--times-column", "RT"), TABLE, ["too few"]),
        ((*LINE, "--times-column", "RT"), TABLE.replace("300", "fast"), [":2", "'fast'"]),
        ((*LINE, "--times-column", "RT", "-o", "-"), TABLE, ["-o"]),
        ((*LINE, "--position-column", "RT"), TABLE, ["standard input:3", "no RT"]),
        ((*LINE, "--position-column", "RT"), TABLE.replace("NA", "300"), [":3", "line 2"]),
        (LINE, "", ["header"]),
        (LINE, "item\tword\n", ["no row"]),
    ],
)
def test_refused_in_one_line(nplm, kn, line, table, parts):
    nplm("surprisal", kn, "-", "-q", *line, stdin=table).refused(*parts)


def test_bad_bytes_are_named(nplm, kn, tmp_path):
    (path := tmp_path / "t.tsv").write_bytes(b"item\tword\n1\t\xff\xff\n")
    nplm("surprisal", kn, path, *LINE).refused("t.tsv:2", "byte")


@pytest.mark.real
def test_natural_stories(nplm, texts, tmp_path, train):
    """On 10,256 words in context: times rise with surprisal beyond length and frequency."""
    default = Path(__file__).parents[2] / ".." / "shared" / "corpora"
    folder = Path(os.environ.get("NPLM_REAL_CORPORA", default))
    if not folder.is_dir():
        pytest.skip("no real corpora (NPLM_REAL_CORPORA)")
    run = tmp_path / "run"
    train(
        folder / "raw_en" / "sherlock.txt", run, "--arch", "ngram", "--order", 3, steps=False,
        tiny=False,
    ).ok()  # fmt: skip
    stories = folder / "reading_times" / "natural_stories.wordinfo.tsv"
    line = (
        *("--word-column", "word", "--item-column", "item", "--position-column", "zone"),
        *("--sentences", "split"),
    )
    nplm("surprisal", run, stories, *line, "-o", tmp_path / "out.tsv").ok()
    before = stories.read_bytes().splitlines()
    after = (tmp_path / "out.tsv").read_bytes().splitlines()
    assert len(before) == len(after) == 10_257
    assert all(b.startswith(a + b"\t") for a, b in zip(before, after, strict=True))
    times = ("--times-column", "meanItemRT", "--json", "-q")
    report = nplm("surprisal", run, stories, *line, *times).ok().json
    assert report["rows"] == 10_256
    assert report["left_out"]["no_previous_word"] >= 10
    named = {c["predictor"]: c for c in report["coefficients"]}
    assert named["surprisal_bits"]["estimate"] > 0
    assert report["comparisons"][0]["p_value"] < 1e-6
    assert report["comparisons"][-1]["delta_log_likelihood"] > 20
