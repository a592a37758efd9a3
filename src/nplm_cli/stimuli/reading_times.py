"""Do reading times follow surprisal, beyond the length and frequency of the words?

Nested linear regressions on the same words, with s previous words as spill-over:

    baseline     time = b0 + sum_k (b_k length(t-k) + c_k frequency(t-k))          k = 0 ... s
    surprisal    baseline + d_0 surprisal(t)
    spill-over   surprisal + sum_k d_k surprisal(t-k)                              k = 1 ... s

The difference of log-likelihood between models is how much surprisal says of the times (Frank & Bod
2011; Goodkind & Bicknell 2018). Formulas and tests: ``evaluation/regression.py``.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nplm_cli.errors import InputError
from nplm_cli.evaluation.regression import Comparison, Fit, compare, correlation, fit
from nplm_cli.plain import counted
from nplm_cli.stimuli.words import Figures

# Why a word takes no part, in the order in which it is asked.
NO_TIME = "no_time"
NO_WORD = "no_word"
NO_PREVIOUS = "no_previous_word"
UNKNOWN = "unknown_word"
IMPOSSIBLE = "zero_probability"
REASONS = (NO_TIME, NO_WORD, NO_PREVIOUS, UNKNOWN, IMPOSSIBLE)


def report_times(
    texts: Sequence[Sequence[Figures]],
    times: Sequence[Sequence[float | None]],
    *,
    unit: str,
    nats: float,
    spillover: int,
    log_times: bool = False,
    keep_unknown: bool = False,
) -> dict[str, Any]:
    """Regress the times of words on their figures; returns the report as JSON has it.

    ``unit`` and ``nats`` are those of the surprisal. Words with an unknown one among themselves and
    the previous ones are left out (their surprisal is that of ``<unk>``) unless ``keep_unknown``.
    Raises InputError for times that have no logarithm and for too few words.
    """
    left_out = dict.fromkeys(REASONS, 0)
    rows: list[list[float]] = []
    measured: list[float] = []
    for words, own_times in zip(texts, times, strict=True):
        for t, time in enumerate(own_times):
            reason = _reason(words, t, time, spillover, keep_unknown)
            if reason is not None:
                left_out[reason] += 1
                continue
            assert time is not None
            if log_times and time <= 0:
                raise InputError(f"a time of {time:g} has no logarithm: leave out --log-times")
            measured.append(math.log(time) if log_times else time)
            rows.append(
                [figure for k in range(spillover + 1) for figure in _of(words[t - k], nats)]
            )
    names = _names(unit, spillover)
    if len(rows) <= len(names) + 1:
        raise InputError(
            f"{counted(len(rows), 'word')} with a time, their predecessors and no unknown one: too "
            f"few for {len(names) + 1} coefficients ({_told(left_out)})"
        )
    y = np.array(measured)
    columns = dict(zip(names, np.array(rows).T, strict=True))
    surprisals = [name for name in names if name.startswith("surprisal_")]
    now, *before = surprisals
    sets = {"baseline": [name for name in names if name not in surprisals]}
    sets["surprisal"] = [*sets["baseline"], now]
    if before:
        sets["spillover"] = [*sets["surprisal"], *before]
    fits = {name: fit(y, {p: columns[p] for p in chosen}) for name, chosen in sets.items()}
    steps = [("surprisal", "baseline")]
    if before:
        steps += [("spillover", "surprisal"), ("spillover", "baseline")]
    base = fit(columns[now], {p: columns[p] for p in sets["baseline"]})
    return {
        "words": len(y),
        "left_out": left_out,
        "response": "ln(time)" if log_times else "time",
        "spillover": spillover,
        "predictor": now,
        "correlation": correlation(columns[now], y),
        "partial_correlation": correlation(base.residuals, fits["baseline"].residuals),
        "models": [_model(name, own, sets[name]) for name, own in fits.items()],
        "comparisons": [
            _comparison(larger, smaller, compare(fits[smaller], fits[larger]), len(y))
            for larger, smaller in steps
        ],
        "coefficients": [vars(own) for own in fits[list(fits)[-1]].coefficients],
    }


def _names(unit: str, spillover: int) -> list[str]:
    ends = ["", *(prev(k) for k in range(1, spillover + 1))]
    own = ("length", "log10_freq_per_million", f"surprisal_{unit}")
    return [name + end for end in ends for name in own]


def prev(k: int) -> str:
    """End of the names of the columns of the k-th word before."""
    return "_prev" if k == 1 else f"_prev{k}"


def _of(word: Figures, nats: float) -> tuple[float, float, float]:
    assert word.frequency is not None
    assert word.logprob_e is not None
    return word.length, word.frequency, -word.logprob_e / nats


def _reason(
    words: Sequence[Figures], t: int, time: float | None, spillover: int, keep_unknown: bool
) -> str | None:
    """Why a word takes no part; None where it does."""
    if time is None:
        return NO_TIME
    if not words[t].tokens:
        return NO_WORD
    needed = words[max(0, t - spillover) : t + 1]
    if len(needed) <= spillover or not all(word.tokens for word in needed):
        return NO_PREVIOUS
    if not keep_unknown and any(word.oov for word in needed):
        return UNKNOWN
    if any(word.logprob_e == -math.inf for word in needed):
        return IMPOSSIBLE
    return None


def _told(left_out: dict[str, int]) -> str:
    told = [f"{count:,} {name.replace('_', ' ')}" for name, count in left_out.items() if count]
    return f"left out: {', '.join(told)}" if told else "none left out"


def _model(name: str, own: Fit, predictors: Sequence[str]) -> dict[str, Any]:
    return {
        "model": name,
        "predictors": list(predictors),
        "parameters": own.parameters,
        "r2": own.r2,
        "log_likelihood": own.log_likelihood,
    }


def _comparison(larger: str, smaller: str, own: Comparison, words: int) -> dict[str, Any]:
    return {
        "model": larger,
        "beyond": smaller,
        "delta_log_likelihood": own.delta_log_likelihood,
        "delta_log_likelihood_per_word": own.delta_log_likelihood / words,
        "f": own.f,
        "df": list(own.df),
        "p_value": own.p_value,
    }
