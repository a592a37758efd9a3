"""Chinese in GBK that happens to be valid UTF-8, which only a few words do.

A character of GBK is two bytes, and so is one of UTF-8 from U+0080 to U+07FF: 小说 reads ``С˵``,
学校 ``ѧУ``. The longer a text, the less it can be: each character has a chance of a sixth.
"""

import re
import unicodedata
from typing import Literal

# More different characters than this are no chance.
MOST_CHARACTERS = 40
_LONGER = re.compile("[\u0800-\U0010ffff]")
_RUN = re.compile("[\u0080-\u07ff]+")
# Letters of living languages, by script; signs are of all of them. What is not here is rare.
_USUAL = (
    (0x00C0, 0x013E, "Latin"), (0x0141, 0x0148, "Latin"), (0x014A, 0x017E, "Latin"),
    (0x01A0, 0x01B0, "Latin"), (0x01CD, 0x01DC, "Latin"), (0x0218, 0x021B, "Latin"),
    (0x0386, 0x03CE, "Greek"), (0x0400, 0x045F, "Cyrillic"), (0x0490, 0x0493, "Cyrillic"),
    (0x0531, 0x0556, "Armenian"), (0x0561, 0x0587, "Armenian"),
    (0x05D0, 0x05EA, "Hebrew"), (0x0621, 0x06D3, "Arabic"), (0x06F0, 0x06F9, "Arabic"),
)  # fmt: skip
# Marks that follow a letter, and the apostrophes of some languages.
_FOLLOWING = ((0x0300, 0x036F), (0x0591, 0x05C7), (0x02BB, 0x02BC))

Verdict = Literal["", "doubtful", "chinese"]


def chinese_in_disguise(text: str, frequent: frozenset[str]) -> Verdict:
    """Whether ``text``, decoded from UTF-8, was rather written in GBK; empty: it was not.

    It is when all characters are of the first level of GB 2312, half of them ``frequent``, and as
    UTF-8 there is a word of letters that nobody puts together. With fewer, and for a single rare
    letter, it is doubtful.
    """
    if _LONGER.search(text):
        return ""
    runs = _RUN.findall(text)
    beyond = frozenset("".join(runs))
    if not 0 < len(beyond) <= MOST_CHARACTERS:
        return ""
    odd = [run for run in set(runs) if is_odd(run)]
    if not odd:
        return ""
    characters = [_as_gbk(character) for character in beyond]
    known = [character for character in characters if _is_first_level(character)]
    often = sum(character in frequent for character in characters)
    words = any(len(run) > 1 for run in odd)
    if len(known) < len(characters) or not (often or (words and len(odd) == len(set(runs)))):
        return ""
    return "chinese" if words and 2 * often >= len(characters) else "doubtful"


def is_odd(run: str) -> bool:
    """Whether characters that stand together are rare, of two scripts, or marks on nothing."""
    scripts: set[str] = set()
    for character in run:
        code = ord(character)
        if any(first <= code <= last for first, last in _FOLLOWING):
            if not scripts:
                return True
            continue
        script = next((name for first, last, name in _USUAL if first <= code <= last), None)
        if script is not None:
            scripts.add(script)
        elif code >= 0xC0 and character not in "×÷" and unicodedata.category(character)[0] in "LMS":
            return True
    return len(scripts) > 1


def _as_gbk(character: str) -> str:
    return character.encode().decode("gbk", "replace")


def _is_first_level(character: str) -> bool:
    try:
        code = character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return len(code) == 2 and 0xB0 <= code[0] < 0xD8
