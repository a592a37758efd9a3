"""Sections of the end of a prediction: probabilities, logits, and the words that moved them."""

import math
from collections.abc import Sequence
from typing import Any

from nplm_cli.bilingual import Table, Text
from nplm_cli.explain.sections import Section, both, labels, number, short

RANK, WORD = Text("rank", "名次"), Text("word", "词")
# Of fewer places a correlation of ranks says nothing.
ENOUGH_RANKS = 4
PROBABILITY, BITS = Text("p", "概率"), Text("bits", "比特")


def distribution_section(record: dict[str, Any]) -> Section:
    """The most probable words, and those that were asked for."""
    predictions, asked = record["predictions"], record["asked"]
    with_logits = "logit" in record["explained"][0]
    figures = ["logit", "probability"] if with_logits else ["logprob_e", "probability"]
    if "layers" not in record:
        figures = ["probability"]
    names = {"logit": both("logit"), "logprob_e": both("ln p"), "probability": PROBABILITY}
    columns = [RANK, WORD, *[names[key] for key in figures], BITS]

    def row(word: dict[str, Any], shown: str) -> list[Any]:
        return [word["rank"], shown, *[word[key] for key in figures], word["surprisal_bits"]]

    blocks: list[Any] = []
    if with_logits:
        blocks.append("p(w) = exp(logit_w) / sum over all words v of exp(logit_v)")
    if predictions:
        blocks.append(Table(columns, [row(word, short(word["word"])) for word in predictions], 6))
    else:
        blocks.append(
            Text(
                "This context was never seen: relative frequencies say nothing about it.",
                "训练文本中没有出现过这个上文：相对频率对它没有话可说。",
            )
        )
    if asked:
        blocks.append(Text("Asked for:", "所问的词："))
        rows = [row(word, _asked(word)) for word in asked]
        blocks.append(Table(columns, rows, 6))
    return Section(Text("The most probable next words", "最可能的下一个词"), blocks)


def _asked(word: dict[str, Any]) -> str:
    return f"{short(word['asked'])} = <unk>" if word["oov"] else short(word["word"])


def contribution_section(record: dict[str, Any], components: int) -> Section:
    """Out of what the logit of each explained word is made."""
    blocks: list[Any] = ["logit_w = b_w + u_w1 h_1 + u_w2 h_2 + ..."]
    source = (
        Text("h is the hidden state after the projection.", "h 是投影之后的隐藏状态。")
        if record["projected"]
        else Text(
            "h is the state that the encoder hands to the output layer.",
            "h 是编码器交给输出层的状态。",
        )
    )
    blocks.append(source)
    for word in record["explained"]:
        for choice in word["choices"]:
            blocks += _choice(word, choice, components)
        if len(word["choices"]) > 1:
            shown = short(word["word"])
            total = number(word["logprob_e"])
            blocks.append(
                Text(
                    f"Both together: ln p({shown}) = {total}.",
                    f"两步合计：ln p({shown}) = {total}。",
                )
            )
    return Section(Text("What the logit is made of", "logit 由什么构成"), blocks)


def _choice(word: dict[str, Any], choice: dict[str, Any], components: int) -> list[Any]:
    made = choice["contributions"]
    largest = sorted(range(len(made)), key=lambda i: -abs(made[i]))[:components]
    rows: list[list[Any]] = [
        [str(i + 1), choice["state"][i], choice["weights"][i], made[i]] for i in largest
    ]
    others = len(made) - len(largest)
    if others:
        rest = sum(made) - sum(made[i] for i in largest)
        rows.append([Text(f"the other {others}", f"其余 {others} 个"), None, None, rest])
    bias = Text("bias", "偏置")
    if choice["of"] == "cluster":
        bias = Text("bias + ln words", "偏置 + ln 词数")
    rows.append([bias, None, None, choice["bias"]])
    rows.append([both("logit"), None, None, choice["logit"]])
    shown, sums = short(word["word"]), [number(choice[key]) for key in ("logit", "log_z")]
    log_p = number(choice["logprob_e"])
    end = f"{sums[0]} - ln Z {sums[1]} = {log_p}"
    text = {
        "words": Text(f"{shown}: ln p = logit {end}.", f"{shown}：ln p = logit {end}。"),
        "head": Text(
            f"{shown}, among frequent words and clusters: ln p = logit {end}.",
            f"{shown}，在高频词与各簇之中：ln p = logit {end}。",
        ),
        "cluster": Text(
            f"The cluster of {shown}, among frequent words and clusters, its bias with ln of how "
            f"many words it has: ln p = logit {end}.",
            f"{shown} 所在的簇，在高频词与各簇之中，偏置中含簇内词数的对数：ln p = logit {end}。",
        ),
    }[choice["of"]]
    if choice["of"] == "words" and len(word["choices"]) > 1:
        text = Text(
            f"{shown} within its cluster: ln p = logit {end}.",
            f"{shown}，在簇内：ln p = logit {end}。",
        )
    columns: Sequence[Text | str] = [
        Text("unit", "单元"),
        "h_i",
        "u_wi",
        Text("u_wi h_i", "u_wi h_i"),
    ]
    return [text, Table(columns, rows, 4)]


