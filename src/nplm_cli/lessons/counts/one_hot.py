"""W-12: a word as a vector with a single 1, and why nobody multiplies by it."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from nplm_cli.bilingual import Table, Text
from nplm_cli.config import DEFAULT_MAX_SIZE, ModelConfig
from nplm_cli.errors import ConfigError
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import numbers, small_model
from nplm_cli.models.base import LanguageModel
from nplm_cli.training.losses import FullLoss

RUNS = (
    "nplm_cli.models.base.WordTable",
    "nplm_cli.training.losses.OutputLoss.__call__",
)
PARAMETERS = {
    "E": Parameter(
        default=(
            (0.2, 0.1, 0.4, 0.5, 0.3, 0.0, 0.7),
            (0.1, 0.3, 0.2, 0.4, 0.2, 0.9, 0.1),
        ),
        help=Text("d rows, V columns: a word a column", "d 行 V 列：一列一个词"),
        low=-10,
        high=10,
        free=True,
    ),
    "index": Parameter(
        default=5, help=Text("of the word, from 1", "词的编号，从 1 起"), low=1, high=64
    ),
    "context": Parameter(
        default=(5, 2, 7), help=Text("three words of a context", "上文的三个词"), low=1, high=64
    ),
    "target": Parameter(default=6, help=Text("the word that came", "实际出现的词"), low=1, high=64),
    "seed": Parameter(
        default=1, help=Text("other weights of step 4", "第 4 步其余权重的种子"), low=0, high=10**6
    ),
}
LONGEST_SHOWN = 20
# Vocabulary and dimension of real models.
REAL = ((DEFAULT_MAX_SIZE, ModelConfig().dim), (100_000, 300))


def steps(E: Any, index: int, context: tuple[int, ...], target: int, seed: int) -> Iterator[Step]:
    """The vector of one word, that of a context, what both ways cost, who gets a gradient."""
    d, V = len(E), len(E[0])
    if any(len(row) != V for row in E):
        raise ConfigError("E: its rows differ in length: expected a number for each word in each")
    if V < 2:
        raise ConfigError("E: expected at least two columns, a word each")
    for name, ids in (("index", (index,)), ("context", context), ("target", (target,))):
        if max(ids) > V:
            raise ConfigError(f"{name}: word {max(ids)} of {V}: E has a column for each word")

    def model_of(tie: bool) -> LanguageModel:
        shape: dict[str, Any] = {"order": len(context) + 1, "dim": d, "hidden": d, "tie": tie}
        model = small_model(V, {}, **shape)
        model.init_weights(torch.Generator().manual_seed(seed))
        with torch.no_grad():
            model.embedding.weight.copy_(numbers(E).T)
        return model

    model = model_of(False)
    yield _one(model, index)
    yield _several(model, context)
    yield _cost(d, V)
    yield _gradients(model, model_of(True), context, target)


def _one(model: LanguageModel, index: int) -> Step:
    table_VE = model.embedding.weight.detach()
    V, d = table_VE.shape
    x = one_hot(torch.tensor(index - 1), V).double()
    product = table_VE.T @ x
    row = model.embedding(torch.tensor(index - 1)).detach()
    more = "]" if V <= LONGEST_SHOWN else ", ...]"
    return Step(
        title=Text("One word", "一个词"),
        text=Text(
            f"Word {index} of {V} as a vector: 1 in its place and 0 elsewhere. E has a column "
            f"of {d} numbers for each word; E x takes word {index} out of it. nplm keeps the "
            "table on its side, a row a word, and looks the row up.",
            f"{V} 个词中的第 {index} 个写成向量：在它的位置上是 1，其余为 0。E 中每个词占一列（{d} "
            f"个数），E x 取出第 {index} 个词的那一列。nplm 把表转置存放，一行一个词，直接查行。",
        ),
        formula=[
            f"x_{index} = [" + ", ".join(f"{v:g}" for v in x.tolist()[:LONGEST_SHOWN]) + more,
            f"E x_{index} = E[:, {index}]",
        ],
        tables=[
            Table(
                ("", "E x", Text("looked up", "查表")),
                [
                    (i, *v)
                    for i, v in enumerate(zip(product.tolist(), row.tolist(), strict=True), 1)
                ],
            )
        ],
        values={"x": x.tolist(), "product": product.tolist(), "row": row.tolist()},
        claims=[
            Claim(Text("both are the same", "两者相同"), torch.equal(product, row)),
        ],
    )


def _several(model: LanguageModel, context: tuple[int, ...]) -> Step:
    table_VE = model.embedding.weight.detach()
    ids = torch.tensor(context) - 1
    X_TV = one_hot(ids, len(table_VE)).double()
    rows = model.embedding(ids).detach()
    return Step(
        title=Text("A context", "一段上文"),
        text=Text(
            "The one-hot vectors of several words are the rows of a matrix X; X times the table "
            "is the looked-up rows, which a window model puts side by side.",
            "几个词的独热向量排成矩阵 X 的各行；X 乘以词表就是查到的各行，窗口模型把它们首尾相接。",
        ),
        tables=[
            Table(
                (Text("word", "词"), *map(str, range(1, rows.shape[1] + 1))),
                [(f"{i}", *row) for i, row in zip(context, rows.tolist(), strict=True)],
                4,
            )
        ],
        values={"rows": rows.tolist()},
        claims=[
            Claim(
                Text("X times the table gives these rows", "X 乘以词表得到这些行"),
                torch.equal(X_TV @ table_VE, rows),
            )
        ],
    )


def _cost(d: int, V: int) -> Step:
    sizes = ((V, d), *REAL)
    return Step(
        title=Text("What it costs", "代价"),
        text=Text(
            "The product multiplies every number of the table, nearly all of them by 0; the "
            "look-up copies d numbers. (The second row is nplm's usual size.)",
            "乘法要乘遍表中的每个数，几乎都是乘以 0；查表只复制 d 个数。（第二行是 nplm 的默认"
            "大小。）",
        ),
        tables=[
            Table(
                ("V", "d", Text("multiplications", "乘法次数"), Text("numbers read", "读取的数")),
                [(v, n, f"{v * n:,}", n) for v, n in sizes],
            )
        ],
        values={
            "multiplications": [v * n for v, n in sizes],
            "numbers_read": [n for _, n in sizes],
        },
    )


def _gradients(
    untied: LanguageModel, tied: LanguageModel, context: tuple[int, ...], target: int
) -> Step:
    found = []
    for model in (untied, tied):
        hidden, _ = model(torch.tensor([context]) - 1, model.initial_state(1))
        FullLoss(model)(hidden[:, -1], torch.tensor([target - 1])).backward()
        gradient = model.embedding.weight.grad
        assert isinstance(gradient, Tensor)
        found.append(gradient.norm(dim=1).tolist())
    moved = {i for i, length in enumerate(found[0], 1) if length}
    return Step(
        title=Text("Who learns?", "谁在学习？"),
        text=Text(
            f"A model reads the context and is told that word {target} came. The gradient of "
            "the table is 0 but in the rows of the context, so a rare word learns rarely. Where "
            "the output layer shares the table (--tie), every row gets some: each word was asked "
            "how likely it is.",
            f"模型读这段上文，并得知实际出现的是第 {target} 个词。词表的梯度只在上文各词的行上不为 "
            "0，所以罕见的词很少学习。若输出层与词表共享（--tie），每一行都得到梯度：每个词都被问到"
            "了概率。",
        ),
        tables=[
            Table(
                (
                    Text("word", "词"),
                    Text("in the context", "在上文中"),
                    Text("length of its gradient", "梯度的长度"),
                    "--tie",
                ),
                [
                    (f"{i}", Text("yes", "是") if i in context else "", *pair)
                    for i, pair in enumerate(zip(*found, strict=True), 1)
                ],
            )
        ],
        values={"gradient_lengths": found[0], "gradient_lengths_tied": found[1]},
        claims=[
            Claim(
                Text("only rows of the context got a gradient", "只有上文中的词得到梯度"),
                moved <= set(context),
            ),
            Claim(
                Text("tied, every row did", "共享时每一行都得到"),
                all(length > 0 for length in found[1]),
            ),
        ],
    )
