"""W-08: binary cross-entropy and its gradient, and why not the squared error."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.errors import ConfigError
from nplm_cli.lessons.lesson import Claim, Step, Value
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import hidden_of, network, numbers, slope
from nplm_cli.lessons.training.descent import Descent, mean_loss
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.feedforward import FeedforwardLM

RUNS = (
    "nplm_cli.training.losses.OutputLoss.__call__",
    "nplm_cli.models.activations.ACTIVATIONS",
    "nplm_cli.models.output.OutputLayer.logits",
    "nplm_cli.training.optimizers.build_optimizer",
)
PARAMETERS = {
    "x": Parameter(default=(0.5, 0.6, 0.1), help=Text("what the unit reads", "输入"), free=True),
    "w": Parameter(default=(0.2, 0.3, 0.9), help=Text("its weights", "权重"), free=True),
    "b": Parameter(default=0.5, help=Text("its bias", "偏置")),
    "grid": Parameter(
        default=(-10.0, -5.0, -2.0, 0.0, 2.0, 5.0, 10.0),
        help=Text("sums z for the comparison", "用来比较的 z"),
        low=-30,
        high=30,
        free=True,
    ),
    "start": Parameter(
        default=-8.0, help=Text("z of a unit that is wrong and sure", "自信地答错的单元的 z"),
        low=-15, high=15,
    ),
    "lr": Parameter(default=1.0, help=Text("learning rate", "学习率"), low=1e-3, high=10),
    "steps": Parameter(
        default=20, help=Text("of gradient descent", "梯度下降的步数"), low=1, high=200
    ),
}  # fmt: skip


def unit(w: Sequence[float], b: float) -> FeedforwardLM:
    """A logistic unit as a softmax over 0 and 1: the answer 0 has the score 0."""
    rows = {"output.weight": [[0.0] * len(w), list(w)], "output.bias": [0.0, b]}
    return network(len(w), rows, layers=0, outputs=2)


def loss_of(model: FeedforwardLM, x: Sequence[float], y: int) -> Tensor:
    """-ln of the probability of the answer y, by nplm's loss."""
    return mean_loss(model, numbers([x]), torch.tensor([y]))


def squared_error(z: Tensor, y: int) -> Tensor:
    """(a - y)^2 / 2 of a = sigmoid(z)."""
    return (ACTIVATIONS["sigmoid"](z) - y).square().sum() / 2


def by_z(z: float, y: int) -> tuple[float, float]:
    """Cross-entropy of a weighted sum z and dL/dz: a unit of weight 1 reads z itself."""
    read = numbers([[z]]).requires_grad_()
    loss = mean_loss(unit([1.0], 0.0), read, torch.tensor([y]))
    (gradient,) = torch.autograd.grad(loss, read)
    return loss.item(), gradient.item()


def steps(
    x: tuple[float, ...],
    w: tuple[float, ...],
    b: float,
    grid: tuple[float, ...],
    start: float,
    lr: float,
    **more: int,
) -> Iterator[Step]:
    """The loss, its gradient by z, a, w and b, against the squared error, and learning by both."""
    if len(x) != len(w):
        raise ConfigError(f"x has {len(x)} numbers and w {len(w)}: expected as many")
    model = unit(w, b)
    scores = model.logits(hidden_of(model, numbers([x])))[0]
    z = (scores[1] - scores[0]).item()
    a = ACTIVATIONS["sigmoid"](numbers(z)).item()
    losses = {y: loss_of(model, x, y).item() for y in (1, 0)}
    yield Step(
        title=Text("What an answer costs", "一个答案的代价"),
        text=Text(
            "The unit gives the answer 1 the probability ŷ. The loss is -ln of the probability of "
            "what is true: small if the unit was sure of it, large if it was sure of the other.",
            "单元给答案 1 的概率是 ŷ。损失是真实答案概率的 -ln：越有把握地答对越小，越有把握地答错"
            "越大。",
        ),
        formula=[
            "z = w · x + b,   ŷ = sigmoid(z)",
            "L = -[y ln ŷ + (1 - y) ln(1 - ŷ)]",
            f"z = {z:.6f},   ŷ = {a:.6f}",
        ],
        tables=[
            Table(
                ("y", Text("its probability", "它的概率"), "L"),
                [(1, a, losses[1]), (0, 1 - a, losses[0])],
            )
        ],
        values={"z": z, "yhat": a, "loss_1": losses[1], "loss_0": losses[0]},
        claims=[
            Claim(
                Text("the likelier answer costs less", "可能性大的答案代价小"),
                (losses[1] < losses[0]) == (a > 0.5),
            )
        ],
    )
    yield _gradients(model, x, z, a)
    yield _against_squares(grid)
    yield _learning(start, lr, more["steps"])


