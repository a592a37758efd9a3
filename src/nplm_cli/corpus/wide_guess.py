"""UTF-16 and UTF-32 without a mark, seen from where zero bytes and frequent characters stand."""

from nplm_cli.corpus.encoding_guess import FREQUENT, MARKS, decoded

# Bytes that are looked at.
WIDE_BYTES = 1 << 16


def guess_wide(sample: bytes) -> str:
    """UTF-16 or UTF-32 without a mark, or an empty string for other bytes.

    Zero bytes are the upper halves of plain characters, and where they stand tells the byte
    order; but U+4E00 (一) has one, too, at the other place, so what is frequent decides.
    """
    sample = sample[:WIDE_BYTES]
    for encoding, top, second in (("utf-32-le", 3, 2), ("utf-32-be", 0, 1)):
        if len(sample) >= 8 and not any(sample[top::4]) and max(sample[second::4]) <= 0x10:
            text = decoded(sample, encoding)
            if text and "\0" not in text:
                return encoding
    shares = {encoding: _plain_share(sample, encoding) for encoding in ("utf-16-le", "utf-16-be")}
    best = max(shares, key=lambda encoding: shares[encoding])
    # A handful of characters can be anything: names of three letters with a NUL between.
    needed = 0.3 if len(sample) >= 200 else 0.75
    return best if shares[best] >= needed and shares[best] > 4 * min(shares.values()) else ""


def _plain_share(sample: bytes, encoding: str) -> float:
    """Share of characters that are usual in some language; 0 when it cannot be a text."""
    text = decoded(sample, encoding)
    if not text or len(text) < 2 or any(character in text for character in "\0\ufffe\uffff"):
        return 0.0
    return sum(map(_is_usual, text)) / len(text)


def _is_usual(character: str) -> bool:
    code = ord(character)
    return (
        0x20 <= code < 0x7F
        or character in "\t\n\r"
        or 0xA0 <= code < 0x600  # letters of Europe and the Near East
        or 0x3040 <= code < 0x3100  # kana
        or character in FREQUENT
        or character in MARKS
    )
