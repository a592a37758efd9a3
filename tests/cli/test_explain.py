"""nplm explain as a person meets it: pages, JSON, refusals, words of strangers."""

import html.parser
import json
import math
import shutil

import pytest

from nplm_cli.cli.page import WIDTH, width_of

LONG = "W" * 300
HOSTILE = ["<script>alert(1)</script>", "a\x1b[31mred", "d\u202eright", "&amp;", "{{7*7}}", LONG]
HOSTILE += ["漢" * 120, '"><img', "</style>", "[bold]"]
NETWORKS = {
    "ffn": ("--order", 4),
    "rnn": ("--activation", "relu"),
    "gru": (),
    "lstm": ("--layers", 2),
    "attention": ("--heads", 2, "--window", 8),
    "transformer": ("--heads", 2),
    "adaptive": ("--arch", "lstm", "--softmax", "adaptive", "--cutoffs", "5"),
    "modern": (
        *("--arch", "ffn", "--far", 3, "--kernels", 1, "--averages", 1),
        *("--norm", "pre", "--residual", "--gate"),
    ),
    "ngram": (),
    "mle": ("--arch", "ngram", "--smoothing", "mle"),
}


@pytest.fixture(scope="module")
def hostile(train, tmp_path_factory):
    """Runs of every kind over words of strangers, and a mixture of two of them."""
    folder = tmp_path_factory.mktemp("hostile")
    text = folder / "text.txt"
    lines = [" ".join([*HOSTILE[i:], "the", "cat", *HOSTILE[:i], "."]) for i in range(len(HOSTILE))]
    text.write_text("\n".join(lines * 6) + "\n", "utf-8")
    kept = {}

    def get(name):
        if name not in kept:
            kept[name] = folder / name
            if name == "mix":
                from nplm_cli.cli.app import run

                parts = [str(get("ffn")), str(get("ngram")), "--cache", "unigram"]
                assert run(["mix", *parts, "--tune", str(text), "-o", str(kept[name]), "-q"]) == 0
            else:
                arch = () if "--arch" in NETWORKS[name] else ("--arch", name)
                fixed = ("--format", "segmented", "--split-by", "none", "--min-count", 1)
                options = (*fixed, *arch, *NETWORKS[name])
                train(text, kept[name], *options).ok()
        return kept[name]

    return get


