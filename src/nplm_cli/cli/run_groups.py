"""Which runs differ in the seed alone: their differences are noise."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nplm_cli.query.run import Run

# Settings that say where and how a training runs, not what is trained.
MACHINE = ("device", "threads", "checkpoint_every", "baseline_order")


def group_names(sources: Sequence[Path], runs: Sequence["Run | None"]) -> list[str]:
    """The group of each source: runs alike but for the seed share one, a vector file is alone.

    Alike are the settings (but for the seed and the machine's), the training text (sha256) and
    the vocabulary. A group is named by its architecture; where two groups have the same, by
    the architecture and the first run's path.
    """
    kinds = [
        str(path) if run is None else json.dumps(_kind(run), sort_keys=True)
        for path, run in zip(sources, runs, strict=True)
    ]
    first = {kind: i for i, kind in reversed(list(enumerate(kinds)))}
    names = {}
    for kind, i in first.items():
        run = runs[i]
        names[kind] = str(sources[i]) if run is None else run.config.model.arch
    taken = list(names.values())
    for kind, i in first.items():
        if taken.count(names[kind]) > 1:
            names[kind] = f"{names[kind]} ({sources[i]})"
    return [names[kind] for kind in kinds]


def same_seed(
    sources: Sequence[Path], runs: Sequence["Run | None"], groups: Sequence[str]
) -> list[list[str]]:
    """Runs of one group and one seed: they are copies, and their agreement is no noise floor."""
    alike: dict[tuple[str, int], list[str]] = {}
    for path, run, group in zip(sources, runs, groups, strict=True):
        if run is not None:
            alike.setdefault((group, run.config.training.seed), []).append(str(path))
    return [paths for paths in alike.values() if len(paths) > 1]


def _kind(run: "Run") -> dict[str, Any]:
    settings = run.config.to_json()
    for name in ("seed", *MACHINE):
        del settings["training"][name]
    data = run.record["data"]
    text = data.get("sources", {}).get("train", {}).get("sha256")
    # A record without a checksum is like no other.
    return settings | {
        "text": text or str(run.folder),
        "words": data.get("vocabulary_sha256") or str(run.folder),
    }
