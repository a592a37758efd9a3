"""The page in a browser: ticks, figures, a second judge, export, tables, dark, phone."""

import json
import shutil
from pathlib import Path

import pytest

from nplm_cli.reports import write_report

pytestmark = pytest.mark.slow

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1280,900",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("needs chromium and chromedriver on the PATH")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.set_capability("unhandledPromptBehavior", "ignore")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture
def downloads(browser, tmp_path):
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    return tmp_path


class Window:
    """A report in the browser, without anything kept from before."""

    def __init__(self, driver, path: Path):
        self.driver = driver
        driver.get_log("browser")
        driver.get(path.as_uri())
        self.run("localStorage.clear()")
        driver.get(path.as_uri())

    def run(self, script, *values):
        return self.driver.execute_script(script, *values)

    def click(self, selector):
        self.run("document.querySelector(arguments[0]).click()", selector)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def type(self, selector, text):
        from selenium.webdriver.common.by import By

        field = self.driver.find_element(By.CSS_SELECTOR, selector)
        field.clear()
        field.send_keys(text)

    def figure(self, model, name):
        return self.text(f'[data-model="{model}"] [data-figure="{name}"]')

    def give(self, selector, path):
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(str(path))
        WebDriverWait(self.driver, 10).until(
            lambda _: self.run("return document.querySelector(arguments[0]).value", selector) == ""
        )

    def wait_for_message(self):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 10).until(lambda _: self.text("#judge-message"))

    def answer(self, *, accept):
        from selenium.webdriver.support import expected_conditions
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 10).until(expected_conditions.alert_is_present())
        alert = self.driver.switch_to.alert
        alert.accept() if accept else alert.dismiss()

    def export(self, folder):
        from selenium.webdriver.support.ui import WebDriverWait

        for old in folder.glob("*.json"):
            old.unlink()
        self.click("#judge-export")
        # The browser makes the file before it fills it.
        WebDriverWait(self.driver, 20).until(
            lambda _: any(path.read_bytes().endswith(b"\n") for path in folder.glob("*.json"))
        )
        [path] = folder.glob("*.json")
        return path, json.loads(path.read_text("utf-8"))

    def quiet(self):
        assert self.driver.get_log("browser") == []
        assert self.run("return typeof window.injected") == "undefined"


@pytest.fixture
def window(browser, reports):
    return lambda kind, lang="en": Window(browser, reports(kind, lang) / "report.html")


@pytest.fixture
def query(make_results):
    """The first query of the plain report, and the neighbours to be ticked: two and two."""
    found = make_results()["corpora"][0]["neighbors"][0]
    first = [n["word"] for n in found["lists"]["ffn"]]
    return found, {first[0], first[3]}


def tick(page, number, words):
    """Tick neighbours of a query, each by the first box that offers it."""
    for word in sorted(words):
        clicked = page.run(
            "const q = document.querySelector(`[data-query='${arguments[0]}']`);"
            "const li = [...q.querySelectorAll('li')].find(li => li.querySelector('bdi').textContent === arguments[1]);"
            "li.querySelector('input').click(); return true",
            number,
            word,
        )
        assert clicked


def expected(found, ticked):
    """Precision and order by hand."""
    marks = [(n["word"] in ticked, n["cosine"]) for n in found]
    pairs = [(a, b) for is_a, a in marks if is_a for is_b, b in marks if not is_b]
    right = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
    order = f"{right / len(pairs):.3f}" if pairs else "–"
    return f"{sum(m for m, _ in marks) / len(marks):.3f}", order


def test_figures_follow_the_ticks_and_survive_a_reload(window, browser, query):
    page = window("plain")
    found, ticked = query
    assert page.figure("ffn", "precision") == "–"
    tick(page, "first-0", ticked)
    for _ in range(2):
        assert page.run("return document.querySelector('[data-judged=first-0]').checked")
        for arch, rows in found["lists"].items():
            precision, order = expected(rows, ticked)
            assert page.figure(arch, "precision") == precision
            assert page.figure(arch, "auc") == order
            inside = sum(row["word"] in ticked for row in rows)
            assert page.figure(arch, "pairs") == f"{inside} / {len(rows)}"
        assert page.text("#judge-summary") == "1 of 10 words judged"
        browser.refresh()
    page.quiet()


