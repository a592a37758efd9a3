"""W-21: what is left of a gradient after many steps; the LSTM's way round it; clipping."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.config import ModelConfig
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import numbers, small_model
from nplm_cli.models import build
from nplm_cli.models.base import LanguageModel
from nplm_cli.training.losses import FullLoss
from nplm_cli.training.weights import FlatWeights

RUNS = (
    "nplm_cli.models.recurrent.RecurrentLM.forward",
    "nplm_cli.models.recurrent.RecurrentLayer.forward",
    "nplm_cli.training.losses.OutputLoss.__call__",
    "nplm_cli.training.weights.FlatWeights.gradient_norm",
)
UNITS = 16
PARAMETERS = {
    "small": Parameter(default=0.5, help=Text("a factor below 1", "小于 1 的系数"), low=0, high=4),
    "large": Parameter(default=1.5, help=Text("a factor above 1", "大于 1 的系数"), low=0, high=4),
    "steps": Parameter(
        default=20, help=Text("steps through time", "经过多少个时间步"), low=2, high=60
    ),
    "forget_bias": Parameter(
        default=4.0,
        help=Text("bias of the LSTM's forget gate", "LSTM 遗忘门的偏置"),
        low=-10,
        high=40,
    ),
    "clip": Parameter(
        default=5.0, help=Text("largest norm of the gradient", "梯度范数的上限"), low=1e-3, high=1e6
    ),
    "seed": Parameter(default=1, help=Text("of the random weights", "随机权重的种子"), low=0),
}


def steps(
    small: float, large: float, steps: int, forget_bias: float, clip: float, seed: int
) -> Iterator[Step]:
    """Powers of a factor; tanh; the cell of an LSTM; networks of 16 units; clipping."""
    factors = {"small": small, "large": large}
    yield _powers(factors, steps)
    yield _saturated(factors, steps)
    yield _cell(forget_bias, steps)
    yield _by_distance(factors, forget_bias, steps, seed)
    yield _clipped(large, steps, clip)


def _unit(arch: str, weights: Mapping[str, Any], **settings: Any) -> LanguageModel:
    """A recurrent model of one unit and three words."""
    named = {
        name if name.startswith(("embedding", "output")) else f"encoder.layers.0.{name}": values
        for name, values in weights.items()
    }
    return small_model(3, named, arch=arch, dim=1, hidden=1, output_bias=False, **settings)


def _gradients(model: LanguageModel, count: int, piece: int = 0) -> list[float]:
    """d s_t / d s_0 for t = 1 ... count, s being a piece of the state that begins at 1."""
    state = [torch.zeros_like(part) for part in model.initial_state(1)]
    start = state[piece] = numbers([[1.0]]).requires_grad_()
    found = []
    carried = tuple(state)
    for _ in range(count):
        _, carried = model(torch.zeros(1, 1, dtype=torch.int64), carried)
        (gradient,) = torch.autograd.grad(carried[piece].sum(), start, retain_graph=True)
        found.append(gradient.item())
    return found


def _shown(count: int) -> list[int]:
    """Every fifth step, the first and the last."""
    return sorted({1, count, *range(5, count + 1, 5)})


def _by_step(columns: Sequence[Text | str], curves: Sequence[list[float]]) -> Table:
    rows = [(t, *(curve[t - 1] for curve in curves)) for t in _shown(len(curves[0]))]
    return Table(("t", *columns), rows)


def _powers(factors: Mapping[str, float], count: int) -> Step:
    curves = {
        name: _gradients(
            _unit(
                "rnn",
                {"input.weight": [[1.0]], "recurrent.weight": [[w]]},
                activation="relu",
                hidden_bias=False,
            ),
            count,
        )
        for name, w in factors.items()
    }
    small, large = factors.values()
    exact = all(abs(curves[name][-1] - w**count) <= 1e-12 * w**count for name, w in factors.items())
    return Step(
        title=Text("The same factor at every step", "每一步都乘以同一个系数"),
        text=Text(
            "A network of one unit whose relu is open only multiplies: h_t = w h_(t-1). How much "
            "h_t moves when h_0 does is w to the power of t. Below 1 it vanishes: the loss at t "
            "cannot teach what was read long ago. Above 1 it explodes: one step of learning "
            "throws the weights away.",
            "只有一个单元、relu 处在打开状态的网络只做乘法：h_t = w h_(t-1)。h_0 变动一点，"
            "h_t 变动多少？是 w 的 t 次方。小于 1 则消失：t 处的损失教不会模型利用很久以前"
            "读到的词。大于 1 则爆炸：学习一步就把权重推到远处。",
        ),
        formula=["dh_t / dh_0 = w^t"],
        tables=[_by_step((f"w = {small:g}", f"w = {large:g}"), list(curves.values()))],
        values={
            "gradient_small": curves["small"][-1],
            "gradient_large": curves["large"][-1],
            "powers_small": curves["small"],
            "powers_large": curves["large"],
        },
        claims=[
            Claim(
                Text(
                    f"back-propagation gives {small:g}^{count} and {large:g}^{count}",
                    f"反向传播得到的正是 {small:g}^{count} 与 {large:g}^{count}",
                ),
                exact,
            )
        ],
    )


def _saturated(factors: Mapping[str, float], count: int) -> Step:
    curves = [
        _gradients(
            _unit(
                "rnn",
                {"input.weight": [[1.0]], "recurrent.weight": [[w]]},
                hidden_bias=False,
            ),
            count,
        )
        for w in factors.values()
    ]
    small, large = factors.values()
    return Step(
        title=Text("tanh takes its share, too", "tanh 还要再乘以自己的导数"),
        text=Text(
            "With tanh each step multiplies by w times the slope of tanh, which is 1 - h^2 and so "
            "at most 1. Even a large w does not help: it drives h to where tanh is flat. h_0 is 1.",
            "用 tanh 时，每一步乘以 w 与 tanh 的导数之积；导数为 1 - h^2，至多为 1。w 大也没"
            "有用：它把 h 推到 tanh 平坦的地方。h_0 为 1。",
        ),
        formula=["dh_t / dh_(t-1) = w (1 - h_t^2)"],
        tables=[_by_step((f"w = {small:g}", f"w = {large:g}"), curves)],
        values={"tanh_small": curves[0], "tanh_large": curves[1]},
        claims=[
            Claim(
                Text(
                    "both gradients are smaller than without tanh",
                    "两个梯度都比没有 tanh 时小",
                ),
                curves[0][-1] < small**count and curves[1][-1] < large**count,
            ),
            Claim(
                Text(f"with w = {large:g} it vanishes now", f"w = {large:g} 时也消失了"),
                abs(curves[1][-1]) < 0.01,
            ),
        ],
    )


def _cell(bias: float, count: int) -> Step:
    curves = {
        name: _gradients(_unit("lstm", {"bias": [0.0, b, 0.0, 0.0]}), count, piece=1)
        for name, b in (("zero", 0.0), ("open", bias))
    }
    f = torch.sigmoid(numbers(bias)).item()
    return Step(
        title=Text("The cell of an LSTM multiplies by its forget gate", "LSTM 的细胞乘以遗忘门"),
        text=Text(
            "The way from cell to cell has neither weights nor tanh on it, only the forget gate f; "
            "here all weights are 0, so there is no other way. "
            f"A bias of {bias:g} puts f at {f:.4f}, and a network may learn that; nplm begins with "
            "a bias of 1.",
            "从细胞到细胞的路上既没有权重也没有 tanh，只有遗忘门 f；这里所有权重都是 0，所以没有"
            f"别的路。偏置 {bias:g} 使 f = {f:.4f}，这是网络能够学到的；nplm 的初值是偏置 1。",
        ),
        formula=["c_t = f * c_(t-1) + i * g", "dc_t / dc_0 = f^t"],
        tables=[_by_step(("f = 0.5000", f"f = {f:.4f}"), list(curves.values()))],
        values={"forget_gate": f, "cell_closed": curves["zero"], "cell_open": curves["open"]},
        claims=[
            Claim(
                Text(f"back-propagation gives f^{count}", f"反向传播得到的正是 f^{count}"),
                abs(curves["open"][-1] - f**count) < 1e-9,
            ),
            Claim(
                Text("more than half of the gradient is left", "梯度还剩下一半以上"),
                curves["open"][-1] > 0.5,
            ),
        ],
    )


def _by_distance(factors: Mapping[str, float], bias: float, count: int, seed: int) -> Step:
    small, large = factors.values()
    curves = [
        _word_gradients("rnn", small, count, seed),
        _word_gradients("rnn", large, count, seed),
        _word_gradients("lstm", small, count, seed, bias),
    ]
    return Step(
        title=Text("Networks of 16 units", "16 个单元的网络"),
        text=Text(
            "Random first weights, those of the state times the factor. Each word of a text occurs "
            "once, so the gradient of its vector tells how much the loss of the last prediction "
            "asks of that word; shown relative to the last word read. With the large factor tanh "
            "saturates and holds the explosion back. In the LSTM what was read early is added up "
            "in the cell, so it may weigh more than 1.",
            "随机初始权重，其中状态的权重再乘以系数。文中每个词只出现一次，所以词向量的梯度就"
            "说明：最后一次预测的损失对这个词有多大要求。表中以最后读入的词为 1。系数大时，"
            "tanh 饱和，抑制了爆炸。LSTM 的细胞把早先读到的累加起来，所以比例可以大于 1。",
        ),
        formula=["|dL / dx_(T-k)| / |dL / dx_T|"],
        tables=[
            Table(
                (
                    Text("words back k", "往回 k 个词"),
                    f"RNN, {small:g}",
                    f"RNN, {large:g}",
                    f"LSTM, {small:g}",
                ),
                [
                    (k, *(curve[k] for curve in curves))
                    for k in sorted({1, count - 1, *range(0, count, 5)})
                ],
            )
        ],
        values={
            "rnn_small": curves[0],
            "rnn_large": curves[1],
            "lstm_small": curves[2],
        },
        claims=[
            Claim(
                Text(
                    f"RNN, {small:g}: the first word gets less than a thousandth",
                    f"RNN，{small:g}：第一个词得到的不到千分之一",
                ),
                curves[0][-1] < 1e-3,
            ),
            Claim(
                Text(
                    f"RNN, {large:g}: it gets over a thousand times what RNN, {small:g} leaves it",
                    f"RNN，{large:g}：它得到的是 RNN，{small:g} 时的一千倍以上",
                ),
                curves[1][-1] > 1000 * curves[0][-1],
            ),
            Claim(
                Text(
                    "LSTM: the same small weights, yet the first word gets a tenth or more",
                    "LSTM：权重同样小，第一个词却还能得到十分之一以上",
                ),
                curves[2][-1] > 0.1,
            ),
        ],
    )


def _word_gradients(
    arch: str, factor: float, count: int, seed: int, bias: float | None = None
) -> list[float]:
    """Norms of the gradients of the words read, the last first, relative to it."""
    config = ModelConfig(arch=arch, dim=8, hidden=UNITS)  # type: ignore[arg-type]
    model = build(config, count + 1).double().eval()
    model.init_weights(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        model.get_parameter("encoder.layers.0.recurrent.weight").mul_(factor)
        if bias is not None:
            model.get_parameter("encoder.layers.0.bias").chunk(4)[1].fill_(bias)
    hidden, _ = model(torch.arange(count)[None], model.initial_state(1))
    FullLoss(model)(hidden[0, -1:], torch.tensor([count])).backward()
    gradient = model.embedding.weight.grad
    assert isinstance(gradient, Tensor)
    norms: list[float] = (gradient.norm(dim=1)[:count].flip(0)).tolist()
    return [norm / norms[0] if norms[0] else 0.0 for norm in norms]


def _clipped(large: float, count: int, clip: float) -> Step:
    model = _unit(
        "rnn",
        {
            "embedding.weight": [[1.0], [1.0], [1.0]],
            "input.weight": [[1.0]],
            "recurrent.weight": [[large]],
            "output.weight": [[1.0], [-1.0], [0.0]],
        },
        activation="relu",
        hidden_bias=False,
    )
    weights = FlatWeights(model)
    hidden, _ = model(torch.zeros(1, count, dtype=torch.int64), model.initial_state(1))
    FullLoss(model)(hidden[0, -1:], torch.tensor([1])).backward()
    weights.collect_gradients()
    before, norm = weights.gradient_P.clone(), weights.gradient_norm()
    if norm > clip:
        weights.scale_gradients(clip / norm)
    after = weights.gradient_norm()
    same = torch.nn.functional.cosine_similarity(before, weights.gradient_P, dim=0).item()
    pieces = {
        name: (old.norm().item(), new.norm().item())
        for (name, old), new in zip(
            weights.split(before).items(), weights.split(weights.gradient_P).values(), strict=True
        )
    }
    names = {"embedding": "C", "input": "U", "recurrent": "W", "output": "O"}
    return Step(
        title=Text("Clipping keeps an explosion small", "梯度裁剪：控制爆炸"),
        text=Text(
            f"The unit of step 1 with w = {large:g} reads {count} words and is wrong about the "
            "next. If the norm of all gradients together is above the limit (--clip), all are made "
            "shorter by one factor: the direction stays.",
            f"第 1 步中 w = {large:g} 的单元读 {count} 个词，并猜错了下一个词。所有梯度合在一起"
            "的范数若超过上限（--clip），就都乘以同一个系数缩短；方向不变。",
        ),
        formula=["g <- g min(1, clip / |g|)"],
        tables=[
            Table(
                (
                    Text("gradient of", "谁的梯度"),
                    Text("before", "裁剪前"),
                    Text("after", "裁剪后"),
                ),
                [
                    *(
                        (names[name.removeprefix("encoder.layers.0.").split(".")[0]], *pair)
                        for name, pair in pieces.items()
                    ),
                    (Text("all", "合计"), norm, after),
                ],
            )
        ],
        values={"norm": norm, "clipped_norm": after},
        claims=[
            Claim(
                Text(f"the norm is {clip:g} at most", f"范数不超过 {clip:g}"),
                after <= clip * (1 + 1e-9),
            ),
            Claim(Text("the direction is the same", "方向相同"), same > 1 - 1e-9),
        ],
    )
