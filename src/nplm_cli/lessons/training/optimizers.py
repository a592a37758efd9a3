"""W-14: first steps of four optimisers, and their ways down a valley."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import encoder_of, network, numbers
from nplm_cli.lessons.training.descent import Descent
from nplm_cli.models.feedforward import FeedforwardLM

RUNS = ("nplm_cli.training.optimizers.build_optimizer",)
PARAMETERS = {
    "theta": Parameter(default=1.0, help=Text("θ, the weight", "θ，权重"), low=-100, high=100),
    "g": Parameter(default=0.1, help=Text("its gradient", "它的梯度"), low=-100, high=100),
    "lr": Parameter(default=0.1, help=Text("learning rate", "学习率"), low=1e-4, high=1),
    "rho": Parameter(
        default=0.9, help=Text("ρ of the first RMSprop", "第一个 RMSprop 的 ρ"), low=0, high=0.9999
    ),
    "start": Parameter(
        default=(3.0, 1.5),
        help=Text("where the valley is entered", "山谷中的起点"),
        low=-10,
        high=10,
    ),
    "curvature": Parameter(
        default=15.0, help=Text("how much steeper one side is", "一个方向陡多少倍"), low=1, high=100
    ),
}
# nplm leaves RMSprop the ρ of PyTorch, which calls it alpha.
USUAL_RHO = 0.99
FACTORS = (0.01, 1.0, 100.0)
STEPS = (0, 1, 2, 3, 5, 10, 20, 40)


def one_unit(weights: Any) -> FeedforwardLM:
    """A model of which nothing is trained but the weights of one unit."""
    rows = {"encoder.layers.0.weight": [weights]}
    model = network(len(weights), rows, hidden=1, hidden_bias=False, output_bias=False)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter is weight_of(model))
    return model


def weight_of(model: FeedforwardLM) -> Tensor:
    """The weights (1, N) of the unit."""
    weight = encoder_of(model).layers[0].weight
    assert isinstance(weight, Tensor)
    return weight


class Rule(NamedTuple):
    """An optimiser of a column: its title, its name, and RMSprop's ρ where it is not the usual."""

    title: str
    name: str
    rho: float | None = None

    def descent(self, model: FeedforwardLM, lr: float) -> Descent:
        """The optimiser that nplm builds, on the model."""
        found = Descent(model, optimizer=self.name, lr=lr)
        if self.rho is not None:
            for group in found.optimizer.param_groups:
                group["alpha"] = self.rho
        return found


def steps(
    theta: float, g: float, lr: float, rho: float, start: tuple[float, ...], curvature: float
) -> Iterator[Step]:
    """One step; more of them with the same gradient; small and large gradients; a valley."""
    rules = {
        "sgd": Rule("sgd", "sgd"),
        "adagrad": Rule("adagrad", "adagrad"),
        "rmsprop_rho": Rule(f"rmsprop {rho:g}", "rmsprop", rho),
        "rmsprop": Rule(f"rmsprop {USUAL_RHO:g}", "rmsprop"),
        "adam": Rule("adam", "adam"),
    }
    titles = [rule.title for rule in rules.values()]

    def way(rule: Rule, gradient: float, count: int) -> list[float]:
        model = one_unit([theta])
        down = rule.descent(model, lr)
        found = [theta]
        for _ in range(count):
            down.along(gradient)
            found.append(weight_of(model).item())
        return found

    ways = {key: way(rule, g, 5) for key, rule in rules.items()}
    yield _first(theta, g, lr, rho, titles, ways)
    yield Step(
        title=Text("Five steps with the same gradient", "梯度不变，走五步"),
        text=Text(
            "AdaGrad adds up all squares that it has seen: its steps become shorter for ever. "
            "RMSprop forgets old squares; as its sum begins at 0, its first steps are too long. "
            "Adam corrects for that beginning.",
            "AdaGrad 累加见过的所有平方：步子越来越短。RMSprop 会忘记旧的平方；其累积从 0 开始，最"
            "初几步就过长。Adam 修正了这个开头。",
        ),
        tables=[
            Table(
                (Text("step", "步"), *titles),
                [(i, *(w[i] for w in ways.values())) for i in range(6)],
            )
        ],
        values={f"{key}_5": w[1:] for key, w in ways.items()},
        claims=[
            Claim(
                Text(
                    "AdaGrad's fifth step is 1/√5 times as long as its first",
                    "AdaGrad 的第五步是第一步的 1/√5",
                ),
                _is_near(ways["adagrad"][4] - ways["adagrad"][5], lr / 5**0.5 * _sign(g), g),
            ),
            Claim(
                Text("all steps of Adam are as long as the first", "Adam 的每一步与第一步一样长"),
                all(_is_near(a - b, lr * _sign(g), g) for a, b in _pairs(ways["adam"])),
            ),
        ],
    )

    lengths = {
        factor: [abs(w[1] - theta) for w in (way(r, factor * g, 1) for r in rules.values())]
        for factor in FACTORS
    }
    yield Step(
        title=Text("Small gradients and large ones", "小梯度与大梯度"),
        text=Text(
            "How long is the first step? That of plain descent grows with the gradient; the "
            "others divide it by its own size, weight by weight. So the vector of a rare "
            "word, which seldom gets a gradient, takes as long a step as others when it does.",
            "第一步有多长？普通梯度下降随梯度变长；其他优化器逐个权重地把梯度除以它自己的大小。因此"
            "罕见词的向量虽然很少得到梯度，一旦得到，步子和别的词一样长。",
        ),
        tables=[
            Table(("g", *titles), [(f"{factor * g:g}", *row) for factor, row in lengths.items()], 8)
        ],
        values={"first_lengths": list(lengths.values())},
    )
    yield _valley(rules, start, curvature, lr)