@pytest.mark.parametrize("name", [*NETWORKS, "mix"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_nothing_is_wider_than_80_columns_and_nothing_drives_the_terminal(
    nplm, hostile, name, lang
):
    words = [part for word in (*HOSTILE[:3], LONG) for part in ("--word", word)]
    asked = ("explain", hostile(name), " ".join(HOSTILE), *words, "--components", 9, "--lang", lang)
    result = nplm(*asked).ok()
    commands = ("nplm explain ",)  # to be copied
    lines = [line for line in result.lines if not line.strip().startswith(commands)]
    assert [line for line in lines if width_of(line) > WIDTH] == []
    assert len(lines) > 20
    assert not {c for c in result.out if c != "\n" and not c.isprintable()}
    assert "\\x1b[31mred" in result.out


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text, self.attributes = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("name", [*NETWORKS, "mix"])
def test_a_page_of_its_own(nplm, hostile, name, tmp_path):
    path = tmp_path / "page.html"
    result = nplm("explain", hostile(name), " ".join(HOSTILE), "--html", path, "--lang", "zh").ok()
    assert result.out == ""
    assert str(path) in result.err
    page = path.read_text("utf-8")
    reader = Reader()
    reader.feed(page)
    assert not {"script", "img", "link", "iframe"} & set(reader.tags)
    assert not {key for key, _ in reader.attributes} & {"src", "onerror", "onload"}
    links = [value for key, value in reader.attributes if key == "href"]
    assert links
    assert all(link.startswith("#") for link in links)
    assert ("lang", "zh-CN") in reader.attributes
    assert any("<script>" in text for text in reader.text)
    assert "\x1b" not in page
    assert "\u202e" not in page
    policies = [value for key, value in reader.attributes if key == "content"]
    assert any("default-src 'none'" in value and "script-src 'none'" in value for value in policies)
    depths = [v for k, v in reader.attributes if k == "style"]
    assert all(0 <= float(v.removeprefix("--depth:")) <= 1 for v in depths)
    # Attention and gates are maps of colours; counts have none.
    assert bool(depths) == (name not in ("ngram", "mle", "mix"))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", [*NETWORKS, "mix"])
def test_json_agrees_with_predict_and_score(nplm, hostile, name):
    run, text = hostile(name), "the cat"
    record = nplm("explain", run, text, "--word", ".", "--word", "not there", "--json").ok().json
    assert record["schema"] == 1
    assert (record["tokens"], record["text"], record["unknown"]) == (["the", "cat"], text, [])
    expected = nplm("predict", run, text, "--json").ok().json["predictions"]
    assert [p["word"] for p in record["predictions"]] == [p["word"] for p in expected]
    for said, p in zip(record["predictions"], expected, strict=True):
        assert said["probability"] == pytest.approx(p["probability"], abs=1e-5)
    scored = (
        nplm(
            "score", run, "--given", text, "--word", ".", "--word", "not there", "--format", "json"
        )
        .ok()
        .records
    )
    for said, p in zip(record["asked"], scored, strict=True):
        assert (said["asked"], said["oov"]) == (p["word"], p["oov"])
        assert said["probability"] == pytest.approx(p["probability"], abs=1e-5)


@pytest.mark.parametrize("name", ["ffn", "gru", "transformer", "ngram", "mix"])
def test_occlusion_is_what_score_says_of_the_changed_text(nplm, hostile, name):
    run = hostile(name)
    record = nplm("explain", run, "the cat the", "--word", "cat", "--json").ok().json

    def log_p(text):
        (said,) = nplm("score", run, "--given", text, "--word", "cat", "--format", "json").records
        return said["logprob_e"]

    (moved,) = record["attribution"]
    before = log_p("the cat the")
    changed = {"the": "the nosuchword the", "cat": "the cat nosuchword"}
    last, middle = moved["places"][-1], moved["places"][-2]
    assert (last["word"], middle["word"]) == ("the", "cat")
    assert last["occlusion"] == pytest.approx(log_p(changed["cat"]) - before, abs=1e-5)
    assert middle["occlusion"] == pytest.approx(log_p(changed["the"]) - before, abs=1e-5)


def test_the_sections_in_order(nplm, ffn):
    out = nplm("explain", ffn, "我 买 罕见词", "--word", "书").ok().out
    headings = [line for line in out.splitlines() if line[:2] in {f"{n}." for n in range(1, 9)}]
    assert [heading[3:] for heading in headings] == [
        "The text as the model reads it",
        "Word vectors looked up",
        "Hidden layer 1",
        "The most probable next words",
        "What the logit is made of",
        "Which word moved the prediction",
    ]
    assert "read as <unk>: 罕见词" in out


def test_options(nplm, ffn, tmp_path, monkeypatch):
    few = nplm("explain", ffn, "我 买", "-k", 2, "--components", 1).ok().out
    assert "x1" in few
    assert "x2" not in few
    asked = ("explain", ffn, "我 买")
    assert "模型读到的文本" in nplm(*asked, "--lang", "zh").ok().out
    monkeypatch.setenv("NPLM_LANG", "zh_CN")
    assert "模型读到的文本" in nplm(*asked).ok().out
    both = nplm(*asked, "--json", "--html", tmp_path / "a.html").ok()
    assert json.loads(both.out)["schema"] == 1
    assert (tmp_path / "a.html").exists()


def test_an_empty_text(nplm, ffn, ngram):
    record = nplm("explain", ffn, "", "--json").ok().json
    assert [place["word"] for place in record["places"]] == ["</s>", "</s>"]
    assert nplm("explain", ngram, "").ok().out


def test_an_unknown_word_is_asked_as_score_asks_it(nplm, ffn):
    record = nplm("explain", ffn, "我", "--word", "无此词", "--json").ok().json
    (asked,) = record["asked"]
    assert (asked["oov"], asked["word"], asked["asked"]) == (True, "<unk>", "无此词")
    assert "无此词 = <unk>" in nplm("explain", ffn, "我", "--word", "无此词").ok().out


def test_refusals(nplm, ffn, tmp_path):
    nplm("explain", ffn, "我", "--word", "").refused("--word ''")
    nplm("explain", ffn, " ".join(["书"] * 257)).refused("257 words", "at most 256")
    nplm("explain", ffn, "我", "--lang", "fr").refused("expected zh or en")
    nplm("explain", ffn, "我", "--html", "-").refused("--html -")
    nplm("explain", ffn, "我", "--html", tmp_path / "no" / "a.html").refused("no")
    nplm("explain", tmp_path / "none", "我").refused("no such directory")
    nplm("explain", ffn, "我", "-k", 0).refused("-k")
    run = tmp_path / "run"
    shutil.copytree(ffn, run)
    nplm("explain", ffn, "我", "--html", run / "config.json").refused("config.json")
    (run / "model.safetensors").unlink()
    nplm("explain", run, "我").refused("no weights yet", "--resume")


def test_surprisal_is_minus_log2_p(nplm, ffn):
    record = nplm("explain", ffn, "我 买", "--json").ok().json
    for word in record["predictions"]:
        assert word["surprisal_bits"] == pytest.approx(-math.log2(word["probability"]))
