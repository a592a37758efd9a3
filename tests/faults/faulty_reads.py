"""A disk that fails to be read: the n-th file opened to be read, or the n-th read, is an EIO.

What is mapped into the memory is not counted beyond its opening: there the system kills a process
that reads what the disk does not give.
"""

import builtins
import errno
import io
import os
from typing import IO, Any
from unittest import mock

_REAL_OPEN, _REAL_OS_OPEN, _REAL_CLOSE = io.open, os.open, os.close
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class _File(io.FileIO):
    """An unbuffered file whose reads are counted."""

    def __init__(self, disk: "FaultyReads", path: str, file: Any, **options: Any):
        self._disk, self._path = disk, path
        super().__init__(file, "r", **options)

    def readinto(self, buffer: Any) -> int | None:
        self._disk.count("read", self._path, named=False)
        return super().readinto(buffer)

    def readall(self) -> bytes | None:
        self._disk.count("read", self._path, named=False)
        return super().readall()

    def read(self, size: int | None = -1) -> bytes | None:
        self._disk.count("read", self._path, named=False)
        return super().read(-1 if size is None else size)


class FaultyReads:
    """While it is entered, reading below ``root`` is counted and number ``at`` fails."""

    def __init__(self, root: os.PathLike[str] | str, at: int = 0):
        self.root, self.at = os.path.realpath(root), at
        self.reads: list[tuple[str, str]] = []
        self._descriptors: dict[int, str] = {}
        self._inside = False

    def count(self, kind: str, path: str, *, named: bool) -> None:
        """Count one, or fail: the system names what cannot be opened, not what cannot be read."""
        self.reads.append((kind, path))
        if len(self.reads) == self.at:
            names = [path] if named else []
            raise OSError(errno.EIO, os.strerror(errno.EIO), *names)

    def _below(self, path: Any) -> str | None:
        if isinstance(path, int):
            return self._descriptors.get(path)
        name = os.path.abspath(os.fsdecode(path))
        return name if name.startswith(self.root + os.sep) and os.path.isfile(name) else None

    def _open_descriptor(self, path: Any, flags: int, *args: Any, **options: Any) -> int:
        where = None
        if not flags & _WRITING and options.get("dir_fd") is None:
            where = self._below(path)
        if where is not None and not self._inside:
            self.count("open", where, named=True)
        descriptor = _REAL_OS_OPEN(path, flags, *args, **options)
        if where is not None:
            self._descriptors[descriptor] = where
        return descriptor

    def _close(self, descriptor: int) -> None:
        self._descriptors.pop(descriptor, None)
        _REAL_CLOSE(descriptor)

    def _open(
        self, file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None,
        errors: str | None = None, newline: str | None = None, closefd: bool = True,
        opener: Any = None,
    ) -> IO[Any]:  # fmt: skip
        where = self._below(file)
        if where is None or set(mode) & set("wax+"):
            return _REAL_OPEN(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not isinstance(file, int):
            self.count("open", where, named=True)
        self._inside = True  # its opener opens the same file
        try:
            raw = _File(self, where, file, closefd=closefd, opener=opener)
        finally:
            self._inside = False
        if buffering == 0:
            return raw  # type: ignore[return-value]
        both = io.BufferedReader(raw)
        if "b" in mode:
            return both  # type: ignore[return-value]
        return io.TextIOWrapper(both, encoding or "utf-8", errors, newline)

    def __enter__(self) -> "FaultyReads":
        self._patches = [
            mock.patch.object(os, "open", self._open_descriptor),
            mock.patch.object(os, "close", self._close),
            mock.patch.object(io, "open", self._open),
            mock.patch.object(builtins, "open", self._open),
        ]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *error: object) -> None:
        for patch in reversed(self._patches):
            patch.stop()
