"""Files that a stranger may have written, opened: no pipe, no device, no link out of its folder.

A run from the web is a folder of files, and a folder may hold links and pipes too: a link could
lead a training that goes on to overwrite a file elsewhere, a pipe would never come to an end.
"""

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from nplm_cli.errors import ArtifactError

_NOT_A_FILE = "a pipe or device: expected a file"


def open_regular(path: Path | str) -> BinaryIO:
    """Open a file to read its bytes; raises OSError, at once, for a folder, pipe or device."""
    return open(path, "rb", opener=_opener)


def _opener(path: str, flags: int) -> int:
    # Without O_NONBLOCK the opening of a pipe waits for its writer.
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # open() itself refuses the folder
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, _NOT_A_FILE, str(path))


def check_inside(folder: Path, names: Iterable[str]) -> None:
    """Raise ArtifactError unless what is there of ``names`` are files or folders in ``folder``.

    A name may be missing. A link is followed, as long as it stays in the folder.
    """
    real = None
    for name in names:
        path = folder / name
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                real = real or Path(os.path.realpath(folder))
                target = Path(os.path.realpath(path))
                if not target.is_relative_to(real):
                    raise ArtifactError(
                        f"{path}: a link out of its folder, to {target}: put the file itself there"
                    )
                mode = os.stat(path).st_mode
        except OSError:  # missing, or a link to nothing: who reads it says so
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ArtifactError(f"{path}: {_NOT_A_FILE}")


def names_in(folder: Path, inner: str) -> list[str]:
    """Names of what lies in the folder ``inner`` of ``folder``, from ``folder`` on; [] of none."""
    try:
        return [f"{inner}/{name}" for name in sorted(os.listdir(folder / inner))]
    except OSError:
        return []
