"""Names that are not on the disk yet: of every folder those since it was flushed last.

A file's ``fsync`` promises its bytes alone (fsync(2)); its name, new, changed or gone, is promised
by the ``fsync`` of its folder. ``Names`` keeps what there was before each change of a name, beside
the root, and a power cut takes changes back: of each folder the last ones, as many as it likes.
"""

import os
import random
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_REAL = {name: getattr(os, name) for name in dir(os)}
Folder = tuple[int, int]  # device and inode: its own name may change, too


@dataclass(frozen=True)
class _Change:
    path: str
    folders: tuple[Folder, ...]
    undo: Callable[[], None]


class Names:
    """Changes of names below ``root`` that no flush of a folder has promised."""

    def __init__(self, root: str):
        self._root = root
        self._changes: list[_Change] = []
        self._descriptors: dict[Folder, int] = {}
        self._aside: str | None = None
        self._number = 0

    # --- what was there before -----------------------------------------------------------------

    def make(self, kind: str, path: str, act: Callable[[], Any], source: str | None = None) -> Any:
        """Change a name by ``act`` and note how to take that back.

        ``path`` is created ("open", "mkdir", "link"), removed ("unlink", "remove", "rmdir") or what
        ``source`` is renamed to ("rename").
        """
        folder, name = self._place(path)
        if kind in ("open", "mkdir", "link"):
            if os.path.lexists(path):
                return act()  # which cuts the file, or fails
            done = act()
            self._note(path, (folder,), lambda: self._put_aside(folder, name))
            return done
        if kind == "rmdir":
            if os.listdir(path):
                return act()  # which fails
            kept = self._put_aside(folder, name)
            self._note(path, (folder,), lambda: self._bring_back(kept, folder, name))
            return None
        kept_file = self._keep(folder, name)
        if kind in ("unlink", "remove"):
            done = self._tried(act, kept_file)
            assert kept_file is not None
            self._note(path, (folder,), lambda: self._bring_back(kept_file, folder, name))
            return done
        assert kind == "rename", kind
        assert source is not None
        old_folder, old_name = self._place(source)
        done = self._tried(act, kept_file)

        def undo() -> None:
            _REAL["rename"](
                name, old_name,
                src_dir_fd=self._descriptors[folder], dst_dir_fd=self._descriptors[old_folder],
            )  # fmt: skip
            if kept_file is not None:
                self._bring_back(kept_file, folder, name)

        self._note(path, (folder, old_folder), undo)
        return done

    def _tried(self, act: Callable[[], Any], kept: str | None) -> Any:
        """Do what may fail; then there is no second name, which would be counted (st_nlink)."""
        try:
            return act()
        except BaseException:
            if kept is not None and not os.path.isdir(kept):
                _REAL["unlink"](kept)
            raise

    def _note(self, path: str, folders: tuple[Folder, ...], undo: Callable[[], None]) -> None:
        self._changes.append(_Change(path, folders, undo))

    def _place(self, path: str) -> tuple[Folder, str]:
        """Return the folder of a name, which stays open to be found under any name, and the name."""
        above, name = os.path.split(path)
        status = os.stat(above)
        folder = (status.st_dev, status.st_ino)
        if folder not in self._descriptors:
            self._descriptors[folder] = _REAL["open"](above, os.O_RDONLY | os.O_DIRECTORY)
        return folder, name

    def _new_name(self) -> str:
        if self._aside is None:
            self._aside = tempfile.mkdtemp(prefix=".names-", dir=os.path.dirname(self._root))
        self._number += 1
        return f"{self._aside}/{self._number}"

    def _put_aside(self, folder: Folder, name: str) -> str:
        kept = self._new_name()
        _REAL["rename"](name, kept, src_dir_fd=self._descriptors[folder])
        return kept

    def _bring_back(self, kept: str, folder: Folder, name: str) -> None:
        _REAL["rename"](kept, name, dst_dir_fd=self._descriptors[folder])

    def _keep(self, folder: Folder, name: str) -> str | None:
        """Keep what bears a name, by a second one (a folder: an empty one in its stead)."""
        try:
            status = os.stat(name, dir_fd=self._descriptors[folder], follow_symlinks=False)
        except OSError:
            return None
        kept = self._new_name()
        if stat.S_ISDIR(status.st_mode):
            _REAL["mkdir"](kept, status.st_mode & 0o777)
        else:
            above = self._descriptors[folder]
            _REAL["link"](name, kept, src_dir_fd=above, follow_symlinks=False)
        return kept

    # --- what is promised, and what is taken back ----------------------------------------------

    def flush(self, descriptor: int) -> None:
        """Take a folder's names as promised, and what went before a rename from another folder.

        Such a rename is promised by either folder, as file systems with a journal do.
        """
        status = os.fstat(descriptor)
        folders = {(status.st_dev, status.st_ino)}
        left = []
        for change in reversed(self._changes):
            if folders.isdisjoint(change.folders):
                left.append(change)
            else:
                folders.update(change.folders)
        self._changes = left[::-1]

    def unflushed(self) -> list[str]:
        """Paths, as they were, of the changes that a power cut may take back."""
        return [change.path for change in self._changes]

    def lose(self, draw: random.Random | None) -> None:
        """Take back all changes, or (``draw``) of each folder as many of the last as chance says."""
        kept: dict[Folder, int] = {}
        if draw is not None:
            for change in self._changes:
                for folder in change.folders:
                    kept[folder] = kept.get(folder, 0) + 1
            kept = {folder: draw.randint(0, number) for folder, number in kept.items()}
        gone: list[_Change] = []
        broken: set[Folder] = set()
        for change in self._changes:
            for folder in change.folders:
                kept[folder] = kept.get(folder, 0) - 1
            if not broken.isdisjoint(change.folders) or any(kept[f] < 0 for f in change.folders):
                broken.update(change.folders)
                gone.append(change)
        for change in reversed(gone):
            change.undo()
        self._changes = []

    def close(self) -> None:
        """Let go of what was kept."""
        for descriptor in self._descriptors.values():
            _REAL["close"](descriptor)
        self._descriptors.clear()
        if self._aside is not None:
            shutil.rmtree(Path(self._aside))
