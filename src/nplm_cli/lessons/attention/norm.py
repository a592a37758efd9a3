"""W-28: layer norm, where it stands in a block, and residual connections in deep stacks."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.config import ModelConfig
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import numbers
from nplm_cli.models import build
from nplm_cli.models.base import LanguageModel
from nplm_cli.models.blocks import Sublayers
from nplm_cli.query.layers import layer_norm
from nplm_cli.training.losses import FullLoss

RUNS = (
    "nplm_cli.query.layers.layer_norm",
    "nplm_cli.models.blocks.Sublayers.add",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
    "nplm_cli.training.losses.OutputLoss.__call__",
)
PARAMETERS = {
    "x": Parameter(
        default=(1.0, 2.0, 3.0, 4.0),
        help=Text("what is normalised", "归一化的向量"),
        low=-1e3,
        high=1e3,
        free=True,
    ),
    "eps": Parameter(
        default=1e-5, help=Text("added to the variance", "加在方差上的小量"), low=0, high=10
    ),
    "layers": Parameter(
        default=24, help=Text("layers of the deep stacks", "深层网络的层数"), low=2, high=48
    ),
    "scale": Parameter(
        default=0.5,
        help=Text("factor on all first weights", "所有初始权重的系数"),
        low=0.05,
        high=2,
    ),
    "seed": Parameter(default=1, help=Text("of the random weights", "随机权重的种子"), low=0),
}
WIDTH, WORDS = 16, 10
PLACES = {"none": Text("none", "无"), "pre": Text("pre", "前置"), "post": Text("post", "后置")}


def steps(x: tuple[float, ...], eps: float, layers: int, scale: float, seed: int) -> Iterator[Step]:
    """Layer norm of a vector; what it cannot see; streams of Transformers; gradients."""
    with torch.no_grad():
        yield _norm(numbers(x), eps)
        yield _invariance(numbers(x))
    yield _streams(layers, seed)
    yield _gradients(layers, scale, seed)


def _normalised(x: Tensor, eps: float) -> Tensor:
    """What the norm of a Transformer's sublayer, as it is at first, makes of a vector."""
    config = ModelConfig(arch="transformer", dim=len(x), heads=1, norm_eps=eps).resolved()
    normalised: Tensor = Sublayers.make_norm(config).double()(x)
    return normalised


def _norm(x: Tensor, eps: float) -> Step:
    exact, softened = _normalised(x, 0.0), _normalised(x, eps)
    ones = torch.ones_like(x).numpy()
    with np.errstate(invalid="ignore"):  # equal numbers without eps: nan, as the text says
        twin = torch.from_numpy(layer_norm(x.numpy(), ones, 0 * ones, eps))
    mean, variance = x.mean().item(), x.var(correction=0).item()
    return Step(
        title=Text("Layer norm", "层归一化"),
        text=Text(
            f"The numbers of one vector are shifted to mean 0 and stretched to variance 1; here "
            f"the mean is {mean:g} and the variance {variance:g} (of the population: divided by "
            "n). A small eps keeps a vector of equal numbers from a division by 0 (nan). Then "
            "each is multiplied by a weight and a bias added, which are learned and at first 1 "
            "and 0.",
            f"把一个向量的各数平移到均值 0，伸缩到方差 1；这里均值为 {mean:g}，方差为 "
            f"{variance:g}（总体方差：除以 n）。加一个小量 eps，免得各数相等时除以 0（nan）。然后"
            "每个数再乘以一个权重、加上一个偏置；两者都要学习，初值为 1 和 0。",
        ),
        formula=["y_i = w_i (x_i - mean) / sqrt(variance + eps) + b_i"],
        tables=[
            Table(
                ("i", "x", "eps = 0", f"eps = {eps:g}"),
                [
                    (i, *row)
                    for i, row in enumerate(
                        zip(x.tolist(), exact.tolist(), softened.tolist(), strict=True), 1
                    )
                ],
            )
        ],
        values={"eps_0": exact.tolist(), "with_eps": softened.tolist(), "twin": twin.tolist()},
        claims=[
            Claim(
                Text("with eps 0: mean 0 and variance 1", "eps 为 0 时：均值 0，方差 1"),
                abs(exact.mean().item()) < 1e-9 and abs(exact.var(correction=0).item() - 1) < 1e-9,
            ),
            Claim(
                Text(
                    "nplm's second implementation, without torch, agrees",
                    "nplm 不用 torch 的第二种实现与之相符",
                ),
                bool(torch.allclose(twin, softened, rtol=0, atol=1e-6)),
            ),
        ],
    )


def _invariance(x: Tensor) -> Step:
    rows = [
        (name, _normalised(v, 0.0)) for name, v in (("x", x), ("10 x", 10 * x), ("x + 5", x + 5))
    ]
    before = rows[0][1]
    return Step(
        title=Text("What it cannot see", "它看不到什么"),
        text=Text(
            "Ten times the vector, or the vector with 5 added to each number, gives the same (with "
            "eps 0). However large a layer makes its numbers, the next one reads numbers of one "
            "size. At most four are shown.",
            "向量乘以 10，或每个数加 5，结果都一样（eps 为 0 时）。一层的数无论多大，下一层读到的"
            "总是同样的大小。最多列出四个数。",
        ),
        tables=[
            Table(
                ("", *map(str, range(1, min(len(x), 4) + 1))),
                [(name, *y[:4].tolist()) for name, y in rows],
            )
        ],
        values={"ten_times": rows[1][1].tolist(), "plus_5": rows[2][1].tolist()},
        claims=[
            Claim(
                Text("all the same", "全都一样"),
                all(bool(torch.allclose(y, before, rtol=0, atol=1e-6)) for _, y in rows),
            )
        ],
    )


