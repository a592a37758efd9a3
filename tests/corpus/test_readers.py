import gzip
import hashlib
import io
import os
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.config import CorpusConfig
from nplm_cli.corpus import compression, readers
from nplm_cli.corpus.formats import read_sentences
from nplm_cli.corpus.readers import list_files, read_lines
from nplm_cli.errors import ConfigError, InputError

TEXT = "第一行，有字。\nsecond line\n\n最后 一行"
LINES = ["第一行，有字。", "second line", "", "最后 一行"]


def texts(*inputs, **options):
    return [line.text for line in read_lines([str(i) for i in inputs], **options)]


def of_bytes(data, **options):
    return texts("-", stdin=io.BytesIO(data), **options)


@pytest.fixture(params=[1, 2, 3, 7, 1 << 20])
def block_bytes(request, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(compression, "PIECE_BYTES", request.param)


ENCODED = {
    "utf-8": TEXT.encode("utf-8"),
    "utf-8-sig": TEXT.encode("utf-8-sig"),
    "gb18030": TEXT.encode("gb18030"),
    "gbk": TEXT.encode("gbk"),
    "gb18030 with a mark": b"\x84\x31\x95\x33" + TEXT.encode("gb18030"),
    "utf-16-le with a mark": b"\xff\xfe" + TEXT.encode("utf-16-le"),
    "utf-16-be with a mark": b"\xfe\xff" + TEXT.encode("utf-16-be"),
}


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a"])
@pytest.mark.parametrize("encoding", ENCODED)
def test_every_encoding_gives_the_same_lines(tmp_path, encoding, name, compress):
    path = tmp_path / name
    path.write_bytes(compress(ENCODED[encoding]))
    assert texts(path) == LINES
    assert of_bytes(path.read_bytes()) == LINES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.usefixtures("block_bytes")
def test_blocks_may_cut_characters_and_line_ends(encoding):
    # The first character of each tiny first block must tell the encoding: name it.
    data = TEXT.replace("\n", "\r\n").encode(encoding)
    assert of_bytes(data, encoding=encoding) == LINES
    assert of_bytes(gzip.compress(data), encoding=encoding) == LINES


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("big5", "中文\n".encode("big5")),
        ("GBK", "中文\n".encode("gbk")),
        ("utf-16", "中文\n".encode("utf-16")),
        ("utf-16-le", "中文\n".encode("utf-16-le")),
        ("utf-16-be", b"\xfe\xff" + "中文\n".encode("utf-16-be")),
        ("utf8", b"\xef\xbb\xbf" + "中文\n".encode()),
    ],
)
def test_named_encoding(encoding, data):
    assert of_bytes(data, encoding=encoding) == ["中文"]


def test_chinese_beyond_gb2312_is_still_chinese():
    for text in ("朱镕基", "Mr. 镕", "𠮷", "繁體中文檔案"):
        assert of_bytes(text.encode("gb18030")) == [text]


def test_only_what_is_not_plain_utf8_is_told(tmp_path):
    events = []
    for name, data in (("a.txt", TEXT.encode()), ("b.txt", TEXT.encode("gbk")), ("c", b"abc")):
        (tmp_path / name).write_bytes(data)
    texts(tmp_path, on_event=events.append)
    assert events == [f"{tmp_path / 'b.txt'}: GB18030"]


def test_encoding_is_decided_by_the_first_block_that_is_not_ascii(monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_BYTES", 8)
    data = b"abcdefg\n" * 3 + "中文字体".encode("gbk")
    assert of_bytes(data) == ["abcdefg"] * 3 + ["中文字体"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gb18003", "did you mean 'gb18030'"),
        ("utf9", "did you mean 'utf-8'"),
        ("no such", "unknown"),
        ("rot13", "not an encoding of text"),
        ("base64", "not an encoding of text"),
        ("idna", "not an encoding of text"),
        ("a\0b", "unknown"),
        ("", "unknown"),
    ],
)
def test_unknown_encoding(name, message):
    with pytest.raises(ConfigError, match=message):
        of_bytes(b"abc", encoding=name)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("好的\n很好".encode() + b"\xff\xfe!", r"standard input:2: byte 13: ff fe 21 is not UTF-8"),
        # A character cut short at the end of the file.
        ("好的\n好".encode()[:-1], r"standard input:2: byte 7: e5 a5 is not UTF-8"),
        (b"caf\xe9 and tea\n", r"standard input:1: byte 3: e9 20 61 6e"),
        # Western text, though each byte and the letter after it are something in GB18030.
        ("I don\u2019t know, he\u2019s na\u00efve\n".encode("cp1252"), r":1: byte 5: 92 74"),
        ("中文\r\n中".encode("gbk") + b"\xff", r"standard input:2: byte 8: ff is not GB18030"),
        # Two damaged bytes in UTF-8 that GB18030 could read, as nonsense.
        ("这是中文这是中文\n".encode() * 9 + b"\xe4\xb8", r":10: byte 225: e4 b8 is not UTF-8"),
    ],
)
def test_a_bad_byte_is_named_with_file_line_and_offset(data, message):
    with pytest.raises(InputError, match=message) as caught:
        of_bytes(data)
    assert "--encoding" in str(caught.value)


