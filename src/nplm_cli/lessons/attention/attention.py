"""W-26 and W-27: the eight steps of attention (``models/attention.py``), word vectors to word."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from nplm_cli.errors import ConfigError
from nplm_cli.lessons.lesson import Claim, Step, Table, Text, Value
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import numbers, small_model
from nplm_cli.models.attention import AttentionEncoder, AttentionLM, attention, split_heads

RUNS = (
    "nplm_cli.models.attention.AttentionLM",
    "nplm_cli.models.attention.attention",
    "nplm_cli.models.attention.split_heads",
    "nplm_cli.models.attention.SinusoidalPositions",
)
WORDS = ("这", "本", "书", "很", "好", "看")
PARAMETERS = {
    "vectors": Parameter(
        default=((0.2, 0.2), (0.3, 0.1), (0.2, 0.1), (0.1, 0.3), (0.1, 0.2), (0.1, 0.1)),
        help=Text("word vectors of 这, 本, 书, 很, 好, 看", "这、本、书、很、好、看的词向量"),
        low=-100, high=100,
    ),
    "context": Parameter(
        default=("这", "本", "书"), help=Text("the words before", "上文"), free=True
    ),
    "W": Parameter(
        default=((1.0, 0.0), (0.0, 1.0)),
        help=Text("W_q, W_k and W_v alike", "W_q、W_k、W_v 都用它"),
        low=-100, high=100,
    ),
    "q": Parameter(
        default=(0.1, 0.2, 0.2, 0.5), help=Text("a query of two heads", "含两个头的查询向量"),
        low=-10, high=10,
    ),
}  # fmt: skip
# Longer contexts make tables that nobody reads.
LONGEST = 12


def steps(vectors: Any, context: tuple[str, ...], W: Any, q: tuple[float, ...]) -> Iterator[Step]:
    """Steps 1 to 8 without positions, then with them; the mask; two heads."""
    for unknown in set(context) - set(WORDS):
        raise ConfigError(f"context: {unknown!r:.40} is none of {', '.join(WORDS)}")
    if len(context) > LONGEST:
        raise ConfigError(f"context: expected at most {LONGEST} words, found {len(context)}")
    ids = [WORDS.index(word) for word in context]
    projections = {f"encoder.layers.0.{name}.weight": W for name in ("query", "key", "value")}

    def model(positions: str) -> AttentionLM:
        weights = {"embedding.weight": vectors, **projections}
        made = small_model(
            len(WORDS), weights, arch="attention", dim=2, output_bias=False, positions=positions
        )
        assert isinstance(made, AttentionLM)
        return made

    with torch.no_grad():
        yield from _eight(model("none"), ids, "plain")
        yield from _with_positions(model("sinusoidal"), ids)
        yield _mask(model("sinusoidal"), ids)
        yield _heads(q)


def _inside(model: AttentionLM, ids: list[int]) -> dict[str, Tensor]:
    """What the encoder reads and makes of it: x, queries, keys, values, weights, c, p."""
    encoder = model.encoder
    assert isinstance(encoder, AttentionEncoder)
    ids_BT = torch.tensor([ids])
    x = model.embed(ids_BT)
    if encoder.positions is not None:
        x = x + encoder.positions(torch.arange(len(ids)))
    layer: Any = encoder.layers[0]
    a = model.attention_weights(ids_BT)[0][0, 0]
    hidden, _ = model(ids_BT, model.initial_state(1))
    p = model.logits(hidden[0, -1]).softmax(-1)
    query, key, value = layer.query(x)[0], layer.key(x)[0], layer.value(x)[0]
    scores = key @ query[-1] / math.sqrt(model.config.dim // (model.config.heads or 1))
    return {"x": x[0], "q": query, "k": key, "v": value, "b": scores, "a": a,
            "c": hidden[0, -1], "p": p}  # fmt: skip


def _values(found: dict[str, Tensor], prefix: str) -> dict[str, Value]:
    kept = {"b": found["b"], "a": found["a"][-1], "c": found["c"], "p": found["p"]}
    return {f"{prefix}_{name}": values.tolist() for name, values in kept.items()}


def _eight(model: AttentionLM, ids: list[int], prefix: str) -> Iterator[Step]:
    found = _inside(model, ids)
    words = [WORDS[i] for i in ids]
    rows = [
        (word, *x, *k)
        for word, x, k in zip(words, found["x"].tolist(), found["k"].tolist(), strict=True)
    ]
    yield Step(
        title=Text("1 to 4: vectors, queries, keys, values", "第 1 至 4 步：向量、查询、键、值"),
        text=Text(
            "1: each word's vector x. 2: positions, left out at first. 3: three products. 4: one "
            "head, so nothing is cut. The last word asks: its query q meets every key k.",
            "第 1 步：词向量 x。第 2 步：位置，先不加。第 3 步：三次相乘。第 4 步：只有一个头，"
            "不必切分。由最后一个词提问：它的查询 q 与每个键 k 相遇。",
        ),
        formula=["q = W_q x     k = W_k x     v = W_v x"],
        tables=[Table((Text("word", "词"), "x1", "x2", "k1", "k2"), rows, 2)],
        values={"x": found["x"].tolist(), "query": found["q"][-1].tolist()},
    )
    yield Step(
        title=Text("5 and 6: scores and weights", "第 5、6 步：得分与权重"),
        text=Text(
            "How well does each key fit the query? A softmax makes shares of it. Vectors of much "
            "the same direction give nearly equal shares.",
            "每个键与查询有多契合？softmax 把得分变成份额。方向相近的向量，份额也相近。",
        ),
        formula=["b_s = q · k_s / sqrt(D)", "a = softmax(b)"],
        tables=[_weights(words, found)],
        values={},
        claims=[
            Claim(
                Text("the weights sum to 1", "权重之和为 1"),
                abs(found["a"][-1].sum().item() - 1) < 1e-12,
            ),
            Claim(
                Text("they are the softmax of the scores", "权重就是得分的 softmax"),
                bool(torch.allclose(found["a"][-1], found["b"].softmax(-1), atol=1e-12)),
            ),
        ],
    )
    yield Step(
        title=Text("7 and 8: the sum, and the next word", "第 7、8 步：求和，下一个词"),
        text=Text(
            "The values, each by its weight, add up to a context vector c; its products with the "
            "word vectors are the scores of the next word.",
            "各个值按权重相加，得到上下文向量 c；c 与各词向量的内积就是下一个词的得分。",
        ),
        formula=["c = Σ_s a_s v_s = " + _row(found["c"]), "p = softmax(C c)"],
        tables=[_next(found)],
        values=_values(found, prefix),
    )


def _row(values: Tensor) -> str:
    return "[" + ", ".join(f"{value:.6f}" for value in values.tolist()) + "]"


def _weights(words: list[str], found: dict[str, Tensor]) -> Table:
    rows = zip(words, found["b"].tolist(), found["a"][-1].tolist(), strict=True)
    return Table((Text("word", "词"), "b", "a"), list(rows))


def _next(found: dict[str, Tensor]) -> Table:
    return Table((Text("word", "词"), "p"), list(zip(WORDS, found["p"].tolist(), strict=True)))


def _with_positions(model: AttentionLM, ids: list[int]) -> Iterator[Step]:
    found = _inside(model, ids)
    yield Step(
        title=Text("The same with positions", "加上位置再算一遍"),
        text=Text(
            "Now step 2 adds a vector for the place: the scores are about where words stand as "
            "much as about which they are.",
            "现在第 2 步给每个位置加上一个向量：得分既取决于是什么词，也取决于词在哪里。",
        ),
        formula=["c = " + _row(found["c"])],
        tables=[_weights([WORDS[i] for i in ids], found), _next(found)],
        values=_values(found, "placed"),
    )


def _mask(model: AttentionLM, ids: list[int]) -> Step:
    a = model.attention_weights(torch.tensor([ids]))[0][0, 0]
    words = [WORDS[i] for i in ids]
    lower = bool((a.triu(1) == 0).all())
    return Step(
        title=Text("Nobody sees what is to come", "谁也看不到后文"),
        text=Text(
            "A row for each word that asks, a column for each that is looked at: right of the "
            "diagonal all is 0, so a prediction knows its past alone.",
            "每行是提问的词，每列是被看的词：对角线右侧全为 0，所以预测只知道过去。",
        ),
        tables=[
            Table(
                (Text("asks", "提问"), *words),
                [(word, *row) for word, row in zip(words, a.tolist(), strict=True)],
                3,
            )
        ],
        values={"weights": a.tolist()},
        claims=[Claim(Text("no weight stands right of the diagonal", "对角线右侧没有权重"), lower)],
    )


def _heads(q: tuple[float, ...]) -> Step:
    q_RLE = numbers(q)[None, None]
    heads = split_heads(q_RLE, 2)
    # Beside a key of zeros, whose score is 0, the logarithm of the ratio of weights is the score.
    keys = torch.cat([heads, torch.zeros_like(heads)], dim=2)
    _, a = attention(heads, keys, keys, torch.ones(1, 2, dtype=torch.bool))
    scores = (a[0, :, 0, 0].log() - a[0, :, 0, 1].log()).tolist()
    cut = heads[0, :, 0].tolist()
    return Step(
        title=Text("Several heads", "多个头"),
        text=Text(
            "With two heads each vector is cut in half, and each half attends for itself; scores "
            "are divided by the root of the half's length. Here q is its own key.",
            "两个头时，每个向量切成两半，各自计算注意力；得分除以半个向量长度的平方根。这里 q "
            "自己作键。",
        ),
        formula=[f"sqrt(D) = sqrt({len(cut[0])}) = {math.sqrt(len(cut[0])):.6f}"],
        tables=[
            Table(
                (Text("head", "头"), "q1", "q2", Text("score", "得分")),
                [(i, *h, s) for i, (h, s) in enumerate(zip(cut, scores, strict=True), 1)],
            )
        ],
        values={"heads": cut, "scale": math.sqrt(len(cut[0])), "head_scores": scores},
    )
