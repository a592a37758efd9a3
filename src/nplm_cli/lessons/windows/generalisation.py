"""W-19: "the dog gets fed" was never seen: what counts say of it, and what a network says."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from nplm_cli.bilingual import Cell, Table, Text
from nplm_cli.config import ModelConfig
from nplm_cli.corpus.shards import Part
from nplm_cli.corpus.vocabulary import EOS_ID, SPECIALS, Vocabulary
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter
from nplm_cli.lessons.small_corpus import corpus_of, ids_of, trained
from nplm_cli.models.base import LanguageModel
from nplm_cli.ngram import NgramModel
from nplm_cli.vectors.keyed import KeyedVectors

RUNS = (
    "nplm_cli.ngram.model.NgramModel.next_log_probs",
    "nplm_cli.models.feedforward.FeedforwardLM.forward",
    "nplm_cli.training.losses.OutputLoss.__call__",
    "nplm_cli.training.optimizers.build_optimizer",
    "nplm_cli.vectors.keyed.KeyedVectors.similarity",
    "nplm_cli.vectors.keyed.KeyedVectors.neighbors",
)
# Two words of a kind stand in the same sentences ...
ALIKE = {
    ("cat", "dog"): (
        "the {} sleeps all day",
        "a {} has four legs",
        "my {} likes to run",
        "the {} is hungry",
        "her {} has soft fur",
    ),
    ("soup", "tea"): (
        "the {} is in the pot",
        "we had {} at noon",
        "the {} is too hot",
        "he likes warm {}",
        "a bit of {} is left",
    ),
    ("bus", "train"): (
        "the {} stops at the station",
        "we take the {} to work",
        "the {} is full of people",
        "a {} leaves at noon",
        "the next {} is blue",
    ),
}
# ... but only the first of them was seen with what it gets.
GETS = {"cat": "fed", "soup": "cold", "bus": "late"}
FRAMES = (
    "we make sure that the {} gets {}",
    "she saw that the {} gets {}",
    "he said that the {} gets {}",
)
SENTENCES = tuple(
    template.format(word)
    for words, templates in ALIKE.items()
    for template in templates
    for word in words
) + tuple(frame.format(*pair) for frame in FRAMES for pair in GETS.items())
PARAMETERS = {
    "context": Parameter(
        default=("the", "dog", "gets"), help=Text("what comes before", "上文"), free=True
    ),
    "words": Parameter(
        default=("fed", "cold", "late"),
        help=Text("what may come; claims are about the first", "可能的下一词；结论说的是第一个"),
        free=True,
    ),
    "order": Parameter(
        default=4, help=Text("n: n - 1 words are seen", "n：看到前 n - 1 个词"), low=2, high=6
    ),
    "dim": Parameter(default=8, help=Text("of the word vectors", "词向量维数"), low=1, high=64),
    "steps": Parameter(default=100, help=Text("of training", "训练步数"), low=0, high=500),
    "lr": Parameter(default=0.02, help=Text("learning rate", "学习率"), low=1e-5, high=1),
    "seed": Parameter(default=1, help=Text("of the first weights", "初始权重的种子"), low=0),
}


def steps(
    context: tuple[str, ...],
    words: tuple[str, ...],
    order: int,
    dim: int,
    steps: int,
    lr: float,
    seed: int,
) -> Iterator[Step]:
    """The sentences; relative frequencies; Kneser-Ney; a network, its vectors, other words."""
    vocabulary, part = corpus_of(SENTENCES)
    before = [EOS_ID, *ids_of(vocabulary, context, "context")]
    wanted = ids_of(vocabulary, words, "words")
    yield _sentences(vocabulary, part)
    yield _frequencies(vocabulary, part, order, before, wanted)
    kneser_ney = NgramModel.train(part.ids_N, order=order, vocab_size=len(vocabulary))
    p_kn = np.exp(kneser_ney.next_log_probs(before))
    yield _kneser_ney(vocabulary, p_kn, wanted)
    config = ModelConfig(order=order, dim=dim, hidden=16)
    model = trained(config, vocabulary, part, steps=steps, lr=lr, seed=seed)
    yield _network(vocabulary, _next(model, before), p_kn, wanted, steps)
    yield _vectors(vocabulary, model)
    yield _others(vocabulary, model)


def _next(model: LanguageModel, before: Sequence[int]) -> np.ndarray:
    """p (V) after some words."""
    with torch.no_grad():
        hidden, _ = model(torch.tensor([before]), model.initial_state(1))
        p: np.ndarray = model.logits(hidden[0, -1]).softmax(-1).numpy()
    return p


def _rank(p_V: np.ndarray, word: int) -> int:
    return int((p_V > p_V[word]).sum()) + 1


def _sentences(vocabulary: Vocabulary, part: Part) -> Step:
    shown = [
        (" / ".join(pair), ", ".join(template.format("…") for template in templates[:2]))
        for pair, templates in ALIKE.items()
    ]
    return Step(
        title=Text("A small corpus", "一个小语料库"),
        text=Text(
            f"{part.sentences} sentences, {part.words} words, {len(vocabulary) - len(SPECIALS)} "
            "different ones. Cat and dog stand in the same sentences, and so do soup and tea, bus "
            "and train. But of the two only the first was seen with 'gets': the cat gets fed, the "
            "soup gets cold, the bus gets late, three times each.",
            f"共 {part.sentences} 句，{part.words} 个词，{len(vocabulary) - len(SPECIALS)} "
            "个不同的词。cat 与 dog 出现在同样的句子里，soup 与 tea、bus 与 train 也是。但每对"
            "中只有前一个与 gets 一起出现过：the cat gets fed、the soup gets cold、the bus gets "
            "late，各三次。",
        ),
        tables=[
            Table((Text("alike", "相近的词"), Text("some of their sentences", "部分句子")), shown)
        ],
        values={"sentences": part.sentences, "types": len(vocabulary) - len(SPECIALS)},
    )


def _frequencies(
    vocabulary: Vocabulary, part: Part, order: int, before: list[int], wanted: list[int]
) -> Step:
    model = NgramModel.train(part.ids_N, order=order, vocab_size=len(vocabulary), smoothing="mle")
    p_V = np.exp(model.next_log_probs(before))
    seen = before[-(order - 1) :]
    history = " ".join(vocabulary.tokens[i] for i in seen)
    counts, occurred = [model.count([*seen, w]) for w in wanted], model.count(seen)
    word = vocabulary.tokens[wanted[0]]
    return Step(
        title=Text("Relative frequencies", "相对频率"),
        text=Text(
            f"An n-gram model of order {order} looks up what followed '{history}'. What never did "
            "has probability 0, however sensible it is. If not even the history was ever seen, "
            "c(h) = 0 and the fraction says nothing: nplm gives every word 0.",
            f"{order} 元模型查找“{history}”后面出现过什么。从没出现过的词，无论多么合理，概率"
            "都是 0。如果连上文都没有出现过，则 c(h) = 0，分数没有意义：nplm 给每个词的概率都是 "
            "0。",
        ),
        formula=["p(w | h) = c(h w) / c(h)"],
        tables=[
            Table(
                (Text("word", "词"), "c(h w)", "c(h)", "p"),
                [
                    (vocabulary.tokens[w], count, occurred, float(p_V[w]))
                    for w, count in zip(wanted, counts, strict=True)
                ],
            )
        ],
        values={"mle": p_V[wanted].tolist(), "counts": counts, "history_count": occurred},
        claims=[
            Claim(
                Text(
                    f"'{history} {word}' was never seen: p is 0",
                    f"“{history} {word}”从未出现过：p 为 0",
                ),
                counts[0] == 0 and float(p_V[wanted[0]]) == 0,
            ),
            Claim(
                Text(
                    f"nor was '{history}' itself, whatever came after it",
                    f"“{history}”本身也从未出现过，无论后面是什么",
                ),
                occurred == 0,
            ),
        ],
    )


def _kneser_ney(vocabulary: Vocabulary, p_V: np.ndarray, wanted: list[int]) -> Step:
    p = p_V[wanted].tolist()
    return Step(
        title=Text("Smoothed counts", "平滑后的计数"),
        text=Text(
            "Kneser-Ney smoothing falls back on shorter histories until one was seen. After 'the "
            "dog gets' that is 'gets' alone: what follows it at all. Who gets it is forgotten.",
            "Kneser-Ney 平滑会逐步退到更短的历史，直到见过为止。“the dog gets”只能退到 gets "
            "一个词：它后面究竟出现过什么。至于是谁 gets，就忘了。",
        ),
        tables=[
            Table(
                (Text("word", "词"), "p", Text("rank", "名次")),
                [
                    (vocabulary.tokens[w], value, _rank(p_V, w))
                    for w, value in zip(wanted, p, strict=True)
                ],
            )
        ],
        values={"kneser_ney": p},
        claims=[
            Claim(
                Text(
                    "no longer 0, but all of these words are equally likely",
                    "不再是 0，但这几个词的概率全都相同",
                ),
                p[0] > 0 and max(p) - min(p) < 1e-12,
            )
        ],
    )


def _network(
    vocabulary: Vocabulary, p_V: np.ndarray, p_kn: np.ndarray, wanted: list[int], steps: int
) -> Step:
    p = p_V[wanted].tolist()
    best = np.argsort(-p_V, kind="stable")[:5]
    first = vocabulary.tokens[wanted[0]]
    return Step(
        title=Text("A network", "神经网络"),
        text=Text(
            f"A feedforward model of 16 hidden units, {steps} steps over the same sentences. The "
            "likeliest words, and those asked for:",
            f"前馈模型，16 个隐藏单元，用同样的句子训练 {steps} 步。概率最大的几个词，以及所问"
            "的词：",
        ),
        tables=[
            Table(
                (Text("word", "词"), "p", Text("rank", "名次"), "p (Kneser-Ney)"),
                [
                    (vocabulary.tokens[w], float(p_V[w]), _rank(p_V, w), float(p_kn[w]))
                    for w in dict.fromkeys([*best.tolist(), *wanted])
                ],
            )
        ],
        values={"network": p, "rank": _rank(p_V, wanted[0])},
        claims=[
            Claim(
                Text(f"the network ranks {first} first", f"网络把 {first} 排在第一"),
                _rank(p_V, wanted[0]) == 1,
            ),
            Claim(
                Text(
                    f"it finds {first} more than twice as likely as Kneser-Ney does",
                    f"它给 {first} 的概率是 Kneser-Ney 的两倍以上",
                ),
                p[0] > 2 * float(p_kn[wanted[0]]),
            ),
        ],
    )


def _vectors(vocabulary: Vocabulary, model: LanguageModel) -> Step:
    skip = range(len(SPECIALS))
    space = KeyedVectors(vocabulary.tokens, model.embedding.weight.detach().numpy(), skip=skip)
    nouns = [word for pair in ALIKE for word in pair]
    cosines = [[space.similarity(a, b) for b in nouns] for a in nouns]
    [[near]] = space.neighbors(["dog"], k=1)
    alike = [cosines[i][i + 1] for i in (0, 2, 4)]
    unlike = [cosines[i][j] for i in range(6) for j in range(i) if i // 2 != j // 2]
    return Step(
        title=Text("Why it knows", "它为什么知道"),
        text=Text(
            "Words of the same sentences were pulled to the same place, as they had to predict the "
            "same words. What was learned at cat therefore holds at dog. Cosines of the vectors:",
            "出现在同样句子里的词要预测同样的词，所以被拉到了同一处；在 cat 处学到的，在 dog 处"
            "也就成立。词向量的余弦：",
        ),
        tables=[
            Table(
                ("", *nouns), [(a, *row) for a, row in zip(nouns, cosines, strict=True)], places=3
            )
        ],
        values={
            "cosines": cosines,
            "cat_dog": cosines[0][1],
            "nearest_to_dog": near.word,
            "nearest_cosine": near.score,
        },
        claims=[
            Claim(
                Text(
                    "of all words cat is the nearest to dog",
                    "在所有词中，与 dog 最近的是 cat",
                ),
                near.word == "cat",
            ),
            Claim(
                Text(
                    "each pair that is alike is nearer than any pair that is not",
                    "每一对相近的词都比任何一对不相近的词更近",
                ),
                min(alike) > max(unlike),
            ),
        ],
    )


def _others(vocabulary: Vocabulary, model: LanguageModel) -> Step:
    """The three words that were never seen with what they get."""
    answers = list(GETS.values())
    ids = vocabulary.encode(answers)
    words = [word for _, word in ALIKE]
    found = []
    for word in words:
        p_V = _next(model, [EOS_ID, *vocabulary.encode(["the", word, "gets"])])
        found.append([float(p_V[i]) for i in ids])
    right = [max(row) == row[i] for i, row in enumerate(found)]
    rows: list[Sequence[Cell]] = [(word, *p) for word, p in zip(words, found, strict=True)]
    return Step(
        title=Text("Each to its own", "各得其所"),
        text=Text(
            "The same question for the second word of each pair; none of the nine was ever seen.",
            "对每对中的第二个词提同样的问题；这九种情况一个也没有见过。",
        ),
        tables=[Table((Text("the ... gets", "the … gets"), *answers), rows)],
        values={"others": found},
        claims=[
            Claim(
                Text(
                    "dogs get fed, tea gets cold, trains get late",
                    "狗有人喂（fed），茶会凉（cold），火车会晚（late）",
                ),
                all(right),
            )
        ],
    )
