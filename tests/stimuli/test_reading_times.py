"""The regression of reading times: which words take part, and figures by hand."""

import math

import numpy as np
import pytest

from nplm_cli.errors import InputError
from nplm_cli.evaluation.regression import fit
from nplm_cli.stimuli.reading_times import REASONS, report_times
from nplm_cli.stimuli.words import Figures

BITS = {"unit": "bits", "nats": math.log(2)}


def word(length, frequency, bits, *, oov=False, tokens=1):
    return Figures(tokens, length, oov, -bits * math.log(2), 1.0, 1, 3, frequency)


def made_up(words, seed=1):
    """Words of random figures, and times that follow surprisal and that of the word before."""
    random = np.random.default_rng(seed)
    text = [
        word(int(random.integers(1, 10)), random.normal(2, 1), random.exponential(8))
        for _ in range(words)
    ]
    bits = np.array([-w.logprob_e / math.log(2) for w in text])
    times = 250 + 4 * bits + np.array([5 * w.length for w in text]) + random.normal(0, 20, words)
    times[1:] += 2 * bits[:-1]
    return text, times.tolist()


def test_the_report_is_that_of_the_regressions():
    """Columns written out; ln L of the models as of ``fit`` on the same rows."""
    text, times = made_up(80)
    found = report_times([text], [times], **BITS, spillover=1)
    own = np.array([[w.length, w.frequency, -w.logprob_e / math.log(2)] for w in text])
    now, before, y = own[1:], own[:-1], np.array(times[1:])
    base = {
        "length": now[:, 0],
        "log10_freq_per_million": now[:, 1],
        "length_prev": before[:, 0],
        "log10_freq_per_million_prev": before[:, 1],
    }
    fits = [fit(y, base)]
    fits.append(fit(y, base | {"surprisal_bits": now[:, 2]}))
    fits.append(fit(y, base | {"surprisal_bits": now[:, 2], "surprisal_bits_prev": before[:, 2]}))
    assert [m["model"] for m in found["models"]] == ["baseline", "surprisal", "spillover"]
    for model, expected in zip(found["models"], fits, strict=True):
        assert model["log_likelihood"] == pytest.approx(expected.log_likelihood)
        assert model["r2"] == pytest.approx(expected.r2)
        assert model["parameters"] == expected.parameters == len(model["predictors"]) + 1
    first, second, both = found["comparisons"]
    likelihoods = [own.log_likelihood for own in fits]
    assert first["delta_log_likelihood"] == pytest.approx(likelihoods[1] - likelihoods[0])
    assert second["delta_log_likelihood"] == pytest.approx(likelihoods[2] - likelihoods[1])
    assert both["delta_log_likelihood"] == pytest.approx(likelihoods[2] - likelihoods[0])
    assert both["delta_log_likelihood_per_word"] == both["delta_log_likelihood"] / 79
    assert (first["df"], both["df"]) == ([1, 79 - 6], [2, 79 - 7])
    assert found["words"] == 79
    assert found["left_out"] == dict.fromkeys(REASONS, 0) | {"no_previous_word": 1}
    assert found["correlation"] == pytest.approx(np.corrcoef(now[:, 2], y)[0, 1])
    # The partial correlation and t of a coefficient are the same figure: r = t / sqrt(t^2 + df).
    t = fits[1].coefficients[-1].t
    assert found["partial_correlation"] == pytest.approx(t / math.sqrt(t * t + 79 - 6))
    named = {c["predictor"]: c for c in found["coefficients"]}
    assert named["surprisal_bits"]["estimate"] == pytest.approx(4, abs=1)
    assert named["surprisal_bits_prev"]["estimate"] == pytest.approx(2, abs=1)
    assert named["length"]["estimate"] == pytest.approx(5, abs=3)
    assert all(own["p_value"] < 1e-3 for own in found["comparisons"])


def test_without_spillover_and_with_logarithms():
    text, times = made_up(40)
    found = report_times([text], [times], unit="nats", nats=1.0, spillover=0, log_times=True)
    assert [m["model"] for m in found["models"]] == ["baseline", "surprisal"]
    assert (found["words"], found["predictor"], found["response"]) == (
        40, "surprisal_nats", "ln(time)",
    )  # fmt: skip
    expected = fit(
        np.log(times),
        {
            "length": np.array([w.length for w in text]),
            "frequency": np.array([w.frequency for w in text]),
            "surprisal": np.array([-w.logprob_e for w in text]),
        },
    )
    estimates = {c["predictor"]: c["estimate"] for c in found["coefficients"]}
    assert estimates["surprisal_nats"] == pytest.approx(expected.coefficients[3].estimate)
    with pytest.raises(InputError, match="no logarithm"):
        report_times([text], [[0.0, *times[1:]]], **BITS, spillover=0, log_times=True)


def test_which_words_take_part():
    """Text 1: an unknown word costs two rows; text 2: a time, an empty cell, a probability of 0."""
    first, times = made_up(30)
    first[10] = first[10]._replace(oov=True)
    second, more = made_up(30, seed=2)
    second[0] = second[0]._replace(oov=True)
    more[5] = None
    second[9] = Figures(0, 0)
    second[20] = second[20]._replace(logprob_e=-math.inf)
    found = report_times([first, second], [times, more], **BITS, spillover=1)
    assert found["left_out"] == {
        "no_time": 1,
        "no_word": 1,
        "no_previous_word": 2 + 1,
        "unknown_word": 2 + 1,
        "zero_probability": 2,
    }
    assert found["words"] == 60 - sum(found["left_out"].values())
    kept = report_times([first, second], [times, more], **BITS, spillover=1, keep_unknown=True)
    assert kept["words"] == found["words"] + 3


def test_too_few_words():
    text, times = made_up(6)
    with pytest.raises(InputError, match=r"5 words with a time.*1 no previous word"):
        report_times([text], [times], **BITS, spillover=1)
