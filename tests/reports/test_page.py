"""The HTML page: well-formed, self-contained, accessible, and words of a corpus are text in it."""

import itertools
import json
import re
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from nplm_cli.reports.render import _digest
from nplm_cli.reports.svg import COLOURS
from nplm_cli.reports.words import shown

VOID = {"meta", "input", "br", "hr", "link", "img"}
CASES = [
    ("plain", "zh"),
    ("plain", "en"),
    ("two", "en"),
    ("one_seed", "zh"),
    ("not_held_out", "en"),
    ("tiny", "zh"),
]


class Page(HTMLParser):
    """Elements in order, with the text of each; refuses tags that do not match."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[int] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.elements[self.open.pop()][0] == tag, (tag, self.getpos())

    def handle_data(self, data):
        for element in self.open:
            self.texts[element] += data

    def all(self, tag, **attributes):
        return [
            (attrs, text)
            for (name, attrs), text in zip(self.elements, self.texts, strict=True)
            if name == tag
            and all(attrs.get(k.rstrip("_").replace("_", "-")) == v for k, v in attributes.items())
        ]

    def values(self, attribute):
        return [attrs[attribute] for _, attrs in self.elements if attribute in attrs]


@pytest.fixture(scope="module")
def page(reports):
    cache = {}

    def parsed(kind, lang):
        if (kind, lang) not in cache:
            cache[kind, lang] = Page((reports(kind, lang) / "report.html").read_text("utf-8"))
        return cache[kind, lang]

    return parsed


@pytest.mark.parametrize(("kind", "lang"), CASES)
def test_every_reference_has_one_target(page, kind, lang):
    found = page(kind, lang)
    ids = Counter(found.values("id"))
    assert max(ids.values()) == 1
    pointers = [
        p
        for a in ("aria-labelledby", "aria-describedby", "for")
        for v in found.values(a)
        for p in v.split()
    ]
    pointers += [href.removeprefix("#") for href in found.values("href")]
    pointers += re.findall(
        r"url\(#([^)]*)\)", " ".join(v or "" for _, attrs in found.elements for v in attrs.values())
    )
    assert set(pointers) <= set(ids)
    assert {"judge-caption", "first-norms-1-title", "data"} <= set(pointers)


@pytest.mark.parametrize(("kind", "lang"), CASES)
def test_nothing_is_loaded_from_elsewhere(reports, page, kind, lang):
    found = page(kind, lang)
    assert all(href.startswith("#") for href in found.values("href"))
    names = {attribute for _, attrs in found.elements for attribute in attrs}
    assert not {n for n in names if n.startswith("on")} | names & {
        "src",
        "srcset",
        "action",
        "data",
        "xmlns",
    }
    assert not {tag for tag, _ in found.elements} & {
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    }
    [(_, text)] = found.all("style")
    assert not re.search(r"@import|url\(", text)
    policy = found.all("meta", http_equiv="Content-Security-Policy")[0][0]["content"]
    assert policy.startswith("default-src 'none';")
    assert "'unsafe-inline'" not in policy.split("script-src")[1]


@pytest.mark.parametrize(("kind", "lang"), CASES)
def test_headings_and_tables_can_be_read_by_ear(page, kind, lang):
    found = page(kind, lang)
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert len(found.all("table")) == len(found.all("caption"))
    assert all(
        text.strip()
        for tag in ("caption", "h2", "h3", "h4", "th", "figcaption", "button")
        for _, text in found.all(tag)
    )
    assert all("scope" in attrs for attrs, _ in found.all("th"))
    for attrs, _ in found.all("svg"):
        assert attrs["role"] == "img"
    assert (
        len(found.all("svg"))
        == len([1 for attrs, _ in found.all("title") if "id" in attrs])
        == len(found.all("desc"))
    )


@pytest.mark.parametrize(("kind", "lang"), CASES)
def test_no_leftover_of_the_making(page, kind, lang):
    found = page(kind, lang)
    outside = " ".join(
        text
        for (tag, _), text in zip(found.elements, found.texts, strict=True)
        if tag in ("p", "li", "td", "th", "figcaption")
    )
    assert kind not in ("plain", "two") or "{% raw %}" in outside
    rest = outside.replace("{{ 7*7 }}", "").replace("{% raw %}", "")
    for leftover in ("{{", "{%", "{#", "Cell(", "Markup", "&lt;", "&#"):
        assert leftover not in rest.replace("&amp;", ""), leftover
    assert not re.search(r"\{\w+\}|\b(?:nan|None|Undefined)\b", rest)


def test_words_are_text_everywhere(page, odd_words, make_results):
    results = make_results()
    found = page("plain", "zh")
    listed = {
        n["word"]
        for q in results["corpora"][0]["neighbors"]
        for ns in q["lists"].values()
        for n in ns
    }
    assert len(listed & set(odd_words)) > 5
    written = {text for _, text in found.all("bdi")}
    assert {shown(word) for word in listed} <= written
    headings = [text for attrs, text in found.all("h4") if attrs.get("id", "").startswith("q-")]
    assert headings == [shown(q["word"]) for q in results["corpora"][0]["neighbors"]]
    assert headings[-4] == "<script>window.injected=1</script>"
    assert len(found.all("script")) == 3
    [(_, title)] = [found.all("title")[0]]
    assert title == "FNN、RNN、LSTM 词向量比较: words_$1_.zh.txt"


def test_no_character_drives_page_or_terminal(reports):
    for name in ("report.html", "report.md"):
        text = (reports("plain", "zh") / name).read_bytes().decode("utf-8")
        assert not set(text) & set("\x1b\u202e\u2028\u2029\uffff\ufeff")


def test_payload_holds_the_words_themselves(page, odd_words, make_results):
    results = make_results()
    attrs, text = page("plain", "zh").all("script", id="payload")[0]
    assert attrs["type"] == "application/json"
    assert not set(text) & set("<>&'")
    payload = json.loads(text)
    queries = results["corpora"][0]["neighbors"]
    assert [word["word"] for word in payload["words"]] == [query["word"] for query in queries]
    for word, query in zip(payload["words"], queries, strict=True):
        for arch, rows in word["lists"].items():
            assert [(word["pairs"][pair], score) for pair, score in rows] == [
                (n["word"], n["cosine"]) for n in query["lists"][arch]
            ]


def test_same_pair_in_several_lists_is_one_tick(page, make_results):
    query = make_results()["corpora"][0]["neighbors"][0]
    words = [n["word"] for found in query["lists"].values() for n in found]
    boxes = [p for p in page("plain", "zh").values("data-pair") if p.startswith("first-0-")]
    assert len(boxes) == len(words)
    assert len(set(boxes)) == len(set(words)) < len(words)


def digest(results):
    """Without the drawings around it; one test compares it with the page's."""
    return _digest(results)


