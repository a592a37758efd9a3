"""Sections of what the encoder made of the words: hidden layers, states and gates, attention."""

from typing import Any

from nplm_cli.bilingual import Table, Text
from nplm_cli.explain.sections import Heat, Section, both, labels, short

# What each step of a recurrent layer has, in the order of its formulas; shares lie in 0..1.
GATES = {
    "i": Text("input gate i", "输入门 i"),
    "f": Text("forget gate f", "遗忘门 f"),
    "o": Text("output gate o", "输出门 o"),
    "r": Text("reset gate r", "重置门 r"),
    "z": Text("update gate z", "更新门 z"),
    "g": Text("candidate g", "候选值 g"),
    "n": Text("candidate n", "候选值 n"),
    "c": Text("cell c", "细胞状态 c"),
    "h": Text("state h", "状态 h"),
}
SHARES = "iforz"
FORMULAS = {
    "rnn": ("h_t = {activation}(U x_t + W h_(t-1) + b)",),
    "gru": (
        "r, z = sigmoid(W x_t + U h_(t-1) + b), each with its own W, U, b",
        "n = tanh(W x_t + r * (U h_(t-1)) + b)",
        "h_t = (1 - z) * n + z * h_(t-1)",
    ),
    "lstm": (
        "i, f, o = sigmoid(W x_t + U h_(t-1) + b), each with its own W, U, b",
        "g = tanh(W x_t + U h_(t-1) + b)",
        "    (with peepholes i, f also see P c_(t-1), and o sees P c_t)",
        "c_t = f * c_(t-1) + i * g",
        "h_t = o * tanh(c_t)",
    ),
}


def encoder_sections(record: dict[str, Any], components: int) -> list[Section]:
    """A section for each layer."""
    focus = short(record["explained"][0]["word"])
    if not record["layers"]:
        text = Text(
            "There is no hidden layer: the output layer reads the vectors, put together, as they "
            "are (log-bilinear).",
            "没有隐藏层：输出层直接读取组合起来的词向量（对数双线性模型）。",
        )
        return [Section(Text("The hidden layers", "隐藏层"), [text])]
    made = {"ffn": _window, "attention": _attention, "transformer": _attention}
    section = made.get(record["arch"], _recurrent)
    return [section(record, layer, components, focus) for layer in record["layers"]]


def _matter(layer: dict[str, Any], count: int) -> list[int]:
    """Units of the largest influence on ln p, those of the largest first."""
    influence = layer["influence"]
    return sorted(range(len(influence)), key=lambda i: -abs(influence[i]))[:count]


def _influence(focus: str) -> Text:
    return Text(
        f"The units that matter most for {focus}: those of the largest h d ln p / dh.",
        f"对 {focus} 最要紧的单元：h 与 ln p 对 h 的导数之积最大的那些。",
    )


def _window(record: dict[str, Any], layer: dict[str, Any], count: int, focus: str) -> Section:
    settings, units = record["settings"], _matter(layer, count)
    n = layer["layer"]
    f = settings["activation"]
    gated = layer["gate"] is not None
    formula = f"h = {f}(W x + b)" + (" * sigmoid(V x + c)" if gated else "")
    blocks: list[Any] = [formula, _read_by(settings, n), _influence(focus)]
    columns: list[Text | str] = [Text("unit", "单元"), "W x + b"]
    columns += [Text("gate", "门")] if gated else []
    columns += ["h", "h d ln p/dh"]
    rows = []
    for i in units:
        row: list[Any] = [str(i + 1), layer["sums"][i]]
        row += [layer["gate"][i]] if gated else []
        rows.append([*row, layer["units"][i], layer["influence"][i]])
    blocks.append(Table(columns, rows, 4))
    if n == 1:
        bias = layer["bias"] or [0.0] * len(layer["units"])
        values = [[share[i] for i in units] for share in [*layer["shares"], bias]]
        names = [*_pieces(record, len(layer["shares"])), Text("bias", "偏置")]
        caption = Text(
            "What each place adds to W x + b of these units", "各位置为这些单元的 W x + b 加了多少"
        )
        blocks.append(Heat(caption, names, [_unit(i) for i in units], values, True))
    return Section(Text(f"Hidden layer {n}", f"第 {n} 隐藏层"), blocks)


