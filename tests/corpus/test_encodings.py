"""What encoding a text is in, and what becomes of bytes that are bad in it."""

import codecs
import encodings.aliases
import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus import decoder, readers
from nplm_cli.corpus.decoder import Decoder
from nplm_cli.corpus.encoding_guess import guess_encoding
from nplm_cli.corpus.encodings import checked_encoding, decode_replacing
from nplm_cli.corpus.readers import read_lines
from nplm_cli.corpus.wide_guess import guess_wide
from nplm_cli.errors import ConfigError, InputError

SIMPLIFIED = (
    "昨天下午，我和朋友一起去城南的旧书店看书。店主是一位七十多岁的老人，他说这家店已经开了四十年，"
    "许多学生从小就在这里读书。墙上挂着几张发黄的照片，照片里的街道和现在完全不同：没有高楼，也没有汽车，"
    "只有一条小河从门前流过。我们买了两本书，一本讲北方农村的历史，一本是外国人写的游记。"
    "回家的路上下起了雨，我们只好在车站等了半个小时。“下次还来吗？”朋友问我。“当然要来！”我回答。\n"
)
TRADITIONAL = (
    "昨天下午，我和朋友一起去城南的舊書店看書。店主是一位七十多歲的老人，他說這家店已經開了四十年，"
    "許多學生從小就在這裡讀書。牆上掛著幾張發黃的照片，照片裡的街道和現在完全不同：沒有高樓，也沒有汽車，"
    "只有一條小河從門前流過。我們買了兩本書，一本講北方農村的歷史，一本是外國人寫的遊記。"
    "回家的路上下起了雨，我們只好在車站等了半個小時。「下次還來嗎？」朋友問我。「當然要來！」我回答。\n"
)
KOREAN = (
    "어제 오후에 나는 친구와 함께 오래된 서점에 갔다. 주인은 일흔이 넘은 노인이었는데, 이 가게를 연 지 "
    "사십 년이 되었다고 말했다. 많은 학생들이 어릴 때부터 여기에서 책을 읽었다. 벽에는 누렇게 바랜 사진이 "
    "몇 장 걸려 있었고 사진 속의 거리는 지금과 전혀 달랐다. 우리는 책을 두 권 샀다.\n"
)
JAPANESE = (
    "昨日の午後、私は友達と一緒に古い本屋へ行きました。店の主人は七十歳を過ぎた老人で、この店を開いてから"
    "四十年になると話してくれました。壁には黄色くなった写真が何枚か掛かっていて、その中の町は今とは全く"
    "違っていました。私たちは本を二冊買って、雨の中を歩いて帰りました。\n"
)
RUSSIAN = "Вчера днём мы с другом ходили в старый книжный магазин на окраине города.\n" * 4
ENGLISH = "Yesterday my friend and I went to the old book shop at the edge of the town.\n"


def lines(data, **options):
    return [line.text for line in read_lines(["-"], stdin=io.BytesIO(data), **options)]


def told(data, **options):
    events = []
    lines(data, on_event=events.append, **options)
    return events


# --- Big5 or GB18030 -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        (SIMPLIFIED, "gb2312", "GB18030"),
        (SIMPLIFIED, "gbk", "GB18030"),
        (SIMPLIFIED, "gb18030", "GB18030"),
        (TRADITIONAL, "gb18030", "GB18030"),
        (TRADITIONAL, "big5", "Big5 (cp950)"),
        (TRADITIONAL, "cp950", "Big5 (cp950)"),
        (TRADITIONAL + "佢哋嘅嘢，喺呢度。\n" * 3, "big5hkscs", "Big5 (HKSCS)"),
        (ENGLISH * 50 + TRADITIONAL + ENGLISH * 50, "big5", "Big5 (cp950)"),
        (ENGLISH * 50 + SIMPLIFIED + ENGLISH * 50, "gb18030", "GB18030"),
    ],
)
def test_chinese_is_read_as_it_was_written(text, encoding, name):
    data = text.encode(encoding)
    assert lines(data) == text.splitlines()
    assert told(data) == [f"standard input: {name}"]


