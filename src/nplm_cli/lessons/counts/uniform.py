"""W-39: ln V, what a model pays that knows nothing; and how many numbers it has to learn."""

import math
from collections.abc import Iterator

import torch

from nplm_cli.bilingual import Table, Text
from nplm_cli.config import ModelConfig
from nplm_cli.evaluation.ledger import perplexity
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.models import build
from nplm_cli.models.base import LanguageModel
from nplm_cli.training.losses import FullLoss

RUNS = (
    "nplm_cli.models.base.LanguageModel.prediction_nll",
    "nplm_cli.evaluation.ledger.perplexity",
    "nplm_cli.training.losses.OutputLoss.__call__",
)
PARAMETERS = {
    "sizes": Parameter(
        default=(1000, 5000, 50_000, 100_000),
        help=Text("vocabularies of step 1", "第 1 步的词表大小"),
        low=2,
        high=200_000,
        free=True,
    ),
    "V": Parameter(
        default=1000, help=Text("vocabulary of step 2", "第 2 步的词表大小"), low=2, high=50_000
    ),
    "order": Parameter(
        default=4,
        help=Text("of its model, which sees order - 1 words", "模型的阶，看阶 - 1 个词"),
        low=2,
        high=20,
    ),
    "dim": Parameter(default=10, help=Text("of word vectors", "词向量的维数"), low=1, high=256),
    "hidden": Parameter(default=20, help=Text("hidden units", "隐藏单元数"), low=1, high=256),
    "seed": Parameter(
        default=1, help=Text("first weights of step 3", "第 3 步的初始权重"), low=0, high=10**6
    ),
}
ASKED = 64  # predictions of step 3


def first_weights(config: ModelConfig, vocabulary_size: int, seed: int = 0) -> LanguageModel:
    """A model that has not learned anything."""
    model = build(config, vocabulary_size).eval()
    model.init_weights(torch.Generator().manual_seed(seed))
    return model


def nothing_known(vocabulary_size: int) -> float:
    """Nats that a model with all weights 0 pays for a word."""
    config = ModelConfig(order=2, dim=1, hidden=1, init="zero")
    model = first_weights(config, vocabulary_size).double()
    ids = torch.zeros(1, 1, dtype=torch.int64)
    with torch.no_grad():
        hidden, _ = model(ids, model.initial_state(1))
        return model.prediction_nll(hidden[0], ids[0]).item()


def steps(
    sizes: tuple[int, ...], V: int, order: int, dim: int, hidden: int, seed: int
) -> Iterator[Step]:
    """The uniform price of several vocabularies, the size of a model, its first loss."""
    nats = [nothing_known(size) for size in sizes]
    found = [perplexity(n, 1) for n in nats]
    yield Step(
        title=Text("All words alike", "所有词一样可能"),
        text=Text(
            "With all weights 0 each of V words gets 1/V, and whatever comes costs ln V nats. "
            "Its perplexity is V: as many words as it wavers between. A model is worth what it "
            "pays less; perplexities of different vocabularies cannot be compared.",
            "权重全为 0 时，V 个词各得 1/V，无论出现哪个词，代价都是 ln V 奈特。困惑度就是 V：它在"
            "多少个词之间犹豫。模型的价值在于少付了多少；不同词表的困惑度不能比较。",
        ),
        formula=["-ln(1/V) = ln V,   exp(ln V) = V"],
        tables=[
            Table(
                ("V", "-ln p", Text("bits", "比特"), Text("perplexity", "困惑度")),
                [
                    (size, n, n / math.log(2), ppl)
                    for size, n, ppl in zip(sizes, nats, found, strict=True)
                ],
            )
        ],
        values={"nats": nats, "perplexity": found},
        claims=[
            Claim(
                Text("it is ln V", "代价是 ln V"),
                all(abs(n - math.log(v)) < 1e-9 for n, v in zip(nats, sizes, strict=True)),
            ),
            Claim(
                Text("the perplexity is V", "困惑度是 V"),
                all(
                    ppl is not None and abs(ppl / v - 1) < 1e-9
                    for ppl, v in zip(found, sizes, strict=True)
                ),
            ),
        ],
    )
    config = ModelConfig(order=order, dim=dim, hidden=hidden, tie=False, output_bias=False)
    model = first_weights(config, V, seed)
    yield _parameters(model, order, dim, hidden, V)
    yield _first_loss(model, V, seed)


def _parameters(model: LanguageModel, order: int, dim: int, hidden: int, V: int) -> Step:
    shapes = {name: (tuple(p.shape), p.numel()) for name, p in model.named_parameters()}
    total = sum(count for _, count in shapes.values())
    by_words = sum(count for name, (_, count) in shapes.items() if "encoder" not in name)
    return Step(
        title=Text("How many numbers can learn", "有多少数可以学习"),
        text=Text(
            f"A feedforward model of order {order}: {order - 1} words of {dim} numbers each, "
            f"{hidden} hidden units, {V} words, no bias in the output layer.",
            f"{order} 元前馈模型：{order - 1} 个词，每个 {dim} 个数，{hidden} 个隐藏单元，{V} 个"
            "词，输出层没有偏置。",
        ),
        formula=[
            f"V d + (n - 1) d H + H + V H = {V}·{dim} + {order - 1}·{dim}·{hidden} + {hidden} "
            f"+ {V}·{hidden}"
        ],
        tables=[
            Table(
                (Text("weights", "权重"), Text("shape", "形状"), Text("numbers", "个数")),
                [
                    *(
                        (name, " x ".join(map(str, shape)), count)
                        for name, (shape, count) in shapes.items()
                    ),
                    (Text("together", "合计"), "", total),
                ],
            )
        ],
        values={"parameters": total, "shares_of_words": by_words / total},
        claims=[
            Claim(
                Text("the formula counts the same", "公式得到同样的个数"),
                total == V * dim + (order - 1) * dim * hidden + hidden + V * hidden,
            )
        ],
    )


def _first_loss(model: LanguageModel, V: int, seed: int) -> Step:
    generator = torch.Generator().manual_seed(seed)
    window = model.config.order - 1
    ids_BT = torch.randint(V, (ASKED, window), generator=generator)
    targets_B = torch.randint(V, (ASKED,), generator=generator)
    hidden, _ = model(ids_BT, model.initial_state(ASKED))
    mean = FullLoss(model)(hidden[:, -1], targets_B).item() / ASKED
    guess = math.log(V)
    return Step(
        title=Text("A first loss far from ln V is a mistake", "初始损失远离 ln V，说明有错"),
        text=Text(
            f"With small random weights the same model pays nearly ln V for {ASKED} words drawn "
            "at random. Who trains a model looks at the first loss before anything else.",
            f"用小的随机权重，同一个模型对随机抽取的 {ASKED} 个词付的代价接近 ln V。训练模型的人首"
            "先看初始损失。",
        ),
        tables=[
            Table(("ln V", Text("first loss", "初始损失")), [(guess, mean)]),
        ],
        values={"ln_V": guess, "first_loss": mean},
        claims=[
            Claim(
                Text("it is within 5 % of ln V", "与 ln V 相差不到 5 %"),
                abs(mean / guess - 1) < 0.05,
            )
        ],
    )
