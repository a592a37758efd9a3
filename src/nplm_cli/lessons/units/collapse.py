"""W-05: without activations, layers multiply to one matrix; with them they do not."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import (
    encoder_of,
    hidden_of,
    network,
    numbers,
    pre_activation,
)
from nplm_cli.lessons.training.descent import seeded
from nplm_cli.lessons.truth_tables import INPUTS, XOR
from nplm_cli.lessons.units.xor_networks import GIVEN, given
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.feedforward import FeedforwardLM

RUNS = (
    "nplm_cli.models.feedforward.product",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
    "nplm_cli.models.activations.ACTIVATIONS",
    "nplm_cli.models.output.OutputLayer.logits",
)
BIAS = 0.5  # of every unit of the deep network
PARAMETERS = {
    **GIVEN,
    "activation": Parameter(
        default="relu",
        help=Text("put back in at the end", "最后放回去的激活函数"),
        choices=tuple(ACTIVATIONS),
    ),
    "layers": Parameter(
        default=5, help=Text("hidden layers of the deep network", "深层网络的隐藏层数"),
        low=1, high=32,
    ),
    "seed": Parameter(
        default=1, help=Text("of its weights", "其权重的种子"), low=0, high=2**31
    ),
}  # fmt: skip


def without_activations(model: FeedforwardLM, x_NI: Tensor) -> Tensor:
    """What a network says (N, outputs) if its layers are only multiplied, one after the other."""
    for layer in range(len(encoder_of(model).layers)):
        x_NI = pre_activation(model, x_NI, layer)
    return model.logits(x_NI)


def collapsed(model: FeedforwardLM) -> tuple[Tensor, Tensor]:
    """The product of all matrices (outputs, inputs), and where the biases lead (outputs)."""
    matrix, bias = torch.eye(model.config.order - 1).double(), numbers([0] * 2)
    assert model.output.bias is not None
    for layer in encoder_of(model).layers:
        assert isinstance(layer, nn.Linear)
        matrix, bias = layer.weight @ matrix, layer.weight @ bias + layer.bias
    weight = model.output_weight
    return weight @ matrix, weight @ bias + model.output.bias


def one_layer(matrix: Tensor, bias: Tensor) -> FeedforwardLM:
    """A network that has only an output layer, with this matrix and bias."""
    weights = {"output.weight": matrix.tolist(), "output.bias": bias.tolist()}
    return network(2, weights, layers=0, outputs=len(bias))


@torch.no_grad()
def steps(W: Any, b: Any, u: Any, c: float, activation: str, layers: int, seed: int) -> list[Step]:
    """The XOR network without its ReLUs, a deep one, and what an activation changes."""
    return list(_steps(given(W, b, u, c, activation), layers, seed))


def _steps(model: FeedforwardLM, layers: int, seed: int) -> Iterator[Step]:
    x = numbers(INPUTS)
    outputs = without_activations(model, x)[:, 0].tolist()
    matrix, bias = collapsed(model)
    single = one_layer(matrix, bias)
    same = single.logits(hidden_of(single, x))[:, 0].tolist()
    row, shift = matrix[0].tolist(), bias.item()
    yield Step(
        title=Text("Two layers, multiplied out", "把两层乘开"),
        text=Text(
            "Take the ReLUs out of the network that says XOR. What is left is a matrix times a "
            "matrix, and that is one matrix.",
            "把实现异或的网络里的 ReLU 拿掉，剩下的是矩阵乘矩阵，而那还是一个矩阵。",
        ),
        formula=[
            "u (W x + b) + c = (u W) x + (u b + c) = W' x + b'",
            f"W' = [{row[0]:g}, {row[1]:g}],  b' = {shift:g}",
        ],
        tables=[
            Table(
                ("x1", "x2", Text("two layers", "两层"), "W' x + b'", "XOR"),
                [
                    (*i, *pair) for i, *pair in zip(INPUTS, outputs, same, XOR, strict=True)
                ],
                2,
            )
        ],
        values={
            "W_collapsed": row,
            "b_collapsed": shift,
            "outputs": outputs,
            "outputs_collapsed": same,
        },
        claims=[
            Claim(
                Text(
                    "the network and the one matrix say the same of every input",
                    "对每个输入，网络与这一个矩阵的输出都相同",
                ),
                _near(outputs, same),
            ),
            Claim(
                Text("what they say is not XOR", "它们的输出不是异或"),
                not _near(outputs, XOR),
            ),
        ],
    )  # fmt: skip

    deep = seeded(network(2, {}, outputs=2, hidden=8, layers=layers), seed)
    for parameter in deep.parameters():
        if parameter.ndim == 1:
            parameter.fill_(BIAS)
    matrix, bias = collapsed(deep)
    grid = numbers([[i / 2, j / 2] for i in range(-4, 5) for j in range(-4, 5)])
    one = one_layer(matrix, bias)
    long, short = without_activations(deep, grid), one.logits(hidden_of(one, grid))
    off = (long - short).abs().max().item()
    many = sum(p.numel() for n, p in deep.named_parameters() if not n.startswith("embedding"))
    few = matrix.numel() + bias.numel()
    yield Step(
        title=Text(f"{layers} layers, multiplied out", f"把 {layers} 层乘开"),
        text=Text(
            "The same with random weights, biases of 1/2, 8 units a layer and two outputs: depth "
            "alone adds parameters, but nothing that one layer could not say.",
            "随机权重、偏置 1/2、每层 8 个单元、两个输出，也是一样：只加深，参数多了，却说不出单层"
            "说不出的东西。",
        ),
        formula=["W' = U W_N ... W_2 W_1"],
        tables=[
            Table(
                (
                    "",
                    Text("parameters", "参数个数"),
                    Text("output for (1, -1)", "对 (1, -1) 的输出"),
                ),
                [
                    (Text("deep", "深层"), many, _pair(deep, without_activations)),
                    ("W' x + b'", few, _pair(one, lambda m, x: m.logits(hidden_of(m, x)))),
                ],
            )
        ],
        values={
            "W_deep": matrix.tolist(),
            "deep_parameters": many,
            "collapsed_parameters": few,
            "largest_difference": off,
        },
        claims=[
            Claim(
                Text(
                    f"on 81 inputs they differ by {off:.0e} at most, which is rounding",
                    f"在 81 个输入上两者至多相差 {off:.0e}，只是舍入误差",
                ),
                off <= 1e-12 * max(1.0, long.abs().max().item()),
            )
        ],
    )  # fmt: skip

    bent = model.logits(hidden_of(model, x))[:, 0].tolist()
    yield Step(
        title=Text("What an activation changes", "激活函数改变了什么"),
        text=Text(
            "Whatever is a matrix and a bias obeys f(00) + f(11) = f(01) + f(10). XOR does not: "
            "0 + 0 is not 1 + 1. With the activation back between the layers, the network is "
            "free of that equation.",
            "凡是一个矩阵加一个偏置，都满足 f(00) + f(11) = f(01) + f(10)。异或不满足：0 + 0 不等于"
            " 1 + 1。把激活函数放回两层之间，网络就不受这个等式约束了。",
        ),
        tables=[
            Table(
                ("", "f(00) + f(11)", "f(01) + f(10)"),
                [
                    (Text("without activation", "没有激活函数"), *_sums(outputs)),
                    (Text(f"with {model.config.activation}", f"有 {model.config.activation}"),
                     *_sums(bent)),
                    ("XOR", 0.0, 2.0),
                ],
                2,
            )
        ],
        values={"with_activation": bent},
        claims=[
            Claim(
                Text("without activation the sums are equal", "没有激活函数，两个和相等"),
                _near(*([s] for s in _sums(outputs))),
            ),
            Claim(
                Text("with it they are not", "有了它，两个和不相等"),
                not _near(*([s] for s in _sums(bent))),
            ),
        ],
    )  # fmt: skip


def _pair(model: FeedforwardLM, say: Any) -> str:
    first, second = say(model, numbers([[1, -1]]))[0].tolist()
    return f"{first:.6f}, {second:.6f}"


def _sums(outputs: list[float]) -> tuple[float, float]:
    f00, f01, f10, f11 = outputs
    return f00 + f11, f01 + f10


def _near(a: Sequence[float], b: Sequence[float]) -> bool:
    size = max(1.0, *map(abs, a))
    return all(abs(p - q) <= 1e-9 * size for p, q in zip(a, b, strict=True))
