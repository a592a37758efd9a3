"""Files that are no text, known by their first bytes and called by their names."""

import re

from nplm_cli.errors import InputError

# What holds text that can be had out of it.
_WITH_TEXT = {
    rb"PK(?:\x03\x04|\x05\x06)": "a zip archive (or a document of an office program)",
    rb"\xd0\xcf\x11\xe0": "a document of an office program",
    rb"%PDF-": "a PDF document",
    rb"\{\\rtf": "an RTF document",
    rb"7z\xbc\xaf": "a 7z archive",
    rb"Rar!\x1a": "a rar archive",
    rb"\x1f\x9d": "data compressed by compress (.Z)",
    rb"\x04\x22\x4d\x18": "data compressed by lz4",
    rb".{257}ustar": "a tar archive",
}
# What does not. No text begins so: letters alone are not taken for a sign.
_WITHOUT_TEXT = {
    rb"\x89PNG\r\n\x1a\n": "a PNG picture",
    rb"\xff\xd8\xff": "a JPEG picture",
    rb"GIF8[79]a.{6}\0": "a GIF picture",
    rb"RIFF.{4}WEBP": "a WebP picture",
    rb"RIFF.{4}(?:WAVE|AVI )": "a sound or video file",
    rb"II\*\0|MM\0\*": "a TIFF picture",
    rb".{4}ftyp[a-zA-Z0-9 ]{4}": "a video or picture file (MP4, HEIC ...)",
    rb"ID3[\x02-\x04]|OggS\0|fLaC\0": "a sound file",
    rb"\x1aE\xdf\xa3": "a video file",
    rb"\x7fELF|MZ[\x90\x00]|[\xce\xcf]\xfa\xed\xfe|\0asm": "a program",
    rb"\xca\xfe\xba\xbe": "a program (Java or macOS)",
    rb"SQLite format 3\0": "an SQLite database",
    rb"\x89HDF\r\n\x1a\n": "an HDF5 file",
    rb"\x93NUMPY": "an array of NumPy (.npy)",
    rb"PAR1[\x00-\x1f]": "a Parquet table",
    rb"\x80[\x02-\x05][\]\}\x95c]": "a pickle of Python",
}
_CURES = {
    "unpack it or save it as plain text first": _WITH_TEXT,
    "leave it out": _WITHOUT_TEXT,
}
_KINDS = [
    (re.compile(magic, re.DOTALL), kind, cure)
    for cure, kinds in _CURES.items()
    for magic, kind in kinds.items()
]


def refuse_foreign(head: bytes, name: str) -> None:
    """Raise InputError for a file that begins as one of these."""
    for magic, kind, cure in _KINDS:
        if magic.match(head):
            raise InputError(f"{name}: {kind}, expected text; {cure}")
