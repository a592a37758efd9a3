import bz2
import gzip
import lzma
import sys
import tracemalloc
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus import compression
from nplm_cli.corpus.compression import COMPRESSIONS, decompressed
from nplm_cli.errors import InputError

TEXT = "第一行，有字。\nsecond line\n\n最后 一行".encode()


def zstd(data):
    zstandard = pytest.importorskip("zstandard")
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


# As small in memory as each of them can be, for the tests that measure it.
COMPRESS = {
    "gzip": gzip.compress,
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "Zstandard": zstd,
}
kinds = pytest.mark.parametrize("kind", COMPRESS)


def cut(data, sizes):
    """Blocks of ``data`` whose sizes follow ``sizes`` round and round."""
    begin = i = 0
    while begin < len(data):
        yield data[begin : begin + sizes[i % len(sizes)]]
        begin += sizes[i % len(sizes)]
        i += 1


def unpacked(data, sizes=(1 << 20,), name="x"):
    return b"".join(decompressed(cut(data, sizes), name))


def attempted(data, sizes=(1 << 20,)):
    """What comes out, or the message of the error."""
    try:
        return unpacked(data, sizes), ""
    except InputError as error:
        return None, str(error)


def test_every_compression_is_tested():
    assert [kind.name for kind in COMPRESSIONS] == list(COMPRESS)


@kinds
@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=300) | st.just(b"a" * 5000), min_size=1, max_size=3),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    piece=st.sampled_from([1, 7, 1000, 1 << 20]),
    zeros=st.integers(0, 20),
)
def test_members_in_any_cut(kind, parts, sizes, piece, zeros):
    data = b"".join(map(COMPRESS[kind], parts)) + b"\0" * zeros
    with (
        patch.object(compression, "PIECE_BYTES", piece),
        patch.object(compression, "ZSTANDARD_SLICE", piece),
    ):
        assert unpacked(data, sizes) == b"".join(parts)


def test_plain_bytes_stay():
    for data in (
        b"",
        b"\x1f",
        b"abc",
        b"BZh9 is no bzip2\n",
        b"BZhang",
        TEXT,
        b"(\xb5/",
        b"\xfd7z",
    ):
        assert unpacked(data) == data
        assert unpacked(data, (1,)) == data


@kinds
def test_cut_short_anywhere(kind):
    data = COMPRESS[kind](TEXT * 20)
    for end in range(10, len(data)):
        with pytest.raises(InputError, match=rf"^x: {kind} data cut short; fetch the file again$"):
            unpacked(data[:end], (5, 64))
    # A second member that is cut short.
    with pytest.raises(InputError, match="cut short"):
        unpacked(data + data[:-3])


@kinds
def test_corrupt_anywhere(kind):
    data = COMPRESS[kind](TEXT * 20)
    refused = 0
    for i in range(len(data)):
        damaged = bytearray(data)
        damaged[i] ^= 0x55
        found, message = attempted(bytes(damaged))
        if message:
            refused += 1
            assert message.startswith("x: ")
            assert "\n" not in message
        else:  # a byte of the header that says nothing of the text, or the magic number
            assert found in (TEXT * 20, bytes(damaged))
    assert refused > 0.8 * len(data)
    middle = data[: len(data) // 2] + b"\xff" * 20 + data[len(data) // 2 + 20 :]
    with pytest.raises(InputError, match=rf"^x: corrupt {kind} data \(.+\); fetch the file again$"):
        unpacked(middle)


@kinds
def test_other_bytes_after_the_data(kind):
    data = COMPRESS[kind](TEXT)
    for sizes in ((1,), (1 << 20,)):
        with pytest.raises(InputError, match=f"other bytes after the {kind} data; fetch it again"):
            unpacked(data + b"\0\0more", sizes)


@kinds
def test_a_bomb_is_stopped(kind, monkeypatch):
    data = COMPRESS[kind](b"a" * 20_000_000)
    monkeypatch.setattr(compression, "FREE_BYTES", 1 << 20)
    given_out = 0
    tracemalloc.start()
    pieces = decompressed(cut(data, (256,)), "bomb.txt")
    with pytest.raises(InputError, match=r"^bomb\.txt: [\d,]+ bytes of .*bomb.*unpack it with"):  # noqa: PT012
        for piece in pieces:
            given_out += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert given_out <= 20_000_000
    # A slice of Zstandard may give many pieces at once.
    assert peak < 6_000_000 or kind == "Zstandard"


@kinds
def test_the_first_64_mebibytes_are_free(kind):
    """A short file of one repeated line is no bomb, however small it becomes."""
    line = b"the same line again and again\n"
    data = COMPRESS[kind](line * 100_000)
    assert len(data) < 20_000
    assert unpacked(data) == line * 100_000


@kinds
def test_memory_does_not_grow_with_the_file(kind):
    numbers = b"".join(b"%d and %d\n" % (i, i * i) for i in range(300_000))
    data = COMPRESS[kind](numbers)
    tracemalloc.start()
    size = sum(map(len, decompressed(cut(data, (1 << 14,)), "x")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == len(numbers) > 5_000_000
    assert peak < 4_000_000


def test_a_window_of_too_much_memory(monkeypatch):
    monkeypatch.setattr(compression, "WINDOW_BYTES", 1 << 20)
    with pytest.raises(InputError, match=r"^x: xz data that take more than 1 MiB .* unxz"):
        unpacked(lzma.compress(TEXT, preset=6))


def test_without_the_package_of_zstandard(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(InputError, match=r"^x: Zstandard data.*'nplm-cli\[zstd\]', or unpack it"):
        unpacked(b"\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00")


def test_a_skippable_frame_before_zstandard():
    pytest.importorskip("zstandard")
    skipped = b"\x50\x2a\x4d\x18\x04\x00\x00\x00\x01\x02\x03\x04"
    for sizes in ((1,), (1 << 20,)):
        assert unpacked(skipped + zstd(TEXT), sizes) == TEXT


@kinds
@settings(max_examples=100, deadline=None)
@given(
    keep=st.integers(0, 200),
    tail=st.binary(max_size=60),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=3),
)
def test_arbitrary_bytes_after_a_beginning(kind, keep, tail, sizes):
    found, message = attempted(COMPRESS[kind](TEXT * 3)[:keep] + tail, sizes)
    assert (found is None) == message.startswith("x: ")
    assert "\n" not in message


@kinds
def test_empty_members_cost_no_more_than_themselves(kind):
    empty = COMPRESS[kind](b"")
    data = empty * ((1 << 18) // len(empty)) + COMPRESS[kind](b"a")
    copied = 0

    class Counted(bytes):
        """A block that counts what is copied of it."""

        def __getitem__(self, at):
            nonlocal copied
            piece = super().__getitem__(at)
            if isinstance(at, slice):
                copied += len(piece)
            return piece

    assert b"".join(decompressed(iter([data[:16], Counted(data[16:])]), "x")) == b"a"
    assert copied <= compression.FIRST_SLICE * (len(data) / len(empty) + 2)
