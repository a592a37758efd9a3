"""Weights of a mixture from a text: the EM algorithm (Dempster, Laird & Rubin 1977).

    lambda_k  <-  lambda_k g_k,      g_k = 1/N sum_t p_k(t) / sum_j lambda_j p_j(t)

as for the deleted interpolation of Jelinek & Mercer (1980). The likelihood is concave in the
weights, and what is left to gain is at most log max_k g_k nats a prediction (Cover 1984): that
tells when to stop. Shape suffixes: K components, N predictions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# Nats a prediction that the last iteration may leave: a factor of 1.000001 on the perplexity.
GAP = 1e-6
MAX_ITERATIONS = 2000
# No component is shut out for ever: another text may need it.
LEAST = 1e-9


@dataclass(frozen=True)
class Fit:
    """Weights that sum to 1, mean nats with them, iterations, and predictions left out.

    ``nats`` is over the predictions that the weights were fitted on.
    """

    weights: list[float]
    nats: float
    iterations: int
    left_out: int


def fit_weights(log_p_KN: np.ndarray) -> Fit:
    """Maximise the likelihood of a text over the weights; they start equal.

    Left out are predictions for which some component has no distribution (nan), and those that
    are impossible (-inf) under all.
    """
    usable = _usable(log_p_KN)
    log_p_KN = log_p_KN[:, usable]
    components, predictions = log_p_KN.shape
    weights_K = np.full(components, 1 / components)
    if not predictions:
        return Fit(weights_K.tolist(), np.nan, 0, len(usable))
    top_N = log_p_KN.max(axis=0)
    p_KN = np.exp(log_p_KN - top_N)
    iterations = 0
    while True:
        mixed_N = weights_K @ p_KN
        gain_K = p_KN @ (1 / mixed_N) / predictions
        if np.log(gain_K.max()) <= GAP or iterations == MAX_ITERATIONS:
            break
        weights_K = np.maximum(weights_K * gain_K, LEAST)
        weights_K /= weights_K.sum()
        iterations += 1
    nats = -float((np.log(mixed_N) + top_N).mean())
    return Fit(weights_K.tolist(), nats, iterations, len(usable) - predictions)


def fit_with_best(
    log_p_GN: np.ndarray,
    rows: Sequence[int],
    candidates: Sequence[int],
    on_done: Callable[[], None] = lambda: None,
) -> tuple[Fit, int]:
    """Fit weights of ``rows`` and of the candidate row that makes the text likeliest beside them.

    All candidates are compared on the same predictions. An empty cache has no distribution
    whatever its settings; but where the other rows give a word no probability, the candidates
    differ in what they leave out. Those that leave out least come first, and among them counts
    what all of them can predict. Equal ones go by order. ``on_done`` is called after each fit.
    """
    usable_CN = np.stack([_usable(log_p_GN[[*rows, row]]) for row in candidates])
    counted_C = usable_CN.sum(axis=1)
    common_N = usable_CN[counted_C == counted_C.max()].all(axis=0)
    best: tuple[float, Fit, int] | None = None
    for row, usable_N in zip(candidates, usable_CN, strict=True):
        log_p_KN = log_p_GN[[*rows, row]]
        fit = fit_weights(log_p_KN)
        if usable_N.sum() == counted_C.max():
            alike = np.array_equal(usable_N, common_N)
            nats = fit.nats if alike else fit_weights(log_p_KN[:, common_N]).nats
            if best is None or nats < best[0]:
                best = nats, fit, row
        on_done()
    assert best is not None
    return best[1:]


def _usable(log_p_KN: np.ndarray) -> np.ndarray:
    return ~np.isnan(log_p_KN).any(axis=0) & (log_p_KN > -np.inf).any(axis=0)
