"""W-09: back-propagation by hand in a network of two units, then in one of several layers."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nplm_cli.bilingual import NOTHING, Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import (
    encoder_of,
    hidden_of,
    network,
    numbers,
    pre_activation,
    slope,
)
from nplm_cli.lessons.training.descent import mean_loss
from nplm_cli.lessons.training.layers import gradient, several_layers
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.feedforward import FeedforwardLM

RUNS = (
    "nplm_cli.models.feedforward.product",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
    "nplm_cli.models.activations.ACTIVATIONS",
    "nplm_cli.training.losses.OutputLoss.__call__",
    "nplm_cli.training.finite_differences.central_differences",
    "nplm_cli.training.finite_differences.relative_errors",
)
PARAMETERS = {
    "x": Parameter(
        default=((1.0, 1.0), (1.0, 0.0)), help=Text("two inputs", "两个输入"), low=-100, high=100
    ),
    "y": Parameter(
        default=(0, 1), help=Text("their right answers", "各自的正确答案"), low=0, high=1
    ),
    "W1": Parameter(
        default=((1.0, 1.0), (1.0, 1.0)),
        help=Text("weights of the hidden layer", "隐藏层的权重"),
        low=-100,
        high=100,
    ),
    "b1": Parameter(
        default=(0.0, -1.0), help=Text("its biases", "隐藏层的偏置"), low=-100, high=100
    ),
    "W2": Parameter(
        default=(1.0, -2.0), help=Text("weights of the output", "输出层的权重"), low=-100, high=100
    ),
    "b2": Parameter(default=0.0, help=Text("its bias", "输出层的偏置"), low=-100, high=100),
    "activation": Parameter(
        default="relu",
        help=Text("of the hidden layer", "隐藏层的激活函数"),
        choices=tuple(ACTIVATIONS),
    ),
    "layers": Parameter(
        default=3,
        help=Text("hidden layers of the deep network", "深层网络的隐藏层数"),
        low=1,
        high=6,
    ),
    "hidden": Parameter(
        default=4, help=Text("units of each of them", "每个隐藏层的单元数"), low=1, high=8
    ),
    "deep_activation": Parameter(
        default="tanh", help=Text("of its units", "其激活函数"), choices=tuple(ACTIVATIONS)
    ),
    "seed": Parameter(
        default=1, help=Text("of its weights", "其权重的随机种子"), low=0, high=10**6
    ),
}


class Case(NamedTuple):
    """One input through the network of two hidden units, forward and backward by autograd."""

    z1: Tensor
    a1: Tensor
    z2: float
    a2: float
    loss: float
    dz2: float
    dW2: Tensor
    dz1: Tensor
    dW1: Tensor


def steps(**given: Any) -> Iterator[Step]:
    """The 2-2-1 network by hand; any number of layers; finite differences."""
    x, y = numbers(given["x"]), given["y"]
    weights = {
        "encoder.layers.0.weight": given["W1"],
        "encoder.layers.0.bias": given["b1"],
        "output.weight": ((0.0, 0.0), given["W2"]),
        "output.bias": (0.0, given["b2"]),
    }
    cases = [
        _case(network(2, weights, outputs=2, hidden=2, activation=given["activation"]), row, answer)
        for row, answer in zip(x, y, strict=True)
    ]
    yield from _forward(cases, given)
    yield from _output(cases, y)
    yield from _hidden(cases, given)
    yield from several_layers(
        given["layers"], given["hidden"], given["deep_activation"], given["seed"]
    )


def _case(model: FeedforwardLM, x_I: Tensor, y: int) -> Case:
    h = hidden_of(model, x_I[None])[0]
    scores = model.logits(h)
    loss = mean_loss(model, x_I[None], torch.tensor([y]))
    loss.backward()
    layer, output = encoder_of(model).layers[0], model.output
    return Case(
        z1=pre_activation(model, x_I[None])[0].detach(),
        a1=h.detach(),
        z2=(scores[1] - scores[0]).item(),
        a2=scores.softmax(-1)[1].item(),
        loss=loss.item(),
        dz2=gradient(output.bias)[1].item(),  # of one input, the gradient of z is that of b
        dW2=gradient(output.weight)[1],
        dz1=gradient(layer.bias),
        dW1=gradient(layer.weight),
    )


def _forward(cases: list[Case], given: dict[str, Any]) -> Iterator[Step]:
    f = given["activation"]
    yield Step(
        title=Text("Forward", "前向"),
        text=Text(
            "Two numbers, two hidden units, and a sigmoid: how likely is the answer 1? In nplm "
            "that is a softmax over two words, the first of which always has the score 0.",
            "两个数，两个隐藏单元，一个 sigmoid：答案为 1 的概率是多少？在 nplm 里，这就是两个词"
            "上的 softmax，其中第一个词的得分恒为 0。",
        ),
        formula=[
            f"z1 = W1 x + b1     a1 = {f}(z1)",
            "z2 = W2 a1 + b2    a2 = sigmoid(z2)",
            "L  = -y ln a2 - (1 - y) ln(1 - a2)",
        ],
        tables=[
            Table(
                ("x", "y", "z1", "", "a1", "", "z2", "a2", "L"),
                [
                    (_shown(x), y, *c.z1.tolist(), *c.a1.tolist(), c.z2, c.a2, c.loss)
                    for x, y, c in zip(given["x"], given["y"], cases, strict=True)
                ],
                4,
            )
        ],
        values={
            "z1": [c.z1.tolist() for c in cases],
            "a1": [c.a1.tolist() for c in cases],
            "z2": [c.z2 for c in cases],
            "a2": [c.a2 for c in cases],
            "L": [c.loss for c in cases],
        },
    )


def _shown(row: tuple[float, ...]) -> str:
    return ", ".join(f"{v:g}" for v in row)


def _output(cases: list[Case], y: tuple[int, ...]) -> Iterator[Step]:
    yield Step(
        title=Text("Backward: the output unit", "反向：输出单元"),
        text=Text(
            "The derivative of the loss by z2 is simply how far the answer is off. A weight's "
            "gradient is that error, times what came in along the weight.",
            "损失对 z2 的导数就是答案的误差。权重的梯度是这个误差乘以从该权重传来的输入。",
        ),
        formula=["dL/dz2 = a2 - y     dL/dW2 = dL/dz2 · a1     dL/db2 = dL/dz2"],
        tables=[
            Table(
                ("y", "a2", "dL/dz2", "dL/dW2", "", "dL/db2"),
                [(t, c.a2, c.dz2, *c.dW2.tolist(), c.dz2) for t, c in zip(y, cases, strict=True)],
            )
        ],
        values={
            "dz2": [c.dz2 for c in cases],
            "dW2": [c.dW2.tolist() for c in cases],
            "db2": [c.dz2 for c in cases],
        },
        claims=[
            Claim(
                Text("autograd's gradients follow these rules", "自动求导的梯度符合这些规则"),
                all(
                    abs(c.dz2 - (c.a2 - t)) < 1e-12 and torch.equal(c.dW2, c.dz2 * c.a1)
                    for t, c in zip(y, cases, strict=True)
                ),
            )
        ],
    )


def _hidden(cases: list[Case], given: dict[str, Any]) -> Iterator[Step]:
    f, x, W2 = given["activation"], numbers(given["x"]), numbers(given["W2"])
    da1 = [c.dz2 * W2 for c in cases]
    slopes = [slope(f, c.z1) for c in cases]
    by_rule = [s * d for s, d in zip(slopes, da1, strict=True)]
    yield Step(
        title=Text("Backward: the hidden units", "反向：隐藏单元"),
        text=Text(
            "The error goes back along the weights that it came by, and through the slope of "
            "each unit. Then the same rule as above: error times input.",
            "误差沿着原来的权重传回，再乘以每个单元的斜率。之后规则同上：误差乘以输入。",
        ),
        formula=[
            "dL/da1 = W2 · dL/dz2     dL/dz1 = dL/da1 * f'(z1)",
            "dL/dW1 = dL/dz1 · xᵀ     dL/db1 = dL/dz1",
        ],
        tables=[
            Table(
                ("x", Text("unit", "单元"), "dL/da1", "f'(z1)", "dL/dz1", "dL/dW1", ""),
                [
                    (_shown(row), i + 1, a.item(), s.item(), z.item(), *w.tolist())
                    for row, c, a_, s_ in zip(given["x"], cases, da1, slopes, strict=True)
                    for i, (a, s, z, w) in enumerate(zip(a_, s_, c.dz1, c.dW1, strict=True))
                ],
            )
        ],
        values={
            "da1": [d.tolist() for d in da1],
            "dz1": [c.dz1.tolist() for c in cases],
            "dW1": [c.dW1.tolist() for c in cases],
            "db1": [c.dz1.tolist() for c in cases],
        },
        claims=[
            Claim(
                Text("autograd's gradients follow these rules", "自动求导的梯度符合这些规则"),
                all(
                    torch.allclose(c.dz1, z, rtol=1e-12, atol=1e-12)
                    and torch.allclose(c.dW1, torch.outer(z, row), rtol=1e-12, atol=1e-12)
                    for c, z, row in zip(cases, by_rule, x, strict=True)
                ),
            )
        ],
    )

    with_1 = [
        torch.where(c.z1 == 0, torch.ones_like(s), s) * d if f == "relu" else s * d
        for c, s, d in zip(cases, slopes, da1, strict=True)
    ]
    dW1 = [torch.outer(z, row).tolist() for z, row in zip(with_1, x, strict=True)]
    kinks = [
        (g, _shown(row), i + 1, c.z1[i].item(), dz[i].item(), *dw[i])
        for row, c, z, w in zip(given["x"], cases, with_1, dW1, strict=True)
        for i in range(2)
        for g, dz, dw in ((1, z, w), (0, c.dz1, c.dW1.tolist()))
        if c.z1[i] == 0 and f == "relu"
    ]
    none = Text(" Here it is 0 nowhere.", "这里没有恰好为 0 的。") if not kinks else NOTHING
    yield Step(
        title=Text("The slope of ReLU at 0", "ReLU 在 0 处的斜率"),
        text=Text(
            "ReLU has a kink at 0: no derivative there, and one has to be agreed on. SLP3 takes "
            "1, PyTorch (and so nplm) takes 0. It matters where a unit's z1 is 0 to the bit: "
            "with 1 such a unit learns, with 0 it does not." + none.en,
            "ReLU 在 0 处有折点，没有导数，只能约定：SLP3 取 1，PyTorch（因此 nplm）取 0。只有 z1 "
            "恰好为 0 时才有区别：取 1 时该单元会学习，取 0 时不会。" + none.zh,
        ),
        tables=[
            Table(("ReLU'(0)", "x", Text("unit", "单元"), "z1", "dL/dz1", "dL/dW1", ""), kinks)
        ][: len(kinks)],
        values={"dz1_slope_1": [z.tolist() for z in with_1], "dW1_slope_1": dW1},
    )
