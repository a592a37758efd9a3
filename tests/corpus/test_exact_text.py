"""A file that is read to be written again gives the same bytes, in every encoding and line end."""

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nplm_cli.corpus.exact_text import read_exact
from nplm_cli.errors import ConfigError, InputError

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "big5"]
TEXT = "編號\t句子\r\n1\t我買書。\n2\t他喝茶\r3\tabc"


def put_together(found):
    return found.mark + b"".join(found.encode(line.text + line.end) for line in found.lines())


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_same_bytes_again(tmp_path, encoding):
    path = tmp_path / "f.txt"
    path.write_bytes(TEXT.encode(encoding))
    guessed = encoding in ("utf-8", "utf-8-sig", "utf-16", "gb18030")
    found = read_exact(str(path), "auto" if guessed else encoding)
    assert found.text == TEXT
    assert put_together(found) == path.read_bytes()
    assert read_exact(str(path), encoding).text == TEXT
    assert put_together(read_exact(str(path), encoding)) == path.read_bytes()


def test_lines_have_their_ends_and_numbers(tmp_path):
    (path := tmp_path / "f.txt").write_bytes("a\r\n\nb\u2028c\rd".encode())
    assert list(read_exact(str(path)).lines()) == [
        (1, "a", "\r\n"),
        (2, "", "\n"),
        (3, "b\u2028c", "\r"),
        (4, "d", ""),
    ]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_any_text_is_its_lines(text):
    found = read_exact("-", "utf-8", stdin=io.BytesIO(text.encode()))
    assert put_together(found) == text.encode()
    assert [line.number for line in found.lines()] == list(range(1, 1 + len(list(found.lines()))))
    assert all("\n" not in line.text and "\r" not in line.text for line in found.lines())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_marks_inside_stay(tmp_path, encoding):
    (path := tmp_path / "f.txt").write_bytes("一\n\ufeff二\ufeff\n".encode(encoding))
    told = []
    found = read_exact(
        str(path), "auto" if encoding != "gb18030" else encoding, on_event=told.append
    )
    assert found.text == "一\n\ufeff二\ufeff\n"
    assert put_together(found) == path.read_bytes()
    assert not any("left out" in event for event in told)


def test_no_option_is_named_that_there_is_not(tmp_path):
    (path := tmp_path / "f.txt").write_bytes(b"abc\n" * 50 + b"\xff\n")
    with pytest.raises(InputError, match="name the encoding with --encoding") as caught:
        read_exact(str(path))
    assert "--errors" not in str(caught.value)


def test_gzip_is_read_plain(tmp_path):
    (path := tmp_path / "f.gz").write_bytes(gzip.compress(b"a\tb\n"))
    assert put_together(read_exact(str(path))) == b"a\tb\n"


def test_what_cannot_come_back_is_refused(tmp_path):
    """ISO-2022-JP may end in ASCII with or without saying so: two spellings of one text."""
    path = tmp_path / "f.txt"
    path.write_bytes("日".encode("iso2022_jp") + b"\x1b(Ba\n")
    with pytest.raises(InputError, match="same bytes"):
        read_exact(str(path), "iso2022_jp")


def test_folders_and_unknown_encodings(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(InputError, match="folder"):
        read_exact(str(tmp_path))
    with pytest.raises(InputError, match="no such file"):
        read_exact(str(tmp_path / "b"))
    with pytest.raises(ConfigError, match="nonsense"):
        read_exact(str(tmp_path / "a"), "nonsense")
