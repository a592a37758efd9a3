"""W-10f to W-10h: the way back through the feedforward language model, and a step of learning."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from nplm_cli.bilingual import Table, Text
from nplm_cli.config import TrainingConfig
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.small_models import encoder_of
from nplm_cli.models.activations import ACTIVATIONS
from nplm_cli.models.feedforward import joined, product
from nplm_cli.training.finite_differences import central_differences
from nplm_cli.training.optimizers import build_optimizer
from nplm_cli.training.weights import FlatWeights


def backward(
    lecture: Any,
    read: Any,
    loss: Any,
    words: Sequence[str],
    ids: list[int],
    target: int,
    lr: float,
) -> Iterator[Step]:
    """Gradients layer by layer, of a tied and an untied table, by differences; then a step.

    ``lecture(**changes)`` makes the model, ``read`` is what its output layer reads after the
    context, ``loss`` -ln p of the word that came; ``ids`` are the context, of ``words``.
    """
    tied = lecture()
    first = loss(tied)
    first.backward()
    yield _layer_by_layer(tied, words, ids, target)
    yield _weights(tied, loss)
    yield _tables(tied, lecture, read, loss, words, target)
    yield _step(lecture, loss, first.item(), lr)


def _layer_by_layer(model: Any, words: Sequence[str], ids: list[int], target: int) -> Step:
    encoder = encoder_of(model)
    pieces = encoder.combined(model.embedding.weight[ids][None])
    x = joined(pieces)[0, 0].detach().requires_grad_()
    z = product(encoder.layers[0], [x])
    h = ACTIVATIONS[model.config.activation](z)
    scores = model.logits(h)
    nll = -scores.log_softmax(-1)[target]
    grads = torch.autograd.grad(nll, (scores, h, z, x))
    p_minus_y = scores.softmax(-1) - torch.eye(len(scores), dtype=scores.dtype)[target]
    shown = [f"[{', '.join(f'{v:.6f}' for v in grad.tolist())}]" for grad in grads]
    halves = grads[3].view(len(ids), -1).tolist()
    return Step(
        title=Text("Backward, layer by layer", "反向：逐层往回"),
        text=Text(
            "L = -ln p. What is passed back to the scores is p - 1 at the word that came and p "
            "elsewhere; each layer hands on what it gets, times its own slope.",
            "L = -ln p。传回得分的是：实际出现的词处 p - 1，其余处 p；每一层把收到的"
            "乘以自己的导数，再往回传。",
        ),
        formula=[
            "dL/ds = p - y",
            f"      = {shown[0]}",
            f"dL/dh = Cᵀ dL/ds = {shown[1]}",
            f"dL/dz = f'(z) dL/dh = {shown[2]}",
            "dL/dx = Wᵀ dL/dz",
        ],
        tables=[
            Table(
                (Text("word", "词"), "1", "2"),
                [(words[i], *half) for i, half in zip(ids, halves, strict=True)],
            )
        ],
        values={
            "grad_scores": grads[0].tolist(),
            "grad_h": grads[1].tolist(),
            "grad_z": grads[2].tolist(),
            "grad_x": grads[3].tolist(),
        },
        claims=[
            Claim(
                Text("dL/ds is p - y to the last digits", "dL/ds 与 p - y 处处相等"),
                bool(torch.allclose(grads[0], p_minus_y, rtol=0, atol=1e-12)),
            )
        ],
    )


def _weights(model: Any, loss: Any) -> Step:
    weight = model.encoder.layers[0].weight
    numeric = central_differences(lambda: loss(model), weight).view_as(weight)
    off = (numeric - weight.grad).abs().max().item()
    columns = [
        column.tolist() for pair in zip(weight.grad, numeric, strict=True) for column in pair
    ]
    return Step(
        title=Text("The gradient of W, and a check of it", "W 的梯度及其检验"),
        text=Text(
            "Each weight gets what its unit was passed, times what it read. The check moves one "
            "weight a little to either side and looks at the loss.",
            "每个权重的梯度等于该单元收到的梯度乘以它读入的数。检验的办法是：把一个权重往"
            "两边各挪一点，看损失变化多少。",
        ),
        formula=["dL/dW = dL/dz xᵀ", "(L(w + s) - L(w - s)) / 2s,  s = 0.000001"],
        tables=[
            Table(
                (
                    Text("reads", "读入"),
                    Text("unit 1", "单元 1"),
                    Text("moved", "挪动"),
                    Text("unit 2", "单元 2"),
                    Text("moved", "挪动"),
                ),
                [(f"x{i}", *row) for i, row in enumerate(zip(*columns, strict=True), 1)],
            )
        ],
        values={"grad_W": weight.grad.tolist(), "numeric_W": numeric.tolist()},
        claims=[
            Claim(Text(f"they differ by {off:.1e} at most", f"两者至多相差 {off:.1e}"), off < 1e-7)
        ],
    )


def _tables(
    tied: Any, lecture: Any, read: Any, loss: Any, words: Sequence[str], target: int
) -> Step:
    untied = lecture(tie=False)
    loss(untied).backward()
    total, output, context = (
        tied.embedding.weight.grad,
        untied.output.weight.grad,
        untied.embedding.weight.grad,
    )
    with torch.no_grad():
        h = read(tied)
        y = torch.eye(len(output), dtype=h.dtype)[target]
        rule = -(y - tied.logits(h).softmax(-1))[:, None] * h
    return Step(
        title=Text("The gradient of the word vectors", "词向量的梯度"),
        text=Text(
            "A tied word vector is pulled from two sides: as a row of the output layer and as a "
            "word of the context. Without tying the two are two tables.",
            "共享的词向量受到两方面的作用：作为输出层的一行，以及作为上文的词。不共享时，"
            "这两方面分属两张表。",
        ),
        formula=["dL/dU[k] = -(y_k - p_k) h"],
        tables=[
            Table(
                (
                    Text("word", "词"),
                    Text("output side", "输出一侧"),
                    "",
                    Text("context", "上文一侧"),
                    "",
                ),
                [(w, *output[i].tolist(), *context[i].tolist()) for i, w in enumerate(words)],
            ),
            Table(
                (Text("word", "词"), Text("tied: both", "共享：合计"), ""),
                [(w, *total[i].tolist()) for i, w in enumerate(words)],
            ),
        ],
        values={
            "grad_vectors": total.tolist(),
            "grad_output_rows": output.tolist(),
            "grad_context_rows": context.tolist(),
            "rule_rows": rule.tolist(),
        },
        claims=[
            Claim(
                Text("the two sides add up to the tied gradient", "两侧之和等于共享时的梯度"),
                bool(torch.allclose(output + context, total, rtol=0, atol=1e-12)),
            ),
            Claim(
                Text("the output side is what the rule says", "输出一侧与公式相符"),
                bool(torch.allclose(rule, output, rtol=0, atol=1e-12)),
            ),
        ],
    )


def _step(lecture: Any, loss: Any, first: float, lr: float) -> Step:
    after = {}
    for name, frozen in (("W", True), ("W, C", False)):
        model = lecture()
        model.embedding.weight.requires_grad_(not frozen)
        weights = FlatWeights(model)
        optimizer = build_optimizer(weights, TrainingConfig(optimizer="sgd", lr=lr))
        loss(model).backward()
        weights.collect_gradients()
        optimizer.step()
        after[name] = loss(model).item()
    return Step(
        title=Text("One step of gradient descent", "梯度下降一步"),
        text=Text(
            "Each weight goes a little way against its gradient: W alone, then W and the word "
            "vectors C.",
            "每个权重逆着自己的梯度走一小步：先只更新 W，再同时更新 W 与词向量 C。",
        ),
        formula=[f"W <- W - {lr:g} dL/dW"],
        tables=[Table((Text("changed", "更新"), "-ln p"), [("-", first), *after.items()])],
        values={"nll_after_W": after["W"], "nll_after_W_and_C": after["W, C"]},
        claims=[
            Claim(
                Text("the word has become likelier", "这个词的概率变大了"),
                max(after.values()) < first,
            )
        ],
    )
