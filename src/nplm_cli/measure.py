"""How well a finished run predicts a text: what ``nplm eval`` and the end of a training ask."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from nplm_cli import events
from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.config import Context
from nplm_cli.corpus.shards import Part
from nplm_cli.errors import ConfigError
from nplm_cli.evaluation.ledger import OOV_WARNING_SHARE, ledger
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer, score_baselines


def part_ledger(run: Run, part: Part, nll_N: np.ndarray, context: Context) -> dict[str, Any]:
    """Return the ledger of nats that some scorer gave, with the run's baselines."""
    model = run.config.model
    reach = model.context
    return ledger(
        part,
        nll_N,
        context=context,
        order=None if reach is None else reach + 1,
        stride=model.stride if "stride" in ARCHITECTURES[model.arch].settings else None,
        unknown=run.unknown_types,
        baselines=score_baselines(run, part, context),
    )


def evaluate_text(
    run: Run,
    inputs: Sequence[str],
    *,
    context: Context | None = None,
    stride: int | None = None,
    corpus_changes: dict[str, Any] | None = None,
    device: str = "auto",
    on_event: events.OnEvent = events.ignore,
) -> dict[str, Any]:
    """Return the ledger of any text under a finished run.

    ``stride`` takes the place of the run's own; raises ConfigError where no window moves.
    """
    from nplm_cli.corpus.formats import read_sentences
    from nplm_cli.corpus.shards import encode_sentences

    if stride is not None:
        if "stride" not in ARCHITECTURES[run.config.model.arch].settings:
            raise ConfigError(f"--stride: --arch {run.config.model.arch} has no window that moves")
        other = Run(run.folder)  # the caller's run keeps its own
        other.config = run.config.replace(stride=stride)
        run = other
    changes = {"format": "auto", "encoding": "auto", **(corpus_changes or {})}
    settings = dataclasses.replace(run.config.corpus, **changes)
    # What the user says of this text stands above how the training text was read.
    kept = {k: changes[k] for k in ("sentences", "blank_lines") if changes.get(k, "auto") != "auto"}
    reader = read_sentences(
        inputs,
        settings,
        recipe=dataclasses.replace(run.recipe, **kept),
        on_event=lambda text: on_event(events.Message(text)),
    )
    part = encode_sentences(reader, run.vocabulary)
    policy = context or run.config.training.context
    if not run.config.model.neural:
        nll_N = open_scorer(run).nll(part, policy)
    else:
        nll_N = _torch_nll(run, part, policy, device, on_event)
    result = part_ledger(run, part, nll_N, policy)
    if result["oov_share"] > OOV_WARNING_SHARE:
        cure = (
            "compare by ppl_oov_adjusted or bits_per_char, not by ppl"
            if result["ppl_oov_adjusted"] is not None
            else "compare only with models of the same vocabulary"
        )
        on_event(
            events.Message(f"{result['oov_share']:.1%} of the words are unknown: {cure}", True)
        )
    return result


def _torch_nll(
    run: Run, part: Part, context: Context, device: str, on_event: events.OnEvent
) -> np.ndarray:
    from nplm_cli.evaluation.evaluator import evaluate
    from nplm_cli.models import build
    from nplm_cli.training.checkpoints import load_weights
    from nplm_cli.training.devices import pick_device

    weights = run.weights.path  # opened, its shapes checked, before memory is taken
    network = build(run.config.model, len(run.vocabulary))
    load_weights(weights, network)
    network.to(pick_device(device))
    return evaluate(
        network,
        part,
        context,
        on_progress=lambda n: on_event(events.Progress("evaluating", n, part.predictions)),
    )