@pytest.mark.parametrize("characters", [20, 50, 100])
@pytest.mark.parametrize(("text", "encoding"), [(SIMPLIFIED, "gb18030"), (TRADITIONAL, "cp950")])
def test_a_few_characters_tell(text, encoding, characters):
    for begin in range(len(text) - characters):
        piece = text[begin : begin + characters]
        found = guess_encoding(piece.encode(encoding))
        assert found is not None
        assert found.encoding == encoding, piece
        assert found.clear or characters < 50, piece


def test_what_cannot_be_told_says_so():
    # In either encoding two rare characters.
    data = "镕 砼".encode("gb18030")
    assert data.decode("cp950")
    [event] = told(data)
    assert event.startswith("standard input: GB18030 or Big5 (cp950), too little text to tell")
    assert "--encoding" in event
    assert lines(data) == ["镕 砼"]
    assert lines(data, encoding="cp950") == [data.decode("cp950")]


def test_a_doubt_makes_it_read_on(monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(decoder, "SAMPLE_BYTES", 1 << 10)
    data = b"a" * 900 + "报告\n".encode("gb18030") + b"b " * 3000
    for text, encoding, name in (
        (SIMPLIFIED, "gb18030", "GB18030"),
        ("", "gb18030", "GB18030 or Big5"),
    ):
        whole = data + text.encode(encoding)
        [event] = told(whole)
        assert event.startswith(f"standard input: {name}")
        assert "".join(lines(whole)) == whole.decode(encoding).replace("\n", "")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (KOREAN, "euc_kr"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "cp932"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        ("Un été très chaud, où l’on s’ennuyait déjà à la plage. " * 20, "cp1252"),
    ],
)
def test_other_languages_are_refused_with_a_cure(text, encoding):
    with pytest.raises(InputError, match=r"^standard input:1: byte \d+: .*--encoding"):
        lines(text.encode(encoding))
    assert lines(text.encode(encoding), encoding=encoding) == text.splitlines()


def test_ascii_is_utf_8():
    assert told(ENGLISH.encode()) == []
    assert told(SIMPLIFIED.encode()) == []
    assert guess_encoding(ENGLISH.encode()) == ("utf-8", True, "")


@pytest.mark.real
def test_real_texts(real_corpora):
    names = ("raw_zh/hongloumeng.txt", "pku199801/words.valid.txt")
    r = random.Random(1)
    for name in names:
        text = (real_corpora / name).read_text("utf-8")
        # Of simplified text Big5 has those characters that are traditional, too.
        for encoding in ("gb18030", "cp950"):
            data = text.encode(encoding, "ignore").decode(encoding)
            for _ in range(1000):
                begin = r.randrange(len(data) - 200)
                piece = data[begin : begin + 150].encode(encoding)
                found = guess_encoding(piece)
                assert found is not None
                assert found.encoding == encoding, piece.decode(encoding)
    tagged = (real_corpora / "pku199801/tagged.sample.gbk.txt").read_bytes()
    assert guess_encoding(tagged[: 1 << 16]) == ("gb18030", True, "")


@pytest.mark.parametrize("errors", ["strict", "replace"])
@pytest.mark.parametrize(
    "word",
    ["小说", "小学", "学校", "目录", "什么", "一些", "系统", "為什么一些".replace("為", "为")],
)
def test_chinese_that_happens_to_be_utf_8(word, errors):
    for text in (word, f"Lesson 1: {word}\nSome English text\n", f"{word}\n" * 30):
        data = text.encode("gbk")
        assert data.decode("utf-8")
        assert lines(data, errors=errors) == text.splitlines()
        [event] = told(data, errors=errors)
        assert event.startswith("standard input: GB18030 or UTF-8")
        assert lines(data, encoding="utf-8") == data.decode("utf-8").splitlines()


