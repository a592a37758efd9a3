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

# Names, words and settings of a stranger's file may be megabytes.
LONGEST_MESSAGE = 2_000


class NplmError(Exception):
    """Base of all errors that are meant for the user. ``exit_code`` is the process's."""

    exit_code = 1

    def __init__(self, *arguments: object):
        """Take the message; the middle of a very long one, some file's, is left out."""
        if arguments and isinstance(arguments[0], str) and len(arguments[0]) > LONGEST_MESSAGE:
            text, half = arguments[0], LONGEST_MESSAGE // 2
            arguments = (f"{text[:half]} ... {text[-half:]}", *arguments[1:])
        super().__init__(*arguments)


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
    from difflib import get_close_matches

    # A name of a megabyte in somebody's file is near to none, and costs minutes to compare.
    near = get_close_matches(wrong, list(known), n=1, cutoff=0.6) if len(wrong) < 100 else []
    return f"; did you mean {near[0]!r}?" if near else ""
