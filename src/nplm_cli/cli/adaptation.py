"""Options that adapt a model to the text at hand, and how outputs name what they did."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.config import CacheConfig, DynamicConfig
from nplm_cli.errors import ConfigError

if TYPE_CHECKING:
    from nplm_cli.query.run import Run

PANEL = "Adaptation"

Caches = Annotated[
    list[str] | None,
    typer.Option(
        "--cache",
        metavar="unigram|neural",
        help="Mix in a cache of the words just read.",
        rich_help_panel=PANEL,
    ),
]
CacheSizes = Annotated[
    list[int] | None,
    typer.Option(
        "--cache-size",
        help=f"Words that the cache holds ({CacheConfig.size} unless given).",
        rich_help_panel=PANEL,
    ),
]
CacheThetas = Annotated[
    list[float] | None,
    typer.Option(
        "--cache-theta",
        help=f"Of --cache neural: sharpness of the match ({CacheConfig.theta} unless given).",
        rich_help_panel=PANEL,
    ),
]
CacheDecays = Annotated[
    list[float] | None,
    typer.Option(
        "--cache-decay",
        help=f"Of --cache unigram: decay a word ({CacheConfig.decay} unless given).",
        rich_help_panel=PANEL,
    ),
]
CacheWeights = Annotated[
    list[float] | None,
    typer.Option(
        "--cache-weight",
        help=f"Share of the cache ({CacheConfig.weight} unless given).",
        rich_help_panel=PANEL,
    ),
]
Dynamic = Annotated[
    bool,
    typer.Option(
        "--dynamic",
        help="Dynamic evaluation: the weights follow the text, for this time only.",
        rich_help_panel=PANEL,
    ),
]
DynamicLr = Annotated[
    float | None,
    typer.Option(
        "--dynamic-lr",
        help=f"Of --dynamic: learning rate ({DynamicConfig.lr} unless given).",
        rich_help_panel=PANEL,
    ),
]
DynamicDecay = Annotated[
    float | None,
    typer.Option(
        "--dynamic-decay",
        help="Of --dynamic: share of the way back to the trained weights in each step "
        f"({DynamicConfig.decay} unless given).",
        rich_help_panel=PANEL,
    ),
]
DynamicSegment = Annotated[
    int | None,
    typer.Option(
        "--dynamic-segment",
        help=f"Of --dynamic: words a step ({DynamicConfig.segment} unless given).",
        rich_help_panel=PANEL,
    ),
]


def cache_requests(
    kinds: list[str] | None,
    sizes: list[int] | None,
    thetas: list[float] | None,
    decays: list[float] | None,
    weights: list[float] | None = None,
) -> list[dict[str, Any]]:
    """Settings of each --cache, only those that were given.

    An option given once holds for all caches that it acts on, given more often for one each.
    """
    caches: list[dict[str, Any]] = [{"kind": kind} for kind in kinds or ()]
    for kind in kinds or ():
        CacheConfig(kind)  # type: ignore[arg-type]  # which checks the name
    for name, values, acting in (
        ("size", sizes, ("neural", "unigram")),
        ("theta", thetas, ("neural",)),
        ("decay", decays, ("unigram",)),
        ("weight", weights, ("neural", "unigram")),
    ):
        acted_on = [cache for cache in caches if cache["kind"] in acting]
        if values and not acted_on:
            raise ConfigError(f"--cache-{name} has no --cache {' or '.join(acting)}")
        if values and len(values) not in (1, len(acted_on)):
            raise ConfigError(
                f"--cache-{name} stands {len(values)} times for {len(acted_on)} caches: give it "
                "once, or once for each"
            )
        for i, cache in enumerate(acted_on):
            if values:
                cache[name] = values[i % len(values)]
    return caches


def given_caches(
    kinds: list[str] | None,
    sizes: list[int] | None,
    thetas: list[float] | None,
    decays: list[float] | None,
    weights: list[float] | None,
) -> list[CacheConfig]:
    """The caches that the options ask for; what was not given has its default."""
    requests = cache_requests(kinds, sizes, thetas, decays, weights)
    return [CacheConfig(**request) for request in requests]


def given_dynamic(
    on: bool, lr: float | None, decay: float | None, segment: int | None
) -> DynamicConfig | None:
    """Settings of --dynamic; None without it. Raises ConfigError for its options without it."""
    values: dict[str, Any] = {"lr": lr, "decay": decay, "segment": segment}
    given = {name: value for name, value in values.items() if value is not None}
    if not on and given:
        raise ConfigError(f"--dynamic-{next(iter(given))} acts on --dynamic: give that, too")
    return DynamicConfig(**given) if on else None


def cache_records(run: "Run", more: list[CacheConfig] | None = None) -> list[dict[str, Any]]:
    """Caches of a run and ``more``, as JSON names them, with their weights in the whole."""
    from nplm_cli.query.mixture import blended

    weights, caches = blended(run, more or ())
    shares = weights[len(weights) - len(caches) :]
    return [{**cache.to_json(), "weight": w} for cache, w in zip(caches, shares, strict=True)]


def cache_text(record: dict[str, Any]) -> str:
    """A cache in a few words."""
    setting = next(f"{k} {record[k]:g}" for k in ("theta", "decay") if k in record)
    return f"{record['kind']} cache, {record['size']:,} words, {setting}"


def tell_caches(records: list[dict[str, Any]], reach: str) -> None:
    """Name the caches on stderr, and what they hold."""
    for record in records:
        output.note(f"{cache_text(record)}, weight {record['weight']:.4g}; {reach}")
