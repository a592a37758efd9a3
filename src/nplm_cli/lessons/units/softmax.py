"""W-06, W-07: the softmax of scores, what it does not notice, and the sigmoid as one of two."""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import hidden_of, network, numbers
from nplm_cli.models.activations import ACTIVATIONS

RUNS = (
    "nplm_cli.models.output.prediction_nll",
    "nplm_cli.models.activations.ACTIVATIONS",
)
PARAMETERS = {
    "z": Parameter(
        default=(0.6, 1.1, -1.5, 1.2, 3.2, -1.1), help=Text("scores", "得分"), free=True
    ),
    "shift": Parameter(default=1000.0, help=Text("added to every score", "加到每个得分上的数")),
    "factor": Parameter(
        default=2.0, help=Text("every score times this", "每个得分乘以的数"), low=-100, high=100
    ),
    "two": Parameter(
        default=0.87, help=Text("score of the second of two classes", "两类时第二类的得分")
    ),
}


def nll_of(z: Sequence[float]) -> torch.Tensor:
    """-ln p of each class, by an output layer whose rows are the scores of an input that is 1."""
    model = network(1, {"output.weight": [[score] for score in z]}, layers=0, outputs=len(z))
    hidden = hidden_of(model, numbers([[1.0]])).expand(len(z), -1)
    return model.prediction_nll(hidden, torch.arange(len(z)))


def steps(z: tuple[float, ...], shift: float, factor: float, two: float) -> Iterator[Step]:
    """Probabilities, their costs, a shift and a factor of the scores, two classes."""
    nll = nll_of(z)
    p = nll.exp().reciprocal()
    powers = numbers(z).exp()
    classes = range(1, len(z) + 1)
    yield Step(
        title=Text("From scores to probabilities", "从得分到概率"),
        text=Text(
            "Each score becomes a power of e, so that it is positive; divided by their sum, they "
            "sum to 1. nplm's output layer says -ln p, so p here is exp(-(-ln p)).",
            "每个得分取 e 的幂，于是都为正；再除以总和，加起来就是 1。nplm 的输出层给出 -ln p，"
            "这里的 p 由它取指数得到。",
        ),
        formula=["p_i = exp(z_i) / Σ_j exp(z_j)"],
        tables=[
            Table(
                (Text("class", "类"), "z", "exp(z)", "p", "-ln p"),
                list(
                    zip(classes, z, powers.tolist(), p.tolist(), nll.tolist(), strict=True)
                ),
            )
        ],
        values={"p": p.tolist(), "sum_exp": powers.sum().item(), "nll": nll.tolist()},
        claims=[
            Claim(
                Text("the probabilities sum to 1", "概率之和为 1"),
                abs(p.sum().item() - 1) < 1e-9,
            ),
            Claim(
                Text("a higher score has a higher probability", "得分越高，概率越大"),
                _in_order(z, p.tolist()),
            ),
            Claim(
                Text(
                    "classes differ in -ln p by what they differ in score",
                    "两类的 -ln p 之差，就是得分之差",
                ),
                _same((nll + numbers(z)).tolist(), [(nll[0] + z[0]).item()] * len(z)),
            ),
        ],
    )  # fmt: skip
    yield _shifted(z, p, nll, shift)
    yield _scaled(z, p, factor)
    yield _two_classes(two)


