"""W-10: the feedforward language model of the lecture (Bengio et al. 2003), from words to loss."""

from collections.abc import Iterator
from typing import Any

import torch

from nplm_cli.bilingual import Table, Text
from nplm_cli.errors import ConfigError
from nplm_cli.evaluation.ledger import perplexity
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import encoder_of, numbers, small_model
from nplm_cli.lessons.windows.ffn_backward import backward
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.feedforward import FeedforwardLM, joined, product
from nplm_cli.training.losses import OutputLoss

RUNS = (
    "nplm_cli.models.feedforward.FeedforwardLM.forward",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
    "nplm_cli.models.feedforward.WindowEncoder.combined",
    "nplm_cli.models.activations.ACTIVATIONS",
    "nplm_cli.training.losses.OutputLoss.__call__",
    "nplm_cli.training.finite_differences.central_differences",
    "nplm_cli.training.optimizers.build_optimizer",
)
WORDS = ("这", "本", "书", "很", "乏味")
PARAMETERS = {
    "vectors": Parameter(
        default=((0.2, 0.1), (0.1, 0.3), (0.4, 0.2), (0.5, 0.4), (0.3, 0.2)),
        help=Text("word vectors of 这, 本, 书, 很, 乏味", "这、本、书、很、乏味的词向量"),
    ),
    "W": Parameter(
        default=(
            (0.1, 0.0, 0.2, 0.4, 0.2, 0.1, 0.0, 0.3),
            (0.5, 0.4, 0.2, 0.0, 0.2, 0.6, 0.0, 0.2),
        ),
        help=Text("weights of the hidden layer", "隐藏层的权重"),
    ),
    "context": Parameter(
        default=("这", "本", "书", "很"), help=Text("the words before", "上文的四个词")
    ),
    "word": Parameter(
        default="乏味", help=Text("the word that came", "实际出现的词"), choices=WORDS
    ),
    "activation": Parameter(
        default="tanh",
        help=Text("of the hidden layer", "隐藏层的激活函数"),
        choices=tuple(ACTIVATIONS),
    ),
    "places": Parameter(
        default=2, help=Text("decimals that h is rounded to", "h 保留几位小数"), low=0, high=12
    ),
    "columns": Parameter(
        default=5000, help=Text("words of the large table", "大词表的词数"), low=5, high=100_000
    ),
    "lr": Parameter(default=0.5, help=Text("learning rate", "学习率"), low=1e-6, high=1000),
}


def steps(
    vectors: Any,
    W: Any,
    context: tuple[str, ...],
    word: str,
    activation: str,
    places: int,
    columns: int,
    lr: float,
) -> Iterator[Step]:
    """Look-up, hidden layer, scores, softmax, loss, gradients, a step of gradient descent."""
    for unknown in set(context) - set(WORDS):
        raise ConfigError(f"context: {unknown!r:.40} is none of {', '.join(WORDS)}")
    ids, target = [WORDS.index(w) for w in context], WORDS.index(word)

    def lecture(**changes: Any) -> LanguageModel:
        settings = {
            "order": 5,
            "dim": 2,
            "hidden": 2,
            "tie": True,
            "activation": activation,
            "hidden_bias": False,
            "output_bias": False,
            **changes,
        }
        weights = {"embedding.weight": vectors}
        if settings.get("layers", 1):
            weights["encoder.layers.0.weight"] = W
        if not settings["tie"]:
            weights["output.weight"] = vectors
        return small_model(len(WORDS), weights, **settings)

    def read(model: LanguageModel) -> torch.Tensor:
        """What the output layer reads after the context."""
        hidden, _ = model(torch.tensor([ids]), model.initial_state(1))
        return hidden[0, -1]

    def loss(model: LanguageModel) -> torch.Tensor:
        bias = model.output.bias
        return OutputLoss()(read(model)[None], model.output_weight, bias, torch.tensor([target]))

    model = lecture()
    assert isinstance(model, FeedforwardLM)
    yield from _forward(model, ids, target, read)
    yield _rounded(model, read(model).tolist(), places)
    yield _large_table(model, read(model), vectors, target, columns)
    yield _alternatives(model, ids, read, lecture)
    yield from backward(lecture, read, loss, WORDS, ids, target, lr)