def attribution_section(record: dict[str, Any]) -> Section:
    """Which word of the context moved the prediction, by each measure."""
    with_gradient = "layers" in record
    blocks: list[Any] = [
        Text(
            "Occlusion: the word is read as <unk>, and ln p changes by so much; below 0 the word "
            "had raised the probability.",
            "遮挡：把这个词读作 <unk> 之后 ln p 的变化；小于 0 说明这个词本来提高了概率。",
        )
    ]
    if any(_from_or_to_zero(moved) for moved in record["attribution"]):
        blocks.append(
            Text(
                "A probability of 0 has no finite logarithm: inf, the word is possible only with "
                "<unk> in this place; -inf, it no longer is; no figure, it is impossible either "
                "way. Only finite changes are ranked.",
                "概率为 0 时对数不是有限的：inf 表示此处读作 <unk> 之后这个词才有可能出现；"
                "-inf 表示读作 <unk> 之后不再可能；没有数值表示两种情形下都不可能。"
                "只给有限的变化排名次。",
            )
        )
    figures = [("occlusion", Text("occlusion", "遮挡"))]
    if with_gradient:
        blocks.append(
            Text(
                "Gradient: the length of d ln p / dx, x being the word's vector; gradient times "
                "input: their product, to first order what ln p would lose with the vector. # is "
                "the rank by size.",
                "梯度：ln p 对词向量 x 的导数的长度；梯度乘输入：两者的点积，"
                "即一阶近似下去掉该向量 ln p 会损失多少。# 是按绝对值排的名次。",
            )
        )
        if _only_directions(record):
            blocks.append(
                Text(
                    "This model reads each vector after layer norm, to which its length is "
                    "nothing: gradient times input is near 0 for every word, and the gradient "
                    "says more.",
                    "这个模型先对每个词向量做层归一化，向量的长度不起作用："
                    "每个词的梯度乘输入都接近 0，看梯度更有意义。",
                )
            )
        figures += [
            ("gradient", Text("gradient", "梯度")),
            ("gradient_x_input", Text("grad x input", "梯度乘输入")),
        ]
    names = labels(record)
    columns: list[Text | str] = [WORD]
    for _, name in figures:
        columns += [name, both("#")]
    for moved in record["attribution"]:
        shown, log_p = short(moved["word"]), number(moved["logprob_e"])
        blocks.append(Text(f"ln p({shown}) = {log_p}:", f"ln p({shown}) = {log_p}："))
        rows = []
        for label, place in zip(names, moved["places"], strict=True):
            row: list[Any] = [label]
            for key, _ in figures:
                row += [place[key], _rank(place[f"{key}_rank"])]
            rows.append(row)
        blocks.append(Table(columns, rows, 4))
        agreement = moved["spearman"].get("gradient_x_input")
        ranked = sum(place["occlusion_rank"] is not None for place in moved["places"])
        if agreement is not None and ranked >= ENOUGH_RANKS:
            blocks.append(_agreement(agreement, ranked))
    return Section(Text("Which word moved the prediction", "哪个词推动了这次预测"), blocks)


def _from_or_to_zero(moved: dict[str, Any]) -> bool:
    """Whether a word has probability 0 as the text is, or with one of its words occluded."""
    changes = (place["occlusion"] for place in moved["places"])
    return moved["logprob_e"] == -math.inf or any(c in (math.inf, -math.inf) for c in changes)


def _only_directions(record: dict[str, Any]) -> bool:
    """Whether layer norm before everything leaves next to nothing of each vector's length."""
    if record["arch"] != "ffn" or record["settings"]["norm"] != "pre":
        return False
    return all(
        abs(moved["gradient_x_input"]) <= 0.05 * moved["gradient"] * place["length"]
        for attribution in record["attribution"]
        for moved, place in zip(attribution["places"], record["places"], strict=True)
    )


def _agreement(rho: float, count: int) -> Text:
    shown = number(rho, 2)
    return Text(
        f"Ranks of {count} places by occlusion and gradient times input: Spearman's rho {shown}.",
        f"{count} 个位置按遮挡与按梯度乘输入的名次，其 Spearman 相关系数为 {shown}。",
    )


def _rank(rank: float | None) -> int | float | None:
    return int(rank) if rank is not None and rank == int(rank) else rank
