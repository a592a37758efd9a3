"""Bytes become text: a named encoding, a byte order mark, or what the bytes are seen to be."""

import codecs
from collections.abc import Callable, Iterator
from typing import NoReturn

from nplm_cli.corpus.encoding_guess import (
    CANDIDATES,
    first_mistake,
    guess_encoding,
)
from nplm_cli.corpus.encodings import BAD, MARKS, REPLACING, replaced_note, shown_encoding
from nplm_cli.corpus.wide_guess import guess_wide
from nplm_cli.errors import InputError

# "auto" decides by so many bytes, and by more while they leave a doubt.
SAMPLE_BYTES = 1 << 16
LARGEST_SAMPLE = 1 << 22
# More zeros than this share are no damaged text but other data.
BINARY_SHARE = 0.01
_MARK = "\ufeff"
# So many characters beyond ASCII are no other encoding that happens to be valid UTF-8.
UTF8_CHARACTERS = 10


class Decoder:
    """Decodes the blocks of one file; decides the encoding when it is ``auto``.

    ``replaced`` counts the bad sequences that became U+FFFD (``errors="replace"``).
    """

    def __init__(
        self,
        name: str,
        encoding: str,
        on_event: Callable[[str], None] | None = None,
        *,
        errors: str = "strict",
        declared: str = "",
        replaceable: bool = True,
        cure: str = "",
        keep_marks: bool = False,
    ):
        """Take the file's name for messages, the encoding from ``checked_encoding``.

        ``declared`` is the encoding that the file says of itself (as pages do), for ``auto``.
        ``replaceable``: messages may name --errors replace. ``cure`` is said instead of any option,
        for a file that no option is for; an encoding that is not sure is an error there. With
        ``keep_marks`` U+FEFF inside the text stays.
        """
        self.name = name
        self.named = encoding != "auto"
        self.encoding = encoding if self.named else ""
        self.replaced = 0
        self._lossy = errors == "replace"
        self._replaceable = replaceable and not cure
        self._cure = cure
        self._keep_marks = keep_marks
        self._declared = declared
        self._on_event = on_event or (lambda event: None)
        # Whether the bytes so far are UTF-8, though another encoding was named.
        self._utf8 = Utf8Check() if self.named and not encoding.startswith("utf") else None
        self._bytes = 0  # decoded so far
        self._lines = 0  # line ends in them
        self._after_cr = False
        self._marks = 0

    def decode(self, blocks: Iterator[bytes]) -> Iterator[str]:
        """Yield the text of ``blocks``; raises InputError at the first bad byte if strict."""
        decoder: codecs.IncrementalDecoder | None = None
        at_start = True
        for block in blocks:
            if at_start:
                mark = self._mark(block)
                self._bytes = len(mark)
                block = block[len(mark) :]
            # Decide only when there is something to decide by.
            open_ = not self.encoding or self.encoding in ("utf-16", "utf-32")
            if open_ and not (block.isascii() and b"\0" not in block):
                block = self._decided(block, blocks, at_start)
            at_start = False
            self._refuse_zeros(block)
            if not self.encoding:
                text = block.decode("ascii")
            else:
                if decoder is None:
                    errors = REPLACING if self._lossy else "strict"
                    decoder = codecs.getincrementaldecoder(self.encoding)(errors)
                text = self._decoded(decoder, block, final=False)
            if self._utf8 is not None:
                self._utf8.take(block)
            yield self._checked(text)
            self._bytes += len(block)
        if decoder is not None and (text := self._decoded(decoder, b"", final=True)):
            yield self._checked(text)
        self._tell_what_was_changed()

    def _mark(self, block: bytes) -> bytes:
        """Honour a byte order mark unless another encoding is named."""
        for mark, encoding in MARKS.items():
            # "utf-16" and "utf-32" leave the byte order to the mark.
            if block.startswith(mark) and (not self.named or encoding.startswith(self.encoding)):
                if not self.named and encoding != "utf-8":
                    self._on_event(f"{self.name}: {shown_encoding(encoding)}")
                self.encoding = encoding
                return mark
        return b""

    def _decided(self, block: bytes, blocks: Iterator[bytes], at_start: bool) -> bytes:
        """Set the encoding, and return ``block`` with what had to be read to do so."""
        sample = block
        whole = False
        while len(sample) < SAMPLE_BYTES:
            if not (more := next(blocks, b"")):
                whole = True
                break
            sample += more
        wide = guess_wide(sample) if at_start and (self.named or b"\0" in sample) else ""
        if wide and wide.startswith(self.encoding):
            if not self.named:
                self._on_event(f"{self.name}: {shown_encoding(wide)} (without a byte order mark)")
            self.encoding = wide
        if self.encoding:
            return sample
        self._refuse_zeros(sample)
        guess = guess_encoding(sample, self._declared, lossy=self._lossy, whole=whole)
        while guess is not None and not guess.clear and len(sample) < LARGEST_SAMPLE and not whole:
            more = next(blocks, b"")
            whole = not more
            sample += more
            self._refuse_zeros(sample)
            guess = guess_encoding(sample, self._declared, lossy=self._lossy, whole=whole)
        if guess is None:
            self._refuse_encoding(sample, whole)
        self.encoding = guess.encoding
        shown, other = shown_encoding(guess.encoding), shown_encoding(guess.other)
        if self._cure and not guess.clear:
            or_ = f" or {other}" if other else " or another encoding"
            raise InputError(f"{self.name}: {shown}{or_}, too little text to tell; {self._cure}")
        if guess.other:
            self._on_event(
                f"{self.name}: {shown} or {other}, too little text to tell: read as {shown}; "
                "name the right one with --encoding"
            )
        elif not guess.clear:
            self._on_event(
                f"{self.name}: {shown}, by too little text to be sure; if it is another one, name "
                "it with --encoding"
            )
        elif self.encoding != "utf-8":
            self._on_event(f"{self.name}: {shown}")
        return sample

    def _refuse_zeros(self, block: bytes) -> None:
        """Refuse a NUL where it is no part of a character; many of them in any case."""
        if b"\0" not in block or self.encoding.startswith(("utf-16", "utf-32")):
            return
        many = block.count(b"\0") > BINARY_SHARE * len(block)
        if many or not self._lossy:
            replace = ", or if it is damaged --errors replace"
            cure = self._cure or (
                "leave the file out, or if it is UTF-16 give --encoding utf-16-le or utf-16-be"
                f"{'' if many or not self._replaceable else replace}"
            )
            raise InputError(
                f"{self.name}: binary data (a NUL at byte {self._bytes + block.index(0)}), "
                f"expected text; {cure}"
            )

    def _decoded(self, decoder: codecs.IncrementalDecoder, block: bytes, final: bool) -> str:
        waiting, _ = _state(decoder)
        try:
            return decoder.decode(block, final)
        except UnicodeDecodeError as error:
            start = self._bytes - len(waiting)
            self._refuse_bytes(waiting + block, error.start, start)
        except UnicodeError as error:
            raise InputError(
                f"{self.name}: not {shown_encoding(self.encoding)}: {error}"
            ) from error

    def _checked(self, text: str) -> str:
        """Count lines and bad sequences; leave out marks, which joined files have inside."""
        if "\0" in text:
            if not self._lossy:
                self._counted(text[: text.index("\0")])
                replace = ", or replace what is bad with --errors replace"
                raise InputError(
                    f"{self.name}:{self._lines + 1}: a NUL, expected text; mend the file"
                    f"{replace if self._replaceable else ''}"
                )
            text = text.replace("\0", BAD)
        if _MARK in text and not self._keep_marks:
            self._marks += text.count(_MARK)
            text = text.replace(_MARK, "")
        if BAD in text:
            self.replaced += text.count(BAD)
            text = text.replace(BAD, "\ufffd")
        return self._counted(text)

    def _counted(self, text: str) -> str:
        # A CRLF may fall on two blocks.
        ends = text.count("\n")
        if "\r" in text or self._after_cr:
            ends += text.count("\r") - text.count("\r\n")
            ends -= self._after_cr and text.startswith("\n")
            self._after_cr = text.endswith("\r") if text else self._after_cr
        self._lines += ends
        return text

    def _tell_what_was_changed(self) -> None:
        if self._utf8 is not None and self._utf8.is_utf8():
            self._on_event(
                f"warning: {self.name}: the bytes are valid UTF-8, read as "
                f"{shown_encoding(self.encoding)} as asked"
            )
        if self._marks:
            self._on_event(
                f"{self.name}: {self._marks:,} byte order marks (U+FEFF) inside the text left out"
            )
        if self.replaced:
            self._on_event(f"warning: {replaced_note(self.name, self.replaced)}")

    def _refuse_encoding(self, sample: bytes, whole: bool) -> NoReturn:
        """Refuse what is in none of the encodings: by the one that it is in but for some damage."""
        likely = guess_encoding(sample, self._declared, lossy=True, whole=whole)
        self.encoding = likely.encoding if likely is not None else "utf-8"
        start = first_mistake(sample, self.encoding, whole)
        if start is None:
            self.encoding = "utf-8"
            start = first_mistake(sample, "utf-8", whole) or 0
        why = ""
        if likely is None:
            if any(first_mistake(sample, encoding, whole) is None for encoding in CANDIDATES[:2]):
                why = ", and as GB18030 or Big5 it is no Chinese"
            if self._lossy:
                why += (
                    "; too many bytes are no UTF-8 text: --errors replace is for a few damaged ones"
                )
        self._refuse_bytes(sample, start, self._bytes, why, replaceable=likely is not None)

    def _refuse_bytes(
        self, data: bytes, start: int, data_start: int, why: str = "", *, replaceable: bool = True
    ) -> NoReturn:
        self._counted(data[:start].decode(self.encoding, "replace"))
        bad = " ".join(f"{byte:02x}" for byte in data[start : start + 4])
        cure = (
            "name the right one with --encoding"
            if self.named
            else "name the encoding with --encoding (big5, cp1252, utf-16-le ...)"
        )
        if replaceable:
            cure = f"mend the file or {cure}"
            if self._replaceable and not self._lossy:
                cure += ", or replace what is bad with --errors replace"
        raise InputError(
            f"{self.name}:{self._lines + 1}: byte {data_start + start}: {bad} "
            f"is not {shown_encoding(self.encoding)}{why}; {self._cure or cure}"
        )


class Utf8Check:
    """Whether blocks are valid UTF-8 with enough characters beyond ASCII to be no accident."""

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
        self._number = 0

    def take(self, block: bytes, final: bool = False) -> None:
        """Look at a block; after the first mistake at none."""
        if self._decoder is None:
            return
        try:
            text = self._decoder.decode(block, final)
        except UnicodeDecodeError:
            self._decoder = None
            return
        if self._number < UTF8_CHARACTERS and not text.isascii():
            self._number += sum(not character.isascii() for character in text)

    def is_utf8(self) -> bool:
        """Answer, after the last block."""
        self.take(b"", final=True)
        return self._decoder is not None and self._number >= UTF8_CHARACTERS


def _state(decoder: codecs.IncrementalDecoder) -> tuple[bytes, int]:
    waiting, flag = decoder.getstate()
    return (waiting, flag) if isinstance(waiting, bytes) else (b"", flag)
