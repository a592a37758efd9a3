"""W-04: XOR by one hidden layer of ReLUs, given and learned, and as a language model."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import hidden_of, numbers, pre_activation
from nplm_cli.lessons.truth_tables import INPUTS, XOR
from nplm_cli.lessons.units.xor_language_model import language_model
from nplm_cli.lessons.units.xor_networks import GIVEN, LR, STEPS, Learned, given
from nplm_cli.models.activations import ACTIVATIONS

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
    **GIVEN,
    "activation": Parameter(
        default="relu", help=Text("of all units", "各单元的激活函数"), choices=tuple(ACTIVATIONS)
    ),
    "units": Parameter(
        default=2, help=Text("hidden units of the learned network", "所学网络的隐藏单元数"),
        low=1, high=16,
    ),
    "steps": Parameter(
        default=STEPS, help=Text("of learning", "学习的步数"), low=0, high=200
    ),
    "lr": Parameter(default=LR, help=Text("learning rate", "学习率"), low=1e-3, high=10),
    "seed": Parameter(
        default=5, help=Text("of its first weights", "初始权重的种子"), low=0, high=2**31
    ),
}  # fmt: skip
SEEDS = range(1, 11)


def steps(
    W: Any, b: Any, u: Any, c: float, activation: str, units: int, lr: float, seed: int, **more: int
) -> Iterator[Step]:
    """The given network, its hidden layer, a learned one, ten seeds, the next word of two."""
    x, model = numbers(INPUTS), given(W, b, u, c, activation)
    z, h = pre_activation(model, x), hidden_of(model, x)
    y = ACTIVATIONS[activation](model.logits(h))[:, 0].tolist()
    yield Step(
        title=Text("Given weights", "给定的权重"),
        text=Text(
            "Two hidden units see the same sum of the inputs, one of them only what is above 1; "
            "the output takes the second twice from the first.",
            "两个隐藏单元都看输入之和，其中一个只看超过 1 的部分；输出用第一个减去第二个的两倍。",
        ),
        formula=[f"h = {activation}(W x + b)", f"y = {activation}(u · h + c)"],
        tables=[
            Table(
                ("x1", "x2", "z1", "z2", "h1", "h2", "y"),
                [
                    (*i, *zs, *hs, out)
                    for i, zs, hs, out in zip(INPUTS, z.tolist(), h.tolist(), y, strict=True)
                ],
                2,
            )
        ],
        values={"pre": z.tolist(), "h": h.tolist(), "y": y},
        claims=[
            Claim(
                Text("the output is XOR: 0, 1, 1, 0", "输出正是异或：0、1、1、0"),
                all(abs(a - t) < 1e-9 for a, t in zip(y, XOR, strict=True)),
            )
        ],
    )
    yield _hidden_space(h)
    learned = Learned(units, activation, seed, more["steps"], lr)
    yield _learned(learned, more["steps"])
    yield _seeds([Learned(units, activation, s, more["steps"], lr) for s in SEEDS], units)
    yield language_model(seed)


def _hidden_space(h: Tensor) -> Step:
    first, second, third, last = h.tolist()
    return Step(
        title=Text("What the hidden layer changes", "隐藏层改变了什么"),
        text=Text(
            "In the inputs no line parts 01 and 10 from 00 and 11. The hidden layer puts 01 and 10 "
            "on one point and 11 away from it; now a line does.",
            "在输入平面上，没有直线能把 01、10 与 00、11 分开。隐藏层把 01 和 10 移到同一点，把"
            " 11 移开，现在一条直线就够了。",
        ),
        tables=[
            Table(
                (Text("input", "输入"), "h1", "h2", "XOR"),
                [
                    (f"{a}{b}", *point, t)
                    for (a, b), point, t in zip(INPUTS, h.tolist(), XOR, strict=True)
                ],
                2,
            )
        ],
        values={"distinct_points": len({tuple(point) for point in h.tolist()})},
        claims=[
            Claim(
                Text("01 and 10 are one point of the hidden layer", "01 与 10 在隐藏层是同一点"),
                second == third,
            ),
            Claim(
                Text(
                    "00 and 11 are on the other side of the line h1 - 2 h2 = 1/2",
                    "00 与 11 在直线 h1 - 2 h2 = 1/2 的另一侧",
                ),
                [p[0] - 2 * p[1] > 0.5 for p in (first, second, third, last)]
                == [False, True, True, False],
            ),
        ],
    )


def _learned(net: Learned, steps: int) -> Step:
    return Step(
        title=Text("Learned weights", "学到的权重"),
        text=Text(
            f"The same shape, with a softmax over the answers 0 and 1. From random weights (seed "
            f"{net.seed}), {steps} steps of SGD on all four inputs. p is the probability of 1.",
            f"同样的形状，输出为答案 0 与 1 的 softmax。从随机权重（种子 {net.seed}）出发，在四个"
            f"输入上走 {steps} 步 SGD。p 是答案 1 的概率。",
        ),
        formula=[f"-ln p = {net.before:.6f} -> {net.loss:.6f}"],
        tables=[
            Table(
                (Text("input", "输入"), *(f"h{i + 1}" for i in range(min(4, net.h.shape[1]))), "p"),
                [
                    (f"{a}{b}", *point[:4], p)
                    for (a, b), point, p in zip(INPUTS, net.h.tolist(), net.p, strict=True)
                ],
                4,
            )
        ],
        values={
            "learned_h": net.h.tolist(),
            "learned_p": net.p,
            "learned_loss": net.loss,
            "learned_right": net.right,
        },
        claims=[
            Claim(
                Text(
                    f"the learned network is right on all four (here {net.right})",
                    f"学到的网络四个全对（此处对 {net.right} 个）",
                ),
                net.right == 4,
            )
        ],
    )


def _seeds(nets: list[Learned], units: int) -> Step:
    failed = [net for net in nets if net.right < 4]
    return Step(
        title=Text("Ten first weights, not one", "十组初始权重，而非一组"),
        text=Text(
            "Not every start gets there. A ReLU that says 0 for every input is dead: its slope is "
            "0 and it learns nothing any more. And where all units say 0, inputs look the same to "
            "the output, whatever is wanted; nothing flows back to part them. More units help "
            "(--set units=4).",
            "并非每个起点都能成功。对所有输入都输出 0 的 ReLU 是“死”的：导数为 0，再也学不到东西。"
            "如果所有单元都输出 0，那些输入在输出层看来一模一样，不管想要什么，也没有梯度传回来把"
            "它们分开。单元多一些会好些（--set units=4）。",
        ),
        tables=[
            Table(
                (
                    Text("seed", "种子"),
                    "-ln p",
                    Text("right", "答对"),
                    Text("dead units", "死单元"),
                    Text("inputs with all 0", "全为 0 的输入"),
                ),
                [(net.seed, net.loss, net.right, net.dead, net.silent) for net in nets],
                4,
            )
        ],
        values={
            "successes": len(nets) - len(failed),
            "losses": [net.loss for net in nets],
            "dead_units": [net.dead for net in nets],
        },
        claims=[
            Claim(
                Text(
                    f"some starts succeed and some fail ({len(nets) - len(failed)} of {len(nets)} "
                    f"succeed with {units} units)",
                    f"有的起点成功，有的失败（{units} 个单元时，{len(nets)} 个中"
                    f"成功 {len(nets) - len(failed)} 个）",
                ),
                0 < len(failed) < len(nets),
            ),
            Claim(
                Text(
                    "in each network that failed, a unit is dead or two inputs with different "
                    "answers have the same hidden layer",
                    "每个失败的网络里，或有死单元，或有答案不同的两个输入隐藏层相同",
                ),
                all(net.dead or net.confused for net in failed),
            ),
        ],
    )
