"""How well a finished run predicts a text: what ``nplm eval`` and the end of a training ask."""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from nplm_cli import events
from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.config import OF_A_FILE, CacheConfig, Context, DynamicConfig
from nplm_cli.corpus.shards import Part
from nplm_cli.errors import ConfigError
from nplm_cli.evaluation.ledger import OOV_WARNING_SHARE, ledger
from nplm_cli.evaluation.normalisation import TargetScores
from nplm_cli.query.mixture import blended, first_neural, joint_order, mixed_log_probs
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import score_baselines
from nplm_cli.text_probabilities import (
    statistics_source,
    tell_policies,
    text_log_probs,
    torch_reads,
)


def part_ledger(
    run: Run,
    part: Part,
    nll_N: np.ndarray,
    context: Context,
    *,
    caches: Sequence[CacheConfig] = (),
    dynamic: DynamicConfig | None = None,
    self_normalisation: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Return the ledger of nats that some scorer gave, with the run's baselines.

    ``caches`` are those besides a mixture's own. ``mixture``, ``caches`` and ``dynamic`` of the
    ledger say what gave the nats besides a single model; None where nothing did. ``statistics``
    of ``dynamic`` names the text that gave the scale of the gradients. ``self_normalisation`` are
    the figures of log Z of a run trained for it (``evaluation/normalisation.py``).
    """
    weights, caches = blended(run, caches)
    models = [component.config.model for component in run.components]
    orders = [None if model.context is None else model.context + 1 for model in models]
    strided = run.mixture is None and "stride" in ARCHITECTURES[run.arch].settings
    result = ledger(
        part,
        nll_N,
        context=context,
        order=joint_order(orders, caches, first_neural(run.components)),
        stride=models[0].stride if strided else None,
        unknown=run.unknown_types,
        baselines=score_baselines(run, part, context),
    )
    result["mixture"] = None
    if run.mixture is not None:
        made_of = zip(run.components, run.mixture.components, weights, strict=False)
        result["mixture"] = [
            {"component": component.folder.name, "run": was.run, "arch": was.arch, "weight": weight}
            for component, was, weight in made_of
        ]
    given = zip(caches, weights[len(models) :], strict=True)
    records = [{**cache.to_json(), "weight": weight, "reach": "text"} for cache, weight in given]
    result["caches"] = records or None
    result["dynamic"] = None
    if dynamic is not None:
        source = statistics_source(run.components, dynamic)
        result["dynamic"] = {**dynamic.to_json(), "statistics": source}
    result["self_normalisation"] = self_normalisation
    result["engine"] = None
    return result


def evaluate_text(
    run: Run,
    inputs: Sequence[str],
    *,
    context: Context | None = None,
    stride: int | None = None,
    corpus_changes: dict[str, Any] | None = None,
    caches: Sequence[CacheConfig] = (),
    dynamic: DynamicConfig | None = None,
    device: str = "auto",
    on_event: events.OnEvent = events.ignore,
) -> dict[str, Any]:
    """Return the ledger of any text under a finished run.

    ``stride`` takes the place of the run's own; raises ConfigError where no window moves.
    ``caches`` are mixed in and ``dynamic`` lets the weights of neural models follow the text.
    """
    if stride is not None:
        if run.mixture is not None or "stride" not in ARCHITECTURES[run.arch].settings:
            raise ConfigError(f"--stride: --arch {run.arch} has no window that moves")
        other = Run(run.folder)  # the caller's run keeps its own
        other.config = run.config.replace(stride=stride)
        run = other
    part = read_text(run, inputs, corpus_changes, on_event)
    policy = context or run.config.training.context
    tell_policies(run.components, policy, on_event)
    weights, all_caches = blended(run, caches)
    # Z is that of the network alone: with caches or moving weights there are other scores.
    scores = None if all_caches or dynamic else target_scores(run, part)
    log_p_KN = text_log_probs(
        run.components,
        part,
        policy,
        caches=all_caches,
        dynamic=dynamic,
        device=device,
        on_event=on_event,
        on_states=scores,
    )
    nll_N = 0.0 - mixed_log_probs(log_p_KN, weights)
    figures = None if scores is None else scores.figures(nll_N)
    result = part_ledger(
        run, part, nll_N, policy, caches=caches, dynamic=dynamic, self_normalisation=figures
    )
    follows = dynamic is not None or scores is not None
    by_torch = (torch_reads(of, part, device, follows=follows) for of in run.components)
    result["engine"] = "torch" if any(by_torch) else "numpy"
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


def target_scores(run: Run, part: Part) -> TargetScores | None:
    """What gathers the scores of a part's words; None of a run not trained to be normalised."""
    if run.mixture is not None or not run.config.training.self_normalize:
        return None
    if not run.config.model.neural:
        return None
    return TargetScores(part, *output_rows(run))


def output_rows(run: Run) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows (V, D) and biases (V,), if it has some, of a network's softmax over all words."""
    rows_VD = run.weights["embedding.weight" if run.config.model.tie else "output.weight"]
    return rows_VD, run.weights["output.bias"] if run.config.model.output_bias else None


def read_text(
    run: Run,
    inputs: Sequence[str],
    corpus_changes: dict[str, Any] | None = None,
    on_event: events.OnEvent = events.ignore,
) -> Part:
    """Read a text as the training text of a run was read, but for what each file has its own."""
    from nplm_cli.corpus.block_encoding import encode_text
    from nplm_cli.corpus.formats import read_sentences

    changes = {**OF_A_FILE, **(corpus_changes or {})}
    settings = dataclasses.replace(run.config.corpus, **changes)
    # What the user says of this text stands above how the training text was read.
    kept = {k: changes[k] for k in ("sentences", "blank_lines") if changes.get(k, "auto") != "auto"}
    reader = read_sentences(
        inputs,
        settings,
        recipe=dataclasses.replace(run.recipe, **kept),
        on_event=lambda text: on_event(events.message(text)),
        workers=None,
    )
    with contextlib.closing(reader):
        return encode_text(reader, run.vocabulary)
