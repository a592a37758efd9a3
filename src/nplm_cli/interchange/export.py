"""A run as a model file of other programs, and what it loses there."""

from pathlib import Path
from typing import Any

import numpy as np

from nplm_cli import events
from nplm_cli.corpus.preparation import DATA_FOLDER
from nplm_cli.corpus.shards import Part, check_ids, every_second, open_parts
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.interchange.arpa import save_arpa
from nplm_cli.interchange.backoff import BackoffModel, from_counts
from nplm_cli.interchange.conversion import from_network
from nplm_cli.interchange.isi import check_topology, save_isi, two_layers
from nplm_cli.interchange.pruning import prune
from nplm_cli.interchange.words import check_words
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import NeuralScorer, NgramScorer, Scorer, open_scorer

MAX_ORDER = 5
"""Networks are written with n-grams of at most this order unless told otherwise."""
KENLM_ORDER = 6
"""What KenLM reads as most people build it."""


def export_arpa(
    run: Run,
    path: Path,
    *,
    order: int | None = None,
    min_count: int | None = None,
    weight: float | None = None,
    threshold: float | None = None,
    on_event: events.OnEvent = events.ignore,
) -> dict[str, Any]:
    """Write a run as a back-off model; returns what was written and what it loses.

    Kneser-Ney counts are written exactly (other counts have a back-off form only at order 1).
    Networks are averaged over the training text of the run, in n-grams that it has at least
    ``min_count`` times (1 unless given), and mixed with its counts: ``weight`` of the network, or
    (None) what suits every second sentence of the validation part, from the first on; ``held_out``
    has perplexities on the others. ``threshold``: see ``prune``. Readers take each sentence on its
    own, so perplexities are those of ``--context sentence``, on the validation part; None without
    one.

    Raises ConfigError for settings and models without such a form, ArtifactError for a mixture and
    for a run without its text.
    """
    run.require_single()
    check_words(run.vocabulary.tokens, "arpa")
    scorer = open_scorer(run)
    parts = _parts(run)
    valid, held_out = parts.get("valid"), None
    if isinstance(scorer, NgramScorer):
        if order is not None or min_count is not None or weight is not None:
            raise ConfigError(
                "--order, --min-count and --network-weight are of networks: counts are written as "
                "they are, or with --prune; train --arch ngram with another --order"
            )
        model = from_counts(_with_backoff(scorer).model)
    else:
        assert isinstance(scorer, NeuralScorer)
        if "train" not in parts:
            raise ArtifactError(
                f"{run.folder}: its text is gone (no data folder): the n-grams of a network are "
                "those of its training text; export the run that nplm train wrote"
            )
        order = order or min(scorer.order or MAX_ORDER, MAX_ORDER)
        tuning = valid
        if weight is None and valid is not None and valid.sentences > 1:
            tuning, held_out = every_second(valid, 0), every_second(valid, 1)
        model, weight = from_network(
            scorer,
            parts["train"],
            order=order,
            min_count=min_count or 1,
            weight=weight,
            valid=tuning,
            on_event=on_event,
        )
    if threshold is not None:
        model = prune(model, threshold)
    _tell(run, model, on_event)
    total = sum(model.sizes)

    def writing(done: int) -> None:
        on_event(events.Progress("writing", done, total))

    save_arpa(path, model, run.vocabulary.tokens, writing)
    return {
        "format": "arpa",
        "exact": isinstance(scorer, NgramScorer) and threshold is None,
        "network_weight": weight,
        "prune": threshold,
        "order": model.order,
        "ngrams": model.sizes,
        **_loss(scorer, model, valid, on_event),
        "held_out": None if held_out is None else _loss(scorer, model, held_out, on_event),
    }


def _with_backoff(scorer: NgramScorer) -> NgramScorer:
    """Raise ConfigError for counts without a back-off form."""
    model = scorer.model
    if model.smoothing != "kn" and model.order > 1:
        raise ConfigError(
            f"--smoothing {model.smoothing} of order {model.order} has no back-off form: what it "
            "gives unseen words is no multiple of a shorter history's; train --smoothing kn"
        )
    return scorer


def _parts(run: Run) -> dict[str, Part]:
    """The parts of the run's text, none if it is gone."""
    folder = run.folder / DATA_FOLDER
    if not folder.is_dir():
        return {}
    parts: dict[str, Part] = dict(open_parts(folder))
    check_ids(folder, parts, len(run.vocabulary))
    return {name: part for name, part in parts.items() if part.predictions}


def _tell(run: Run, model: BackoffModel, on_event: events.OnEvent) -> None:
    """Tell what a user of the file should know."""
    if run.config.training.context == "stream":
        on_event(
            events.Message(
                "the run was trained under --context stream; an ARPA file is read a sentence at a "
                "time, and the perplexities here are those of sentences"
            )
        )
    if model.order > KENLM_ORDER:
        on_event(
            events.Message(
                f"order {model.order}: KenLM reads at most {KENLM_ORDER} unless it is built for "
                "more (KENLM_MAX_ORDER)",
                True,
            )
        )


def _loss(
    scorer: Scorer, model: BackoffModel, valid: Part | None, on_event: events.OnEvent
) -> dict[str, Any]:
    """Perplexities of run and file on the validation part, and bits a token that the file loses."""
    if valid is None:
        return {"predictions": None, "model_ppl": None, "arpa_ppl": None, "bits_lost": None}
    on_event(events.Progress("evaluating", 0, None))
    before = scorer.nll(valid, "sentence").mean()
    after = -model.log_probs(valid.ids_N).mean()
    return {
        "predictions": valid.predictions,
        "model_ppl": float(np.exp(before)),
        "arpa_ppl": float(np.exp(after)),
        "bits_lost": float((after - before) / np.log(2)),
    }


def export_isi(run: Run, path: Path, *, on_event: events.OnEvent = events.ignore) -> dict[str, Any]:
    """Write a window model in the text format of ISI's nplm; returns its topology.

    Raises ConfigError for a model that the format does not hold, ArtifactError for a mixture.
    """
    run.require_single()
    check_topology(run.config.model)
    check_words(run.vocabulary.tokens, "nplm")
    model = two_layers(run.weights, run.config.model)

    def writing(done: int) -> None:
        on_event(events.Progress("writing", done, model.numbers))

    save_isi(path, model, run.vocabulary.tokens, writing)
    return {
        "format": "nplm",
        "ngram_size": model.ngram_size,
        "input_vocab_size": len(model.embeddings),
        "output_vocab_size": len(model.output),
        "input_embedding_dimension": model.embeddings.shape[1],
        "num_hidden": len(model.first),
        "output_embedding_dimension": len(model.second),
        "activation_function": model.activation,
    }