def test_a_word_of_which_none_fits_counts(window, query):
    page = window("plain")
    found, ticked = query
    tick(page, "first-0", ticked)
    page.click("[data-judged='first-1']")
    precision, _ = expected(found["lists"]["ffn"], ticked)
    assert page.figure("ffn", "precision") == f"{float(precision) / 2:.3f}"
    page.click("[data-judged='first-1']")
    assert page.figure("ffn", "precision") == precision


def test_the_same_pair_is_ticked_in_every_list(window, make_results):
    page = window("plain")
    lists = make_results()["corpora"][0]["neighbors"][0]["lists"]
    shared = next(n["word"] for n in lists["ffn"] if n["word"] in {m["word"] for m in lists["rnn"]})
    tick(page, "first-0", {shared})
    count = sum(n["word"] == shared for rows in lists.values() for n in rows)
    assert count > 1
    assert page.run("return document.querySelectorAll('[data-pair]:checked').length") == count


def test_export_clear_and_import(window, downloads, make_results, query):
    page = window("plain")
    found, ticked = query
    tick(page, "first-0", ticked)
    odd = make_results()["corpora"][0]["neighbors"][6]
    page.click("[data-judged='first-6']")
    page.type("#judge-name", "王老师")
    page.type("#answer-best", "因为 <b>我</b> 判断过")
    path, exported = page.export(downloads)
    assert exported["kind"] == "nplm-judgements"
    assert exported["judge"] == "王老师"
    assert exported["conclusions"] == {"best": "因为 <b>我</b> 判断过"}
    first, other = exported["words"]
    everything = {n["word"] for rows in found["lists"].values() for n in rows}
    assert (first["corpus"], first["word"]) == ("first", found["word"])
    assert set(first["related"]) == ticked
    assert set(first["unrelated"]) == everything - ticked
    assert other["word"] == odd["word"] == "<script>window.injected=1</script>"
    assert other["related"] == []
    assert not set(path.read_text("utf-8")) & set("\x1b\u202e\u2028\uffff")

    page.click("#judge-clear")
    page.answer(accept=False)
    assert page.text("#judge-summary") == "2 of 10 words judged"
    page.click("#judge-clear")
    page.answer(accept=True)
    assert page.text("#judge-summary") == "0 of 10 words judged"
    assert page.run("return document.querySelector('#answer-best').value") == ""

    page.give("#judge-file", path)
    assert page.text("#judge-message") == "Imported: 2 judged words."
    again = page.export(downloads)[1]
    assert {k: v for k, v in again.items() if k != "exported"} == {
        k: v for k, v in exported.items() if k != "exported"
    }
    page.quiet()


def test_second_judge_and_kappa(window, downloads, query):
    page = window("plain")
    _, ticked = query
    tick(page, "first-0", ticked)
    _, mine = page.export(downloads)
    [word] = mine["words"]
    theirs = [word["related"][0], word["unrelated"][0]]
    rest = [w for w in word["related"] + word["unrelated"] if w not in theirs]
    other = mine | {"judge": "<i>B</i>", "words": [word | {"related": theirs, "unrelated": rest}]}
    file = downloads / "other.txt"
    file.write_text(json.dumps(other), "utf-8")
    page.give("#judge-second-file", file)
    n = len(rest) + 2
    observed = (n - 2) / n
    chance = (2 / n) ** 2 + (1 - 2 / n) ** 2
    kappa = (observed - chance) / (1 - chance)
    assert page.text("#judge-kappa") == (
        f"Agreement with <i>B</i>: {n} pairs judged by both, the same judgement in {100 * observed:.1f} %; "
        f"Cohen's kappa {kappa:.3f}."
    )
    assert set(page.export(downloads)[1]["words"][0]["related"]) == ticked
    page.quiet()


def test_a_second_judge_counts_for_the_pairs_they_saw(window, downloads, query):
    page = window("plain")
    _, ticked = query
    tick(page, "first-0", ticked)
    _, mine = page.export(downloads)
    [word] = mine["words"]
    mine["words"] = [word | {"unrelated": word["unrelated"][:2]}]
    file = downloads / "other.txt"
    file.write_text(json.dumps(mine), "utf-8")
    page.give("#judge-second-file", file)
    assert "4 pairs judged by both, the same judgement in 100.0 %" in page.text("#judge-kappa")


