"""What ``nplm score`` says of a sentence is the same in every unit, layout and way of asking."""

import json
import math
import re

import pytest

SENTENCES = ["今天 我 买 书 。", "昨天 妈妈 看见 乏味 的 猫 。", "我们"]
UNITS = {
    "2": ("surprisal_bits", 2.0),
    "e": ("surprisal_nats", math.e),
    "10": ("surprisal_log10", 10),
}
SENTENCE_KEYS = ["schema", "text", "words", "oov", "logprob_e"]
TOKEN_KEYS = ["token", "id", "oov", "logprob_e"]


@pytest.fixture(scope="module")
def records(nplm, ffn):
    return nplm("score", ffn, *SENTENCES, "--per-token", "--json").ok().records


def test_keys_and_counts(records):
    for text, record in zip(SENTENCES, records, strict=True):
        assert list(record) == [*SENTENCE_KEYS, "surprisal_bits", "per_token"]
        assert record["schema"] == 1
        assert record["text"] == text
        assert record["words"] == len(text.split())
        for token in record["per_token"]:
            assert list(token) == [*TOKEN_KEYS, "surprisal_bits", "start", "end"]
            assert text[token["start"] : token["end"]] == token["token"] or token["token"] == "</s>"
        assert [t["token"] for t in record["per_token"]] == [*text.split(), "</s>"]
    assert [r["oov"] for r in records] == [0, 2, 0]
    assert [t["oov"] for t in records[1]["per_token"]] == [0, 0, 0, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("base", UNITS)
def test_units_and_sums_agree(nplm, ffn, records, base):
    column, number = UNITS[base]
    found = nplm("score", ffn, *SENTENCES, "--per-token", "--base", base, "--json").ok().records
    for record, bits in zip(found, records, strict=True):
        assert record["logprob_e"] == bits["logprob_e"]
        assert record[column] == pytest.approx(-record["logprob_e"] / math.log(number), abs=1e-9)
        assert math.fsum(t["logprob_e"] for t in record["per_token"]) == pytest.approx(
            record["logprob_e"], abs=1e-9
        )
        assert math.fsum(t[column] for t in record["per_token"]) == pytest.approx(
            record[column], abs=1e-9
        )
        names = {key for key in record if key.startswith("surprisal")}
        assert names == {column}


def test_every_way_in_gives_the_same(nplm, ffn, tmp_path):
    text = "\n".join(SENTENCES)
    (tmp_path / "f.txt").write_text(text, "utf-8")
    (tmp_path / "gbk.txt").write_bytes((text + "\r\n").encode("gbk"))
    result = nplm("score", ffn, *SENTENCES, "--json").ok()
    expected, records = result.out, result.records
    assert nplm("score", ffn, "--file", tmp_path / "f.txt", "--json").ok().out == expected
    assert nplm("score", ffn, "--file", tmp_path / "gbk.txt", "--json").ok().out == expected
    assert nplm("score", ffn, "-", "--json", stdin=text + "\n").ok().out == expected
    # Without its line end the last line comes in a batch of its own, whose products round otherwise.
    for found, record in zip(
        nplm("score", ffn, "-", "--json", stdin=text).ok().records, records, strict=True
    ):
        for key in ("logprob_e", "surprisal_bits"):
            assert found.pop(key) == pytest.approx(record[key], abs=1e-5)
            record = {name: value for name, value in record.items() if name != key}
        assert found == record
    assert (
        nplm("score", ffn, "-", "--json", stdin="\ufeff" + text.replace("\n", "\r\n") + "\r\n")
        .ok()
        .out
        == expected
    )
    gbk = ("--json", "--encoding", "gbk")
    assert nplm("score", ffn, "-", *gbk, stdin=(text + "\n").encode("gbk")).ok().out == expected


def test_a_sentence_scores_the_same_alone(nplm, ffn, records):
    for text, record in zip(SENTENCES, records, strict=True):
        alone = nplm("score", ffn, text, "--json").ok().json
        assert alone["logprob_e"] == pytest.approx(record["logprob_e"], abs=1e-5)


def test_without_the_end_of_the_sentence(nplm, ffn, records):
    found = nplm("score", ffn, *SENTENCES, "--no-eos", "--per-token", "--json").ok().records
    for record, whole in zip(found, records, strict=True):
        assert record["per_token"] == whole["per_token"][:-1]
        end = whole["per_token"][-1]["logprob_e"]
        assert record["logprob_e"] == pytest.approx(whole["logprob_e"] - end, abs=1e-9)
        assert record["words"] == whole["words"]


def test_tsv_has_a_header_and_table_has_borders(nplm, ffn):
    result = nplm("score", ffn, *SENTENCES, "-q").ok()
    assert result.lines[0] == "text\twords\toov\tlogprob_e\tsurprisal_bits"
    assert result.out == nplm("score", ffn, *SENTENCES, "-q", "--format", "tsv").out
    assert [row["text"] for row in result.table] == SENTENCES
    tokens = nplm("score", ffn, *SENTENCES, "-q", "--per-token").ok()
    head = "sentence\ttoken\tid\toov\tlogprob_e\tsurprisal_bits\tstart\tend"
    assert tokens.lines[0] == head
    assert len(tokens.lines) == 1 + sum(len(s.split()) + 1 for s in SENTENCES)
    assert "┃" in nplm("score", ffn, *SENTENCES, "--format", "table", "-q").ok().out
    assert (
        nplm("score", ffn, *SENTENCES, "--format", "json").out
        == nplm("score", ffn, *SENTENCES, "--json").out
    )


def test_stderr_names_policy_and_unit(nplm, ffn):
    told = nplm("score", ffn, SENTENCES[0], "--base", "10").ok().err
    assert "context: sentence" in told
    assert "base 10" in told or "base-10" in told
    assert "</s> not counted" in nplm("score", ffn, SENTENCES[0], "--no-eos").err


def test_kenlm_layout_adds_up(nplm, ffn, records):
    *lines, including, excluding, oovs, tokens = (
        nplm("score", ffn, *SENTENCES, "--format", "kenlm", "-q").ok().lines
    )
    all_log10, known_log10 = [], []
    for line, record in zip(lines, records, strict=True):
        cells, total, oov = re.fullmatch(r"(.*)\tTotal: (\S+) OOV: (\d+)", line).groups()
        rows = [
            re.fullmatch(r"(\S+)=(\d+) (\d+) (\S+)", cell).groups() for cell in cells.split("\t")
        ]
        assert [row[0] for row in rows] == [t["token"] for t in record["per_token"]]
        assert [int(row[1]) for row in rows] == [t["id"] for t in record["per_token"]]
        assert [int(row[2]) for row in rows] == [2, *[3] * (len(rows) - 1)]  # order 3
        assert int(oov) == record["oov"]
        log10 = [float(row[3]) for row in rows]
        assert sum(log10) == pytest.approx(float(total), rel=1e-7)
        assert float(total) == pytest.approx(record["logprob_e"] / math.log(10), rel=1e-7)
        all_log10 += log10
        known_log10 += [x for x, row in zip(log10, rows, strict=True) if row[1] != "0"]
    perplexity = 10 ** (-sum(all_log10) / len(all_log10))
    assert float(including.removeprefix("Perplexity including OOVs:\t")) == pytest.approx(
        perplexity
    )
    perplexity = 10 ** (-sum(known_log10) / len(known_log10))
    assert float(excluding.removeprefix("Perplexity excluding OOVs:\t")) == pytest.approx(
        perplexity
    )
    assert oovs == "OOVs:\t2"
    assert tokens == f"Tokens:\t{len(all_log10)}"


P_LINE = re.compile(r"\tp\( (\S+) \| (\S+)( \.\.\.)? \) \t= \[(\S+)\] (\S+) \[ (\S+) \]")


def test_srilm_layout_adds_up(nplm, ffn, records):
    blocks = nplm("score", ffn, *SENTENCES, "--format", "srilm", "-q").ok().out.split("\n\n")
    everything = []
    for block, record in zip(blocks[:-1], records, strict=True):
        text, *rows, counts, tail = block.splitlines()
        assert text == record["text"]
        parsed = [P_LINE.fullmatch(row).groups() for row in rows]
        tokens = record["per_token"]
        assert [p[0] for p in parsed] == ["<unk>" if t["oov"] else t["token"] for t in tokens]
        assert [p[1] for p in parsed] == [
            "<s>",
            *("<unk>" if t["oov"] else t["token"] for t in tokens[:-1]),
        ]
        assert [p[3] for p in parsed] == [
            "OOV" if t["oov"] else f"{min(i + 2, 3)}gram" for i, t in enumerate(tokens)
        ]
        known = [t["logprob_e"] / math.log(10) for t in tokens if not t["oov"]]
        for p, log10 in zip([p for p in parsed if p[3] != "OOV"], known, strict=True):
            assert float(p[5]) == pytest.approx(log10, rel=1e-5)
            assert float(p[4]) == pytest.approx(10**log10, rel=1e-5)
        assert counts == f"1 sentences, {record['words']} words, {record['oov']} OOVs"
        logprob, ppl, ppl1 = map(
            float,
            re.fullmatch(r"0 zeroprobs, logprob= (\S+) ppl= (\S+) ppl1= (\S+)", tail).groups(),
        )
        assert logprob == pytest.approx(sum(known), rel=1e-5)
        assert ppl == pytest.approx(10 ** (-sum(known) / len(known)), rel=1e-4)
        assert ppl1 == pytest.approx(10 ** (-sum(known) / (len(known) - 1)), rel=1e-4)
        everything += known
    head, tail = blocks[-1].splitlines()
    assert head == f"file -: 3 sentences, {sum(r['words'] for r in records)} words, 2 OOVs"
    assert float(re.search(r"logprob= (\S+)", tail)[1]) == pytest.approx(sum(everything), rel=1e-5)
    assert float(re.search(r"ppl= (\S+)", tail)[1]) == pytest.approx(
        10 ** (-sum(everything) / len(everything)), rel=1e-4
    )


def test_given_and_word_equal_the_row_of_the_sentence(nplm, ffn, records):
    tokens = records[1]["per_token"]
    words = SENTENCES[1].split()
    for i, word in enumerate([*words, "</s>"]):
        given = " ".join(words[:i])
        record = nplm("score", ffn, "--given", given, "--word", word, "--json").ok().json
        assert record["schema"] == 1
        assert (record["given"], record["word"]) == (given, word)
        assert record["oov"] == tokens[i]["oov"]
        assert record["logprob_e"] == pytest.approx(tokens[i]["logprob_e"], abs=1e-5)
        assert record["surprisal_bits"] == pytest.approx(
            -record["logprob_e"] / math.log(2), abs=1e-9
        )
        assert record["probability"] == pytest.approx(math.exp(record["logprob_e"]))


def test_given_with_several_words(nplm, ffn):
    options = ("--given", "今天 我", "--word", "买", "--word", "找", "--base", "10")
    result = nplm("score", ffn, *options).ok()
    assert result.lines[0] == "given\tword\toov\tprobability\tlogprob_e\tsurprisal_log10"
    assert [row["word"] for row in result.table] == ["买", "找"]


def test_count_models_score_zero_without_crashing(nplm, ngram):
    bad = "书 书 书"
    record = nplm("score", ngram, bad, "--json").ok().json
    assert record["logprob_e"] is None
    assert record["surprisal_bits"] is None
    assert nplm("score", ngram, bad, "-q").ok().table[0]["logprob_e"] == "-inf"
    assert "zeroprobs" in nplm("score", ngram, bad, "--format", "srilm").ok().out
    assert "Total: -inf" in nplm("score", ngram, bad, "--format", "kenlm").ok().out


def test_stream_scores_run_on_over_the_sentences(nplm, ffn, texts):
    lines = (texts / "seg.txt").read_text("utf-8").splitlines()[:7]
    text = "\n".join(lines)
    records = nplm("score", ffn, "-", "--context", "stream", "--json", stdin=text).ok().records
    (file := texts / "head7.txt").write_text(text, "utf-8")
    ledger = (
        nplm("eval", ffn, file, "--context", "stream", "--json", "-q", "--format", "segmented")
        .ok()
        .json
    )
    total = sum(r["logprob_e"] for r in records)
    assert -total == pytest.approx(ledger["nll_nats_total"], rel=1e-5)


def test_score_agrees_with_eval(nplm, ffn, ngram, texts):
    for run in (ffn, ngram):
        records = nplm("score", run, "--file", texts / "seg.txt", "--json").ok().records
        ledger = nplm("eval", run, texts / "seg.txt", "--json", "-q").ok().json
        assert sum(r["words"] for r in records) == ledger["words"]
        assert sum(r["oov"] for r in records) == ledger["oov"]
        if ledger["nll_nats_total"] is not None:
            total = -sum(r["logprob_e"] for r in records)
            assert total == pytest.approx(ledger["nll_nats_total"], rel=1e-6)


def test_raw_chinese_for_a_model_of_segmented_text(nplm, ffn):
    raw = "今天我们喜欢北京。"
    result = nplm("score", ffn, raw, "--json").ok()
    assert "jieba" in result.err
    assert result.json["words"] > 3
    result = nplm("score", ffn, raw, "--json", "--segmented").ok()
    assert result.err == ""
    assert result.json["words"] == 1
    assert nplm("score", ffn, "今天", "--json").err == ""


def test_raw_english_is_cut_as_in_training(nplm, english):
    record = nplm("score", english, "It isn't, is it?", "--per-token", "--json").ok().json
    assert [t["token"] for t in record["per_token"]] == [
        "It",
        "is",
        "n't",
        ",",
        "is",
        "it",
        "?",
        "</s>",
    ]


def test_lines_of_several_sentences(nplm, english):
    """Training text was split: score says when a line holds several, and splits on request."""
    text = "The cat sees it. The dog sees it."
    one = nplm("score", english, text, "--json").ok()
    assert "2 sentences" in one.err
    assert "--sentences split" in one.err
    two = nplm("score", english, text, "--json", "--sentences", "split").ok()
    assert two.err == ""
    records = [json.loads(line) for line in two.lines]
    assert [record["text"] for record in records] == ["The cat sees it.", "The dog sees it."]
    for record in records:
        alone = nplm("score", english, record["text"], "--json").ok().json
        assert alone["logprob_e"] == pytest.approx(record["logprob_e"], abs=1e-5)


def test_a_file_name_is_no_sentence(nplm, ffn, tmp_path):
    (tmp_path / "t.txt").write_text("a b\n")
    assert "--file" in nplm("score", ffn, tmp_path / "t.txt", "-q").ok().err


@pytest.mark.parametrize(
    "option",
    [("--per-token",), ("--no-eos",), ("--context", "stream"), ("--format", "kenlm")],
)
def test_given_refuses_what_it_would_ignore(nplm, ffn, option):
    nplm("score", ffn, "--given", "今天", "--word", "我", *option).refused("--given")


def test_good_lines_before_a_bad_one_are_answered(nplm, ffn):
    result = nplm("score", ffn, "-", "-q", stdin="我 书\n你 书\n".encode() + b"a \xff b\n")
    assert result.code == 2
    assert [row["text"] for row in result.table] == ["我 书", "你 书"]
    assert "standard input:3: " in result.err


def test_a_mark_of_utf16_on_standard_input(nplm, ffn):
    wide = nplm("score", ffn, "-", "-q", stdin="我 书\n你 书\n".encode("utf-16")).ok()
    assert wide.out == nplm("score", ffn, "-", "-q", stdin="我 书\n你 书\n").ok().out