def _shown(layers: int) -> list[int]:
    return sorted({1, layers, *(round(layers * share / 4) or 1 for share in (1, 2, 3))})


def _initialised(config: ModelConfig, seed: int) -> LanguageModel:
    model = build(config, WORDS).double().eval()
    model.init_weights(torch.Generator().manual_seed(seed))
    return model


@torch.no_grad()
def _streams(layers: int, seed: int) -> Step:
    """Root mean square of the residual stream after each block."""
    sizes: dict[str, list[float]] = {}
    for place in PLACES:
        config = ModelConfig(
            arch="transformer",
            dim=WIDTH,
            hidden=WIDTH,
            heads=2,
            layers=layers,
            norm=place,  # type: ignore[arg-type]
        )
        model = _initialised(config, seed)
        stream = torch.randn(
            1, 8, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        sizes[place] = []
        for number in range(layers):
            stream, _ = model.get_submodule(f"encoder.layers.{number}")(stream)
            sizes[place].append(stream.pow(2).mean().sqrt().item())
    return Step(
        title=Text("Where the norm stands", "归一化放在哪里"),
        text=Text(
            f"In a Transformer each sublayer f adds to a stream. Size (root mean square) of the "
            f"stream after some of {layers} blocks, with random first weights. After post-norm it "
            "is 1 by definition; the others grow block by block, gently, as nplm divides the first "
            "weights of what writes to the stream by the root of their number.",
            f"在 Transformer 中，每个子层 f 把结果加到一条主流上。下表是随机初始权重时，主流经过 "
            f"{layers} 个块中若干块之后的大小（均方根）。后置时按定义就是 1；另外两种逐块变大，但"
            "很平缓，因为 nplm 把写入主流的初始权重除以其个数的平方根。",
        ),
        formula=["pre:  x + f(N(x))", "post: N(x + f(x))", "none: x + f(x)"],
        tables=[
            Table(
                (Text("block", "块"), *PLACES.values()),
                [(n, *(sizes[place][n - 1] for place in PLACES)) for n in _shown(layers)],
            )
        ],
        values={f"stream_{place}": values for place, values in sizes.items()},
        claims=[
            Claim(
                Text("post: 1 after every block", "后置：每块之后都是 1"),
                all(abs(size - 1) < 1e-3 for size in sizes["post"]),
            ),
            Claim(
                Text("pre: larger at the end than after block 1", "前置：末尾比第 1 块之后大"),
                sizes["pre"][-1] > sizes["pre"][0],
            ),
        ],
    )


STACKS = {
    "plain": (Text("plain", "普通"), False, "none"),
    "residual": (Text("residual", "残差"), True, "none"),
    "pre": (Text("residual, pre", "残差、前置"), True, "pre"),
    "post": (Text("residual, post", "残差、后置"), True, "post"),
}


def _gradients(layers: int, scale: float, seed: int) -> Step:
    """Norms of the gradients of each hidden layer of feedforward models."""
    norms: dict[str, list[float]] = {}
    for name, (_, residual, place) in STACKS.items():
        config = ModelConfig(
            order=3,
            dim=WIDTH,
            hidden=WIDTH,
            layers=layers,
            residual=residual,
            norm=place,  # type: ignore[arg-type]
            init_scale=scale,
        )
        model = _initialised(config, seed)
        hidden, _ = model(torch.arange(WORDS - 1)[None], model.initial_state(1))
        FullLoss(model)(hidden[0], torch.arange(1, WORDS)).backward()
        norms[name] = []
        for number in range(layers):
            gradient = model.get_parameter(f"encoder.layers.{number}.weight").grad
            assert gradient is not None
            norms[name].append(gradient.norm().item())
    ratios = {name: row[0] / row[-1] if row[-1] else 0.0 for name, row in norms.items()}
    return Step(
        title=Text("Residual connections carry the gradient", "残差连接让梯度通过"),
        text=Text(
            f"Feedforward models of {layers} tanh layers, first weights times {scale:g}. Size of "
            "the gradient of the weights, layer by layer. In the plain stack each layer makes its "
            "numbers smaller on the way up and the gradient smaller on the way down: a weight's "
            "gradient is the product of the two, so no layer learns. x + f(x) has a way round "
            "every f.",
            f"{layers} 层 tanh 前馈模型，初始权重乘以 {scale:g}。逐层列出权重梯度的大小。普通的"
            "网络里，每一层都使向上传的数变小，也使往回传的梯度变小；权重的梯度是两者之积，所以"
            "哪一层都学不动。x + f(x) 则给每个 f 都留了一条旁路。",
        ),
        formula=["d(x + f(x)) / dx = 1 + df/dx"],
        tables=[
            Table(
                (Text("layer", "层"), *(label for label, *_ in STACKS.values())),
                [(n, *(row[n - 1] for row in norms.values())) for n in _shown(layers)],
            )
        ],
        values={
            **{f"gradient_{name}": row for name, row in norms.items()},
            "first_to_last": list(ratios.values()),
        },
        claims=[
            Claim(
                Text(
                    "the first layer of the plain stack gets less than a millionth of what it gets "
                    "with residual connections",
                    "普通网络的第一层得到的梯度，不到有残差连接时的百万分之一",
                ),
                norms["plain"][0] < 1e-6 * norms["residual"][0],
            ),
            Claim(
                Text(
                    "with residual connections, norm or none, the first layer gets at least a "
                    "tenth of what the last gets",
                    "有残差连接时，无论有没有归一化，第一层得到的至少是最后一层的十分之一",
                ),
                min(ratios[name] for name in ("residual", "pre", "post")) > 0.1,
            ),
        ],
    )
