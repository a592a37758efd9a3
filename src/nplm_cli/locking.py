"""One process at a time writes a run directory."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from nplm_cli.errors import ConfigError, InputError


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the right to write ``folder``, which need not exist yet; its parent is made.

    The lock is a file beside the folder and ends with the process, however that ends. Raises
    ConfigError, naming the process, when another one holds it. Where the system has no file
    locks (Windows) nothing is checked.
    """
    path = folder.parent / f".{folder.name}.lock"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="ascii")  # noqa: SIM115  (closed below, after the lock)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not (path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())):
                raise BlockingIOError  # its holder removed it between open and lock
        except ImportError:
            pass
        except OSError as error:
            file.seek(0)
            raise ConfigError(
                f"{folder} is being written by another nplm (process {file.read() or 'unknown'}): "
                "wait for it or name another directory"
            ) from error
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