def test_digest_stays_when_the_report_is_written_again(page, make_results, make_corpus, rewritten):
    results = make_results()
    in_zh, in_en = (
        json.loads(page("plain", lang).all("script", id="payload")[0][1])["digest"]
        for lang in ("zh", "en")
    )
    assert in_zh == in_en == digest(results)
    assert digest(rewritten(results, ("rnn", "ffn", "lstm"))) == in_en
    assert digest(rewritten(results, ("lstm", "rnn"), slice(2, 3))) == in_en
    assert digest(make_results(seeds=5)) == in_en
    second = make_corpus("en", key="second", odd=False)
    assert digest(make_results(make_corpus("zh"), second)) == in_en
    other_machine = make_results()
    other_machine["settings"]["training"]["device"] = "cuda"
    assert digest(other_machine) == in_en


def other_text(results):
    results["corpora"][0]["data"]["sources"]["train"]["sha256"] = "0" * 64


def other_test_text(results):
    results["corpora"][0]["data"]["sources"]["test"]["sha256"] = "0" * 64


def other_name(results):
    results["corpora"][0]["name"] = "other.txt"


def other_vocabulary(results):
    results["settings"]["vocabulary"]["max_size"] = 2000


def other_size(results):
    results["settings"]["model"]["dim"] = 50


def other_training(results):
    results["settings"]["training"]["epochs"] = 9


def other_first_seed(results):
    results["settings"]["training"]["seed"] = 4


@pytest.mark.parametrize(
    "change",
    [
        other_text,
        other_test_text,
        other_name,
        other_vocabulary,
        other_size,
        other_training,
        other_first_seed,
    ],
)
def test_digest_is_another_for_another_report(make_results, change):
    results = make_results(words=8, queries=1, odd=False)
    before = digest(results)
    change(results)
    assert digest(results) != before


def cells(found, table):
    """Rows of a table as texts."""
    start = next(
        i
        for i, (tag, attrs) in enumerate(found.elements)
        if tag == "table" and attrs.get("id") == table
    )
    rows = []
    for (tag, _), text in zip(found.elements[start + 1 :], found.texts[start + 1 :], strict=True):
        if tag == "table":
            break
        if tag == "tr":
            rows.append([])
        elif tag in ("td", "th"):
            rows[-1].append(" ".join(text.split()))
    return rows


