"""A network against logistic regression: the same data, loss and optimiser, one hidden layer more.

The data are points of a plane, inside or outside a circle, drawn here.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import hidden_of, network, numbers, small_model
from nplm_cli.lessons.training.descent import Descent, mean_loss, seeded
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.feedforward import FeedforwardLM

RUNS = (
    "nplm_cli.models.feedforward.product",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
    "nplm_cli.models.feedforward.FeedforwardLM.forward",
    "nplm_cli.models.activations.ACTIVATIONS",
    "nplm_cli.models.output.OutputLayer.logits",
    "nplm_cli.training.losses.OutputLoss.__call__",
    "nplm_cli.training.optimizers.build_optimizer",
)
PARAMETERS = {
    "points": Parameter(
        default=60, help=Text("drawn (a mirror image of each is added)", "随机点数（另加其镜像）"),
        low=10, high=200,
    ),
    "radius": Parameter(default=1.2, help=Text("of the circle", "圆的半径"), low=0.5, high=1.9),
    "units": Parameter(default=8, help=Text("hidden units", "隐藏单元数"), low=1, high=64),
    "activation": Parameter(
        default="tanh", help=Text("of the hidden layer", "隐藏层的激活函数"),
        choices=tuple(ACTIVATIONS),
    ),
    "steps": Parameter(
        default=200, help=Text("of Adam, on all points", "Adam 的步数（每步用全部点）"),
        low=1, high=1000,
    ),
    "lr": Parameter(default=0.05, help=Text("learning rate", "学习率"), low=1e-4, high=1),
    "seed": Parameter(
        default=1, help=Text("of points and weights", "点与权重的种子"), low=0, high=2**31
    ),
}  # fmt: skip
SIDE = 2.0  # points are within -SIDE and SIDE
ROWS, COLUMNS = 11, 21  # of a map
# The language models whose parameters are counted: V words, n - 1 of them read, E, H.
VOCABULARY, ORDER, DIM, HIDDEN = 1000, 4, 10, 20


def drawn(points: int, radius: float, seed: int) -> tuple[Tensor, Tensor]:
    """Points with their mirror images (2N, 2), and whether each is within the circle (2N,)."""
    generator = torch.Generator().manual_seed(seed)
    half = (torch.rand(points, 2, generator=generator, dtype=torch.float64) * 2 - 1) * SIDE
    x = torch.cat([half, -half])
    return x, (x.norm(dim=1) < radius).long()


def trained(
    layers: int, x: Tensor, y: Tensor, units: int, activation: str, steps: int, lr: float, seed: int
) -> FeedforwardLM:
    """A network with or without a hidden layer; all else is the same."""
    shape = {"layers": layers, "hidden": units, "activation": activation}
    model = seeded(network(2, {}, outputs=2, **shape), seed)
    Descent(model, optimizer="adam", lr=lr).down(partial(mean_loss, model, x, y), steps)
    return model


def parameters(model: LanguageModel) -> int:
    """How many numbers a model learns; of a ``network`` without the word vectors it never reads."""
    unread = model.config.dim == 1
    return sum(
        p.numel()
        for name, p in model.named_parameters()
        if not (unread and name.startswith("embedding"))
    )


def steps(points: int, radius: float, seed: int, **settings: int | float | str) -> Iterator[Step]:
    """The data and why no line will do, both trained, their maps, and the same for words."""
    x, y = drawn(points, radius, seed)
    with torch.no_grad():
        yield _data(x, y, radius)
    models = {
        name: trained(layers, x, y, seed=seed, **settings)  # type: ignore[arg-type]
        for name, layers in (("regression", 0), ("network", 1))
    }
    with torch.no_grad():
        yield _results(models, x, y)
        yield _maps(models)
        yield _language_models()


def _data(x: Tensor, y: Tensor, radius: float) -> Step:
    """Pairs of mirror images: z(x) + z(-x) = 2b whatever the weights of a unit without a layer."""
    inside, outside = int((y == 1).sum()), int((y == 0).sum())
    unit = network(2, {"output.weight": [[3.0, -2.0]], "output.bias": [0.7]}, layers=0)
    pair = unit.logits(hidden_of(unit, torch.stack([x[0], -x[0]])))[:, 0].tolist()
    return Step(
        title=Text("Data that no line separates", "直线分不开的数据"),
        text=Text(
            f"{len(x)} points of a square; 1 is inside the circle of radius {radius:g}. With each "
            "point x stands its mirror image -x. For a line z = w · x + b the two sum to 2b: a "
            "pair inside needs 2b > 0, a pair outside 2b <= 0. No line does both.",
            f"正方形内的 {len(x)} 个点；半径 {radius:g} 的圆内为 1。每个点 x 都有镜像 -x。对直线"
            " z = w · x + b，两者之和是 2b：圆内的一对要求 2b > 0，圆外的一对要求 2b <= 0。没有直线"
            "能同时满足。",
        ),
        formula=["z(x) + z(-x) = 2b"],
        tables=[
            Table(
                ("", Text("points", "点数")),
                [(Text("inside", "圆内"), inside), (Text("outside", "圆外"), outside)],
            )
        ],
        values={"inside": inside, "outside": outside, "pair_sum": sum(pair)},
        claims=[
            Claim(
                Text("there are pairs inside and outside", "圆内圆外都有成对的点"),
                inside > 0 and outside > 0,
            ),
            Claim(
                Text(
                    "with w = (3, -2), b = 0.7 the first pair sums to 1.4",
                    "取 w = (3, -2)、b = 0.7，第一对之和为 1.4",
                ),
                abs(sum(pair) - 1.4) < 1e-12,
            ),
        ],
    )


def _results(models: dict[str, FeedforwardLM], x: Tensor, y: Tensor) -> Step:
    share = max((y == 1).double().mean().item(), (y == 0).double().mean().item())
    entropy = -sum(p * math.log(p) for p in (share, 1 - share) if p)
    loss = {name: mean_loss(model, x, y).item() for name, model in models.items()}
    right = {
        name: (model.logits(hidden_of(model, x)).argmax(1) == y).double().mean().item()
        for name, model in models.items()
    }
    size = {name: parameters(model) for name, model in models.items()}
    return Step(
        title=Text("Both, trained the same way", "两者，同样训练"),
        text=Text(
            "Logistic regression is the network without its hidden layer (--layers 0). Always "
            f"guessing the more frequent answer is right {share:.1%} of the time, and knowing "
            f"only how frequent it is costs {entropy:.4f} a point.",
            f"逻辑回归就是没有隐藏层的网络（--layers 0）。总猜较多的那一类，正确率为 {share:.1%}；"
            f"只知道两类各占多少，每点的损失是 {entropy:.4f}。",
        ),
        tables=[
            Table(
                (
                    "", Text("parameters", "参数个数"), Text("loss", "损失"),
                    Text("right", "正确率"),
                ),
                [(NAMES[n], size[n], loss[n], right[n]) for n in models],
                4,
            )
        ],
        values={
            **{f"loss_{n}": loss[n] for n in models},
            **{f"right_{n}": right[n] for n in models},
            **{f"parameters_{n}": size[n] for n in models},
            "entropy": entropy,
        },
        claims=[
            Claim(
                Text(
                    "logistic regression learns no more than how frequent the answers are",
                    "逻辑回归学到的，不过是两类各占多少",
                ),
                abs(loss["regression"] - entropy) < 0.02,
            ),
            Claim(
                Text("the network gets at least 95% right", "网络的正确率至少 95%"),
                right["network"] >= 0.95,
            ),
        ],
    )  # fmt: skip


NAMES = {
    "regression": Text("logistic regression", "逻辑回归"),
    "network": Text("network", "神经网络"),
}


def _maps(models: dict[str, FeedforwardLM]) -> Step:
    """What each says of a grid of points, left regression, right network."""
    grid = numbers(
        [
            [SIDE * (2 * j / (COLUMNS - 1) - 1), SIDE * (1 - 2 * i / (ROWS - 1))]
            for i in range(ROWS)
            for j in range(COLUMNS)
        ]
    )
    said = {
        name: model.logits(hidden_of(model, grid)).argmax(1).view(ROWS, COLUMNS).tolist()
        for name, model in models.items()
    }

    def drawing(row: list[int]) -> str:
        return "".join("#" if answer else "." for answer in row)

    return Step(
        title=Text("What each decides", "各自如何划分"),
        text=Text(
            "# where the answer is 1. Left logistic regression, whose border can only be a line; "
            "right the network.",
            "# 表示答案为 1 的地方。左边是逻辑回归，它的边界只能是直线；右边是神经网络。",
        ),
        formula=[
            f"{drawing(a)}     {drawing(b)}"
            for a, b in zip(said["regression"], said["network"], strict=True)
        ],
        values={f"map_{name}": rows for name, rows in said.items()},
        claims=[
            Claim(
                Text(
                    "the network says 1 in the middle and 0 in all four corners",
                    "网络在中央说 1，在四角说 0",
                ),
                _middle_and_corners(said["network"]) == (1, 0, 0, 0, 0),
            ),
            Claim(
                Text("logistic regression cannot", "逻辑回归做不到"),
                _middle_and_corners(said["regression"]) != (1, 0, 0, 0, 0),
            ),
        ],
    )


def _middle_and_corners(rows: list[list[int]]) -> tuple[int, ...]:
    return rows[ROWS // 2][COLUMNS // 2], rows[0][0], rows[0][-1], rows[-1][0], rows[-1][-1]


def _language_models() -> Step:
    """Multinomial logistic regression is the window model with --layers 0 (log-bilinear)."""
    words = small_model(
        4, {"embedding.weight": torch.eye(4).tolist()}, order=2, dim=4, layers=0, tie=False
    )
    words.init_weights(torch.Generator().manual_seed(1))
    with torch.no_grad():
        words.embedding.weight.copy_(torch.eye(4))
    hidden, _ = words(torch.arange(4)[:, None], words.initial_state(4))
    scores = words.logits(hidden[:, -1])
    off = (scores - words.output_weight.T).abs().max().item()
    shape: dict[str, Any] = {"order": ORDER, "dim": DIM, "hidden": HIDDEN, "output_bias": False}
    counts = {
        layers: parameters(small_model(VOCABULARY, {}, layers=layers, **shape)) for layers in (0, 1)
    }
    return Step(
        title=Text("The same for words", "对词也是一样"),
        text=Text(
            "A softmax over V words instead of two answers is multinomial logistic regression. If "
            "each word is a one-hot vector, a weight for each pair of words is all it has. A "
            "log-bilinear model (--layers 0) puts learned word vectors in their place; a "
            f"feedforward model puts a hidden layer in between. Parameters for V = {VOCABULARY}, "
            f"{ORDER - 1} words read, vectors of {DIM}, {HIDDEN} hidden units, no output bias:",
            "不是两个答案，而是 V 个词上的 softmax，就是多项逻辑回归。如果每个词是独热向量，它就"
            "只有每对词的一个权重。对数双线性模型（--layers 0）换成学到的词向量；前馈模型再在中间加"
            f"一个隐藏层。V = {VOCABULARY}、读 {ORDER - 1} 个词、词向量 {DIM} 维、{HIDDEN} 个隐藏"
            "单元、无输出偏置时的参数个数：",
        ),
        tables=[
            Table(
                ("", Text("parameters", "参数个数")),
                [
                    (Text("log-bilinear", "对数双线性"), counts[0]),
                    (Text("one hidden layer", "一个隐藏层"), counts[1]),
                    (Text("one-hot words, no vectors", "独热向量，无词向量"),
                     (ORDER - 1) * VOCABULARY**2),
                ],
            )
        ],
        values={
            "parameters_log_bilinear": counts[0],
            "parameters_hidden_layer": counts[1],
            "one_hot_scores": scores.tolist(),
        },
        claims=[
            Claim(
                Text(
                    "with one-hot vectors the scores of a log-bilinear model are its weights",
                    "词向量为独热向量时，对数双线性模型的得分就是它的权重",
                ),
                off < 1e-12,
            )
        ],
    )  # fmt: skip
