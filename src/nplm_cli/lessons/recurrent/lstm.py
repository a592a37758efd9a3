"""W-22, W-23: long short-term memory: the cell update, the whole cell, peepholes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from nplm_cli.bilingual import Table, Text
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_models import numbers, small_model
from nplm_cli.models.base import LanguageModel, State
from nplm_cli.models.cells import lstm_cell, lstm_hidden, lstm_step, rnn_step

RUNS = (
    "nplm_cli.models.cells.lstm_cell",
    "nplm_cli.models.cells.lstm_hidden",
    "nplm_cli.models.cells.lstm_step",
    "nplm_cli.models.cells.rnn_step",
    "nplm_cli.models.recurrent.LstmLM.forward",
    "nplm_cli.models.recurrent.RecurrentLayer.forward",
)
WORDS = ("这", "本", "书")


def _numbers(default: Any, help: Text) -> Parameter:
    return Parameter(default=default, help=help, low=-100, high=100)


PARAMETERS = {
    "vectors": _numbers(
        ((0.2, 0.2), (0.3, 0.1), (0.2, 0.1)),
        Text("word vectors of 这, 本, 书", "这、本、书的词向量"),
    ),
    "W": _numbers(
        ((0.0, 0.1), (0.1, 0.0)), Text("weights of the word that is read", "读入的词的权重")
    ),
    "U": _numbers(((0.1, 0.0), (0.0, 0.1)), Text("weights of the state before", "前一状态的权重")),
    "c0": _numbers((0.1, 0.1), Text("the cell before", "之前的细胞状态")),
    "given": Parameter(
        default=((0.1, 0.0), (0.1, 0.0), (0.1, 0.0)),
        help=Text("gates i, f, o of step 2", "第 2 步的门 i、f、o"),
        low=0,
        high=1,
    ),
    "peephole": _numbers(0.1, Text("weight by which a gate sees the cell", "门看细胞的权重")),
}


def steps(
    vectors: Any, W: Any, U: Any, c0: tuple[float, float], given: Any, peephole: float
) -> Iterator[Step]:
    """A candidate, an update by gates that are given, the whole cell, what peepholes change."""

    def lecture(seen: float | None = None) -> LanguageModel:
        weights = {
            "embedding.weight": vectors,
            "encoder.layers.0.input.weight": [*W] * 4,
            "encoder.layers.0.recurrent.weight": [*U] * 4,
        }
        if seen is not None:
            weights["encoder.layers.0.peephole.weight"] = [[seen, seen]] * 3
        return small_model(
            len(WORDS),
            weights,
            arch="lstm",
            dim=2,
            hidden=2,
            tie=True,
            hidden_bias=False,
            output_bias=False,
            peephole="none" if seen is None else "diagonal",
        )

    with torch.no_grad():
        shares = numbers(vectors) @ numbers(W).T
        cell = numbers([c0])
        g = rnn_step(shares[:1], torch.zeros_like(cell), numbers(U))
        yield _candidate(g)
        yield _given(g, cell, numbers(given)[:, None])
        yield _whole(lecture(), shares, numbers(U))
        yield _peepholes(lecture(), lecture(peephole), shares, numbers(U), cell, peephole)


def _read(model: LanguageModel, word: int, state: State) -> State:
    """The state, h and c, after one more word."""
    after: State = model(torch.tensor([[word]]), state)[1]
    return after


def _gate(a: Tensor, h: Tensor, recurrent: Tensor) -> Tensor:
    """sigmoid(a + U h): a step of a simple network whose activation is the sigmoid."""
    return rnn_step(a, h, recurrent, torch.sigmoid)


def _candidate(g: Tensor) -> Step:
    return Step(
        title=Text("What the word would write", "这个词想写入什么"),
        text=Text(
            "An LSTM carries a cell c besides its state h. First it makes a candidate g, as the "
            "simple network makes its state.",
            "LSTM 除了状态 h 之外还带着一个细胞 c。它先算出候选值 g，算法与简单循环网络的"
            "状态一样。",
        ),
        formula=["g = tanh(W x + U h),  x = 这,  h = 0"],
        tables=[Table(("", "1", "2"), [("g", *g[0].tolist())])],
        values={"candidate": g[0].tolist()},
    )


def _given(g: Tensor, cell: Tensor, gates: Tensor) -> Step:
    i, f, o = gates
    c = lstm_cell(cell, i, f, g)
    h = lstm_hidden(c, o)
    rows = {"i": i, "f": f, "o": o, "c_0": cell, "f * c_0": f * cell, "i * g": i * g}
    rows |= {"c_1": c, "h_1": h}
    return Step(
        title=Text("The update, with gates that are given", "更新：门的值是给定的"),
        text=Text(
            "A gate is a factor from 0 to 1 for each unit: f keeps some of the old cell, i lets "
            "some of the candidate in, o shows some of the new cell. Gates of exactly 0, as here, "
            "are given numbers: no sigmoid yields them.",
            "门是每个单元的一个系数，在 0 到 1 之间：f 决定旧细胞保留多少，i 决定候选值放进来"
            "多少，o 决定新细胞露出多少。这里恰好为 0 的门是给定的数，sigmoid 得不出 0。",
        ),
        formula=["c = f * c_0 + i * g", "h = o * tanh(c)"],
        tables=[Table(("", "1", "2"), [(n, *row[0].tolist()) for n, row in rows.items()], 8)],
        values={"c_given": c[0].tolist(), "h_given": h[0].tolist()},
        claims=[
            Claim(
                Text(
                    "the second unit has forgotten everything, and shows nothing",
                    "第二个单元什么都忘了，也什么都不显示",
                ),
                c[0, 1].item() == 0 and h[0, 1].item() == 0,
            )
        ],
    )


def _whole(model: LanguageModel, shares: Tensor, recurrent: Tensor) -> Step:
    """Gates worked out; the model's fused kernel, and the step that is written out."""
    state = model.initial_state(1)
    h, c = state
    rows, cells, hiddens, gates, off = [], [], [], [], 0.0
    for t, word in enumerate(WORDS):
        gate = _gate(shares[t : t + 1], state[0], recurrent)
        h, c = lstm_step(shares[t : t + 1].repeat(1, 4), h, c, recurrent.repeat(4, 1))
        state = _read(model, t, state)
        off = max(off, (state[0] - h).abs().max().item(), (state[1] - c).abs().max().item())
        gates.append(gate[0].tolist())
        hiddens.append(state[0][0].tolist())
        cells.append(state[1][0].tolist())
        rows.append((word, *gates[-1], *cells[-1], *hiddens[-1]))
    return Step(
        title=Text("The whole cell", "完整的细胞"),
        text=Text(
            "Now the gates come from the word and the state, by a sigmoid. In this example i, "
            "f, o and g all have the same W and U, so the three gates are one number; in a trained "
            "LSTM each has its own. c begins at 0.",
            "现在各个门由词和状态经 sigmoid 算出。本例中 i、f、o、g 的 W 与 U 都相同，"
            "所以三个门是同一个数；训练出的 LSTM 各有各的权重。c 从 0 开始。",
        ),
        formula=["i = f = o = sigmoid(W x + U h)", "g = tanh(W x + U h)"],
        tables=[
            Table(
                (Text("word", "词"), Text("gate: 1", "门：1"), "2", "c: 1", "2", "h: 1", "2"), rows
            )
        ],
        values={
            "gates": gates,
            "gate_1": gates[0],
            "cells": cells,
            "states": hiddens,
            "by_hand": [h[0].tolist(), c[0].tolist()],
        },
        claims=[
            Claim(
                Text(
                    "the step written out gives what the model's fast kernel gives",
                    "逐步写出的公式与模型所用的快速内核结果相同",
                ),
                off <= 1e-12,
            ),
            Claim(
                Text(
                    "without biases every gate stands near one half: the cell forgets fast",
                    "没有偏置时各个门都在二分之一附近：细胞忘得很快",
                ),
                all(0.4 < value < 0.6 for row in gates for value in row),
            ),
        ],
    )