def _gradients(model: FeedforwardLM, x: Sequence[float], z: float, a: float) -> Step:
    da_dz = slope("sigmoid", numbers(z)).item()
    assert model.output.bias is not None
    of = (model.output_weight, model.output.bias)
    found: dict[int, tuple[Any, ...]] = {}
    for y in (1, 0):
        _, dz = by_z(z, y)
        dw, db = torch.autograd.grad(loss_of(model, x, y), of)
        found[y] = (dz / da_dz if da_dz else None, dz, dw[1].tolist(), db[1].item())
    rows: list[tuple[Any, ...]] = [
        ("dL/da", *(found[y][0] for y in (1, 0))),
        ("da/dz", da_dz, da_dz),
        ("dL/dz", *(found[y][1] for y in (1, 0))),
        *(
            (f"dL/dw{i + 1}", found[1][2][i], found[0][2][i])
            for i in range(len(x))
        ),
        ("dL/db", *(found[y][3] for y in (1, 0))),
    ]  # fmt: skip
    values = {
        f"{name}_{y}": value
        for y in (1, 0)
        for name, value in zip(("da", "dz", "dw", "db"), found[y], strict=True)
    }
    return Step(
        title=Text("Its gradient", "它的梯度"),
        text=Text(
            "The slope of the logarithm is large where the slope of the sigmoid is small, and the "
            "two cancel: what is passed back is the error ŷ - y, times the input for a weight.",
            "对数的导数大的地方，sigmoid 的导数小，两者相消：往回传的就是误差 ŷ - y，对权重再乘以"
            "输入。",
        ),
        formula=["dL/dz = dL/da da/dz = ŷ - y", "dL/dw = (ŷ - y) x,   dL/db = ŷ - y"],
        tables=[Table(("", "y = 1", "y = 0"), rows)],
        values=values,
        claims=[
            Claim(
                Text("dL/dz = ŷ - y for both answers", "对两种答案都有 dL/dz = ŷ - y"),
                all(abs(found[y][1] - (a - y)) < 1e-12 for y in (1, 0)),
            ),
            Claim(
                Text("dL/dw = (ŷ - y) x, dL/db = ŷ - y", "dL/dw = (ŷ - y) x，dL/db = ŷ - y"),
                all(
                    abs(found[y][3] - (a - y)) < 1e-12
                    and all(
                        abs(g - (a - y) * v) < 1e-12 * max(1, abs(v))
                        for g, v in zip(found[y][2], x, strict=True)
                    )
                    for y in (1, 0)
                ),
            ),
        ],
    )


