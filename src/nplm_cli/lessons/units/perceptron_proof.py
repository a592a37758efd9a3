"""Steps of the perceptron lesson: the proof that no unit says XOR, and all truth tables."""

import itertools
from collections.abc import Sequence

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.units.threshold_unit import (
    INPUTS,
    certificate,
    inequalities,
    tried_units,
)


def _written(coefficients: Sequence[int]) -> str:
    """A sum such as ``w1 + b``."""
    terms = [
        f"{'-' if c < 0 else '+'} {name}"
        for c, name in zip(coefficients, ("w1", "w2", "b"), strict=True)
        if c
    ]
    return " ".join(terms).removeprefix("+ ").replace("- ", "-", 1 if terms[0][0] == "-" else 0)


def certified(target: Sequence[int]) -> Step:
    """What a truth table asks of the weights, and the sum that says 0 > 0, if there is one."""
    rows, times = inequalities(target), certificate(target)
    asked = [f"{_written(row)} {'>' if y else '>='} 0" for row, y in zip(rows, target, strict=True)]
    shown_times: Sequence[int | None] = times or [None] * len(rows)
    lines = []
    if times:
        terms = [f"{t} ({a[: a.index('>')].strip()})" for t, a in zip(times, asked, strict=True)]
        lines = [" + ".join(terms).replace("1 (", "("), "    = 0, and must be > 0"]
    return Step(
        title=Text("Why not XOR: a proof", "为何没有异或：一个证明"),
        text=Text(
            "Each input asks something of the weights: z > 0 where 1 is wanted, -z >= 0 where 0 "
            "is. If a sum of these inequalities leaves 0 > 0, no weights whatever obey all.",
            "每个输入都对权重有所要求：想要 1 处 z > 0，想要 0 处 -z >= 0。如果把这些不等式"
            "相加得到 0 > 0，那么任何权重都不能全部满足。",
        ),
        formula=lines,
        tables=[
            Table(
                ("x1", "x2", Text("wanted", "想要"), Text("asks", "要求"), Text("taken", "取几次")),
                [
                    (*x, y, a, t)
                    for x, y, a, t in zip(INPUTS, target, asked, shown_times, strict=True)
                ],
            )
        ],
        values={"inequalities": rows, "certificate": list(times) if times else None},
        claims=[
            Claim(
                Text(
                    "the inequalities add up to 0 > 0: no perceptron says this",
                    "这些不等式相加得 0 > 0：没有感知机能做到",
                ),
                times is not None,
            )
        ],
    )


def all_functions() -> Step:
    """For each of the 16 truth tables a unit that says it, or the proof that there is none."""
    tables = list(itertools.product((0, 1), repeat=len(INPUTS)))
    units = tried_units()
    impossible = [t for t in tables if certificate(t)]
    return Step(
        title=Text("All truth tables of two inputs", "两个输入的所有真值表"),
        text=Text(
            "There are 16. Each has either a unit that says it or a sum that proves there is none.",
            "共有 16 个。每一个要么有单元实现，要么有相加的式子证明不存在这样的单元。",
        ),
        tables=[
            Table(
                ("00 01 10 11", "w1", "w2", "b", Text("proof that none", "不存在的证明")),
                [
                    (
                        "  " + "  ".join(map(str, t)),
                        *units.get(t, (None, None, None)),
                        " ".join(map(str, certificate(t) or ())),
                    )
                    for t in tables
                ],
                1,
            )
        ],
        values={
            "possible": len(units),
            "impossible": [list(t) for t in impossible],
        },
        claims=[
            Claim(
                Text(
                    "each has one or the other, and none has both",
                    "每个恰有其一，没有兼有的",
                ),
                all((t in units) != (t in impossible) for t in tables),
            ),
            Claim(
                Text(
                    "the two without a unit are XOR and its opposite",
                    "没有单元的两个，是异或与同或",
                ),
                impossible == [(0, 1, 1, 0), (1, 0, 0, 1)],
            ),
        ],
    )
