"""Folders made beside their place and moved there when they are whole.

So an error leaves nothing behind, and an old run gives way only to a whole one. What a process
that was killed leaves beside ``run``: ``.run.nplm-tmp``, half made; ``.run.nplm-old``, the old run,
always whole; ``.run.nplm-gone``, half deleted. No other run, of whatever name, has such folders.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from nplm_cli.artifacts import read_json
from nplm_cli.atomic import TEMPORARY_SUFFIX, copy_file, is_aside, sync_folder
from nplm_cli.errors import ArtifactError, ConfigError, InputError, NplmError
from nplm_cli.locking import exclusive

# All that nplm writes into a run, and into its folder of ids.
RUN_FILES = (
    *("config.json", "vocabulary.tsv", "unknown.tsv", "tokenizer.json", "model.safetensors"),
    *("baseline.safetensors", "checkpoint.safetensors", "metrics.jsonl", "report.json"),
    *("compiled.safetensors", "data"),
)
DATA_FILES = (
    "index.json",
    *(f"{p}.{kind}" for p in ("train", "valid", "test") for kind in ("ids", "sentences", "files")),
)


def check_target(folder: Path, force: bool) -> None:
    """Raise ConfigError unless a run may be made in ``folder`` (``force``: replace one)."""
    check_mount(folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file: name a directory for the run")
    if not _is_of_nplm(folder):
        raise ConfigError(f"{folder} exists and is no run of nplm: name another directory")
    if not force:
        raise ConfigError(
            f"{folder} holds a run already: --resume goes on with it, --force replaces it"
        )
    if _is_homework(folder):
        raise ConfigError(
            f"{folder} holds a homework, whose runs would be gone with it: name another directory"
        )
    foreign = sorted(_foreign(folder))
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise ConfigError(
            f"{folder} holds what is no part of a run and would be gone with it: "
            f"{', '.join(foreign[:3])}{more}: move it away, or name another directory"
        )


def refuse_artifact(path: Path, *, but: str = "") -> None:
    """Raise ConfigError for a file that is a part of a run, which writing it would destroy.

    ``but`` is the name of the one that may be written.
    """
    real = Path(os.path.realpath(path))
    inside = real.parent.parent if real.parent.name == "data" else real.parent
    names = RUN_FILES if inside == real.parent else DATA_FILES
    if real.name in names and real.name != but and _is_of_nplm(inside):
        raise ConfigError(f"{path} is a part of the run {inside}: name another file to write")


def check_mount(folder: Path) -> None:
    """Raise ConfigError for a folder that no other can take the place of."""
    if os.path.ismount(folder):
        raise ConfigError(
            f"{folder} is where a disk is mounted, and no run takes its place: name a folder in it"
        )


def _is_of_nplm(folder: Path) -> bool:
    """Whether the folder's config.json is one of nplm, as far as it can still be read."""
    if not (folder / "config.json").is_file():
        return False
    try:
        record = read_json(folder / "config.json")
    except ArtifactError:  # damaged: what else is there will tell
        return True
    return isinstance(record, dict) and "format_version" in record


def _is_homework(folder: Path) -> bool:
    try:
        return "homework" in read_json(folder / "config.json")
    except (ArtifactError, TypeError):  # damaged: a run like any other
        return False


def _foreign(folder: Path, inner: str = "", depth: int = 0) -> Iterator[str]:
    """Names of what is in a run and not nplm's, from the run on."""
    for entry in os.scandir(folder):
        name = inner + entry.name
        if entry.name in ("data", "components") and entry.is_dir(follow_symlinks=False):
            yield from _foreign(Path(entry.path), f"{name}/", depth)
        elif inner.endswith("components/") and entry.name.isdecimal() and depth == 0:
            yield from _foreign(Path(entry.path), f"{name}/", depth + 1)
        elif entry.name not in (DATA_FILES if inner.endswith("data/") else RUN_FILES):
            left_by_a_kill = entry.name.endswith((TEMPORARY_SUFFIX, ".lock", ".nplm-gone"))
            if not left_by_a_kill or is_aside(entry.name):
                yield name


def old_folder(folder: Path) -> Path:
    """Where the old run stands while a new one takes its place."""
    return folder.parent / f".{folder.name}.nplm-old"


def _staging(folder: Path) -> Path:
    return folder.parent / f".{folder.name}{TEMPORARY_SUFFIX}"


def _gone_folder(folder: Path) -> Path:
    """Where an old run is deleted; what is left of it there is never a run again."""
    return folder.parent / f".{folder.name}.nplm-gone"


def restore_old(folder: Path) -> None:
    """Put an old run back whose successor never got to its place; remove one that has given way."""
    shutil.rmtree(_gone_folder(folder), ignore_errors=True)
    if not _is_real_folder(old_folder(folder)):
        return
    if not (folder / "config.json").exists():
        _put_back(folder)
    elif not _staging(folder).exists():  # beside its place, the successor has not taken it
        _delete_old(folder)


def bring_back(folder: Path) -> None:
    """Put an old run back, for a question, that a kill or power cut left without its place.

    Does nothing while another process is at it, or where nothing may be written.
    """
    folder = Path(os.path.realpath(folder))
    if (folder / "config.json").exists() or not _is_real_folder(old_folder(folder)):
        return
    with contextlib.suppress(ConfigError, InputError, OSError), exclusive(folder):
        restore_old(folder)


def _is_real_folder(folder: Path) -> bool:
    """Whether it is a folder and no link to one, which could lead anywhere."""
    return folder.is_dir() and not folder.is_symlink()


def _put_back(folder: Path) -> None:
    """Move the old run to its place, unless something stands there."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    if not folder.exists():
        os.replace(old_folder(folder), folder)


def _delete_old(folder: Path) -> None:
    """Delete the old run, under another name: half of it must never be put back."""
    gone = _gone_folder(folder)
    shutil.rmtree(gone, ignore_errors=True)
    with contextlib.suppress(OSError):  # there is none; or it stays, whole
        os.replace(old_folder(folder), gone)
    sync_folder(folder.parent)  # the names before the loss of what they named
    shutil.rmtree(gone, ignore_errors=True)


@contextlib.contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Make a folder beside ``folder`` that is gone afterwards unless it was moved.

    An error about a file in it names that file where it would have come to be.
    """
    staging = _staging(folder)
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
        elif isinstance(error, NplmError):
            error.args = (str(error).replace(str(staging), str(folder)),)
        raise


def move_into_place(staging: Path, folder: Path) -> None:
    """Put the prepared run where it belongs; an old run gives way only now.

    When this returns, the run is on the disk, whose files were flushed as they were written.
    """
    restore_old(folder)
    if folder.exists():
        with contextlib.suppress(OSError):  # who kept the old run to themselves keep this one
            os.chmod(staging, stat.S_IMODE(folder.stat().st_mode))
    for inner, _, _ in os.walk(staging):
        sync_folder(inner)
    if folder.exists():
        _delete_old(folder)  # one that a kill left there: this run replaces what stands here
        os.replace(folder, old_folder(folder))
    try:
        os.replace(staging, folder)
    except BaseException:
        restore_old(folder)
        raise
    _delete_old(folder)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Give a file a second name; where the system has no such links, copy it.

    For large binary files, which nobody edits and ``atomic_write`` replaces by new ones.
    """
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        copy_file(source, target)
