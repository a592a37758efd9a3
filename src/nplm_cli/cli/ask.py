"""Questions to a finished run: eval, predict, count, info (score has its own file)."""

import dataclasses
from typing import Annotated

from nplm_cli.cli import output
from nplm_cli.cli.adaptation import (
    CacheDecays,
    Caches,
    CacheSizes,
    CacheThetas,
    CacheWeights,
    Dynamic,
    DynamicDecay,
    DynamicLr,
    DynamicSegment,
    SentenceCacheReach,
    given_caches,
    given_dynamic,
    sentence_reach,
    tell_caches,
)
from nplm_cli.cli.arguments import (
    Context,
    Json,
    Quiet,
    RunArgument,
    Segmented,
    checked_context,
    tell_prompt,
)
from nplm_cli.cli.ledger_table import write_ledger
from nplm_cli.cli.parameters import Argument, Option, Registry
from nplm_cli.cli.progress import ProgressView


def register(app: Registry) -> None:
    """Add the commands."""
    app.command("eval")(eval_cli)
    app.command("predict")(predict_cli)
    app.command("count")(count_cli)
    app.command("info")(info_cli)


def eval_cli(
    run: RunArgument,
    inputs: Annotated[list[str], Argument(metavar="FILE", help="Text; - for stdin.")],
    context: Context = None,
    stride: Annotated[
        int | None,
        Option(
            help="Of attention and transformer: words by which a full window moves on "
            "(default: the model's own).",
            min=1,
        ),
    ] = None,
    format: Annotated[
        str | None, Option(metavar="raw|segmented|pku", help="Format of the text.")
    ] = None,
    encoding: Annotated[str | None, Option(help="Encoding of the text.")] = None,
    errors: Annotated[
        str | None, Option(metavar="strict|replace", help="What to do about bad bytes.")
    ] = None,
    markup: Annotated[
        str | None, Option(metavar="auto|text|html", help="Source or text of HTML pages.")
    ] = None,
    sentences: Annotated[
        str | None, Option(metavar="line|split", help="What a sentence is.")
    ] = None,
    blank_lines: Annotated[
        str | None, Option(metavar="skip|keep", help="What a blank line is.")
    ] = None,
    device: Annotated[str, Option(help="cpu, cuda, cuda:1 or auto.")] = "auto",
    cache: Caches = None,
    cache_size: CacheSizes = None,
    cache_theta: CacheThetas = None,
    cache_decay: CacheDecays = None,
    cache_weight: CacheWeights = None,
    dynamic: Dynamic = False,
    dynamic_lr: DynamicLr = None,
    dynamic_decay: DynamicDecay = None,
    dynamic_segment: DynamicSegment = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure perplexity on a text: the ledger, with baselines."""
    from nplm_cli.measure import evaluate_text
    from nplm_cli.query.run import Run

    given = {
        "format": format,
        "encoding": encoding,
        "errors": errors,
        "markup": markup,
        "sentences": sentences,
        "blank_lines": blank_lines,
    }
    with ProgressView(quiet=quiet) as view:
        ledger = evaluate_text(
            Run(run),
            inputs,
            context=checked_context(context),
            stride=stride,
            corpus_changes={k: v for k, v in given.items() if v is not None},
            caches=given_caches(cache, cache_size, cache_theta, cache_decay, cache_weight),
            dynamic=given_dynamic(dynamic, dynamic_lr, dynamic_decay, dynamic_segment),
            device=device,
            on_event=view,
        )
    if json:
        output.write_json(ledger)
    else:
        write_ledger(ledger, f"{run} on {', '.join(inputs)}")


def predict_cli(
    run: RunArgument,
    text: Annotated[str, Argument(help="The beginning of a sentence (may be empty).")],
    k: Annotated[int, Option("-k", "--top", help="How many words.", min=1)] = 10,
    segmented: Segmented = False,
    cache: Caches = None,
    cache_size: CacheSizes = None,
    cache_theta: CacheThetas = None,
    cache_decay: CacheDecays = None,
    cache_weight: CacheWeights = None,
    cache_reach: SentenceCacheReach = None,
    json: Json = False,
) -> None:
    """Most probable next words after the beginning of a sentence."""
    from nplm_cli.query.cache_use import use_caches
    from nplm_cli.query.predict import predict, read_prompt
    from nplm_cli.query.run import Run

    opened = Run(run)
    more = given_caches(cache, cache_size, cache_theta, cache_decay, cache_weight)
    use = use_caches(opened, more, sentence_reach(cache_reach), running=False)
    scorer, caches = use.open(), use.records()
    prompt = read_prompt(opened, text, segmented=segmented)
    tell_prompt(prompt)
    tell_caches(use, one_sentence=True)
    predictions = predict(opened, scorer, prompt, k)
    records = [dataclasses.asdict(prediction) for prediction in predictions]
    if json:
        record = {"schema": 1, "context": prompt.tokens, "predictions": records}
        output.write_json(record | ({"caches": caches} if caches else {}))
        return
    if not predictions:
        output.note(f"this context was never seen: relative frequencies say nothing about {text!r}")
    output.write_table(
        ["rank", "word", "probability", "surprisal_bits"],
        [[rank, *p.values()] for rank, p in enumerate(records, 1)],
    )


def count_cli(
    run: RunArgument,
    history: Annotated[str, Argument(help="Words before, separated by spaces.")],
    word: Annotated[list[str] | None, Option(help="Word whose share is asked for.")] = None,
    k: Annotated[int, Option("-k", "--top", help="How many words.", min=1)] = 10,
    json: Json = False,
) -> None:
    """Counts behind an n-gram model: how often each word followed a history, as a fraction."""
    from nplm_cli.query.predict import count_continuations
    from nplm_cli.query.run import Run
    from nplm_cli.query.scorer import open_scorer

    opened = Run(run)
    opened.require_single(counts=True)
    tokens, found = count_continuations(opened, open_scorer(opened), history, word or (), k)
    records = [dataclasses.asdict(continuation) for continuation in found]
    if json:
        output.write_json({"schema": 1, "history": tokens, "continuations": records})
        return
    output.write_table(["word", "count", "of", "share"], [list(r.values()) for r in records])


def info_cli(run: RunArgument, json: Json = False) -> None:
    """What a run is: model, layers, text, vocabulary, training, figures."""
    from nplm_cli.query.describe import describe
    from nplm_cli.query.run import Run

    record = describe(Run(run))
    if json:
        output.write_json({"schema": 1, **record})
        return
    output.write_table(["what", "value"], list(record.items()))
