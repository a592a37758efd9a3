"""W-15: the L2 penalty, the step that it changes, and what it does to a network in training."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import encoder_of, network, numbers
from nplm_cli.lessons.training.descent import Descent, mean_loss, seeded
from nplm_cli.lessons.truth_tables import AND, INPUTS
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.feedforward import FeedforwardLM

RUNS = (
    "nplm_cli.training.optimizers.build_optimizer",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
    "nplm_cli.training.losses.OutputLoss.__call__",
)
PARAMETERS = {
    "W": Parameter(
        default=((1.0, -2.0), (0.5, 0.0)), help=Text("weights", "权重"), low=-100, high=100
    ),
    "b": Parameter(default=(1.0, -1.0), help=Text("biases", "偏置"), low=-100, high=100),
    "g": Parameter(
        default=0.1,
        help=Text("gradient of the loss by each", "损失对每个参数的梯度"),
        low=-10,
        high=10,
    ),
    "l2": Parameter(
        default=0.1, help=Text("ε, weight of the penalty", "ε，惩罚的权重"), low=0, high=1
    ),
    "lr": Parameter(default=0.5, help=Text("learning rate", "学习率"), low=1e-3, high=1),
    "steps": Parameter(
        default=20,
        help=Text("without a gradient, step 3", "第 3 步：没有梯度时的步数"),
        low=1,
        high=200,
    ),
    "seed": Parameter(
        default=1, help=Text("first weights of step 5", "第 5 步的初始权重"), low=0, high=10**6
    ),
}
LEARNING = {"optimizer": "sgd", "lr": 1.0}
LEARNING_STEPS = 200


def penalty(model: LanguageModel, l2: float) -> Tensor:
    """ε/2 |W|² over what the optimiser's L2 counts."""
    return l2 / 2 * sum((w.square().sum() for w in model.regularised()), numbers(0.0))


def steps(W: Any, b: Any, g: float, l2: float, lr: float, steps: int, seed: int) -> Iterator[Step]:
    """The penalty, one step with it, decay without a gradient, Adam and AdamW, a training."""

    def layer() -> FeedforwardLM:
        weights = {"encoder.layers.0.weight": W, "encoder.layers.0.bias": b}
        return network(2, weights, hidden=2)

    model = layer()
    cost = penalty(model, l2)
    cost.backward()
    gradient = encoder_of(model).layers[0].weight.grad
    assert isinstance(gradient, Tensor)
    squared = numbers(W).square().sum().item()
    yield Step(
        title=Text("Large weights cost", "大权重要付代价"),
        text=Text(
            "The sum of the squares of all weights, times ε/2, is added to the loss. Its "
            "derivative by a weight is ε times the weight: the larger, the harder it is pulled "
            "back to 0.",
            "把所有权重的平方和乘以 ε/2，加到损失上。它对某个权重的导数是 ε 乘以该权重：权重越大，"
            "被拉回 0 的力越大。",
        ),
        formula=[f"R = ε/2 |W|² = {l2:g}/2 · {squared:g} = {cost.item():.6g}", "dR/dW = ε W"],
        values={"squared": squared, "penalty": cost.item(), "grad_penalty": gradient.tolist()},
        claims=[
            Claim(
                Text("autograd says dR/dW = ε W", "自动求导得到 dR/dW = ε W"),
                bool(((gradient - l2 * numbers(W)).abs() < 1e-12).all()),
            )
        ],
    )

    after = {}
    for name in ("sgd", "adam", "adamw"):
        stepped = layer()
        Descent(stepped, optimizer=name, lr=lr, l2=l2).along(g)
        after[name] = [p.tolist() for p in encoder_of(stepped).layers[0].parameters()]
    yield _one_step(W, b, g, l2, lr, *after["sgd"])

    yield _decay(layer(), steps, l2, lr)
    yield _adam(W, after, l2, lr)
    yield _training(l2, seed)


def _one_step(W: Any, b: Any, g: float, l2: float, lr: float, W_after: Any, b_after: Any) -> Step:
    expected = numbers(W) - lr * (g + l2 * numbers(W))
    return Step(
        title=Text("One step of gradient descent", "梯度下降一步"),
        text=Text(
            "Each weight follows the gradient of the loss and that of the penalty; a bias only "
            "the first. A bias moves what a unit says by a constant, so it is left alone: in "
            "nplm L2 counts matrices, word vectors included.",
            "每个权重沿损失的梯度与惩罚的梯度移动，偏置只沿前者。偏置只是平移单元的输出，所以不"
            "受惩罚：nplm 的 L2 只计矩阵（包括词向量）。",
        ),
        formula=["W <- W - lr (g + ε W)", "b <- b - lr g"],
        tables=[
            Table(
                ("", Text("before", "之前"), "g", "ε W", Text("after", "之后")),
                [
                    (f"W{i + 1}{j + 1}", w, g, l2 * w, W_after[i][j])
                    for i, row in enumerate(W)
                    for j, w in enumerate(row)
                ]
                + [(f"b{i + 1}", v, g, None, b_after[i]) for i, v in enumerate(b)],
            )
        ],
        values={"W_after": W_after, "b_after": b_after},
        claims=[
            Claim(
                Text("the optimiser did just this to W", "优化器对 W 正是这样做的"),
                bool(((numbers(W_after) - expected).abs() < 1e-9).all()),
            ),
            Claim(
                Text("no bias was pulled to 0", "偏置没有被拉向 0"),
                bool(((numbers(b_after) - (numbers(b) - lr * g)).abs() < 1e-9).all()),
            ),
        ],
    )


