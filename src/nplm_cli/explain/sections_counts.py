"""Sections of counts and of mixtures: the way back to shorter contexts, and who says what."""

from typing import Any

from nplm_cli.bilingual import Table, Text
from nplm_cli.explain.sections import Section, both, number, short
from nplm_cli.plain import quoted


def counts_sections(record: dict[str, Any]) -> list[Section]:
    """How the probability of each explained word comes about."""
    if record["smoothing"] == "kn":
        return [_way_back(record)]
    return [_fraction(record)]


def _way_back(record: dict[str, Any]) -> Section:
    blocks: list[Any] = [
        "p_n(w | h) = (a(hw) - D) / A(h) + b(h) p_(n-1)(w | h')",
        Text(
            "Interpolated Kneser-Ney: h' is h without its first word, a the count (of a shorter "
            "context the number of different words before it), A(h) the sum of a over all words, D "
            "the discount, b(h) what the discounts leave to the shorter context. The weight of an "
            "order is the product of b of all longer ones; weight times (a - D) / A is what it "
            "adds to p. Last stands 1/V, the same for all words.",
            "插值 Kneser-Ney 平滑：h' 是去掉第一个词的 h，a 是次数"
            "（较短的上文用前面不同词的个数），"
            "A(h) 是 a 对所有词之和，D 是折扣，b(h) 是折扣留给较短上文的份额。"
            "某一阶的权重是所有更长阶的 b 之积；权重乘以 (a - D) / A 就是它为 p 加上的部分。"
            "最后是对所有词都相同的 1/V。",
        ),
    ]
    columns = [
        Text("after", "上文"),
        both("c(hw)"),
        both("a(hw)"),
        both("D"),
        both("A(h)"),
        both("b(h)"),
        Text("weight", "权重"),
        Text("adds", "加上"),
    ]
    for word in record["explained"]:
        p = number(word["probability"], 6)
        shown = short(word["word"])
        blocks.append(Text(f"p({shown}) = {p}:", f"p({shown}) = {p}："))
        rows: list[list[Any]] = []
        for order in word["orders"]:
            history = " ".join(order["history"]) or both("-")
            keys = ("count", "adjusted", "discount", "total", "backoff")
            known = [order[key] if order["known"] else None for key in keys]
            rows.append([history, *known, order["weight"], order["adds"]])
        uniform = word["uniform"]
        rows.append([both("1/V"), *[None] * 5, uniform["weight"], uniform["adds"]])
        blocks.append(Table(columns, rows, 4))
        unseen = [order for order in word["orders"] if not order["known"]]
        if unseen:
            history = " ".join(short(word) for word in unseen[-1]["history"])
            blocks.append(
                Text(
                    f"Never seen in the training text: {history}. All weight goes on to the "
                    "shorter context.",
                    f"训练文本中没有出现过：{history}。全部权重交给较短的上文。",
                )
            )
    return Section(Text("The way back to shorter contexts", "向较短上文的回退"), blocks)


def _fraction(record: dict[str, Any]) -> Section:
    added = record["k"] if record["smoothing"] == "addk" else 0.0
    formula = "p(w | h) = (c(hw) + k) / (c(h) + k V)" if added else "p(w | h) = c(hw) / c(h)"
    text = Text(
        "The longest context decides alone, c(h) counting the words that followed it.",
        "只由最长的上文决定，c(h) 是跟在它后面的词的个数。",
    )
    rows = [
        [short(w["word"]), " ".join(w["history"]), w["count"], w["of"], w["probability"]]
        for w in record["explained"]
    ]
    columns = [
        Text("word", "词"),
        Text("after", "上文"),
        both("c(hw)"),
        both("c(h)"),
        Text("p", "概率"),
    ]
    blocks: list[Any] = [formula, text, Table(columns, rows, 6)]
    if added:
        blocks.append(both(f"k = {added:g}"))
    return Section(Text("Counts", "次数"), blocks)


def mixture_sections(record: dict[str, Any]) -> list[Section]:
    """What each component says, and whom to ask for more."""
    columns = [
        Text("component", "成分"),
        Text("weight", "权重"),
        Text("p", "概率"),
        Text("adds", "加上"),
    ]
    blocks: list[Any] = [
        "p(w) = sum over components k of weight_k p_k(w)",
    ]
    for word in record["explained"]:
        shown, p = short(word["word"]), number(word["probability"], 6)
        blocks.append(Text(f"p({shown}) = {p}:", f"p({shown}) = {p}："))
        rows = []
        for part, said in zip(record["components"], word["parts"], strict=True):
            rows.append([part["what"], part["weight"], said["probability"], said["adds"]])
        blocks.append(Table(columns, rows, 6))
    if any(said["probability"] is None for said in record["explained"][0]["parts"]):
        blocks.append(
            Text(
                "A cache that holds nothing yet says nothing: the others share its weight.",
                "还空着的缓存没有话可说：它的权重由其他成分分担。",
            )
        )
    most = _most(record)
    blocks.append(
        Text(
            "Most of it comes from one component; it explains itself with:",
            "其中出力最多的一个成分，可以用下面的命令让它自己来解释：",
        )
    )
    blocks.append(f'nplm explain {quoted(most["folder"])} "..."')
    return [Section(Text("What each component says", "各成分怎么说"), blocks)]


def _most(record: dict[str, Any]) -> dict[str, Any]:
    """The component, no cache, that adds most to the first explained word."""
    parts = zip(record["components"], record["explained"][0]["parts"], strict=True)
    models = [(part, said["adds"] or 0.0) for part, said in parts if part["folder"] is not None]
    best: dict[str, Any] = max(models, key=lambda pair: pair[1])[0]
    return best
