"""Which encoding a text is in, seen from its bytes.

The question is narrow, and so are the answers: UTF-8 by its own check; UTF-16 and UTF-32 without a
mark by where zero bytes stand; GB18030 or Big5 by what characters come out. In the right encoding
two thirds of them are among some hundreds (``FREQUENT``) or are Chinese marks, and nearly all are
in the first part of its table; in the wrong one a few in a hundred, and less than a half. On
running text thirty characters are enough. A detector of all encodings of all languages has more
ways to be wrong.
"""

import codecs
import re
from typing import NamedTuple

from nplm_cli.corpus.disguise import chinese_in_disguise

# What "auto" tries besides UTF-8, in this order; only encodings in which ASCII stands for itself.
# Big5 as Windows writes it, then with the characters of Hong Kong.
CANDIDATES = ("gb18030", "cp950", "big5hkscs")
# A page that declares one of these may hold characters of the larger one.
LARGER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "cp950",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
# The most frequent characters of modern Chinese, then traditional forms, then older words.
FREQUENT = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
    "日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政"
    "美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员"
    "解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件"
    "计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象"
    "完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运"
    "這個們來為國時說會過發後對裡裏種經麼學現當沒動還進樣開從實軍長機無與關點業將兩間問並應戰頭體見產給話"
    "門兒東聲員論處義幾認條氣題爾變總電數報結務場計資許統區隊決馬書則聽達強難權設類據邊張該規萬覺術領確傳"
    "師觀識帶導爭運於著內"
    "曰矣吾乃何未皆其亦若欲焉乎也"
)
MARKS = frozenset("，。、；：？！“”‘’（）《》〈〉「」『』【】…—·　０１２３４５６７８９")
# Until so many characters beyond ASCII are seen, and look so Chinese, anything may happen to look
# right, or wrong.
CLEAR_CHARACTERS = 10
CLEAR_SCORE = 0.7
# By this much (of two) an encoding must look better than the other one; the wrong one
# rarely comes to a half, the right one to less than one.
CLEAR_MARGIN = 0.4
# From here on what looks less right than LEAST_SCORE is not Chinese.
MANY_CHARACTERS = 30
LEAST_SCORE = 0.6
LEAST_FREQUENT = 0.1  # unless all are common, as in a list of names
ALL_COMMON = 0.95
LEAST_SCORE_OF_DAMAGED = 0.9
# The characters of Hong Kong stand among others; without these nearly all bytes can be read.
LEAST_COMMON_OF_HKSCS = 0.6
# Fewer are not Chinese that have no more than this.
LEAST_SCORE_OF_FEW = 0.35
# Japanese in EUC-JP: kana are where GB 2312 has its own, and all second bytes where they are in
# half of Big5. Korean in EUC-KR: all its syllables come before the middle of the table, where
# Chinese has but half of its characters.
KANA_SHARE = 0.15
SOME_KANA = 0.05  # with fewer frequent characters than Chinese has
FEW_FREQUENT = 0.3
LAST_HANGUL = 0xC8
HANGUL_SHARE = 0.97
# Characters that are looked at.
SAMPLE_CHARACTERS = 20_000
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
# Three bytes and more: no accident.
_LONGER = re.compile("[\u0800-\U0010ffff]")
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
# Words with characters beyond ASCII.
_WORD_AROUND = re.compile(r"[A-Za-z]*[^\x00-\x7f][A-Za-z]*")


class Guess(NamedTuple):
    """An encoding; ``clear``: nothing speaks for another; ``other`` does, where it is not."""

    encoding: str
    clear: bool = True
    other: str = ""


