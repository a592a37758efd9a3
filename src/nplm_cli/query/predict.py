"""What may come next: the beginning of a sentence, the likeliest words after it, counts behind it.

Nothing here prints: texts become values, and ``nplm_cli.cli.ask`` shows them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nplm_cli.errors import ConfigError, UnknownWordError
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import NgramScorer, Scorer
from nplm_cli.query.sentences import SentenceReader


@dataclass(frozen=True)
class Prompt:
    """The beginning of a sentence: its tokens, and their ids with 0 for each unknown one.

    ``unknown`` are the tokens that the vocabulary does not hold, in order; ``warnings`` tell how
    the text was read where that is not self-evident.
    """

    text: str
    tokens: list[str]
    ids: list[int]
    unknown: list[str]
    warnings: list[str]


@dataclass(frozen=True)
class Prediction:
    """A word that may come next, its probability and -log2 of it."""

    word: str
    probability: float
    surprisal_bits: float


@dataclass(frozen=True)
class Continuation:
    """How often a word followed a history that was followed by ``of`` words in all.

    ``share`` is count / of, None when the history was never followed by anything.
    """

    word: str
    count: int
    of: int
    share: float | None


def surprisal_bits(log_p: float) -> float:
    """-log2 p of a natural log-probability; never -0.0."""
    return 0.0 - log_p / math.log(2)


def read_prompt(run: Run, text: str, *, segmented: bool = False) -> Prompt:
    """Read the beginning of a sentence (maybe empty) by the recipe of a run.

    ``segmented`` says that the text is to be split at spaces and nowhere else.
    """
    reader = SentenceReader(run.recipe, segmented)
    tokens = [span.token for span in reader.spans(text)]
    unknown = [token for token in tokens if token not in run.vocabulary]
    return Prompt(text, tokens, run.vocabulary.encode(tokens), unknown, reader.warnings)


def predict(run: Run, scorer: Scorer, prompt: Prompt, k: int = 10) -> list[Prediction]:
    """Return the k most probable next words, ties by id; words of probability 0 are left out.

    Empty when the model says nothing at all: relative frequencies after an unseen context.
    """
    log_p_V = scorer.next_log_probs(prompt.ids)
    best = np.argsort(-log_p_V, kind="stable")[:k]
    return [
        Prediction(
            run.vocabulary.tokens[i], math.exp(log_p_V[i]), surprisal_bits(float(log_p_V[i]))
        )
        for i in best
        if np.isfinite(log_p_V[i])
    ]


def count_continuations(
    run: Run, scorer: Scorer, history: str, words: Sequence[str] = (), k: int = 10
) -> tuple[list[str], list[Continuation]]:
    """Return the tokens of a history, and how often each word followed it.

    The k most frequent words, or ``words`` where they are named. Raises ConfigError for a model
    that has no counts or a history longer than its context, UnknownWordError for a word that the
    vocabulary does not hold.
    """
    if not isinstance(scorer, NgramScorer):
        raise ConfigError(f"{run.folder} is no n-gram model: train one with --arch ngram")
    tokens = [span.token for span in SentenceReader(run.recipe).spans(history)]
    words = [run.spelled(word) for word in words]
    for token in [*tokens, *words]:
        if token not in run.vocabulary:
            raise UnknownWordError(f"{token!r} is not in the vocabulary of {run.folder}")
    ids = run.vocabulary.encode(tokens)
    order = scorer.model.order
    if len(ids) >= order:
        raise ConfigError(f"a model of order {order} has counts after at most {order - 1} words")
    found, counts = scorer.model.continuations(ids)
    total = int(counts.sum())
    if words:
        index = run.vocabulary.index
        pairs = [(word, scorer.model.count([*ids, index[word]])) for word in words]
    else:
        names = run.vocabulary.tokens
        pairs = [(names[i], int(c)) for i, c in zip(found[:k], counts[:k], strict=True)]
    return tokens, [Continuation(w, c, total, c / total if total else None) for w, c in pairs]