@pytest.mark.parametrize(
    "text",
    [
        *RUSSIAN.split(),
        *("С", "СССР", "да", "дом", "Щи", "Ещё одна", "її ґанок", "қала", "ҳамаи одамон"),
        *("Όλοι οι άνθρωποι", "λ", "δ and λ", "θέμα", "ναι"),
        *("כל בני האדם", "ס", "בְּרֵאשִׁית", "يولد جميع الناس", "كتاب", "سلام", "۱۲"),
        *("été", "à", "é è ê", "Général", "naïve café", "Größe", "über", "Ä", "ñ", "São", "œuvre"),
        *("5 µm ± ½°", "«oui»", "pǔ tōng huà", "Škoda", "Łódź", "İstanbul", "ţară", "Hawaiʻi"),
        *("café — λόγος", "ˈbʌtər", "Հայաստան", "α-β", "ªº", "a\u0301"),
    ],
)
def test_short_utf_8_is_utf_8_without_a_remark(text):
    for repeated in (text, f"Some English text: {text}, and so on.\n", f"{text}\n" * 30):
        data = repeated.encode()
        assert lines(data) == repeated.splitlines()
        assert told(data) == told(data, errors="replace") == []


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("紅樓夢", "cp950"),
        ("紅樓夢", "gbk"),
        ("目錄", "gbk"),
        ("台灣", "cp950"),
        ("小说", "gbk"),
        ("論語", "cp950"),
    ],
)
def test_a_word_in_either_encoding(text, encoding):
    for errors in ("strict", "replace"):
        assert lines(text.encode(encoding), errors=errors) == [text]
        [event] = told(text.encode(encoding), errors=errors)
        assert "too little text" in event


@pytest.mark.parametrize("text", ["東京大学", "日本国憲法前文"])
def test_a_few_characters_are_never_certain(text):
    [event] = told(text.encode("cp932"))
    assert "too little text" in event


@pytest.mark.parametrize("errors", ["strict", "replace"])
@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (
            "首相、衆院解散を表明 総選挙は来月投開票 与野党が選挙準備を加速 経済対策など争点 "
            "政府は補正予算案を閣議決定 株価は大幅続伸 日経平均３万円台回復",
            "euc_jp",
        ),
        ("นักเรียนไปโรงเรียนทุกวันและอ่านหนังสือหลายเล่มในห้องสมุดของเมือง", "tis_620"),
        ("Général", "cp1252"),
        ("élève", "cp1252"),
        ("crème brûlée", "cp1252"),
        ("It’s", "cp1252"),
        ("déçu", "cp1252"),
    ],
)
def test_other_languages_are_not_chinese(text, encoding, errors):
    with pytest.raises(InputError, match="is not UTF-8") as caught:
        lines(text.encode(encoding), errors=errors)
    assert "name the encoding with --encoding" in str(caught.value)
    hint = "replace is for a few damaged ones" in str(caught.value)
    assert hint == (errors == "replace")
    assert ("--errors" in str(caught.value)) == (errors == "replace")


def test_undamaged_hong_kong_text_is_not_replaced():
    text = "民國初年，有一個學生從北京來到香港，他在那裡住了三年。書中說：「我們喺香港。」\n" * 30
    data = text.encode("big5hkscs")
    assert replaced(data) == (text.splitlines(), 0)
    # Damaged, it is the encoding in which less is bad.
    found, number = replaced(b"\xff\n" + data)
    assert number == 1
    assert "喺" in found[-1]


