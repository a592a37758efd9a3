"""Text becomes words: normalisation, Chinese words (jieba), single characters, what is special.

A tokenizer yields ``Span``: a token and where in the text it stands. Nothing but white space is
ever lost: the tokens put together are the normalised text without its white space.
"""

import functools
import logging
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

UNKNOWN = "<unk>"
# What ordinary text may hold, but no vocabulary: there these strings have a meaning.
ESCAPES = {"<unk>": "&lt;unk&gt;", "<s>": "&lt;s&gt;", "</s>": "&lt;/s&gt;"}

_FOLD = {
    ord(full): half
    for first, last in ("０９", "ＡＺ", "ａｚ")
    for full, half in ((chr(c), chr(c - 0xFEE0)) for c in range(ord(first), ord(last) + 1))
}
_FULL_WIDTH = re.compile("[０-９Ａ-Ｚａ-ｚ]")
# Ideographs with their extensions, kana, bopomofo, hangul: scripts written without spaces, and
# those that go with them.
CJK = (
    "\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
)
_CHINESE = re.compile(f"[{CJK}]")
_NON_SPACE = re.compile(r"\S")
# jieba cuts these into single characters; in print they are one mark.
_RUNS = frozenset("…—─－")
# jieba keeps 3.14 and 50% together, but neither 1,000 nor a full-width decimal point.
_FIGURE = re.compile(
    r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:[.．][0-9]+)?[%％]?|[0-9]+．[0-9]+[%％]?"
)


class Span(NamedTuple):
    """A token and the offsets of its first character and of the one after its last."""

    token: str
    start: int
    end: int


def fold_width(text: str) -> str:
    """Full-width digits and letters become ASCII; nothing else changes, and no offset moves."""
    return text.translate(_FOLD) if _FULL_WIDTH.search(text) else text


def count_chinese(text: str) -> int:
    """Return the number of Chinese (Japanese, Korean) characters."""
    return len(_CHINESE.findall(text))


def is_unsegmented(text: str) -> bool:
    """Whether Chinese text carries no word boundaries: no space, more than four characters."""
    return len(text.split()) == 1 and count_chinese(text) > 4


def escape(token: str, *, keep_unknown: bool = False) -> str:
    """Make a token that looks like a special one ordinary text (``</s>`` -> ``&lt;/s&gt;``)."""
    if token[:1] != "<" or (keep_unknown and token == UNKNOWN):
        return token
    return ESCAPES.get(token, token)


def character_spans(text: str) -> Iterator[Span]:
    """Each character (code point) that is not white space is a token."""
    for match in _NON_SPACE.finditer(text):
        yield Span(match[0], match.start(), match.end())


def chinese_spans(text: str) -> Iterator[Span]:
    """Words by jieba with its model for unknown words; ``……``, ``——``, ``1,000`` are one token."""
    start = 0
    for token in _join_runs(_cut(text)):
        end = start + len(token)
        if not token.isspace():
            yield Span(token, start, end)
        start = end


def _cut(text: str) -> Iterator[str]:
    start = 0
    for figure in _FIGURE.finditer(text):
        yield from _jieba().cut(text[start : figure.start()])
        yield figure[0]
        start = figure.end()
    yield from _jieba().cut(text[start:] if start else text)


def _join_runs(tokens: Iterable[str]) -> Iterator[str]:
    # Any other token is a group of its own.
    for (token, is_run), group in groupby(tokens, key=lambda token: (token, token in _RUNS)):
        if is_run:
            yield "".join(group)
        else:
            yield from (token for _ in group)


@functools.cache
def _jieba() -> Any:
    """Return jieba's segmenter, silent, with its dictionary cached where only this user writes.

    By itself jieba unmarshals a file of the folder that all users share.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its regular expressions and pkg_resources
        import jieba

    jieba.setLogLevel(logging.CRITICAL)
    segmenter = jieba.Tokenizer()
    folder = _private_cache_folder()
    try:
        segmenter.tmp_dir = str(folder or tempfile.mkdtemp(prefix="nplm-"))
        segmenter.initialize()
    finally:
        if folder is None and segmenter.tmp_dir:
            shutil.rmtree(segmenter.tmp_dir, ignore_errors=True)
    return segmenter


def _private_cache_folder() -> Path | None:
    """Return ``~/.cache/nplm`` (or XDG_CACHE_HOME), this user's alone; None when impossible."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base) / "nplm"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid"):
            if folder.stat().st_uid != os.getuid():
                return None
            folder.chmod(0o700)
        return folder if os.access(folder, os.W_OK) else None
    except OSError:
        return None
