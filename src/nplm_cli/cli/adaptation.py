"""Options that adapt a model to the text at hand, and how outputs name what they did."""

from typing import TYPE_CHECKING, Annotated, Any

from nplm_cli.cli import output
from nplm_cli.cli.parameters import Option
from nplm_cli.config import CacheConfig, DynamicConfig
from nplm_cli.errors import ConfigError

if TYPE_CHECKING:
    from nplm_cli.query.cache_use import CacheUse

PANEL = "Adaptation"

Caches = Annotated[
    list[str] | None,
    Option(
        "--cache",
        metavar="unigram|neural",
        help="Mix in a cache of the words just read.",
        rich_help_panel=PANEL,
    ),
]
CacheSizes = Annotated[
    list[int] | None,
    Option(
        "--cache-size",
        help=f"Words that the cache holds ({CacheConfig.size} unless given).",
        rich_help_panel=PANEL,
    ),
]
CacheThetas = Annotated[
    list[float] | None,
    Option(
        "--cache-theta",
        help=f"Of --cache neural: sharpness of the match ({CacheConfig.theta} unless given).",
        rich_help_panel=PANEL,
    ),
]
CacheDecays = Annotated[
    list[float] | None,
    Option(
        "--cache-decay",
        help=f"Of --cache unigram: decay a word ({CacheConfig.decay} unless given).",
        rich_help_panel=PANEL,
    ),
]
CacheWeights = Annotated[
    list[float] | None,
    Option(
        "--cache-weight",
        help=f"Share of the cache ({CacheConfig.weight} unless given).",
        rich_help_panel=PANEL,
    ),
]
CacheReach = Annotated[
    str | None,
    Option(
        "--cache-reach",
        metavar="text|sentence|none",
        help="Caches run over the lines of each text, hold one sentence, or are left out "
        "(default: text under --context stream; otherwise sentence for --cache, none for those "
        "of the run).",
        rich_help_panel=PANEL,
    ),
]
SentenceCacheReach = Annotated[
    str | None,
    Option(
        "--cache-reach",
        metavar="sentence|none",
        help="Caches hold the sentence at hand, or are left out (default: sentence for --cache, "
        "none for those of the run).",
        rich_help_panel=PANEL,
    ),
]
Dynamic = Annotated[
    bool,
    Option(
        "--dynamic",
        help="Dynamic evaluation: the weights follow the text, for this time only.",
        rich_help_panel=PANEL,
    ),
]
DynamicLr = Annotated[
    float | None,
    Option(
        "--dynamic-lr",
        help=f"Of --dynamic: learning rate ({DynamicConfig.lr} unless given).",
        rich_help_panel=PANEL,
    ),
]
DynamicDecay = Annotated[
    float | None,
    Option(
        "--dynamic-decay",
        help="Of --dynamic: share of the way back to the trained weights in each step "
        f"({DynamicConfig.decay} unless given).",
        rich_help_panel=PANEL,
    ),
]
DynamicSegment = Annotated[
    int | None,
    Option(
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


def sentence_reach(reach: str | None) -> str | None:
    """Return the reach if one sentence can have it; raises ConfigError for ``text``."""
    if reach == "text":
        raise ConfigError(
            "--cache-reach text: one sentence is asked about, no text: expected sentence or none"
        )
    return reach


def cache_text(record: dict[str, Any]) -> str:
    """A cache in a few words."""
    setting = next(f"{k} {record[k]:g}" for k in ("theta", "decay") if k in record)
    return f"{record['kind']} cache, {record['size']:,} words, {setting}"


REACHES = {"text": "it runs over the whole text", "sentence": "empty at each sentence"}


def tell_caches(use: "CacheUse", *, one_sentence: bool = False) -> None:
    """Name the caches on stderr, and what they hold; or that those of the run are left out."""
    for record in use.records():
        if record["reach"] != "none":
            what = f"{cache_text(record)}, weight {record['weight']:.4g}"
            output.note(f"{what}; {REACHES[record['reach']]}")
    if use.left_out:
        others = "sentence" if one_sentence else "text or sentence"
        output.note(
            f"the caches of {use.run.folder} are left out: their weights are for a running text "
            f"(--cache-reach {others} takes them in)"
        )
