"""W-20: the recurrent network of the lecture (Elman 1990) reads six words, one after another."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.evaluation.ledger import perplexity
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import small_model
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.cells import rnn_step
from nplm_cli.training.losses import OutputLoss

RUNS = (
    "nplm_cli.models.recurrent.RecurrentLM.forward",
    "nplm_cli.models.recurrent.RecurrentLayer.forward",
    "nplm_cli.models.cells.rnn_step",
    "nplm_cli.training.losses.OutputLoss.__call__",
    "nplm_cli.evaluation.ledger.perplexity",
)
WORDS = ("这", "本", "书", "很", "好", "看")


def _matrix(default: Any, help: Text) -> Parameter:
    return Parameter(default=default, help=help, low=-100, high=100)


PARAMETERS = {
    "vectors": _matrix(
        ((0.2, 0.2), (0.3, 0.1), (0.2, 0.1), (0.1, 0.3), (0.1, 0.2), (0.1, 0.1)),
        Text("word vectors of 这, 本, 书, 很, 好, 看", "这、本、书、很、好、看的词向量"),
    ),
    "U": _matrix(
        ((0.0, 0.1), (0.1, 0.0)), Text("weights of the word that is read", "读入的词的权重")
    ),
    "W": _matrix(((0.1, 0.0), (0.0, 0.1)), Text("weights of the state before", "前一状态的权重")),
    "activation": Parameter(
        default="tanh", help=Text("of the state", "状态的激活函数"), choices=tuple(ACTIVATIONS)
    ),
    "instead": Parameter(
        default="看",
        help=Text("what the first word is exchanged for", "把第一个词换成哪个词"),
        choices=WORDS[1:],
    ),
}


def steps(vectors: Any, U: Any, W: Any, activation: str, instead: str) -> Iterator[Step]:
    """States, predictions and their loss; U and W exchanged; how long a word is remembered."""

    def lecture(read: Any, remembered: Any) -> LanguageModel:
        weights = {
            "embedding.weight": vectors,
            "encoder.layers.0.input.weight": read,
            "encoder.layers.0.recurrent.weight": remembered,
        }
        return small_model(
            len(WORDS),
            weights,
            arch="rnn",
            dim=2,
            hidden=2,
            tie=True,
            activation=activation,
            hidden_bias=False,
            output_bias=False,
        )

    with torch.no_grad():
        model = lecture(U, W)
        h = _states(model, range(len(WORDS)))
        yield _reading(model, h, activation)
        yield _predictions(model, h)
        yield _exchanged(h, _states(lecture(W, U), range(len(WORDS))))
        other = _states(model, [WORDS.index(instead), *range(1, len(WORDS))])
        yield _memory(h, other, instead)


def _states(model: LanguageModel, ids: Sequence[int]) -> Tensor:
    """The state (T, 2) after each of some words, from zeros."""
    hidden, _ = model(torch.tensor([list(ids)]), model.initial_state(1))
    return hidden[0]


def _reading(model: LanguageModel, h: Tensor, activation: str) -> Step:
    """The fused kernel's states beside those of the step that is written out."""
    read, remembered = (
        model.get_parameter(f"encoder.layers.0.{part}.weight") for part in ("input", "recurrent")
    )
    shares = model.embedding.weight @ read.T
    state = torch.zeros(1, 2, dtype=h.dtype)
    by_hand = []
    for share in shares:
        state = rnn_step(share[None], state, remembered, ACTIVATIONS[activation])
        by_hand.append(state[0])
    off = (torch.stack(by_hand) - h).abs().max().item()
    rows = [
        (t, word, *share, *own)
        for t, (word, share, own) in enumerate(
            zip(WORDS, shares.tolist(), h.tolist(), strict=True), 1
        )
    ]
    return Step(
        title=Text("Word by word", "逐词阅读"),
        text=Text(
            "The network has a state h of two numbers, at first 0. Each word makes a new one: from "
            "what is read (U x) and from the state before it (W h). The same U and W serve at "
            "every place, so a sentence may be of any length.",
            "网络有一个状态 h，由两个数组成，起初为 0。每读一个词就得到新的状态：一部分来自"
            "读入的词（U x），一部分来自前一状态（W h）。每个位置用的都是同样的 U 和 W，所以"
            "句子可长可短。",
        ),
        formula=[f"h_t = {activation}(U x_t + W h_(t-1)),  h_0 = 0"],
        tables=[Table(("t", Text("word", "词"), "U x: 1", "2", "h: 1", "2"), rows)],
        values={"h": h.tolist(), "by_hand": torch.stack(by_hand).tolist()},
        claims=[
            Claim(
                Text(
                    "the step written out gives what the model's fast kernel gives",
                    "逐步写出的公式与模型所用的快速内核结果相同",
                ),
                off <= 1e-12 * max(1.0, h.abs().max().item()),
            )
        ],
    )


