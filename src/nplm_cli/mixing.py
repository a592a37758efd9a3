"""Several runs become one: what ``nplm mix`` does.

Weights of models and caches are fitted on a text by EM (``evaluation.interpolation``); the result
is a run directory that holds what questions need of its components. Shape suffixes: K components,
G components and all caches that are tried, N predictions.
"""

import dataclasses
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nplm_cli import __version__, events
from nplm_cli.artifacts import FORMAT_VERSION, write_json
from nplm_cli.atomic import copy_file
from nplm_cli.config import CacheConfig, CacheSearch, ComponentConfig, Context, MixtureConfig
from nplm_cli.corpus.readers import STDIN
from nplm_cli.corpus.shards import Part
from nplm_cli.errors import ConfigError, InputError
from nplm_cli.evaluation.interpolation import MAX_ITERATIONS, Fit, fit_weights, fit_with_best
from nplm_cli.evaluation.ledger import perplexity
from nplm_cli.locking import exclusive
from nplm_cli.measure import part_ledger, read_text
from nplm_cli.mixing_checks import check_alike
from nplm_cli.placement import (
    check_target,
    link_or_copy,
    move_into_place,
    restore_old,
    staging_folder,
)
from nplm_cli.query.components import COMPONENTS, fingerprint
from nplm_cli.query.mixture import first_neural, mixed_log_probs
from nplm_cli.query.run import Run
from nplm_cli.text_probabilities import tell_policies, text_log_probs
from nplm_cli.threads import available_cores
from nplm_cli.tuning_text import doubts, text_digest

# What of a run its questions need: text, and large files that nobody edits.
_COPIED = ("config.json", "vocabulary.tsv", "unknown.tsv", "tokenizer.json", "report.json")
_LINKED = ("model.safetensors", "baseline.safetensors")
# What a mixture takes from the component whose baseline it has.
_SHARED = ("vocabulary.tsv", "unknown.tsv", "baseline.safetensors")


def mix(
    sources: Sequence[Path],
    folder: Path,
    tune: Sequence[str],
    *,
    caches: Sequence[CacheSearch] = (),
    context: Context | None = None,
    device: str = "auto",
    force: bool = False,
    argv: Sequence[str] = (),
    on_event: events.OnEvent = events.ignore,
) -> dict[str, Any]:
    """Mix runs into the run ``folder``, weights and caches fitted on ``tune``; returns its report.

    ``context`` is by default the policy of the first neural run. Raises ConfigError for runs of
    different vocabularies and for a ``folder`` that is taken, InputError for the text.
    """
    started = time.monotonic()
    folder = folder.resolve()
    if folder == Path.cwd():
        raise ConfigError(f"{folder} is where you stand: name a new directory for the mixture")
    for source in map(Path.resolve, sources):
        if folder == source:
            raise ConfigError(f"{folder} is one of the runs: name a new directory")
        # Of the components of an old mixture all is kept.
        if source.is_relative_to(folder) and source.parent != folder / COMPONENTS:
            raise ConfigError(f"{source} would be gone with {folder}: name a new directory")
    if len(sources) + len(caches) < 2:
        raise ConfigError("one run alone is no mixture: name another one, or a --cache")
    candidates = [search.candidates() for search in caches]
    runs = [_opened(source) for source in sources]
    prints = [fingerprint(run.folder) for run in runs]
    first = first_neural(runs)
    policy = context or runs[first or 0].config.training.context
    check_alike(runs, on_event)
    tell_policies(runs, policy, on_event)
    with exclusive(folder):
        restore_old(folder)
        check_target(folder, True)
        if (folder / "config.json").exists() and not force:
            raise ConfigError(f"{folder} holds a run already: --force replaces it")
        part = read_text(runs[0], tune, on_event=on_event)
        if not part.predictions:
            raise InputError(f"{', '.join(tune)}: no sentence to tune the mixture on")
        digest = text_digest(tune)
        notes = list(doubts(runs, tune, digest, part, on_event))
        for text in notes:
            on_event(events.Message(text, True))
        every_cache = [cache for tried in candidates for cache in tried]
        log_p_GN = text_log_probs(
            runs, part, policy, caches=every_cache, device=device, on_event=on_event
        )
        fit, rows = _fitted(log_p_GN, len(runs), [len(tried) for tried in candidates], on_event)
        chosen = [every_cache[row - len(runs)] for row in rows[len(runs) :]]
        mixture = _mixture(runs, sources, prints, chosen, fit, policy)
        nll_N = 0.0 - mixed_log_probs(log_p_GN[rows], mixture.weights)
        _tell_fit(fit, nll_N, on_event)
        with staging_folder(folder) as staging:
            _write(staging, mixture, runs, argv, {"inputs": _absolute(tune), "sha256": digest})
            report = _report(staging, folder.name, part, log_p_GN[: len(runs)], nll_N, fit, tune)
            report["notes"] += notes
            report["training"]["seconds"] = round(time.monotonic() - started, 3)
            write_json(staging / "report.json", report)
            move_into_place(staging, folder)
    return report


