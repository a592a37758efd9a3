"""A disk that fails at its n-th change: full, broken, half-written, or without power.

Everything by which Python code changes a folder is counted: files that are created, cut or written,
flushed, renamed, linked, removed, and folders. What the counting misses is not a change that fails
but one that is not tested, so it is found, too: Python's audit events name every change of a name
and every file that is opened (``FaultyDisk.unseen``), and the system counts the bytes
(``FaultyDisk.written``).

Without power, "power" loses what was appended since a file was flushed, and no name; "names" loses
all names, too, that were made, changed or removed since their folder was flushed, "some" of each
folder's such changes the last ones, as many as a seeded draw says (names.py). None of them models
bytes written over others that were flushed (they count as there; nplm writes over none), old bytes
that a truncated file gets back, later bytes without earlier ones, a flush that lies, and modes,
times and owners, which count as flushed at once.
"""

import builtins
import errno
import functools
import io
import mmap
import os
import random
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any
from unittest import mock

import numpy.lib.format
from names import Names


class PowerCut(BaseException):
    """Nothing that comes after it reaches the disk."""


@dataclass(frozen=True)
class Fault:
    """How a change fails: with an error, or with everything after it."""

    name: str
    why: str
    errno: int | None = None
    half: bool = False  # of the bytes of a write are written first
    lossy: bool = False  # bytes that were not flushed are gone, though their file was renamed
    reads: bool = False  # fail, instead of changes
    locks: bool = False  # fail, all of them, instead of changes
    names: str = ""  # "all" or "some" of the names whose folder was not flushed are gone, too

    @property
    def cuts(self) -> bool:
        """Whether nothing happens afterwards."""
        return self.errno is None


FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "read",
            "EIO instead of a file that is opened to be read, or of a read",
            errno.EIO,
            reads=True,
        ),
        Fault(
            "nolock",
            "every lock is an ENOLCK, as on some network disks: nothing else fails",
            errno.ENOLCK,
            locks=True,
        ),
        Fault("full", "ENOSPC instead of the change", errno.ENOSPC),
        Fault("broken", "EIO instead of the change", errno.EIO),
        Fault("half", "half of a write, then ENOSPC", errno.ENOSPC, half=True),
        Fault("kill", "half of a write, and nothing any more: SIGKILL", half=True),
        Fault("power", "the same, and all bytes gone that were not flushed", half=True, lossy=True),
        Fault(
            "names",
            "and all names since the last flush of their folder are as they were before",
            half=True,
            lossy=True,
            names="all",
        ),
        Fault(
            "some",
            "and of the names of each folder as many of the last ones as chance says",
            half=True,
            lossy=True,
            names="some",
        ),
    )
}

_REAL = {name: getattr(os, name) for name in dir(os)}
_REAL_OPEN = io.open
_WRITING = os.O_WRONLY | os.O_RDWR
# Audit events of changes, and where their paths stand.
_EVENTS = {
    "os.rename": 2, "os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.link": 2, "os.symlink": 2,
    "os.chmod": 1, "os.truncate": 1, "os.utime": 1, "os.chown": 1, "os.setxattr": 1,
}  # fmt: skip
# Changes of names; a file that is opened may be new.
_NAMING = {"open", "mkdir", "link", "unlink", "remove", "rmdir", "rename"}
_active: "FaultyDisk | None" = None


class _File(io.FileIO):
    """An unbuffered file whose changes are counted."""

    def __init__(self, disk: "FaultyDisk", path: str, file: Any, mode: str, **options: Any):
        self._disk, self._path = disk, path
        creates = mode[0] in "wx" or (mode[0] == "a" and not os.path.exists(path))
        opened = functools.partial(super().__init__, file, mode, **options)
        if isinstance(file, int) or not creates:
            disk.untouched(opened)
        elif disk.dead:
            raise PowerCut
        else:
            disk.change("open", path, opened, names=[path])
        disk.descriptors[self.fileno()] = path

    def write(self, data: Any) -> int:
        return self._disk.write(self.fileno(), super().write, data)

    def truncate(self, size: int | None = None) -> int:
        return self._disk.change("truncate", None, lambda: super(_File, self).truncate(size), 0)

    def close(self) -> None:
        if not self.closed:
            self._disk.descriptors.pop(self.fileno(), None)
        super().close()


