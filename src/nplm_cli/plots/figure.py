"""What a figure is: numbers, a size, and a function that paints; written as SVG or PNG."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nplm_cli.reports.svg import POINTS, draw, drawing_settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Families that hold Chinese, on Linux, Windows and macOS.
CHINESE = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC"),
    *("Microsoft YaHei", "PingFang SC", "Hiragino Sans GB", "WenQuanYi Zen Hei"),
    *("WenQuanYi Micro Hei", "Droid Sans Fallback", "SimHei", "Noto Serif CJK SC"),
    *("Noto Serif CJK JP", "SimSun", "Arial Unicode MS"),
)
PNG_DPI = 200


@dataclass(frozen=True)
class Plot:
    """A figure of some ``kind``; ``record`` has the numbers that ``paint`` draws.

    ``size`` is width and height in points. ``title`` and ``description`` are for readers who
    cannot see it, and the title stands above it.
    """

    kind: str
    title: str
    description: str
    size: tuple[float, float]
    record: dict[str, Any]
    paint: Callable[["Figure"], None]

    def svg(self) -> bytes:
        """The figure as an SVG file of its own; the same figure gives the same bytes."""
        drawing = draw(f"plot-{self.kind}", self.title, self.description, self.size, self._whole)
        return drawing.svg.encode()

    def png(self) -> tuple[bytes, str]:
        """The figure as PNG, and the characters that no font of this machine can draw."""
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.font_manager import fontManager

        known = {font.name for font in fontManager.ttflist}
        families = ["DejaVu Sans", *(name for name in CHINESE if name in known)]
        settings = drawing_settings(self.kind) | {"font.family": families}
        buffer = io.BytesIO()
        with rc_context(settings), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            figure = Figure(figsize=(self.size[0] / POINTS, self.size[1] / POINTS))
            self._whole(figure)
            figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
        lost = [str(w.message) for w in caught if "missing from" in str(w.message)]
        codes = {int(text.split()[1]) for text in lost if text.split()[1].isdigit()}
        return buffer.getvalue(), "".join(map(chr, sorted(codes)))

    def _whole(self, figure: "Figure") -> None:
        from nplm_cli.reports.words import shown

        self.paint(figure)
        height = self.size[1]
        figure.text(
            0.5, 1 - 15 / height, shown(self.title), ha="center", va="center", weight="bold"
        )


def frame(
    figure: "Figure", size: tuple[float, float], box: tuple[float, float, float, float]
) -> "Axes":
    """Axes at left, top, width, height in points, the top counted from the top of the figure."""
    left, top, width, height = box
    whole, high = size
    return figure.add_axes((left / whole, 1 - (top + height) / high, width / whole, height / high))


def heat(
    axes: "Axes", values: Any, low: float, high: float, *, rows: list[str], columns: list[str]
) -> Any:
    """Cells coloured from ``low`` to ``high``, the first row on top; around 0 in two colours."""
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    from nplm_cli.reports.svg import COLOURS
    from nplm_cli.reports.words import shown

    ends = [COLOURS["surface"], COLOURS["accent"]]
    if low < 0:
        ends = [COLOURS["model-1"], COLOURS["surface"], COLOURS["accent"]]
    mesh = axes.pcolormesh(
        np.asarray(values, float),
        cmap=LinearSegmentedColormap.from_list("house", ends),
        vmin=low,
        vmax=high,
        edgecolors=COLOURS["surface"],
        linewidth=0.4,
    )
    axes.set_ylim(len(values), 0)
    axes.grid(visible=False)
    axes.set_xticks([i + 0.5 for i in range(len(columns))], [shown(text) for text in columns])
    axes.set_yticks([i + 0.5 for i in range(len(rows))], [shown(text) for text in rows])
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return mesh


def colour_bar(
    figure: "Figure", mesh: Any, size: tuple[float, float], box: tuple[float, float, float, float]
) -> None:
    """What the colours of ``heat`` mean, in a narrow frame."""
    bar = figure.colorbar(mesh, cax=frame(figure, size, box))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2)


def turned(axes: "Axes") -> None:
    """Write the words below the axes slanted, so that they do not run into each other."""
    for label in axes.get_xticklabels():
        label.set_rotation(45)
        label.set_horizontalalignment("right")
        label.set_rotation_mode("anchor")
