"""Which candidate of each cache a mixture keeps (``mixing``)."""

import numpy as np
import pytest

from nplm_cli import events
from nplm_cli.evaluation.interpolation import fit_weights
from nplm_cli.mixing import _fitted

MODELS, PREDICTIONS = 2, 400


def components(*which):
    """Rows of log-probabilities, each good at its own share of the predictions."""
    random = np.random.default_rng(8)
    log_p_GN = np.log(random.uniform(0.01, 0.3, (MODELS + 6, PREDICTIONS)))
    for row, (begin, end, p) in enumerate(which):
        log_p_GN[row, begin:end] = np.log(p)
    return log_p_GN


MODEL_A, MODEL_B = (0, 150, 0.9), (150, 250, 0.9)
POOR, NEW, SAME_AS_NEW, OTHER = (0, 10, 0.5), (250, 350, 0.9), (250, 340, 0.9), (350, 400, 0.9)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ([POOR, NEW, POOR], [POOR, POOR, OTHER], [3, 7]),
        ([NEW, POOR, POOR], [OTHER, POOR, POOR], [2, 5]),
        # Alone the first of the second cache's is the best; beside the first cache it is not.
        ([POOR, POOR, NEW], [SAME_AS_NEW, OTHER, POOR], [4, 6]),
    ],
)
def test_the_likeliest_candidate_of_each_cache_beside_those_before_it(first, second, kept):
    log_p_GN = components(MODEL_A, MODEL_B, *first, *second)
    seen = []
    fit, rows = _fitted(log_p_GN, MODELS, [3, 3], seen.append)
    assert rows == [0, 1, *kept]
    assert fit == fit_weights(log_p_GN[rows])
    assert [e.done for e in seen if isinstance(e, events.Progress)] == [1, 2, 3, 4, 5, 6]


def test_without_caches_the_models_are_fitted():
    log_p_GN = components(MODEL_A, MODEL_B)[:MODELS]
    assert _fitted(log_p_GN, MODELS, [], events.ignore) == (fit_weights(log_p_GN), [0, 1])