def _shifted(z: Sequence[float], p: torch.Tensor, nll: torch.Tensor, shift: float) -> Step:
    moved = [score + shift for score in z]
    nll_moved = nll_of(moved)
    p_moved = nll_moved.exp().reciprocal()
    total = numbers(moved).exp().sum().item()
    log_z = [(n[0] + s[0]).item() for n, s in ((nll, z), (nll_moved, moved))]
    return Step(
        title=Text("Only differences count", "只有差值起作用"),
        text=Text(
            f"Add {shift:g} to every score: numerator and denominator are multiplied by the same "
            "number, and nothing changes. That is how programs keep large scores from overflowing: "
            "they subtract the largest first (inf: too large for a number of 64 bits; null in "
            "--json).",
            f"给每个得分加上 {shift:g}：分子分母乘了同一个数，结果不变。程序正是这样防止大得分溢出"
            "的：先减去最大的得分（inf 表示 64 位数放不下，--json 中为 null）。",
        ),
        formula=["exp(z_i + k) / Σ_j exp(z_j + k) = exp(z_i) / Σ_j exp(z_j)"],
        tables=[
            Table(
                ("", "Σ exp", "ln Σ exp", "p_1"),
                [
                    ("z", numbers(z).exp().sum().item(), log_z[0], p[0].item()),
                    (f"z {'-' if shift < 0 else '+'} {abs(shift):g}", total, log_z[1],
                     p_moved[0].item()),
                ],
            )
        ],
        values={"p_shifted": p_moved.tolist(), "log_sum_shifted": log_z[1]},
        claims=[
            Claim(
                Text("the probabilities are the same", "概率不变"),
                all(abs(a - b) < 1e-9 for a, b in zip(p.tolist(), p_moved.tolist(), strict=True)),
            )
        ],
    )  # fmt: skip


def _scaled(z: Sequence[float], p: torch.Tensor, factor: float) -> Step:
    scaled = nll_of([factor * score for score in z]).exp().reciprocal()
    return Step(
        title=Text("A factor does change them", "乘一个数则会变"),
        text=Text(
            f"Every score times {factor:g}. Above 1 the largest probability grows at the cost of "
            "the others, below 1 they come closer; 0 makes them equal. (1/factor is what nplm "
            "generate calls temperature.)",
            f"每个得分乘以 {factor:g}。大于 1 时最大的概率变得更大，小于 1 时彼此接近，0 则全部"
            "相等。这个数的倒数，nplm generate 称为温度。",
        ),
        tables=[
            Table(
                (Text("class", "类"), "p", Text("p after", "之后的 p")),
                [
                    (i, *pair)
                    for i, pair in enumerate(zip(p.tolist(), scaled.tolist(), strict=True), 1)
                ],
            )
        ],
        values={"p_scaled": scaled.tolist()},
        claims=[
            Claim(
                Text("the largest probability has grown", "最大的概率变大了"),
                bool(scaled.max() > p.max()),
            )
        ],
    )  # fmt: skip


def _two_classes(two: float) -> Step:
    p = nll_of((0.0, two)).exp().reciprocal().tolist()
    sigmoid = ACTIVATIONS["sigmoid"](numbers(two)).item()
    both = nll_of((1.5, 1.5 + two)).exp().reciprocal().tolist()
    return Step(
        title=Text("Two classes: the sigmoid", "两类：sigmoid"),
        text=Text(
            "With two classes one of the scores may be 0, as only the difference counts. Then the "
            "softmax of the other is its sigmoid: a logistic unit is a softmax of two.",
            "只有两类时，因为只有差值起作用，可令其中一个得分为 0。另一个的 softmax 就是它的"
            " sigmoid：逻辑单元就是两类的 softmax。",
        ),
        formula=["exp(z) / (exp(0) + exp(z)) = 1 / (1 + exp(-z)) = sigmoid(z)"],
        tables=[
            Table(
                (Text("scores", "得分"), "p_1", "p_2"),
                [
                    (f"0, {two:g}", *p),
                    (f"1.5, {1.5 + two:g}", *both),
                    (f"sigmoid({two:g})", None, sigmoid),
                ],
            )
        ],
        values={"p_two": p, "sigmoid": sigmoid},
        claims=[
            Claim(
                Text(
                    "the second probability is the sigmoid of the score, also when both scores "
                    "are 1.5 more",
                    "第二个概率就是得分的 sigmoid；两个得分都加 1.5 也一样",
                ),
                abs(p[1] - sigmoid) < 1e-9 and abs(both[1] - sigmoid) < 1e-9,
            )
        ],
    )


def _in_order(z: Sequence[float], p: Sequence[float]) -> bool:
    pairs = sorted(zip(z, p, strict=True))
    return all(a[1] <= b[1] for a, b in itertools.pairwise(pairs))


def _same(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-9) for x, y in zip(a, b, strict=True))
