"""One prediction of a user's own model, explained with its numbers: ``nplm explain``.

places.py, words.py   what a prediction sees, and the words whose probability is explained
network/              a neural network, with its torch model
counts.py, mixtures.py
sections.py, ...      the record as texts, tables and heat maps in two languages
page.py, templates/   the same as one HTML page
"""

from collections.abc import Sequence
from typing import Any

from nplm_cli.errors import ConfigError
from nplm_cli.query.cache_use import use_caches
from nplm_cli.query.predict import Prompt
from nplm_cli.query.run import Run

# Every word of the text is shown, and a matrix of attention weights has a row and a column of each.
MOST_WORDS = 256


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
