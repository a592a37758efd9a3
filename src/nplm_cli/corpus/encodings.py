"""Bytes become text: a named encoding, a byte order mark, strict UTF-8, or GB18030."""

import codecs
import encodings.aliases
from collections.abc import Callable, Iterator
from typing import NoReturn

from nplm_cli.errors import ConfigError, InputError, did_you_mean

# Longest first: the mark of UTF-32-LE begins with that of UTF-16-LE.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    b"\x84\x31\x95\x33": "gb18030",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# What "auto" tries, in this order, on the first block that is not ASCII. Only encodings in
# which ASCII stands for itself.
CANDIDATES = ("utf-8", "gb18030")
# Python's codecs that no text file is written in.
_NOT_FOR_FILES = ("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape")
_SHOWN = {"utf-8": "UTF-8", "gb18030": "GB18030"}


def checked_encoding(name: str) -> str:
    """Python's own name of an encoding, or ``auto``; raises ConfigError when there is none."""
    if name == "auto":
        return name
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        known = sorted({n.replace("_", "-") for n in encodings.aliases.aliases.values()})
        near = did_you_mean(name.lower().replace("_", "-"), known)
        raise ConfigError(
            f"--encoding {name!r}: unknown{near or '; common ones are utf-8, gb18030, big5'}"
        ) from None
    text = getattr(found, "_is_text_encoding", True)
    if not text or found.name.replace("-", "_") in _NOT_FOR_FILES or not found.incrementaldecoder:
        raise ConfigError(f"--encoding {name!r}: not an encoding of text files; try utf-8")
    return found.name


class Decoder:
    """Decodes the blocks of one file strictly; decides the encoding when it is ``auto``."""

    def __init__(self, name: str, encoding: str, on_event: Callable[[str], None] | None = None):
        """Take the file's name for messages and the encoding from ``checked_encoding``."""
        self.name = name
        self.named = encoding != "auto"
        self.encoding = encoding if self.named else ""
        self._on_event = on_event or (lambda event: None)
        self._bytes = 0  # decoded so far
        self._lines = 0  # line ends in them
        self._after_cr = False

    def decode(self, blocks: Iterator[bytes]) -> Iterator[str]:
        """Yield the text of ``blocks``; raises InputError at the first bad byte."""
        decoder: codecs.IncrementalDecoder | None = None
        for block in blocks:
            first = self._bytes == 0
            if first:
                mark = self._mark(block)
                self._bytes = len(mark)
                block = block[len(mark) :]
                if not self.encoding.startswith(("utf-16", "utf-32")) and b"\0" in block:
                    self._refuse_binary(self._bytes + block.index(b"\0"))
            if not self.encoding:
                if block.isascii():  # decide only when there is something to decide by
                    yield self._counted(block.decode("ascii"))
                    self._bytes += len(block)
                    continue
                self.encoding = self._decide(block)
                if self.encoding != "utf-8":
                    self._on_event(f"{self.name}: {_shown(self.encoding)}")
            if decoder is None:
                decoder = codecs.getincrementaldecoder(self.encoding)("strict")
            text = self._decoded(decoder, block, final=False)
            if first and text.startswith("\ufeff"):
                text = text[1:]
            yield self._counted(text)
            self._bytes += len(block)
        if decoder is not None and (text := self._decoded(decoder, b"", final=True)):
            yield self._counted(text)

    def _mark(self, block: bytes) -> bytes:
        """Honour a byte order mark unless another encoding is named."""
        for mark, encoding in MARKS.items():
            # "utf-16" and "utf-32" leave the byte order to the mark.
            if block.startswith(mark) and (not self.named or encoding.startswith(self.encoding)):
                if not self.named and encoding != "utf-8":
                    self._on_event(f"{self.name}: {_shown(encoding)}")
                self.encoding = encoding
                return mark
        return b""

    def _decide(self, block: bytes) -> str:
        """Return the first candidate that reads ``block`` (its end may cut a character)."""
        mistakes: dict[str, UnicodeDecodeError] = {}
        for encoding in CANDIDATES:
            try:
                text = codecs.getincrementaldecoder(encoding)("strict").decode(block, False)
            except UnicodeDecodeError as error:
                mistakes[encoding] = error
            else:
                # Damaged UTF-8 and Western text can be readable as GB18030, as nonsense.
                if mistakes and (_mostly_utf8(block) or _hardly_chinese(text)):
                    break
                return encoding
        self.encoding = "utf-8"
        if len(mistakes) == len(CANDIDATES) and not _mostly_utf8(block):
            self.encoding = max(mistakes, key=lambda encoding: mistakes[encoding].start)
        self._refuse_bytes(block, mistakes[self.encoding].start, self._bytes)

    def _decoded(self, decoder: codecs.IncrementalDecoder, block: bytes, final: bool) -> str:
        waiting, _ = _state(decoder)
        try:
            return decoder.decode(block, final)
        except UnicodeDecodeError as error:
            start = self._bytes - len(waiting)
            self._refuse_bytes(waiting + block, error.start, start)
        except UnicodeError as error:
            raise InputError(f"{self.name}: not {_shown(self.encoding)}: {error}") from error

    def _counted(self, text: str) -> str:
        # A CRLF may fall on two blocks.
        ends = text.count("\n")
        if "\r" in text or self._after_cr:
            ends += text.count("\r") - text.count("\r\n")
            ends -= self._after_cr and text.startswith("\n")
            self._after_cr = text.endswith("\r") if text else self._after_cr
        self._lines += ends
        return text

    def _refuse_bytes(self, data: bytes, start: int, data_start: int) -> NoReturn:
        self._counted(data[:start].decode(self.encoding, "replace"))
        bad = " ".join(f"{byte:02x}" for byte in data[start : start + 4])
        cure = (
            "name the right one with --encoding"
            if self.named
            else "name the encoding with --encoding (big5, cp1252, utf-16-le ...)"
        )
        raise InputError(
            f"{self.name}:{self._lines + 1}: byte {data_start + start}: {bad} "
            f"is not {_shown(self.encoding)}; mend the file or {cure}"
        )

    def _refuse_binary(self, offset: int) -> NoReturn:
        raise InputError(
            f"{self.name}: binary data (a NUL at byte {offset}), expected text; "
            "leave the file out, or if it is UTF-16 give --encoding utf-16-le or utf-16-be"
        )


def _shown(encoding: str) -> str:
    return _SHOWN.get(encoding, encoding.upper())


def _state(decoder: codecs.IncrementalDecoder) -> tuple[bytes, int]:
    waiting, flag = decoder.getstate()
    return (waiting, flag) if isinstance(waiting, bytes) else (b"", flag)


def _mostly_utf8(block: bytes) -> bool:
    """Whether well-formed characters beyond ASCII outnumber bad ones ten to one."""
    text = block.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    return beyond_ascii - bad > 10 * bad


def _hardly_chinese(text: str) -> bool:
    """Whether ``text``, read as GB18030, is Western text with accents or curly quotes.

    There few bytes are beyond ASCII, and with the letter that follows they make rare characters;
    in Chinese most characters are among the 7,445 of GB 2312.
    """
    beyond_ascii = [character for character in text if not character.isascii()]
    common = len("".join(beyond_ascii).encode("gb2312", "ignore")) / 2
    return len(text) > 5 * len(beyond_ascii) and common < 0.2 * len(beyond_ascii)
