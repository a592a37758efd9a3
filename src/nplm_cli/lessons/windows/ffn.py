"""W-10: the feedforward language model of the lecture (Bengio et al. 2003), from words to loss."""

from collections.abc import Iterator
from typing import Any

import torch

from nplm_cli.config import TrainingConfig
from nplm_cli.errors import ConfigError
from nplm_cli.lessons.lesson import Claim, Step, Table, Text
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import encoder_of, small_model
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.feedforward import FeedforwardLM, joined, product
from nplm_cli.training.losses import OutputLoss
from nplm_cli.training.optimizers import build_optimizer
from nplm_cli.training.weights import FlatWeights

RUNS = (
    "nplm_cli.models.feedforward.FeedforwardLM.forward",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
    "nplm_cli.models.feedforward.WindowEncoder.combined",
    "nplm_cli.models.activations.ACTIVATIONS",
    "nplm_cli.training.losses.OutputLoss.__call__",
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
    "lr": Parameter(default=0.5, help=Text("learning rate", "学习率"), low=1e-6, high=1000),
}


def steps(
    vectors: Any, W: Any, context: tuple[str, ...], word: str, activation: str, lr: float
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
    yield from _forward(model, ids, target, read, lecture)
    yield from _backward(lecture, read, loss, target, lr)


def _forward(
    model: FeedforwardLM, ids: list[int], target: int, read: Any, lecture: Any
) -> Iterator[Step]:
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
            values={"nll": nll, "perplexity": 1 / p[target].item()},
        )
        largest = rows.max(0).values.tolist()
        combined = {how: read(lecture(combine=how, layers=0)).tolist() for how in ("sum", "mean")}
        others = {f: ACTIVATIONS[f](z).tolist() for f in ("relu", "sigmoid")}
        yield Step(
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


def _backward(lecture: Any, read: Any, loss: Any, target: int, lr: float) -> Iterator[Step]:
    tied, untied = lecture(), lecture(tie=False)
    first = loss(tied)
    first.backward()
    loss(untied).backward()
    hidden = read(tied).detach().requires_grad_()
    scores = tied.logits(hidden)
    grad_scores, grad_h = torch.autograd.grad(-scores.log_softmax(-1)[target], (scores, hidden))
    grad_W = tied.encoder.layers[0].weight.grad
    total, output = tied.embedding.weight.grad, untied.output.weight.grad
    yield Step(
        title=Text("Backward: the gradient of each weight", "反向：每个权重的梯度"),
        text=Text(
            "What is passed back is p - 1 at the word that came and p elsewhere. A tied word "
            "vector is pulled from two sides: as a row of the output layer and as a word of the "
            "context.",
            "往回传的是：实际出现的词处 p - 1，其余处 p。共享的词向量受到两方面的作用：作为输出"
            "层的一行，以及作为上文的词。",
        ),
        tables=[
            Table(
                (
                    Text("word", "词"),
                    Text("output side", "输出一侧"),
                    "",
                    Text("both sides", "两侧合计"),
                    "",
                ),
                [
                    (w, *a, *b)
                    for w, a, b in zip(WORDS, output.tolist(), total.tolist(), strict=True)
                ],
            ),
        ],
        values={
            "grad_scores": grad_scores.tolist(),
            "grad_h": grad_h.tolist(),
            "grad_W": grad_W.tolist(),
            "grad_vectors": total.tolist(),
            "grad_output_rows": output.tolist(),
        },
    )

    after = {}
    for name, frozen in (("W", True), ("W and C", False)):
        model = lecture()
        model.embedding.weight.requires_grad_(not frozen)
        weights = FlatWeights(model)
        optimizer = build_optimizer(weights, TrainingConfig(optimizer="sgd", lr=lr))
        loss(model).backward()
        weights.collect_gradients()
        optimizer.step()
        after[name] = loss(model).item()
    yield Step(
        title=Text("One step of gradient descent", "梯度下降一步"),
        formula=[f"W <- W - {lr:g} dL/dW"],
        tables=[
            Table(
                (Text("changed", "更新"), "-ln p"),
                [("-", first.item()), *after.items()],
            )
        ],
        values={"nll_after_W": after["W"], "nll_after_W_and_C": after["W and C"]},
        claims=[
            Claim(
                Text("the word has become likelier", "这个词的概率变大了"),
                max(after.values()) < first.item(),
            )
        ],
    )
