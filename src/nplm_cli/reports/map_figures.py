"""Figures of one corpus with a point a word: maps of the queries, length against frequency."""

from collections.abc import Sequence
from math import log
from statistics import median
from typing import TYPE_CHECKING, Any

from nplm_cli.reports.figures import framed_axes, plain_log
from nplm_cli.reports.summary import model_label
from nplm_cli.reports.svg import COLOURS, MARKERS, Drawing, draw, label_size, model_colour
from nplm_cli.reports.texts import Texts
from nplm_cli.reports.words import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Corpus = dict[str, Any]
MAP_SIZE = (400.0, 360.0)
NORM_SIZE = (300.0, 220.0)
LONGEST_LABEL = 18
# Lines to the nearest neighbours only: more would be a tangle.
LINES = 5
NORM_POINTS = 500
NORM_BINS = 24
Box = tuple[float, float, float, float]


def map_figures(corpus: Corpus, texts: Texts) -> list[Drawing]:
    """Maps of each model by PCA and by t-SNE, as far as they have points."""
    archs = [model["arch"] for model in corpus["models"]]
    by_arch = corpus["maps"]["by_arch"]
    return [
        _map(corpus, arch, number, method, texts)
        for number, arch in enumerate(archs)
        for method in ("pca", "tsne")
        if by_arch.get(arch, {}).get(method)
    ]


def _map(corpus: Corpus, arch: str, number: int, method: str, texts: Texts) -> Drawing:
    data = corpus["maps"]["by_arch"][arch]
    words = corpus["maps"]["words"]
    index = {word: row for row, word in enumerate(words)}
    queries = [index[q["word"]] for q in corpus["neighbors"] if q["word"] in index]
    edges = [
        (index[query["word"]], index[neighbor["word"]])
        for query in corpus["neighbors"]
        if query["word"] in index
        for neighbor in query["lists"].get(arch, [])[:LINES]
        if neighbor["word"] in index
    ]
    place = Frame(data[method])
    points = [place(x, y) for x, y in data[method]]

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, MAP_SIZE[0])
        axes.set_ylim(0, MAP_SIZE[1])
        colour = model_colour(number)
        for a, b in edges:
            axes.plot(*zip(points[a], points[b], strict=True), color=colour, lw=0.8, alpha=0.42)
        others = [row for row in range(len(words)) if row not in set(queries)]
        axes.plot(*_columns(points, others), "o", color=COLOURS["muted"], ms=2.6, mew=0)
        axes.plot(*_columns(points, queries), MARKERS[number % 6], color=colour, ms=6.5, mew=0)
        taken = [(x - 2, y - 2, x + 2, y + 2) for x, y in points]
        taken += [(x - 4, y - 4, x + 4, y + 4) for x, y in (points[row] for row in queries)]
        for row in [*queries, *others]:
            bold = row in queries
            place_label(axes, words[row], points[row], taken, bold=bold)
        if method == "pca":
            shares = " + ".join(f"{share:.0%}" for share in data["pca_explained"])
            axes.text(MAP_SIZE[0] - 6, 5, shares, ha="right", size=8.5, color=COLOURS["muted"])

    title = texts(f"figure.{method}.title", model=model_label(arch))
    text = texts.joined([texts("figure.maps.text"), texts(f"figure.{method}.text")])
    return draw(f"{corpus['key']}-{method}-{number + 1}", title, text, MAP_SIZE, paint)


