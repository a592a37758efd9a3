"""Figures as SVG text: letters stay letters, bytes repeat, colours follow the page.

matplotlib draws with the colours of ``COLOURS``; in a file they stay, in a page they become CSS
variables, so that one drawing serves light and dark. The reader's program finds the fonts, so
Chinese needs none here.
"""

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from nplm_cli.reports.words import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONTS = (
    "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'PingFang SC', "
    "'Hiragino Sans GB', 'Microsoft YaHei', 'Noto Sans CJK SC', 'Noto Sans SC', sans-serif"
)
# Okabe & Ito (2008), told apart by the colour-blind; darkened where white paper asks for it.
COLOURS = {
    "surface": "#fefefe",
    "ink": "#1b1f27",
    "muted": "#5a6270",
    "line": "#d5d9e0",
    "accent": "#1f5fa8",
    "model-0": "#0072b2",
    "model-1": "#b54a00",
    "model-2": "#00795a",
    "model-3": "#a8487f",
    "model-4": "#8a6100",
    "model-5": "#5b50b8",
}
SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
MARKERS = ("o", "s", "^", "D", "v", "P")
POINTS = 72  # of matplotlib an inch: sizes below are in points


def model_colour(number: int) -> str:
    """The colour of the model at this place of the plan; six, then again from the first."""
    return COLOURS[f"model-{number % len(MARKERS)}"]


@dataclass(frozen=True)
class Drawing:
    """A figure: ``name`` (of its file, and before its ids), title, description, SVG of its own."""

    name: str
    title: str
    description: str
    svg: str

    @property
    def inline(self) -> str:
        """The SVG for the inside of an HTML page: colours are CSS variables, no namespaces."""
        root = ElementTree.fromstring(self.svg.split("\n", 1)[1])
        for element in root.iter():
            element.tag = element.tag.removeprefix(SVG)
            for key in list(element.attrib):
                value = element.attrib.pop(key)
                if key == "style":
                    for variable, colour in COLOURS.items():
                        value = value.replace(colour, f"var(--{variable})")
                element.set(key.removeprefix(XLINK), value)
        return ElementTree.tostring(root, encoding="unicode")


def draw(
    name: str,
    title: str,
    description: str,
    size: tuple[float, float],
    paint: Callable[["Figure"], None],
) -> Drawing:
    """Let ``paint`` draw on a figure of ``size`` (width, height in points) and keep it as SVG.

    The same strokes give the same bytes. Nothing global is left changed, and no pyplot is used.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(drawing_settings(name)), warnings.catch_warnings():
        # The reader's fonts draw the letters; that ours lack some is of no account.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        figure = Figure(figsize=(size[0] / POINTS, size[1] / POINTS))
        paint(figure)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    return Drawing(name, title, description, _tidy(buffer.getvalue(), name, title, description))


def label_size(text: str, points: float) -> tuple[float, float]:
    """Width and height in points that a reader's font about needs; full-width letters count 1 em.

    >>> label_size("ab", 10)
    (11.6, 12.0)
    """
    ems = sum(1.0 if ord(c) >= 0x2E80 else 0.58 for c in text)
    return round(ems * points, 3), 1.2 * points


def drawing_settings(name: str) -> Any:
    """matplotlib's settings for the drawing of a name: house colours, no global state."""
    ink, muted, line = COLOURS["ink"], COLOURS["muted"], COLOURS["line"]
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,
        "font.family": ["DejaVu Sans"],
        "font.size": 10.5,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": muted,
        "axes.facecolor": "none",
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 10.5,
        "axes.unicode_minus": True,
        "grid.color": line,
        "grid.linewidth": 0.6,
        "xtick.color": muted,
        "ytick.color": muted,
        "xtick.labelcolor": muted,
        "ytick.labelcolor": muted,
        "xtick.labelsize": 9.5,
        "ytick.labelsize": 9.5,
        "figure.facecolor": COLOURS["surface"],
        "savefig.facecolor": COLOURS["surface"],
        "path.simplify": False,
    }


def _tidy(svg: str, name: str, title: str, description: str) -> str:
    """Keep the drawing: ids only where something points, our fonts, a title and a description."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (SVG + "metadata", SVG + "style"):
                parent.remove(child)
    used = set()
    for element in root.iter():
        for value in element.attrib.values():
            used.update(re.findall(r"(?:^|url\()#([\w-]+)", value))
    for element in root.iter():
        _tidy_element(element, name, used)
    box = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib |= {
        "viewBox": box,
        "width": box.split()[2],
        "height": box.split()[3],
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
        "style": f"font-family: {FONTS}; stroke-linejoin: round; stroke-linecap: butt",
    }
    for i, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(SVG + tag, {"id": f"{name}-{tag}"})
        element.text, element.tail = shown(text), "\n"
        root.insert(i, element)
    root.text = "\n"
    _name_plainly(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _tidy_element(element: ElementTree.Element, name: str, used: set[str]) -> None:
    for key, value in list(element.attrib.items()):
        if key == "id" and value not in used:
            del element.attrib[key]
        elif key == "id":
            element.set(key, f"{name}-{value}")
        elif key == "transform" and re.match(r"rotate\(-?0 ", value):
            del element.attrib[key]
        elif key == "style":
            element.set(key, re.sub(r"font-family: [^;]*;? ?", "", value))
        elif key == "d":
            element.set(key, " ".join(value.split()))
        else:
            element.set(key, re.sub(r"(^|url\()#(?=[\w-]+\)?$)", rf"\1#{name}-", value))
    if element.tag != SVG + "text":
        element.text = None if not (element.text or "").strip() else element.text
    element.tail = "\n"


def _name_plainly(root: ElementTree.Element) -> None:
    """Names as they are written, since ElementTree would make up prefixes (ns0) for namespaces."""
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        for key in [key for key in element.attrib if key.startswith(XLINK)]:
            element.set("xlink:" + key.removeprefix(XLINK), element.attrib.pop(key))
    root.set("xmlns", SVG[1:-1])
    root.set("xmlns:xlink", XLINK[1:-1])
