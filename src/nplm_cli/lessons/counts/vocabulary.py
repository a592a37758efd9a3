"""W-17: three ways to say which words a model knows, on the same text."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from nplm_cli.bilingual import Table, Text
from nplm_cli.config import VocabularyConfig
from nplm_cli.corpus.vocabulary import SPECIALS, Cut, coverage, cut_vocabulary
from nplm_cli.errors import ConfigError
from nplm_cli.lessons.counts.text import PARAMETER, sentences_of
from nplm_cli.lessons.lesson import Claim, Step
from nplm_cli.lessons.parameters import Parameter

RUNS = (
    "nplm_cli.corpus.vocabulary.cut_vocabulary",
    "nplm_cli.corpus.vocabulary.coverage",
)
PARAMETERS = {
    "sentences": PARAMETER,
    "min_count": Parameter(
        default=2,
        help=Text("keep words seen at least so often", "保留至少出现这么多次的词"),
        low=1,
        high=1000,
    ),
    "max_size": Parameter(
        default=4, help=Text("keep so many words", "保留这么多词"), low=1, high=1000
    ),
}
MOST_SHOWN = 12
COLUMNS = (
    Text("id", "编号"),
    Text("word", "词"),
    Text("code point", "码点"),
    Text("count", "次数"),
    Text("covered so far", "累计覆盖"),
)


def known(cut: Cut) -> list[tuple[str, int]]:
    """The words that a cut keeps, with their counts, in the order of their ids."""
    vocabulary = cut.vocabulary
    words = zip(vocabulary.tokens, vocabulary.counts.tolist(), strict=True)
    return list(words)[len(SPECIALS) :]


def steps(sentences: tuple[str, ...], min_count: int, max_size: int) -> Iterator[Step]:
    """All words, words seen often enough, the most frequent words; how much each covers."""
    text = sentences_of(sentences)
    counts = Counter(word for sentence in text for word in sentence)
    most = max(counts.values())
    if min_count > most:
        raise ConfigError(f"min_count={min_count}: the most frequent word has the count {most}")
    if max_size >= len(counts):
        raise ConfigError(
            f"max_size={max_size}: expected less than the {len(counts)} different words of the "
            "sentences, so that something is cut"
        )

    def cut(min_count: int | None = None, max_size: int | None = None) -> Cut:
        config = VocabularyConfig(min_count=min_count, max_size=max_size)
        return cut_vocabulary(counts, len(text), config)

    everything = cut(min_count=1)
    yield _all(everything)
    yield _by_count({n: cut(min_count=n) for n in range(1, most + 1)}, min_count)
    yield _by_size(cut(max_size=max_size), everything, max_size)
    yield _coverage(counts, max_size)


def _table(words: Sequence[tuple[str, int]]) -> Table:
    rows, covered = [], 0
    for id, (word, count) in enumerate(words, len(SPECIALS)):
        covered += count
        points = " ".join(f"U+{ord(c):04X}" for c in word[:3])
        rows.append((id, word, points, count, covered))
    return Table(COLUMNS, rows[:MOST_SHOWN])


def _covered(cut: Cut) -> int:
    return sum(n for _, n in known(cut))


def _all(everything: Cut) -> Step:
    words = known(everything)
    ranks = [(-n, word) for word, n in words]
    more = max(0, len(words) - MOST_SHOWN)
    return Step(
        title=Text("All words (--min-count 1)", "全部词（--min-count 1）"),
        text=Text(
            f"The text has {_covered(everything)} words, {len(words)} different ones. Ids 0 and 1 "
            f"are <unk> and </s>; then the words by falling count, equal counts by code point. "
            f"({more} more are not shown.) Nothing is unknown in training, so the model learns "
            "nothing about unknown words, and the rarest are seen once.",
            f"文本共 {_covered(everything)} 个词，其中不同的词 {len(words)} 个。编号 0 与 1 是 "
            f"<unk> 与 </s>，其后按次数从多到少排列，次数相同的按码点。（另有 {more} 个未列出。）训"
            "练时没有未知词，所以模型对未知词一无所知，而最罕见的词只见过一次。",
        ),
        tables=[_table(words)],
        values={
            "tokens": _covered(everything),
            "all_types": len(words),
            "all_unknown": int(everything.vocabulary.counts[0]),
        },
        claims=[
            Claim(Text("no word is <unk>", "没有词成为 <unk>"), not everything.unknown),
            Claim(
                Text("counts fall, ties rise by code point", "次数递减，相同者按码点递增"),
                ranks == sorted(ranks),
            ),
        ],
    )


def _by_count(cuts: Mapping[int, Cut], min_count: int) -> Step:
    chosen = cuts[min_count]
    words = known(chosen)
    tokens = _covered(cuts[1])
    rows = [(n, len(known(c)), _covered(c), tokens - _covered(c)) for n, c in cuts.items()]
    return Step(
        title=Text("Words seen often enough (--min-count)", "出现次数足够的词（--min-count）"),
        text=Text(
            f"With --min-count {min_count}, {len(words)} words are kept. All others are read as "
            f"<unk>, {int(chosen.vocabulary.counts[0])} times: that is how the model learns what "
            "unknown words are like.",
            f"--min-count {min_count} 保留 {len(words)} 个词，其余都读作 <unk>，共 "
            f"{int(chosen.vocabulary.counts[0])} 次：模型由此学习未知词的用法。",
        ),
        tables=[
            _table(words),
            Table(
                (
                    Text("at least", "至少"),
                    Text("words", "词数"),
                    Text("covered", "覆盖"),
                    "<unk>",
                ),
                rows[:MOST_SHOWN],
            ),
        ],
        values={
            "frequent_words": [word for word, _ in words],
            "frequent_counts": [n for _, n in words],
            "frequent_covered": _covered(chosen),
            "types_by_count": [row[1] for row in rows],
            "tokens_by_count": [row[2] for row in rows],
            "unknown_by_count": [sum(n for _, n in c.unknown) for c in cuts.values()],
        },
        claims=[
            Claim(
                Text("what is not covered is <unk>", "没有覆盖的都是 <unk>"),
                all(sum(n for _, n in c.unknown) == tokens - _covered(c) for c in cuts.values()),
            )
        ],
    )


def _by_size(chosen: Cut, everything: Cut, max_size: int) -> Step:
    words = known(chosen)
    return Step(
        title=Text("The most frequent words (--max-size)", "最常见的词（--max-size）"),
        text=Text(
            f"With --max-size {max_size} the size is given and the rarest count follows from it. "
            "Where words of one count are parted, the code point decides: never chance, so that "
            "the same text gives the same vocabulary.",
            f"--max-size {max_size} 给定词表大小，最低次数由此而定。若同一次数的词要分开，由码点决"
            "定，绝不随机：同样的文本总是得到同样的词表。",
        ),
        tables=[_table(words)],
        values={
            "sized_words": [word for word, _ in words],
            "sized_counts": [n for _, n in words],
            "sized_covered": _covered(chosen),
        },
        claims=[
            Claim(
                Text(
                    f"it is the first {max_size} of all words", f"它就是全部词中的前 {max_size} 个"
                ),
                words == known(everything)[:max_size],
            )
        ],
    )


def _coverage(counts: Mapping[str, int], max_size: int) -> Step:
    sizes = sorted({1, 2, 5, 10, 20, max_size, len(counts)} & set(range(len(counts) + 1)))
    found = coverage(counts, sizes)
    return Step(
        title=Text("How much a size covers", "多大的词表覆盖多少"),
        text=Text(
            "Few words make up most of a text, and each further one adds less. A smaller "
            "vocabulary makes a faster model, and hides more of the text behind <unk>. (Of a "
            "corpus, nplm vocab says the same.)",
            "少数词构成文本的大部分，后面的词每个增加得越来越少。词表越小，模型越快，但文本中被 "
            "<unk> 掩盖的也越多。（对语料库，nplm vocab 给出同样的表。）",
        ),
        tables=[
            Table(
                (
                    Text("size", "词表大小"),
                    Text("covered", "覆盖"),
                    "<unk>",
                    Text("share of <unk>", "<unk> 的比例"),
                ),
                [(row.size, row.covered_tokens, row.unk_tokens, row.unk_share) for row in found],
                4,
            )
        ],
        values={
            "sizes": sizes,
            "covered_by_size": [row.covered_tokens for row in found],
            "unk_share_by_size": [row.unk_share for row in found],
        },
        claims=[
            Claim(
                Text("a larger vocabulary covers more", "词表越大覆盖越多"),
                all(a.covered_tokens < b.covered_tokens for a, b in pairwise(found)),
            )
        ],
    )
