"""The report as HTML and Markdown from the same tables, drawings and texts."""

import hashlib
import json
import shlex
from typing import Any

from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.bilingual import Language
from nplm_cli.plain import plain
from nplm_cli.reports.corpus_tables import (
    comparison_tables,
    cost_table,
    data_tables,
    different_tables,
    perplexity_tables,
)
from nplm_cli.reports.figures import curve_figure, matrix_figures, run_figure
from nplm_cli.reports.map_figures import map_figures, norm_figures
from nplm_cli.reports.method import method
from nplm_cli.reports.pages import HTML_LANGUAGES, html_environment, policy, source
from nplm_cli.reports.questions import questions
from nplm_cli.reports.study_tables import (
    alignment_tables,
    alignment_warning,
    environment_table,
    setting_tables,
)
from nplm_cli.reports.summary import corpus_label, model_label, query_blocks
from nplm_cli.reports.svg import Drawing
from nplm_cli.reports.texts import Texts
from nplm_cli.reports.words import markdown

# The first model's architecture and what it fills in by itself; what changes no model.
_NOT_SHARED = {"arch", "device", "checkpoint_every"}.union(
    *(architecture.defaults for architecture in ARCHITECTURES.values())
)


def view(results: dict[str, Any], lang: Language) -> dict[str, Any]:
    """Everything that the templates show: texts, tables, drawings, lists of neighbours."""
    texts = Texts(lang)
    archs, seeds = results["plan"]["archs"], len(results["plan"]["seeds"])
    corpora = [_corpus(corpus, results, texts) for corpus in results["corpora"]]
    answers = ["best", "judgement", "differences", "bilingual", "limits"]
    if results["alignment"] is None:
        answers.remove("bilingual")
    return {
        "t": texts,
        "title": texts("title", models=texts.listed([model_label(arch) for arch in archs])),
        "names": texts.listed([corpus["name"] for corpus in corpora]),
        "results": results,
        "several": len(corpora) > 1,
        "one_seed": seeds == 1,
        "seeds": seeds,
        "k": results["plan"]["k"],
        "models": [(arch, model_label(arch)) for arch in archs],
        "corpora": corpora,
        "method": method(results, texts),
        "setting_tables": setting_tables(results, texts),
        "alignment": alignment_tables(results, texts),
        "alignment_warning": alignment_warning(results, texts),
        "environment": environment_table(results, texts),
        "command": " ".join(_quoted(word) for word in results["command"]),
        "questions": questions(results, texts),
        "answers": answers,
        "sections": _sections(results),
        "payload": _payload(results, corpora, texts),
    }


def _corpus(corpus: dict[str, Any], results: dict[str, Any], texts: Texts) -> dict[str, Any]:
    archs, seeds = results["plan"]["archs"], len(results["plan"]["seeds"])
    maps = map_figures(corpus, texts)
    methods = [name for name in ("pca", "tsne") if any(f"-{name}-" in d.name for d in maps)]
    return {
        "key": corpus["key"],
        "name": corpus_label(corpus, results, texts),
        "lang": HTML_LANGUAGES.get(corpus["lang"], "und"),
        "notes": corpus["data"]["notes"],
        "data": data_tables(corpus, texts),
        "perplexity": perplexity_tables(corpus, texts),
        "run_figure": run_figure(corpus, texts),
        "curves": curve_figure(corpus, texts),
        "cost": cost_table(corpus, texts),
        "blocks": query_blocks(corpus, archs, seeds),
        "compared": corpus["comparison"],
        "matrices": list(matrix_figures(corpus, texts).values()),
        "spaces": comparison_tables(corpus, texts),
        "different": different_tables(corpus, texts),
        "maps": maps,
        "map_notes": [texts(f"figure.{name}.text") for name in ("maps", *methods)],
        "norms": norm_figures(corpus, texts),
    }


def _sections(results: dict[str, Any]) -> list[tuple[int, str]]:
    names = ["data", "method", "results", "words", "spaces", "maps", "bilingual", "conclusions"]
    names.append("reproduce")
    if results["alignment"] is None:
        names.remove("bilingual")
    return list(enumerate(names, 1))


def _quoted(word: str) -> str:
    """As a POSIX shell reads it back, whatever the word holds."""
    if plain(word) == word:
        return shlex.quote(word)
    return "$'" + plain(word).replace("'", r"\'") + "'"


def _digest(results: dict[str, Any]) -> str:
    """Name of a report: its first text, and the settings that all of its models share.

    It stays when the report is written again with other words, architectures, seeds or a second
    corpus: a judgement is about a pair of words, and holds wherever the pair still stands.
    """
    first, settings = results["corpora"][0], results["settings"]
    sums = {part: source["sha256"] for part, source in first["data"]["sources"].items()}
    shared = {
        f"{stage}.{name}": value
        for stage, values in settings.items()
        for name, value in values.items()
        if name not in _NOT_SHARED
    }
    canonical = json.dumps([first["name"], sums, shared], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _payload(
    results: dict[str, Any], corpora: list[dict[str, Any]], texts: Texts
) -> dict[str, Any]:
    """What the page's script knows. The script keeps ticks by the words, not by the pairs' ids."""
    return {
        "schema": 1,
        "digest": _digest(results),
        "nplm": results["nplm"],
        "k": results["plan"]["k"],
        "models": results["plan"]["archs"],
        "words": [
            {
                "id": block["id"],
                "corpus": corpus["key"],
                "word": block["word"],
                "pairs": block["pairs"],
                "lists": {
                    found["arch"]: [[row["pair"], row["cosine"]] for row in found["rows"]]
                    for found in block["lists"]
                },
            }
            for corpus in corpora
            for block in corpus["blocks"]
        ],
        "texts": {key: value for key, value in texts.strings.items() if key.startswith("judge.")}
        | {key: texts.strings[key] for key in ("search", "search_words", "matches", "sort")},
    }


def drawings(shown_view: dict[str, Any]) -> list[Drawing]:
    """All figures of a report, in order."""
    found: list[Drawing | None] = []
    for corpus in shown_view["corpora"]:
        found += [corpus["run_figure"], corpus["curves"], *corpus["matrices"]]
        found += [*corpus["maps"], *corpus["norms"]]
    return [drawing for drawing in found if drawing is not None]


def html(shown_view: dict[str, Any]) -> str:
    """One page that needs nothing but itself: no network, no other file."""
    from markupsafe import Markup

    theme, script = source("theme.js"), source("judge.js") + source("tables.js")
    return (
        html_environment("nplm_cli.reports")
        .get_template("report.html.j2")
        .render(
            shown_view,
            style=Markup(source("report.css")),
            theme_script=Markup(theme),
            script=Markup(script),
            policy=policy(theme, script),
            svg=lambda drawing: Markup(drawing.inline),
        )
    )


def markdown_text(shown_view: dict[str, Any]) -> str:
    """The same report in GitHub's Markdown, with the figures as files beside it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("nplm_cli.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Every string that is not Markup is a word or a sentence; macros give back Markup.
        finalize=lambda value: Markup(markdown(value)) if type(value) is str else value,
    )
    return environment.get_template("report.md.j2").render(shown_view, raw=Markup)
