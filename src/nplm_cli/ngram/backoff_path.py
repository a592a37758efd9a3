"""One probability of a Kneser-Ney model, order by order: what each context adds to it.

    p(w | h) = sum over n of  weight_n own_n  +  weight_0 / V
    own_n    = (a(h_n w) - D_n(a(h_n w))) / A(h_n)         h_n the last n-1 words of h
    weight_n = product of b(h_m) over the longer orders m > n

with the symbols of ``kneser_ney``. Of the other smoothings there is one order and no way back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nplm_cli.ngram.kneser_ney import discount_of
from nplm_cli.ngram.model import NgramModel


@dataclass(frozen=True)
class Order:
    """What the order n of a model says of one word after the last n-1 words of a context.

    ``known`` is false of a context that no word follows in the training text: it says nothing
    (``own`` 0, ``backoff`` 1). ``count`` is c(hw), ``adjusted`` a(hw), ``total`` A(h);
    ``probability`` is p_n, with all that the shorter orders say.
    """

    order: int
    history: list[int]
    known: bool
    count: int
    adjusted: int
    total: int
    discount: float
    own: float
    backoff: float
    probability: float


def backoff_path(model: NgramModel, history: Sequence[int], word: int) -> list[Order]:
    """What each order says of a word, from order 1 up, of a Kneser-Ney model.

    Raises InputError for an id outside the vocabulary.
    """
    window = model.window(history)
    p, found = 1 / model.vocab_size, []
    for length in range(len(window) + 1):
        context = window[len(window) - length :]
        node = model.trie.node(context)
        table = model.trie.tables[length]
        total = 0 if node is None else int(table.totals_N[node])
        if node is None or not total:
            found.append(Order(length + 1, context, False, 0, 0, 0, 0.0, 0.0, 1.0, p))
            continue
        child = int(model.trie.find(length + 1, np.array([node]), np.array([word]))[0])
        longer = model.trie.tables[length + 1]
        count, adjusted = (
            0 if child < 0 else int(counts[child])
            for counts in (longer.counts_N, longer.adjusted_N)
        )
        discount = float(discount_of(np.array([adjusted]), model.discounts[length])[0])
        own, backoff = (adjusted - discount) / total, float(table.backoffs_N[node])
        p = own + backoff * p
        found.append(
            Order(length + 1, context, True, count, adjusted, total, discount, own, backoff, p)
        )
    return found
