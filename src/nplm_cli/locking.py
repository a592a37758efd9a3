"""One process at a time writes a run directory."""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from nplm_cli.atomic import make_folders
from nplm_cli.errors import ConfigError, InputError

# Seconds between two looks at a lock that somebody else holds.
_POLL = 0.1


@contextlib.contextmanager
def exclusive(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold the right to write ``folder``, which need not exist yet; its parent is made.

    The lock is a file beside the folder and ends with the process, however that ends. Raises
    ConfigError, naming the process, when another one still holds it after ``patience`` seconds,
    InputError when what has its name is no lock. Where there are no file locks (Windows, some
    network file systems) nothing is checked.
    """
    path = folder.parent / f".{folder.name}.lock"
    deadline = time.monotonic() + patience
    while True:
        try:
            make_folders(folder.parent)
            lock = _open(path)
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
        try:
            holder = _holder(lock, path)
            if not _locked(lock, path):
                if time.monotonic() < deadline:
                    time.sleep(_POLL)
                    continue
                raise ConfigError(
                    f"{folder} is being written by another nplm (process {holder or 'unknown'}): "
                    "wait for it or name another directory"
                )
            with contextlib.suppress(OSError):  # a full disk: held all the same, by nobody known
                os.ftruncate(lock, 0)
                os.write(lock, str(os.getpid()).encode())
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
        finally:
            os.close(lock)


def _open(path: Path) -> int:
    # A lock may lie in a folder from a stranger: no link is followed, no pipe waited for.
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        return os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP or path.is_dir():
            raise _no_lock(path) from error
        raise


def _holder(lock: int, path: Path) -> str:
    """The number of the process that wrote itself into a lock; raises InputError for no lock."""
    status = os.fstat(lock)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise _no_lock(path)
    holder = os.read(lock, 32).decode("ascii", "replace")
    if not (holder == "" or (holder.isdecimal() and status.st_size < 32)):
        raise _no_lock(path)
    return holder


def _no_lock(path: Path) -> InputError:
    return InputError(f"{path}: no lock file of nplm: look what it is, and move it away")


def _locked(lock: int, path: Path) -> bool:
    """Whether the lock is ours now."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Any other error: a file system without locks.
        return error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
    # Its holder may have removed it between open and lock.
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(lock), os.stat(path, follow_symlinks=False))
    return False
