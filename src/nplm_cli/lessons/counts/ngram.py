"""W-16: n-gram probabilities as fractions of counts, and what smoothing makes of the zeros."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nplm_cli.bilingual import Table, Text
from nplm_cli.corpus.vocabulary import SPECIALS, Vocabulary
from nplm_cli.errors import ConfigError
from nplm_cli.lessons.counts.text import PARAMETER, all_words, encoded, sentences_of
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.ngram import NgramModel
from nplm_cli.ngram.description import Smoothing

RUNS = (
    "nplm_cli.ngram.model.NgramModel.next_log_probs",
    "nplm_cli.ngram.model.NgramModel.count",
    "nplm_cli.ngram.model.NgramModel.continuations",
)
PARAMETERS = {
    "sentences": PARAMETER,
    "ngram": Parameter(
        default=("这", "本", "书", "很", "乏味"),
        help=Text("a history, and the word after it", "历史与其后的词"),
        free=True,
    ),
    "k": Parameter(default=1.0, help=Text("of add-k", "加 k 平滑的 k"), low=1e-6, high=1000),
}
LONGEST_NGRAM = 12
MOST_SHOWN = 10
SMOOTHINGS: dict[Smoothing, str] = {"mle": "c(h w) / c(h)", "addk": "add-k", "kn": "Kneser-Ney"}


@dataclass(frozen=True)
class Counted:
    """Count models of the sentences, of the order that the n-gram asks for."""

    vocabulary: Vocabulary
    models: dict[Smoothing, NgramModel]

    def count(self, words: Sequence[str]) -> int:
        """How often the words stand side by side."""
        return self.models["mle"].count(self.vocabulary.encode(words))

    def after(self, words: Sequence[str]) -> list[tuple[str, int]]:
        """Words seen after others, and how often."""
        ids, counts = self.models["mle"].continuations(self.vocabulary.encode(words))
        tokens = [self.vocabulary.tokens[i] for i in ids]
        return list(zip(tokens, counts.tolist(), strict=True))

    def p(self, words: Sequence[str], smoothing: Smoothing = "mle") -> np.ndarray:
        """Probabilities (V,) of the next word."""
        ids = self.vocabulary.encode(words)
        return np.asarray(np.exp(self.models[smoothing].next_log_probs(ids)))


def steps(sentences: tuple[str, ...], ngram: tuple[str, ...], k: float) -> Iterator[Step]:
    """Counts, fractions after one history, histories of every length, zeros, smoothing."""
    if not 2 <= len(ngram) <= LONGEST_NGRAM:
        raise ConfigError(f"ngram: expected 2 to {LONGEST_NGRAM} words, found {len(ngram)}")
    text = sentences_of(sentences)
    vocabulary = all_words(text)
    for word in ngram:
        if word not in vocabulary.tokens[len(SPECIALS) :]:
            raise ConfigError(
                f"ngram: {word!r:.40} is no word of the sentences: take words of them"
            )
    stream = np.concatenate([np.array(ids) for ids in encoded(text, vocabulary)])
    models = {
        smoothing: NgramModel.train(
            stream, order=len(ngram), vocab_size=len(vocabulary), smoothing=smoothing, k=k
        )
        for smoothing in SMOOTHINGS
    }
    counted = Counted(vocabulary, models)
    tokens = sum(map(len, text))
    types = len(vocabulary) - len(SPECIALS)
    history, word = ngram[:-1], ngram[-1]
    yield _fractions(counted, history, len(text), tokens, types)
    yield _histories(counted, history, word)
    yield _chain(counted, ngram)
    unseen = next((w for w in vocabulary.tokens[2:] if not counted.count((*history, w))), None)
    yield _zero(counted, history, unseen)
    yield _smoothed(counted, history, word, unseen, k)


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole}"


def _spaced(words: Sequence[str]) -> str:
    return " ".join(words)


def _fractions(
    counted: Counted, history: Sequence[str], sentences: int, tokens: int, types: int
) -> Step:
    after = counted.after(history)
    total = sum(n for _, n in after)
    p_V = counted.p(history)
    rows = [
        (word, n, _share(n, total), float(p_V[counted.vocabulary.index[word]])) for word, n in after
    ]
    return Step(
        title=Text("After one history", "在一个历史之后"),
        text=Text(
            f"The {sentences} sentences have {tokens} words, {types} different ones; each also "
            f"ends in </s>. {_spaced(history)} is followed {total} times; how often by which "
            "word, as a share of that, is the probability.",
            f"这 {sentences} 个句子共 {tokens} 个词，其中不同的词 {types} 个；每句末尾另有 </s>。"
            f"{_spaced(history)} 之后共出现过 {total} 个词；每个词所占的份额就是它的概率。",
        ),
        formula=["p(w | h) = c(h w) / Σ_v c(h v)"],
        tables=[Table((Text("word", "词"), "c(h w)", "", "p(w | h)"), rows[:MOST_SHOWN])],
        values={
            "tokens": tokens,
            "types": types,
            "c_h": total,
            "c_hw": [n for _, n in after],
            "p_after": [row[3] for row in rows],
        },
        claims=[
            Claim(Text("the shares sum to 1", "各份额之和为 1"), abs(float(p_V.sum()) - 1) < 1e-12),
        ],
    )


def _histories(counted: Counted, history: Sequence[str], word: str) -> Step:
    rows, found = [], []
    for length in range(1, len(history) + 1):
        h = history[-length:]
        whole = sum(n for _, n in counted.after(h))
        found.append(float(counted.p(h)[counted.vocabulary.index[word]]))
        rows.append((_spaced(h), _share(counted.count((*h, word)), whole), found[-1]))
    return Step(
        title=Text(f"{word}, after histories of every length", f"各种长度的历史之后的 {word}"),
        text=Text(
            "A model of order n sees n - 1 words. A longer history says more, and has been seen "
            "less often.",
            "n 元模型看 n - 1 个词。历史越长，信息越多，见过的次数越少。",
        ),
        tables=[Table((Text("history", "历史"), "c(h w) / c(h)", f"p({word} | h)"), rows)],
        values={"p_by_length": found},
    )


def _chain(counted: Counted, ngram: Sequence[str]) -> Step:
    rows, chain, pairs = [], [], []
    for i in range(1, len(ngram)):
        h, word = ngram[:i], ngram[i]
        at = counted.vocabulary.index[word]
        chain.append(float(counted.p(h)[at]))
        pairs.append(float(counted.p(h[-1:])[at]))
        whole = sum(n for _, n in counted.after(h))
        share = _share(counted.count((*h, word)), whole)
        rows.append((word, _spaced(h), share, chain[-1], pairs[-1]))
    product, first = math.prod(chain), counted.count(ngram[:1])
    together = counted.count(ngram)
    return Step(
        title=Text("Word after word", "一个词接一个词"),
        text=Text(
            f"The probability that {ngram[0]} goes on like this is the product of the steps. The "
            "last column sees one word of the history only (a bigram model).",
            f"{ngram[0]} 之后如此接续的概率，是每一步概率之积。最后一列只看历史的最后一个词（二元"
            "模型）。",
        ),
        tables=[
            Table(
                (
                    Text("word", "词"),
                    Text("history h", "历史 h"),
                    "c(h w) / c(h)",
                    "p(w | h)",
                    Text("after one word", "只看一个词"),
                ),
                rows,
                4,
            )
        ],
        values={"p_chain": chain, "p_bigram": pairs, "product": product},
        claims=[
            Claim(
                Text(
                    f"the product is c(all of them) / c({ngram[0]}) = {together}/{first}",
                    f"乘积等于 c(全部) / c({ngram[0]}) = {together}/{first}",
                ),
                abs(product - together / first) < 1e-12,
            )
        ],
    )


def _zero(counted: Counted, history: Sequence[str], unseen: str | None) -> Step:
    p_V = counted.p(history)
    zeros, words = int((p_V == 0).sum()), len(p_V)
    p = None if unseen is None else float(p_V[counted.vocabulary.index[unseen]])
    nll = None if p is None else (-math.log(p) if p > 0 else math.inf)
    shown = Text("(every word was seen)", "（每个词都见过）") if unseen is None else unseen
    return Step(
        title=Text("What was never seen", "从未见过的"),
        text=Text(
            f"Of the {words} words (</s> and <unk> among them) {zeros} never came after "
            f"{_spaced(history)}. Their probability is 0 and their surprisal infinite; a text "
            "with one of them has no perplexity. nplm says so instead of giving a figure.",
            f"{words} 个词（含 </s> 与 <unk>）中，有 {zeros} 个从未出现在 {_spaced(history)} 之后。"
            "它们的概率为 0，惊异度无穷大；只要有一个，整个文本就没有困惑度。nplm 会如实说明，而不"
            "给出数字。",
        ),
        formula=["-ln 0 = ∞"],
        tables=[Table((Text("word", "词"), "p(w | h)", "-ln p"), [(shown, p, nll)])],
        values={"zeros": zeros, "unseen_p": p, "unseen_nll": nll},
    )


def _smoothed(
    counted: Counted, history: Sequence[str], word: str, unseen: str | None, k: float
) -> Step:
    index = counted.vocabulary.index
    p_V = {name: counted.p(history, name) for name in SMOOTHINGS}
    is_unseen_V = np.ones(len(counted.vocabulary), dtype=bool)
    is_unseen_V[[index[w] for w, _ in counted.after(history)]] = False

    def figures(name: Smoothing) -> list[float | None]:
        p = p_V[name]
        of_unseen = None if unseen is None else float(p[index[unseen]])
        return [float(p[index[word]]), of_unseen, float(p[is_unseen_V].sum())]

    found = {name: figures(name) for name in SMOOTHINGS}
    words = len(counted.vocabulary)
    return Step(
        title=Text("Smoothing: something for everyone", "平滑：人人有份"),
        text=Text(
            "Add-k pretends that each word came k times more often: much goes to the unseen, the "
            "same to each. Kneser-Ney takes a little from every count and hands it to shorter "
            "histories, by how many different words a word has followed. (On a text this short "
            "its discounts are the fallback ones: 0.5, 1, 1.5.)"
            if counted.models["kn"].notes
            else "Add-k pretends that each word came k times more often: much goes to the unseen, "
            "the same to each. Kneser-Ney takes a little from every count and hands it to shorter "
            "histories, by how many different words a word has followed.",
            "加 k 平滑假装每个词多出现了 k 次：给未见词的很多，且一视同仁。Kneser-Ney 从每个计数中"
            "取一点，交给更短的历史，按一个词跟在多少种不同的词后面来分配。（文本这样短时，折扣取后"
            "备值 0.5、1、1.5。）"
            if counted.models["kn"].notes
            else "加 k 平滑假装每个词多出现了 k 次：给未见词的很多，且一视同仁。Kneser-Ney 从每个计"
            "数中取一点，交给更短的历史，按一个词跟在多少种不同的词后面来分配。",
        ),
        formula=[f"add-k: (c(h w) + {k:g}) / (c(h) + {k:g} · {words})"],
        tables=[
            Table(
                (
                    "",
                    f"p({word})",
                    "p(?)" if unseen is None else f"p({unseen})",
                    Text("all unseen", "全部未见词"),
                ),
                [(title, *found[name]) for name, title in SMOOTHINGS.items()],
            )
        ],
        values={str(name): row for name, row in found.items()},
        claims=[
            Claim(
                Text(
                    "add-k and Kneser-Ney give every word something, 1 in all",
                    "加 k 与 Kneser-Ney 给每个词一些概率，总和为 1",
                ),
                all(
                    bool((p_V[name] > 0).all()) and abs(float(p_V[name].sum()) - 1) < 1e-9
                    for name in ("addk", "kn")
                ),
            )
        ],
    )
