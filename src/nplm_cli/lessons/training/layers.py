"""Back-propagation through any number of layers, compared with autograd and with differences."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.small_models import encoder_of, network, pre_activation, slope
from nplm_cli.lessons.training.descent import mean_loss
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.feedforward import FeedforwardLM
from nplm_cli.models.initialisation import normal_
from nplm_cli.training.finite_differences import STEP, central_differences, relative_errors

INPUTS, WORDS = 3, 4
SMALLEST = 1e-3  # of the largest derivative: errors of smaller ones are measured against this
SIZES = (1e-1, 1e-3, STEP, 1e-9, 1e-12)


def gradient(weight: Any) -> Tensor:
    """What autograd left at a weight."""
    assert weight.grad is not None
    found: Tensor = weight.grad.detach()
    return found


def several_layers(layers: int, hidden: int, f: str, seed: int) -> Iterator[Step]:
    """The rule for any layer against autograd, and autograd against finite differences."""
    generator = torch.Generator().manual_seed(seed)
    model = network(INPUTS, {}, outputs=WORDS, hidden=hidden, layers=layers, activation=f)
    model.init_weights(generator)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            normal_(parameter.data, 0.3, generator)
    x_NI = torch.randn(1, INPUTS, dtype=torch.float64, generator=generator)
    target = torch.tensor([1])
    mean_loss(model, x_NI, target).backward()

    deltas, largest = _by_the_rule(model, x_NI[0], target, f)
    yield Step(
        title=Text("Any number of layers: one rule", "任意多层：同一条规则"),
        text=Text(
            f"A network of {INPUTS} inputs, {layers} hidden layers of {hidden} units and "
            f"a softmax over {WORDS} words, with random weights. At the top the error δ is p - y, "
            "with y = 1 at the word that came; that of each layer is the one of the layer above, "
            "brought back through its weights, times the slope. The rule, applied from the top, "
            "is compared with the gradients of autograd.",
            f"一个网络：{INPUTS} 个输入，{layers} 个隐藏层（各 {hidden} 个单元），{WORDS} "
            "个词上的 softmax，权重随机。顶层的误差 δ 是 p - y，其中实际出现的词处 y = 1；其余各层"
            "的误差等于上一层的误差经其权重传回，再乘以斜率。从顶层起逐层应用这条规则，与自动求导的"
            "梯度比较。",
        ),
        formula=[
            "δ(top) = p - y",
            "δ(l)   = (W(l+1)ᵀ δ(l+1)) * f'(z(l))",
            "dL/dW(l) = δ(l) a(l-1)ᵀ    dL/db(l) = δ(l)",
        ],
        tables=[
            Table(
                (Text("layer", "层"), Text("length of δ", "δ 的长度"),
                 Text("differs from autograd by", "与自动求导相差")),
                [
                    (Text("output", "输出") if layer == layers else layer + 1,
                     delta.norm().item(), off)
                    for layer, delta, off in zip(
                        range(layers, -1, -1), deltas, largest, strict=True
                    )
                ],
                8,
            )
        ],
        values={"delta": [d.tolist() for d in deltas], "largest_difference": max(largest)},
        claims=[
            Claim(
                Text("the rule gives autograd's gradients", "这条规则给出自动求导的梯度"),
                max(largest) < 1e-12,
            )
        ],
    )  # fmt: skip
    yield from _differences(model, x_NI, target)


def _by_the_rule(
    model: FeedforwardLM, x_I: Tensor, target: Tensor, f: str
) -> tuple[list[Tensor], list[float]]:
    """δ of each layer from the top, and how far its gradients are from those of autograd."""
    layers = encoder_of(model).layers
    with torch.no_grad():
        z, a = [], [x_I]
        for layer in range(len(layers)):
            z.append(pre_activation(model, a[-1][None], layer)[0])
            a.append(ACTIVATIONS[f](z[-1]))
        delta = model.logits(a[-1]).softmax(-1)
        delta[target] -= 1
    maps: list[Any] = [*layers, model.output]
    deltas, largest = [], []
    for layer in range(len(layers), -1, -1):
        if layer < len(layers):
            delta = (maps[layer + 1].weight.detach().T @ delta) * slope(f, z[layer])
        weight, bias = gradient(maps[layer].weight), gradient(maps[layer].bias)
        off = (torch.outer(delta, a[layer]) - weight).abs().max(), (delta - bias).abs().max()
        deltas.append(delta)
        largest.append(max(off).item())
    return deltas, largest


def _differences(model: FeedforwardLM, x_NI: Tensor, target: Tensor) -> Iterator[Step]:
    weights = [p for p in model.parameters() if p.grad is not None]
    # The rounding of the loss is the same for all: it says nothing of the smallest derivatives.
    floor = SMALLEST * max(gradient(w).abs().max().item() for w in weights)
    errors = {
        size: max(
            relative_errors(
                central_differences(lambda: mean_loss(model, x_NI, target), w, step=size),
                gradient(w).flatten(),
                floor,
            ).max().item()
            for w in weights
        )
        for size in SIZES
    }  # fmt: skip
    count = sum(w.numel() for w in weights)
    yield Step(
        title=Text("Checked by finite differences", "用差分检验"),
        text=Text(
            f"Each of the {count} weights is moved by s to both sides, and the loss worked out "
            "anew. If s is large, the curve of the loss shows; if it is tiny, the rounding of "
            f"the loss is divided by it. In between, at {STEP:g}, the check is sharp. "
            "(Derivatives below a thousandth of the largest are measured against that. At a kink "
            "of ReLU the check fails: there is no derivative.)",
            f"把 {count} 个权重逐一向两侧移动 s，重新计算损失。s 大时，损失的弯曲显现出来；s 太小"
            f"时，损失的舍入误差被它放大。居中取 {STEP:g}，检验最灵敏。（小于最大导数千分之一的导数"
            "以该值为基准。在 ReLU 的折点处检验会失败：那里没有导数。）",
        ),
        formula=["dL/dw ≈ (L(w + s) - L(w - s)) / 2s"],
        tables=[
            Table(
                ("s", Text("largest relative error", "最大相对误差")),
                [(f"{size:g}", error) for size, error in errors.items()],
                4,
            )
        ],
        values={
            "errors": list(errors.values()),
            "largest_relative_error": errors[STEP],
        },
        claims=[
            Claim(
                Text(
                    f"at {STEP:g} the largest relative error is below 1e-5",
                    f"取 {STEP:g} 时最大相对误差小于 1e-5",
                ),
                errors[STEP] < 1e-5,
            ),
            Claim(
                Text("larger and smaller steps are worse", "更大或更小的步长都更差"),
                errors[STEP] < min(errors[SIZES[0]], errors[SIZES[-1]]),
            ),
        ],
    )
