"""Log-probabilities of a text under models and caches, and what reads it: numpy or torch."""

import math
from collections.abc import Sequence

import numpy as np

from nplm_cli import events
from nplm_cli.artifacts import read_json
from nplm_cli.config import CacheConfig, Context, DynamicConfig
from nplm_cli.corpus.preparation import DATA_FOLDER
from nplm_cli.corpus.shards import Part, open_parts
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.query import FORWARD
from nplm_cli.query.mixture import first_neural
from nplm_cli.query.readers import (
    OnBatch,
    OnStates,
    Reader,
    component_log_probs,
    in_order,
    numpy_reader,
)
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer

# Predictions times parameters up to which numpy is done before torch, whose import takes 1.5 s.
# The least measured on two cores, of nine networks under both policies, was 2.9e11 (an LSTM of
# 256 units, stream); for most numpy stays ahead (docs/results.md, "Questions").
NUMPY_WORK = 300_000_000_000


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
        if torch_reads(run, part, device, follows=follows):
            readers.append(_torch_reader(run, dynamic, device, on_event, what, on_states))
        else:
            readers.append(numpy_reader(open_scorer(run)))
    return component_log_probs(part, context, readers, caches, source=source)


def torch_reads(run: Run, part: Part, device: str, *, follows: bool) -> bool:
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


def _torch_reader(
    run: Run,
    dynamic: DynamicConfig | None,
    device: str,
    on_event: events.OnEvent,
    what: str,
    also: OnBatch | None = None,
) -> Reader:
    """Let a network read a part; it is in memory only while it does."""
    _ = run.weights  # checked now, not when the runs before it have been read

    def read(part: Part, context: Context, on_states: OnStates | None = None) -> np.ndarray:
        from nplm_cli.evaluation.evaluator import evaluate
        from nplm_cli.training.checkpoints import load_network
        from nplm_cli.training.devices import pick_device

        network = load_network(run).to(pick_device(device))
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


def statistics_source(runs: Sequence[Run], dynamic: DynamicConfig) -> str:
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
