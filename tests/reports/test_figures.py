"""Figures: XML with letters as letters, the same bytes each time, and no trace left behind."""

import sys
from xml.etree import ElementTree

import matplotlib
import pytest

from nplm_cli.reports.figures import curve_figure, matrix_figures, run_figure
from nplm_cli.reports.map_figures import map_figures, norm_figures
from nplm_cli.reports.svg import COLOURS, draw, label_size
from nplm_cli.reports.texts import Texts

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def corpus(make_corpus):
    return make_corpus("zh")


def texts_in(svg):
    return [element.text for element in ElementTree.fromstring(svg.encode()).iter(SVG + "text")]


def all_figures(corpus, lang="zh"):
    texts = Texts(lang)
    found = [
        run_figure(corpus, texts),
        curve_figure(corpus, texts),
        *matrix_figures(corpus, texts).values(),
    ]
    return [*found, *map_figures(corpus, texts), *norm_figures(corpus, texts)]


def test_all_are_xml_of_letters_without_a_date(reports):
    paths = sorted((reports("plain", "zh") / "figures").iterdir())
    assert len(paths) == 2 + 3 + 6 + 3
    for path in paths:
        root = ElementTree.fromstring(path.read_bytes())
        assert root.tag == SVG + "svg"
        assert [child.tag for child in root][:2] == [SVG + "title", SVG + "desc"]
        assert all(child.text for child in list(root)[:2])
        assert not list(root.iter(SVG + "metadata")) + list(root.iter(SVG + "style"))
        assert list(root.iter(SVG + "text"))
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert all(name.startswith(path.stem) for name in ids)
        assert len(ids) == len(set(ids))


def test_words_stay_letters(corpus):
    written = [text for figure in map_figures(corpus, Texts("zh")) for text in texts_in(figure.svg)]
    assert {"书", "苹果", "北京", "$x$", "|", "`code`", "<script>window.in…"} <= set(written)
    assert "测试部分的困惑度" in texts_in(run_figure(corpus, Texts("zh")).svg)
    assert "Epoch" in texts_in(curve_figure(corpus, Texts("en")).svg)


def test_queries_are_always_labelled_and_labels_stay_inside(corpus):
    for figure in map_figures(corpus, Texts("zh")):
        root = ElementTree.fromstring(figure.svg.encode())
        bold = [
            e.text for e in root.iter(SVG + "text") if "font-weight: 700" in (e.get("style") or "")
        ]
        assert len(bold) == len(corpus["neighbors"])
        for element in root.iter(SVG + "text"):
            assert 0 <= float(element.get("x")) <= float(root.get("width"))
            assert 0 <= float(element.get("y")) <= float(root.get("height"))


@pytest.mark.slow
def test_same_results_same_bytes(corpus):
    first, second = all_figures(corpus), all_figures(corpus)
    assert [figure.svg for figure in first] == [figure.svg for figure in second]


def test_nothing_global_changes(corpus):
    def settings():  # asking for the backend would load one
        return {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}

    before = settings()
    curve_figure(corpus, Texts("zh"))
    assert settings() == before
    assert "matplotlib.pyplot" not in sys.modules


def test_inline_colours_follow_the_page_and_words_do_not():
    def paint(figure):
        figure.text(0.1, 0.5, f'{COLOURS["ink"]} id="x" url(#y)')

    figure = draw("name", "title", "text", (200, 100), paint)
    assert COLOURS["surface"] in figure.svg
    assert figure.inline.count("#") == 2  # those of the text
    assert f'>{COLOURS["ink"]} id="x" url(#y)</text>' in figure.inline
    assert "fill: var(--ink)" in figure.inline
    assert "xmlns" not in figure.inline


def test_matrix_has_the_floor_on_the_diagonal(corpus):
    figures = matrix_figures(corpus, Texts("en"))
    assert list(figures) == ["overlap", "aligned_cosine", "rsa"]
    cells = [text for text in texts_in(figures["overlap"].svg) if text[0].isdigit()]
    assert cells == ["0.62", "0.41", "0.61", "0.41", "0.62", "0.81", "0.61", "0.81", "0.62"]


def test_matrix_shows_what_is_missing(make_corpus):
    corpus = make_corpus("en", seeds=1, queries=1, odd=False)
    corpus["comparison"]["group_pairs"][0]["aligned_cosine"]["between"] = None
    written = texts_in(matrix_figures(corpus, Texts("en"))["aligned_cosine"].svg)
    assert written.count("–") == 3 + 2


def test_curves_of_seeds_that_stopped_apart(make_corpus):
    corpus = make_corpus("en", queries=1, odd=False, archs=("ffn",))
    runs = corpus["models"][0]["seeds"]
    runs[0]["curve"] = runs[0]["curve"][:1]
    runs[1]["curve"] = [dict(point, step=point["step"] + 7) for point in runs[1]["curve"]]
    assert "FNN" in texts_in(curve_figure(corpus, Texts("en")).svg)
    for length in (1, 0):  # a point is no curve
        for run in runs:
            run["curve"] = run["curve"][:length]
        assert curve_figure(corpus, Texts("en")) is None


def test_baseline_is_drawn_only_where_it_is_near(make_corpus):
    corpus = make_corpus("en", queries=1, odd=False)
    assert "  Kneser–Ney 3" in " ".join(
        texts_in(run_figure(corpus, Texts("en")).svg)
    ) or "Kneser–Ney 3  " in texts_in(run_figure(corpus, Texts("en")).svg)
    for model in corpus["models"]:
        for run in model["seeds"]:
            run["test"]["baselines"]["kneser_ney"]["ppl"] = 300.0
    assert not [t for t in texts_in(run_figure(corpus, Texts("en")).svg) if "Kneser" in t]


def test_points_of_many_words_are_thinned(make_corpus):
    corpus = make_corpus("en", queries=1, odd=False, archs=("ffn",))
    counts = [int(10**6 / (rank + 1)) for rank in range(5000)]
    corpus["norms"] = {
        "ranks": [],
        "counts": counts,
        "by_arch": {"ffn": [1.0 + c % 7 for c in counts]},
    }
    [figure] = norm_figures(corpus, Texts("en"))
    points = figure.svg.count("<use ")
    assert 100 < points < 560


def test_size_of_a_label_counts_full_width_letters():
    assert label_size("书书", 10) == (20.0, 12.0)
    assert label_size("", 10) == (0.0, 12.0)
