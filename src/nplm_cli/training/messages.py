"""What a training says: how far it is, why it will be late, why it stopped."""

import math
from pathlib import Path

from nplm_cli import events
from nplm_cli.config import DEFAULT_LR, TrainingConfig, budget_seconds
from nplm_cli.plain import quoted
from nplm_cli.training.length import LEAST_RESERVE, Length
from nplm_cli.training.progress import Progress


def step_event(progress: Progress, done: float, speed: float) -> events.Progress:
    """Return how far a training is, at ``speed`` tokens a second."""
    nats = progress.interval_nats / progress.interval_predictions
    return events.Progress(
        "training",
        done,
        1.0,
        f"step {progress.step}, train ppl {math.exp(min(nats, 700)):.1f}, {speed:,.0f} tokens/s",
    )


def overrun_warning(length: Length, config: TrainingConfig) -> str | None:
    """Return what to say before the first step of a budget that cannot hold what follows it."""
    if length.budget is None or length.overrun <= LEAST_RESERVE:
        return None
    if length.began >= length.budget:
        return (
            f"{length.began:.0f} s of --budget {config.budget} are over before the first step: it "
            "will be the only one; give a larger --budget"
        )
    evaluation = length.tokens_to_follow * length.seconds_a_token
    once = ", --eval-every is not followed" if config.eval_every else ""
    return (
        f"{length.began:.0f} s of --budget {config.budget} are over and evaluating "
        f"{length.tokens_to_follow:,} tokens takes about {evaluation:.0f} s: this will end after "
        f"about {length.budget + length.overrun:.0f} s instead of {length.budget:.0f} s{once}; "
        "less text to evaluate (--valid, --test, or --valid-share, --test-share) or a larger "
        "--budget cures it"
    )


def beyond_warning(progress: Progress, total_steps: int) -> str:
    """Return what to say where a training goes on to a length that lies behind it."""
    return (
        f"step {progress.step:,} is done, the new length ends at step {total_steps:,}: nothing "
        "more is trained"
    )


def used_up_warning(progress: Progress, config: TrainingConfig, folder: Path) -> str:
    """Return what to say where a budget leaves nothing for a training that is to go on."""
    spent = max(progress.seconds, budget_seconds(config.budget) if config.budget else 0.0)
    return (
        f"--budget {config.budget} is used up (step {progress.step:,}, {progress.seconds:.0f} s); "
        f"more time trains on: nplm train --resume -o {quoted(folder)} --budget "
        f"{math.ceil(2 * spent / 60)}m"
    )


def converged_message(progress: Progress, config: TrainingConfig, by_training: bool) -> str:
    """Return why a training ended before its length."""
    lengths = {"steps": config.steps, "epochs": config.epochs, "budget": config.budget}
    given = next((f"--{name} {value}" for name, value in lengths.items() if value), "its length")
    loss = "training" if by_training else "validation"
    waited = progress.evaluations_without_improvement
    return (
        f"ended at step {progress.step:,}, before {given}: the {loss} loss did not improve in "
        f"{waited} evaluation{'s' if waited > 1 else ''}; --patience 0 trains to the end"
    )


def divergence_message(
    progress: Progress,
    config: TrainingConfig,
    base_lr: float,
    mean: float,
    lr: float,
    norm: float,
    checkpoint: Path,
) -> str:
    """Return where a training diverged and what to do; ``mean`` is its loss in nats."""
    lower = min(base_lr / 2, DEFAULT_LR[config.optimizer])
    clip = "a smaller --clip" if config.clip else "--clip 5"
    return (
        f"training diverged at step {progress.step + 1} (epoch {progress.epoch + 1}, batch "
        f"{progress.step_in_epoch + 1}): loss {mean:.6g} nats, learning rate {lr:.3g}, "
        f"gradient norm {norm:.3g}; the last good state is in {checkpoint}; "
        f"start anew with --force and --lr {lower:.3g} or {clip}"
    )
