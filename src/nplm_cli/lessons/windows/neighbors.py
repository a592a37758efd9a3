"""W-18, W-38: how near two word vectors are, by angle and by distance, and what ties do."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.vectors.keyed import KeyedVectors

RUNS = (
    "nplm_cli.vectors.keyed.KeyedVectors.similarity",
    "nplm_cli.vectors.keyed.KeyedVectors.neighbors",
    "nplm_cli.vectors.nearest.exact_scores",
)
SYNONYMS = ("风趣", "幽默")
WORDS = ("这", "本", "书", "很", "乏味")
FIRST_FIVE = (0.01, 0.59, 0.18, 0.05, 0.47)
PARAMETERS = {
    "a": Parameter(
        default=(*FIRST_FIVE, 0.24, 0.15, 0.42, 0.51, 0.21),
        help=Text("what is read for 很 风趣", "“很 风趣”读入的数"),
    ),
    "b": Parameter(
        default=(*FIRST_FIVE, 0.25, 0.14, 0.43, 0.49, 0.23),
        help=Text("what is read for 很 幽默", "“很 幽默”读入的数"),
    ),
    "vectors": Parameter(
        default=((0.2, 0.1), (0.1, 0.3), (0.4, 0.2), (0.5, 0.4), (0.3, 0.2)),
        help=Text("word vectors of 这, 本, 书, 很, 乏味", "这、本、书、很、乏味的词向量"),
    ),
    "query": Parameter(default="乏味", help=Text("whose neighbours", "查谁的近邻"), choices=WORDS),
    "scale": Parameter(
        default=3.0, help=Text("factor on the query's vector", "查询词向量乘以几"), low=0, high=1e3
    ),
}


def steps(
    a: tuple[float, ...], b: tuple[float, ...], vectors: Any, query: str, scale: float
) -> Iterator[Step]:
    """Two synonyms; neighbours of five words by angle and by distance; a longer query."""
    yield _synonyms(np.array([a, b]))
    table = KeyedVectors(WORDS, np.array(vectors))
    yield _cosines(table)
    yield _distances(table, query)
    yield _scaled(table, query, scale)


def _synonyms(rows: np.ndarray) -> Step:
    whole, last = (KeyedVectors(SYNONYMS, part) for part in (rows, rows[:, 5:]))
    figures: dict[str, float] = {}
    for name, space in (("", whole), ("_last_five", last)):
        a, b = (space[word].astype(np.float64) for word in SYNONYMS)
        [[near]] = space.neighbors([SYNONYMS[0]], metric="euclidean")
        figures |= {
            f"cosine{name}": space.similarity(*SYNONYMS),
            f"dot{name}": float(a @ b),
            f"distance{name}": near.score,
        }
    shown = list(figures.values())
    return Step(
        title=Text("Two synonyms", "两个同义词"),
        text=Text(
            "After 很 a model reads ten numbers: five of 很 and five of the word that follows. For "
            "风趣 and 幽默 they are nearly the same, so whatever the model works out from them is "
            "nearly the same, too.",
            "“很”之后，模型读入十个数：五个属于“很”，五个属于后面的词。对“风趣”和"
            "“幽默”来说，这些数几乎一样，所以模型据此算出的一切也几乎一样。",
        ),
        formula=["cos(a, b) = a · b / (|a| |b|)", "d(a, b) = |a - b|"],
        tables=[
            Table(
                ("", Text("cosine", "余弦"), "a · b", Text("distance", "距离")),
                [
                    (Text("all ten", "全部十维"), *shown[:3]),
                    (Text("last five", "后五维"), *shown[3:]),
                ],
            )
        ],
        values=figures,
        claims=[
            Claim(
                Text("the angle between the two is below 5 degrees", "两个向量的夹角小于 5 度"),
                figures["cosine"] > math.cos(math.radians(5)),
            )
        ],
    )


def _ranked(table: KeyedVectors, word: str, metric: Any) -> tuple[list[int], list[float]]:
    """Rows and scores of all other words, the nearest first."""
    [found] = table.neighbors([word], metric=metric)
    return [table.index[near.word] for near in found], [near.score for near in found]


def _cosines(table: KeyedVectors) -> Step:
    values: dict[str, Any] = {}
    rows = []
    for word in WORDS:
        order, scores = _ranked(table, word, "cosine")
        values |= {f"{word}_order": order, f"{word}_cosines": scores}
        rows.append((word, *(f"{WORDS[i]} {s:.6f}" for i, s in zip(order, scores, strict=True))))
    to_dull = dict(zip(values["乏味_order"], values["乏味_cosines"], strict=True))
    return Step(
        title=Text("Neighbours by cosine", "按余弦找近邻"),
        text=Text(
            "Each word's neighbours, the nearest first. Equal cosines stay in the order of the "
            "vocabulary: 这 before 书.",
            "每个词的近邻，最近的在前。余弦相等时，按词表的顺序排列：“这”在“书”之前。",
        ),
        tables=[Table((Text("word", "词"), "1", "2", "3", "4"), rows)],
        values=values,
        claims=[
            Claim(
                Text(
                    "这 and 书 point the same way: 乏味 has the same cosine to both, to the bit",
                    "“这”与“书”方向相同：“乏味”与两者的余弦相等，一位不差",
                ),
                to_dull[0] == to_dull[2],
            ),
            Claim(
                Text(
                    "to be the nearest is not mutual: 本 is nearest to 很, 很 to another",
                    "最近邻不是相互的：“本”最近的是“很”，“很”最近的却是别的词",
                ),
                values["本_order"][0] == 3 and values["很_order"][0] != 1,
            ),
        ],
    )


def _distances(table: KeyedVectors, query: str) -> Step:
    order, distances = _ranked(table, query, "euclidean")
    by_cosine, _ = _ranked(table, query, "cosine")
    return Step(
        title=Text("Neighbours by distance", "按距离找近邻"),
        text=Text(
            "Euclidean distance also looks at how long the vectors are, and may order the same "
            "words otherwise.",
            "欧氏距离还要看向量的长短，所以同样的词可能排出另一种次序。",
        ),
        tables=[
            Table(
                (query, Text("distance", "距离"), Text("place by cosine", "按余弦的名次")),
                [
                    (WORDS[i], d, by_cosine.index(i) + 1)
                    for i, d in zip(order, distances, strict=True)
                ],
            )
        ],
        values={"distance_order": order, "distances": distances},
        claims=[
            Claim(
                Text(
                    "the two orders differ: nearest by angle is not nearest by distance",
                    "两种次序不同：夹角最小的并不是距离最近的",
                ),
                order[0] != by_cosine[0],
            )
        ],
    )


def _scaled(table: KeyedVectors, query: str, scale: float) -> Step:
    longer = table.vectors.copy()
    longer[table.index[query]] *= scale
    space = KeyedVectors(WORDS, longer)
    others = [word for word in WORDS if word != query]
    before, after = ([s.similarity(query, word) for word in others] for s in (table, space))
    distances = [dict(zip(*_ranked(s, query, "euclidean"), strict=True)) for s in (table, space)]
    rows = [table.index[word] for word in others]
    return Step(
        title=Text("The same direction, another length", "方向不变，长度改变"),
        text=Text(
            f"The vector of {query} times {scale:g}. The length of a vector says more of how often "
            "a word occurs than of what it means; the cosine does not see it, which is why it is "
            "the usual measure.",
            f"把“{query}”的向量乘以 {scale:g}。向量的长短更多地反映词的使用频率，而不是词义；"
            "余弦看不到长度，所以人们通常用余弦。",
        ),
        tables=[
            Table(
                (
                    query,
                    Text("cosine", "余弦"),
                    Text("then", "之后"),
                    Text("distance", "距离"),
                    Text("then", "之后"),
                ),
                [
                    (word, before[n], after[n], distances[0][rows[n]], distances[1][rows[n]])
                    for n, word in enumerate(others)
                ],
            )
        ],
        values={
            "scaled_cosines": after,
            "scaled_distances": [distances[1][row] for row in rows],
        },
        claims=[
            Claim(
                Text("no cosine has changed", "余弦都没有变"),
                bool(np.allclose(before, after, rtol=0, atol=1e-6)),
            ),
            Claim(
                Text("the distances have changed", "距离变了"),
                not np.allclose(
                    list(distances[0].values()), [distances[1][row] for row in distances[0]]
                ),
            ),
        ],
    )
