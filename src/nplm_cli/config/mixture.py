"""Settings of what a finished model is mixed with or adapted by when a text is measured."""

import itertools
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal, Self, TypeVar

from nplm_cli.config.section import Section, option
from nplm_cli.config.training import Context
from nplm_cli.errors import ConfigError

# Weights sum to 1 but for this much rounding.
ROUNDING = 1e-6
# More components than anybody mixes; config.json of a stranger may say anything.
MAX_COMPONENTS = 1000


@dataclass(frozen=True)
class CacheConfig(Section):
    """A cache of the words just read, and its weight in the mixture (``query/cache.py``)."""

    kind: Literal["unigram", "neural"]
    size: int = option(1000, "Words of the text that the cache holds.", low=1, high=1_000_000)
    theta: float = option(0.3, "Of the neural cache: sharpness of the match.", low=0, high=1000)
    decay: float = option(1.0, "Of the unigram cache: decay a word.", above=0, high=1)
    weight: float = option(0.1, "Share of the mixture.", low=0, high=1)

    def __post_init__(self) -> None:
        """Check, with the names of the options."""
        if self.kind not in ("unigram", "neural"):
            raise ConfigError(f"--cache {self.kind!r}: expected unigram or neural")
        _check(super().__post_init__, "--cache-")

    def to_json(self) -> dict[str, Any]:
        """Return what acts on a cache of this kind."""
        idle = "decay" if self.kind == "neural" else "theta"
        return {key: value for key, value in super().to_json().items() if key != idle}

    def __str__(self) -> str:
        setting = f"theta {self.theta:g}" if self.kind == "neural" else f"decay {self.decay:g}"
        return f"{self.kind} cache of {self.size:,} words, {setting}, weight {self.weight:.4g}"


@dataclass(frozen=True)
class CacheSearch:
    """A cache to be fitted; what is None is tried with each value of the grid below."""

    kind: Literal["unigram", "neural"]
    size: int | None = None
    theta: float | None = None
    decay: float | None = None

    SIZES: ClassVar = (200, 500, 1000, 2000, 4000)
    THETAS: ClassVar = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0)
    DECAYS: ClassVar = (1.0, 0.998, 0.995, 0.99, 0.98, 0.95)

    def candidates(self) -> list[CacheConfig]:
        """Every cache that is tried; raises ConfigError for values that none can have."""
        sizes = self.SIZES if self.size is None else (self.size,)
        if self.kind == "neural":
            thetas = self.THETAS if self.theta is None else (self.theta,)
            pairs = itertools.product(sizes, thetas)
            return [CacheConfig("neural", size=size, theta=theta) for size, theta in pairs]
        decays = self.DECAYS if self.decay is None else (self.decay,)
        pairs = itertools.product(sizes, decays)
        return [CacheConfig(self.kind, size=size, decay=decay) for size, decay in pairs]


@dataclass(frozen=True)
class DynamicConfig(Section):
    """How the weights follow a text in dynamic evaluation (``evaluation/dynamic.py``)."""

    lr: float = option(0.0005, "Learning rate.", low=0)
    decay: float = option(0.003, "Share of the way back to the trained weights.", low=0, high=1)
    segment: int = option(20, "Words a step.", low=1, high=100_000)

    def __post_init__(self) -> None:
        """Check, with the names of the options."""
        _check(super().__post_init__, "--dynamic-")


def _check(check: Any, prefix: str) -> None:
    try:
        check()
    except ConfigError as error:
        raise ConfigError(prefix + str(error).removeprefix("--")) from None


@dataclass(frozen=True)
class ComponentConfig(Section):
    """A model in a mixture: the name and architecture of the run it was, and its weight.

    ``sha256`` is the fingerprint of its files (``query/components.py``; None in older mixtures).
    """

    run: str
    arch: str
    weight: float = option(1.0, "Share of the mixture.", low=0, high=1)
    sha256: str | None = None

    def __post_init__(self) -> None:
        """Check, with the names of the keys: nobody gave them as options."""
        _check(super().__post_init__, "")


@dataclass(frozen=True)
class MixtureConfig:
    """p(w | h) = sum of weight times p(w | h) over components and caches."""

    components: tuple[ComponentConfig, ...]
    caches: tuple[CacheConfig, ...]
    context: Context

    def __post_init__(self) -> None:
        """Refuse weights that do not sum to 1, or of caches alone: those are empty at first."""
        if not 0 < len(self.components) <= MAX_COMPONENTS or len(self.caches) > MAX_COMPONENTS:
            raise ConfigError(
                f"{len(self.components)} components and {len(self.caches)} caches: expected 1 to "
                f"{MAX_COMPONENTS} components and no more caches"
            )
        if abs(sum(self.weights) - 1) > ROUNDING:
            raise ConfigError(f"weights that sum to {sum(self.weights):.6g}, not to 1")
        if sum(component.weight for component in self.components) <= 0:
            raise ConfigError("a mixture whose components all have weight 0")
        if self.context not in ("sentence", "stream"):
            raise ConfigError(f"context {self.context!r}: expected sentence or stream")

    @property
    def weights(self) -> list[float]:
        """Weights of the components, then of the caches."""
        return [c.weight for c in self.components] + [c.weight for c in self.caches]

    def to_json(self) -> dict[str, Any]:
        """Return the mixture as a JSON object."""
        return {
            "context": self.context,
            "components": [component.to_json() for component in self.components],
            "caches": [cache.to_json() for cache in self.caches],
        }

    @classmethod
    def from_json(cls, values: object, where: str) -> Self:
        """Build from a JSON object; raises ConfigError for anything that ``to_json`` lacks."""
        if not isinstance(values, dict) or set(values) != {"context", "components", "caches"}:
            raise ConfigError(f"{where}: expected context, components and caches")
        components = _built(ComponentConfig, values["components"], f"{where}: component")
        caches = _built(CacheConfig, values["caches"], f"{where}: cache")
        try:
            return cls(components, caches, values["context"])
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error


_Kind = TypeVar("_Kind", bound=Section)


def _built(kind: type[_Kind], values: object, where: str) -> tuple[_Kind, ...]:
    """Build each of a list; what it raises says which one."""
    if not isinstance(values, list):
        raise ConfigError(f"{where}: expected a list of them, found {values!r:.40}")
    needed = {f.name for f in fields(kind) if f.default is MISSING}  # type: ignore[arg-type]
    for number, value in enumerate(values, 1):
        missing = needed - set(value) if isinstance(value, dict) else None
        if missing:
            raise ConfigError(f"{where} {number}: no {sorted(missing)[0]!r}")
    return tuple(kind.from_json(v, f"{where} {number}") for number, v in enumerate(values, 1))
