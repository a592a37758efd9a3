"""Depth and saturation: how much of the gradient reaches the first of many layers, and what helps.

Window models as ``nplm train --layers N --init-scale X`` starts them, before any training.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import encoder_of, slope, small_model
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.feedforward import FeedforwardLM
from nplm_cli.training.losses import FullLoss

RUNS = (
    "nplm_cli.models.feedforward.FeedforwardLM.forward",
    "nplm_cli.models.feedforward.WindowEncoder.layers_above",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
    "nplm_cli.models.activations.ACTIVATIONS",
    "nplm_cli.training.losses.OutputLoss.__call__",
)
PARAMETERS = {
    "layers": Parameter(default=8, help=Text("hidden layers", "隐藏层数"), low=2, high=32),
    "hidden": Parameter(default=32, help=Text("units a layer", "每层单元数"), low=2, high=128),
    "activation": Parameter(
        default="sigmoid",
        help=Text("looked at layer by layer", "逐层考察的激活函数"),
        choices=tuple(ACTIVATIONS),
    ),
    "scale": Parameter(
        default=1.0, help=Text("--init-scale", "--init-scale"), low=0.01, high=100
    ),
    "scales": Parameter(
        default=(0.5, 1.0, 2.0, 4.0, 8.0),
        help=Text("--init-scale, compared", "互相比较的 --init-scale"),
        low=0.01, high=100, free=True,
    ),
    "seed": Parameter(
        default=1, help=Text("of weights and text", "权重与文本的种子"), low=0, high=2**31
    ),
}  # fmt: skip
SHOWN = ("sigmoid", "tanh", "relu")
VOCABULARY, ROWS, TOKENS = 20, 8, 8
FLAT = 0.01  # a slope below it is saturated
REMEDIES: dict[str, dict[str, Any]] = {
    "-": {},
    "--residual": {"residual": True},
    "--norm pre": {"norm": "pre"},
    "--norm post": {"norm": "post"},
    "--residual --norm pre": {"residual": True, "norm": "pre"},
}


class Backward:
    """What one backward pass over random words brings to each hidden layer of a fresh model.

    ``gradients``: norm of dL/dW of each layer, L the mean of -ln p. ``slopes``: mean size of
    the activation's slope; ``saturated``: share of units and places where it is below ``FLAT``.
    """

    def __init__(self, activation: str, layers: int, hidden: int, seed: int, **settings: Any):
        shape: dict[str, Any] = {"order": 3, "dim": 16, "hidden": hidden, "layers": layers}
        model = small_model(VOCABULARY, {}, activation=activation, **shape, **settings)
        assert isinstance(model, FeedforwardLM)
        generator = torch.Generator().manual_seed(seed)
        model.init_weights(generator)
        ids = torch.randint(VOCABULARY, (ROWS, TOKENS + 1), generator=generator)
        encoder, sums = encoder_of(model), list[Tensor]()
        function = encoder.activation

        def watched(z: Tensor) -> Tensor:
            sums.append(z.detach())
            return function(z)

        encoder.activation = watched
        states, _ = model(ids[:, :-1], model.initial_state(ROWS))
        targets = ids[:, 1:].flatten()
        (FullLoss(model)(states.flatten(0, 1), targets) / len(targets)).backward()
        weights = dict(model.named_parameters())
        norms = [weights[f"encoder.layers.{i}.weight"].grad for i in range(layers)]
        self.gradients = [float(g.norm()) for g in norms if g is not None]
        slopes = [slope(activation, z).abs() for z in sums]
        self.slopes = [s.mean().item() for s in slopes]
        flat = [(s < FLAT).double().mean().item() for s in slopes]
        self.saturated = sum(flat) / len(flat)


def steps(
    layers: int, hidden: int, activation: str, scale: float, scales: tuple[float, ...], seed: int
) -> Iterator[Step]:
    """Gradients by depth, layer by layer, by the size of the first weights, and with remedies."""
    yield _by_depth(layers, hidden, scale, seed)
    yield _by_layer(Backward(activation, layers, hidden, seed, init_scale=scale), activation)
    yield _by_scale(layers, hidden, scales, seed)
    yield _remedies(layers, hidden, scale, seed)


def _by_depth(layers: int, hidden: int, scale: float, seed: int) -> Step:
    depths = [2**k for k in range(6) if 2**k < layers] + [layers]
    first = {
        name: [Backward(name, n, hidden, seed, init_scale=scale).gradients[0] for n in depths]
        for name in SHOWN
    }
    kept = {name: found[-1] / found[0] if found[0] else 0.0 for name, found in first.items()}
    return Step(
        title=Text("What reaches the first layer", "传到第一层的还剩多少"),
        text=Text(
            "Window models that have learned nothing yet, with more and more hidden layers; each "
            "figure is the size of the gradient of the first layer's weights. Going back through a "
            "layer, the gradient is multiplied by the slopes of its units and by its weights.",
            "尚未训练的窗口模型，隐藏层越来越多；每个数是第一层权重的梯度大小。梯度每往回经过一层，"
            "就要乘以该层各单元的导数和该层的权重。",
        ),
        formula=["dL/dh(l-1) = W(l)^T [f'(z(l)) * dL/dh(l)]"],
        tables=[
            Table(
                (Text("layers", "层数"), *SHOWN),
                [
                    (n, *map(_written, row))
                    for n, row in zip(depths, zip(*first.values(), strict=True), strict=True)
                ],
            )
        ],
        values={f"first_gradient_{name}": found for name, found in first.items()},
        claims=[
            Claim(
                Text(
                    f"under {layers} layers of sigmoids less than a thousandth is left of what one "
                    f"layer gets",
                    f"{layers} 层 sigmoid 时，剩下的不到单层时的千分之一",
                ),
                kept["sigmoid"] < 1e-3,
            ),
            Claim(
                Text(
                    "tanh and ReLU pass on more than sigmoids do",
                    "tanh 与 ReLU 传下去的都比 sigmoid 多",
                ),
                min(kept["tanh"], kept["relu"]) > kept["sigmoid"],
            ),
        ],
    )  # fmt: skip


def _written(size: float) -> str:
    """A size of any order of magnitude, to three digits."""
    return f"{size:.2e}"


def _by_layer(found: Backward, activation: str) -> Step:
    numbers = range(1, len(found.gradients) + 1)
    return Step(
        title=Text(f"Layer by layer, {activation}", f"逐层来看：{activation}"),
        text=Text(
            "In the deepest of these models, from the first layer, far from the loss, to the last.",
            "在其中最深的模型里，从离损失最远的第一层到最后一层。",
        ),
        tables=[
            Table(
                (Text("layer", "层"), "|dL/dW|", Text("mean slope", "平均导数")),
                [
                    (i, _written(gradient), mean)
                    for i, gradient, mean in zip(
                        numbers, found.gradients, found.slopes, strict=True
                    )
                ],
            )
        ],
        values={"gradients": found.gradients, "slopes": found.slopes},
        claims=[
            Claim(
                Text("the slopes are at most 1/4", "导数至多 1/4"),
                max(found.slopes) <= 0.25,
            ),
            Claim(
                Text(
                    "the gradient gets smaller with every layer that it goes back",
                    "梯度每往回一层都变小",
                ),
                found.gradients == sorted(found.gradients),
            ),
        ],
    )


def _by_scale(layers: int, hidden: int, scales: Sequence[float], seed: int) -> Step:
    found = {
        (name, s): Backward(name, layers, hidden, seed, init_scale=s)
        for name in SHOWN
        for s in scales
    }
    saturated = {name: [found[name, s].saturated for s in scales] for name in SHOWN}
    gradients = {name: [found[name, s].gradients[0] for s in scales] for name in SHOWN}
    return Step(
        title=Text("Larger first weights, and saturation", "更大的初始权重与饱和"),
        text=Text(
            f"{layers} layers, all first weights times X. Shares of saturated units (slope below "
            f"{FLAT:g}), then the size of the first layer's gradient. Larger weights drive sigmoid "
            "and tanh into their flat ends; ReLUs are flat on one side at any scale.",
            f"{layers} 层，所有初始权重乘以 X。先是饱和单元（导数小于 {FLAT:g}）所占比例，后是第一"
            "层的梯度大小。权重越大，sigmoid 与 tanh 越被推到平坦的两端；ReLU 在任何尺度下都只有"
            "一侧是平的。",
        ),
        tables=[
            Table(
                ("--init-scale", *(Text(f"{n}: saturated", f"{n} 饱和") for n in SHOWN)),
                [(f"{s:g}", *(saturated[n][i] for n in SHOWN)) for i, s in enumerate(scales)],
                3,
            ),
            Table(
                ("--init-scale", *(Text(f"{n}: |dL/dW1|", f"{n}：|dL/dW1|") for n in SHOWN)),
                [
                    (f"{s:g}", *(_written(gradients[n][i]) for n in SHOWN))
                    for i, s in enumerate(scales)
                ],
            ),
        ],
        values={
            **{f"saturated_{n}": saturated[n] for n in SHOWN},
            **{f"gradient_by_scale_{n}": gradients[n] for n in SHOWN},
        },
        claims=[
            Claim(
                Text(
                    "more tanh units are saturated under the largest weights than the smallest",
                    "权重最大时饱和的 tanh 单元多于最小时",
                ),
                saturated["tanh"][-1] > saturated["tanh"][0],
            ),
            Claim(
                Text(
                    "the ReLU gradient grows more than a thousandfold from the smallest to the "
                    "largest: it vanishes or explodes",
                    "从最小到最大，ReLU 的梯度增大千倍以上：不是消失就是爆炸",
                ),
                gradients["relu"][-1] > 1000 * gradients["relu"][0],
            ),
        ],
    )  # fmt: skip


def _remedies(layers: int, hidden: int, scale: float, seed: int) -> Step:
    rows: list[tuple[Any, ...]] = []
    kept: dict[str, list[float]] = {}
    for remedy, settings in REMEDIES.items():
        ratios = []
        for name in SHOWN:
            found = Backward(name, layers, hidden, seed, init_scale=scale, **settings).gradients
            ratios.append(found[0] / found[-1] if found[-1] else 0.0)
        rows.append((remedy, *ratios))
        kept[remedy] = ratios
    both = kept["--residual --norm pre"]
    return Step(
        title=Text("Residual connections and layer norm", "残差连接与层归一化"),
        text=Text(
            f"The first layer's gradient as a share of the last layer's, with {layers} layers. A "
            "residual connection adds what a layer reads to what it says, so the gradient has a "
            "way around it; layer norm brings what a layer reads (pre) or says (post) to mean 0 "
            "and deviation 1. These are settings of nplm train.",
            f"{layers} 层时，第一层的梯度与最后一层之比。残差连接把一层的输入加到它的输出上，梯度"
            "便可绕过该层；层归一化把一层的输入（pre）或输出（post）变为均值 0、标准差 1。它们都是 "
            "nplm train 的选项。",
        ),
        tables=[Table(("", *SHOWN), rows, 4)],
        values={f"first_by_last{i}": ratios for i, ratios in enumerate(kept.values())},
        claims=[
            Claim(
                Text(
                    "with both the first layer gets at least a tenth of what the last one gets",
                    "两者都用时，第一层所得至少是最后一层的十分之一",
                ),
                min(both) >= 0.1,
            ),
            Claim(
                Text(
                    "of sigmoids without them, less than a thousandth",
                    "都不用时，sigmoid 的第一层不到千分之一",
                ),
                kept["-"][0] < 1e-3,
            ),
        ],
    )
