"""W-26, W-27: the eight steps of the attention language model, as ``models/attention.py`` has them.

Each is shown without and with sinusoidal positions; then what no position and what the causal
mask mean.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from nplm_cli.bilingual import Cell, Table, Text
from nplm_cli.errors import ConfigError
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import numbers, small_model
from nplm_cli.models.attention import AttentionLM, attention_scores, split_heads

RUNS = (
    "nplm_cli.models.attention.AttentionLayer.forward",
    "nplm_cli.models.attention.AttentionLM.attention_weights",
    "nplm_cli.models.attention.SinusoidalPositions.forward",
    "nplm_cli.models.attention.attention_scores",
    "nplm_cli.models.attention.split_heads",
)
WORDS = ("这", "本", "书", "很", "好", "看")
VARIANTS = ("none", "sinusoidal")
IDENTITY = ((1.0, 0.0), (0.0, 1.0))


def _matrix(default: Any, help: Text) -> Parameter:
    return Parameter(default=default, help=help, low=-100, high=100)


PARAMETERS = {
    "vectors": _matrix(
        ((0.2, 0.2), (0.3, 0.1), (0.2, 0.1), (0.1, 0.3), (0.1, 0.2), (0.1, 0.1)),
        Text("word vectors of 这, 本, 书, 很, 好, 看", "这、本、书、很、好、看的词向量"),
    ),
    "text": Parameter(
        default=("这", "本", "书"), help=Text("the words that are read", "读入的词"), free=True
    ),
    "W_q": _matrix(IDENTITY, Text("weights of the queries", "查询的权重")),
    "W_k": _matrix(IDENTITY, Text("weights of the keys", "键的权重")),
    "W_v": _matrix(IDENTITY, Text("weights of the values", "值的权重")),
    "q": _matrix((0.1, 0.2, 0.2, 0.5), Text("what step 4 cuts into heads", "第 4 步切分的向量")),
    "heads": Parameter(
        default="2", help=Text("heads of step 4", "第 4 步的头数"), choices=("1", "2", "4")
    ),
}


def steps(
    vectors: Any, text: tuple[str, ...], W_q: Any, W_k: Any, W_v: Any, q: Any, heads: str
) -> Iterator[Step]:
    """The eight steps, the order of words, the causal mask."""
    for unknown in set(text) - set(WORDS):
        raise ConfigError(f"text: {unknown!r:.40} is none of {', '.join(WORDS)}")

    def lecture(positions: str) -> AttentionLM:
        weights = {"embedding.weight": vectors}
        for name, values in (("query", W_q), ("key", W_k), ("value", W_v)):
            weights[f"encoder.layers.0.{name}.weight"] = values
        settings: dict[str, Any] = {
            "arch": "attention",
            "dim": 2,
            "output_bias": False,
            "positions": positions,
        }
        model = small_model(len(WORDS), weights, **settings)
        assert isinstance(model, AttentionLM)
        return model

    ids = [WORDS.index(word) for word in text]
    with torch.no_grad():
        models = {name: lecture(name) for name in VARIANTS}
        x = {name: _inputs(model, ids) for name, model in models.items()}
        qkv = {name: _projected(models[name], x[name]) for name in VARIANTS}
        scores = {name: _scores(*qkv[name][:2])[-1] for name in VARIANTS}
        weights = {name: _weights(model, ids) for name, model in models.items()}
        context = {name: _read(model, ids) for name, model in models.items()}
        p = {name: models[name].logits(context[name]).softmax(-1) for name in VARIANTS}
        yield _vectors(text, x["none"])
        yield _positions(text, x)
        yield _projections(text, qkv["sinusoidal"])
        yield _heads(numbers(q), int(heads))
        yield _score_step(text, scores)
        yield _weight_step(text, scores, weights)
        yield _context_step(qkv, weights, context)
        yield _prediction_step(p)
        yield _order(models, ids)
        yield _mask(text, weights["sinusoidal"])


def _inputs(model: AttentionLM, ids: list[int]) -> Tensor:
    """Word vectors (T, 2), with their positions where the model has them."""
    x = model.embedding.weight[ids]
    positions = model.encoder.positions
    return x + positions(torch.arange(len(ids))) if isinstance(positions, torch.nn.Module) else x


def _projected(model: AttentionLM, x: Tensor) -> list[Tensor]:
    names = ("query", "key", "value")
    matrices = [model.get_parameter(f"encoder.layers.0.{name}.weight") for name in names]
    return [x @ matrix.T for matrix in matrices]


def _scores(q: Tensor, k: Tensor) -> Tensor:
    """Scores (T, T) of one head."""
    return attention_scores(split_heads(q[None], 1), split_heads(k[None], 1))[0, 0]


def _weights(model: AttentionLM, ids: Sequence[int]) -> Tensor:
    """Who looks at whom (T, T)."""
    return model.attention_weights(torch.tensor([list(ids)]))[0][0, 0]


def _read(model: AttentionLM, ids: Sequence[int]) -> Tensor:
    """What the output layer reads after the last word."""
    hidden, _ = model(torch.tensor([list(ids)]), model.initial_state(1))
    return hidden[0, -1]


def _vectors(text: Sequence[str], x: Tensor) -> Step:
    return Step(
        title=Text("Word vectors", "词向量"),
        text=Text(
            "Each word is a row of the table. What comes after the last of them?",
            "每个词是表中的一行。最后一个词之后会出现什么？",
        ),
        formula=["x = C(w)"],
        tables=[Table((Text("word", "词"), "1", "2"), _rows(text, x))],
        values={"x": x.tolist()},
    )


def _rows(names: Sequence[str], *tables: Tensor) -> list[Sequence[Cell]]:
    return [
        (name, *(value for table in tables for value in table[i].tolist()))
        for i, name in enumerate(names)
    ]


def _positions(text: Sequence[str], x: dict[str, Tensor]) -> Step:
    added = x["sinusoidal"] - x["none"]
    return Step(
        title=Text("Positions, added", "加上位置"),
        text=Text(
            "The vector of the place is added (see: positions). From here on there are two models: "
            "one without positions and one with.",
            "加上所在位置的向量（参见 positions 一课）。从这里起有两个模型：一个没有位置，一个有。",
        ),
        formula=["x = x + y(pos)"],
        tables=[
            Table(
                (Text("word", "词"), "y: 1", "2", "x + y: 1", "2"),
                _rows(text, added, x["sinusoidal"]),
            )
        ],
        values={"y": added.tolist(), "x_with_positions": x["sinusoidal"].tolist()},
    )


def _projections(text: Sequence[str], qkv: list[Tensor]) -> Step:
    names = ("query", "key", "value")
    return Step(
        title=Text("Queries, keys, values", "查询、键、值"),
        text=Text(
            "Three matrices make three vectors of each: what it looks for (query), by what it is "
            "found (key), what it gives (value). Here, with positions; unless changed, "
            "the matrices are the identity.",
            "三个矩阵把每个向量变成三个：它要找什么（查询），凭什么被找到（键），给出什么（值）。"
            "这里是有位置的模型；三个矩阵若不改动，都是单位矩阵。",
        ),
        formula=["q = W_q x,  k = W_k x,  v = W_v x"],
        tables=[
            Table((Text("word", "词"), "q: 1", "2", "k: 1", "2", "v: 1", "2"), _rows(text, *qkv), 4)
        ],
        values={name: vectors.tolist() for name, vectors in zip(names, qkv, strict=True)},
    )


def _heads(q: Tensor, heads: int) -> Step:
    pieces = split_heads(q[None, None], heads)
    size = pieces.shape[3]
    own = attention_scores(pieces, pieces)[0, :, 0, 0].tolist()
    cut = pieces[0, :, 0].tolist()
    rows = [
        (h, ", ".join(f"{value:g}" for value in piece), score)
        for h, (piece, score) in enumerate(zip(cut, own, strict=True), 1)
    ]
    return Step(
        title=Text("Heads", "多头"),
        text=Text(
            "Each of q, k and v is cut into equal pieces, a head each; every head looks on its "
            f"own. A vector of {len(q)} numbers and {heads} heads: scores are divided by the root "
            f"of {size}. (The model of the other steps has two dimensions and one head.)",
            f"把 q、k、v 各切成相等的几段，每段归一个头，各看各的。向量有 {len(q)} 个数、分成 "
            f"{heads} 个头时，得分除以 {size} 的平方根。（其他各步的模型是两维、一个头。）",
        ),
        formula=["D = E / H", f"sqrt(D) = {size**0.5:.6f}"],
        tables=[Table((Text("head", "头"), "q", "q · q / sqrt(D)"), rows)],
        values={"head_vectors": cut, "scale": size**0.5, "own_scores": own},
        claims=[
            Claim(
                Text("side by side the pieces are q again", "各段接起来又是 q"),
                [value for piece in cut for value in piece] == q.tolist(),
            )
        ],
    )


def _beside(names: Sequence[str], what: str, both: dict[str, Tensor]) -> Table:
    columns = (
        "",
        Text(f"{what}, no positions", f"{what}，无位置"),
        Text(f"{what}, positions", f"{what}，有位置"),
    )
    rows = [(name, *(both[v][i].item() for v in VARIANTS)) for i, name in enumerate(names)]
    return Table(columns, rows)


def _named(what: str, both: dict[str, Tensor]) -> dict[str, Any]:
    return {f"{what}_{variant}": both[variant].tolist() for variant in VARIANTS}


def _score_step(text: Sequence[str], scores: dict[str, Tensor]) -> Step:
    return Step(
        title=Text("Scores", "得分"),
        text=Text(
            "The query of the last word times the key of each word, divided by sqrt(D) so that "
            "scores do not grow with the dimension.",
            "最后一个词的查询与每个词的键作内积，再除以 sqrt(D)，使得分不随维数变大。",
        ),
        formula=["b_s = q_T · k_s / sqrt(D)"],
        tables=[_beside(text, "b", scores)],
        values=_named("scores", scores),
    )


def _weight_step(
    text: Sequence[str], scores: dict[str, Tensor], weights: dict[str, Tensor]
) -> Step:
    last = {variant: weights[variant][-1] for variant in VARIANTS}
    return Step(
        title=Text("Weights", "权重"),
        text=Text(
            "A softmax makes shares of them: how much the last word looks at each.",
            "softmax 把得分变成份额：最后一个词看每个词各多少。",
        ),
        formula=["a = softmax(b)"],
        tables=[_beside(text, "a", last)],
        values=_named("weights", last),
        claims=[
            Claim(
                Text(
                    "the model's weights are the softmax of these scores",
                    "模型的权重正是这些得分的 softmax",
                ),
                all(
                    bool(torch.allclose(last[v], scores[v].softmax(-1), rtol=0, atol=1e-12))
                    for v in VARIANTS
                ),
            )
        ],
    )


def _context_step(
    qkv: dict[str, list[Tensor]], weights: dict[str, Tensor], context: dict[str, Tensor]
) -> Step:
    sums = {v: weights[v][-1] @ qkv[v][2] for v in VARIANTS}
    off = max((sums[v] - context[v]).abs().max().item() for v in VARIANTS)
    size = max(1.0, *(context[v].abs().max().item() for v in VARIANTS))
    return Step(
        title=Text("The context", "上下文向量"),
        text=Text("The values are added, each times its weight.", "把各个值按权重加起来。"),
        formula=["c = Σ_s a_s v_s"],
        tables=[_beside(("1", "2"), "c", context)],
        values=_named("context", context),
        claims=[
            Claim(
                Text(
                    "the sum of step 6 gives what the model's fast kernel gives",
                    "按第 6 步的权重求和，与模型所用的快速内核结果相同",
                ),
                off <= 1e-12 * size,
            )
        ],
    )


def _prediction_step(p: dict[str, Tensor]) -> Step:
    return Step(
        title=Text("The next word", "下一个词"),
        text=Text(
            "The word vectors are the output layer, too: score each word by its vector times c.",
            "输出层也用词向量：每个词的得分是其词向量与 c 的内积。",
        ),
        formula=["p(w) = softmax(C c)"],
        tables=[_beside(WORDS, "p", p)],
        values=_named("p", p),
        claims=[
            Claim(
                Text("the probabilities sum to 1", "概率之和为 1"),
                all(abs(p[v].sum().item() - 1) < 1e-12 for v in VARIANTS),
            )
        ],
    )


def _order(models: dict[str, AttentionLM], ids: list[int]) -> Step:
    """The words before the last, read backwards."""
    other = [*ids[:-1][::-1], ids[-1]]
    change = {}
    for name, model in models.items():
        p, again = (model.logits(_read(model, text)).softmax(-1) for text in (ids, other))
        change[name] = (p - again).abs().max().item()
    return Step(
        title=Text("Without positions order is lost", "没有位置就没有次序"),
        text=Text(
            f"The eight steps are done; two checks. Read {' '.join(WORDS[i] for i in other)} "
            "instead: the words before the last the "
            "other way round. How far does any probability of the next word move?",
            f"八个步骤已完成，再做两个检验。改读“{' '.join(WORDS[i] for i in other)}”："
            "把最后一个词之前的词倒过来。下一个词的概率最多变多少？",
        ),
        tables=[
            Table(
                ("", Text("largest change of p", "p 的最大变化")),
                [
                    (Text("no positions", "无位置"), change["none"]),
                    (Text("positions", "有位置"), change["sinusoidal"]),
                ],
            )
        ],
        values={"order_none": change["none"], "order_sinusoidal": change["sinusoidal"]},
        claims=[
            Claim(
                Text("without positions: not at all", "没有位置：丝毫不变"),
                change["none"] < 1e-12,
            ),
            Claim(Text("with positions it does", "有位置：变了"), change["sinusoidal"] > 1e-6),
        ],
    )


def _mask(text: Sequence[str], weights: Tensor) -> Step:
    rows = [(word, *row) for word, row in zip(text, weights.tolist(), strict=True)]
    shown = [row[: 1 + 6] for row in rows[:6]]
    return Step(
        title=Text("Nobody looks ahead", "谁也不往后看"),
        text=Text(
            "All words are worked out at once, each row one of them. What comes later has weight "
            "0, or the model would see the word that it is to predict. With positions:",
            "所有的词同时计算，每行一个词。后面的词权重为 0，否则模型就看到了它要预测的词。有位置"
            "的模型：",
        ),
        formula=["b_ts = -inf   (s > t)"],
        tables=[Table(("", *(f"{i}" for i in range(1, len(shown[0])))), shown)],
        values={"mask": weights.tolist()},
        claims=[
            Claim(
                Text("above the diagonal all weights are 0", "对角线以上的权重全为 0"),
                bool((weights.triu(1) == 0).all()),
            ),
            Claim(
                Text("each row sums to 1", "每行之和为 1"),
                bool(torch.allclose(weights.sum(1), torch.ones_like(weights[0]), atol=1e-12)),
            ),
        ],
    )