def _predictions(model: LanguageModel, h: Tensor) -> Step:
    predictions = len(WORDS) - 1
    targets = torch.arange(1, len(WORDS))
    p = model.logits(h[:-1]).softmax(-1)
    nats = OutputLoss()(h[:-1], model.output_weight, model.output.bias, targets).item()
    ppl = perplexity(nats, predictions)
    of_next = p[torch.arange(predictions), targets]
    return Step(
        title=Text("After each word, the next", "读过每个词之后，预测下一个"),
        text=Text(
            "Score each word by its vector times h; a softmax over the six makes probabilities. "
            "Column t is what is predicted after word t; p(next) is that of the word that came.",
            "每个词的得分是其词向量与 h 的内积；对六个词作 softmax，就得到概率。第 t 列是读过"
            "第 t 个词之后的预测；p(next) 是实际出现的下一个词的概率。",
        ),
        formula=["p_t = softmax(C h_t)", "perplexity = exp(-1/5 Σ ln p(next))"],
        tables=[
            Table(
                (Text("word", "词"), *(f"t = {t}" for t in range(1, len(WORDS)))),
                [(word, *column) for word, column in zip(WORDS, p.T.tolist(), strict=True)],
            ),
            Table(
                ("t", Text("next", "下一词"), "p(next)"),
                [(t, word, of_next[t - 1].item()) for t, word in enumerate(WORDS[1:], 1)],
            ),
            Table(
                (Text("nats of all five", "五次预测的奈特数"), Text("perplexity", "困惑度")),
                [(nats, ppl)],
            ),
        ],
        values={
            "p": p.tolist(),
            "p_next": of_next.tolist(),
            "nll": nats,
            "perplexity": ppl,
        },
        claims=[
            Claim(
                Text("each column sums to 1", "每列之和为 1"),
                bool(torch.allclose(p.sum(1), torch.ones_like(p[:, 0]), rtol=0, atol=1e-12)),
            ),
            Claim(
                Text(
                    "nothing is learned yet: the perplexity is within 0.01 of 6, a blind guess",
                    "还没有学到什么：困惑度与瞎猜的 6 相差不到 0.01",
                ),
                ppl is not None and abs(ppl - len(WORDS)) < 0.01,
            ),
        ],
    )


def _exchanged(h: Tensor, swapped: Tensor) -> Step:
    return Step(
        title=Text("U and W are not the same thing", "U 与 W 不可混淆"),
        text=Text(
            "Some books call the two matrices the other way round. With their roles exchanged the "
            "first state is the same here, as 这 has two equal numbers; from the second on it is "
            "not.",
            "有的书里这两个矩阵的名字正好相反。把两者的角色对调：第一个状态在这里不变，因为“这”的"
            "两个数相等；从第二个起就不同了。",
        ),
        formula=["h_t = f(W x_t + U h_(t-1))"],
        tables=[
            Table(
                (
                    "t",
                    Text("word", "词"),
                    "h: 1",
                    "2",
                    Text("exchanged: 1", "对调：1"),
                    "2",
                ),
                [
                    (t, word, *a, *b)
                    for t, (word, a, b) in enumerate(
                        zip(WORDS, h.tolist(), swapped.tolist(), strict=True), 1
                    )
                ],
            )
        ],
        values={
            "h_exchanged": swapped.tolist(),
            "h_exchanged_2_and_3": swapped[1:3].tolist(),
        },
        claims=[
            Claim(
                Text("the second state is another", "第二个状态不同"),
                not torch.allclose(h[1], swapped[1], rtol=0, atol=1e-9),
            )
        ],
    )


def _memory(h: Tensor, other: Tensor, instead: str) -> Step:
    changes = (h - other).norm(dim=1)
    kept = [None, *(b / a if a else None for a, b in itertools.pairwise(changes.tolist()))]
    return Step(
        title=Text("How long is a word remembered?", "一个词能记多久？"),
        text=Text(
            f"Read {instead} in the place of 这 and see how far each state moves. What is left of "
            "the first word passes through W at every step.",
            f"把“这”换成“{instead}”，看每个状态变动多少。第一个词留下的东西，每一步都要"
            "经过一次 W。",
        ),
        formula=["|h_t - h'_t|"],
        tables=[
            Table(
                ("t", Text("word", "词"), Text("change", "变动"), Text("share kept", "保留的份额")),
                [
                    (t, WORDS[t - 1], change, kept[t - 1])
                    for t, change in enumerate(changes.tolist(), 1)
                ],
                8,
            )
        ],
        values={"changes": changes.tolist()},
        claims=[
            Claim(
                Text(
                    "after the sixth word less than a thousandth of it is left (see: vanishing)",
                    "读过第六个词后，剩下的不到千分之一（参见 vanishing 一课）",
                ),
                changes[-1].item() < changes[0].item() / 1000,
            )
        ],
    )