@pytest.fixture
def rewriting(browser, tmp_path, make_results, rewritten):
    """A report in its folder, and a function that writes another of its homework over it."""
    results = make_results()
    write_report(tmp_path / "report", results, "en")
    page = Window(browser, tmp_path / "report" / "report.html")

    def rewrite(archs, words=slice(None), change=None):
        other = rewritten(results, archs, words)
        if change:
            change(other)
        write_report(tmp_path / "report", other, "en")
        browser.refresh()

    return page, rewrite, results["corpora"][0]["neighbors"]


def related(exported):
    return {word["word"]: set(word["related"]) for word in exported["words"]}


def test_ticks_stay_with_their_words_in_another_order(rewriting, downloads):
    page, rewrite, queries = rewriting
    ticked = {}
    for number, query in enumerate(queries[:3]):
        rows = query["lists"]
        ticked[query["word"]] = {
            rows["ffn"][1]["word"],
            rows["rnn"][2]["word"],
            rows["lstm"][-1]["word"],
        }
        tick(page, f"first-{number}", ticked[query["word"]])
    path, before = page.export(downloads)
    assert related(before) == ticked
    kept = path.with_suffix(".txt")
    path.rename(kept)
    rewrite(("rnn", "lstm", "ffn"))
    after = page.export(downloads)[1]
    assert related(after) == ticked
    assert after["digest"] == before["digest"]
    assert after["figures"] == before["figures"]
    page.click("#judge-clear")
    page.answer(accept=True)
    page.give("#judge-file", kept)
    assert page.text("#judge-message") == "Imported: 3 judged words."
    assert related(page.export(downloads)[1]) == ticked
    page.quiet()


def test_ticks_stay_when_other_words_are_looked_at(rewriting, downloads):
    page, rewrite, queries = rewriting
    archs = ("ffn", "rnn", "lstm")
    ticked = {}
    for number in (0, 4):
        word, first = queries[number]["word"], queries[number]["lists"]["ffn"][0]["word"]
        ticked[word] = {first}
        tick(page, f"first-{number}", {first})
    rewrite(archs, slice(3, 6))
    assert page.text("#judge-summary") == "1 of 3 words judged"
    assert related(page.export(downloads)[1]) == {queries[4]["word"]: ticked[queries[4]["word"]]}
    rewrite(archs)
    assert related(page.export(downloads)[1]) == ticked
    page.quiet()


def test_a_word_with_neighbours_not_seen_yet_is_to_be_judged_again(rewriting, downloads):
    page, rewrite, queries = rewriting
    lists = queries[0]["lists"]
    seen, new = ({n["word"] for n in lists[arch]} for arch in ("ffn", "rnn"))
    assert new - seen
    rewrite(("ffn",))
    first = lists["ffn"][0]["word"]
    tick(page, "first-0", {first})
    assert page.text("#judge-summary") == "1 of 10 words judged"
    rewrite(("ffn", "rnn"))
    assert page.text("#judge-summary") == "0 of 10 words judged"
    assert page.export(downloads)[1]["words"] == []
    assert page.run(
        "const boxes = [...document.querySelectorAll('[data-pair]:checked')];"
        "return [...new Set(boxes.map(b => b.closest('li').querySelector('bdi').textContent))]"
    ) == [first]
    page.click("[data-judged='first-0']")
    [word] = page.export(downloads)[1]["words"]
    assert set(word["related"]) == {first}
    assert set(word["unrelated"]) == (seen | new) - {first}
    rewrite(("ffn",))
    assert page.text("#judge-summary") == "1 of 10 words judged"
    tick(page, "first-0", {lists["ffn"][1]["word"]})
    rewrite(("rnn", "ffn"))
    assert page.text("#judge-summary") == "1 of 10 words judged"


def test_a_tick_is_about_one_word_of_one_corpus(browser, tmp_path, make_results, make_corpus):
    corpora = [make_corpus("zh", key=key, odd=False) for key in ("first", "second")]
    write_report(tmp_path, make_results(*corpora), "en")
    page = Window(browser, tmp_path / "report.html")
    listed = [
        {n["word"] for rows in query["lists"].values() for n in rows}
        for query in corpora[0]["neighbors"]
    ]
    [neighbor, *_] = sorted(
        word for word in listed[0] if any(word in others for others in listed[1:])
    )
    tick(page, "first-0", {neighbor})
    browser.refresh()
    boxes = page.run(
        "return [...document.querySelectorAll('[data-pair]:checked')]"
        ".map(b => b.closest('.query').dataset.query)"
    )
    assert set(boxes) == {"first-0"}
    assert page.text("#judge-summary") == "1 of 12 words judged"


