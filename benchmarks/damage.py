"""Damage for files of nplm: of bytes, of values in JSON, of headers under a right checksum."""

import copy
import hashlib
import json
import random
import struct
from typing import Any

# Values that break what was not checked.
NUMBERS = (
    *(0, 1, -1, 2, 3, 5, 64, 10**9, 10**12, 2**31, 2**32, 2**53, 2**62, 2**63, 2**64, 10**400),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
)
TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\n",
        "\r",
        "\t",
        "\x1b[31m",
        "\u202e",
        "\u2028",
        "a" * 5000,
        "a\nb",
        "\ud800",
    ),
    *("../../etc/passwd", "/etc/passwd", "/dev/zero", "C:\\x", "-", "nan", "1e999", "9" * 5000),
    *("ffn", "rnn", "gru", "lstm", "attention", "transformer", "ngram", "mixture", "adaptive"),
    *("1,2,3", "sentence", "stream", "train", "unigram", "F32", "I64", "BOOL", "<unk>", "</s>"),
)
TOKENS = (
    *(b"\0", b"\n", b"\r\n", b"\t", b" ", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x1b[31m"),
    *(b"nan", b"inf", b"-1", b"1e999", b"18446744073709551616", b"1000000000000", b"9" * 5000),
    *(b"[", b"{", b"}", b"]", b'"', b"null", b"true", b"[" * 3000, b'{"a":' * 3000, b"<unk>\t1\n"),
    *(b"\x1f\x8b\x08", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x80\x04\x95", b"a" * 70_000),
    *(b"</s>\t1\n", b"\xe2\x80\xa8", b"\xc2\xa0", b"\x0b", b"\x1c", b"\xff" * 8, b"\0" * 8),
)


def any_value(r: random.Random) -> Any:
    """A value that hardly belongs anywhere."""
    match r.randrange(8):
        case 0 | 1 | 2:
            return r.choice(NUMBERS)
        case 3 | 4:
            return r.choice(TEXTS)
        case 5:
            return r.choice((None, True, False))
        case 6:
            return r.choice(([], {}, [1, 2, 3], [[]], {"a": 1}, [None], ["a"] * 50, {"": {}}))
    nested: Any = []
    for _ in range(r.choice((1, 10, 100))):
        nested = r.choice(([nested], {"a": nested}))
    return nested


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    found = []
    stack = [value]
    while stack:
        one = stack.pop()
        keys: Any = one if isinstance(one, dict) else range(len(one))
        for key in keys:
            found.append((one, key))
            if isinstance(one[key], dict | list):
                stack.append(one[key])
    return found


def damaged_value(value: Any, r: random.Random) -> Any:
    """A JSON value with some of its members changed, dropped, renamed, doubled or swapped."""
    value = copy.deepcopy(value)
    for _ in range(r.choice((1, 1, 1, 2, 4))):
        places = _places(value) if isinstance(value, dict | list) else []
        if not places or r.random() < 0.02:
            return any_value(r)
        where, key = r.choice(places)
        old = where[key]
        match r.randrange(9):
            case 0 | 1 | 2:
                where[key] = any_value(r)
            case 3:
                del where[key]
            case 4 if isinstance(where, dict):
                where[r.choice((key + "x", key.upper(), "", "__class__", *TEXTS[-8:]))] = where.pop(
                    key
                )
            case 5 if type(old) in (int, float) and abs(old) < 1e300:
                where[key] = r.choice((old + 1, old - 1, -old, old * 1000, str(old), float(old)))
            case 6 if isinstance(old, list):
                where[key] = old * r.choice((0, 2, 3, 200))
            case 7:
                other, at = r.choice(places)
                where[key] = copy.deepcopy(other[at]) if _small(other[at]) else None
            case _:
                where[key] = r.choice((str(old)[:100], [old], {"a": old}, None, bool(old)))
    return value


def _small(value: Any) -> bool:
    return len(repr(value)) < 100_000


def as_json(value: Any, r: random.Random) -> bytes:
    """JSON bytes of a value, now and then of an odd spelling."""
    try:
        text = json.dumps(value, ensure_ascii=r.random() < 0.5)
    except (ValueError, RecursionError):
        return b"{}"
    return text.encode("utf-8", "surrogatepass")


def damaged_json(seed: bytes, r: random.Random) -> bytes:
    """A JSON file with a damaged value (mostly), or damaged bytes."""
    if r.random() < 0.25:
        return damaged_bytes([seed], r)
    try:
        return as_json(damaged_value(json.loads(seed), r), r)
    except RecursionError:  # nested in what was nested
        return damaged_bytes([seed], r)


def damaged_lines(seed: bytes, r: random.Random) -> bytes:
    """A file of JSON lines: one of them damaged, or bytes."""
    lines = seed.splitlines()
    if r.random() < 0.3 or not lines:
        return damaged_bytes([seed], r)
    i = r.randrange(len(lines))
    lines[i] = damaged_json(lines[i], r)
    return b"\n".join(lines) + b"\n" * r.randrange(2)


def damaged_bytes(seeds: list[bytes], r: random.Random) -> bytes:
    """Now and then noise; mostly a seed with bits flipped, pieces cut, doubled, put in."""
    if r.random() < 0.04:
        return r.randbytes(r.randrange(300))
    data = bytearray(r.choice(seeds))
    if r.random() < 0.1:
        del data[r.randrange(len(data) + 1) :]
    for _ in range(r.choice((0, 1, 1, 2, 3, 8, 30))):
        # Beginnings hold headers: half of the changes are made there.
        end = len(data) + 1 if r.random() < 0.5 else min(len(data), 120) + 1
        place = r.randrange(end)
        match r.randrange(8):
            case 0 if data:
                data[place % len(data)] = r.randrange(256)
            case 1 if data:
                data[place % len(data)] ^= 1 << r.randrange(8)
            case 2:
                del data[place : place + r.choice((1, 2, 3, 50, 1000))]
            case 3:
                data[place:place] = r.choice(TOKENS)
            case 4:
                data[place:place] = r.randbytes(r.randrange(1, 20))
            case 5:
                other = r.choice(seeds)
                begin = r.randrange(len(other) + 1)
                data[place:place] = other[begin : begin + r.randrange(1, 200)]
            case 6:
                digits = [i for i, c in enumerate(data[:300]) if 48 <= c < 58]
                if digits:
                    i = r.choice(digits)
                    data[i : i + 1] = r.choice((b"-", b"9", b"0", b"1e9", b"99999999999", b"x"))
            case _:
                data[place:place] = data[max(0, place - r.randrange(1, 100)) : place]
    return bytes(data)


def damaged_elements(seed: bytes, r: random.Random, width: int, begin: int = 0) -> bytes:
    """Whole elements of ``width`` bytes changed, mostly as many; ``begin``: where they begin."""
    body = seed[begin:]
    elements = [body[i : i + width] for i in range(0, len(body), width)]
    for _ in range(r.choice((1, 1, 2, 3, 8))):
        if not elements:
            break
        i, j = r.randrange(len(elements)), r.randrange(len(elements))
        value = int.from_bytes(elements[i], "little")
        match r.randrange(9):
            case 0 | 1:
                elements[i] = elements[j]
            case 2:
                elements[i], elements[j] = elements[j], elements[i]
            case 3 | 4:
                value = (value + r.choice((1, -1, 2, -2))) % 256**width
                elements[i] = value.to_bytes(width, "little")
            case 5:
                elements[i] = r.randrange(20).to_bytes(width, "little")
            case 6:
                elements[i] = r.choice((b"\0" * width, b"\xff" * width, b"\xff" + b"\0" * width))[
                    :width
                ]
            case 7 if r.random() < 0.3:
                del elements[i]
            case 7 if r.random() < 0.5:
                elements[i:i] = [elements[j]]
            case _:
                elements[i] = elements[i][:-1] + r.randbytes(1)
    return seed[:begin] + b"".join(elements)


def damaged_starts(seed: bytes, r: random.Random, end: int, closed: bool) -> bytes:
    """Starts of sentences or files: others that rise as they should, or damaged elements.

    ``end`` is where the last one ends, which is one of them if ``closed``.
    """
    if r.random() < 0.05:
        return damaged_bytes([seed], r)
    if r.random() < 0.4:
        return damaged_elements(seed, r, 8)
    starts = {i for (i,) in struct.iter_unpack("<q", seed)}
    for _ in range(r.choice((1, 2, 5))):
        starts ^= {r.randrange(1, end)}
    rising = sorted({0, *starts} | ({end} if closed else set()))
    return struct.pack(f"<{len(rising)}q", *rising)


def damaged_npy(seed: bytes, r: random.Random) -> bytes:
    """A .npy file of other numbers or another header, or damaged bytes."""
    kind = r.random()
    if kind < 0.2:
        return damaged_bytes([seed], r)
    (size,) = struct.unpack("<H", seed[8:10])
    if kind < 0.7:
        return damaged_elements(seed, r, 4, 10 + size)
    header = seed[10 : 10 + size].decode("latin-1").strip()
    for _ in range(r.choice((1, 1, 2))):
        old, new = r.choice(
            (("<f4", "<f2"), ("<f4", "<f8"), ("<f4", ">f4"), ("<f4", "<i4"), ("<f4", "|O"),
             ("False", "True"), (", ", "1, "), ("(", "(1, "), (")", ",)"), ("4", "2"), ("'", '"'),
             ("shape", "form"), ("1", "2"), ("2", "1"))
        )  # fmt: skip
        header = header.replace(old, new, 1)
    packed = header.encode("latin-1").ljust(size - 1) + b"\n"
    return seed[:8] + struct.pack("<H", len(packed)) + packed + seed[10 + size :]


def damaged_rows(seed: bytes, r: random.Random, separator: str) -> bytes:
    """A text of rows and columns whose rows are other ones, mostly as many; or damaged bytes."""
    if r.random() < 0.25:
        return damaged_bytes([seed], r)
    rows = [line.split(separator) for line in seed.decode().split("\n")]
    for _ in range(r.choice((1, 1, 2, 3))):
        i, j = r.randrange(len(rows)), r.randrange(len(rows))
        column = r.randrange(len(rows[i]))
        old = rows[i][column]
        match r.randrange(8):
            case 0:
                rows[i], rows[j] = rows[j], rows[i]
            case 1 if r.random() < 0.3:
                del rows[i]
                rows = rows or [[""]]
            case 1 if r.random() < 0.5:
                rows[i:i] = [list(rows[j])]
            case 2:
                rows[i][column] = r.choice(TEXTS[:12] if r.random() < 0.2 else ("词", "-1", "0.5"))
            case 3 | 4 if old.lstrip("-").replace(".", "", 1).isdigit():
                rows[i][column] = r.choice((old + "0", "1" + old, old[:-1], "0", "7", "-" + old))
            case _ if old:
                k = r.randrange(len(old))
                new = r.choice("书茶é1 aZ.😀ß")
                rows[i][column] = old[:k] + new + old[k + r.randrange(2) :]
    return "\n".join(map(separator.join, rows)).encode("utf-8", "surrogatepass")


def same(seed: bytes, data: bytes, suffix: str) -> bool:
    """Whether an input is its seed, however it is spelled."""
    try:
        match suffix:
            case ".json":
                return bool(json.loads(data) == json.loads(seed))
            case ".safetensors":
                return data == seed or taken_apart(data) == taken_apart(seed)
            case ".jsonl" | ".tsv" | ".txt":
                return data.splitlines() == seed.splitlines()
    except (ValueError, RecursionError, struct.error):
        return False
    return data == seed


def taken_apart(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and tensors of a safetensors file."""
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def put_together(header: Any, body: bytes, *, checksum: bool = True) -> bytes:
    """A safetensors file, with the right checksum unless it has none."""
    meta = header.get("__metadata__") if isinstance(header, dict) else None
    if checksum and isinstance(meta, dict) and "sha256" in meta:
        header = {**header, "__metadata__": {**meta, "sha256": hashlib.sha256(body).hexdigest()}}
    encoded = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(encoded)) + encoded + body


def damaged_tensors(seed: bytes, r: random.Random) -> bytes:
    """A safetensors file whose checks of layout and checksum pass, as often as not."""
    kind = r.random()
    if kind < 0.15:
        return damaged_bytes([seed], r)
    header, body = taken_apart(seed)
    if kind < 0.35:
        return put_together(damaged_value(header, r), body)
    meta = header["__metadata__"]
    if kind < 0.55:  # what is said of the tensors, in JSON within JSON where it is
        key = r.choice(list(meta))
        try:
            meta[key] = as_json(damaged_value(json.loads(meta[key]), r), r).decode(
                "utf-8", "replace"
            )
        except ValueError:
            meta[key] = r.choice((*TEXTS, *map(str, NUMBERS)))
        if r.random() < 0.1:
            del meta[key]
        return put_together(header, body)
    if kind < 0.75:  # other numbers in the tensors
        if r.random() < 0.5:
            return put_together(header, damaged_elements(body, r, r.choice((4, 8))))
        changed = bytearray(body)
        for _ in range(r.choice((1, 2, 10, 200))):
            if changed:
                i = r.randrange(len(changed) // 4 or 1) * 4
                changed[i : i + 4] = r.choice(
                    (
                        *(struct.pack("<f", x) for x in (float("nan"), float("inf"), 1e38, 0.0)),
                        *(b"\xff" * 4, b"\0" * 4, r.randbytes(4), struct.pack("<i", -1)),
                    )
                )[: len(changed) - i]
        return put_together(header, bytes(changed))
    return _other_tensors(header, body, r)


def _other_tensors(header: dict[str, Any], body: bytes, r: random.Random) -> bytes:
    """Tensors dropped, renamed, of another shape or type, laid out without a hole."""
    pieces = {
        name: (entry["dtype"], list(entry["shape"]), body[slice(*entry["data_offsets"])])
        for name, entry in header.items()
        if name != "__metadata__"
    }
    for _ in range(r.choice((1, 1, 2, 3))):
        if not pieces:
            break
        name = r.choice(list(pieces))
        dtype, shape, data = pieces[name]
        match r.randrange(7):
            case 0:
                del pieces[name]
            case 1:
                pieces[r.choice((name + "x", "a.b.c", "state.x", "state.0", "optimizer.x"))] = (
                    pieces.pop(name)
                )
            case 2:
                pieces[name] = (dtype, shape[::-1], data)
            case 3:
                pieces[name] = (dtype, [len(data) // _WIDTHS[dtype]], data)
            case 4:
                keep = len(data) // 2 // 8 * 8
                pieces[name] = (dtype, [keep // _WIDTHS[dtype]], data[:keep])
            case 5:
                wanted = r.choice(list(_WIDTHS))
                pieces[name] = (wanted, [len(data) // _WIDTHS[wanted]], data)
                if len(data) % _WIDTHS[wanted]:
                    pieces[name] = (dtype, [1, *shape], data)
            case _:
                other = r.choice(list(pieces))
                pieces[name], pieces[other] = pieces[other], pieces[name]
    laid: dict[str, Any] = {"__metadata__": header["__metadata__"]}
    joined = b""
    for name, (dtype, shape, data) in pieces.items():
        span = [len(joined), len(joined) + len(data)]
        laid[name] = {"dtype": dtype, "shape": shape, "data_offsets": span}
        joined += data
    return put_together(laid, joined)


_WIDTHS = {
    **{"F64": 8, "F32": 4, "F16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1},
    **{"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1},
}
