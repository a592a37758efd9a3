"""Artifacts: JSON and safetensors with a format version, checksums.

They are written atomically (``atomic.py``); nothing is ever read with pickle.
"""

import hashlib
import json
import math
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from nplm_cli.atomic import TEMPORARY_SUFFIX as TEMPORARY_SUFFIX
from nplm_cli.atomic import atomic_write, write_bytes
from nplm_cli.atomic import remove_stale_temporaries as remove_stale_temporaries
from nplm_cli.errors import ArtifactError
from nplm_cli.opening import open_regular

FORMAT_VERSION = 1
# A header larger than this is not ours; read no further (safetensors sets the same bound).
MAX_HEADER_BYTES = 100_000_000
# Lists, objects and members of one: a tensor is four of them, and each takes some fifty bytes. What
# is large in a header of ours is text: the words of vectors.
MAX_HEADER_ITEMS = 1_000_000
_ITEM_SIGNS = (b"[", b"{", b'":', *(b"%d," % digit for digit in range(10)))
# Up to this size a file's checksum is verified whenever it is opened; larger files are
# memory-mapped and verified on request, because reading them whole would cost more than a query.
VERIFY_BELOW_BYTES = 64_000_000

# Far above any JSON file of ours; what is parsed takes some twenty times its size in memory.
MAX_JSON_BYTES = 16_000_000

# numpy 1.26 has no more axes.
MAX_AXES = 32

_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_DTYPE_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented UTF-8 JSON, atomically; not-a-number is refused."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    # A file name may hold bytes that are no UTF-8: half surrogates, which JSON can spell.
    write_bytes(path, (text + "\n").encode("utf-8", "backslashreplace"))


