"""A run of which there is a figure, and a text that it reads."""

from pathlib import Path

from nplm_cli.corpus.vocabulary import EOS
from nplm_cli.errors import ArtifactError, InputError
from nplm_cli.query.predict import Prompt, read_prompt
from nplm_cli.query.run import Run

LONGEST = 40


def open_run(folder: Path, archs: tuple[str, ...], what: str) -> Run:
    """A run of one of some architectures; raises ArtifactError, saying which have ``what``."""
    run = Run(folder)
    run.require_single()
    if run.arch not in archs:
        raise ArtifactError(
            f"{folder}: --arch {run.arch} has no {what}: ask a run of {' or '.join(archs)}"
        )
    return run


def read_text(run: Run, text: str) -> Prompt:
    """The words of a text; raises InputError when there are none, or too many for a figure."""
    prompt = read_prompt(run, text)
    if not prompt.tokens:
        raise InputError("the text is empty: expected some words")
    if len(prompt.tokens) > LONGEST:
        raise InputError(f"{len(prompt.tokens)} words: a figure has room for {LONGEST}")
    return prompt


def labels(prompt: Prompt) -> list[str]:
    """What a model reads, in words: the boundary, then the text."""
    return [EOS, *prompt.tokens]
