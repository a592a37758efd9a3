"""W-03: one unit with a threshold says AND and OR; that none says XOR is proved, not tried."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step, Value
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import hidden_of, network, numbers
from nplm_cli.lessons.training.descent import Descent, mean_loss, seeded
from nplm_cli.lessons.truth_tables import XOR
from nplm_cli.lessons.units.perceptron_proof import all_functions, certified
from nplm_cli.lessons.units.threshold_unit import INPUTS, answers, sums, unit
from nplm_cli.models.feedforward import FeedforwardLM

RUNS = (
    "nplm_cli.models.output.OutputLayer.logits",
    "nplm_cli.training.losses.OutputLoss.__call__",
    "nplm_cli.training.optimizers.build_optimizer",
)
AND, OR = (0, 0, 0, 1), (0, 1, 1, 1)
PARAMETERS = {
    "and_w": Parameter(default=(1.0, 1.0), help=Text("weights of the AND unit", "与单元的权重")),
    "and_b": Parameter(default=-1.0, help=Text("its bias", "它的偏置")),
    "or_w": Parameter(default=(1.0, 1.0), help=Text("weights of the OR unit", "或单元的权重")),
    "or_b": Parameter(default=0.0, help=Text("its bias", "它的偏置")),
    "target": Parameter(
        default=(0, 1, 1, 0),
        help=Text("wanted for 00, 01, 10, 11: 0 or 1", "对 00、01、10、11 想要的输出（0 或 1）"),
        low=0,
        high=1,
    ),
    "steps": Parameter(
        default=150, help=Text("of the logistic unit", "逻辑单元学几步"), low=1, high=1000
    ),
    "seed": Parameter(
        default=1, help=Text("of its first weights", "其初始权重的种子"), low=0, high=2**31
    ),
}
ROUNDS = 100  # of the perceptron rule, at most: far more than any truth table takes


def steps(
    and_w: tuple[float, ...],
    and_b: float,
    or_w: tuple[float, ...],
    or_b: float,
    target: tuple[int, ...],
    seed: int,
    **settings: int,
) -> Iterator[Step]:
    """AND and OR given, the certificate against XOR, all truth tables, two ways to learn."""
    yield _given(unit(and_w, and_b), AND, "and", Text("AND", "与"))
    yield _given(unit(or_w, or_b), OR, "or", Text("OR", "或"))
    yield certified(target)
    yield all_functions()
    yield _rule(target)
    yield _logistic(target, settings["steps"], seed)


def _given(model: FeedforwardLM, wanted: Sequence[int], name: str, title: Text) -> Step:
    z, said = sums(model).tolist(), answers(model)
    return Step(
        title=title,
        text=Text(
            "A perceptron says 1 if its weighted sum is above 0, else 0.",
            "加权和大于 0 时，感知机输出 1，否则输出 0。",
        ),
        formula=["z = w · x + b,   y = 1 if z > 0 else 0"],
        tables=[
            Table(
                ("x1", "x2", "z", "y", Text("wanted", "想要")),
                [(*x, *row) for x, *row in zip(INPUTS, z, said, wanted, strict=True)],
                2,
            )
        ],
        values={f"{name}_z": z, f"{name}_y": list(said)},
        claims=[
            Claim(
                Text(f"this unit says {title.en}", f"这个单元就是“{title.zh}”"),
                said == tuple(wanted),
            )
        ],
    )


def _rule(target: tuple[int, ...]) -> Step:
    learned = {name: _by_the_rule(t) for name, t in _tasks(target)}
    values: dict[str, Value] = {}
    for name, (right, _, returned) in learned.items():
        values[f"rule_right_{name}"] = right
        values[f"rule_returned_{name}"] = returned
    *_, (right, _, returned) = learned.values()
    return Step(
        title=Text("Learned by the perceptron rule", "用感知机规则学习"),
        text=Text(
            "From weights 0, in rounds over the four inputs: what was wanted less what was said, "
            "times the input, is added to the weights. It is a step of SGD with rate 1 on "
            "(y - t) z.",
            "从 0 开始，一轮轮地看四个输入：把（想要的 - 说出的）乘以输入，加到权重上。这就是学习率"
            "为 1、损失为 (y - t) z 的一步 SGD。",
        ),
        formula=["w <- w + (t - y) x,   b <- b + (t - y)"],
        tables=[
            Table(
                (
                    Text("task", "任务"),
                    "w1",
                    "w2",
                    "b",
                    Text("right, of 4", "答对（共 4）"),
                    Text("rounds until the same weights", "隔几轮权重重现"),
                ),
                [(name, *weights, right, back) for name, (right, weights, back) in learned.items()],
                1,
            )
        ],
        values=values,
        claims=[
            Claim(
                Text("AND and OR are learned", "学会了与和或"),
                learned["AND"][0] == learned["OR"][0] == 4,
            ),
            Claim(
                Text(
                    "the third goes round in a circle: its weights come back, so it never ends",
                    "第三个在兜圈子：权重会重现，因此永远学不完",
                ),
                returned is not None and right < 4,
            ),
        ],
    )


def _tasks(target: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    name = "XOR" if target == XOR else "target"
    return [("AND", AND), ("OR", OR), (name, target)]


def _by_the_rule(target: tuple[int, ...]) -> tuple[int, tuple[float, ...], int | None]:
    """Answers that are right, weights (w1, w2, b), and how many rounds apart they were the same."""
    model = unit()
    descent = Descent(model, optimizer="sgd", lr=1.0)
    seen = {_weights(model): 0}
    for number in range(1, ROUNDS + 1):
        for i, wanted in enumerate(target):
            off = answers(model)[i] - wanted
            descent.down(partial(_signed, model, i, off))
        now = _weights(model)
        if answers(model) == target:
            break
        if now in seen:
            return _right(model, target), now, number - seen[now]
        seen[now] = number
    return _right(model, target), _weights(model), None


def _signed(model: FeedforwardLM, i: int, off: int) -> torch.Tensor:
    return off * sums(model)[i]


def _weights(model: FeedforwardLM) -> tuple[float, ...]:
    assert model.output.bias is not None
    return (*model.output_weight[0].tolist(), *model.output.bias.tolist())


def _right(model: FeedforwardLM, target: Sequence[int]) -> int:
    return sum(a == t for a, t in zip(answers(model), target, strict=True))


def _logistic(target: tuple[int, ...], count: int, seed: int) -> Step:
    rows, values = [], {}
    for name, wanted in _tasks(target):
        model = seeded(network(2, {}, layers=0, outputs=2), seed)
        targets = torch.tensor(wanted)
        descent = Descent(model, optimizer="sgd", lr=2.0)
        descent.down(partial(mean_loss, model, numbers(INPUTS), targets), count)
        with torch.no_grad():
            scores = model.logits(hidden_of(model, numbers(INPUTS)))
            loss = mean_loss(model, numbers(INPUTS), targets).item()
        p = scores.softmax(-1)[:, 1].tolist()
        right = int((scores.argmax(-1) == targets).sum())
        rows.append((name, *p, loss, right))
        values[f"logistic_loss_{name}"] = loss
        values[f"logistic_right_{name}"] = right
    *_, loss, right = rows[-1]
    return Step(
        title=Text("Learned by a logistic unit", "用逻辑单元学习"),
        text=Text(
            "The same unit, with a softmax over the answers 0 and 1 instead of the threshold, "
            "trained with nplm's loss and SGD. p is the probability of the answer 1; an answer is "
            "right if it has more than half, by however little.",
            "同样的单元，不用阈值，而用答案 0 与 1 上的 softmax，以 nplm 的损失和 SGD 训练。p 是"
            "答案为 1 的概率；答案的概率过半就算对，哪怕只多一点点。",
        ),
        tables=[
            Table(
                (
                    Text("task", "任务"),
                    *(f"p({a}{b})" for a, b in INPUTS),
                    Text("loss", "损失"),
                    Text("right, of 4", "答对（共 4）"),
                ),
                rows,
                4,
            )
        ],
        values=values,
        claims=[
            Claim(Text("AND and OR are learned", "学会了与和或"), rows[0][-1] == rows[1][-1] == 4),
            Claim(
                Text(
                    "of the third at most 3 of 4 are right, and its loss ends near ln 2 = 0.6931: "
                    "the best that a unit can do is to say 1/2 always",
                    "第三个至多对 3 个，损失停在 ln 2 = 0.6931 附近：单元最好也只能总说 1/2",
                ),
                right <= 3 and abs(loss - 0.6931) < 0.01,
            ),
        ],
    )
