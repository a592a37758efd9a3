"""W-28: layer norm (Ba et al. 2016) and residual connections, as nplm's Transformer has them."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from nplm_cli.config import ModelConfig
from nplm_cli.lessons.lesson import Claim, Step, Table, Text
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import numbers
from nplm_cli.models import build
from nplm_cli.models.blocks import Sublayers
from nplm_cli.training.losses import FullLoss

RUNS = (
    "nplm_cli.models.blocks.Sublayers.add",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
    "nplm_cli.training.losses.FullLoss.__call__",
)
EPS = (0.0, 1e-5)
WORDS = 20
TEXT = (3, 7, 5, 11, 2, 13, 4, 17)
PARAMETERS = {
    "x": Parameter(
        default=(1.0, 2.0, 3.0, 4.0), help=Text("what is normalised", "要归一化的数"), free=True,
        low=-1e4, high=1e4,
    ),
    "factor": Parameter(
        default=10.0, help=Text("x is multiplied by it", "x 乘以它"), low=0.1, high=1000
    ),
    "layers": Parameter(default=8, help=Text("layers of a stack", "层数"), low=2, high=24),
    "scale": Parameter(
        default=0.5, help=Text("factor on the first weights", "初始权重的倍数"), low=0.05, high=4
    ),
    "seed": Parameter(default=1, help=Text("of the first weights", "初始权重的种子"), low=0),
}  # fmt: skip


def norm_of(dim: int, eps: float) -> torch.nn.Module:
    """The layer norm of nplm's blocks, as it starts: gain 1, bias 0."""
    return Sublayers.make_norm(
        ModelConfig(arch="transformer", dim=dim, heads=1, norm_eps=eps).resolved()
    ).double()


def steps(
    x: tuple[float, ...], factor: float, layers: int, scale: float, seed: int
) -> Iterator[Step]:
    """Mean and deviation, what does not change the result, and gradients through a deep stack."""
    found = {eps: norm_of(len(x), eps)(numbers(x)).detach() for eps in EPS}
    yield _normalised(x, found)
    yield _invariance(x, found[0.0], factor)
    yield _residual(layers, scale, seed)
    yield _blocks(layers, scale, seed)


def _finite(values: Tensor) -> list[float | None]:
    return [value if value == value else None for value in values.tolist()]


def _normalised(x: tuple[float, ...], found: dict[float, Tensor]) -> Step:
    values = numbers(x)
    mean, variance = values.mean().item(), values.var(correction=0).item()
    rows = [(i, v, *pair) for i, (v, *pair) in enumerate(
        zip(x, *(_finite(y) for y in found.values()), strict=True), 1)]  # fmt: skip
    plain = found[0.0]
    return Step(
        title=Text("Layer norm", "层归一化"),
        text=Text(
            "The numbers of one position are moved to mean 0 and stretched to variance 1. The "
            "variance divides by n, not n - 1; a small eps keeps equal numbers from a division by "
            "0. A learned gain and bias follow, which begin as 1 and 0.",
            "把一个位置上的数移到均值 0、伸缩到方差 1。方差除以 n 而不是 n - 1；很小的 eps 使得"
            "各数相等时不会除以 0。之后还有学习得到的增益和偏置，起初为 1 和 0。",
        ),
        formula=[
            "N(x) = (x - mean) / sqrt(variance + eps)",
            f"mean = {mean:.6g}, variance = {variance:.6g}",
        ],
        tables=[Table(("i", "x", "eps = 0", "eps = 1e-5"), rows)],
        values={
            "mean": mean,
            "variance": variance,
            "normalised": _finite(plain),
            "normalised_eps": _finite(found[1e-5]),
        },
        claims=[
            Claim(
                Text("mean 0 and variance 1 (eps = 0)", "均值为 0，方差为 1（eps = 0）"),
                bool(abs(plain.mean()) < 1e-9 and abs(plain.var(correction=0) - 1) < 1e-9),
            )
        ],
    )


