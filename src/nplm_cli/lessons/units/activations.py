"""W-02: the activation functions, their slopes, and where the slopes are as good as nothing."""

from collections.abc import Iterator

import torch

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import numbers, slope
from nplm_cli.models.activations import ACTIVATIONS

RUNS = ("nplm_cli.models.activations.ACTIVATIONS",)
PARAMETERS = {
    "z": Parameter(
        default=(-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0),
        help=Text("weighted sums to look at", "要考察的加权和"),
        free=True,
    ),
    "flat": Parameter(
        default=0.01,
        help=Text("a slope below this counts as flat", "导数小于它就算平坦"),
        low=1e-6,
        high=0.2,
    ),
}
NAMES = ("sigmoid", "tanh", "relu", "gelu")
# Where flat stretches are looked for: z from -FAR to FAR in steps of 1 / FINE.
FAR, FINE = 20, 1000


def steps(z: tuple[float, ...], flat: float) -> Iterator[Step]:
    """Values, slopes, the corner of ReLU, the identity of tanh and sigmoid, flat stretches."""
    values = {name: ACTIVATIONS[name](numbers(z)).tolist() for name in NAMES}
    yield Step(
        title=Text("What goes in, what comes out", "输入与输出"),
        text=Text(
            "An activation bends the weighted sum z. Sigmoid squeezes it between 0 and 1, tanh "
            "between -1 and 1; ReLU lets what is positive through and GELU is a smooth ReLU.",
            "激活函数把加权和 z 弯曲。sigmoid 把它压到 0 与 1 之间，tanh 压到 -1 与 1 之间；"
            "ReLU 只让正数通过，GELU 是平滑的 ReLU。",
        ),
        formula=[
            "sigmoid(z) = 1 / (1 + exp(-z))",
            "tanh(z) = (exp(z) - exp(-z)) / (exp(z) + exp(-z))",
            "relu(z) = max(0, z)",
        ],
        tables=[_table(z, values)],
        values=values,
        claims=[
            Claim(
                Text(
                    "sigmoid stays within 0 and 1, tanh within -1 and 1, ReLU is never negative",
                    "sigmoid 总在 0 与 1 之间，tanh 总在 -1 与 1 之间，ReLU 从不为负",
                ),
                all(0 <= a <= 1 for a in values["sigmoid"])
                and all(-1 <= a <= 1 for a in values["tanh"])
                and min(values["relu"]) >= 0,
            )
        ],
    )

    slopes = {name: slope(name, numbers(z)).tolist() for name in NAMES}
    yield Step(
        title=Text("Slopes: what back-propagation multiplies by", "导数：反向传播要乘的数"),
        text=Text(
            "How much the output moves when z moves a little. Here the slopes come from automatic "
            "differentiation, and agree with the formulas.",
            "z 稍微变动时输出变动多少。这里的导数由自动微分算出，与公式一致。",
        ),
        formula=["sigmoid'(z) = s (1 - s),  s = sigmoid(z)", "tanh'(z) = 1 - tanh(z)^2"],
        tables=[_table(z, {f"{name}'": found for name, found in slopes.items()})],
        values={f"{name}_slope": found for name, found in slopes.items()},
        claims=[
            Claim(
                Text("sigmoid' = s (1 - s)", "sigmoid' = s (1 - s)"),
                _close(slopes["sigmoid"], [s * (1 - s) for s in values["sigmoid"]]),
            ),
            Claim(
                Text("tanh' = 1 - tanh^2", "tanh' = 1 - tanh^2"),
                _close(slopes["tanh"], [1 - t * t for t in values["tanh"]]),
            ),
            Claim(
                Text(
                    "at none of these z the slope of sigmoid is above 1/4",
                    "在这些 z 处，sigmoid 的导数都不超过 1/4",
                ),
                max(slopes["sigmoid"]) <= 0.25,
            ),
        ],
    )
    yield _corner()

    off = [
        abs(t - (2 * s - 1))
        for t, s in zip(
            values["tanh"], ACTIVATIONS["sigmoid"](2 * numbers(z)).tolist(), strict=True
        )
    ]
    yield Step(
        title=Text("tanh is a sigmoid, stretched", "tanh 是拉伸后的 sigmoid"),
        text=Text(
            "Twice as steep, twice as high, moved down by 1: a network of tanh units says what "
            "one of sigmoid units can say, with other weights.",
            "陡一倍、高一倍、再下移 1：tanh 网络能表示的，换一组权重，sigmoid 网络也能表示。",
        ),
        formula=["tanh(z) = 2 sigmoid(2z) - 1"],
        values={"identity_error": max(off)},
        claims=[
            Claim(
                Text(
                    f"the two sides differ by at most 1e-12 (here {max(off):.1e})",
                    f"两边相差不超过 1e-12（此处 {max(off):.1e}）",
                ),
                max(off) <= 1e-12,
            )
        ],
    )
    yield _saturation(flat)


