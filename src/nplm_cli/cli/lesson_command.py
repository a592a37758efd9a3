"""``nplm lesson``: the lectures, step by step, with the numbers of the real code."""

from typing import Annotated

import typer

from nplm_cli.bilingual import Language, Text
from nplm_cli.cli import output
from nplm_cli.cli.arguments import Json, Lang, chosen_language
from nplm_cli.cli.page import WIDTH, width_of, write_heading, write_rows, write_text
from nplm_cli.errors import ConfigError
from nplm_cli.lessons.lesson import Claim, Lesson, Step
from nplm_cli.plain import quoted

HOLDS = {"en": ("holds: ", "DOES NOT HOLD: "), "zh": ("成立：", "不成立：")}
# Where the explanation of a parameter begins, if its value is short.
HELP_COLUMN = 26


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lesson")(lesson_cli)


def lesson_cli(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Lesson; without one all are listed.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change a number of the lesson (its last lines say which there are); repeatable.",
        ),
    ] = None,
    lang: Lang = None,
    json: Json = False,
) -> None:
    """Ideas of the lectures as numbers that move: lists the lessons, or works one out."""
    language = chosen_language(lang)
    if name is None:
        if setting:
            raise ConfigError("--set changes a lesson: name one (nplm lesson lists them)")
        _list(language, json)
        return
    from nplm_cli.lessons import run_lesson

    lesson = run_lesson(name, settings=setting or ())
    if json:
        output.write_json({"schema": 1, **lesson.record(language)})
    else:
        show(lesson, language)


def _list(lang: Language, json: bool) -> None:
    from nplm_cli.lessons.catalogue import CATALOGUE, TOPICS, full_source

    if json:
        records = [
            {
                "lesson": entry.name,
                "title": entry.title.within(lang),
                "topic": TOPICS[entry.topic].within(lang),
                "source": full_source(entry, lang),
                "examples": list(entry.examples),
            }
            for entry in CATALOGUE
        ]
        output.write_json({"schema": 1, "lessons": records})
        return
    if not output.to_terminal():
        rows = [(e.name, e.title.within(lang), TOPICS[e.topic].within(lang)) for e in CATALOGUE]
        output.write_table(["lesson", "title", "topic"], rows)
        return
    longest = max(len(entry.name) for entry in CATALOGUE)
    for topic, title in TOPICS.items():
        write_heading(title.within(lang))
        for entry in CATALOGUE:
            if entry.topic == topic:
                output.write_line(f"  {entry.name:<{longest}}  {entry.title.within(lang)}")
        output.write_line("")
    _say(lang, "nplm lesson NAME shows one.", "nplm lesson 名称 可以看其中一课。")


def _say(lang: Language, en: str, zh: str) -> None:
    write_text(Text(en, zh).within(lang))


def show(lesson: Lesson, lang: Language) -> None:
    """Write a lesson that was worked out."""
    from nplm_cli.lessons.catalogue import full_source

    write_heading(lesson.entry.title.within(lang))
    source = full_source(lesson.entry, lang)
    _say(lang, f"After {source}.", f"据{source}。")
    for number, step in enumerate(lesson.steps, 1):
        output.write_line("")
        _show_step(number, step, lang)
    output.write_line("")
    _show_parameters(lesson, lang)
    _say(lang, "The numbers are what this code says:", "以上数字由这些代码算出：")
    for name in lesson.runs:
        output.write_line("  " + name)


def _show_step(number: int, step: Step, lang: Language) -> None:
    write_heading(f"{number}. {step.title.within(lang)}")
    if step.text.within(lang):
        write_text(step.text.within(lang))
    for line in step.formula:
        output.write_line("    " + line)
    for table in step.tables:
        write_rows(*table.within(lang), table.places)
    for claim in step.claims:
        _show_claim(claim, lang)


def _show_claim(claim: Claim, lang: Language) -> None:
    write_text(HOLDS[lang][not claim.holds] + claim.text.within(lang))


def _show_parameters(lesson: Lesson, lang: Language) -> None:
    from nplm_cli.lessons import parameters_of
    from nplm_cli.lessons.parameters import shown

    parameters = parameters_of(lesson.entry)
    if not parameters:
        return
    _say(lang, "Change it with --set NAME=VALUE:", "可用 --set 名称=值 改动：")
    for name, parameter in parameters.items():
        choices = ("、" if lang == "zh" else ", ").join(parameter.choices)
        choices = choices and (f"（{choices}）" if lang == "zh" else f" ({choices})")
        setting = f"{name}={quoted(shown(lesson.given[name]))}"
        help = parameter.help.within(lang) + choices
        space = HELP_COLUMN - 2 - width_of(setting)
        if space >= 2 and HELP_COLUMN + width_of(help) <= WIDTH:
            output.write_line(f"  {setting}{' ' * space}{help}")
        else:
            write_text(setting, "  ")
            write_text(help, " " * HELP_COLUMN)
