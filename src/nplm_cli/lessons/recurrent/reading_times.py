"""W-24: which word is read slowly, what a model finds surprising, and what five words prove."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nplm_cli.bilingual import Cell, Table, Text
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.errors import ConfigError
from nplm_cli.evaluation.regression import correlation, f_survival
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_corpus import corpus_of
from nplm_cli.ngram import NgramModel
from nplm_cli.query.predict import surprisal_bits

RUNS = (
    "nplm_cli.ngram.model.NgramModel.log_probs",
    "nplm_cli.query.predict.surprisal_bits",
    "nplm_cli.evaluation.regression.correlation",
    "nplm_cli.evaluation.regression.f_survival",
)
WORDS = ("the", "two", "young", "sea-lions", "took")
MEASURES = {
    "first_pass": Text("first pass", "首遍"),
    "go_past": Text("go-past", "回视路径"),
    "right_bounded": Text("right-bounded", "右边界"),
}
SENTENCES = (
    "the two young dogs slept on the beach",
    "the two young men took the bus to town",
    "the two old sea-lions slept on the rocks",
    "the young woman took two photos of the bay",
    "two young boys took the boat out to sea",
    "the old man saw two dogs on the beach",
    "a young seal took the fish",
    "the sea-lions took the fish out of the boat",
)


def _times(measure: str, *times: float) -> Parameter:
    text = MEASURES[measure]
    help = Text(f"{text.en} times in ms", f"{text.zh}阅读时间（毫秒）")
    return Parameter(default=times, help=help, low=0, high=9999)


PARAMETERS = {
    "first_pass": _times("first_pass", 27.2, 138.7, 155.5, 314.8, 169.3),
    "go_past": _times("go_past", 27.2, 138.7, 178.4, 426.1, 180.9),
    "right_bounded": _times("right_bounded", 27.2, 138.7, 155.5, 339.2, 169.3),
    "measure": Parameter(
        default="go_past", help=Text("of steps 3 and 4", "第 3、4 步所用"), choices=tuple(MEASURES)
    ),
    "order": Parameter(default=3, help=Text("of the n-gram model", "n 元模型的 n"), low=1, high=5),
}


def steps(
    first_pass: tuple[float, ...],
    go_past: tuple[float, ...],
    right_bounded: tuple[float, ...],
    measure: str,
    order: int,
) -> Iterator[Step]:
    """The times; surprisal under a small model; their correlation; what it is worth."""
    times = {
        name: np.array(values)
        for name, values in zip(MEASURES, (first_pass, go_past, right_bounded), strict=True)
    }
    for name, row in times.items():
        if len(set(row.tolist())) < 2:
            raise ConfigError(f"{name}: equal times go with nothing: expected different ones")
    yield _table(times)
    bits = _surprisal(order)
    yield _surprisal_step(bits, order)
    lengths = np.array([len(word) for word in WORDS], dtype=float)
    yield _correlations(times[measure], bits, lengths, MEASURES[measure])
    yield _worth(times[measure], bits)


def _table(times: dict[str, np.ndarray]) -> Step:
    values: dict[str, Any] = {}
    rows: list[Sequence[Cell]] = []
    for name, row in times.items():
        mean = float(row.mean())
        ratio = float(row.max()) / mean if mean else None
        values |= {
            f"{name}_mean": mean,
            f"{name}_ratio": ratio,
            f"{name}_slowest": int(row.argmax()) + 1,
        }
        rows.append((MEASURES[name], *row.tolist(), mean, ratio))
    slowest = {values[f"{name}_slowest"] for name in times}
    return Step(
        title=Text("Times that people took", "人读每个词所用的时间"),
        text=Text(
            "Milliseconds on each word, by three measures of eye tracking: until the eyes first "
            "leave the word, until they pass it to the right (looking back counts), and what was "
            "spent on the word itself before that.",
            "每个词上所用的毫秒数，按眼动实验的三种指标：首遍是眼睛第一次离开该词之前；回视路径"
            "是越过该词向右之前（包括往回看）；右边界只算其中停在该词上的时间。",
        ),
        tables=[
            Table(("ms", *WORDS, Text("mean", "均值"), Text("max/mean", "最大/均值")), rows, 3)
        ],
        values=values,
        claims=[
            Claim(
                Text(
                    "by every measure sea-lions takes longest",
                    "无论哪种指标，sea-lions 用时都最长",
                ),
                slowest == {WORDS.index("sea-lions") + 1},
            )
        ],
    )


def _surprisal(order: int) -> np.ndarray:
    """Bits of each of the five words under Kneser-Ney counts of the lesson's sentences."""
    vocabulary, part = corpus_of(SENTENCES)
    model = NgramModel.train(part.ids_N, order=order, vocab_size=len(vocabulary))
    ids = np.array([*vocabulary.encode(WORDS), EOS_ID])
    return np.array([surprisal_bits(float(log_p)) for log_p in model.log_probs(ids)[:-1]])