def _table(z: tuple[float, ...], columns: dict[str, list[float]]) -> Table:
    return Table(("z", *columns), list(zip(z, *columns.values(), strict=True)))


def _close(found: list[float], formula: list[float]) -> bool:
    return all(abs(a - b) <= 1e-12 for a, b in zip(found, formula, strict=True))


def _corner() -> Step:
    left, at, right = slope("relu", numbers([-1e-9, 0, 1e-9])).tolist()
    return Step(
        title=Text("The corner of ReLU", "ReLU 的拐点"),
        text=Text(
            "Just left of 0 the slope of ReLU is 0, just right of it 1. At 0 itself there is no "
            "derivative (HZ: undefined), but a program has to say some number: SLP3 6.6.4 says 1, "
            "PyTorch, and so nplm, says 0.",
            "ReLU 在 0 的左侧导数为 0，右侧为 1。恰在 0 处，数学上没有定义（HZ：不可导），程序"
            "只能约定：SLP3 6.6.4 取 1，PyTorch 取 0，nplm 也就取 0。",
        ),
        tables=[
            Table(
                ("z", "relu'(z)", "SLP3", "HZ"),
                [
                    ("-1e-9", left, 0.0, "0"),
                    ("0", at, 1.0, Text("undefined", "无定义")),
                    ("+1e-9", right, 1.0, "1"),
                ],
                0,
            )
        ],
        values={"relu_slope_left": left, "relu_slope_at_0": at, "relu_slope_right": right},
        claims=[
            Claim(
                Text("the slope jumps from 0 to 1", "导数从 0 跳到 1"),
                left == 0 and right == 1,
            ),
            Claim(Text("at 0 nplm computes with 0", "在 0 处 nplm 取 0"), at == 0),
        ],
    )


def _saturation(flat: float) -> Step:
    grid = torch.arange(-FAR * FINE, FAR * FINE + 1, dtype=torch.float64) / FINE
    edges = {name: _edges(grid, slope(name, grid).abs() < flat) for name in NAMES}
    _, sigmoid = edges["sigmoid"]
    _, tanh = edges["tanh"]
    return Step(
        title=Text("Where they saturate", "在哪里饱和"),
        text=Text(
            f"A unit is saturated where its slope is below {flat:g}: it hardly notices a change of "
            "its weights, and hardly passes anything back. Sigmoid and tanh saturate on both "
            "sides. ReLU is flat on the left alone, but there wholly. - means: nowhere.",
            f"导数小于 {flat:g} 时，称单元饱和：权重变了，它几乎不动，也几乎不往回传任何东西。"
            "sigmoid 与 tanh 两边都饱和；ReLU 只在左边是平的，但那里完全是平的。- 表示没有。",
        ),
        tables=[
            Table(
                ("f", Text("flat from here to the left", "由此往左平坦"),
                 Text("flat from here to the right", "由此往右平坦")),
                [(name, *edge) for name, edge in edges.items()],
                3,
            )
        ],
        values={f"{name}_flat": list(edge) for name, edge in edges.items()},
        claims=[
            Claim(
                Text(
                    "tanh saturates sooner than sigmoid",
                    "tanh 比 sigmoid 更早饱和",
                ),
                sigmoid is not None and tanh is not None and tanh < sigmoid,
            ),
            Claim(
                Text(
                    "ReLU does not saturate on the right",
                    "ReLU 在右边不饱和",
                ),
                edges["relu"][1] is None,
            ),
        ],
    )  # fmt: skip


def _edges(grid: torch.Tensor, flat: torch.Tensor) -> tuple[float | None, float | None]:
    """Up to where the left end of the grid is flat, from where the right end is."""
    steep = grid[~flat]
    if not len(steep):
        return grid[-1].item(), grid[0].item()
    left, right = steep[0].item(), steep[-1].item()
    step = 1 / FINE
    return (
        left - step if flat[0] else None,
        right + step if flat[-1] else None,
    )
