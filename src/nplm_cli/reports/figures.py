"""Figures of one corpus: perplexity of each run, learning curves, comparison of the spaces."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nplm_cli.reports.summary import held_out_part, model_label
from nplm_cli.reports.svg import COLOURS, MARKERS, Drawing, draw, model_colour
from nplm_cli.reports.texts import Texts
from nplm_cli.vectors.noise_floor import MEASURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Corpus = dict[str, Any]
WIDTH, HEIGHT = 440.0, 270.0
# A baseline further off than this factor would press the runs together.
NEAR = 1.5


def run_figure(corpus: Corpus, texts: Texts) -> Drawing | None:
    """Perplexity of every run, a row a model, so that spread and difference meet the eye."""
    part = held_out_part(corpus)
    if part is None:
        return None
    models = corpus["models"]
    found = [[run[part]["ppl"] for run in model["seeds"] if run[part]] for model in models]
    height = 66.0 + 30 * len(models)

    def paint(figure: "Figure") -> None:
        axes = framed_axes(figure, (WIDTH, height), (64, 46, 14, 14))
        for row, values in enumerate(found):
            axes.plot(
                values, [row] * len(values), MARKERS[row % 6], color=model_colour(row), alpha=0.85
            )
            if len(values) > 1:
                mean = sum(values) / len(values)
                axes.plot([mean, mean], [row - 0.3, row + 0.3], color=model_colour(row), lw=2)
        axes.set_yticks(range(len(models)), [model_label(model["arch"]) for model in models])
        axes.set_ylim(len(models) - 0.4, -0.6)
        everything = [value for values in found for value in values]
        _baseline(axes, corpus, part, max(everything), min(everything), vertical=True)
        axes.set_xlabel(texts("figure.runs.x", part=texts(f"part.{part}")))
        axes.grid(axis="y", visible=False)

    return draw(
        f"{corpus['key']}-runs",
        texts("figure.runs.title"),
        texts("figure.runs.text"),
        (WIDTH, height),
        paint,
    )


def curve_figure(corpus: Corpus, texts: Texts) -> Drawing | None:
    """Learning curves: a thin line a run, the mean and the band of the seeds."""
    models = corpus["models"]
    curves = [run["curve"] for model in models for run in model["seeds"]]
    if max(map(len, curves), default=0) < 2:
        return None  # a point is no curve
    points = [point for curve in curves for point in curve]
    held_out = all(point["valid_ppl"] is not None for point in points)
    key = "valid_ppl" if held_out else "train_ppl"

    def paint(figure: "Figure") -> None:
        from matplotlib.ticker import MaxNLocator

        axes = framed_axes(figure, (WIDTH, HEIGHT), (58, 46, 14, 14))
        axes.set_yscale("log")
        for number, model in enumerate(models):
            _curves(axes, model, key, number)
        values = [point[key] for point in points if point[key]]
        if held_out:
            _baseline(axes, corpus, "valid", max(values), min(values), vertical=False)
        plain_log(axes, values, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True))
        axes.set_xlabel(texts("figure.curves.x"))
        axes.set_ylabel(texts("figure.curves.y." + ("valid" if held_out else "train")))
        axes.legend(frameon=False, loc="upper right", labelcolor=COLOURS["ink"])

    return draw(
        f"{corpus['key']}-curves",
        texts("figure.curves.title"),
        texts("figure.curves.text." + ("valid" if held_out else "train")),
        (WIDTH, HEIGHT),
        paint,
    )


def _curves(axes: "Axes", model: dict[str, Any], key: str, number: int) -> None:
    colour, marker = model_colour(number), MARKERS[number % len(MARKERS)]
    runs = [{p["step"]: p for p in run["curve"] if p[key]} for run in model["seeds"]]
    runs = [run for run in runs if run]
    label: str | None = model_label(model["arch"])
    common = sorted(set.intersection(*map(set, runs))) if runs else []
    if len(common) > 1:
        epochs = [runs[0][step]["epoch"] for step in common]
        columns = [[run[step][key] for run in runs] for step in common]
        means = [sum(column) / len(column) for column in columns]
        axes.plot(epochs, means, color=colour, marker=marker, ms=4, label=label)
        label = None
        if len(runs) > 1:
            low, high = map(min, columns), map(max, columns)
            axes.fill_between(epochs, list(low), list(high), fc=colour, alpha=0.2, ec="none")
    if len(common) > 1 and len(runs) == 1:
        return
    for run in runs:
        ordered = [run[step] for step in sorted(run)]
        axes.plot(
            [p["epoch"] for p in ordered],
            [p[key] for p in ordered],
            color=colour,
            lw=0.6,
            alpha=0.7,
            marker=marker if label else None,
            ms=4,
            label=label,
        )
        label = None


def matrix_figures(corpus: Corpus, texts: Texts) -> dict[str, Drawing]:
    """A matrix for each measure: models against models, the noise floor on the diagonal."""
    comparison = corpus["comparison"]
    if comparison is None or len(comparison["groups"]) < 2:
        return {}
    return {name: _matrix(corpus, name, texts) for name in MEASURES}


def _matrix(corpus: Corpus, name: str, texts: Texts) -> Drawing:
    comparison = corpus["comparison"]
    groups = comparison["groups"]
    table: dict[tuple[str, str], float | None] = {
        (group, group): comparison["within"].get(group, {}).get(name) for group in groups
    }
    for pair in comparison["group_pairs"]:
        table[pair["a"], pair["b"]] = table[pair["b"], pair["a"]] = pair[name]["between"]
    size = 62.0 * len(groups)
    whole = (size + 66, size + 34)

    def paint(figure: "Figure") -> None:
        axes = framed_axes(figure, whole, (58, 6, 8, 28))
        axes.grid(visible=False)
        for row, a in enumerate(groups):
            for column, b in enumerate(groups):
                _cell(axes, column, row, table.get((a, b)))
        axes.set_xlim(-0.5, len(groups) - 0.5)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        labels = [model_label(group) for group in groups]
        axes.set_xticks(range(len(groups)), labels)
        axes.set_yticks(range(len(groups)), labels)
        axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
        for side in axes.spines.values():
            side.set_visible(False)

    return draw(
        f"{corpus['key']}-{name.replace('_', '-')}",
        texts(f"measure.{name}"),
        texts("figure.matrix.text", measure=texts(f"means.{name}")),
        whole,
        paint,
    )


def _cell(axes: "Axes", column: int, row: int, value: float | None) -> None:
    from matplotlib.patches import Rectangle

    corner, diagonal = (column - 0.47, row - 0.47), column == row
    strength = 0.0 if value is None else min(max(value, 0.0), 1.0)
    # Never so strong that the figure in the cell is hard to read, light or dark.
    alpha = 0.45 * strength
    axes.add_patch(Rectangle(corner, 0.94, 0.94, fc=COLOURS["accent"], ec="none", alpha=alpha))
    edge = COLOURS["ink"] if diagonal else COLOURS["line"]
    axes.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, ec=edge, lw=1.4 if diagonal else 0.7))
    figure = "–" if value is None else f"{value:.2f}"
    axes.text(column, row, figure, ha="center", va="center", size=11.5)


def framed_axes(
    figure: "Figure", size: tuple[float, float], margins: tuple[float, float, float, float]
) -> "Axes":
    """Axes inside margins (left, bottom, right, top) in points."""
    (width, height), (left, bottom, right, top) = size, margins
    box = (
        left / width,
        bottom / height,
        (width - left - right) / width,
        (height - bottom - top) / height,
    )
    return figure.add_axes(box)


def _baseline(
    axes: "Axes", corpus: Corpus, part: str, high: float, low: float, *, vertical: bool
) -> None:
    """A dashed line at Kneser-Ney, where it is near enough to leave the runs apart."""
    ledgers = [run[part] for model in corpus["models"] for run in model["seeds"] if run[part]]
    baseline = ((ledgers[0].get("baselines") or {}).get("kneser_ney") or {}) if ledgers else {}
    level = baseline.get("ppl")
    if not level or not low / NEAR <= level <= high * NEAR:
        return
    line = axes.axvline if vertical else axes.axhline
    name = f"Kneser–Ney {baseline.get('order', '')}".strip()
    line(level, color=COLOURS["muted"], ls=(0, (4, 3)), lw=1.1, label=name)
    if vertical:
        left, right = axes.get_xlim()
        side = "right" if level > (left + right) / 2 else "left"
        label = f"{name}  " if side == "right" else f"  {name}"
        axes.text(level, -0.52, label, color=COLOURS["muted"], size=9, va="top", ha=side)


def plain_log(axes: "Axes", values: Sequence[float], axis: str) -> None:
    """Ticks of a logarithmic axis as plain figures: 1, 2 and 5 times a power of ten."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    which = axes.yaxis if axis == "y" else axes.xaxis
    low, high = min(values, default=1), max(values, default=10)
    digits: tuple[float, ...] = (1, 2, 5) if high / low > 4 else (1, 1.5, 2, 3, 4, 5, 7)
    if high / low > 300:
        digits = (1,)
    ticks = [m * 10.0**e for e in range(-9, 13) for m in digits]
    which.set_major_locator(FixedLocator([t for t in ticks if low / 1.6 <= t <= high * 1.6]))
    which.set_minor_locator(NullLocator())
    which.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
