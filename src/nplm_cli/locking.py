"""One process at a time writes a run directory."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from nplm_cli.errors import ConfigError, InputError

# Seconds between two looks at a lock that somebody else holds.
_POLL = 0.1


@contextlib.contextmanager
def exclusive(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold the right to write ``folder``, which need not exist yet; its parent is made.

    The lock is a file beside the folder and ends with the process, however that ends. Raises
    ConfigError, naming the process, when another one still holds it after ``patience`` seconds.
    Where the system has no file locks (Windows) nothing is checked.
    """
    path = folder.parent / f".{folder.name}.lock"
    deadline = time.monotonic() + patience
    while True:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            file = open(path, "a+", encoding="ascii")  # noqa: SIM115  (closed below)
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
        with file:
            if not _locked(file, path):
                if time.monotonic() < deadline:
                    time.sleep(_POLL)
                    continue
                file.seek(0)
                raise ConfigError(
                    f"{folder} is being written by another nplm (process "
                    f"{file.read() or 'unknown'}): wait for it or name another directory"
                )
            with contextlib.suppress(OSError):  # a full disk: held all the same, by nobody known
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), str(os.getpid()).encode())
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _locked(file: IO[str], path: Path) -> bool:
    """Whether the lock is ours now."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its holder may have removed it between open and lock.
        return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
