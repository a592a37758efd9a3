"""Every setting of nplm: one frozen dataclass a stage, the only place where a default stands.

A field carries its own help text and bounds, and the command line is built from the fields
(``nplm_cli.cli.options``), so an option cannot exist without a setting nor a setting without an
option. The dataclasses go to JSON and back; an unknown key is an error that offers the nearest
known name.

A file a stage: ``corpus``, ``model``, ``training``; ``mixture`` for what finished models are mixed
with and adapted by; ``homework`` for the study of several models;
``section`` is what they share.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from nplm_cli.config.corpus import (
    DEFAULT_MAX_SIZE,
    OF_A_FILE,
    CorpusConfig,
    SplitConfig,
    VocabularyConfig,
)
from nplm_cli.config.model import ModelConfig
from nplm_cli.config.section import Section
from nplm_cli.config.training import (
    DEFAULT_EPOCHS,
    DEFAULT_LR,
    Context,
    DropoutRates,
    TrainingConfig,
    budget_seconds,
)
from nplm_cli.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from nplm_cli.config.homework import HomeworkConfig, parse_band
    from nplm_cli.config.mixture import (
        CacheConfig,
        CacheSearch,
        ComponentConfig,
        DynamicConfig,
        MixtureConfig,
    )

# Imported when first used: no question to a single model needs them.
_MIXTURE = ("CacheConfig", "CacheSearch", "ComponentConfig", "DynamicConfig", "MixtureConfig")
_LATER = {"HomeworkConfig": "homework", "parse_band": "homework"} | dict.fromkeys(
    _MIXTURE, "mixture"
)

__all__ = [
    "DEFAULT_EPOCHS",
    "DEFAULT_LR",
    "DEFAULT_MAX_SIZE",
    "OF_A_FILE",
    "PRESETS",
    "SECTIONS",
    "CacheConfig",
    "CacheSearch",
    "ComponentConfig",
    "Config",
    "Context",
    "CorpusConfig",
    "DropoutRates",
    "DynamicConfig",
    "HomeworkConfig",
    "MixtureConfig",
    "ModelConfig",
    "SplitConfig",
    "TrainingConfig",
    "VocabularyConfig",
    "budget_seconds",
    "parse_band",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"nplm_cli.config.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@dataclass(frozen=True)
class Config(Section):
    """All stages together: what ``config.json`` holds and ``--config`` replays."""

    corpus: CorpusConfig = dataclasses.field(default_factory=CorpusConfig)
    split: SplitConfig = dataclasses.field(default_factory=SplitConfig)
    vocabulary: VocabularyConfig = dataclasses.field(default_factory=VocabularyConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        """Check what depends on settings of two sections."""
        loss = self.training.loss
        if loss != "full" and self.model.softmax == "adaptive" and self.model.neural:
            raise ConfigError(
                f"--loss {loss} draws words for one softmax over all of them: "
                "use it with --softmax full, or --loss full with --softmax adaptive"
            )
        if self.training.self_normalize and self.model.softmax == "adaptive" and self.model.neural:
            raise ConfigError(
                f"--self-normalize {self.training.self_normalize:g}: an adaptive softmax has a sum "
                "Z of its own for each cluster: use it with --softmax full"
            )

    @classmethod
    def from_json(cls, values: object, where: str) -> Self:
        """Build all sections; unknown sections and keys are refused."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where}: expected an object with settings, found {values!r:.40}")
        sections = SECTIONS
        for key in values:
            if key not in sections:
                raise ConfigError(
                    f"{where}: unknown key {key!r:.60}{did_you_mean(str(key), sections)}"
                )
        built: dict[str, Any] = {
            name: section.from_json(values[name], f"{where}: {name}")
            for name, section in sections.items()
            if name in values
        }
        return cls(**built)

    def replace(self, **changes: Any) -> "Config":
        """Copy with single settings changed, whatever section they stand in."""
        sections: dict[str, Section] = {}
        for name, section in SECTIONS.items():
            fields = {field.name for field in dataclasses.fields(section)}  # type: ignore[arg-type]
            mine = {key: changes.pop(key) for key in list(changes) if key in fields}
            old: Any = getattr(self, name)
            sections[name] = dataclasses.replace(old, **mine) if mine else old
        if changes:
            raise ConfigError(f"unknown setting {next(iter(changes))!r}")
        return dataclasses.replace(self, **sections)  # type: ignore[arg-type]


SECTIONS: dict[str, type[Section]] = {
    "corpus": CorpusConfig,
    "split": SplitConfig,
    "vocabulary": VocabularyConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
}

# Named bundles of settings; an option given beside a preset wins.
PRESETS: dict[str, dict[str, Any]] = {
    # The assignment's own sizes.
    "homework": {
        "max_size": 1000,
        "dim": 10,
        "hidden": 128,
        "layers": 1,
        "batch": 8,
        "lr": 0.005,
        "epochs": 5,
    },
    # Vectors worth a look, in an hour or two.
    "thorough": {
        "max_size": 10_000,
        "dim": 100,
        "hidden": 256,
        "layers": 1,
        "tie": True,
        "dropout": 0.2,
        "batch": 16,
        "lr": 0.005,
        "epochs": 6,
    },
}
