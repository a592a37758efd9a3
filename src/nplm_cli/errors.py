"""What can go wrong, in the user's words.

NplmError                 one line: what was found, what was expected, what cures it
├── InputError            a file or text is missing, undecodable or malformed        exit 2
├── ConfigError           a setting is unknown, impossible or contradicts another    exit 2
├── ArtifactError         a run, model or vector file is corrupt, foreign or newer   exit 2
├── UnknownWordError      the vocabulary does not hold the word                      exit 2
└── TrainingError         training failed while running                              exit 1

The library raises these and never prints or exits; ``nplm_cli.cli`` turns them into one
line on stderr and the exit code.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class NplmError(Exception):
    """Base of all errors that are meant for the user. ``exit_code`` is the process's."""

    exit_code = 1


class InputError(NplmError):
    """A file or text is missing, undecodable or malformed; names file, line and byte."""

    exit_code = 2


class ConfigError(NplmError):
    """A setting is unknown, out of range or contradicts another one."""

    exit_code = 2


class ArtifactError(NplmError):
    """A file written by a program (run, model, vectors, vocabulary) is not what it should be."""

    exit_code = 2


class UnknownWordError(NplmError):
    """The vocabulary does not hold the word; the message offers what it does hold."""

    exit_code = 2


class TrainingError(NplmError):
    """Training failed while running (not a number, no memory, disk full)."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the nearest known name, or an empty string."""
    near = get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
