"""W-11: the computation graph of L = c(a + 2b), forward and backward, node by node."""

from collections.abc import Iterator

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import numbers
from nplm_cli.training.finite_differences import STEP, central_differences, relative_errors

RUNS = (
    "nplm_cli.training.finite_differences.central_differences",
    "nplm_cli.training.finite_differences.relative_errors",
)
PARAMETERS = {
    "a": Parameter(default=3.0, help=Text("added", "被加数"), low=-100, high=100),
    "b": Parameter(
        default=1.0, help=Text("doubled, then added", "先加倍再相加"), low=-100, high=100
    ),
    "c": Parameter(
        default=-2.0, help=Text("multiplied by the sum", "与和相乘"), low=-100, high=100
    ),
}
# From the loss back: a node, and one that it is made of.
EDGES = (("L", "c"), ("L", "e"), ("e", "a"), ("e", "d"), ("d", "b"))
MADE = {"d": "2 b", "e": "a + d", "L": "c e"}


def graph(leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    """All nodes by name, from a, b and c."""
    d = 2 * leaves["b"]
    e = leaves["a"] + d
    return {**leaves, "d": d, "e": e, "L": leaves["c"] * e}


def steps(a: float, b: float, c: float) -> Iterator[Step]:
    """Values forward, local derivatives, gradients backward, finite differences, a shared node."""
    leaves = {name: numbers(v).requires_grad_() for name, v in (("a", a), ("b", b), ("c", c))}
    nodes = graph(leaves)
    value = {name: node.item() for name, node in nodes.items()}
    yield Step(
        title=Text("Forward: each node from the ones before it", "前向：由前面的节点算出每个节点"),
        text=Text(
            "An expression is cut into single operations. Every result is kept: the "
            "backward pass needs it.",
            "把式子拆成一个个运算，每个结果都要保留：反向时要用。",
        ),
        formula=["L = c (a + 2b)"],
        tables=[
            Table(
                (Text("node", "节点"), "=", Text("value", "值")),
                [(name, MADE.get(name, Text("input", "输入")), v) for name, v in value.items()],
            )
        ],
        values={name: value[name] for name in MADE},
    )

    local = {
        (of, by): torch.autograd.grad(nodes[of], nodes[by], retain_graph=True)[0].item()
        for of, by in EDGES
    }
    yield Step(
        title=Text("Local derivatives: one for each arrow", "局部导数：每条边一个"),
        text=Text(
            "How fast does a result move with one of the two numbers that it is made of? Each "
            "operation knows this by itself: a sum says 1, a product says the other factor.",
            "结果随构成它的某个数变化得多快？每个运算自己就知道：加法的导数是 1，乘法的导数是另"
            "一个因数。",
        ),
        tables=[
            Table(
                (Text("derivative", "导数"), Text("value", "值")),
                [(f"d{of}/d{by}", v) for (of, by), v in local.items()],
            )
        ],
        values={f"d{of}/d{by}": v for (of, by), v in local.items() if of != "L"},
    )
    yield from _backward(nodes, local)
    yield from _checks(leaves)


def _backward(nodes: dict[str, Tensor], local: dict[tuple[str, str], float]) -> Iterator[Step]:
    for node in nodes.values():
        node.retain_grad()
    nodes["L"].backward()
    grads = {name: node.grad.item() for name, node in nodes.items() if node.grad is not None}
    upstream, rows = {"L": 1.0}, []
    for of, by in EDGES:
        upstream[by] = upstream[of] * local[of, by]
        rows.append((f"dL/d{by}", upstream[of], local[of, by], upstream[by], grads[by]))
    yield Step(
        title=Text("Backward: local derivative times upstream one", "反向：局部导数乘以上游导数"),
        text=Text(
            "Beginning at dL/dL = 1, each node hands what it got (upstream), times the local "
            "derivative, to the nodes that it was made of. One backward pass gives all "
            "derivatives. The last column is what PyTorch's autograd keeps at the node.",
            "从 dL/dL = 1 出发，每个节点把得到的上游导数乘以局部导数，传给构成它的节点。反向走"
            "一遍，就得到全部导数。最后一列是 PyTorch 自动求导在该节点保存的值。",
        ),
        formula=["dL/dx = dL/dy · dy/dx"],
        tables=[
            Table(
                ("", Text("upstream", "上游"), Text("local", "局部"), Text("product", "乘积"),
                 "autograd"),
                rows,
            )
        ],
        values={f"dL/d{name}": upstream[name] for name in "abcde"},
        claims=[
            Claim(
                Text("autograd found the same at every node", "自动求导在每个节点得到同样的值"),
                all(grads[name] == found for name, found in upstream.items()),
            )
        ],
    )  # fmt: skip


def _checks(leaves: dict[str, Tensor]) -> Iterator[Step]:
    found = {
        name: central_differences(lambda: graph(leaves)["L"], leaf) for name, leaf in leaves.items()
    }
    exact = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    errors = {n: relative_errors(found[n], exact[n].view(1)).item() for n in found}
    yield Step(
        title=Text("A check without any derivative", "不用导数的检验"),
        text=Text(
            "Move one input a little to both sides and work L out twice: the slope between is "
            "the derivative. That takes two forward passes for every single input; one backward "
            "pass finds the derivatives of all.",
            "把一个输入向两侧各移动一点，算两次 L，其间的斜率就是导数。这样每个输入都要两次前向，"
            "而反向只走一遍就得到全部。",
        ),
        formula=[f"dL/da ≈ (L(a + s) - L(a - s)) / 2s,   s = {STEP:g}"],
        tables=[
            Table(
                ("", Text("differences", "差分"), "autograd", Text("relative error", "相对误差")),
                [(f"dL/d{n}", found[n].item(), exact[n].item(), errors[n]) for n in found],
            )
        ],
        values={
            **{f"difference_{name}": d.item() for name, d in found.items()},
            "largest_relative_error": max(errors.values()),
        },
        claims=[
            Claim(
                Text("both ways agree to a millionth", "两种办法相差不到百万分之一"),
                max(errors.values()) < 1e-6,
            )
        ],
    )

    shared = leaves["a"].detach().requires_grad_()
    graph({"a": shared, "b": shared, "c": leaves["c"].detach()})["L"].backward()
    assert shared.grad is not None
    both = shared.grad.item()
    yield Step(
        title=Text("A number that is used twice", "用了两次的数"),
        text=Text(
            "Let b be the same number as a. It now moves L along two paths, and what comes back "
            "along them is added. So it is with a word that stands twice in a context, and with "
            "the weights of a recurrent network.",
            "让 b 与 a 是同一个数：它沿两条路影响 L，两条路传回的导数要相加。上文中出现两次的词、"
            "循环网络的权重也是如此。",
        ),
        formula=["L = c (a + 2a),   dL/da = " + f"{exact['a'].item():g} + {exact['b'].item():g}"],
        values={"dL/da_shared": both},
        claims=[
            Claim(
                Text(f"autograd says {both:g}: the sum", f"自动求导给出 {both:g}，正是二者之和"),
                both == exact["a"].item() + exact["b"].item(),
            )
        ],
    )
