"""What a model expects before each token: the entropy of its distribution, the rank of the token.

    H = - sum_w p(w | h) ln p(w | h)        over all V entries of the vocabulary

in nats; the rank of a token is 1 and the number of entries that are more probable. Texts are read
side by side, word by word. Shape suffixes: B rows, V vocabulary.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nplm_cli.config import Context
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.query.mixture import MixScorer
from nplm_cli.query.scorer import NgramScorer, Scorer

# Probabilities that are in memory at once, and rows at most.
CELLS = 2_000_000
ROWS = 64


class Expectation(NamedTuple):
    """Entropy in nats and rank of the token that came.

    Both None where the model expects nothing at all: relative frequencies after a context that was
    never seen.
    """

    entropy: float | None
    rank: int | None


def expectations(
    scorer: Scorer,
    sequences: Sequence[Sequence[int]],
    size: int,
    on_done: Callable[[int], None] = lambda tokens: None,
) -> list[list[Expectation]]:
    """Return what was expected before each id of each sequence, all from a sentence's start.

    ``size`` is V. ``on_done`` gets the number of tokens read after each step.
    """
    found: list[list[Expectation]] = [[] for _ in sequences]
    rows = max(1, min(ROWS, CELLS // size))
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]), reverse=True)
    for first in range(0, len(order), rows):
        block = [i for i in order[first : first + rows] if len(sequences[i])]
        if not block:
            break
        log_p_BV, state = scorer.begin((), len(block))
        for t in range(len(sequences[block[0]])):
            alive = [i for i in block if t < len(sequences[i])]
            ids = np.array([sequences[i][t] for i in alive])
            for i, expected in zip(alive, _expected(log_p_BV[: len(alive)], ids), strict=True):
                found[i].append(expected)
            on_done(len(alive))
            if t + 1 < len(sequences[block[0]]):
                # The rows that are through come last; what they read does not matter.
                ids_B = np.full(len(block), EOS_ID)
                ids_B[: len(alive)] = ids
                log_p_BV, state = scorer.advance(ids_B, state)
    return found


def _expected(log_p_BV: np.ndarray, ids_B: np.ndarray) -> list[Expectation]:
    p_BV = np.exp(log_p_BV)
    entropy_B = -np.einsum("bv,bv->b", p_BV, np.where(p_BV > 0, log_p_BV, 0.0))
    own_B = log_p_BV[np.arange(len(ids_B)), ids_B]
    rank_B = 1 + np.count_nonzero(log_p_BV > own_B[:, None], axis=1)
    nothing_B = (log_p_BV == -np.inf).all(axis=1)
    return [
        Expectation(None, None) if nothing else Expectation(entropy + 0.0, rank)
        for entropy, rank, nothing in zip(
            entropy_B.tolist(), rank_B.tolist(), nothing_B.tolist(), strict=True
        )
    ]


def with_context(scorer: Scorer, context: Context) -> Scorer:
    """Return a scorer whose steps follow a context policy, as ``nll`` does when it is told to.

    Only counts keep a policy of their own; networks read on as long as they are let.
    """
    if isinstance(scorer, NgramScorer):
        return NgramScorer(dataclasses.replace(scorer.model, context=context))
    if isinstance(scorer, MixScorer):
        parts = [with_context(part, context) for part in scorer.scorers]
        return MixScorer(parts, scorer.weights, scorer.caches, across=scorer.across)
    return scorer
