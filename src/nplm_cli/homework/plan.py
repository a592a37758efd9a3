"""What a homework is: corpora, settings, and one run for each architecture and seed.

All models of a corpus share text, split, vocabulary, data order (of a seed), sizes and length of
training; only the architecture and the seed differ.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nplm_cli import __version__
from nplm_cli.artifacts import FORMAT_VERSION, check_format, read_json
from nplm_cli.config import Config, HomeworkConfig
from nplm_cli.corpus.preparation import Sources
from nplm_cli.corpus.shards import PARTS
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.run_folders import resolved

# Folder of the runs of each corpus, and the name of the corpus in results.json.
CORPORA = {"first": "runs", "second": "second"}
PLAN_FILE = "config.json"


@dataclass(frozen=True)
class PlannedRun:
    """One training: which corpus (a key of CORPORA), architecture and seed; where it goes."""

    corpus: str
    arch: str
    seed: int
    folder: Path
    config: Config

    @property
    def name(self) -> str:
        """Folder below that of the homework, such as ``runs/lstm-2``."""
        return f"{CORPORA[self.corpus]}/{self.folder.name}"


@dataclass(frozen=True)
class Plan:
    """Everything that a homework does; ``config.json`` of its folder holds it.

    ``config.model.arch`` and ``config.training.seed`` stand for those of the first model.
    """

    config: Config
    homework: HomeworkConfig
    sources: tuple[Sources, ...]
    preset: str | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of each architecture's models."""
        first = self.config.training.seed
        return tuple(range(first, first + self.homework.seeds))

    def runs(self, folder: Path) -> list[PlannedRun]:
        """All trainings, a whole set of architectures before the next seed."""
        planned = []
        for corpus in list(CORPORA)[: len(self.sources)]:
            for seed in self.seeds:
                for arch in self.homework.architectures:
                    where = folder / CORPORA[corpus] / f"{arch}-{seed}"
                    config = self.run_config(arch, seed)
                    planned.append(PlannedRun(corpus, arch, seed, where, config))
        return planned

    def run_config(self, arch: str, seed: int) -> Config:
        """Settings of one model; what its architecture leaves open is filled in."""
        return resolved(self.config.replace(arch=arch, seed=seed))

    def to_json(self, argv: Sequence[str]) -> dict[str, Any]:
        """Return what config.json holds."""
        return {
            "format_version": FORMAT_VERSION,
            "nplm": __version__,
            "homework": self.homework.to_json(),
            "settings": self.config.to_json(),
            "sources": [
                {name: list(inputs) for name, inputs in sources.by_part().items()}
                for sources in self.sources
            ],
            "preset": self.preset,
            "argv": list(argv),
        }

    def trains_like(self, other: "Plan") -> str | None:
        """None if the runs of ``other`` serve this plan; else what differs."""
        for ours, theirs in zip(self.sources, other.sources, strict=False):
            if ours != theirs:
                return f"the text ({_described(theirs)} there, {_described(ours)} asked for)"
        here = self.config.model.arch, self.config.training.seed
        return run_difference(self.config, other.config.replace(arch=here[0], seed=here[1]))


def _described(sources: Sources) -> str:
    return ", ".join(path for inputs in sources.by_part().values() for path in inputs)


# Which machine trains, and how often it saves, changes no run.
_NOT_COMPARED = ("device", "checkpoint_every")


def _named(config: Config) -> dict[str, Any]:
    """All settings by name."""
    return {k: v for section in config.to_json().values() for k, v in section.items()}


def run_difference(wanted: Config, found: Config) -> str | None:
    """None if a run of settings ``found`` serves for one of ``wanted``; else what differs."""
    there = _named(found)
    for name, value in _named(wanted).items():
        if there[name] != value and name not in _NOT_COMPARED:
            return f"--{name.replace('_', '-')} ({there[name]} there, {value} asked for)"
    return None


def make_plan(
    config: Config,
    homework: HomeworkConfig,
    sources: Sequence[Sources],
    preset: str | None = None,
) -> Plan:
    """Check settings that only show together, and keep paths that hold from any folder.

    Raises ConfigError.
    """
    if homework.dictionary is not None and len(sources) < 2:
        raise ConfigError("--dictionary translates between two corpora: give --second-corpus, too")
    kept = tuple(
        Sources(**{name: tuple(map(_absolute, inputs)) for name, inputs in s.by_part().items()})
        for s in sources
    )
    homework = dataclasses.replace(
        homework,
        words=homework.words and _absolute(homework.words),
        dictionary=homework.dictionary and _absolute(homework.dictionary),
    )
    named = [path for s in kept for inputs in s.by_part().values() for path in inputs]
    if [*named, homework.words, homework.dictionary].count("-") > 1:
        raise ConfigError("- given twice: standard input can be read only once")
    plan = Plan(config, homework, kept, preset)
    for arch in homework.architectures:
        plan.run_config(arch, config.training.seed)
    return plan


def _absolute(path: str) -> str:
    return path if path == "-" else os.path.abspath(path)


def load_plan(path: Path) -> Plan:
    """Read the plan that a homework left; raises ArtifactError for anything else."""
    record = read_json(path)
    if not isinstance(record, dict) or "homework" not in record:
        raise ArtifactError(f"{path}: not the config.json of a homework")
    check_format(path, record.get("format_version"))
    try:
        sources = tuple(_sources(entry) for entry in record["sources"])
        preset = record.get("preset")
        if not 1 <= len(sources) <= len(CORPORA) or not isinstance(preset, str | None):
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: its sources or preset is not what nplm writes") from error
    try:
        return Plan(
            Config.from_json(record.get("settings"), str(path)),
            HomeworkConfig.from_json(record["homework"], str(path)),
            sources,
            preset,
        )
    except ConfigError as error:
        raise ArtifactError(str(error)) from error


def _sources(entry: object) -> Sources:
    if not isinstance(entry, Mapping) or not set(entry) <= set(PARTS):
        raise ValueError
    for inputs in entry.values():
        if not isinstance(inputs, list) or not all(isinstance(path, str) for path in inputs):
            raise ValueError
    return Sources(**{name: tuple(inputs) for name, inputs in entry.items()})