@pytest.mark.usefixtures("block_bytes")
def test_a_bad_byte_far_into_the_file():
    data = "中文\r\n".encode() * 1000 + b"\x80" + "中文\n".encode() * 10
    with pytest.raises(InputError, match=r":1001: byte 8000: 80"):
        of_bytes(data, encoding="utf-8")


def test_binary_is_refused():
    with pytest.raises(InputError, match=r"binary data \(a NUL at byte 3\)"):
        of_bytes(b"abc\0def")
    with pytest.raises(InputError, match="--encoding utf-16-le"):
        of_bytes(b"abc\n" * 1000 + b"\0")


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\rb\r", ["a", "b"]),
        (b"a\r\r\nb", ["a", "", "b"]),
        (b"a\n\rb", ["a", "", "b"]),
        (b"\xef\xbb\xbf", []),
        ("a\u2028b\x0bc\x0cd\x1ce\u0085f\n".encode(), ["a\u2028b\x0bc\x0cd\x1ce\u0085f"]),
    ],
)
@pytest.mark.usefixtures("block_bytes")
def test_line_ends(data, lines):
    assert of_bytes(data, encoding="utf-8") == lines


def test_gzip_members_and_padding():
    data = gzip.compress(b"a\nb") + gzip.compress(b"c\n") + b"\0" * 100
    assert of_bytes(data) == ["a", "bc"]
    assert of_bytes(gzip.compress(b"")) == []


@pytest.mark.usefixtures("block_bytes")
def test_gzip_that_expands_a_thousandfold():
    assert of_bytes(gzip.compress(b"a" * 5000 + b"\nb")) == ["a" * 5000, "b"]


def test_damaged_gzip():
    whole = gzip.compress(TEXT.encode() * 100)
    for end in (3, 12, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        with pytest.raises(InputError, match=r"standard input: gzip data cut short"):
            of_bytes(whole[:end])
    with pytest.raises(InputError, match="corrupt gzip"):
        of_bytes(whole[:20] + b"\xff" * 20 + whole[40:])
    with pytest.raises(InputError, match="other bytes after the gzip data"):
        of_bytes(whole + b"more")


def test_digest_and_counts_see_the_bytes_on_disk(tmp_path):
    data = gzip.compress(TEXT.encode())
    (tmp_path / "a.gz").write_bytes(data)
    (tmp_path / "b.txt").write_bytes(b"abc\n")
    digest, counted = hashlib.sha256(), []
    texts(tmp_path, digest=digest, on_bytes=counted.append)
    assert digest.hexdigest() == hashlib.sha256(data + b"abc\n").hexdigest()
    assert sum(counted) == len(data) + 4


def test_lines_know_where_they_stand(tmp_path):
    (tmp_path / "a").write_text("x\ny\n")
    (tmp_path / "b").write_text("z")
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert list(read_lines([b, a])) == [("z", b, 0, 1), ("x", a, 1, 1), ("y", a, 1, 2)]


def test_folders_are_read_in_a_stable_order_without_hidden_files(tmp_path):
    for name in ("b.txt", "a.txt", "z/1", "c/2", "c/10", ".hidden", ".git/config"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    found = [os.path.relpath(f, tmp_path) for f in list_files([str(tmp_path)])]
    assert found == [
        "a.txt",
        "b.txt",
        os.path.join("c", "10"),
        os.path.join("c", "2"),
        os.path.join("z", "1"),
    ]
    # Files given by name stay in the order given, hidden or not; doing it twice changes nothing.
    given_files = [str(tmp_path / ".hidden"), "-", str(tmp_path / "a.txt")]
    assert list_files(given_files) == list_files(list_files(given_files)) == given_files


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a JPEG picture"),
        (b"GIF89a\x01\0\x01\0\x80\0\0", "a GIF picture"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP picture"),
        (b"\x7fELF\x02\x01\x01\0", "a program"),
        (b"\x93NUMPY\x01\0", "an array of NumPy (.npy)"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"\0\0\0\x18ftypmp42", "a video or picture file (MP4, HEIC ...)"),
    ],
)
def test_what_is_no_text_is_called_by_its_name(data, kind):
    with pytest.raises(InputError) as caught:
        of_bytes(data)
    assert str(caught.value) == f"standard input: {kind}, expected text; leave it out"


@pytest.mark.parametrize("text", ["GIF89a is a format", "RIFFs", "MZ", "ID3 tags", "PAR1", "BMW"])
def test_a_text_may_begin_with_letters_of_a_format(text):
    assert of_bytes(text.encode()) == [text]


@pytest.mark.skipif(os.name == "nt", reason="links take rights there")
def test_links_in_a_folder_are_told_or_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("x")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "out" / "a")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "out")
    (tmp_path / "in" / ".hidden").symlink_to(tmp_path / "out")
    events = []
    assert list_files([str(tmp_path / "in")], events.append) == [str(tmp_path / "in" / "file")]
    folder = tmp_path / "in" / "folder"
    assert events == [f"{folder}: a link to a folder, left out; name that folder to read it"]
    assert list_files([str(folder)]) == [str(folder / "a")]
    (tmp_path / "in" / "gone").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"gone: a link to nothing \(nowhere\)"):
        list_files([str(tmp_path / "in")])


