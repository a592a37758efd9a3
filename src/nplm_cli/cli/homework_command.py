"""``nplm homework``: the whole assignment, from text to report."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nplm_cli.cli import output
from nplm_cli.cli.interruption import SigintFlag
from nplm_cli.cli.options import chosen_settings, given, idle_options, with_settings
from nplm_cli.cli.progress import ProgressView
from nplm_cli.config import PRESETS, Config, HomeworkConfig
from nplm_cli.errors import ConfigError, did_you_mean

# The architectures come from --archs; vectors from elsewhere would not be the model's own; the
# language of the report takes the name of the corpus' one, which is --corpus-lang here.
WITHOUT = ("arch", "vectors", "freeze_vectors", "smoothing", "k", "lang")
DEFAULT_PRESET = "homework"
# One thread each: trainings stand side by side, and their bytes do not depend on how many do.
OWN_DEFAULTS = {**PRESETS[DEFAULT_PRESET], "threads": 1}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("homework")(homework_cli)


@with_settings(
    "homework",
    "model",
    "training",
    "vocabulary",
    "corpus",
    "split",
    without=WITHOUT,
    preset=OWN_DEFAULTS,
)
def homework_cli(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="CORPUS", help="Files, folders, or - for standard input."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Directory for runs and report."),
    ] = None,
    valid: Annotated[
        list[str] | None, typer.Option(help="Validation text (else split off).", metavar="FILE")
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option(help="Test text (else split off).", metavar="FILE")
    ] = None,
    second_corpus: Annotated[
        list[str] | None,
        typer.Option(help="Text of another language, treated alike.", metavar="FILE"),
    ] = None,
    second_valid: Annotated[
        list[str] | None, typer.Option(help="Its validation text.", metavar="FILE")
    ] = None,
    second_test: Annotated[
        list[str] | None, typer.Option(help="Its test text.", metavar="FILE")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Bundle of settings: " + ", ".join(PRESETS) + ", or none.",
            show_default=DEFAULT_PRESET,
        ),
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Texts and settings of another homework (DIR/config.json).",
            metavar="FILE",
        ),
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(help="Language of the report.", metavar="zh|en", show_default="the corpus'"),
    ] = None,
    corpus_lang: Annotated[
        str | None,
        typer.Option(
            help="Words of raw text: Chinese (jieba), English (rules) or single characters.",
            metavar="auto|zh|en|char",
            show_default="auto",
            rich_help_panel="Text",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a homework of other settings in DIR.")
    ] = False,
    progress: Annotated[
        str, typer.Option(help="Progress on stderr.", metavar="auto|bar|plain|none")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Write the results as JSON.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.")
    ] = False,
    **settings: Any,
) -> None:
    """Train several architectures on one text, compare their word vectors, write a report."""
    from nplm_cli.homework.plan import load_plan, make_plan
    from nplm_cli.homework.study import do_homework

    if progress not in ("auto", "bar", "plain", "none"):
        raise ConfigError(f"--progress {progress!r}: expected auto, bar, plain or none")
    chosen = given(settings)
    if corpus_lang is not None:
        chosen["lang"] = corpus_lang
    names = {field.name for field in dataclasses.fields(HomeworkConfig)}
    own = {name: chosen.pop(name) for name in list(chosen) if name in names}
    if folder is None:
        raise ConfigError("where to? name the directory for runs and report with --out DIR")
    given_sources = [
        _sources(inputs, valid, test),
        _sources(second_corpus, second_valid, second_test),
    ]
    if config_file is not None:
        base = load_plan(config_file)
        config, homework, sources = base.config, base.homework, list(base.sources)
        preset = preset or None
        used_preset = preset or base.preset
    else:
        config, homework, sources = (
            Config().replace(threads=OWN_DEFAULTS["threads"]),
            HomeworkConfig(),
            [],
        )
        used_preset = preset = preset or DEFAULT_PRESET
    for number, mine in enumerate(given_sources):
        if mine is None:
            continue
        if number > len(sources):
            raise ConfigError("no corpus: name files or folders, or - for standard input")
        sources[number : number + 1] = [mine]
    if not sources:
        raise ConfigError("no corpus: name files or folders, or - for standard input")
    if preset is not None and preset not in (*PRESETS, "none"):
        raise ConfigError(
            f"--preset {preset!r}: expected {', '.join(PRESETS)} or none"
            f"{did_you_mean(preset, [*PRESETS, 'none'])}"
        )
    config = chosen_settings(config, None if preset == "none" else preset, chosen)
    homework = dataclasses.replace(homework, **own)
    plan = make_plan(config, homework, sources, None if used_preset == "none" else used_preset)
    _warn(plan, config, homework, chosen, own)
    with ProgressView(progress, quiet) as view:
        try:
            results = do_homework(
                plan,
                folder,
                lang=_checked_lang(lang),
                force=force,
                argv=sys.argv[1:],
                on_event=view,
                stop_gently=SigintFlag,
            )
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(
                "interrupted; the trainings so far are kept: the same command goes on"
                if folder.is_dir()
                else "interrupted while reading the text; nothing was written"
            ) from error
    if json:
        output.write_json(results)
    else:
        write_summary(results)
    if not quiet:
        output.note(f"report written: open {folder / 'report.html'} in a browser")


def _sources(train: list[str] | None, valid: list[str] | None, test: list[str] | None) -> Any:
    from nplm_cli.corpus.preparation import Sources

    if not train:
        if valid or test:
            raise ConfigError("a validation or test text without its corpus: name the corpus, too")
        return None
    return Sources(tuple(train), tuple(valid or ()), tuple(test or ()))


def _checked_lang(lang: str | None) -> Literal["zh", "en"] | None:
    match lang:
        case None | "zh" | "en":
            return lang
    raise ConfigError(
        f"--lang {lang!r}: the report is in zh or en (--corpus-lang says how to find words)"
    )


def _warn(
    plan: Any,
    config: Config,
    homework: HomeworkConfig,
    chosen: dict[str, Any],
    own: dict[str, Any],
) -> None:
    """Warn of options that do nothing, and of studies that cannot answer their question."""
    corpora = len(plan.sources)
    idle = [
        set(idle_options(plan.run_config(arch, plan.seeds[0]), chosen))
        for arch in homework.architectures
    ]
    for name in chosen:
        if all(name in of_arch for of_arch in idle):
            output.warn(f"--{name.replace('_', '-')} has no effect with these settings")
    if homework.words is not None:
        for name in ("random", "random_seed", "band", "all_tokens"):
            if name in own and corpora == 1:
                output.warn(f"--{name.replace('_', '-')} has no effect beside --words")
    if homework.seeds == 1:
        output.warn(
            "one seed: nothing will tell differences between architectures from chance; "
            "--seeds 3 does"
        )
    if config.training.budget is not None:
        output.warn("--budget stops where the clock says: another run gives other figures")


def write_summary(results: dict[str, Any]) -> None:
    """Write a row for each model: perplexities over the seeds, beside their baseline.

    Of the part that the report speaks of: the test part where there is one.
    """
    from nplm_cli.reports.summary import held_out_part

    rows = []
    for corpus in results["corpora"]:
        part = held_out_part(corpus)
        for model in corpus["models"]:
            ledgers = [seed[part] for seed in model["seeds"]] if part else []
            ppl = [ledger["ppl"] for ledger in ledgers]
            baselines = ledgers[0]["baselines"] if ledgers else None
            agreement = ((corpus["comparison"] or {}).get("within") or {}).get(model["arch"]) or {}
            rows.append(
                [
                    corpus["name"],
                    part,
                    model["arch"],
                    len(model["seeds"]),
                    model["parameters"],
                    sum(ppl) / len(ppl) if ppl else None,
                    min(ppl, default=None),
                    max(ppl, default=None),
                    baselines["kneser_ney"]["ppl"] if baselines else None,
                    ledgers[0]["oov_share"] if ledgers else None,
                    agreement.get("overlap"),
                ]
            )
    output.write_table(
        [
            "corpus",
            "part",
            "arch",
            "seeds",
            "parameters",
            "ppl_mean",
            "ppl_min",
            "ppl_max",
            "kneser_ney_ppl",
            "oov_share",
            "overlap_between_seeds",
        ],
        rows,
    )
