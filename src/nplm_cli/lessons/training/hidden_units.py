"""Hidden units that learn XOR from equal weights and from random ones."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.small_models import encoder_of, network, numbers
from nplm_cli.lessons.training.descent import Descent, mean_loss, seeded
from nplm_cli.lessons.truth_tables import INPUTS, XOR
from nplm_cli.models.feedforward import FeedforwardLM

ROUNDING = 1e-9


def learning_xor(
    hidden: int,
    activation: str,
    start: float,
    seed: int,
    training: Mapping[str, Any],
    steps: int,
) -> Iterator[Step]:
    """A training from units that are all alike, and one from units that are not."""
    x_NI, targets = numbers(INPUTS), torch.tensor(XOR)
    random = seeded(network(2, {}, outputs=2, hidden=hidden, activation=activation), seed)
    learned = []
    for model in (equal_units(hidden, activation, start), random):
        first = units(model)
        loss = partial(mean_loss, model, x_NI, targets)
        Descent(model, **training).down(loss, steps)
        learned.append((first, units(model), loss().item()))
    yield from _shown(steps, *learned)


def equal_units(hidden: int, activation: str, start: float) -> FeedforwardLM:
    """A network whose hidden units all start alike."""
    weights = {
        "encoder.layers.0.weight": [[start, start]] * hidden,
        "encoder.layers.0.bias": [start] * hidden,
        "output.weight": [[0.0] * hidden, [start] * hidden],
    }
    return network(2, weights, outputs=2, hidden=hidden, activation=activation)


def units(model: FeedforwardLM) -> Tensor:
    """A row for each hidden unit: its weights, its bias, and its weight in the score of 1."""
    layer: Any = encoder_of(model).layers[0]
    output = model.output_weight
    columns = [layer.weight, layer.bias[:, None], (output[1] - output[0])[:, None]]
    return torch.cat(columns, dim=1).detach().clone()


def spread(units_HC: Tensor) -> float:
    """The largest difference between two units in any of their weights."""
    return (units_HC.max(0).values - units_HC.min(0).values).max().item()


def _shown(steps: int, equal: Any, random: Any) -> Iterator[Step]:
    columns = (Text("unit", "单元"), "w1", "w2", "b", "u", "w1'", "w2'", "b'", "u'")

    def table(first: Tensor, last: Tensor) -> Table:
        both = torch.cat([first, last], dim=1).tolist()
        return Table(columns, [(i, *row) for i, row in enumerate(both, 1)], 3)

    first, last, loss = equal
    yield Step(
        title=Text("Equal, though not 0", "相等，虽不为 0"),
        text=Text(
            f"A network is to learn XOR in {steps} steps; each of its hidden units starts with "
            "the same weights w, bias b and output weight u. They say the same, so they get the "
            "same gradient, so they stay the same: together they are one unit (after the steps: "
            "w', b', u').",
            f"一个网络用 {steps} 步学习异或，每个隐藏单元的初始权重 w、偏置 b、输出权重 u 都相同。"
            "它们的输出相同，于是梯度相同，于是永远相同：合起来只是一个单元（训练后为 w'、"
            "b'、u'）。",
        ),
        tables=[table(first, last)],
        values={"equal_units": last.tolist(), "equal_spread": spread(last), "equal_loss": loss},
        claims=[
            Claim(
                Text(
                    "no unit differs from another, but for rounding",
                    "除舍入误差外，没有一个单元与别的不同",
                ),
                spread(last) < ROUNDING,
            ),
        ],
    )
    own, last_random, loss_random = random
    yield Step(
        title=Text("Small and random: they part", "小而随机：各奔前程"),
        text=Text(
            "From random weights each unit has its own gradient, and takes its own part of the "
            "work.",
            "从随机权重出发，每个单元有自己的梯度，承担自己的一份工作。",
        ),
        tables=[
            table(own, last_random),
            Table(
                (Text("start", "初值"), Text("mean loss on XOR", "异或上的平均损失")),
                [(Text("equal", "相等"), loss), (Text("random", "随机"), loss_random)],
                4,
            ),
        ],
        values={
            "random_units": last_random.tolist(),
            "random_spread": spread(last_random),
            "random_loss": loss_random,
        },
        claims=[
            Claim(
                Text("the units have moved apart", "各单元之间的差别变大了"),
                spread(last_random) > spread(own),
            ),
            Claim(
                Text("and the network does better than with equal units", "网络也比单元相等时更好"),
                loss_random < loss,
            ),
        ],
    )