class Evidence(NamedTuple):
    """How Chinese a text looks that was read in some encoding.

    ``frequent`` and ``common`` are shares of its ``number`` of characters beyond ASCII: those of
    ``FREQUENT`` and ``MARKS``, and those of the first part of the encoding's table (GB 2312, level
    1; Big5, frequent characters), where nearly all of modern Chinese is.
    """

    number: int
    frequent: float
    common: float
    foreign: bool = False  # Japanese in EUC-JP, by what GB 2312 or Big5 has where it has kana
    korean: bool = False
    private: bool = False  # characters that no standard knows

    @property
    def score(self) -> float:
        """Between 0 and 2."""
        return self.frequent + self.common


def guess_encoding(
    sample: bytes, declared: str = "", *, lossy: bool = False, whole: bool = False
) -> Guess | None:
    """The encoding of the beginning of a text, whose end may cut a character unless ``whole``.

    ``declared`` is what the text says of itself, which counts when it is not UTF-8 and readable
    so. With ``lossy`` up to a tenth of the characters beyond ASCII may be bad, and of a text with
    few of these a fiftieth of all. None: undecidable, or none of those known here.
    """
    text = decoded(sample, "utf-8")
    if text is not None and whole and not _LONGER.search(text):
        text = decoded(sample, "utf-8", whole)
    if text is not None:
        match chinese_in_disguise(text, FREQUENT):
            case "chinese":
                return Guess("gb18030", clear=False, other="utf-8")
            case "doubtful":
                return Guess("utf-8", clear=False, other="gb18030")
        return Guess("utf-8")
    if declared and _readable(sample, declared, lossy) is not None:
        return Guess(declared)
    # Damaged UTF-8 and Western text can be readable as GB18030, as nonsense.
    if mostly_utf8(sample):
        return Guess("utf-8") if lossy else None
    guess = _guess_chinese(sample, whole)
    if guess is None and lossy:
        guess = _guess_damaged(sample)
    return guess


def _guess_chinese(sample: bytes, whole: bool) -> Guess | None:
    found: dict[str, Evidence] = {}
    for encoding in CANDIDATES:
        text = decoded(sample, encoding, whole)
        if text is None or (encoding == "big5hkscs" and "cp950" in found):
            continue
        evidence = weigh(text, encoding)
        if encoding == "big5hkscs" and evidence.common < LEAST_COMMON_OF_HKSCS:
            continue
        if not _hardly_chinese(sample, text, evidence):
            found[encoding] = evidence
    if not found:
        return None
    # Stable: of equals the first, GB18030.
    best, *others = sorted(found, key=lambda e: (found[e].private, -found[e].score))
    if found[best].korean:
        return None
    enough = found[best].number >= CLEAR_CHARACTERS and found[best].score >= CLEAR_SCORE
    if not others:
        return Guess(best, enough and not found[best].private)
    if enough and found[best].score >= found[others[0]].score + CLEAR_MARGIN:
        return Guess(best)
    return Guess(best, clear=False, other=others[0])


def _guess_damaged(sample: bytes) -> Guess | None:
    """The encoding in which the fewest bytes are bad, if they are few and the text is Chinese."""
    found: dict[str, tuple[int, float]] = {}
    for encoding in CANDIDATES:
        text = _readable(sample, encoding, lossy=True)
        if text is None:
            continue
        evidence = weigh(text, encoding)
        if evidence.korean or _hardly_chinese(sample, text, evidence):
            continue
        if evidence.score >= LEAST_SCORE_OF_DAMAGED:
            found[encoding] = (text.count("\ufffd"), -evidence.score)
    if found:
        best = min(found, key=lambda e: found[e])
        return Guess(best)
    return Guess("utf-8") if _hardly_damaged(sample) else None


