"""Which caches take part in a question, and how far they look back.

The weights of a mixture's own caches were fitted on a running text. A sentence on its own leaves
them next to empty, and they do harm there: they take part in it only when that is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nplm_cli.config import CacheConfig
from nplm_cli.errors import ConfigError
from nplm_cli.query.mixture import blended, open_mixture
from nplm_cli.query.run import Run
from nplm_cli.query.scorer import Scorer, open_scorer

# Caches run over each text from its start, over each sentence alone, or are left out.
Reach = Literal["text", "sentence", "none"]


@dataclass(frozen=True)
class CacheUse:
    """A run, further caches, and the reach of its own caches and of those."""

    run: Run
    more: tuple[CacheConfig, ...]
    own_reach: Reach
    more_reach: Reach

    @property
    def left_out(self) -> bool:
        """Whether the run has caches that take no part."""
        return bool(_own(self.run)) and self.own_reach == "none"

    def open(self) -> Scorer:
        """Return the scorer of the run with the caches that take part."""
        own = bool(_own(self.run)) and self.own_reach != "none"
        if not (own or self.more or self.left_out):
            return open_scorer(self.run)
        across = (self.own_reach if own else self.more_reach) == "text"
        return open_mixture(self.run, self.more, own=own, across=across)

    def records(self) -> list[dict[str, Any]]:
        """Every cache with its settings, its weight in the whole and its reach, own ones first.

        The weight of a cache that is left out is 0.
        """
        weights, caches = blended(self.run, self.more, own=not self.left_out)
        shares = weights[len(weights) - len(caches) :]
        records: list[dict[str, Any]] = []
        if self.left_out:
            records += [
                {**cache.to_json(), "weight": 0.0, "reach": "none"} for cache in _own(self.run)
            ]
        first_more = len(caches) - len(self.more)
        for i, (cache, weight) in enumerate(zip(caches, shares, strict=True)):
            reach = self.own_reach if i < first_more else self.more_reach
            records.append({**cache.to_json(), "weight": weight, "reach": reach})
        return records


def use_caches(
    run: Run, more: Sequence[CacheConfig] = (), reach: str | None = None, *, running: bool
) -> CacheUse:
    """Decide the reach of a run's own caches and of ``more`` that a user asks for.

    ``running`` tells that sentences are read as a running text. Unless a ``reach`` is asked for,
    caches run over such a text; of sentences on their own the run's caches are left out, and
    further ones hold the sentence. Raises ConfigError for a reach that nothing could have.
    """
    match reach:
        case None:
            own_reach, more_reach = ("text", "text") if running else ("none", "sentence")
            return CacheUse(run, tuple(more), own_reach, more_reach)  # type: ignore[arg-type]
        case "text" | "sentence":
            if not (_own(run) or more):
                raise ConfigError(
                    f"--cache-reach {reach}: {run.folder} has no cache: ask for one with --cache"
                )
            return CacheUse(run, tuple(more), reach, reach)
        case "none":
            if more:
                raise ConfigError("--cache-reach none leaves all caches out: leave out --cache")
            return CacheUse(run, (), "none", "none")
    raise ConfigError(f"--cache-reach {reach!r}: expected text, sentence or none")


def _own(run: Run) -> tuple[CacheConfig, ...]:
    return run.mixture.caches if run.mixture else ()
