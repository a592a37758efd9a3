"""Decision regions of a ReLU network for XOR, in the inputs and in the hidden layer."""

import math
from typing import TYPE_CHECKING, Any

from nplm_cli.bilingual import Language, Text
from nplm_cli.lessons.truth_tables import INPUTS, XOR
from nplm_cli.plots.figure import Plot, frame
from nplm_cli.reports.svg import COLOURS, model_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (520.0, 560.0)
GRID = 101
# Points closer than this share of a panel are named together.
NEAR = 0.06
TITLE = Text("XOR by a hidden layer of two ReLUs", "用两个 ReLU 隐藏单元解决异或")
DESCRIPTION = Text(
    "Shaded where the answer is 1. Left the inputs, right the hidden layer, where a line parts "
    "the answers; above given weights, below learned ones.",
    "阴影处答案为 1。左：输入平面；右："
    "隐藏层，在那里一条直线即可分开；上：给定权重；下：学到的权重。",
)


def xor(seed: int, lang: Language) -> Plot:
    """Scores of answer 1 over a grid, of given weights and of weights learned from ``seed``.

    A score above 0 answers 1: u . h - 1/2 of the given network, the difference of the two logits
    of the learned one (100 steps of SGD at rate 1 on all four inputs).
    """
    from nplm_cli.lessons.units.xor_networks import GIVEN, Learned, given

    weights = {name: parameter.default for name, parameter in GIVEN.items()}
    nets = {
        "given": _regions(given(**weights), lambda scores: scores[:, 0] - 0.5),
        "learned": _regions(Learned(2, "relu", seed).model, lambda s: s[:, 1] - s[:, 0]),
    }
    names = {
        "given": Text("given weights", "给定的权重"),
        "learned": Text(f"learned, seed {seed}", f"学到的，种子 {seed}"),
    }

    def paint(figure: "Figure") -> None:
        for row, (key, net) in enumerate(nets.items()):
            for column, space in enumerate(("inputs", "hidden")):
                where = Text("inputs", "输入") if column == 0 else Text("hidden layer", "隐藏层")
                axes = frame(figure, SIZE, (52 + 252 * column, 56 + 256 * row, 196, 196))
                _panel(axes, net[space], "xh"[column])
                name = f"{where.within(lang)} ({names[key].within(lang)})"
                axes.set_title(name, size=9.5, pad=5)

    record = {
        "seed": seed, "inputs": INPUTS, "targets": XOR,
        **nets,
    }  # fmt: skip
    return Plot("xor", TITLE.within(lang), DESCRIPTION.within(lang), SIZE, record, paint)


def _regions(model: Any, score: Any) -> dict[str, Any]:
    """Scores of the four inputs and of grids over both planes."""
    import torch

    from nplm_cli.lessons.small_models import hidden_of, numbers

    with torch.no_grad():
        x_N2 = numbers(INPUTS)
        h_N2 = hidden_of(model, x_N2)
        found: dict[str, Any] = {"score": score(model.logits(h_N2)).tolist()}
        found["solved"] = [s > 0 for s in found["score"]] == [bool(t) for t in XOR]
        for space, points_N2, read in (
            ("inputs", x_N2, lambda p: hidden_of(model, p)),
            ("hidden", h_N2, lambda p: p),
        ):
            low, high = points_N2.min(0)[0], points_N2.max(0)[0]
            rim = 0.35 * (high - low).clamp(min=0.5)
            a, b = (
                torch.linspace(low[i] - rim[i], high[i] + rim[i], GRID).double() for i in (0, 1)
            )
            grid = torch.stack(torch.meshgrid(a, b, indexing="xy"), dim=2).reshape(-1, 2)
            scores = score(model.logits(read(grid))).reshape(GRID, GRID)
            found[space] = {
                "points": points_N2.tolist(), "x": a.tolist(), "y": b.tolist(),
                "scores": scores.tolist(),
            }  # fmt: skip
    return found


def _panel(axes: Any, plane: dict[str, Any], letter: str) -> None:
    axes.grid(visible=False)
    axes.contourf(
        plane["x"], plane["y"], plane["scores"], levels=[0, 1e9], colors=[COLOURS["accent"]],
        alpha=0.22,
    )  # fmt: skip
    axes.contour(plane["x"], plane["y"], plane["scores"], levels=[0], colors=[COLOURS["accent"]])
    together: dict[tuple[float, ...], list[int]] = {}
    for number, point in enumerate(plane["points"]):
        near = NEAR * (plane["x"][-1] - plane["x"][0])
        place = next((p for p in together if math.dist(p, point) < near), tuple(point))
        together.setdefault(place, []).append(number)
    for point, numbers in together.items():
        answer = XOR[numbers[0]]
        axes.plot(*point, "so"[answer], color=model_colour(answer), ms=8, mec=COLOURS["surface"])
        name = ", ".join(f"{INPUTS[n][0]}{INPUTS[n][1]}" for n in numbers)
        axes.annotate(name, point, xytext=(0, 8), textcoords="offset points", ha="center", size=9)
    axes.set_xlabel(f"{letter}1", labelpad=1)
    axes.set_ylabel(f"{letter}2", labelpad=1)
