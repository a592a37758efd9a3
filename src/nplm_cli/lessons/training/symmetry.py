"""Why weights do not start at zero, or equal: units that start alike stay alike."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import small_model
from nplm_cli.lessons.training.corpus import Corpus, our_corpus
from nplm_cli.lessons.training.descent import Descent
from nplm_cli.lessons.training.hidden_units import learning_xor
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.feedforward import FeedforwardLM

RUNS = (
    "nplm_cli.models.activations.ACTIVATIONS",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
    "nplm_cli.training.losses.OutputLoss.__call__",
    "nplm_cli.training.optimizers.build_optimizer",
    "nplm_cli.ngram.unigram.unigram_log_probs",
)
PARAMETERS = {
    "activation": Parameter(
        default="tanh",
        help=Text("of the hidden layer", "隐藏层的激活函数"),
        choices=tuple(ACTIVATIONS),
    ),
    "hidden": Parameter(default=3, help=Text("hidden units", "隐藏单元数"), low=2, high=8),
    "start": Parameter(
        default=0.5, help=Text("of every weight in step 3", "第 3 步所有权重的初值"), low=-2, high=2
    ),
    "steps": Parameter(default=100, help=Text("steps of Adam", "Adam 的步数"), low=20, high=500),
    "lr": Parameter(default=0.05, help=Text("learning rate", "学习率"), low=1e-4, high=0.5),
    "seed": Parameter(
        default=1, help=Text("of random weights", "随机权重的种子"), low=0, high=10**6
    ),
}
LM = {"order": 4, "dim": 8}


def steps(
    activation: str, hidden: int, start: float, steps: int, lr: float, seed: int
) -> Iterator[Step]:
    """A language model from zero; units from equal and from random weights; large weights."""
    corpus = our_corpus()
    training = {"optimizer": "adam", "lr": lr}

    def language_model(init: str) -> LanguageModel:
        shape: dict[str, Any] = {**LM, "hidden": 2 * hidden, "activation": activation}
        model = small_model(corpus.words, {}, init=init, **shape)
        model.init_weights(torch.Generator().manual_seed(seed))
        return model

    yield _gradients(language_model("zero"), corpus)
    yield _from_zero(language_model, corpus, training, steps)

    yield from learning_xor(hidden, activation, start, seed, training, steps)
    yield _large(language_model, corpus, training, steps)


def _gradients(model: LanguageModel, corpus: Corpus) -> Step:
    corpus.loss(model).backward()
    sizes = {
        name: 0.0 if p.grad is None else p.grad.abs().max().item()
        for name, p in model.named_parameters()
    }
    word_side = max(sizes["embedding.weight"], sizes["encoder.layers.0.weight"])
    return Step(
        title=Text("All weights 0: who gets a gradient?", "权重全为 0：谁得到梯度？"),
        text=Text(
            "A feedforward language model with --init zero reads our seven sentences. A gradient "
            "is made of what a weight reads times what comes back to it, and nearly everywhere "
            "one of the two is 0.",
            "用 --init zero 的前馈语言模型读我们的七个句子。梯度由权重读到的值乘以传回的误差构成，"
            "而几乎处处二者之一为 0。",
        ),
        tables=[
            Table(
                (Text("weight", "权重"), Text("largest gradient", "最大梯度")), list(sizes.items())
            )
        ],
        values={"gradients": list(sizes.values())},
        claims=[
            Claim(
                Text(
                    "neither word vectors nor the weights that read them get any",
                    "词向量和读词向量的权重都没有得到梯度",
                ),
                word_side == 0,
            )
        ],
    )


def _from_zero(
    language_model: Callable[[str], LanguageModel],
    corpus: Corpus,
    training: dict[str, Any],
    steps: int,
) -> Step:
    zero, small = language_model("zero"), language_model("small")
    curves = [curve(model, corpus, training, steps) for model in (zero, small)]
    shown = sorted({round(steps * i / 5) for i in range(6)})
    read = [zero.embedding.weight, *(w for n, w in zero.named_parameters() if "layers.0.w" in n)]
    return Step(
        title=Text("So it never sees a word", "所以它永远看不见词"),
        text=Text(
            f"Both models are trained for {steps} steps. The one that began at zero learns by "
            "its output biases alone, or by units that say the same after every context: how "
            "frequent each word is. The least loss that the words' shares of the "
            f"text allow is {corpus.unigram:.4f} nats a word.",
            f"两个模型各训练 {steps} 步。从零开始的模型只能靠输出偏置（或对任何上文都给出同样输出"
            f"的单元）学习：每个词有多常见。只凭各词在文中的份额，损失最低为每词 "
            f"{corpus.unigram:.4f} 奈特。",
        ),
        tables=[
            Table(
                (Text("step", "步"), "--init zero", "--init small"),
                [(i, *(c[i] for c in curves)) for i in shown],
                4,
            )
        ],
        values={
            "unigram": corpus.unigram,
            "zero": [curves[0][i] for i in shown],
            "small": [curves[1][i] for i in shown],
        },
        claims=[
            Claim(
                Text(
                    "from zero: word vectors and hidden weights are still 0 to the bit",
                    "从零开始：词向量与隐藏层权重仍然分毫不差地为 0",
                ),
                all(not bool(w.any()) for w in read),
            ),
            Claim(
                Text("and its loss is never below the unigram's", "其损失从未低于一元模型"),
                min(curves[0]) >= corpus.unigram - 1e-9,
            ),
            Claim(
                Text("from small random weights the loss is below it", "从小随机权重开始则低于它"),
                curves[1][-1] < corpus.unigram,
            ),
        ],
    )


def curve(
    model: LanguageModel, corpus: Corpus, training: dict[str, Any], steps: int
) -> list[float]:
    """The loss before each step, and after the last."""
    losses: list[float] = []

    def loss() -> Tensor:
        found = corpus.loss(model)
        losses.append(found.item())
        return found

    Descent(model, **training).down(loss, steps)
    loss()
    return losses


def _large(
    language_model: Callable[[str], LanguageModel],
    corpus: Corpus,
    training: dict[str, Any],
    steps: int,
) -> Step:
    rows = []
    for init in ("small", "uniform01", "gaussian01"):
        model = language_model(init)
        assert isinstance(model, FeedforwardLM)
        with torch.no_grad():
            h, _ = model(corpus.ids_BT, model.initial_state(len(corpus.ids_BT)))
        h_NH = h[corpus.counted_BT]
        deviation = h_NH.std(0).mean().item()
        losses = curve(model, corpus, training, steps)
        rows.append((init, h_NH.mean().item(), deviation, losses[0], losses[-1]))
    small, *large = rows
    return Step(
        title=Text("Random, but large and all of one sign", "随机，但大而同号"),
        text=Text(
            "--init uniform01 and gaussian01 draw every weight from 0 to 1. The units do differ, "
            "but their inputs add up to large sums of one sign: what they say hardly depends on "
            "the context, and the training begins later. (h: what the hidden units say after all "
            f"contexts; ln V = {np.log(corpus.words):.4f}.)",
            "--init uniform01 与 gaussian01 在 0 与 1 之间抽取每个权重。各单元确实不同，但输入累加"
            "成同号的大数：输出几乎不随上文变化，训练起步更晚。（h：隐藏单元在各个上文之后的输出；"
            f"ln V = {np.log(corpus.words):.4f}。）",
        ),
        tables=[
            Table(
                (
                    "--init",
                    Text("mean h", "h 的均值"),
                    Text("deviation", "标准差"),
                    Text("first loss", "初始损失"),
                    Text("last loss", "最终损失"),
                ),
                rows,
                4,
            )
        ],
        values={f"start_{name}": figures for name, *figures in rows},
        claims=[
            Claim(
                Text(
                    "the first loss of small weights is the nearest to ln V",
                    "小权重的初始损失最接近 ln V",
                ),
                all(
                    abs(small[3] - np.log(corpus.words)) < abs(r[3] - np.log(corpus.words))
                    for r in large
                ),
            ),
        ],
    )
