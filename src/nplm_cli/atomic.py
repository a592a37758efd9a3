"""Files that are written whole or not at all.

Every file that nplm leaves behind is written here: to a temporary file in the same folder,
flushed to the disk, renamed over the old one, and the folder flushed too, so that after a
kill or a full disk there is the old file or the new one and never half of either.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from nplm_cli.errors import InputError

# A write that fails with one of these says nothing of the file it was for.
DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)
TEMPORARY_SUFFIX = ".nplm-tmp"


@contextlib.contextmanager
def atomic_write(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the place of ``path`` only when the block ends well.

    Raises InputError when the folder is missing or not writable. A failure inside the block
    leaves the old file as it was and no temporary file behind. A link is followed; a device or a
    pipe is written to as it is.
    """
    path = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a directory; name a file")
    if path.exists() and not path.is_file():
        with named_write(path) as file:
            yield file
        return
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=TEMPORARY_SUFFIX, dir=path.parent
        )
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's 0600 would surprise a shared folder
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            if error.errno is None:  # numpy's, which tells only how much was written
                raise OSError(errno.EIO, f"not written in full ({error})", str(path)) from error
            _name(error, path)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def named_write(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a binary file to write, for which a full disk is an OSError that names it.

    Not atomic: for files in a folder that is thrown away as a whole.
    """
    try:
        with open(path, "wb") as file:
            yield file
    except OSError as error:
        _name(error, path)
        raise


def _name(error: OSError, path: Path | str) -> None:
    if error.filename is None and error.errno in DISK_FULL:
        error.filename = str(path)


def copy_file(source: Path | str, target: Path | str) -> None:
    """Copy a file's bytes and flush them; a full disk is an OSError that names the target alone."""
    try:
        shutil.copyfile(source, target)
        with open(target, "r+b") as file:  # Windows flushes only what may be written to
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in DISK_FULL:
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path | str) -> None:
    """Flush the names in a folder to the disk, where the system can."""
    # Windows cannot open a folder; there the rename alone has to do.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_write(path) as file:
        file.write(data)


def remove_stale_temporaries(folder: Path) -> None:
    """Remove the files that a killed process left half-written in ``folder``.

    Folders stay: one may hold a run that another process is making; the next training in that
    place sees to what is left of it.
    """
    for stale in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        if not stale.is_dir():
            stale.unlink(missing_ok=True)
