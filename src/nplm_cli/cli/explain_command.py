"""``nplm explain``: one prediction of a model, step by step, with its own numbers."""

from pathlib import Path
from typing import Annotated

from nplm_cli.cli import output
from nplm_cli.cli.adaptation import SentenceCacheReach, sentence_reach, tell_caches
from nplm_cli.cli.arguments import (
    Json,
    Lang,
    RunArgument,
    Segmented,
    chosen_language,
    tell_prompt,
)
from nplm_cli.cli.parameters import Argument, Option, Registry
from nplm_cli.errors import ConfigError


def register(app: Registry) -> None:
    """Add the command."""
    app.command("explain")(explain_cli)


def explain_cli(
    run: RunArgument,
    text: Annotated[str, Argument(help="The beginning of a sentence (may be empty).")],
    word: Annotated[
        list[str] | None,
        Option(
            help="Word whose probability is explained (default: the most probable one); repeatable."
        ),
    ] = None,
    k: Annotated[
        int, Option("-k", "--top", help="How many of the most probable words are shown.", min=1)
    ] = 10,
    components: Annotated[
        int,
        Option(
            help="How many components of each vector and units of each layer are shown "
            "(--json has all).",
            min=1,
        ),
    ] = 5,
    segmented: Segmented = False,
    cache_reach: SentenceCacheReach = None,
    html: Annotated[
        Path | None, Option(metavar="FILE", help="Write one HTML page that needs no network.")
    ] = None,
    lang: Lang = None,
    json: Json = False,
) -> None:
    """Explain one prediction with the model's own numbers: vectors, layers, softmax, influence."""
    from nplm_cli.cli.explain_page import write_sections
    from nplm_cli.explain import explain
    from nplm_cli.explain.sections import sections
    from nplm_cli.query.cache_use import use_caches
    from nplm_cli.query.predict import read_prompt
    from nplm_cli.query.run import Run

    language = chosen_language(lang)
    if html is not None and str(html) == "-":
        raise ConfigError("--html -: expected the name of a file")
    output.refuse_same_file(html, [])
    opened = Run(run)
    prompt = read_prompt(opened, text, segmented=segmented)
    tell_prompt(prompt)
    reach = sentence_reach(cache_reach)
    record = explain(opened, prompt, word or (), k, cache_reach=reach)
    tell_caches(use_caches(opened, reach=reach, running=False), one_sentence=True)
    if html is not None:
        from nplm_cli.atomic import atomic_write
        from nplm_cli.explain.page import page

        with atomic_write(html) as file:
            file.write(page(record, language, components).encode("utf-8"))
        output.note(f"the page is written to {html}")
    if json:
        output.write_json({"schema": 1, **record})
    elif html is None:
        write_sections(sections(record, components), language)
