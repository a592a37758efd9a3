"""Finished runs side by side: what ``nplm compare`` asks.

Each run is scored by the numpy scorer on the same text and gets its own ledger. Perplexities are
ranked only where vocabulary, text and context policy are the same; where only the text and the
policy are, OOV-adjusted bits per character are (``evaluation.comparability``).
"""

import contextlib
import dataclasses
import hashlib
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nplm_cli import events
from nplm_cli.artifacts import is_figure, read_json_lines
from nplm_cli.config import OF_A_FILE, Context
from nplm_cli.corpus.block_encoding import encode_text
from nplm_cli.corpus.formats import read_sentences
from nplm_cli.corpus.preparation import DATA_FOLDER
from nplm_cli.corpus.shards import PartName, check_ids, open_parts
from nplm_cli.errors import ArtifactError, ConfigError, InputError
from nplm_cli.evaluation.comparability import ScoredText, comparability
from nplm_cli.evaluation.ledger import SCHEMA
from nplm_cli.evaluation.ranking import Entry, make_entry, rank
from nplm_cli.evaluation.significance import RESAMPLES
from nplm_cli.measure import part_ledger
from nplm_cli.plain import quoted
from nplm_cli.query.components import CURE
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import open_scorer
from nplm_cli.tuning_text import text_digest, was_tuned_on

_PART_NAMES = {"valid": "validation", "test": "test"}


def compare(
    folders: Sequence[Path | str],
    *,
    part: PartName = "valid",
    on: Sequence[str] = (),
    context: Context | None = None,
    resamples: int = RESAMPLES,
    seed: int = 1,
    on_event: events.OnEvent = events.ignore,
) -> dict[str, Any]:
    """Score finished runs on their own stored ``part``, or on the files ``on``, and rank them.

    ``context`` sets one policy for all; otherwise each run keeps its own. Returns the object that
    ``nplm compare --json`` writes: ``ranked_by`` is ``ppl``, ``bits_per_char`` or None with the
    ``reasons``; ``runs`` has a record a run, ``pairs[i][j]`` the figure of run i over that of
    run j with a paired-bootstrap interval. Raises ConfigError for fewer than two runs,
    ArtifactError and InputError for runs that are unfinished or lack the text.
    """
    if len(folders) < 2:
        raise ConfigError("compare needs something to compare with: name two or more runs")
    if "-" in on:
        raise ConfigError("--on -: every run reads the text anew: name a file")
    runs = [_finished(folder) for folder in folders]
    told: set[str] = set()

    def tell(text: str) -> None:
        if text not in told:  # as many times as there are runs otherwise
            told.add(text)
            on_event(events.message(text))

    # One more reading of the files: for mixtures alone.
    mixtures = any(run.mixture is not None for run in runs)
    digest = text_digest(on) if on and mixtures else None
    for folder, run in zip(folders, runs, strict=True):
        if was_tuned_on(run, digest):
            flattered = f"{folder}: its weights were fitted on this very text, which flatters it"
            on_event(events.Message(flattered, True))
    texts = []
    for folder, run in zip(folders, runs, strict=True):
        policy = context or run.config.training.context
        if on:
            texts.append(_read(run, str(folder), on, policy, tell))
        else:
            texts.append(_stored(run, str(folder), part, policy))
    entries = []
    for number, (run, text) in enumerate(zip(runs, texts, strict=True)):
        on_event(events.Progress("scoring", number, len(runs), text.name))
        entries.append(_entry(run, text, resamples, seed))
    on_event(events.Progress("scoring", len(runs), len(runs)))
    alike = comparability(texts)
    return {
        "schema": SCHEMA,
        "part": None if on else part,
        "on": list(on) or None,
        "context": texts[0].context if not max(alike.contexts) else None,
        "bootstrap": resamples,
        "seed": seed,
        **rank(entries, alike),
    }


def _finished(folder: Path | str) -> Run:
    run = Run(folder)
    if run.report() is None and run.mixture is not None:
        raise ArtifactError(f"{folder}: a mixture without report.json: {CURE}")
    if run.report() is None:
        raise ArtifactError(
            f"{folder}: its training is not finished (no report.json): go on with "
            f"nplm train --resume -o {quoted(folder)}"
        )
    return run


def _stored(run: Run, name: str, part: PartName, context: Context) -> ScoredText:
    """A part that the run keeps with its ids."""
    folder = run.folder / DATA_FOLDER
    if not folder.is_dir():
        why = (
            "a mixture keeps no text"
            if run.mixture is not None
            else f"its text is gone (no {DATA_FOLDER} folder)"
        )
        raise InputError(
            f"{name}: {why}: name one that all runs are to be scored on with --on FILE"
        )
    stored = open_parts(folder).get(part)
    if stored is None or not stored.predictions:
        raise InputError(
            f"{name}: has no {_PART_NAMES[part]} text: name one with --on FILE, or train again "
            f"with --{part} FILE"
        )
    check_ids(folder, {part: stored}, len(run.vocabulary))
    sources = run.record["data"].get("sources")
    own = (sources.get(part) or sources.get("train")) if isinstance(sources, dict) else None
    source = own.get("sha256") if isinstance(own, dict) else None
    return ScoredText(name, run.vocabulary, stored, context, source)


def _read(
    run: Run, name: str, inputs: Sequence[str], context: Context, tell: Callable[[str], None]
) -> ScoredText:
    """Any text, read as the run's training text was."""
    settings = dataclasses.replace(run.config.corpus, **OF_A_FILE)
    reader = read_sentences(inputs, settings, recipe=run.recipe, on_event=tell, workers=None)
    digests: list[bytes] = []

    def hashed(texts: list[str]) -> None:
        digests.extend(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)

    with contextlib.closing(reader):
        part = encode_text(reader, run.vocabulary, hashed)
    if not part.predictions:
        raise InputError(f"{', '.join(inputs)}: no sentence to score")
    return ScoredText(name, run.vocabulary, part, context, digests_S=tuple(digests))


def _entry(run: Run, text: ScoredText, resamples: int, seed: int) -> Entry:
    nll_N = open_scorer(run).nll(text.part, text.context)
    ledger = part_ledger(run, text.part, nll_N, text.context)
    training = (run.report() or {})["training"]
    record = {
        "run": text.name,
        "arch": run.arch,
        "parameters": run.parameters,
        "tokens_per_second": _speed(run.folder / "metrics.jsonl", training),
        "training_seconds": _seconds(run),
    }
    types = run.unknown_types.types
    return make_entry(record, ledger, text, nll_N, types, resamples=resamples, seed=seed)


def _seconds(run: Run) -> float | None:
    """How long the training took; of a mixture all its trainings and the fit of the weights."""
    runs = [run] if run.mixture is None else [run, *run.components]
    total = 0.0
    for each in runs:
        seconds = ((each.report() or {}).get("training") or {}).get("seconds")
        if seconds is None:
            return None
        total += seconds
    return total


def _speed(metrics: Path, training: dict[str, Any]) -> float | None:
    """Median speed between evaluations; else that of the whole training; None of counting."""
    records = [record for _, record in read_json_lines(metrics)]
    speeds = [r["tokens_per_second"] for r in records if is_figure(r.get("tokens_per_second"))]
    if speeds:
        return statistics.median(speeds)
    tokens, seconds = training.get("tokens"), training.get("seconds")
    return tokens / seconds if tokens and seconds else None
