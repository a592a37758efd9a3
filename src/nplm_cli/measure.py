"""How well a finished run predicts a text: what ``nplm eval`` and the end of a training ask."""

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nplm_cli import events
from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.artifacts import read_json
from nplm_cli.config import OF_A_FILE, CacheConfig, Context, DynamicConfig
from nplm_cli.corpus.preparation import DATA_FOLDER
from nplm_cli.corpus.shards import Part, open_parts
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.evaluation.ledger import OOV_WARNING_SHARE, ledger
from nplm_cli.evaluation.normalisation import TargetScores
from nplm_cli.query import FORWARD
from nplm_cli.query.mixture import blended, first_neural, joint_order, mixed_log_probs
from nplm_cli.query.readers import (
    OnBatch,
    OnStates,
    Reader,
    component_log_probs,
    in_order,
    numpy_reader,
)
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer, score_baselines

# Predictions times parameters up to which numpy is done before torch, whose import takes 1.5 s.
# least measured on two cores, of nine networks under both policies, was 2.9e11 (an LSTM
# of 256 units, stream); for most numpy stays ahead (docs/results.md, "Questions").
NUMPY_WORK = 300_000_000_000


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
        source = _statistics_source(run.components, dynamic)
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
    by_torch = (_torch_reads(of, part, device, follows=follows) for of in run.components)
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


def text_log_probs(
    runs: Sequence[Run],
    part: Part,
    context: Context,
    *,
    caches: Sequence[CacheConfig] = (),
    dynamic: DynamicConfig | None = None,
    device: str = "auto",
    on_event: events.OnEvent = events.ignore,
    on_states: OnBatch | None = None,
) -> np.ndarray:
    """Natural log-probabilities (K, N) of a part under each run, then under each cache.

    Networks are read by torch, of short texts by numpy (``numpy_is_sooner``), counts by numpy;
    caches run over each file, neural ones with the states of the first network. ``on_states`` gets
    the states of a single network that has no caches, batch by batch.
    """
    source = first_neural(runs)
    if dynamic is not None and source is None:
        raise ConfigError("--dynamic: counts have no weights that could follow the text")
    readers = []
    follows = dynamic is not None or on_states is not None
    for number, run in enumerate(runs, 1):
        what = (
            "evaluating" if len(runs) == 1 else f"evaluating {number} of {len(runs)} ({run.arch})"
        )
        if _torch_reads(run, part, device, follows=follows):
            readers.append(_torch_reader(run, dynamic, device, on_event, what, on_states))
        else:
            readers.append(numpy_reader(open_scorer(run)))
    return component_log_probs(part, context, readers, caches, source=source)


def _torch_reads(run: Run, part: Part, device: str, *, follows: bool) -> bool:
    """Whether torch reads a text; what ``follows`` it or is asked for its states is torch's."""
    return run.config.model.neural and (follows or not numpy_is_sooner(run, part, device))


def numpy_is_sooner(run: Run, part: Part, device: str) -> bool:
    """Whether a network reads a text in less time than torch takes to be imported.

    Decided by the sizes alone, never by the clock, so that the same question has the same answer
    to the last bit; a GPU that was asked for by name is used.
    """
    if device not in ("auto", "cpu"):
        return False
    shapes = FORWARD[run.arch].expected_shapes(run.config.model.resolved(), len(run.vocabulary))
    parameters = sum(math.prod(shape) for shape in shapes.values())
    return part.predictions * parameters <= NUMPY_WORK


def tell_policies(runs: Sequence[Run], context: Context, on_event: events.OnEvent) -> None:
    """Tell which components of a mixture read a text otherwise than in their training."""
    for run in runs:
        own = run.config.training.context
        if len(runs) > 1 and own != context:
            on_event(
                events.Message(
                    f"{run.folder} ({run.arch}) was trained under --context {own}, the mixture "
                    f"reads under {context}"
                )
            )


def _torch_reader(
    run: Run,
    dynamic: DynamicConfig | None,
    device: str,
    on_event: events.OnEvent,
    what: str,
    also: OnBatch | None = None,
) -> Reader:
    """Let a network read a part; it is in memory only while it does."""
    weights = run.weights.path  # opened, its shapes checked, before memory is taken

    def read(part: Part, context: Context, on_states: OnStates | None = None) -> np.ndarray:
        from nplm_cli.evaluation.evaluator import evaluate
        from nplm_cli.models import build
        from nplm_cli.training.checkpoints import load_weights
        from nplm_cli.training.devices import pick_device

        network = build(run.config.model, len(run.vocabulary))
        load_weights(weights, network)
        network.to(pick_device(device))
        before = 0

        def progress(done: int) -> None:
            on_event(events.Progress(what, before + done, part.predictions))

        if dynamic is not None:
            from nplm_cli.evaluation.dynamic import DynamicModel

            train = _training_text(run, on_event) if dynamic.lr else None
            follower = DynamicModel(network, dynamic, train, context=context)
            nll_N = follower.read(part, context, on_states, progress)
            follower.check(part, context, nll_N)
            return nll_N
        if on_states is None:
            return evaluate(network, part, context, on_progress=progress, on_states=also)

        def piece_by_piece(piece: Part, policy: Context, take: OnBatch) -> np.ndarray:
            nonlocal before
            nll_N = evaluate(network, piece, policy, on_progress=progress, on_states=take)
            before += piece.predictions
            return nll_N

        return in_order(piece_by_piece, part, context, on_states)

    return read


def _statistics_source(runs: Sequence[Run], dynamic: DynamicConfig) -> str:
    """Which text gave the scale of the gradients to the networks among ``runs``.

    Their readers have checked it; a look at the index is enough.
    """
    if not dynamic.lr:
        return "none"
    networks = [run for run in runs if run.config.model.neural]
    found = {_has_training_text(run) for run in networks}
    names = {frozenset({True}): "training text", frozenset({False}): "text at hand"}
    return names.get(frozenset(found), "training text or text at hand")


def _has_training_text(run: Run) -> bool:
    """Whether ``_training_text`` finds one in a run whose index it would accept."""
    index = run.folder / DATA_FOLDER / "index.json"
    parts = read_json(index)["parts"] if index.parent.is_dir() else {}
    return "train" in parts and parts["train"]["predictions"] > 0


def _training_text(run: Run, on_event: events.OnEvent = events.ignore) -> Part | None:
    """The ids that a run was trained on, where it still has them."""
    folder = run.folder / DATA_FOLDER
    train = open_parts(folder).get("train") if folder.is_dir() else None
    if train is not None and train.predictions:
        if len(run.vocabulary) <= int(np.max(train.ids_N)):
            raise ArtifactError(
                f"{folder}: ids that vocabulary.tsv lacks: not the text of this run"
            )
        return train
    on_event(
        events.Message(
            f"{run.folder} has no training text: the scale of the gradients is taken from the "
            "text as it goes on"
        )
    )
    return None
