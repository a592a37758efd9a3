"""Folders made beside their place and moved there when they are whole.

So an error leaves nothing behind, and an old run gives way only to a whole one.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from nplm_cli.artifacts import read_json
from nplm_cli.atomic import TEMPORARY_SUFFIX, copy_file
from nplm_cli.errors import ArtifactError, ConfigError, InputError


def check_target(folder: Path, force: bool) -> None:
    """Raise ConfigError unless a run may be made in ``folder`` (``force``: replace one)."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file: name a directory for the run")
    if not (folder / "config.json").exists():
        raise ConfigError(f"{folder} exists and is no run of nplm: name another directory")
    if not force:
        raise ConfigError(
            f"{folder} holds a run already: --resume goes on with it, --force replaces it"
        )
    if _is_homework(folder):
        raise ConfigError(
            f"{folder} holds a homework, whose runs would be gone with it: name another directory"
        )


def _is_homework(folder: Path) -> bool:
    try:
        return "homework" in read_json(folder / "config.json")
    except (ArtifactError, TypeError):  # damaged: a run like any other
        return False


def old_folder(folder: Path) -> Path:
    """Where the old run stands while a new one takes its place."""
    return folder.parent / f".{folder.name}.old{TEMPORARY_SUFFIX}"


def restore_old(folder: Path) -> None:
    """Put an old run back whose successor never got to its place."""
    old = old_folder(folder)
    if old.is_dir() and not folder.exists():
        os.replace(old, folder)


@contextlib.contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Make a folder beside ``folder`` that is gone afterwards unless it was moved.

    An OSError about a file in it names that file where it would have come to be.
    """
    staging = folder.parent / f".{folder.name}{TEMPORARY_SUFFIX}"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir()
    except OSError as error:
        raise InputError(f"cannot create {folder}: {error.strerror or error}") from error
    try:
        yield staging
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, OSError) and isinstance(error.filename, str):
            error.filename = error.filename.replace(str(staging), str(folder), 1)
        raise


def move_into_place(staging: Path, folder: Path) -> None:
    """Put the prepared run where it belongs; an old run gives way only now."""
    old = old_folder(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(staging, folder)
    except BaseException:
        restore_old(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Give a file a second name; where the system has no such links, copy it.

    For large binary files, which nobody edits and ``atomic_write`` replaces by new ones.
    """
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        copy_file(source, target)