def _against_squares(grid: Sequence[float]) -> Step:
    rows = []
    for z in grid:
        point = numbers(z).requires_grad_()
        square = squared_error(point, 1)
        (slope_square,) = torch.autograd.grad(square, point)
        loss, gradient = by_z(z, 1)
        a = ACTIVATIONS["sigmoid"](numbers(z)).item()
        rows.append((z, a, loss, gradient, square.item(), slope_square.item()))
    columns = list(zip(*rows, strict=True))
    wrong = [row for row in rows if row[0] <= -5]
    return Step(
        title=Text("Against the squared error", "与平方误差相比"),
        text=Text(
            "True is 1. Where the unit is wrong and sure (z far below 0), cross-entropy pulls with "
            "nearly the whole error. The squared error is saturated there: the sigmoid's slope "
            "stays in its gradient and makes it vanish.",
            "真实答案是 1。单元自信地答错时（z 远小于 0），交叉熵几乎用整个误差去拉它。平方误差在"
            "那里饱和：梯度里留着 sigmoid 的导数，于是消失了。",
        ),
        formula=["d/dz (ŷ - y)^2 / 2 = (ŷ - y) ŷ (1 - ŷ)"],
        tables=[
            Table(
                (
                    "z", "ŷ", Text("cross-entropy", "交叉熵"), Text("gradient", "梯度"),
                    Text("squared error", "平方误差"), Text("gradient", "梯度"),
                ),
                rows,
            )
        ],
        values={"cross_entropy_gradient": list(columns[3]), "square_gradient": list(columns[5])},
        claims=[
            Claim(
                Text(
                    "at z <= -5 the gradient of cross-entropy is over 100 times as large",
                    "z <= -5 处，交叉熵的梯度是平方误差的 100 倍以上",
                ),
                all(abs(row[3]) > 100 * abs(row[5]) for row in wrong),
            ),
            Claim(
                Text(
                    "the squared error's gradient is nowhere above 4/27 in size",
                    "平方误差的梯度，绝对值处处不超过 4/27",
                ),
                all(abs(row[5]) <= 4 / 27 + 1e-12 for row in rows),
            ),
        ],
    )  # fmt: skip


def _learning(start: float, lr: float, steps: int) -> Step:
    """Gradient descent on the bias alone, true is 1, from a unit that says ``start``."""
    rows: list[tuple[Any, ...]] = []
    values: dict[str, Value] = {}
    for name, title, loss in (
        ("cross_entropy", Text("cross-entropy", "交叉熵"), partial(loss_of, x=[0.0], y=1)),
        ("square", Text("squared error", "平方误差"), _square_of_unit),
    ):
        model = unit([0.0], start)
        said = _descend(model, loss, lr, steps)
        first = next((i for i, a in enumerate(said) if a > 0.5), None)
        rows.append((title, said[0], said[-1], first))
        values[f"yhat_after_{name}"] = said[-1]
        values[f"right_after_{name}"] = first
    return Step(
        title=Text("Learning from a bad start", "从糟糕的起点学习"),
        text=Text(
            f"A unit with z = {start:g} and the true answer 1; {steps} steps of SGD on the "
            "biases of its two scores, by each loss.",
            f"单元的 z = {start:g}，真实答案是 1；分别用两种损失，对两个得分的偏置做 {steps} 步"
            " SGD。",
        ),
        tables=[
            Table(
                (
                    "",
                    Text("ŷ before", "之前的 ŷ"),
                    Text("ŷ after", "之后的 ŷ"),
                    Text("right after steps", "几步后答对"),
                ),
                rows,
            )
        ],
        values=values,
        claims=[
            Claim(
                Text(
                    "cross-entropy gets there, and the squared error does not",
                    "交叉熵学会了，平方误差没有",
                ),
                rows[0][-1] is not None and rows[1][-1] is None,
            )
        ],
    )


def _square_of_unit(model: FeedforwardLM) -> Tensor:
    return squared_error(_sum(model), 1)


def _sum(model: FeedforwardLM) -> Tensor:
    """z of a unit that reads 0: the difference of its two biases."""
    scores = model.logits(hidden_of(model, numbers([[0.0]])))[0]
    return scores[1] - scores[0]


def _descend(
    model: FeedforwardLM, loss: Callable[[FeedforwardLM], Tensor], lr: float, steps: int
) -> list[float]:
    """ŷ before and after each step."""
    descent = Descent(model, optimizer="sgd", lr=lr)
    said = [ACTIVATIONS["sigmoid"](_sum(model)).item()]
    for _ in range(steps):
        descent.down(partial(loss, model))
        said.append(ACTIVATIONS["sigmoid"](_sum(model)).item())
    return said
