"""The last step of the XOR lesson: a language whose third word is the XOR of the first two."""

import math
from functools import partial

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.small_models import small_model
from nplm_cli.lessons.training.descent import Descent
from nplm_cli.lessons.truth_tables import INPUTS, XOR
from nplm_cli.models.base import LanguageModel
from nplm_cli.training.losses import FullLoss

WORDS = ("0", "1")
LN2 = math.log(2)


def language_model(seed: int) -> Step:
    """The third word of 0 0 0, 0 1 1, 1 0 1, 1 1 0, by window models with word vectors."""
    contexts, third = torch.tensor(INPUTS), torch.tensor(XOR)

    def loss(model: LanguageModel) -> Tensor:
        hidden, _ = model(contexts, model.initial_state(len(contexts)))
        return FullLoss(model)(hidden[:, -1], third) / len(contexts)

    rows, values = [], {}
    for name, layers in (("hidden", 1), ("none", 0)):
        model = small_model(
            len(WORDS), {}, order=3, dim=2, hidden=8, layers=layers, activation="tanh"
        )
        model.init_weights(torch.Generator().manual_seed(seed))
        Descent(model, optimizer="adam", lr=0.1).down(partial(loss, model), 100)
        with torch.no_grad():
            hidden, _ = model(contexts, model.initial_state(len(contexts)))
            p = model.logits(hidden[:, -1]).softmax(-1)[range(4), XOR].tolist()
            values[f"lm_{name}"] = loss(model).item()
        rows.append((layers, *p, values[f"lm_{name}"]))
    return Step(
        title=Text("XOR as a language model", "作为语言模型的异或"),
        text=Text(
            "A language of two words and the sentences 0 0 0, 0 1 1, 1 0 1, 1 1 0: the third word "
            "is the XOR of the two before it. A window model predicts it, with a hidden layer of 8 "
            "tanh units and without one; both learn their word vectors, too.",
            "一种只有两个词的语言，句子是 0 0 0、0 1 1、1 0 1、1 1 0：第三个词是前两个词的异或。"
            "用窗口模型预测它，一个有 8 个 tanh 单元的隐藏层，一个没有；词向量也一起学习。",
        ),
        tables=[
            Table(
                (
                    Text("hidden layers", "隐藏层"),
                    *(f"p({t}|{a} {b})" for (a, b), t in zip(INPUTS, XOR, strict=True)),
                    "-ln p",
                ),
                rows,
                4,
            )
        ],
        values=values,
        claims=[
            Claim(
                Text("with a hidden layer the language is learned", "有隐藏层，就学会了"),
                values["lm_hidden"] < 0.1,
            ),
            Claim(
                Text(
                    f"without one no word is told from the other: -ln p stays at ln 2 = {LN2:.4f}",
                    f"没有隐藏层，两个词分不出来：-ln p 停在 ln 2 = {LN2:.4f}",
                ),
                abs(values["lm_none"] - LN2) < 0.01,
            ),
        ],
    )