def _forward(model: FeedforwardLM, ids: list[int], target: int, read: Any) -> Iterator[Step]:
    encoder = encoder_of(model)
    rows = model.embedding.weight[ids]
    x = joined(encoder.combined(rows[None]))[0, 0]
    z = product(encoder.layers[0], [x])
    h = read(model)
    scores = model.logits(h)
    p = scores.softmax(-1)
    with torch.no_grad():
        yield Step(
            title=Text("Look the words up", "查表"),
            text=Text(
                "Each word of the context is a row of the table; the rows stand side by side.",
                "上文的每个词对应表中的一行，各行首尾相接。",
            ),
            tables=[
                Table(
                    (Text("word", "词"), "1", "2"),
                    [(WORDS[i], *row) for i, row in zip(ids, rows.tolist(), strict=True)],
                    2,
                )
            ],
            formula=["x = [" + ", ".join(f"{v:g}" for v in x.tolist()) + "]"],
            values={"x": x.tolist()},
        )
        yield Step(
            title=Text("The hidden layer", "隐藏层"),
            formula=[f"h = {model.config.activation}(W x)"],
            tables=[
                Table(
                    (Text("unit", "单元"), "W x", "h"),
                    [
                        (i, *pair)
                        for i, pair in enumerate(zip(z.tolist(), h.tolist(), strict=True), 1)
                    ],
                )
            ],
            values={"Wx": z.tolist(), "h": h.tolist()},
        )
        yield Step(
            title=Text("Scores, and a softmax over the five words", "得分，以及五个词上的 softmax"),
            text=Text(
                "The word vectors are the output layer, too: a word's score is its vector times h.",
                "输出层也用词向量：词的得分是其向量与 h 的内积。",
            ),
            formula=["s_w = C(w) · h", "p(w) = exp(s_w) / Σ_v exp(s_v)"],
            tables=[
                Table(
                    (Text("word", "词"), Text("score", "得分"), "p"),
                    list(zip(WORDS, scores.tolist(), p.tolist(), strict=True)),
                )
            ],
            values={"scores": scores.tolist(), "p": p.tolist()},
            claims=[
                Claim(
                    Text("the probabilities sum to 1", "概率之和为 1"),
                    abs(p.sum().item() - 1) < 1e-12,
                )
            ],
        )
        nll = model.prediction_nll(h[None], torch.tensor([target])).item()
        yield Step(
            title=Text("The loss: how surprising was the word?", "损失：这个词有多意外？"),
            formula=[f"-ln p({WORDS[target]}) = {nll:.6f}"],
            values={"nll": nll, "perplexity": perplexity(nll, 1)},
        )


@torch.no_grad()
def _rounded(model: LanguageModel, h: list[float], places: int) -> Step:
    """What comes out when the hidden layer is written down with few decimals."""
    h_short = [round(value, places) for value in h]
    scores = model.logits(numbers(h_short))
    p, p_short = model.logits(numbers(h)).softmax(-1), scores.softmax(-1)
    off = (p_short - p).abs().max().item()
    return Step(
        title=Text("Worked out on paper, h is rounded", "在纸上算时，h 要取近似值"),
        text=Text(
            f"With h to {places} decimals the last digits of p are others. Figures printed in a "
            "lecture are compared to the digits that they print, not more.",
            f"h 只保留 {places} 位小数时，p 的末几位就变了。讲义上的数字只能比到它印出的那一位。",
        ),
        formula=["h = [" + ", ".join(f"{v:.{places}f}" for v in h_short) + "]"],
        tables=[
            Table(
                (
                    Text("word", "词"),
                    Text("score", "得分"),
                    Text("p, h rounded", "p（h 近似）"),
                    Text("p, exact", "p（精确）"),
                ),
                list(zip(WORDS, scores.tolist(), p_short.tolist(), p.tolist(), strict=True)),
            )
        ],
        values={
            "h_rounded": h_short,
            "scores_rounded": scores.tolist(),
            "p_rounded": p_short.tolist(),
            "rounding_error": off,
        },
        claims=[
            Claim(
                Text("no probability moves by 0.001 or more", "没有一个概率的变化达到 0.001"),
                off < 1e-3,
            )
        ],
    )


@torch.no_grad()
def _large_table(
    model: LanguageModel, h: torch.Tensor, vectors: Any, target: int, columns: int
) -> Step:
    """The same scores in a softmax over many words, the others' vectors being 0."""
    rows = [*vectors, *[(0.0, 0.0)] * (columns - len(WORDS))]
    large = small_model(columns, {"embedding.weight": rows}, **vars(model.config) | {"layers": 0})
    p_many = large.logits(h).softmax(-1)
    p = p_many[target].item()
    p_few = model.logits(h).softmax(-1)[target].item()
    return Step(
        title=Text("In a larger vocabulary", "词表更大时"),
        text=Text(
            f"The same scores, but the softmax goes over {columns} words; the vectors of the "
            "others are 0, so each of them scores 0 and takes its share.",
            f"得分不变，但 softmax 取遍 {columns} 个词；其余各词的向量为 0，得分为 0，"
            "各自也分走一份概率。",
        ),
        tables=[
            Table(
                (Text("words", "词数"), f"p({WORDS[target]})"),
                [(len(WORDS), p_few), (columns, p)],
            )
        ],
        values={"p_in_large_table": p},
        claims=[
            Claim(
                Text(
                    "probabilities of unlike vocabularies cannot be compared: here p is far less",
                    "词表不同，概率就不可比：这里的 p 小得多",
                ),
                p < p_few / 10,
            )
        ],
    )


@torch.no_grad()
def _alternatives(model: FeedforwardLM, ids: list[int], read: Any, lecture: Any) -> Step:
    rows = model.embedding.weight[ids]
    z = product(encoder_of(model).layers[0], encoder_of(model).combined(rows[None]))[0, 0]
    largest = rows.max(0).values.tolist()
    combined = {how: read(lecture(combine=how, layers=0)).tolist() for how in ("sum", "mean")}
    others = {f: ACTIVATIONS[f](z).tolist() for f in ("relu", "sigmoid")}
    return Step(
        title=Text("Other ways to combine, other activations", "其他组合方式与激活函数"),
        text=Text(
            "The four vectors may also be added or averaged (--combine), or their largest "
            "components taken; each activation sees the same W x.",
            "四个向量也可以相加或取平均（--combine），或逐维取最大；激活函数作用于同样的 W x。",
        ),
        tables=[
            Table(
                ("", "1", "2"),
                [(n, *v) for n, v in {**combined, "max": largest, **others}.items()],
            )
        ],
        values={**combined, "max": largest, **others},
    )
