"""W-25: sinusoidal positions (Vaswani et al. 2017, 3.5), and why a shift is a rotation."""

from collections.abc import Iterator

import torch
from torch import Tensor

from nplm_cli.lessons.lesson import Claim, Step, Table, Text
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.models import attention

RUNS = ("nplm_cli.models.attention.sinusoidal_positions",)
COUNT = 6
# Columns of a table, and numbers whose rounding is 1e-15 or so.
SHOWN = 4
ROUNDING = 1e-12
PARAMETERS = {
    "pairs": Parameter(
        default=2, help=Text("pairs of sine and cosine, d/2", "正弦余弦的对数，即 d/2"),
        low=1, high=256,
    ),
    "more_pairs": Parameter(
        default=250, help=Text("the same of a larger dimension", "较大维数的对数"), low=1, high=1024
    ),
    "pos": Parameter(default=2, help=Text("a position", "一个位置"), low=1, high=1000),
    "shift": Parameter(default=4, help=Text("how far it is moved", "平移多远"), low=1, high=1000),
}  # fmt: skip


def steps(pairs: int, more_pairs: int, pos: int, shift: int) -> Iterator[Step]:
    """The vectors, the wave of each pair, a shift as rotations, and dot products."""
    dim, wide = 2 * pairs, 2 * more_pairs
    small, large = (attention.sinusoidal_positions(COUNT, d) for d in (dim, wide))
    yield Step(
        title=Text("A vector for each position", "每个位置一个向量"),
        text=Text(
            "Attention itself does not see the order of the words: a vector that depends on the "
            "place is added to each word vector. Even columns are sines, odd ones cosines; the "
            f"first {min(dim, SHOWN)} of d = {dim}, then of d = {wide}.",
            "注意力本身看不到词的先后：给每个词向量加上一个只由位置决定的向量。偶数列是正弦，"
            f"奇数列是余弦；先列 d = {dim} 的前 {min(dim, SHOWN)} 列，再列 d = {wide} 的。",
        ),
        formula=[
            "y_pos,2i   = sin(pos / 10000^(2i/d))",
            "y_pos,2i+1 = cos(pos / 10000^(2i/d))      pos = 1, 2, ...",
        ],
        tables=[_vectors(small), _vectors(large)],
        values={
            "positions": small.tolist(),
            **{f"wide_{pos}": row for pos, row in enumerate(large[:, :SHOWN].tolist(), 1)},
        },
        claims=[
            Claim(
                Text(
                    "every vector has the same length, the root of d/2",
                    "所有向量等长，都是 d/2 的平方根",
                ),
                bool(((small.norm(dim=1) - (dim / 2) ** 0.5).abs() < ROUNDING).all()),
            )
        ],
    )
    yield _waves(dim)
    yield _shift(dim, pos, shift)
    yield _products(dim, shift)


def _vectors(table: Tensor) -> Table:
    shown = table[:, :SHOWN].tolist()
    columns = ("pos", *(f"y_{i}" for i in range(len(shown[0]))))
    return Table(columns, [(pos, *row) for pos, row in enumerate(shown, 1)])


def _waves(dim: int) -> Step:
    first = attention.sinusoidal_positions(1, dim)[0]
    angle = torch.atan2(first[0::2], first[1::2])
    pairs = sorted({0, dim // 4, dim // 2 - 1})
    lengths = (2 * torch.pi / angle).tolist()
    return Step(
        title=Text("Fast and slow waves", "快波与慢波"),
        text=Text(
            "Each pair of columns is a hand of a clock. The first turns once in 2π positions, the "
            "last hardly moves: together they tell near and far places apart.",
            "每一对列好比时钟的一根指针：第一根每 2π 个位置转一圈，最后一根几乎不动；合在一起，"
            "远近的位置都能分辨。",
        ),
        tables=[
            Table(
                (Text("pair i", "第 i 对"), Text("angle of a step", "每步转角"),
                 Text("positions in a turn", "一圈的位置数")),
                [(i, angle[i].item(), lengths[i]) for i in pairs],
                4,
            )
        ],
        values={"angles": [angle[i].item() for i in pairs]},
        claims=[
            Claim(
                Text("each pair turns more slowly than the one before", "每一对都比前一对转得慢"),
                bool((angle.diff() < 0).all()),
            )
        ],
    )  # fmt: skip


def _shift(dim: int, pos: int, shift: int) -> Step:
    y = attention.sinusoidal_positions(pos + shift, dim)
    at, moved, by = y[pos - 1], y[pos + shift - 1], y[shift - 1]
    sin, cos, sin_k, cos_k = at[0::2], at[1::2], by[0::2], by[1::2]
    turned = torch.stack([sin * cos_k + cos * sin_k, cos * cos_k - sin * sin_k], 1).flatten()
    off = (turned - moved).abs().max().item()
    rows = [(i, moved[i].item(), turned[i].item()) for i in range(min(dim, SHOWN))]
    return Step(
        title=Text("A shift is a rotation", "平移就是旋转"),
        text=Text(
            f"The vector of position {pos} + {shift} is that of {pos}, each pair turned by an "
            f"angle which depends on {shift} alone: wherever a word stands, 'so many places "
            "further' is one and the same matrix.",
            f"位置 {pos} + {shift} 的向量，就是位置 {pos} 的向量逐对旋转一个只取决于 {shift} 的"
            "角度：无论词在何处，“往后若干位”总是同一个矩阵。",
        ),
        formula=[
            "sin(a + b) = sin a cos b + cos a sin b",
            "cos(a + b) = cos a cos b - sin a sin b",
        ],
        tables=[Table(("i", f"y_{pos + shift}", Text("y turned", "旋转 y 而得")), rows)],
        values={"shifted": moved.tolist(), "turned": turned.tolist(), "shift_error": off},
        claims=[
            Claim(Text("the two agree but for rounding", "除舍入误差外两者相等"), off < ROUNDING)
        ],
    )


def _products(dim: int, shift: int) -> Step:
    places = (1, 2, 10, 100)
    y = attention.sinusoidal_positions(max(places) + shift, dim)
    products = [(y[p - 1] @ y[p + shift - 1]).item() for p in places]
    distances = [1, 2, 4, 8, 16]
    z = attention.sinusoidal_positions(1 + max(distances), dim)
    by_distance = [(z[0] @ z[d]).item() for d in distances]
    return Step(
        title=Text("Dot products know the distance", "内积只取决于距离"),
        text=Text(
            "What attention computes between two positions depends on how far apart they are, and "
            "on nothing else.",
            "注意力在两个位置之间算出的内积只取决于它们相距多远。",
        ),
        tables=[
            Table(
                (Text("positions", "位置"), "y · y"),
                [(f"{p}, {p + shift}", v) for p, v in zip(places, products, strict=True)],
            ),
            Table(
                (Text("distance", "距离"), "y · y"),
                list(zip(distances, by_distance, strict=True)),
            ),
        ],
        values={"products": products, "by_distance": by_distance},
        claims=[
            Claim(
                Text(
                    f"positions that are {shift} apart have one product",
                    f"相距 {shift} 的位置内积都相同",
                ),
                max(products) - min(products) < ROUNDING * dim,
            ),
            Claim(
                Text("it is the largest, d/2, at distance 0", "距离为 0 时最大，等于 d/2"),
                max(*products, *by_distance) <= dim / 2 + ROUNDING * dim,
            ),
        ],
    )