def weigh(text: str, encoding: str) -> Evidence:
    """Look at the characters of ``text`` that are beyond ASCII."""
    beyond = _beyond_ascii(text)
    number = len(beyond)
    if not number:
        return Evidence(0, 0.0, 0.0)
    frequent = sum(c in FREQUENT or c in MARKS for c in beyond) / number
    many = number >= MANY_CHARACTERS
    if encoding != "gb18030":
        codes = beyond.encode(encoding, "ignore")
        common = sum(0xA1 <= lead < 0xC7 for lead in codes[::2]) / number
        upper = min(codes[1::2], default=0) >= 0xA1
        return Evidence(number, frequent, common, foreign=many and upper)
    leads = beyond.encode("gb2312", "ignore")[::2]
    common = sum(lead < 0xD8 for lead in leads) / number
    kana = sum("\u3040" <= c < "\u3100" for c in beyond) / number
    hangul = sum(0xB0 <= lead <= LAST_HANGUL for lead in leads)
    characters = sum(lead >= 0xB0 for lead in leads)
    korean = many and hangul >= HANGUL_SHARE * characters > 0
    japanese = kana >= KANA_SHARE or (kana >= SOME_KANA and frequent < FEW_FREQUENT)
    private = any("\ue000" <= c < "\uf900" for c in beyond)
    return Evidence(number, frequent, common, many and japanese, korean, private)


def mostly_utf8(block: bytes) -> bool:
    """Whether well-formed characters beyond ASCII outnumber bad ones ten to one."""
    text = block.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    return beyond_ascii - bad > 10 * bad


def first_mistake(sample: bytes, encoding: str, whole: bool = False) -> int | None:
    """Where an encoding first fails to read ``sample``, whose end may cut a character."""
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(sample, whole)
    except UnicodeDecodeError as error:
        return error.start
    return None


def decoded(sample: bytes, encoding: str, whole: bool = False) -> str | None:
    """The text of ``sample``, whose end may cut a character unless ``whole``, or None."""
    try:
        return codecs.getincrementaldecoder(encoding)("strict").decode(sample, whole)
    except UnicodeError:
        return None


def _readable(sample: bytes, encoding: str, lossy: bool) -> str | None:
    """The text, if the encoding reads it; ``lossy``: if it reads nine tenths."""
    text = decoded(sample, encoding)
    if text is None and lossy:
        damaged = codecs.getincrementaldecoder(encoding)("replace").decode(sample, False)
        beyond_ascii = sum(not character.isascii() for character in damaged)
        if 10 * damaged.count("\ufffd") <= beyond_ascii:
            text = damaged
    return text


def _hardly_damaged(sample: bytes) -> bool:
    """Whether as UTF-8 so few characters are bad that damage explains it, and no other encoding."""
    text = sample.decode("utf-8", "replace")
    return 50 * text.count("\ufffd") <= len(text)


def _beyond_ascii(text: str) -> str:
    """The first characters beyond ASCII."""
    pieces, left = [], SAMPLE_CHARACTERS
    for piece in _BEYOND_ASCII.finditer(text):
        pieces.append(piece[0][:left])
        left -= len(piece[0])
        if left <= 0:
            break
    return "".join(pieces)


def _hardly_chinese(sample: bytes, text: str, evidence: Evidence) -> bool:
    """Whether ``text`` is of another language, read as Chinese.

    In Western text with accents or curly quotes few bytes are beyond ASCII, and with the letter
    that follows they make rare characters.
    """
    if evidence.foreign:
        return True
    if evidence.number >= MANY_CHARACTERS:
        rare = evidence.frequent < LEAST_FREQUENT and evidence.common < ALL_COMMON
        return evidence.score < LEAST_SCORE or rare
    if evidence.number >= CLEAR_CHARACTERS and evidence.score < LEAST_SCORE_OF_FEW:
        return True
    if len(text) > 5 * evidence.number and evidence.common < 0.2:
        return True
    if evidence.frequent:
        return False
    words = _WORD_AROUND.findall(text)
    lone = all(len(run) == 1 for run in _HIGH_BYTES.findall(sample))
    if lone and any(len(word) > 1 for word in words):
        return True
    return all(map(_is_lone, words))


def _is_lone(word: str) -> bool:
    """Whether of a Latin word one character is beyond ASCII, as of Général with é and n as one."""
    return len(word) > 1 and sum(not character.isascii() for character in word) < len(word) / 2
