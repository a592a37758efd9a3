"""What runs must share to be mixed, and what is told where they differ."""

import itertools
from collections.abc import Iterator, Sequence

from nplm_cli import events
from nplm_cli.artifacts import TensorFile
from nplm_cli.errors import ConfigError
from nplm_cli.query.run import Run


def check_alike(runs: Sequence[Run], on_event: events.OnEvent) -> None:
    """Raise ConfigError at another vocabulary; tell what else makes runs differ in meaning."""
    for run in runs:
        check_same_vocabulary(runs[0], run)
    for text in (*_twins(runs), *_differences(runs)):
        on_event(events.Message(text, True))


def check_same_vocabulary(first: Run, other: Run) -> None:
    """Raise ConfigError, naming the first difference, unless the same ids are the same tokens."""
    ours, theirs = first.vocabulary.tokens, other.vocabulary.tokens
    if ours == theirs:
        return
    pairs = itertools.zip_longest(ours, theirs)
    number = next(i for i, (a, b) in enumerate(pairs) if a != b)
    a, b = (repr(t[number]) if number < len(t) else "nothing more" for t in (ours, theirs))
    raise ConfigError(
        f"{first.folder} and {other.folder} have different vocabularies: id {number} is {a} in the "
        f"one and {b} in the other; train one with --vocab {first.folder / 'vocabulary.tsv'}"
    )


def _twins(runs: Sequence[Run]) -> Iterator[str]:
    """Runs of the same settings and weights: one model, whose share is split at random."""
    groups: dict[object, list[str]] = {}
    for run in runs:
        key = (str(run.config.model), _checksum(run.weights))
        groups.setdefault(key, []).append(str(run.folder))
    for folders in groups.values():
        if len(folders) > 1:
            yield f"{', '.join(folders)}: one and the same model: naming it once is enough"


def _checksum(weights: TensorFile) -> str:
    return weights.metadata.get("sha256") or str(weights.path.resolve())


def _differences(runs: Sequence[Run]) -> Iterator[str]:
    first = runs[0]
    for run in runs:
        ours, theirs = first.recipe.to_json(), run.recipe.to_json()
        differing = [
            f"{key} {_shown(theirs[key])} instead of {_shown(ours[key])}"
            for key in ours
            if ours[key] != theirs[key]
        ]
        if differing:
            yield (
                f"{run.folder} read its text otherwise than {first.folder} (tokenizer.json: "
                f"{', '.join(differing)}): the mixture reads as {first.folder} does"
            )
        if run.report() is None:
            yield (
                f"{run.folder}: its training is not finished (no report.json): mixed as it is now"
            )
        if run.config.model.arch == "ngram" and run.config.model.smoothing == "mle":
            yield (
                f"{run.folder}: relative frequencies are all 0 after an unseen context; there "
                "the probabilities of the mixture sum to less than 1"
            )


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return f"({len(value)} words)"
    return str(value).lower() if isinstance(value, bool) else str(value)
