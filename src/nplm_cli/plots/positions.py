"""Sinusoidal positions as a picture: a row a position, a column a dimension."""

from typing import TYPE_CHECKING

from nplm_cli.bilingual import Language, Text
from nplm_cli.plots.figure import Plot, colour_bar, frame, heat

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (520.0, 360.0)
TITLE = Text("Sinusoidal positions", "正弦位置编码")
DESCRIPTION = Text(
    "Vector of each position: sines and cosines of slower and slower waves.",
    "每个位置的向量：频率逐渐降低的正弦与余弦。",
)
TICKS = 8


def positions(count: int, dim: int, lang: Language) -> Plot:
    """The vectors (count, dim) of positions 1 ... count, as models add them."""
    from nplm_cli.models.attention import sinusoidal_positions

    table = sinusoidal_positions(count, dim).tolist()

    def paint(figure: "Figure") -> None:
        axes = frame(figure, SIZE, (52, 34, 390, 276))
        mesh = heat(axes, table, -1, 1, rows=[], columns=[])
        mesh.set_edgecolor("none")
        rows, columns = range(0, count, max(1, count // TICKS)), range(0, dim, max(1, dim // TICKS))
        axes.set_yticks([i + 0.5 for i in rows], [str(i + 1) for i in rows])
        axes.set_xticks([i + 0.5 for i in columns], [str(i) for i in columns])
        axes.set_xlabel(Text("dimension", "维").within(lang))
        axes.set_ylabel(Text("position", "位置").within(lang))
        colour_bar(figure, mesh, SIZE, (458, 34, 12, 276))

    record = {"count": count, "dim": dim, "positions": table}
    return Plot("positions", TITLE.within(lang), DESCRIPTION.within(lang), SIZE, record, paint)