def _decay(model: FeedforwardLM, steps: int, l2: float, lr: float) -> Step:
    weight = encoder_of(model).layers[0].weight
    assert isinstance(weight, Tensor)
    lengths = [weight.detach().norm().item()]
    descent = Descent(model, optimizer="sgd", lr=lr, l2=l2)
    for _ in range(steps):
        descent.along(0.0)
        lengths.append(weight.detach().norm().item())
    expected = lengths[0] * (1 - lr * l2) ** steps
    shown = sorted({round(steps * i / 5) for i in range(6)})
    return Step(
        title=Text("Where the loss says nothing", "损失无话可说的地方"),
        text=Text(
            "A weight that the loss does not care for (gradient 0) shrinks by the same factor at "
            "each step: weight decay.",
            "若损失不在意某个权重（梯度为 0），它每步都缩小同样的倍数：这就是权重衰减。",
        ),
        formula=[f"W <- (1 - lr ε) W = {1 - lr * l2:g} W"],
        tables=[Table((Text("step", "步"), "|W|"), [(i, lengths[i]) for i in shown])],
        values={"lengths": lengths},
        claims=[
            Claim(
                Text(
                    f"after {steps} steps |W| is (1 - lr ε)^{steps} times the first",
                    f"{steps} 步之后，|W| 是最初的 (1 - lr ε)^{steps} 倍",
                ),
                abs(lengths[-1] - expected) < 1e-9,
            )
        ],
    )


def _adam(W: Any, after: dict[str, Any], l2: float, lr: float) -> Step:
    adam, adamw = numbers(after["adam"][0]), numbers(after["adamw"][0])
    return Step(
        title=Text("Adam and AdamW", "Adam 与 AdamW"),
        text=Text(
            "Adam divides each gradient by its usual size, and so the penalty in it: its first "
            "step is lr long for a large weight and a small one. AdamW (the default of nplm) "
            "keeps the decay out of the gradient and subtracts it beside the step. (What is left "
            "of a weight that came to 0 is the 1e-8 that Adam adds to what it divides by.)",
            "Adam 把每个梯度除以它通常的大小，混在其中的惩罚也被除掉：无论权重大小，第一步的长度"
            "都是 lr。AdamW（nplm 的默认优化器）不把衰减放进梯度，而是在这一步之外减去。"
            "（本应为 0 的权重所剩的一点，来自 Adam 在除数上加的 1e-8。）",
        ),
        formula=["W <- W - lr ε W - lr Adam(g)        (AdamW)"],
        tables=[
            Table(
                ("", Text("before", "之前"), "sgd", "adam", "adamw"),
                [
                    (f"W{i + 1}{j + 1}", w, *(after[n][0][i][j] for n in after))
                    for i, row in enumerate(W)
                    for j, w in enumerate(row)
                ],
            )
        ],
        values={"adam": adam.tolist(), "adamw": adamw.tolist()},
        claims=[
            Claim(
                Text(
                    "Adam moved every weight by lr, whatever its size",
                    "无论大小，Adam 把每个权重都移动了 lr",
                ),
                bool((((adam - numbers(W)).abs() - lr).abs() < 1e-5).all()),
            ),
            Claim(
                Text(
                    "AdamW took lr ε W and a step of lr, or of 0 where g is 0",
                    "AdamW 减去了 lr ε W，并走了长为 lr 的一步（g 为 0 时不走）",
                ),
                bool(_is_step(adamw - (1 - lr * l2) * numbers(W), lr)),
            ),
        ],
    )


def _is_step(moved: Tensor, lr: float) -> bool:
    return bool((((moved.abs() - lr).abs() < 1e-5) | (moved.abs() < 1e-12)).all())


def _training(l2: float, seed: int) -> Step:
    x_NI, targets = numbers(INPUTS), torch.tensor(AND)
    rows = []
    for weight in (0.0, l2 / 10, l2):
        model = seeded(network(2, {}, outputs=2, hidden=2), seed)
        loss = partial(mean_loss, model, x_NI, targets)
        Descent(model, l2=weight, **LEARNING).down(loss, LEARNING_STEPS)
        rows.append((weight, 2 * penalty(model, 1.0).item(), loss().item()))
    return Step(
        title=Text("In a training", "在训练中"),
        text=Text(
            f"A network learns AND in {LEARNING_STEPS} steps, three times from the same first "
            "weights. Without a penalty its weights grow without end, to be ever surer of the "
            "four answers; with one they stop where more certainty is not worth their growth.",
            f"一个网络学习“与”，{LEARNING_STEPS} 步，三次的初始权重相同。没有惩罚时，权重不断增大，"
            "以便对四个答案越来越有把握；有惩罚时，一旦更大的把握抵不上权重的增长就停下来。",
        ),
        tables=[Table(("ε", "|W|²", Text("mean loss", "平均损失")), rows, 4)],
        values={"learned_squared": [r[1] for r in rows], "learned_loss": [r[2] for r in rows]},
        claims=[
            Claim(
                Text(
                    "the larger ε, the smaller the weights and the larger the loss",
                    "ε 越大，权重越小，损失越大",
                ),
                rows[0][1] > rows[1][1] > rows[2][1] and rows[0][2] < rows[1][2] < rows[2][2],
            )
        ],
    )
