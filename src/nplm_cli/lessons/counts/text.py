"""Seven short sentences of our own, in words, which the lessons on counts read."""

from collections import Counter
from collections.abc import Sequence

from nplm_cli.bilingual import Text
from nplm_cli.config import VocabularyConfig
from nplm_cli.corpus.vocabulary import EOS_ID, SPECIALS, Vocabulary, cut_vocabulary
from nplm_cli.errors import ConfigError
from nplm_cli.lessons.parameters import Parameter

SLASH = "/"
OURS = """\
这 本 书 很 有趣 ， 孩子 也 喜欢 。
老师 说 这 本 书 很 真实 。
这 本 书 很 不 容易 懂 。
我 觉得 这 本 书 很 乏味 。
新 出 的 这 本 书 很快 卖 完 了 。
他 昨天 去 图书馆 了 。
老师 讲 了 一 个 故事 ， 他 没有 听 。"""
SENTENCES = tuple(OURS.replace("\n", f" {SLASH} ").split())
PARAMETER = Parameter(
    default=SENTENCES,
    help=Text("words by spaces, sentences by /", "词用空格分开，句子用 / 分开"),
    free=True,
)


def sentences_of(words: Sequence[str]) -> list[list[str]]:
    """Sentences, parted by slashes; raises ConfigError for none, and for special words."""
    sentences: list[list[str]] = [[]]
    for word in words:
        if word in SPECIALS:
            raise ConfigError(f"sentences: nplm itself puts {word} where it belongs: leave it out")
        if word == SLASH:
            sentences.append([])
        else:
            sentences[-1].append(word)
    found = [sentence for sentence in sentences if sentence]
    if not found:
        raise ConfigError("sentences: expected words, such as sentences='这 本 书 / 这 本'")
    return found


def all_words(sentences: Sequence[Sequence[str]]) -> Vocabulary:
    """The vocabulary of every word of the sentences."""
    counts = Counter(word for sentence in sentences for word in sentence)
    return cut_vocabulary(counts, len(sentences), VocabularyConfig(min_count=1)).vocabulary


def encoded(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary) -> list[list[int]]:
    """Ids of each sentence, ``</s>`` at its end."""
    return [[*vocabulary.encode(sentence), EOS_ID] for sentence in sentences]