class Frame:
    """From the coordinates of a map to points of the drawing, with room for labels at the rim."""

    def __init__(self, points: Sequence[Sequence[float]], rim: float = 26.0):
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        self.low = (min(xs), min(ys))
        spread = (max(xs) - self.low[0] or 1.0, max(ys) - self.low[1] or 1.0)
        self.scale = [(MAP_SIZE[i] - (2 * rim)) / spread[i] for i in (0, 1)]
        self.rim = rim

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the map is in the drawing."""
        return (
            self.rim + (x - self.low[0]) * self.scale[0],
            self.rim + (y - self.low[1]) * self.scale[1],
        )


def place_label(
    axes: "Axes", word: str, point: tuple[float, float], taken: list[Box], *, bold: bool
) -> None:
    """Write a word at the first free place around its point; a query is written anyhow."""
    text = shown(word)
    if len(text) > LONGEST_LABEL:
        text = text[: LONGEST_LABEL - 1] + "…"
    points = 11.5 if bold else 8.8
    width, height = label_size(text, points)
    gap = 5.5 if bold else 3.0
    x, y = point
    right, left, middle = x + gap, x - gap - width, x - width / 2
    level, above, below = y - height / 2, y + gap - 1, y - gap - height + 1
    best: tuple[float, Box] | None = None
    for u, v in (
        *((right, level), (left, level), (middle, above), (middle, below)),
        *((right, y + 1), (right, y - height - 1), (left, y + 1), (left, y - height - 1)),
    ):
        box = (u, v, u + width, v + height)
        if u < 1 or v < 1 or box[2] > MAP_SIZE[0] - 1 or box[3] > MAP_SIZE[1] - 1:
            continue
        covered = sum(_overlap(box, other) for other in taken)
        if best is None or covered < best[0]:
            best = (covered, box)
        if covered == 0:
            break
    if best is None:
        u = min(max(middle, 1), MAP_SIZE[0] - 1 - width)
        best = (0.0, (u, y + gap, u + width, y + gap + height))
    elif best[0] > 0 and not bold:
        return
    box = best[1]
    taken.append(box)
    axes.text(
        box[0],
        box[1] + 0.26 * points,
        text,
        size=points,
        weight="bold" if bold else "normal",
        color=COLOURS["ink"] if bold else COLOURS["muted"],
    )


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _columns(points: list[tuple[float, float]], rows: list[int]) -> tuple[list[float], list[float]]:
    return [points[row][0] for row in rows], [points[row][1] for row in rows]


def norm_figures(corpus: Corpus, texts: Texts) -> list[Drawing]:
    """Length of the word vectors against the words' counts, one figure a model."""
    norms, archs = corpus["norms"], [model["arch"] for model in corpus["models"]]
    return [
        _norms(corpus, arch, number, texts)
        for number, arch in enumerate(archs)
        if norms["by_arch"].get(arch) and norms["counts"]
    ]


def _norms(corpus: Corpus, arch: str, number: int, texts: Texts) -> Drawing:
    values = corpus["norms"]["by_arch"][arch]
    pairs = sorted(
        (max(1, count), norm) for count, norm in zip(corpus["norms"]["counts"], values, strict=True)
    )
    low, high = log(pairs[0][0]), log(pairs[-1][0])
    bins: dict[int, list[tuple[int, float]]] = {}
    for count, norm in pairs:
        place = (log(count) - low) / ((high - low) or 1)
        bins.setdefault(int(place * NORM_BINS), []).append((count, norm))
    room = NORM_POINTS // len(bins)
    points = [p for found in bins.values() for p in found[:: max(1, -(-len(found) // room))]]

    def paint(figure: "Figure") -> None:
        axes = framed_axes(figure, NORM_SIZE, (46, 44, 12, 12))
        axes.set_xscale("log")
        axes.plot(
            *zip(*points, strict=True),
            MARKERS[number % 6],
            color=model_colour(number),
            alpha=0.4,
            ms=3,
            mew=0,
        )
        axes.plot(
            [median(c for c, _ in found) for found in bins.values()],
            [median(n for _, n in found) for found in bins.values()],
            color=COLOURS["ink"],
            lw=1.4,
        )
        axes.set_ylim(bottom=0)
        plain_log(axes, [pairs[0][0], pairs[-1][0]], axis="x")
        axes.set_xlabel(texts("figure.norms.x"))
        axes.set_ylabel(texts("figure.norms.y"))

    title = texts("figure.norms.title", model=model_label(arch))
    name = f"{corpus['key']}-norms-{number + 1}"
    return draw(name, title, texts("figure.norms.text"), NORM_SIZE, paint)
