"""The folder in which nplm keeps what it could make again: the user's own, readable by nobody else.

A cache is read without a question being asked, so it never lies where others can write: not in a
shared temporary folder, not in a folder that somebody else owns.
"""

import os
import stat
import sys
from pathlib import Path

# Rights of others to write.
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def private_cache_folder() -> Path | None:
    """Return the folder, made if need be with rights 0700; None where there can be none.

    ``$XDG_CACHE_HOME/nplm`` where that is an absolute path; otherwise ``~/.cache/nplm``, on macOS
    ``~/Library/Caches/nplm``, on Windows ``%LOCALAPPDATA%\\nplm``. Without HOME the home folder is
    that of the user's account.
    """
    base = _base()
    if not os.path.isabs(base):
        return None
    folder = Path(base) / "nplm"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "geteuid"):
            # Of a link, too: somebody else may have put it into a folder where all can write.
            owners = {folder.lstat().st_uid, folder.stat().st_uid}
            if owners != {os.geteuid()} or _is_shared(folder.resolve().parent):
                return None
            mode = stat.S_IMODE(folder.stat().st_mode)
            if folder.is_symlink():  # a folder of the user's that has rights of its own
                return folder if not mode & _OTHERS_WRITE else None
            if mode != 0o700:
                folder.chmod(0o700)
        return folder if os.access(folder, os.W_OK | os.X_OK) else None
    except OSError:
        return None


def is_private(path: Path) -> bool:
    """Whether ``path`` is a regular file of this user that nobody else can write to."""
    try:
        found = path.lstat()
    except OSError:
        return False
    if not stat.S_ISREG(found.st_mode):
        return False
    if not hasattr(os, "geteuid"):  # Windows: the folder's rights decide
        return True
    return found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE


def _is_shared(folder: Path) -> bool:
    """Whether others may replace what lies in ``folder``: not where only owners may (/tmp)."""
    mode = folder.stat().st_mode
    return bool(mode & _OTHERS_WRITE) and not mode & stat.S_ISVTX


def _base() -> str:
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(chosen):  # a relative one is to be ignored, says its specification
        return chosen
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        return os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Caches")
    return os.path.join(home, ".cache")