def test_another_report_has_ticks_of_its_own(rewriting, downloads):
    page, rewrite, queries = rewriting
    archs = ("ffn", "rnn", "lstm")

    def other(results):
        results["settings"]["model"]["dim"] = 50

    tick(page, "first-0", {queries[0]["lists"]["ffn"][0]["word"]})
    page.type("#answer-best", "mine")
    path, _ = page.export(downloads)
    rewrite(archs, change=other)
    assert page.text("#judge-summary") == "0 of 10 words judged"
    assert page.run("return document.querySelector('#answer-best').value") == ""
    page.give("#judge-file", path)
    assert "another report" in page.text("#judge-message")
    assert page.text("#judge-summary") == "0 of 10 words judged"
    rewrite(archs)
    assert page.text("#judge-summary") == "1 of 10 words judged"


WORD = {"corpus": "first", "word": "书", "related": [], "unrelated": []}
NAME = '["first","书"]'  # the first query
SECOND = {"judge": "B", "words": []}


@pytest.mark.parametrize(
    "stored",
    [
        "no json",
        "[]",
        "null",
        "7",
        "{}",
        {"judge": {"toString": 1}},
        {"ticks": None},
        {"ticks": []},
        {"ticks": {"x": 1}},
        {"judged": None},
        {"judged": {NAME: True}},
        {"judged": {NAME: [1]}},
        {"answers": None},
        {"answers": {"best": {"toString": 1}}},
        {"second": 5},
        {"second": {"judge": "B", "words": 5}},
        {"second": SECOND | {"judge": {"toString": 1}}},
        {"second": SECOND | {"words": [None]}},
        {"second": SECOND | {"words": [WORD | {"related": None}]}},
        {"second": SECOND | {"words": [WORD | {"unrelated": [1]}]}},
    ],
)
def test_what_is_kept_in_another_shape_is_no_judgement(window, query, stored):
    page = window("plain")
    found, ticked = query
    assert found["word"] == WORD["word"]
    tick(page, "first-0", ticked)
    [key] = page.run("return Object.keys(localStorage)")
    kept = json.loads(page.run("return localStorage.getItem(arguments[0])", key))
    assert set(kept["judged"]) == {NAME}
    text = stored if isinstance(stored, str) else json.dumps(kept | stored)
    page.run("localStorage.setItem(arguments[0], arguments[1])", key, text)
    page.driver.refresh()
    assert page.text("#judge-summary") == "0 of 10 words judged"
    assert "Ticks and texts are kept" in page.text("#judge-kept")
    tick(page, "first-0", ticked)
    page.driver.refresh()
    assert page.text("#judge-summary") == "1 of 10 words judged"
    page.quiet()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "not an export"),
        ("[]", "not an export"),
        ("null", "not an export"),
        ({"kind": "other"}, "not an export"),
        ({"words": None}, "not an export"),
        ({"words": [None]}, "not an export"),
        ({"words": [{k: WORD[k] for k in ("corpus", "word", "related")}]}, "not an export"),
        ({"words": [WORD | {"related": [{"toString": 1}]}]}, "not an export"),
        ({"words": [WORD | {"unrelated": "x"}]}, "not an export"),
        ({"words": [WORD | {"corpus": None}]}, "not an export"),
        ({"judge": {"toString": 1}}, "not an export"),
        ({"judge": None}, "not an export"),
        ({"conclusions": None}, "not an export"),
        ({"conclusions": {"best": {"toString": 1}}}, "not an export"),
        ({"digest": "other"}, "another report"),
        ({"digest": {"toString": 1}}, "another report"),
    ],
)
@pytest.mark.parametrize("field", ["#judge-file", "#judge-second-file"])
def test_foreign_files_are_refused(window, downloads, content, message, field):
    page = window("plain")
    page.click("[data-judged='first-0']")
    page.type("#answer-best", "mine")
    if not isinstance(content, str):
        content = json.dumps(page.export(downloads)[1] | content)
    file = downloads / "other.txt"
    file.write_text(content, "utf-8")
    page.give(field, file)
    page.wait_for_message()
    assert message in page.text("#judge-message")
    assert page.text("#judge-summary") == "1 of 10 words judged"
    assert page.text("#judge-kappa") == ""
    page.driver.refresh()
    assert page.text("#judge-summary") == "1 of 10 words judged"
    assert page.run("return document.querySelector('#answer-best').value") == "mine"
    page.quiet()


