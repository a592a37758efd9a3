"""``nplm generate``: sentences drawn from a model, one a line."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nplm_cli.cli import output
from nplm_cli.cli.adaptation import (
    CacheDecays,
    Caches,
    CacheSizes,
    CacheThetas,
    CacheWeights,
    SentenceCacheReach,
    given_caches,
    sentence_reach,
    tell_caches,
)
from nplm_cli.cli.arguments import Json, RunArgument, Segmented, tell_prompt

if TYPE_CHECKING:
    from nplm_cli.query.generate import Sample


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("generate")(generate_cli)


def generate_cli(
    run: RunArgument,
    prompt: Annotated[str, typer.Option(help="The beginning of each sentence.")] = "",
    samples: Annotated[int, typer.Option("--samples", help="How many sentences.")] = 1,
    max_length: Annotated[
        int, typer.Option(help="At most so many tokens after the prompt, </s> counted.")
    ] = 100,
    temperature: Annotated[
        float, typer.Option(help="Below 1 likely words become likelier, above 1 less so.")
    ] = 1.0,
    top_k: Annotated[
        int | None, typer.Option(help="Draw from the K most probable words.", metavar="K")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Draw from the nucleus: the fewest words whose mass reaches P, after --top-k.",
            metavar="P",
        ),
    ] = None,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Always take the most probable word.")
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Seed; sample i of a seed is the same whatever --samples.")
    ] = 1,
    unk: Annotated[
        bool,
        typer.Option(
            "--unk/--no-unk",
            help="<unk> may be drawn; else its mass is shared out among the other words.",
        ),
    ] = False,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities",
            help="A row a token, with the model's own probability, before temperature and cuts.",
        ),
    ] = False,
    segmented: Segmented = False,
    cache: Caches = None,
    cache_size: CacheSizes = None,
    cache_theta: CacheThetas = None,
    cache_decay: CacheDecays = None,
    cache_weight: CacheWeights = None,
    cache_reach: SentenceCacheReach = None,
    json: Json = False,
) -> None:
    """Draw sentences from a model, each up to its end, one a line."""
    from nplm_cli.query.cache_use import use_caches
    from nplm_cli.query.generate import Sampling, generate, join_words
    from nplm_cli.query.predict import read_prompt
    from nplm_cli.query.run import Run

    sampling = Sampling(temperature, top_k, top_p, greedy, unk)
    opened = Run(run)
    read = read_prompt(opened, prompt, segmented=segmented)
    more = given_caches(cache, cache_size, cache_theta, cache_decay, cache_weight)
    use = use_caches(opened, more, sentence_reach(cache_reach), running=False)
    scorer, caches = use.open(), use.records()
    drawn = generate(
        scorer,
        opened.vocabulary,
        read.ids,
        samples,
        sampling=sampling,
        max_length=max_length,
        seed=seed,
    )
    tell_prompt(read)
    tell_caches(use, one_sentence=True)
    shown = _told_when_stuck(drawn, prompt)
    if probabilities and not json:
        output.write_table(
            ["sample", "token", "id", "probability", "surprisal_bits"],
            ([i, *token] for i, sample in enumerate(shown, 1) for token in sample.tokens),
        )
        return
    for sample in shown:
        text = join_words([*read.tokens, *sample.words], opened.recipe)
        if json:
            record = _record(prompt, text, sample)
            output.write_json(record | ({"caches": caches} if caches else {}))
        else:
            output.write_line(output.plain(text))
        output.flush()  # a sentence is shown as soon as it is there


def _record(prompt: str, text: str, sample: "Sample") -> dict[str, Any]:
    return {
        "schema": 1,
        "prompt": prompt,
        "text": text,
        "tokens": [token._asdict() for token in sample.tokens],
        "finished": sample.finished,
    }


def _told_when_stuck(samples: "Iterable[Sample]", prompt: str) -> "Iterator[Sample]":
    told = False
    for sample in samples:
        if sample.stuck and not told:
            told = True
            last = sample.words[-1] if sample.words else prompt
            output.note(
                f"no word may follow {last!r}: nothing else was ever seen there, so the sentence "
                "ends early (--unk allows <unk>; train with --smoothing kn for all words)"
            )
        yield sample
