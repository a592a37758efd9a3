"""W-25: sinusoidal positions (Vaswani et al. 2017): a shift is a rotation."""

from collections.abc import Iterator

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.models.attention import sinusoidal_positions

RUNS = ("nplm_cli.models.attention.sinusoidal_positions",)
PARAMETERS = {
    "dim": Parameter(default=4, help=Text("dimensions d", "维数 d"), low=2, high=512),
    "wide": Parameter(
        default=500, help=Text("dimensions of step 2", "第 2 步的维数"), low=4, high=4096
    ),
    "count": Parameter(default=6, help=Text("positions", "位置个数"), low=6, high=64),
}
# Numbers of a row that are shown.
SHOWN = 4


def steps(dim: int, wide: int, count: int) -> Iterator[Step]:
    """Two tables, what a shift does, what products of positions depend on."""
    y = sinusoidal_positions(count, dim)
    yield _table(y, dim)
    yield _wide(sinusoidal_positions(count, wide), wide)
    yield _shift(y)
    yield _products(y)


def _rows(y: Tensor) -> list[tuple[int | float, ...]]:
    return [(pos, *row) for pos, row in enumerate(y[:, :SHOWN].tolist(), 1)]


def _table(y: Tensor, dim: int) -> Step:
    speeds = torch.atan2(y[0, ::2][: dim // 2], y[0, 1::2])
    lengths = (2 * torch.pi / speeds).tolist()
    return Step(
        title=Text("A vector for each position", "每个位置一个向量"),
        text=Text(
            "Attention does not know in which order words stand, so a vector of the position is "
            "added to each word vector. Its numbers come in pairs, a sine and a cosine: hands of "
            f"clocks that turn ever slower, here once in {lengths[0]:.2f} positions to once in "
            f"{lengths[-1]:.0f}. Positions count from 1; at most four numbers are shown.",
            "注意力不知道词的先后，所以要给每个词向量加上位置的向量。其中的数两个一对，一个正弦、"
            "一个余弦，好比越走越慢的钟表指针：这里最快的 "
            f"{lengths[0]:.2f} 个位置转一圈，最慢的 {lengths[-1]:.0f} 个位置转一圈。位置从 1 数起；"
            "表中最多列出四个数。",
        ),
        formula=[
            "y_2i = sin(pos / 10000^(2i/d))",
            "y_2i+1 = cos(pos / 10000^(2i/d))",
        ],
        tables=[Table(("pos", *map(str, range(min(dim, SHOWN)))), _rows(y))],
        values={"y": y.tolist(), "wavelengths": lengths},
        claims=[
            Claim(
                Text("no two positions have the same vector", "没有两个位置的向量相同"),
                torch.pdist(y).min().item() > 1e-6,
            )
        ],
    )


def _wide(y: Tensor, wide: int) -> Step:
    return Step(
        title=Text("With many dimensions", "维数很多时"),
        text=Text(
            f"The first four of {wide} numbers: the first pair is as before, the second turns "
            "nearly as fast, as there are many clocks now.",
            f"{wide} 个数中的前四个：第一对与前面相同；第二对转得几乎一样快，因为钟表多了。",
        ),
        tables=[Table(("pos", *map(str, range(SHOWN))), _rows(y))],
        values={
            "wide_rows": y[:, :SHOWN].tolist(),
            "wide_1_2_and_6": y[[0, 1, 5], :SHOWN].tolist(),
        },
    )


def _shift(y: Tensor) -> Step:
    """y(pos + k) from y(pos), pair by pair; an odd last sine has no cosine and is left out."""
    pairs = y.shape[1] // 2 * 2
    sin, cos = y[:, 0:pairs:2], y[:, 1:pairs:2]
    rows, largest = [], 0.0
    for pos in (1, 2):
        for k in (1, 2, 4):
            p, s = pos - 1, k - 1
            turned_sin = sin[p] * cos[s] + cos[p] * sin[s]
            turned_cos = cos[p] * cos[s] - sin[p] * sin[s]
            off = max(
                (turned_sin - sin[p + k]).abs().max().item(),
                (turned_cos - cos[p + k]).abs().max().item(),
            )
            largest = max(largest, off)
            rows.append((pos, k, turned_sin[0].item(), sin[p + k, 0].item(), f"{off:.0e}"))
    return Step(
        title=Text("A shift is a rotation", "平移就是旋转"),
        text=Text(
            "To go k positions on, turn each pair by an angle that depends on k alone, not on pos. "
            "A network can learn such a turn, so 'two words back' means the same everywhere. "
            "First number of each pair; error: the largest of all numbers.",
            "往后移 k 个位置，就是把每一对数转过一个角度，这个角度只取决于 k，与 pos 无关。网络"
            "学得会这样的旋转，所以“往前两个词”在哪里都是一个意思。表中是第一对的第一个数；误差是"
            "所有数中最大的。",
        ),
        formula=[
            "sin(a + b) = sin a cos b + cos a sin b",
            "cos(a + b) = cos a cos b - sin a sin b",
        ],
        tables=[
            Table(
                (
                    "pos",
                    "k",
                    Text("y(pos) turned", "旋转 y(pos)"),
                    "y(pos + k)",
                    Text("error", "误差"),
                ),
                rows,
            )
        ],
        values={"shift_error": largest},
        claims=[
            Claim(Text("they agree to less than 1e-14", "两者相差不到 1e-14"), largest < 1e-14)
        ],
    )


def _products(y: Tensor) -> Step:
    pairs = y.shape[1] // 2 * 2
    products = (y[:, :pairs] @ y[:, :pairs].T).tolist()
    count = len(products)
    spread = max(
        abs(products[i][j] - products[0][abs(i - j)]) for i in range(count) for j in range(count)
    )
    rows = [(k, products[0][k], products[1][1 + k], products[2][2 + k]) for k in range(4)]
    return Step(
        title=Text("Products of positions", "位置的内积"),
        text=Text(
            "Attention compares vectors by products. That of two position vectors as they are "
            "depends on how far apart they stand, not on where, and is largest at distance 0: d/2. "
            "In a model words are added, and W_q and W_k come between: they learn which "
            "distances matter.",
            "注意力用内积比较向量。两个位置向量本身的内积取决于相距多远，与在哪里无关；距离为 0 "
            "时最大，等于 d/2。在模型里还要加上词向量，并经过 W_q 与 W_k：哪些距离重要，由它们"
            "学得。",
        ),
        formula=["y(pos) · y(pos + k) = Σ_i cos(k / 10000^(2i/d))"],
        tables=[
            Table(
                (Text("distance k", "距离 k"), "pos = 1", "pos = 2", "pos = 3"),
                rows,
            )
        ],
        values={"products": products[0], "product_spread": spread},
        claims=[
            Claim(Text("equal distances, equal products", "距离相等，内积就相等"), spread < 1e-9),
            Claim(
                Text("no distance gives more than distance 0", "没有哪个距离比距离 0 的更大"),
                max(products[0]) <= products[0][0] + 1e-9,
            ),
        ],
    )