def column(page, table, number):
    return page.run(
        "return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)].map(r => r.cells[arguments[1]].textContent.trim())",
        table,
        number,
    )


def test_tables_sort_by_number_and_back(window):
    page = window("plain")
    table, head = "first-perplexity", "#first-perplexity th:nth-child(2)"
    before = column(page, table, 0)
    page.click(f"{head} button")
    numbers = [float(cell.split()[0]) for cell in column(page, table, 1) if cell != "–"]
    assert numbers == sorted(numbers)
    assert column(page, table, 1)[-1] == "–"
    assert page.run(f"return document.querySelector('{head}').ariaSort") == "ascending"
    page.click(f"{head} button")
    assert [float(cell.split()[0]) for cell in column(page, table, 1)[:-1]] == numbers[::-1]
    assert column(page, table, 1)[-1] == "–"
    page.click(f"{head} button")
    assert column(page, table, 0) == before
    assert page.run(f"return document.querySelector('{head}').ariaSort") is None


def test_headers_are_reached_by_keyboard(window):
    from selenium.webdriver.common.keys import Keys

    page = window("plain")
    page.run("document.querySelector('#first-cost th button').focus()")
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert page.run("return document.querySelector('#first-cost th').ariaSort") == "ascending"
    assert column(page, "first-cost", 0) == ["FNN", "LSTM", "RNN"]


def test_search_filters_words_and_tables(window):
    page = window("plain", "zh")
    page.type(".filter:has(+ .queries) input", "北京")
    seen = page.run(
        "return [...document.querySelectorAll('.query')].filter(q => q.checkVisibility()).map(q => q.textContent.includes('北京'))"
    )
    assert 0 < len(seen) < 10
    assert all(seen)
    page.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.type(".filter:has(+ .scroll #first-pairs) input", "LSTM-3")
    shown = page.run(
        "return [...document.querySelectorAll('#first-pairs tbody tr')].filter(r => r.checkVisibility()).length"
    )
    assert shown == 8
    assert not page.run("return document.querySelector('.filter:has(+ .scroll #first-cost)')")


def test_dark_and_light(window):
    page = window("plain")
    ground = "return getComputedStyle(document.querySelector('main')).backgroundColor"
    line = "return getComputedStyle(document.querySelector('#first-curves text')).fill"
    light, ink = page.run(ground), page.run(line)
    page.click("#theme")
    assert page.run(ground) != light
    assert page.run(line) != ink
    page.driver.refresh()
    assert page.run(ground) != light
    page.click("#theme")
    assert (page.run(ground), page.run(line)) == (light, ink)
    page.quiet()


@pytest.mark.parametrize(
    ("kind", "lang"), [("plain", "zh"), ("two", "en"), ("one_seed", "zh"), ("tiny", "zh")]
)
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(window, kind, lang, width):
    page = window(kind, lang)
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700},
    )
    try:
        page.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        assert page.run("return document.documentElement.scrollWidth") <= width
        over = page.run(
            "return [...document.querySelectorAll('main > *, .query, figure, .judge')]"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).length"
        )
        assert over == 0
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.quiet()


def test_print_shows_folded_tables_and_texts(window):
    page = window("plain")
    page.type("#answer-limits", "one\ntwo")
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert page.run("return document.querySelectorAll('details:not([open])').length") == 0
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        visible = "return document.querySelector(arguments[0]).checkVisibility()"
        assert page.run(visible, "#settings-models")
        assert page.run(visible, "[data-pair]")
        assert page.run(visible, "#answer-limits + .answer-print")
        assert not page.run(visible, "#answer-limits")
        assert not page.run(visible, ".controls")
        assert page.text("#answer-limits + .answer-print") == "one\ntwo"
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    page.run("dispatchEvent(new Event('afterprint'))")
    assert page.run("return document.querySelectorAll('details[open]').length") == 0
