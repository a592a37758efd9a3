"""Arguments and options that several commands have."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nplm_cli.cli import output
from nplm_cli.cli.parameters import Argument, Option
from nplm_cli.errors import ConfigError

if TYPE_CHECKING:
    from nplm_cli.bilingual import Language
    from nplm_cli.config import Context as ContextPolicy
    from nplm_cli.query.predict import Prompt
    from nplm_cli.query.run import Run

RunArgument = Annotated[Path, Argument(metavar="RUN", help="Run directory of nplm train.")]
Json = Annotated[bool, Option("--json", help="Write JSON.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Only warnings and errors on stderr.")]
Context = Annotated[
    str | None,
    Option(metavar="sentence|stream", help="Context policy (default: the model's own)."),
]
Segmented = Annotated[
    bool, Option("--segmented", help="The text is segmented: split at spaces only.")
]
Lang = Annotated[
    str | None,
    Option(metavar="zh|en", help="Language.", show_default="that of NPLM_LANG, else en"),
]


def chosen_language(lang: str | None) -> "Language":
    """The language asked for; raises ConfigError when there is none of that name."""
    from nplm_cli.bilingual import LANGUAGES

    asked = lang or os.environ.get("NPLM_LANG", "")
    for language in LANGUAGES:
        if asked == language or (lang is None and asked.lower().startswith(language)):
            return language
    if lang is None:
        return "en"
    raise ConfigError(f"--lang {lang!r:.40}: expected zh or en")


def checked_context(context: str | None) -> "ContextPolicy | None":
    """Return the policy if it is one; raises ConfigError otherwise."""
    match context:
        case None | "sentence" | "stream":
            return context
    raise ConfigError(f"--context {context!r}: expected sentence or stream")


def tell_prompt(prompt: "Prompt") -> None:
    """Tell how the beginning of a sentence was read, where a user would not expect it."""
    for warning in prompt.warnings:
        output.warn(warning)
    if prompt.unknown:
        output.note(f"unknown words in the context, read as <unk>: {' '.join(prompt.unknown)}")


def warn_of_relative(run: "Run") -> None:
    """Warn of scores from tables of a model that was not trained to be normalised."""
    if not run.config.training.self_normalize:
        output.warn(
            f"{run.folder} was not trained with --self-normalize: its scores are relative, and may "
            "be compared only where the same words are predicted from different contexts"
        )
