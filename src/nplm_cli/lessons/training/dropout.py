"""W-13: inverted dropout by a given mask and by drawn ones; its mean; its absence later."""

from collections.abc import Iterator

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.config import DropoutRates
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import numbers, small_model
from nplm_cli.models.regularisation import Dropout

RUNS = (
    "nplm_cli.models.regularisation.Noise.drop",
    "nplm_cli.models.regularisation.Dropout",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
)
PARAMETERS = {
    "a": Parameter(
        default=(1.0, 2.0, 3.0, 4.0), help=Text("what four units say", "四个单元的输出")
    ),
    "mask": Parameter(
        default=(1, 0, 1, 0),
        help=Text("which of them stay in step 1", "第 1 步保留哪些"),
        low=0,
        high=1,
    ),
    "p": Parameter(default=0.5, help=Text("share that is dropped", "丢弃的比例"), low=0, high=0.95),
    "seed": Parameter(default=3, help=Text("of the masks", "掩码的随机种子"), low=0, high=10**6),
}
DRAWS = (10, 100, 1_000, 10_000)
SHOWN = 5
WORDS = 5


def drawing(p: float, seed: int) -> Dropout:
    """Dropout that draws its masks from a seed."""
    dropout = Dropout(p)
    dropout.generator = torch.Generator().manual_seed(seed)
    return dropout


def steps(a: tuple[float, ...], mask: tuple[int, ...], p: float, seed: int) -> Iterator[Step]:
    """A mask by hand, drawn masks, the mean over many, and a model that is asked later."""
    units = numbers(a)
    by_hand = Dropout(p).drop(units, torch.tensor(mask, dtype=torch.bool)).tolist()
    yield Step(
        title=Text("A mask, and a factor", "掩码与放大"),
        text=Text(
            "In training a share p of the units is silenced at random, so that no unit can rely "
            "on another. Those that stay are made larger by 1/(1 - p): what the next layer "
            "reads is as large as before, on average.",
            "训练时随机让比例为 p 的单元沉默，使任何单元都不能依赖别的单元。留下的放大 1/(1 - p) "
            "倍，这样下一层读到的平均大小不变。",
        ),
        formula=[f"a · mask / (1 - p) = a · mask · {1 / (1 - p):g}"],
        tables=[
            Table(
                ("", "1", "2", "3", "4"),
                [
                    ("a", *a),
                    (Text("mask", "掩码"), *map(float, mask)),
                    (Text("dropped", "丢弃后"), *by_hand),
                ],
                4,
            )
        ],
        values={"dropped": by_hand},
    )

    dropout = drawing(p, seed)
    drawn = [dropout(units).tolist() for _ in range(SHOWN)]
    yield Step(
        title=Text("Drawn anew at every step", "每一步重新抽取"),
        text=Text(
            "Each time another part of the network learns. The generator has a seed, so the "
            "same masks come again.",
            "每次学习的是网络的另一部分。随机数发生器有种子，所以掩码可以重现。",
        ),
        tables=[
            Table(("", "1", "2", "3", "4"), [(i, *row) for i, row in enumerate(drawn, 1)], 4),
        ],
        values={"drawn": drawn},
    )
    yield _mean(units, p, seed)
    yield _later(p, seed)


def _mean(units: Tensor, p: float, seed: int) -> Step:
    dropped = drawing(p, seed)(units.repeat(max(DRAWS), 1))
    means = {n: dropped[:n].mean(0) for n in DRAWS}
    last = means[max(DRAWS)]
    # A cell is a / (1 - p) with probability 1 - p: its variance is a² p / (1 - p).
    error = units.abs() * (p / (1 - p) / max(DRAWS)) ** 0.5
    return Step(
        title=Text("The mean stays", "平均值不变"),
        text=Text(
            "Averaged over more and more masks, each unit comes back to what it said.",
            "对越来越多的掩码取平均，每个单元回到原来的值。",
        ),
        tables=[
            Table(
                (Text("masks", "掩码数"), "1", "2", "3", "4"),
                [
                    *((f"{n:,}", *mean.tolist()) for n, mean in means.items()),
                    ("a", *units.tolist()),
                ],
                4,
            )
        ],
        values={
            "means": [mean.tolist() for mean in means.values()],
            "silent": (dropped == 0).double().mean().item(),
        },
        claims=[
            Claim(
                Text(
                    f"after {max(DRAWS):,} masks no mean is more than 5 standard errors from a",
                    f"经过 {max(DRAWS):,} 个掩码，平均值与 a 相差都不超过 5 个标准误",
                ),
                bool(((last - units).abs() <= 5 * error + 1e-9 * (1 + units.abs())).all()),
            )
        ],
    )


def _later(p: float, seed: int) -> Step:
    model = small_model(WORDS, {}, rates=DropoutRates(output=p), order=3, dim=3, hidden=8)
    model.init_weights(torch.Generator().manual_seed(seed))
    model.use_generator(torch.Generator().manual_seed(seed))

    def asked() -> list[float]:
        with torch.no_grad():
            hidden, _ = model(torch.tensor([[2, 3]]), model.initial_state(1))
            said: list[float] = model.logits(hidden[0, -1]).softmax(-1).tolist()
        return said

    model.train()
    training = [asked(), asked()]
    model.eval()
    evaluation = [asked(), asked()]
    names = Text("training", "训练"), Text("evaluation", "评估")
    return Step(
        title=Text("In training only", "只在训练时"),
        text=Text(
            f"A language model over {WORDS} words whose hidden layer is dropped is asked twice "
            "for the next word. In training its answers differ; in evaluation nothing is "
            "dropped, and thanks to the factor of step 1 nothing has to be made smaller either.",
            f"一个 {WORDS} 个词的语言模型，其隐藏层有丢弃，两次询问下一个词的概率。训练时两次的回"
            "答不同；评估时什么也不丢弃，而且因为第 1 步的放大，也不必再缩小。",
        ),
        tables=[
            Table(
                ("", *(f"p(w{i})" for i in range(1, WORDS + 1))),
                [
                    (name, *row)
                    for name, rows in zip(names, (training, evaluation), strict=True)
                    for row in rows
                ],
                4,
            )
        ],
        values={"training": training, "evaluation": evaluation},
        claims=[
            Claim(Text("two answers in training differ", "训练时两次回答不同"),
                  training[0] != training[1]),
            Claim(Text("two answers in evaluation are the same", "评估时两次回答相同"),
                  evaluation[0] == evaluation[1]),
        ],
    )  # fmt: skip