def read_json(path: Path | str) -> Any:
    """Read a JSON file; raises ArtifactError that names the file and line where it is corrupt."""
    path = Path(path)
    try:
        with open_regular(path) as file:
            data = file.read(MAX_JSON_BYTES + 1)
        if len(data) > MAX_JSON_BYTES:
            raise ArtifactError(f"{path}: not ours: over {MAX_JSON_BYTES:,} bytes")
        return json.loads(data.decode("utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file") from error
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: not JSON: byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise ArtifactError(
            f"{path}:{error.lineno}: not JSON: {error.msg}; restore the file or train again"
        ) from error
    except RecursionError as error:
        raise ArtifactError(f"{path}: not ours: nested too deeply") from error
    except ValueError as error:  # a number of more digits than Python converts
        raise ArtifactError(f"{path}: not ours: {error}") from error


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Lines that hold an object, each with it, in their order; nothing of a missing file.

    A line that a crash cut short, or that is damaged, is passed over. Raises ArtifactError for a
    file that cannot be read.
    """
    try:
        with open_regular(path) as file:
            while line := file.readline(MAX_JSON_BYTES):
                try:
                    text = line.decode("utf-8").strip()
                    value = json.loads(text)
                except (ValueError, RecursionError):
                    continue
                if isinstance(value, dict):
                    yield text, value
    except FileNotFoundError:
        return
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror or error}") from error


def is_count(value: object) -> bool:
    """Whether a value of JSON is a whole number that arrays can hold, not negative."""
    return type(value) is int and 0 <= value < 2**63


def is_figure(value: object) -> bool:
    """Whether a value of JSON is a number that can be computed with: finite, not negative."""
    return type(value) in (int, float) and 0 <= value < 1e308  # type: ignore[operator]


def check_format(path: Path | str, version: object) -> None:
    """Raise ArtifactError unless ``version`` is a format this program reads."""
    if not isinstance(version, int) or isinstance(version, bool):
        raise ArtifactError(f"{path}: no format version: not a file of nplm")
    if version > FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: format {version}, but this nplm reads up to {FORMAT_VERSION}; upgrade nplm"
        )


def sha256_of_file(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in blocks; an OSError names the file."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        error.filename = error.filename or str(path)  # a read that fails says nothing of it
        raise


def write_tensors(
    path: Path | str,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write arrays as a safetensors file, atomically: what ``tensors_writer`` makes."""
    write = tensors_writer(tensors, metadata)
    with atomic_write(path) as file:
        write(file)


def tensors_writer(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> Callable[[IO[bytes]], None]:
    """Return what writes arrays as a safetensors file, in the order of their names.

    The metadata gains ``format_version`` and the SHA-256 of the tensor bytes. The same arrays
    and metadata give the same bytes. (The library's writer takes arrays of one process's memory
    at once and does not write atomically; the layout is a length, a JSON header and the bytes.)
    """
    arrays = {name: _little_endian(tensors[name]) for name in sorted(tensors)}
    digest = hashlib.sha256()
    header: dict[str, Any] = {}
    offset = 0
    for name, array in arrays.items():
        digest.update(_bytes_of(array))
        header[name] = {
            "dtype": _DTYPE_NAMES[array.dtype.newbyteorder("=")],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    header["__metadata__"] = {
        **(metadata or {}),
        "format_version": str(FORMAT_VERSION),
        "sha256": digest.hexdigest(),
    }
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)

    def write(file: IO[bytes]) -> None:
        file.write(struct.pack("<Q", len(encoded)))
        file.write(encoded)
        for array in arrays.values():
            file.write(_bytes_of(array))

    return write


def _bytes_of(array: np.ndarray) -> memoryview:
    """Bytes of an array without a copy (its elements seen as uint8)."""
    return array.reshape(-1).view(np.uint8).data


def _little_endian(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array, order="C")
    if array.dtype.newbyteorder("=") not in _DTYPE_NAMES:
        raise ArtifactError(f"cannot store an array of {array.dtype}")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


class TensorFile:
    """A safetensors file opened read-only and memory-mapped.

    Header, names, shapes and offsets are checked against the file's size before anything is
    allocated: a crafted file is refused with ArtifactError. ``file[name]`` is a read-only view.
    """

    def __init__(self, path: Path | str, *, verify: bool | None = None):
        """``verify`` the checksum always, never, or (None) when the file is small."""
        self.path = Path(path)
        try:
            with open_regular(self.path) as file:
                size = os.fstat(file.fileno()).st_size
                if size < 8:
                    raise ArtifactError(f"{self.path}: {size} bytes: not a safetensors file")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise ArtifactError(f"{self.path}: no such file") from error
        except OSError as error:
            raise ArtifactError(f"{self.path}: {error.strerror or error}") from error
        (header_bytes,) = struct.unpack("<Q", self._map[:8])
        if header_bytes > min(MAX_HEADER_BYTES, size - 8):
            raise ArtifactError(
                f"{self.path}: header of {header_bytes} bytes in a file of {size}: "
                "not a safetensors file, or cut short"
            )
        self._data_start = 8 + header_bytes
        encoded = self._map[8 : self._data_start]
        if sum(map(encoded.count, _ITEM_SIGNS)) > MAX_HEADER_ITEMS:
            raise ArtifactError(f"{self.path}: its header is not of a safetensors file: corrupt")
        try:
            header = json.loads(encoded)
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{self.path}: its header is not JSON: corrupt") from error
        if not isinstance(header, dict):
            raise ArtifactError(f"{self.path}: its header is not an object: corrupt")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise ArtifactError(f"{self.path}: metadata is not text to text: corrupt")
        self.metadata: dict[str, str] = metadata
        self._entries = self._checked_entries(header, size - self._data_start)
        if "format_version" in metadata:
            version = metadata["format_version"]
            check_format(
                self.path, int(version) if version.isdecimal() and len(version) < 10 else None
            )
        if verify or (verify is None and size <= VERIFY_BELOW_BYTES):
            self.verify()

    def _checked_entries(
        self, header: dict[str, Any], data_bytes: int
    ) -> dict[str, tuple[np.dtype, tuple[int, ...], int]]:
        """Check that the tensors tile the data without holes or overlap."""
        entries = {}
        spans = []
        for name, entry in header.items():
            try:
                dtype = np.dtype(_DTYPES[entry["dtype"]]).newbyteorder("<")
                shape = tuple(entry["shape"])
                start, end = entry["data_offsets"]
                whole = (*shape, start, end)
                if not all(type(n) is int and 0 <= n < 2**62 for n in whole):
                    raise ValueError("negative or not whole")
                if len(shape) > MAX_AXES or math.prod(max(n, 1) for n in shape) >= 2**59:
                    raise ValueError("no array has this shape")
            except (KeyError, TypeError, ValueError) as error:
                raise ArtifactError(f"{self.path}: entry {name!r} is malformed: corrupt") from error
            if math.prod(shape) * dtype.itemsize != end - start:
                raise ArtifactError(
                    f"{self.path}: {name!r} of shape {shape} does not fit its bytes: corrupt"
                )
            entries[name] = (dtype, shape, start)
            spans.append((start, end))
        position = 0
        for start, end in sorted(spans):
            if start != position:
                raise ArtifactError(f"{self.path}: tensors leave a hole or overlap: corrupt")
            position = end
        if position != data_bytes:
            raise ArtifactError(
                f"{self.path}: {data_bytes} bytes of data where {position} are announced: cut short"
            )
        return entries

    def verify(self) -> None:
        """Raise ArtifactError unless the checksum in the header (if any) is the data's."""
        expected = self.metadata.get("sha256")
        if expected is None:
            return
        with memoryview(self._map) as view:
            actual = hashlib.sha256(view[self._data_start :]).hexdigest()
        if actual != expected:
            raise ArtifactError(
                f"{self.path}: checksum differs: the file is damaged; copy or train it again"
            )

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            dtype, shape, start = self._entries[name]
        except KeyError:
            raise ArtifactError(
                f"{self.path}: no tensor {name!r}; it holds {', '.join(sorted(self._entries))}"
            ) from None
        if math.prod(shape) == 0:
            return np.zeros(shape, dtype)
        flat = np.frombuffer(
            self._map, dtype, count=math.prod(shape), offset=self._data_start + start
        )
        return flat.reshape(shape)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def keys(self) -> list[str]:
        """Names of the tensors, sorted."""
        return sorted(self._entries)

    def dtype(self, name: str) -> np.dtype:
        """Type of a tensor's numbers, without reading it."""
        return self._entries[name][0]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""
        return self._entries[name][1]