def _sign(g: float) -> int:
    return (g > 0) - (g < 0)


def _is_near(found: float, expected: float, g: float) -> bool:
    # Adam divides by |g| + 1e-8, AdaGrad by |g| + 1e-10.
    return abs(found - expected) <= 1e-9 + abs(expected) * 2e-8 / (abs(g) + 1e-8)


def _pairs(way: list[float]) -> list[tuple[float, float]]:
    return list(itertools.pairwise(way))


def _first(
    theta: float,
    g: float,
    lr: float,
    rho: float,
    titles: Sequence[str],
    ways: Mapping[str, list[float]],
) -> Step:
    formulas = (
        "θ - lr g",
        "θ - lr g / √(g²)",
        f"θ - lr g / √({1 - rho:g} g²)",
        f"θ - lr g / √({1 - USUAL_RHO:g} g²)",
        "θ - lr g / √(g²)",
    )
    rows = [
        (title, formula, way[1], abs(way[1] - theta))
        for title, formula, way in zip(titles, formulas, ways.values(), strict=True)
    ]
    return Step(
        title=Text("The first step", "第一步"),
        text=Text(
            f"A model with one trained weight, θ = {theta:g}; its gradient is {g:g}, the learning "
            f"rate {lr:g}. Nothing is remembered yet, so each rule is short. (RMSprop is shown "
            f"with two ρ: how much of the old squares it keeps; nplm uses {USUAL_RHO:g}.)",
            f"一个只训练一个权重的模型，θ = {theta:g}，梯度 {g:g}，学习率 {lr:g}。优化器还没有记"
            "忆，所以规则都很短。（RMSprop 列出两个 ρ，即保留多少旧的平方；nplm 用 "
            f"{USUAL_RHO:g}。）",
        ),
        tables=[
            Table(
                ("", Text("rule", "规则"), Text("θ after", "之后的 θ"), Text("length", "步长")),
                rows,
            )
        ],
        values={key: way[1] for key, way in ways.items()},
        claims=[
            Claim(
                Text(
                    "AdaGrad and Adam moved by the learning rate, whatever g (by 0 if it is 0)",
                    "无论 g 多大，AdaGrad 与 Adam 都正好移动了学习率那么多（g 为 0 时不动）",
                ),
                all(
                    _is_near(theta - ways[name][1], lr * _sign(g), g)
                    for name in ("adagrad", "adam")
                ),
            )
        ],
    )


def _valley(
    rules: Mapping[str, Rule], start: tuple[float, ...], curvature: float, lr: float
) -> Step:
    factors = numbers([[1.0, curvature]])
    paths = {key: _path(rule, start, factors, lr) for key, rule in rules.items()}
    titles = [rule.title for rule in rules.values()]

    def height(place: list[float]) -> float:
        return (factors * numbers(place).square()).sum().item() / 2

    return Step(
        title=Text("Down a narrow valley", "走下窄谷"),
        text=Text(
            f"Two weights, and a loss that is {curvature:g} times as steep in y as in x. Plain "
            "descent leaps from side to side in y while x creeps; the others begin with a "
            "step that is as long in x as in y. RMSprop's first steps are the longest, and "
            "AdaGrad's become so short that it is still on its way.",
            f"两个权重，损失在 y 方向比 x 方向陡 {curvature:g} 倍。普通梯度下降在 y 方向来回跳，在 "
            "x 方向爬行；其他优化器的第一步在两个方向上一样长。RMSprop 最初的步子最长，AdaGrad 的步"
            "子越来越短，所以还在路上。",
        ),
        formula=[f"L = (x² + {curvature:g} y²) / 2"],
        tables=[
            Table(
                (Text("loss after step", "该步之后的损失"), *titles),
                [(n, *(height(p[n]) for p in paths.values())) for n in STEPS],
                5,
            ),
            Table(
                ("x, y", *titles),
                [
                    (n, *(f"{p[n][0]:.2f}, {p[n][1]:.2f}" for p in paths.values()))
                    for n in STEPS[:5]
                ],
            ),
        ],
        values={f"{key}_path": path for key, path in paths.items()},
        claims=[
            Claim(
                Text(
                    f"after {STEPS[-1]} steps all are lower than at the start",
                    f"{STEPS[-1]} 步之后都比起点低",
                ),
                all(height(p[-1]) < height(p[0]) for p in paths.values()),
            )
        ],
    )


def _path(rule: Rule, start: tuple[float, ...], factors: Tensor, lr: float) -> list[list[float]]:
    model = one_unit(start)
    down = rule.descent(model, lr)
    path = [list(start)]
    for _ in range(STEPS[-1]):
        down.down(lambda: (factors * weight_of(model).square()).sum() / 2)
        path.append(weight_of(model)[0].tolist())
    return path
