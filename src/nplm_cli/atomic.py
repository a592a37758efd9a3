"""Files that are written whole or not at all.

Every file that nplm leaves behind is written here: to a temporary file in the same folder,
flushed to the disk, renamed over the old one, and the folder flushed too, so that after a
kill or a full disk there is the old file or the new one and never half of either. The next
process that writes the same file removes what a killed one left.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from nplm_cli.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# A write that fails with one of these says nothing of the file it was for.
DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)
TEMPORARY_SUFFIX = ".nplm-tmp"
_OLD = f".old{TEMPORARY_SUFFIX}"
# Seconds that one of two processes waits while the other moves its files to the same places.
_PATIENCE = 10.0


@contextlib.contextmanager
def atomic_write(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the place of ``path`` only when the block ends well.

    Raises InputError when the folder is missing or not writable. A failure inside the block
    leaves the old file as it was and no temporary file behind; what a killed process left of
    its own is removed. A link is followed; a device or a pipe is written to as it is.
    """
    path = _target(path)
    if path.exists() and not path.is_file():
        with named_write(path) as file:
            yield file
        return
    with _temporary(path) as (file, temporary):
        yield file
        _flush(file, temporary, path)
        os.replace(temporary, path)
    sync_folder(path.parent)


def write_together(*parts: tuple[Path, Callable[[IO[bytes]], None]]) -> None:
    """Write files that belong together, each by a function: all become new, or none does.

    The old ones wait aside while the new ones take their places, and are put back when one of
    them cannot. A kill in between leaves no file in the first place, never a mixture of old
    and new ones; the old ones come back with the next attempt. Of two processes that write the
    same files one is the last. Raises as ``atomic_write`` and ``locking.exclusive`` do.
    """
    from nplm_cli.locking import exclusive  # which needs this module

    paths = [_target(path) for path, _ in parts]
    with contextlib.ExitStack() as stack:
        temporaries = []
        for path, (_, write) in zip(paths, parts, strict=True):
            file, temporary = stack.enter_context(_temporary(path))
            write(file)
            _flush(file, temporary, path)
            temporaries.append(temporary)
        stack.enter_context(exclusive(paths[0], _PATIENCE))
        _put_back(paths)
        # A first one without the others would come back beside new ones: it gets empty others.
        empty = [path for path in paths if paths[0].exists() and not path.exists()]
        moved: list[Path] = []
        try:
            for path in empty:
                path.touch()
            for path in paths:
                if path.exists():
                    os.replace(path, _aside(path))
            for path, temporary in reversed([*zip(paths, temporaries, strict=True)]):
                os.replace(temporary, path)
                moved.append(path)
        except BaseException:
            for path in moved:
                path.unlink(missing_ok=True)
            _put_back(paths)
            for path in empty:
                path.unlink(missing_ok=True)
            raise
        for folder in {path.parent for path in paths}:
            sync_folder(folder)
        _put_back(paths)


def _aside(path: Path) -> Path:
    """Where an old file waits for all its successors to be in their places."""
    return path.with_name(f".{path.name}{_OLD}")


def is_aside(name: str) -> bool:
    """Whether a file of this name is an old one that waits for its successors."""
    return name.endswith(_OLD)


def _put_back(paths: Sequence[Path]) -> None:
    """Put old files back whose successors never came, all of them; remove what has given way."""
    come = paths[0].exists()
    for path in reversed(paths):  # the first one last: until then they are no result
        if not _aside(path).exists():
            continue
        if come:
            with contextlib.suppress(OSError):  # then the next attempt removes it
                _aside(path).unlink()
        else:
            os.replace(_aside(path), path)


def _target(path: Path | str) -> Path:
    path = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a directory; name a file")
    return path


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Open a temporary file beside ``path``, which an error removes; an OSError names ``path``.

    It is locked to the end of the block, so that nobody takes it for one that a kill left.
    """
    try:
        _remove_abandoned(path)
        descriptor, lock, name = _locked_temporary(path)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise OSError(error.errno, error.strerror, str(path)) from error
        why = error.strerror or str(error)
        if error.errno == errno.ENOENT:
            why = f"there is no folder {path.parent}; make it first"
        raise InputError(f"cannot write {path}: {why}") from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, temporary
    except BaseException as error:
        with contextlib.suppress(OSError):  # the error that is told is the first one
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        if error.errno is None and error.filename is None:
            # numpy's, which tells only how much was written
            raise OSError(errno.EIO, f"not written in full ({error})", str(path)) from error
        if error.filename == name:
            raise OSError(error.errno, error.strerror, str(path)) from error
        _name(error, path)
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _flush(file: IO[bytes], temporary: Path, path: Path) -> None:
    file.flush()
    # mkstemp's 0600 would surprise a shared folder; who kept the old file to themselves keep this.
    mode = 0o666 & ~_umask()
    with contextlib.suppress(OSError):
        mode = stat.S_IMODE(os.stat(path).st_mode)
    os.chmod(temporary, mode)
    os.fsync(file.fileno())
    file.close()  # Windows renames no open file


def _locked_temporary(path: Path) -> tuple[int, int | None, str]:
    """Make a temporary file; returns its descriptor, another one that keeps it locked, its name."""
    while True:
        import tempfile  # with what it loads of its own, no question writes a file

        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=TEMPORARY_SUFFIX, dir=path.parent
        )
        if fcntl is None:
            return descriptor, None, name
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor, os.dup(descriptor), name
        os.close(descriptor)  # removed before it was locked


def _remove_abandoned(path: Path) -> None:
    """Remove what killed processes left beside ``path`` of their attempts to write it."""
    prefix = f".{path.name}."
    length = len(prefix) + 8 + len(TEMPORARY_SUFFIX)  # as many random letters in mkstemp's names
    with os.scandir(path.parent) as entries:
        names = [e.name for e in entries if e.name.startswith(prefix) and len(e.name) == length]
    for name in names:
        if name.endswith(TEMPORARY_SUFFIX):
            with contextlib.suppress(OSError):  # somebody writes it, or may not be disturbed
                _remove_unlocked(path.parent / name)


def _remove_unlocked(temporary: Path) -> None:
    if fcntl is None:
        temporary.unlink()  # Windows removes no open file
        return
    # Anybody may have put a link or a pipe there.
    descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()
    finally:
        os.close(descriptor)


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
        import shutil

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
    """Flush the names in a folder to the disk, where the system can; an OSError if it fails."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open a folder; there the rename alone has to do
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in DISK_FULL:  # anything else: a file system that has no such thing
            raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing, for good: their names are flushed."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_folder(one.parent)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_write(path) as file:
        file.write(data)


def remove_stale_temporaries(folder: Path) -> None:
    """Remove the files that a killed process left half-written in ``folder``.

    Folders stay: one may hold a run that another process is making; the next training in that
    place sees to what is left of it. So do old files that wait for their successors.
    """
    for stale in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        if not is_aside(stale.name) and not stale.is_dir():
            with contextlib.suppress(OSError):  # somebody writes it, or may not be disturbed
                _remove_unlocked(stale)
