"""Encodings by name: which there are, their marks, and what stands for bytes that are bad."""

import codecs
import encodings.aliases

from nplm_cli.errors import ConfigError, did_you_mean

# Longest first: the mark of UTF-32-LE begins with that of UTF-16-LE.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    b"\x84\x31\x95\x33": "gb18030",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
ERRORS = ("strict", "replace")
# Stands for a bad sequence until it is counted: half a character, which no codec here reads.
BAD = "\udfff"
# The error handler that puts it there.
REPLACING = "nplm-replace"
# Python's codecs that no text file is written in.
_NOT_FOR_FILES = (
    *("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"),
    "utf_7",  # of mail; it can spell half characters
)
_SHOWN = {
    "utf-8": "UTF-8",
    "gb18030": "GB18030",
    "cp950": "Big5 (cp950)",
    "big5hkscs": "Big5 (HKSCS)",
}


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


def checked_errors(errors: str) -> str:
    """``strict`` or ``replace``; raises ConfigError for anything else."""
    if errors not in ERRORS:
        raise ConfigError(
            f"--errors {errors!r}: expected strict or replace{did_you_mean(errors, ERRORS)}"
        )
    return errors


def decode_replacing(data: bytes, encoding: str) -> tuple[str, int]:
    """Text with U+FFFD for what is bad, and the number of bad sequences."""
    text = data.decode(encoding, REPLACING)
    return text.replace(BAD, "\ufffd"), text.count(BAD)


def replaced_note(name: str, number: int) -> str:
    """What is said and stored of a file whose bad bytes were replaced."""
    sequences = "sequences" if number != 1 else "sequence"
    return f"{name}: {number:,} bad byte {sequences} replaced by U+FFFD (--errors replace)"


def shown_encoding(encoding: str) -> str:
    """Name of an encoding as messages have it."""
    return _SHOWN.get(encoding, encoding.upper())


def _mark_bad(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return BAD, error.end


codecs.register_error(REPLACING, _mark_bad)