def test_perplexity_table_has_mean_and_range(page, make_results):
    model = make_results()["corpora"][0]["models"][2]
    values = [run["test"]["ppl"] for run in model["seeds"]]
    head, *rows = cells(page("plain", "en"), "first-perplexity")
    assert head[:3] == ["Model", "Perplexity", "Without </s>"]
    assert [row[0] for row in rows[1:]] == [
        "unigram",
        "Kneser–Ney, order 3",
        "FNN sees 4 words before",
        "RNN sees all words before",
        "LSTM sees all words before",
    ]
    assert rows[0][0] == "always <unk> right in 33.0 % of predictions"
    assert rows[2][1] == "33.15"
    assert rows[5][1] == f"{sum(values) / 3:.2f} ({min(values):.2f}–{max(values):.2f})"
    assert len(cells(page("plain", "en"), "first-run-table")) == 1 + 2 * 9


def test_unstable_neighbours_are_marked_and_dots_count_seeds(page, make_results):
    found = page("plain", "en")
    rows = [
        n
        for q in make_results()["corpora"][0]["neighbors"]
        for ns in q["lists"].values()
        for n in ns
    ]
    marked = [attrs for attrs, _ in found.all("li", class_="unstable")]
    assert len(marked) == sum(row["seeds"] == 1 for row in rows) > 0
    assert Counter(text for _, text in found.all("span", class_="dots")) == Counter(
        {1: "●○○", 2: "●●○", 3: "●●●"}[row["seeds"]] for row in rows
    )


def test_one_seed_says_that_noise_is_unknown(page):
    found = page("one_seed", "zh")
    warnings = [text for _, text in found.all("p", class_="warning")]
    assert len(warnings) == 4
    assert all("噪声" in text for text in warnings)
    assert not found.all("span", class_="dots")
    assert not found.all("li", class_="unstable")
    assert [row[3] for row in cells(found, "first-spaces")[1:4]] == ["–"] * 3


def test_without_held_out_text_there_is_no_perplexity(page):
    found = page("not_held_out", "en")
    assert "No text was held out" in " ".join(text for _, text in found.all("p", class_="warning"))
    assert not found.all("table", id="first-perplexity")
    assert found.all("figure", id="first-curves")
    assert not found.all("figure", id="first-runs")


def test_two_corpora_have_a_section_for_both_languages(page):
    found = page("two", "en")
    numbers = [text.split()[0] for _, text in found.all("h2")]
    assert numbers == [str(n) for n in range(1, 10)]
    rows = cells(found, "alignment-pairs-2")[1:]
    assert rows[0][:5] == ["书", "book", "0.040", "0.600", "1"]
    assert rows[3][:3] == ["<i>", "|", "–"]
    assert cells(found, "alignment")[1][:2] == ["FNN", "11.0 % (6.0–18.0)"]
    assert found.all("textarea", id="answer-bilingual")
    assert not page("plain", "en").all("textarea", id="answer-bilingual")


def test_a_tiny_study_of_one_model(page):
    found = page("tiny", "zh")
    assert not [1 for attrs, _ in found.all("figure") if "tsne" in attrs["id"]]
    assert found.all("figure", id="first-pca-1")
    assert "没有可比较的对象" in " ".join(text for _, text in found.all("p"))


def themes():
    css = (files("nplm_cli.reports") / "templates" / "report.css").read_text("utf-8")
    blocks = re.findall(r"\{([^{}]*--page:[^{}]*)\}", css)
    assert len(blocks) == 3
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("number", range(3))
def test_letters_stand_out_from_what_is_behind_them(number):
    theme = themes()[number]
    letters = ["ink", "muted", "accent", *(f"model-{i}" for i in range(6))]
    for letter, ground in itertools.product(letters, ("page", "surface", "raised")):
        assert contrast(theme[letter], theme[ground]) >= 4.5, (letter, ground)
    assert contrast(theme["on-accent"], theme["accent"]) >= 4.5
    assert contrast(theme["ink"], theme["warn"]) >= 4.5


def test_dark_is_the_same_by_the_system_and_by_the_button():
    assert themes()[1] == themes()[2]


def test_figures_have_the_colours_of_the_light_page():
    light = themes()[0]
    assert {name: light[name] for name in COLOURS} == COLOURS