def _invariance(x: tuple[float, ...], plain: Tensor, factor: float) -> Step:
    norm = norm_of(len(x), 0.0)
    scaled, moved = (norm(numbers(x) * factor).detach(), norm(numbers(x) + factor).detach())
    rows = [
        (Text("x", "x"), *_finite(plain)[:6]),
        (f"{factor:g} x", *_finite(scaled)[:6]),
        (f"x + {factor:g}", *_finite(moved)[:6]),
    ]
    return Step(
        title=Text("What it does not see", "它看不到什么"),
        text=Text(
            "A layer above gets the same numbers however large the ones below have grown.",
            "无论下层的数变得多大，上层得到的数都一样。",
        ),
        tables=[Table(("N of", *map(str, range(1, len(rows[0])))), rows, 4)],
        values={"scaled": _finite(scaled), "moved": _finite(moved)},
        claims=[
            Claim(
                Text("neither a factor nor a shift changes N(x)", "乘以因子或平移都不改变 N(x)"),
                bool(
                    torch.allclose(scaled, plain, atol=1e-6)
                    and torch.allclose(moved, plain, atol=1e-6)
                ),
            )
        ],
    )


def gradients(layers: int, seed: int, **settings: Any) -> list[float]:
    """Length of the loss's gradient by the weights of each layer, the first one first."""
    model = build(ModelConfig(layers=layers, **settings), WORDS).double()
    model.init_weights(torch.Generator().manual_seed(seed))
    ids, targets = torch.tensor([TEXT[:-1]]), torch.tensor(TEXT[1:])
    hidden, _ = model(ids, model.initial_state(1))
    FullLoss(model)(hidden[0], targets).backward()
    encoder: Any = model.encoder
    return [
        torch.cat([p.grad.flatten() for p in layer.parameters() if p.grad is not None])
        .norm()
        .item()
        for layer in encoder.layers
    ]


def _table(found: dict[str, list[float]], layers: int) -> Table:
    shown = sorted({1, 2, (layers + 1) // 2, layers})
    return Table(
        ("", *(Text(f"layer {i}", f"第 {i} 层") for i in shown)),
        [(name, *(g[i - 1] for i in shown)) for name, g in found.items()],
    )


def _residual(layers: int, scale: float, seed: int) -> Step:
    shape = {"order": 3, "dim": 8, "hidden": 16, "init_scale": scale}
    found = {
        "f(x)": gradients(layers, seed, **shape),
        "x + f(x)": gradients(layers, seed, residual=True, **shape),
        "x + f(N(x))": gradients(layers, seed, residual=True, norm="pre", **shape),
    }
    plain, residual = found["f(x)"], found["x + f(x)"]
    return Step(
        title=Text("Residual connections", "残差连接"),
        text=Text(
            f"A window model of {layers} tanh layers with small first weights: how long is the "
            "gradient that reaches each layer? Added to what it reads, a layer's output leaves "
            "the gradient a way around the layer.",
            f"一个 {layers} 层 tanh 的窗口模型，初始权重较小：传到每一层的梯度有多长？把层的输出"
            "加在它的输入上，梯度便有了绕过这一层的路。",
        ),
        tables=[_table(found, layers)],
        values={
            "plain_gradients": plain,
            "residual_gradients": residual,
            "norm_gradients": found["x + f(N(x))"],
        },
        claims=[
            Claim(
                Text(
                    "with residuals, more of the gradient reaches the first layer",
                    "有残差时，传到第一层的梯度更多",
                ),
                residual[0] > plain[0],
            )
        ],
    )


def _blocks(layers: int, scale: float, seed: int) -> Step:
    shape = {"arch": "transformer", "dim": 8, "hidden": 16, "heads": 2, "init_scale": scale}
    pre = gradients(layers, seed, norm="pre", **shape)
    post = gradients(layers, seed, norm="post", **shape)
    return Step(
        title=Text("Where the norm stands in a Transformer", "Transformer 中归一化的位置"),
        text=Text(
            "Before each sublayer (pre), so that the way around it stays free; or after the sum "
            "(post), as Vaswani et al. (2017) had it, on that way.",
            "放在每个子层之前（pre），绕行的路畅通无阻；或放在求和之后（post），如 Vaswani 等 "
            "(2017)，就在这条路上。",
        ),
        formula=["pre: x + f(N(x))      post: N(x + f(x))"],
        tables=[_table({"pre": pre, "post": post}, layers)],
        values={
            "pre_gradients": pre,
            "post_gradients": post,
            "pre_ratio": pre[0] / pre[-1],
            "post_ratio": post[0] / post[-1],
        },
    )