def _read_by(settings: dict[str, Any], number: int) -> Text:
    if number > 1:
        return Text("It reads the layer below.", "它读取下一层的输出。")
    if settings["combine"] == "concat":
        text = Text(
            "It reads the vectors of the window, side by side.", "它读取窗口中首尾相接的词向量。"
        )
    else:
        names = {"sum": Text("sum", "和"), "mean": Text("mean", "平均")}
        name = names[settings["combine"]]
        text = Text(
            f"It reads the {name.en} of the vectors of the window.",
            f"它读取窗口中各词向量的{name.zh}。",
        )
    if settings["far"]:
        text = Text(
            f"{text.en} Features of the {settings['far']} words before the window stand behind "
            "them.",
            f"{text.zh}其后是窗口之前 {settings['far']} 个词的特征。",
        )
    if settings["norm"] == "pre":
        text = Text(f"{text.en} Layer norm comes first.", f"{text.zh}先做层归一化。")
    return text


def _pieces(record: dict[str, Any], count: int) -> list[Text | str]:
    """Names of what the first layer reads, piece by piece."""
    settings = record["settings"]
    near: list[Text | str]
    if settings["combine"] == "concat":
        near = list(labels(record)[-(settings["order"] - 1) :])
    else:
        near = [{"sum": Text("sum", "和"), "mean": Text("mean", "平均")}[settings["combine"]]]
    far = [Text("far words", "远处的词")] if count > len(near) else []
    return [*near, *far]


def _unit(i: int) -> Text:
    return Text(f"h{i + 1}", f"h{i + 1}")


def _recurrent(record: dict[str, Any], layer: dict[str, Any], count: int, focus: str) -> Section:
    names, units = labels(record), _matter(layer, count)
    present = [name for name in GATES if name in layer]
    text = Text(
        "After each word: the mean over all units, and the lowest and the highest unit.",
        "每读一个词之后：所有单元的平均值，以及最低和最高的单元。",
    )
    columns = [
        both(""),
        Text("word", "词"),
        Text("mean", "平均"),
        Text("lowest", "最低"),
        Text("unit", "单元"),
        Text("highest", "最高"),
        Text("unit", "单元"),
    ]
    rows: list[list[Any]] = []
    for gate in present:
        for name, values in zip(names, layer[gate], strict=True):
            low = min(range(len(values)), key=values.__getitem__)
            high = max(range(len(values)), key=values.__getitem__)
            mean = sum(values) / len(values)
            rows.append([gate, name, mean, values[low], low + 1, values[high], high + 1])
    formulas = [line.format_map(record["settings"]) for line in FORMULAS[record["arch"]]]
    if record["settings"].get("peephole", "none") == "none":
        formulas = [line for line in formulas if "peepholes" not in line]
    blocks: list[Any] = [*formulas]
    gates = [name for name in present if name in SHARES]
    if gates:
        means = [[sum(values) / len(values) for values in layer[gate]] for gate in gates]
        caption = Text(
            "How far each gate is open, mean over all units", "各个门的开度，所有单元的平均"
        )
        blocks.append(Heat(caption, [GATES[gate] for gate in gates], names, means, False))
    blocks += [text, Table(columns, rows, 4)]
    caption = Text(
        f"{_influence(focus).en} After the last word:",
        f"{_influence(focus).zh}读完最后一个词之后：",
    )
    influence = [layer["influence"][i] for i in units]
    blocks.append(
        Heat(caption, [both("h d ln p/dh")], [_unit(i) for i in units], [influence], True)
    )
    for gate in present:
        values_over_time = [[values[i] for i in units] for values in layer[gate]]
        heads = [f"{gate}{i + 1}" for i in units]
        signed = gate not in SHARES
        blocks.append(Heat(GATES[gate], names, heads, values_over_time, signed))
    n = layer["layer"]
    return Section(Text(f"Recurrent layer {n}, word by word", f"第 {n} 循环层，逐词"), blocks)


def _attention(record: dict[str, Any], layer: dict[str, Any], count: int, focus: str) -> Section:
    names, n = labels(record), layer["layer"]
    text = Text(
        "Each row is a word that looks, each column a word that is looked at; a row sums to 1, and "
        "no word looks at a later one. The prediction reads the last row.",
        "每行是一个在看的词，每列是一个被看的词；每行之和为 1，任何词都看不到后面的词。"
        "预测读取的是最后一行。",
    )
    blocks: list[Any] = [text]
    if n > 1:
        blocks.append(
            Text(
                "What is looked at here is no longer the words alone, but what the layer below has "
                "gathered at their places.",
                "这里看到的不再只是词本身，而是下一层在各个位置上汇集的内容。",
            )
        )
    for number, weights in enumerate(layer["heads"], 1):
        values: list[list[float | None]] = [
            [a if s <= t else None for s, a in enumerate(row)] for t, row in enumerate(weights)
        ]
        caption = Text(f"Head {number}", f"第 {number} 个头")
        blocks.append(Heat(caption, names, names, values, False))
    return Section(Text(f"Attention, layer {n}", f"第 {n} 层注意力"), blocks)