@pytest.mark.parametrize("encoding", ["gbk", "cp1252", "latin-1"])
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_another_name_for_utf_8_is_warned_of(encoding, size, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", size)
    data = ("é" * 10 + "\n").encode()
    shown = {"gbk": "GBK", "cp1252": "CP1252", "latin-1": "ISO8859-1"}[encoding]
    warning = f"warning: standard input: the bytes are valid UTF-8, read as {shown} as asked"
    assert lines(data, encoding=encoding) == [data[:-1].decode(encoding)]
    assert told(data, encoding=encoding) == [warning]
    for other in (data[2:], data + "é".encode(encoding)[:1] * 2, b"abc\n" * 9):
        assert told(other, encoding="latin-1") == []
    assert told(data, encoding="utf-8") == []
    assert told(SIMPLIFIED.encode("gbk"), encoding="gbk") == []


# --- UTF-16 and UTF-32 ---------------------------------------------------------------------------


WIDE = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize(
    "text", [SIMPLIFIED, TRADITIONAL, ENGLISH, RUSSIAN, JAPANESE, KOREAN, SIMPLIFIED + "𠮷 😀\n"]
)
def test_wide_text_without_a_mark(text, encoding, monkeypatch):
    data = text.encode(encoding)
    assert lines(data) == text.splitlines()
    shown = encoding.upper()
    assert told(data) == [f"standard input: {shown} (without a byte order mark)"]
    assert lines(data, encoding=encoding[:6]) == text.splitlines()
    monkeypatch.setattr(readers, "BLOCK_BYTES", 7)
    assert lines(data) == text.splitlines()


def test_short_wide_text():
    assert lines("abc".encode("utf-16-le")) == ["abc"]
    assert lines("ab\n".encode("utf-16-be")) == ["ab"]
    assert lines("ab".encode("utf-32-le")) == ["ab"]
    # Half a character at the end.
    with pytest.raises(InputError, match="byte 6: 64 is not UTF-16-LE"):
        lines("abc".encode("utf-16-le") + b"d")


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"a\0",
        b"\0\0\0\0",
        b"abc\0def",
        b"abc\0def\0",
        b"one\0three\0eleven\0" * 40,  # names as find -print0 writes them
        bytes(range(256)) * 8,
        b"".join(i.to_bytes(2, "little") for i in range(3000)),  # token ids
        b"".join((i % 7).to_bytes(4, "little") for i in range(3000)),
        b"\x7fELF\x02\x01\x01" + b"\0" * 500 + b"text" * 20,
    ],
)
def test_other_zeros_are_no_text(data):
    assert guess_wide(data) == ""
    for errors in ("strict", "replace"):
        # Where they are few, other bytes tell.
        with pytest.raises(
            InputError, match=r"binary data \(a NUL at byte \d+\)|is not UTF-8|a program"
        ):
            lines(data, errors=errors)


def test_a_nul_inside_wide_text():
    for encoding in ("utf-16", "utf-32"):
        data = "ab\nc\0d\n".encode(encoding)
        with pytest.raises(InputError, match=r"^standard input:2: a NUL"):
            lines(data)
        assert lines(data, errors="replace") == ["ab", "c\ufffdd"]


# --- Marks in the middle -------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "gb18030"])
def test_marks_of_joined_files_are_left_out_and_told(encoding):
    piece = "\ufeff好\n".encode(encoding)
    assert lines(piece * 3) == ["好"] * 3
    [*_, event] = told(piece * 3)
    assert event == "standard input: 2 byte order marks (U+FEFF) inside the text left out"
    assert not any("inside" in event for event in told(piece))


# --- --errors replace ----------------------------------------------------------------------------


def replaced(data, **options):
    counts = {}
    found = lines(data, errors="replace", on_replaced=counts.__setitem__, **options)
    return found, counts.get("standard input", 0)


@pytest.mark.parametrize(
    ("data", "options", "expected", "number"),
    [
        (b"a\xffb\n\xe4\xb8c\nd", {}, ["a\ufffdb", "\ufffdc", "d"], 2),
        ("好的".encode() * 9 + b"\xe5", {}, ["好的" * 9 + "\ufffd"], 1),
        ("好\ufffd的\n".encode() * 9, {}, ["好\ufffd的"] * 9, 0),
        (("中文" * 20).encode("gbk") + b"\xff\n", {}, ["中文" * 20 + "\ufffd"], 1),
        (b"caf\xe9\n", {"encoding": "ascii"}, ["caf\ufffd"], 1),
        (b"\xff\xfea\0\x00\xd8b\0", {}, ["a\ufffdb"], 1),
        (b"a" * 200 + b"\0b", {}, ["a" * 200 + "\ufffdb"], 1),
        ("好".encode() * 200 + b"\0b", {}, ["好" * 200 + "\ufffdb"], 1),
        (b"a" * 97 + b"\xff\xffb", {}, ["a" * 97 + "\ufffd\ufffdb"], 2),
        (b"plain", {}, ["plain"], 0),
    ],
)
def test_replacing_is_counted(data, options, expected, number):
    if b"\xff\n" in data or data.startswith(b"a\xff"):
        options = options or {"encoding": "utf-8" if data.startswith(b"a") else "gb18030"}
    assert replaced(data, **options) == (expected, number)
    warnings = [e for e in told(data, errors="replace", **options) if e.startswith("warning: ")]
    sequences = "sequence" if number == 1 else "sequences"
    wanted = f"warning: standard input: {number} bad byte {sequences} replaced by U+FFFD (--errors replace)"
    assert warnings == ([wanted] if number else [])


