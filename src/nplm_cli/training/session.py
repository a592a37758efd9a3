"""A run directory's model: built, given its first weights, and trained on the run's parts."""

from collections.abc import Callable, Collection

import torch

from nplm_cli import events
from nplm_cli.corpus.preparation import DATA_FOLDER
from nplm_cli.corpus.shards import Part, open_parts
from nplm_cli.models import build
from nplm_cli.models.base import LanguageModel
from nplm_cli.query import FORWARD
from nplm_cli.query.run import Run
from nplm_cli.threads import available_cores
from nplm_cli.training.checkpoints import check_shapes
from nplm_cli.training.devices import memory_estimate, pick_device
from nplm_cli.training.first_weights import from_counts, from_file
from nplm_cli.training.loop import Trainer
from nplm_cli.training.messages import beyond_warning, used_up_warning
from nplm_cli.training.precision import DTYPES, pick_precision
from nplm_cli.training.store import RunFiles


def build_network(
    run: Run, on_event: events.OnEvent = events.ignore, *, resumed: bool = False
) -> LanguageModel:
    """Build the model of a run with its first weights, on its device.

    A ``resumed`` model takes its weights from the checkpoint later, if there is one. Raises
    ConfigError for a device or vector file that does not serve, before anything is trained.
    """
    config = run.config
    torch.set_num_threads(_threads(run, on_event) if resumed else _began_with(run))
    device = pick_device(config.training.device)
    on_event(events.Message(memory_estimate(run, device)))
    words = len(run.vocabulary)
    if config.model.softmax == "adaptive" and len(config.model.softmax_bounds(words)) == 1:
        on_event(
            events.Message(
                f"--softmax adaptive: no cutoff of {config.model.cutoffs} is below the vocabulary "
                f"of {words:,} words: this is the full softmax; give smaller --cutoffs",
                warning=True,
            )
        )
    has_weights = resumed and RunFiles(run.folder).checkpoint.exists()
    if has_weights:
        shapes = FORWARD[config.model.arch].expected_shapes(config.model, words)
        check_shapes(RunFiles(run.folder).checkpoint, shapes)
    network = build(config.model, words, config.training.dropout_rates)
    network.init_weights(torch.Generator().manual_seed(config.training.seed))
    if config.model.init == "counts" and not has_weights:
        part = open_parts(run.folder / DATA_FOLDER)["train"]
        from_counts(network, part.ids_N, config.training.seed)
    if config.model.vectors is not None and not has_weights:
        from_file(network, run, on_event)
    network.embedding.weight.requires_grad_(not config.model.freeze_vectors)
    return network.to(device)


def _began_with(run: Run) -> int:
    """How many threads computed when the training of a run began."""
    return int(run.record["environment"]["threads"])


def _threads(run: Run, on_event: events.OnEvent) -> int:
    """How many threads go on with a training: as many as began it, where there are cores for them.

    More of them than cores would wait for each other most of the time.
    """
    began = _began_with(run)
    threads = run.config.training.threads or min(began, available_cores())
    if threads != began:
        text = f"the training began with {began} threads, it goes on with {threads}: "
        text += "not the bytes of a run that never stopped"
        on_event(events.Message(text, warning=True))
    return threads


def open_trainer(
    run: Run,
    network: LanguageModel,
    parts: dict[str, Part],
    started: float,
    on_event: events.OnEvent = events.ignore,
    interrupted: Callable[[], bool] = lambda: False,
    *,
    resumed: bool = False,
    changed: Collection[str] = (),
) -> Trainer:
    """Make the trainer of a run, standing at its checkpoint if it is ``resumed``.

    ``changed`` settings of its length (or patience) let a finished training go on. Raises
    ArtifactError for a checkpoint that does not fit, before any file is changed.
    """
    config = run.config
    if config.model.init == "zero":
        on_event(
            events.Message(
                "--init zero: units of a layer get equal gradients and stay equal", warning=True
            )
        )
    device = network.embedding.weight.device
    began_in = run.record["environment"].get("precision") if resumed else None
    precision, reason = pick_precision(config, device, len(run.vocabulary), began_in)
    on_event(events.Message(f"precision {precision}: {reason}"))
    trainer = Trainer(
        network,
        parts["train"],
        parts.get("valid"),
        config.training,
        RunFiles(run.folder),
        on_event=on_event,
        interrupted=interrupted,
        started=started,
        dtype=DTYPES[precision],
        report_tokens=parts["test"].predictions if "test" in parts else 0,
    )
    if resumed:
        trainer.resume()
        # Changed by the one who asks, or by one who was killed before the next checkpoint.
        changed = {*changed, *trainer.progress.changed_lengths(config.training)}
        if changed:
            trainer.reopen(lengthened=set(changed) != {"patience"})
        progress = trainer.progress
        done = "finished" if progress.finished else "going on"
        on_event(events.Message(f"{done} at step {progress.step:,}"))
        total = trainer.length.total_steps
        if changed and total is not None and progress.step > total:
            on_event(events.Message(beyond_warning(progress, total), warning=True))
        used_up = progress.finished is None and trainer.length.is_used_up
        if progress.finished == "budget" or used_up:
            text = used_up_warning(progress, config.training, run.folder)
            on_event(events.Message(text, warning=True))
    return trainer
