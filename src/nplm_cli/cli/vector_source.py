"""Where word vectors come from on the command line: a run directory or a vector file."""

from pathlib import Path
from typing import TYPE_CHECKING

from nplm_cli.errors import ConfigError

if TYPE_CHECKING:
    from nplm_cli.query.run import Run
    from nplm_cli.vectors.keyed import KeyedVectors


def open_vectors(path: Path, which: str = "input") -> "tuple[KeyedVectors, Run | None]":
    """Vectors of a run directory or a vector file, and the run (None for a file).

    ``which`` is ``input`` (word vectors) or ``output`` (rows of a run's output layer).
    """
    if which not in ("input", "output"):
        raise ConfigError(f"--vectors {which!r}: expected input or output")
    if path.is_dir():
        from nplm_cli.query.run import Run

        run = Run(path)
        return run.keyed_vectors(output=which == "output"), run
    from nplm_cli.vectors.formats import load_vectors

    if which == "output":
        raise ConfigError(f"{path} is a vector file: --vectors output needs a run directory")
    return load_vectors(path), None
