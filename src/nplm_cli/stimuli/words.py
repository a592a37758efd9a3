"""Figures of the words of a text: surprisal, entropy before, rank, frequency, unknown or not.

A word is what the user says it is, a cell of a table or what stands between spaces; a model may
read it as several tokens (``don't,`` as ``do``, ``n't`` and ``,``). Its surprisal is the sum of
theirs, by the chain rule; entropy and rank are those of its first token, for they tell what was
expected before the word; its frequency is that of its rarest token.
"""

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nplm_cli.config import Context
from nplm_cli.corpus.vocabulary import EOS_ID, UNK_ID
from nplm_cli.errors import InputError
from nplm_cli.events import OnEvent, Progress, ignore
from nplm_cli.query.distributions import Expectation, expectations, with_context
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import Scorer
from nplm_cli.query.sentences import (
    Piece,
    ScoredSentence,
    SentenceReader,
    read_texts,
    score_pieces,
)

# Texts that are scored at once.
BATCH = 256


@dataclass(frozen=True)
class Text:
    """A text and where its words are in it: offsets of the first character and after the last."""

    text: str
    words: tuple[tuple[int, int], ...]


class Figures(NamedTuple):
    """What is known of a word; all of it in natural logarithms.

    ``tokens`` is how many the model reads; without any (an empty cell) what depends on them is
    None. ``entropy`` and ``rank`` are None as well where the model expects nothing at all.
    ``occurrences`` are those in the training text, ``frequency`` is log10 of them in a million.
    """

    tokens: int
    length: int
    oov: bool | None = None
    logprob_e: float | None = None
    entropy: float | None = None
    rank: int | None = None
    occurrences: int | None = None
    frequency: float | None = None


class Scored(NamedTuple):
    """Figures of a text's words, and of the ends of its sentences taken together."""

    words: list[Figures]
    end: Figures


class Frequencies:
    """How often words occur in the training text of a run."""

    def __init__(self, run: Run):
        self.index, self.counts = run.vocabulary.index, run.vocabulary.counts
        self.unknown = run.unknown_counts
        words = int(self.counts.sum() - self.counts[EOS_ID])
        types = len(self.counts) - 2 + (run.unknown_types.types or len(self.unknown))
        self.millions = (words + types) / 1e6

    def count(self, token: str) -> int:
        """Occurrences of a token; of one that the vocabulary left out, too, where it is listed."""
        i = self.index.get(token, UNK_ID)
        return self.unknown.get(token, 0) if i == UNK_ID else int(self.counts[i])

    def log10_per_million(self, count: int) -> float:
        """log10((c + 1) / (N + T) 10^6), with N words of T types in the training text.

        One is added to each count, so that a word never seen has a frequency, too (Laplace; for
        word frequencies Brysbaert & Diependaele 2013, van Heuven et al. 2014).
        """
        return math.log10((count + 1) / self.millions)


def spaced_words(text: str) -> Text:
    """A text whose words stand between spaces."""
    words, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        words.append((at, at + len(word)))
        at += len(word)
    return Text(text, tuple(words))


def joined_words(cells: Sequence[str]) -> Text:
    """A text of the cells in order, a space between any two; no token reaches over a space."""
    words, at = [], 0
    for cell in cells:
        words.append((at, at + len(cell)))
        at += len(cell) + 1
    return Text(" ".join(cells), tuple(words))


def token_words(reader: SentenceReader, text: str) -> Text:
    """A text whose words are what the model's own tokenizer makes of it."""
    return Text(text, tuple((span.start, span.end) for span in reader.spans(text)))


def score_words(
    run: Run,
    scorer: Scorer,
    texts: Sequence[Text],
    reader: SentenceReader,
    context: Context,
    on_event: OnEvent = ignore,
) -> list[Scored]:
    """Figures of the words of each text; each text is read on its own, equal ones once.

    With ``context`` stream the sentences of a text are read on from one to the next.
    """
    frequencies = Frequencies(run)
    distinct = list(dict.fromkeys(texts))
    pieces = read_texts(run, [text.text for text in distinct], reader)
    total = sum(len(spans) + 1 for of_text in pieces for _, spans in of_text)
    done = 0

    def tell(tokens: int) -> None:
        nonlocal done
        done += tokens
        on_event(Progress("surprisal", done, total))

    found: dict[Text, Scored] = {}
    for begin in range(0, len(distinct), BATCH):
        split = pieces[begin : begin + BATCH]
        starts = list(range(len(split)))
        sentences = score_pieces(run, scorer, split, context=context, file_starts=starts)
        expected = _expected(scorer, sentences, context, len(run.vocabulary), tell)
        for text, own, scored, before in zip(
            distinct[begin : begin + BATCH], split, sentences, expected, strict=True
        ):
            found[text] = _figures(text, own, scored, before, frequencies)
    return [found[text] for text in texts]


def _expected(
    scorer: Scorer,
    sentences: Sequence[Sequence[ScoredSentence]],
    context: Context,
    size: int,
    tell: Callable[[int], None],
) -> list[list[list[Expectation]]]:
    """What was expected before each token of each sentence of each text."""
    ids = [[[token.id for token in s.tokens] for s in of_text] for of_text in sentences]
    if context == "stream":
        sequences = [[i for sentence in of_text for i in sentence] for of_text in ids]
    else:
        sequences = [sentence for of_text in ids for sentence in of_text]
    flat = (
        one
        for of_text in expectations(with_context(scorer, context), sequences, size, tell)
        for one in of_text
    )
    return [[[next(flat) for _ in sentence] for sentence in of_text] for of_text in ids]


def _figures(
    text: Text,
    pieces: Sequence[Piece],
    sentences: Sequence[ScoredSentence],
    expected: Sequence[Sequence[Expectation]],
    frequencies: Frequencies,
) -> Scored:
    """Put the tokens of a text together to its words."""
    begins = [begin for begin, _ in text.words]
    inside: list[list[tuple[float, str, bool, Expectation]]] = [[] for _ in begins]
    ends, cursor = [], 0
    for (own, _), sentence, before in zip(pieces, sentences, expected, strict=True):
        # Between two sentences of a text there is white space alone.
        offset = text.text.index(own, cursor) if own else cursor
        cursor = offset + len(own)
        *tokens, boundary = sentence.tokens
        ends.append(boundary.logprob_e)
        for token, expectation in zip(tokens, before, strict=False):
            start, stop = offset + token.start, offset + token.end
            at = bisect.bisect_right(begins, start) - 1
            if at < 0 or stop > text.words[at][1]:
                raise InputError(
                    f"the token {token.token!r} is more than one word, as the training text joined "
                    "compounds: --words tokens makes a row of each token"
                )
            inside[at].append((token.logprob_e, token.token, token.oov, expectation))
    words = []
    for (begin, end), tokens_in in zip(text.words, inside, strict=True):
        length = len("".join(text.text[begin:end].split()))
        if not tokens_in:
            words.append(Figures(0, length))
            continue
        first = tokens_in[0][3]
        count = min(frequencies.count(token) for _, token, _, _ in tokens_in)
        words.append(
            Figures(
                tokens=len(tokens_in),
                length=length,
                oov=any(oov for _, _, oov, _ in tokens_in),
                logprob_e=math.fsum(log_p for log_p, _, _, _ in tokens_in),
                entropy=first.entropy,
                rank=first.rank,
                occurrences=count,
                frequency=frequencies.log10_per_million(count),
            )
        )
    last = expected[-1][-1]
    ending = Figures(len(ends), 0, False, math.fsum(ends), last.entropy, last.rank)
    return Scored(words, ending)
