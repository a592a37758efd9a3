"""jieba's dictionary as the table that it looks words up in, kept between two runs of nplm.

jieba itself keeps the table with marshal, which must not read what a stranger may have written.
Ours is text: a line of words, a line of frequencies, under a line with two checksums.
"""

import contextlib
import functools
import hashlib
import os
import tempfile
import warnings
from pathlib import Path
from types import ModuleType

from nplm_cli.atomic import TEMPORARY_SUFFIX, remove_stale_temporaries
from nplm_cli.private_cache import is_private, private_cache_folder

CACHE_FILE = "jieba-words.txt"
# No dictionary of words is as large.
MAX_BYTES = 256_000_000
_MAGIC = "nplm jieba words 1"

# Words with their frequencies, beginnings of words with 0, and the sum of all frequencies.
Table = tuple[dict[str, int], int]


@functools.cache
def prefix_table() -> Table:
    """Return jieba's table: the cache's if it is whole and of this dictionary, else made anew.

    Not to be changed: all segmenters share it.
    """
    with jieba().dt.get_dict_file() as file:
        dictionary: bytes = file.read()
    source = hashlib.sha256(dictionary).hexdigest()
    folder = private_cache_folder()
    table = None if folder is None else load_table(folder / CACHE_FILE, source)
    if table is None:
        table = build_table(dictionary)
        if folder is not None:
            store_table(folder / CACHE_FILE, source, table)
    return table


@functools.cache
def jieba() -> ModuleType:
    """Import jieba without a word on standard error; later it speaks only of tables of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its regular expressions and pkg_resources
        import jieba as module
    return module


def build_table(dictionary: bytes) -> Table:
    """Make the table of a dictionary, ``word frequency tag`` a line, as jieba does."""
    frequencies: dict[str, int] = {}
    total = 0
    for line in dictionary.decode("utf-8").splitlines():
        word, frequency = line.split(" ", 2)[:2]
        frequencies[word] = int(frequency)
        total += int(frequency)
    for word in list(frequencies):
        for end in range(1, len(word)):
            frequencies.setdefault(word[:end], 0)
    return frequencies, total


def load_table(path: Path, source: str) -> Table | None:
    """Read what ``store_table`` wrote for a dictionary of that SHA-256; None for anything else."""
    if not is_private(path):
        return None
    try:
        with path.open("rb") as file:
            head = file.readline(1000)
            body = file.read(MAX_BYTES)
        if head != _head(source, body):
            return None
        words, numbers, total = body.decode("utf-8").split("\n")
        table = zip(words.split(" "), map(int, numbers.split(" ")), strict=True)
        return dict(table), int(total)
    except (OSError, ValueError):
        return None


def store_table(path: Path, source: str, table: Table) -> None:
    """Keep a table, whole or not at all; what cannot be kept is made anew the next time."""
    frequencies, total = table
    lines = " ".join(frequencies), " ".join(map(str, frequencies.values())), str(total)
    body = "\n".join(lines).encode("utf-8")
    with contextlib.suppress(OSError):
        remove_stale_temporaries(path.parent)
        # Rights 0600, which atomic_write would widen.
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=TEMPORARY_SUFFIX, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_head(source, body) + body)
            os.replace(name, path)
        finally:
            with contextlib.suppress(OSError):  # gone, when all went well
                os.unlink(name)


def _head(source: str, body: bytes) -> bytes:
    return f"{_MAGIC} {source} {hashlib.sha256(body).hexdigest()}\n".encode()