def test_replacing_does_not_guess_wildly():
    western = ("a" * 96 + "éèü\n").encode("cp1252")
    with pytest.raises(InputError, match="--encoding"):
        lines(western, errors="replace")
    noise = random.Random(3).randbytes(5000).replace(b"\0", b"a")
    with pytest.raises(InputError, match="--encoding") as caught:
        lines(noise, errors="replace")
    assert "--errors replace is for a few damaged ones; name the encoding" in str(caught.value)
    found, number = replaced(noise, encoding="utf-8")
    assert number == noise.decode("utf-8", "replace").count("\ufffd") > 1000
    assert sum(line.count("\ufffd") for line in found) == number


def test_damaged_text_keeps_its_encoding():
    r = random.Random(5)
    for text, encoding in (
        (SIMPLIFIED, "utf-8"),
        (SIMPLIFIED, "gb18030"),
        (TRADITIONAL, "cp950"),
    ):
        for _ in range(20):
            data = bytearray((text * 3).encode(encoding))
            data[r.randrange(len(data))] = 0xFF
            with pytest.raises(InputError, match=r"^standard input:\d+: byte \d+: "):
                lines(bytes(data))
            found, number = replaced(bytes(data))
            assert "\n".join([*found, ""]) == bytes(data).decode(encoding, "replace")
            assert number == bytes(data).decode(encoding, "replace").count("\ufffd")


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=80),
    encoding=st.sampled_from(["utf-8", "gb18030", "big5hkscs", "utf-16-le", "utf-32-be", "cp1252"]),
    size=st.sampled_from([1, 2, 3, 5, 100]),
)
def test_replacing_is_the_same_in_any_cut(data, encoding, size):
    data = data.replace(b"\0", b"a") if encoding[3:5] not in ("16", "32") else data
    blocks = [data[i : i + size] for i in range(0, len(data), size)]
    whole = Decoder("x", encoding, errors="replace")
    text = "".join(whole.decode(iter([data] if data else [])))
    cut = Decoder("x", encoding, errors="replace")
    # A mark is looked for in the first block, which the readers make long enough.
    first = b"".join(blocks[:8])
    assert "".join(cut.decode(iter([first, *blocks[8:]] if first else []))) == text
    assert cut.replaced == whole.replaced
    assert not any("\ud800" <= character <= "\udfff" for character in text)


@given(st.binary(max_size=60))
def test_decoding_one_line(data):
    text, number = decode_replacing(data, "utf-8")
    assert text == data.decode("utf-8", "replace")
    assert text.count("\ufffd") - number == data.count(b"\xef\xbf\xbd")


def _text_encodings():
    found = set()
    for name in encodings.aliases.aliases.values():
        try:
            found.add(checked_encoding(name))
        except ConfigError:
            continue
    return sorted(found)


@settings(max_examples=600, deadline=None)
@given(
    data=st.binary(max_size=60) | st.text(max_size=20).map(lambda t: t.encode("utf-8", "ignore")),
    encoding=st.sampled_from(["auto", *_text_encodings()]),
    errors=st.sampled_from(["strict", "replace"]),
)
def test_no_encoding_gives_anything_but_text_or_an_error(data, encoding, errors):
    found, message = [], ""
    try:
        found = lines(data, encoding=encoding, errors=errors)
    except InputError as error:
        message = str(error)
    assert not message or message.startswith("standard input")
    assert "\n" not in message
    for line in found:
        assert not set("\r\n\0\ufeff") & set(line)
        line.encode("utf-8")  # no half characters


def test_wrong_settings():
    with pytest.raises(ConfigError, match="did you mean 'replace'"):
        lines(b"a", errors="replce")
    with pytest.raises(ConfigError, match="did you mean 'html'"):
        lines(b"a", markup="htlm")
    with pytest.raises(ConfigError, match="not an encoding of text files"):
        lines(b"a", encoding="utf-7")
    assert codecs.lookup("utf-7").name == "utf-7"
