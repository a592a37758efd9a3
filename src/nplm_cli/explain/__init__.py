"""One prediction of a user's own model, explained with its numbers: ``nplm explain``.

places.py, words.py   what a prediction sees, and the words whose probability is explained
network/              a neural network, with its torch model
counts.py, mixtures.py
sections.py, ...      the record as texts, tables and heat maps in two languages
page.py, templates/   the same as one HTML page
"""

import math
from collections.abc import Sequence
from typing import Any

from nplm_cli.errors import ConfigError
from nplm_cli.query.cache_use import use_caches
from nplm_cli.query.predict import Prompt
from nplm_cli.query.run import Run

# Every word of the text is shown, and a matrix of attention weights has a row and a column of each.
MOST_WORDS = 256
# Weights of attention in one explanation: as a page some 20 MB, 35 bytes a weight.
MOST_WEIGHTS = 500_000


def explain(
    run: Run,
    prompt: Prompt,
    words: Sequence[str] = (),
    k: int = 10,
    *,
    cache_reach: str | None = None,
) -> dict[str, Any]:
    """Explain what a run says after the beginning of a sentence; returns the record of it.

    ``words`` are those whose probability is explained (none: the most probable one), ``k`` how
    many of the most probable words are shown. The caches of a mixture take part where
    ``cache_reach`` is ``sentence``: they hold the sentence at hand. The keys of the record are in
    docs/formats.md. Raises ConfigError for a text that is too long or an empty word, NplmError
    when the numbers on the way are not those that the model itself comes to.
    """
    if len(prompt.ids) > MOST_WORDS:
        raise ConfigError(
            f"the text has {len(prompt.ids)} words: expected at most {MOST_WORDS}, each of which "
            "is shown; leave its beginning out"
        )
    _require_room(run, len(prompt.ids) + 1)
    use = use_caches(run, reach=cache_reach, running=False)
    caches = use.records()
    if run.mixture is not None:
        from nplm_cli.explain.mixtures import explain_mixture

        record = explain_mixture(run, prompt, words, k, use)
    elif not run.config.model.neural:
        from nplm_cli.explain.counts import explain_counts

        record = explain_counts(run, prompt, words, k)
    else:
        from nplm_cli.explain.network.explanation import explain_network

        record = explain_network(run, prompt, words, k)
    return {
        "run": str(run.folder),
        "arch": run.arch,
        "text": prompt.text,
        "tokens": prompt.tokens,
        "unknown": prompt.unknown,
        **record,
        **({"caches": caches} if caches else {}),
    }


def _require_room(run: Run, read: int) -> None:
    """Raise ConfigError where attention has more weights than an explanation has room for."""
    if run.mixture is not None or run.arch not in ("attention", "transformer"):
        return
    model = run.config.model
    matrices = model.layers * (model.heads or 1)
    seen = min(read, model.window or read)
    if matrices * seen**2 > MOST_WEIGHTS:
        words = max(1, math.isqrt(MOST_WEIGHTS // matrices) - 1)
        raise ConfigError(
            f"{matrices} attention maps of {seen} x {seen} words are too much to show: leave the "
            f"beginning of the text out (at most {words} words)"
        )
