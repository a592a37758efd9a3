"""What a mutant is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """Old text that stands once in a file below ``src/nplm_cli``, and what takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A mistake: its name, the edits that make it, why it matters, and the tests to ask."""

    name: str
    why: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def mutant(name: str, why: str, *edits: tuple[str, str, str], tests: str) -> Mutant:
    """Make a mutant; ``tests`` are folders and files below ``tests``, with spaces between."""
    return Mutant(name, why, tuple(Edit(*edit) for edit in edits), tuple(tests.split()))