def _peepholes(
    plain: LanguageModel,
    seeing: LanguageModel,
    shares: Tensor,
    recurrent: Tensor,
    cell: Tensor,
    weight: float,
) -> Step:
    zeros = torch.zeros_like(cell)
    rows = []
    values: dict[str, Any] = {}
    for name, model, seen in (("without", plain, 0.0), ("with", seeing, weight)):
        h, c = _read(model, 0, (zeros, cell))
        # f and i see the old cell, o the new one.
        early = _gate(shares[:1] + seen * cell, zeros, recurrent)
        late = _gate(shares[:1] + seen * c, zeros, recurrent)
        figures = {"gate": early, "c": c, "output_gate": late, "h": h}
        values |= {f"{key}_{name}": v[0].tolist() for key, v in figures.items()}
        off = (lstm_hidden(lstm_cell(cell, early, early, _tanh(shares, recurrent)), late) - h).abs()
        rows.append((name, figures, off.max().item()))
    labels = {"without": Text("without", "没有"), "with": Text("with", "有")}
    return Step(
        title=Text("Peepholes: the gates see the cell", "窥视孔：门能看到细胞"),
        text=Text(
            f"With a peephole each gate also sees its own unit's cell, times {weight:g}: i and f "
            "the old cell, o the new one. The first word again, from a cell that is not 0; first "
            "unit.",
            f"有了窥视孔，每个门还能看到本单元的细胞（乘以 {weight:g}）：i 和 f 看旧的，o 看新"
            "的。再读第一个词，细胞的初值不为 0；表中是第一个单元。",
        ),
        formula=[
            "i = f = sigmoid(W x + U h + v c_0)",
            "o = sigmoid(W x + U h + v c_1)",
        ],
        tables=[
            Table(
                (Text("peephole", "窥视孔"), "i = f", "c_1", "o", "h_1"),
                [
                    (labels[name], *(v[0, 0].item() for v in figures.values()))
                    for name, figures, _ in rows
                ],
            )
        ],
        values=values,
        claims=[
            Claim(
                Text(
                    "these gates, put into the update, give the model's h",
                    "用这些门作更新，得到的正是模型的 h",
                ),
                all(off <= 1e-12 for *_, off in rows),
            ),
            Claim(
                Text(
                    "o differs from i and f: it has seen another cell",
                    "o 与 i、f 不同：它看到的是另一个细胞",
                ),
                abs(values["output_gate_with"][0] - values["gate_with"][0]) > 1e-6,
            ),
        ],
    )


def _tanh(shares: Tensor, recurrent: Tensor) -> Tensor:
    return rnn_step(shares[:1], torch.zeros_like(shares[:1]), recurrent)