def _opened(source: Path) -> Run:
    run = Run(source)
    if run.mixture is not None:
        inner = ", ".join(str(component.folder) for component in run.components)
        raise ConfigError(f"{source} is a mixture already: name its components instead ({inner})")
    _ = run.weights  # there, and of the right shapes
    return run


def _fitted(
    log_p_GN: np.ndarray, components: int, tried: Sequence[int], on_event: events.OnEvent
) -> tuple[Fit, list[int]]:
    """Fit the weights; of each cache's candidates (``tried`` many) the likeliest row is kept.

    Caches are settled one after the other, each beside the models and the caches before it.
    """
    rows = list(range(components))
    fit = fit_weights(log_p_GN[rows])
    done, begin = 0, components

    def tell() -> None:
        nonlocal done
        done += 1
        on_event(events.Progress("fitting caches", done, sum(tried)))

    for count in tried:
        fit, best = fit_with_best(log_p_GN, rows, range(begin, begin + count), tell)
        rows.append(best)
        begin += count
    return fit, rows


def _mixture(
    runs: Sequence[Run],
    sources: Sequence[Path],
    prints: Sequence[str],
    caches: Sequence[CacheConfig],
    fit: Fit,
    context: Context,
) -> MixtureConfig:
    components = [
        ComponentConfig(str(source), run.arch, weight, sha256)
        for source, run, weight, sha256 in zip(sources, runs, fit.weights, prints, strict=False)
    ]
    weighted = [
        dataclasses.replace(cache, weight=weight)
        for cache, weight in zip(caches, fit.weights[len(runs) :], strict=True)
    ]
    return MixtureConfig(tuple(components), tuple(weighted), context)


def _tell_fit(fit: Fit, nll_N: np.ndarray, on_event: events.OnEvent) -> None:
    """Tell of a fit that is not what a fit should be."""
    impossible = int(np.isposinf(nll_N).sum())
    if impossible:
        on_event(
            events.Message(
                f"{impossible:,} of {len(nll_N):,} predictions are impossible for every run: the "
                "weights are fitted on the others; mix in a run of --smoothing kn, or a network",
                True,
            )
        )
    if fit.iterations >= MAX_ITERATIONS:
        on_event(
            events.Message(
                f"EM was stopped after {fit.iterations:,} iterations: parts that predict nearly "
                "the same, whose weights hardly matter",
                True,
            )
        )


def _absolute(inputs: Sequence[str]) -> list[str]:
    return [name if name == STDIN else os.path.abspath(name) for name in inputs]


def _write(
    folder: Path,
    mixture: MixtureConfig,
    runs: Sequence[Run],
    argv: Sequence[str],
    tune: dict[str, Any],
) -> None:
    """Write the run of a mixture, but for its report."""
    for number, (run, component) in enumerate(zip(runs, mixture.components, strict=True), 1):
        target = folder / COMPONENTS / str(number)
        target.mkdir(parents=True)
        _take(run.folder, target, (*_COPIED, *_LINKED))
        if fingerprint(target) != component.sha256:
            raise ConfigError(
                f"{run.folder} has changed while it was mixed: wait for the end of its training, "
                "then mix again"
            )
    reference = next((run for run in runs if run.baseline is not None), runs[0])
    _take(reference.folder, folder, _SHARED)
    _take(runs[0].folder, folder, ("tokenizer.json",))  # as the text to be fitted on was read
    record = {
        "format_version": FORMAT_VERSION,
        "nplm": __version__,
        "mixture": mixture.to_json(),
        "tune": tune,
        "data": reference.record["data"],
        "environment": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "numpy": np.__version__,
            "threads": available_cores(),
        },
        "argv": list(argv),
    }
    write_json(folder / "config.json", record)


def _take(source: Path, target: Path, names: Sequence[str]) -> None:
    """Copy the files that are there, large ones by a second name."""
    for name in names:
        if (source / name).exists():
            copy = link_or_copy if name in _LINKED else copy_file
            copy(source / name, target / name)


def _report(
    folder: Path,
    name: str,
    part: Part,
    log_p_KN: np.ndarray,
    nll_N: np.ndarray,
    fit: Fit,
    tune: Sequence[str],
) -> dict[str, Any]:
    """What ``report.json`` says: the fit, and the ledger of the text it was made on."""
    run = Run(folder)
    ledger = part_ledger(run, part, nll_N, run.config.training.context)
    components = [
        {**record, "ppl": perplexity(0.0 - float(own_N.sum()), part.predictions)}
        for record, own_N in zip(ledger["mixture"], log_p_KN, strict=True)
    ]
    return {
        "schema": 1,
        "run": name,
        "arch": run.arch,
        "training": {"iterations": fit.iterations, "left_out": fit.left_out},
        "notes": [f"weights fitted on {', '.join(tune)}: its perplexity flatters the mixture"],
        "tuned_on": list(tune),
        "components": components,
        "caches": ledger["caches"],
        "tune": ledger,
        "valid": None,
        "test": None,
    }