def _surprisal_step(bits: np.ndarray, order: int) -> Step:
    rows = [(word, 2.0**-value, value) for word, value in zip(WORDS, bits.tolist(), strict=True)]
    return Step(
        title=Text("What a model finds surprising", "模型觉得意外的词"),
        text=Text(
            f"Surprisal is -log2 p of a word after those before it, in bits: here by counts of "
            f"order {order}, smoothed, over eight sentences of this lesson. One bit more is half "
            "the probability.",
            f"惊异度是一个词在上文之后的 -log2 p，单位是比特：这里用本课的八个句子，{order} 元"
            "计数，经过平滑。多一比特，就是概率减半。",
        ),
        formula=["surprisal(w_t) = -log2 p(w_t | w_1 ... w_(t-1))"],
        tables=[Table((Text("word", "词"), "p", Text("bits", "比特")), rows)],
        values={"bits": bits.tolist()},
        claims=[
            Claim(
                Text(
                    "sea-lions is the most surprising: it was never seen after 'young'",
                    "sea-lions 最出人意料：它没有在 young 后面出现过",
                ),
                int(bits.argmax()) == WORDS.index("sea-lions"),
            )
        ],
    )


def _correlations(times: np.ndarray, bits: np.ndarray, lengths: np.ndarray, measure: Text) -> Step:
    r, by_length = correlation(bits, times), correlation(lengths, times)
    without = [correlation(np.delete(bits, i), np.delete(times, i)) for i in range(len(WORDS))]
    known = [value for value in without if value is not None]
    return Step(
        title=Text("Do they go together?", "两者相关吗？"),
        text=Text(
            f"Pearson's r of surprisal and {measure.en} times, and once more without each word in "
            "turn. For comparison r of the number of letters: long words take long, too.",
            f"惊异度与{measure.zh}时间的皮尔逊相关系数 r；再依次去掉一个词重算。为作比较，也算"
            "字母数的 r：长的词读得也久。",
        ),
        formula=["r = Σ (a - ā)(b - b̄) / (|a - ā| |b - b̄|)"],
        tables=[
            Table(
                ("", "r"),
                [
                    (Text("surprisal, all five", "惊异度，五个词"), r),
                    *(
                        (Text(f"... without {word}", f"…… 去掉 {word}"), value)
                        for word, value in zip(WORDS, without, strict=True)
                    ),
                    (Text("letters, all five", "字母数，五个词"), by_length),
                ],
            )
        ],
        values={"r": r, "r_without": without, "r_length": by_length},
        claims=[
            Claim(
                Text(
                    "leaving one word out moves r by more than 0.2",
                    "去掉一个词，r 就变化 0.2 以上",
                ),
                r is not None and any(abs(value - r) > 0.2 for value in known),
            ),
            Claim(
                Text(
                    "the number of letters alone does as well or better",
                    "单凭字母数，相关程度就不低于惊异度",
                ),
                r is not None and by_length is not None and by_length >= r,
            ),
        ],
    )


def _worth(times: np.ndarray, bits: np.ndarray) -> Step:
    n = len(WORDS)
    r = correlation(bits, times)
    share = p = None
    if r is not None:
        # Every order of the times was as likely if the two have nothing to do with each other.
        orders = [
            correlation(bits, times[list(order)]) for order in itertools.permutations(range(n))
        ]
        share = sum(abs(other or 0.0) >= abs(r) - 1e-12 for other in orders) / len(orders)
        left = 1 - r * r
        p = f_survival(r * r * (n - 2) / left, 1, n - 2) if left > 0 else 0.0
    needed = _least_r(n)
    many = next(m for m in range(5, 10_000) if _p_of(0.2, m) < 0.05)
    return Step(
        title=Text("What five words prove: nothing", "五个词能证明什么：什么也不能"),
        text=Text(
            "Had the two nothing to do with each other, how often would r be as large? Two "
            "answers: among all 120 orders of the five times, and by the F test with 1 and 3 "
            "degrees of freedom. Nor is such a sentence chosen at random. Studies use thousands "
            "of words, and regressions that hold length and frequency fixed: nplm surprisal "
            "--times-column does one.",
            "假如两者毫无关系，r 有多大可能达到这么大？两种算法：在五个时间的全部 120 种排列中"
            "数一数；用自由度为 1 和 3 的 F 检验。何况这个句子也不是随机抽取的。真正的研究用"
            "成千上万个词，并在回归中控制词长与词频：nplm surprisal --times-column 可以做。",
        ),
        formula=["F = r^2 (n - 2) / (1 - r^2)"],
        tables=[
            Table(
                ("", Text("value", "值")),
                [
                    (
                        Text("share of orders with |r| as large", "|r| 不小于此的排列所占份额"),
                        share,
                    ),
                    (Text("p by the F test", "F 检验的 p"), p),
                    (
                        Text("least |r| with p < 0.05, n = 5", "n = 5 时 p < 0.05 所需的 |r|"),
                        needed,
                    ),
                    (Text("words for p < 0.05 at r = 0.2", "r = 0.2 时 p < 0.05 所需的词数"), many),
                ],
            )
        ],
        values={"share_of_orders": share, "p_value": p, "least_r": needed, "words_needed": many},
        claims=[
            Claim(
                Text(
                    "with n = 5 only |r| above 0.87 counts as significant",
                    "n = 5 时，|r| 要超过 0.87 才算显著",
                ),
                needed > 0.87,
            ),
            Claim(
                Text("this r is not significant (p > 0.05)", "这里的 r 不显著（p > 0.05）"),
                p is not None and p > 0.05,
            ),
        ],
    )


def _least_r(n: int) -> float:
    """The |r| over n words whose p is 0.05, by halving."""
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (low, middle) if _p_of(middle, n) < 0.05 else (middle, high)
    return high


def _p_of(r: float, n: int) -> float:
    """p of a correlation over n words."""
    return f_survival(r * r * (n - 2) / (1 - r * r), 1, n - 2)
