"""What a training does when it looks at itself: a part under the weights that it would keep."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nplm_cli.config import Context
from nplm_cli.corpus.shards import Part, beginning
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.training.averaging import WeightAverage
from nplm_cli.training.progress import Progress

# Tokens whose evaluation is timed to estimate that of all.
TRIAL_TOKENS = 2_000
# Seconds from which on it is not timed twice.
LONG_TRIAL = 3.0


def timed_evaluation(
    average: WeightAverage, part: Part, context: Context, clock: Callable[[], float]
) -> tuple[np.ndarray, float]:
    """Return nats (N,) of a part under the averaged weights, in fp32, and the seconds it took."""
    began = clock()
    with average.in_place():
        nll_N = evaluate(average.weights.model, part, context)
    return nll_N, clock() - began


def time_a_few(
    average: WeightAverage, part: Part, context: Context, clock: Callable[[], float]
) -> tuple[int, float]:
    """Evaluate the beginning of a part; returns how many tokens that were, and the seconds.

    A sentence before it, uncounted, sets things up: that takes seconds where libraries have to be
    read from a disk. Then the shorter time of two, where the first is short enough, as other
    programs may get in the way.
    """
    timed_evaluation(average, beginning(part, 1), context, clock)
    few = beginning(part, TRIAL_TOKENS)
    seconds = timed_evaluation(average, few, context, clock)[1]
    if seconds < LONG_TRIAL:
        seconds = min(seconds, timed_evaluation(average, few, context, clock)[1])
    return few.predictions, seconds


def evaluation_record(
    progress: Progress,
    steps_per_epoch: int,
    valid: Part | None,
    nll_N: np.ndarray | None,
    lr: float,
    speed: float,
) -> dict[str, Any]:
    """Return a line of metrics.jsonl without ``best``; ``nll_N`` are the nats of ``valid``."""
    train_nats = progress.interval_nats / max(progress.interval_predictions, 1)
    record: dict[str, Any] = {
        "step": progress.step,
        "epoch": progress.epoch + progress.step_in_epoch / steps_per_epoch,
        "tokens": progress.tokens,
        "seconds": round(progress.seconds, 3),
        "train_nats": train_nats,
        "train_ppl": math.exp(min(train_nats, 700)),
        "valid_nats": None,
        "valid_ppl": None,
        "valid_oov_share": None,
        "lr": lr,
        "tokens_per_second": round(speed, 1),
    }
    if valid is not None and nll_N is not None:
        record["valid_nats"] = float(nll_N.mean())
        record["valid_ppl"] = math.exp(min(record["valid_nats"], 700))
        record["valid_oov_share"] = valid.oov() / max(valid.words, 1)
    return record
