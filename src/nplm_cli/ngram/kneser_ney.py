"""Interpolated modified Kneser-Ney smoothing: the discounts.

Chen & Goodman (1998), "An Empirical Study of Smoothing Techniques for Language Modeling",
equation 26, interpolated; estimated as by lmplz (Heafield, Pouzyrevsky, Clark & Koehn 2013,
"Scalable Modified Kneser-Ney Language Model Estimation"), unpruned. With a(.) the adjusted
count (``counting.Counts``), h' the context h without its first word, and D_n(0) = 0:

    p_n(w | h) = (a(hw) - D_n(a(hw))) / A(h)  +  b(h) p_{n-1}(w | h')
    A(h)       = sum over w of a(hw)
    b(h)       = sum over w of D_n(a(hw)) / A(h)
    p_0(w)     = 1 / V
"""

import numpy as np

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where the counts of counts give none (``lmplz --discount_fallback``)."""


def discounts(adjusted_N: np.ndarray, order: int) -> tuple[np.ndarray, str | None]:
    """Discounts (0, D1, D2, D3+) of one order, and a note when they are the fallback.

    With n_c the number of n-grams of adjusted count c:
    Y = n_1 / (n_1 + 2 n_2) and D_c = c - (c+1) Y n_{c+1} / n_c.
    The fallback is taken when n_1, n_2 or n_3 is 0 or a discount leaves (0, c]: a discount of
    0 would leave nothing for unseen words.
    """
    of_1, of_2, of_3, of_4 = (int(np.count_nonzero(adjusted_N == c)) for c in (1, 2, 3, 4))
    if of_1 and of_2 and of_3:
        share = of_1 / (of_1 + 2 * of_2)
        found = (
            1 - 2 * share * of_2 / of_1,
            2 - 3 * share * of_3 / of_2,
            3 - 4 * share * of_4 / of_3,
        )
        if all(0 < discount <= c for c, discount in enumerate(found, start=1)):
            return np.array((0.0, *found)), None
    if not len(adjusted_N):
        return np.array((0.0, *FALLBACK)), None  # no sentence is that long
    note = (
        f"Kneser-Ney order {order}: fallback discounts 0.5, 1, 1.5 ({of_1}, {of_2}, {of_3} and "
        f"{of_4} n-grams with adjusted counts 1, 2, 3 and 4 give none)"
    )
    return np.array((0.0, *FALLBACK)), note


def discount_of(adjusted: np.ndarray, discounts_4: np.ndarray) -> np.ndarray:
    """The discount of each adjusted count."""
    return discounts_4[np.minimum(adjusted, 3)]