def test_missing_empty_and_repeated_inputs(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden").write_text("x")
    with pytest.raises(InputError, match="no such file"):
        list_files([str(tmp_path / "nothing")])
    with pytest.raises(InputError, match="folder without files"):
        list_files([str(tmp_path / "empty")])
    with pytest.raises(InputError, match="twice"):
        list_files(["-", "-"])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        texts(tmp_path / "a")


def test_standard_input_is_the_default(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"a\nb")

    monkeypatch.setattr("sys.stdin", Stdin)
    assert texts("-") == ["a", "b"]


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60)
    | st.builds(
        bytes.__add__,
        st.sampled_from(
            [b"\x1f\x8b", b"BZh91AY&SY", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"<html>"]
        ),
        st.binary(max_size=40),
    )
    | st.text().map(str.encode)
    | st.text().map(lambda text: text.encode("utf-16-le", "ignore"))
)
def test_arbitrary_bytes_are_read_or_refused(data):
    message, lines = "", []
    try:
        lines = of_bytes(data)
    except InputError as error:
        message = str(error)
    assert not message or message.startswith("standard input")
    assert "\n" not in message
    assert not any(end in line for line in lines for end in "\r\n")


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff")),
    st.sampled_from([1, 3, 16, 1 << 20]),
)
def test_lines_are_those_of_universal_newlines(text, size):
    expected = io.StringIO(text, newline=None).read().split("\n")
    if not expected[-1]:
        expected.pop()
    blocks = iter([text[i : i + size] for i in range(0, len(text), size)])
    assert [line for lines in readers.split_lines(blocks) for line in lines] == expected


def test_a_line_of_any_length_costs_its_own_length():
    line = "第一行，有字。" * 300_000
    data = (line + "\n").encode() + b"short\n"
    tracemalloc.start()
    found = [len(text) for text in of_bytes(data)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [len(line), 5]
    # The line twice (its pieces, and whole) at two bytes a character, and a few blocks.
    assert peak < 2 * 2 * len(line) + 8 * (1 << 20)


def test_a_line_that_would_fill_the_memory(monkeypatch):
    monkeypatch.setattr("nplm_cli.corpus.line_blocks.MAX_LINE_CHARACTERS", 100)
    monkeypatch.setattr(readers, "BLOCK_BYTES", 16)
    assert of_bytes(b"a" * 90 + b"\n" + b"b" * 90) == ["a" * 90, "b" * 90]
    with pytest.raises(InputError, match="standard input: a line of more than 100 characters"):
        of_bytes(b"a" * 90 + b"\n" + b"b" * 200)


def test_many_long_lines_are_not_gathered_to_see_the_format():
    read = 0

    class Endless(io.RawIOBase):
        def read(self, size=-1):
            nonlocal read
            read += 1
            return b"word " * 200_000 + b"\n"

    reader = read_sentences(["-"], CorpusConfig(), stdin=Endless())
    assert reader.recipe.lang == "en"
    assert read < 8
