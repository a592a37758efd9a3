"""W-01: one unit of a network, and its bias as the weight of an input that is always 1."""

from collections.abc import Iterator

from nplm_cli.bilingual import Table, Text
from nplm_cli.errors import ConfigError
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import hidden_of, network, numbers, pre_activation
from nplm_cli.models.activations import ACTIVATIONS

RUNS = (
    "nplm_cli.models.feedforward.product",
    "nplm_cli.models.feedforward.WindowEncoder.hidden",
    "nplm_cli.models.activations.ACTIVATIONS",
)
PARAMETERS = {
    "x": Parameter(default=(0.5, 0.6, 0.1), help=Text("what the unit reads", "输入"), free=True),
    "w": Parameter(default=(0.2, 0.3, 0.9), help=Text("its weights", "权重"), free=True),
    "b": Parameter(default=0.5, help=Text("its bias", "偏置")),
}
SHOWN = ("sigmoid", "tanh", "relu")


def steps(x: tuple[float, ...], w: tuple[float, ...], b: float) -> Iterator[Step]:
    """The weighted sum, three activations of it, and the bias clamped to an input."""
    if len(x) != len(w):
        raise ConfigError(f"x has {len(x)} numbers and w {len(w)}: expected as many")
    layer = {"encoder.layers.0.weight": [w], "encoder.layers.0.bias": [b]}
    x_NI = numbers([x])
    z = pre_activation(network(len(x), layer, hidden=1), x_NI).item()
    yield Step(
        title=Text("A weighted sum", "加权和"),
        text=Text(
            "Each input is multiplied by its weight; the products and the bias are added.",
            "每个输入乘以各自的权重，再把乘积与偏置相加。",
        ),
        formula=["z = w · x + b"],
        tables=[
            Table(
                ("i", "x", "w", "w x"),
                [(i, *pair, pair[0] * pair[1]) for i, pair in enumerate(zip(x, w, strict=True), 1)],
            )
        ],
        values={"z": z},
    )

    a = {
        name: hidden_of(network(len(x), layer, hidden=1, activation=name), x_NI).item()
        for name in SHOWN
    }
    yield Step(
        title=Text("An activation", "激活"),
        text=Text(
            "What the unit says is a function of z that is not linear; three of them:",
            "神经元的输出是 z 的非线性函数，这里有三种：",
        ),
        formula=[
            "sigmoid(z) = 1 / (1 + exp(-z))",
            "tanh(z) = (exp(z) - exp(-z)) / (exp(z) + exp(-z))",
            "relu(z) = max(0, z)",
        ],
        tables=[Table(("f", "f(z)"), list(a.items()))],
        values=a,
    )

    clamped = {"encoder.layers.0.weight": [(b, *w)]}
    without = network(len(x) + 1, clamped, hidden=1, hidden_bias=False)
    z_clamped = pre_activation(without, numbers([(1.0, *x)])).item()
    yield Step(
        title=Text("The bias as one more weight", "偏置也是一个权重"),
        text=Text(
            "Let a further input always be 1, and the bias be its weight: a unit without a bias "
            "says the same.",
            "再加一个恒为 1 的输入，并把偏置当作它的权重：没有偏置的神经元给出同样的结果。",
        ),
        formula=["z = [b, w] · [1, x]"],
        values={"z_clamped": z_clamped},
        claims=[
            Claim(
                Text(
                    f"with a bias z is {z:.6f}, with a weight of the input 1 {z_clamped:.6f}",
                    f"用偏置时 z 为 {z:.6f}，用输入 1 的权重时为 {z_clamped:.6f}",
                ),
                abs(z - z_clamped) <= 1e-12 * max(1, abs(z)),
            ),
            Claim(
                Text("tanh(z) = 2 sigmoid(2z) - 1", "tanh(z) = 2 sigmoid(2z) - 1"),
                abs(a["tanh"] - (2 * ACTIVATIONS["sigmoid"](numbers(2 * z)).item() - 1)) < 1e-12,
            ),
        ],
    )