class FaultyDisk:
    """While it is entered, changes below ``root`` are counted and number ``at`` fails."""

    def __init__(self, root: os.PathLike[str] | str, fault: Fault | None = None, at: int = 0):
        self.root = os.path.realpath(root)
        self.fault, self.at = fault, at
        self.changes: list[tuple[str, str | None]] = []
        self.descriptors: dict[int, str] = {}
        self.after: Callable[[str, str], None] = lambda kind, path: None
        self.dead = False
        self.written = 0
        self.unseen: list[str] = []
        self._inside = self._away = False
        self._flushed: dict[tuple[int, int], int] = {}  # length on the disk of unflushed files
        self.names = Names(self.root)

    # --- what happens at a change --------------------------------------------------------------

    def untouched(self, act: Callable[[], Any]) -> Any:
        """Do what the audit events shall not tell."""
        inside, self._inside = self._inside, True
        try:
            return act()
        finally:
            self._inside = inside

    def change(
        self,
        kind: str,
        path: str | None,
        act: Callable[[], Any],
        answer: Any = None,
        names: Sequence[str] = (),
        source: str | None = None,
    ) -> Any:
        """Count a change and make it, or fail with an error of ``names``.

        ``source`` is the old name of what is renamed.
        """
        if self.dead:
            return answer
        self.changes.append((kind, path))
        if self.fault is not None and len(self.changes) == self.at:
            self._fail(names)
        if path is not None and kind in _NAMING:
            changed = act
            act = functools.partial(self.names.make, kind, path, changed, source)
        done = self.untouched(act)
        if path is not None:
            self._away = True
            self.after(kind, path)
            self._away = False
        return done

    def _fail(self, names: Sequence[str]) -> None:
        assert self.fault is not None
        if self.fault.errno is not None:
            between = [arg for name in names for arg in (name, None)][:-1]  # WinError
            raise OSError(self.fault.errno, os.strerror(self.fault.errno), *between)
        self.cut()
        raise PowerCut

    def cut(self) -> None:
        """Let nothing reach the disk any more, and take what the fault takes."""
        assert self.fault is not None
        self.dead = True
        if self.fault.lossy:
            self.untouched(self._lose)
        if self.fault.names:
            draw = random.Random(self.at) if self.fault.names == "some" else None
            self.untouched(functools.partial(self.names.lose, draw))

    def _lose(self) -> None:
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                length = self._flushed.get((status.st_dev, status.st_ino))
                if length is not None and length < status.st_size:
                    _REAL["truncate"](path, length)

    def write(self, descriptor: int, act: Callable[[Any], int], data: Any) -> int:
        """Count a write; one that fails may write half."""
        data = memoryview(data).cast("B")
        if self.dead:
            return len(data)
        status = os.fstat(descriptor)
        self._flushed.setdefault((status.st_dev, status.st_ino), status.st_size)
        if self.fault is not None and self.fault.half and len(self.changes) + 1 == self.at:
            self.written += act(data[: len(data) // 2])
        done: int = self.change("write", None, lambda: act(data))
        self.written += done
        return done

    def _flush(self, act: Callable[[int], None], descriptor: int) -> None:
        if descriptor not in self.descriptors:
            act(descriptor)
            return
        # Whether the true disk is flushed changes nothing here, and takes long.
        self.change("flush", None, lambda: None)
        status = os.fstat(descriptor)
        if not self.dead:
            self._flushed.pop((status.st_dev, status.st_ino), None)
            if stat.S_ISDIR(status.st_mode):
                self.names.flush(descriptor)

    def unflushed(self) -> list[str]:
        """Files below the root that a power cut would take bytes of."""
        found = []
        for folder, _, names in os.walk(self.root):
            for path in (os.path.join(folder, name) for name in names):
                status = os.lstat(path)
                if (status.st_dev, status.st_ino) in self._flushed:
                    found.append(path)
        return sorted(found)

    # --- what stands in for the system ---------------------------------------------------------

    def _below(self, path: Any, dir_fd: int | None = None) -> str | None:
        """Absolute path, or None outside the root and while nobody counts."""
        if self._away:
            return None
        if isinstance(path, int):
            return self.descriptors.get(path)
        name = os.fsdecode(path)
        if dir_fd is not None and dir_fd in self.descriptors:
            name = os.path.join(self.descriptors[dir_fd], name)
        name = os.path.abspath(name)
        return name if (name + os.sep).startswith(self.root + os.sep) else None

    def _named(self, function: str, kind: str, which: int = 0) -> Callable[..., Any]:
        """Stand in for a function of ``os`` that changes a name, its argument ``which``."""
        real = _REAL[function]

        def call(*args: Any, **options: Any) -> Any:
            path = self._below(args[which], options.get("dir_fd"))
            if path is None:
                return real(*args, **options)
            # The system names the first path, then the second; a descriptor has no name.
            names = [os.fspath(a) for a in args[: which + 1] if not isinstance(a, int)]
            act = functools.partial(real, *args, **options)
            source = os.path.abspath(os.fsdecode(args[0])) if kind == "rename" else None
            return self.change(kind, path, act, names=names, source=source)

        return call

    def _open_descriptor(self, path: Any, flags: int, *args: Any, **options: Any) -> int:
        where = self._below(path, options.get("dir_fd"))
        opened = functools.partial(_REAL["open"], path, flags, *args, **options)
        if where is None:
            return int(opened())
        creates = flags & os.O_TRUNC or (flags & os.O_CREAT and not os.path.exists(where))
        if creates and self.dead:
            raise PowerCut
        descriptor: int = (
            self.change("open", where, opened, names=[where]) if creates else self.untouched(opened)
        )
        self.descriptors[descriptor] = where
        return descriptor

    def _open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **options: Any,
    ) -> IO[Any]:
        where = self._below(file)
        if where is None or not set(mode) & set("wax+"):
            return _REAL_OPEN(file, mode, buffering, encoding, errors, newline, **options)
        raw = _File(self, where, file, mode.replace("b", "").replace("t", ""), **options)
        if buffering == 0:
            return raw  # type: ignore[return-value]
        both = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return both  # type: ignore[return-value]
        return io.TextIOWrapper(both, encoding or "utf-8", errors, newline)

    def _write_descriptor(self, descriptor: int, data: Any) -> int:
        real = functools.partial(_REAL["write"], descriptor)
        return self.write(descriptor, real, data) if descriptor in self.descriptors else real(data)

    def _write_at(self, descriptor: int, data: Any, offset: int) -> int:
        def real(data: Any) -> int:
            return int(_REAL["pwrite"](descriptor, data, offset))

        return self.write(descriptor, real, data) if descriptor in self.descriptors else real(data)

    def _uncounted(self, function: str) -> Callable[..., Any]:
        """Stand in for a function that nplm does without: a call is one that was not tested."""

        def call(*args: Any) -> Any:
            if any(isinstance(one, int) and one in self.descriptors for one in args[:2]):
                self.unseen.append(function)
            return _REAL[function](*args)

        return call

    def _send(self, target: int, source: int, offset: int, count: int) -> int:
        """``sendfile``, by which shutil copies."""
        if target not in self.descriptors:
            return int(_REAL["sendfile"](target, source, offset, count))
        data = os.pread(source, count, offset)
        if not data:
            return 0
        return self.write(target, functools.partial(_REAL["write"], target), data)

    def _close(self, descriptor: int) -> None:
        self.descriptors.pop(descriptor, None)
        _REAL["close"](descriptor)

    def __enter__(self) -> "FaultyDisk":
        global _active
        real_sync = _REAL["fsync"]
        stands_in: dict[str, Callable[..., Any]] = {
            "open": self._open_descriptor,
            "write": self._write_descriptor,
            "pwrite": self._write_at,
            "writev": lambda descriptor, pieces: self._write_descriptor(
                descriptor, b"".join(pieces)
            ),
            "close": self._close,
            "fsync": functools.partial(self._flush, real_sync),
            "fdatasync": functools.partial(self._flush, real_sync),
            "ftruncate": self._named("ftruncate", "truncate"),
            "truncate": self._named("truncate", "truncate"),
            "replace": self._named("replace", "rename", 1),
            "rename": self._named("rename", "rename", 1),
            "link": self._named("link", "link", 1),
            "symlink": self._named("symlink", "link", 1),
            "sendfile": self._send,
        }
        for name in ("pwritev", "copy_file_range", "posix_fallocate", "splice"):
            stands_in[name] = self._uncounted(name)
        for name in ("mkdir", "rmdir", "unlink", "remove", "chmod", "chown", "utime"):
            stands_in[name] = self._named(name, name)
        self._patches = [
            *(mock.patch.object(os, n, f) for n, f in stands_in.items() if hasattr(os, n)),
            mock.patch.object(io, "open", self._open),
            mock.patch.object(builtins, "open", self._open),
            # numpy writes to a file past Python; to anything else as everybody does.
            mock.patch.object(sys.modules[numpy.lib.format.write_array.__globals__["__name__"]],
                              "isfileobj", return_value=False),
        ]  # fmt: skip
        for patch in self._patches:
            patch.start()
        _active = self
        return self

    def __exit__(self, *error: object) -> None:
        global _active
        _active = None
        for patch in reversed(self._patches):
            patch.stop()
        self.names.close()

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Note a change that was not counted."""
        if self._inside or self.dead:
            return
        if event == "open":
            path, _, flags = args
            if isinstance(path, (str, bytes)) and flags & _WRITING and self._below(path):
                self.unseen.append(f"open {path!r}")
        elif event == "mmap.__new__":
            descriptor, _, access = args[:3]
            if descriptor in self.descriptors and access not in (
                mmap.ACCESS_READ,
                mmap.ACCESS_COPY,
            ):
                self.unseen.append(f"map to be written {self.descriptors[descriptor]}")
        elif event in _EVENTS:
            paths = [p for p in args[: _EVENTS[event]] if isinstance(p, (str, bytes))]
            if any(self._below(path) for path in paths):
                self.unseen.append(f"{event} {paths}")


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _active is not None:
        _active.audit(event, args)


sys.addaudithook(_audit)  # it can never be taken back
