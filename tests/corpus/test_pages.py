import io
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus.pages import PageText, declared_encoding, is_page, visible_text
from nplm_cli.corpus.readers import read_lines
from nplm_cli.errors import InputError

PAGE = """\
<!DOCTYPE html>
<html><head><title>Not on the page</title><meta charset="{}">
<style>p {{ color: red }}</style><script>var p = "<p>no</p>";</script></head>
<body class=x>
<h1>An old
  book&nbsp;shop</h1>
<p>We bought <b>two</b> bo<i>o</i>ks &amp; went <!-- not --> home.<br>It rained.
<p>昨天下午，<span>我</span>们去书店。<ruby>汉<rp>(</rp><rt>hàn</rt><rp>)</rp></ruby>字
<div hidden>unseen <b>text</b></div><div style="display: none">unseen</div>
<ul><li>one<li>two</ul>
<table><tr><td>a</td><td>b</td></tr><tr><th>c<td>d</table>
<pre>first  line
second line</pre>
<noscript>Please enable scripts</noscript><select><option>pick</select>
<img alt="a picture"><p>The end
"""
SHOWN = [
    "An old book\u00a0shop",
    "",
    "We bought two books & went home.",
    "It rained.",
    "",
    "昨天下午，我们去书店。汉字",
    "",
    "one",
    "two",
    "",
    "a b",
    "c d",
    "",
    "first line",
    "second line",
    "",
    "The end",
]


def lines(data, **options):
    return [line.text for line in read_lines(["-"], stdin=io.BytesIO(data), **options)]


def events(*told):
    """Lines that come of (method, argument) pairs, as lxml calls them."""
    page = PageText()
    for what, value in told:
        if what == "start":
            tag, _, attribute = value.partition(" ")
            name, _, content = attribute.partition("=")
            page.start(tag, {name: content} if name else {})
        else:
            getattr(page, what)(value)
    page.close()
    return "".join(page.take()).splitlines()


def test_blocks_lines_and_cells():
    p = [("start", "p"), ("data", " a\n b "), ("end", "p")]
    assert events(*p, *p) == ["a b", "", "a b"]
    assert events(("data", "a"), ("start", "br"), ("end", "br"), ("data", "b")) == ["a", "b"]
    assert events(("data", "a"), ("start", "b"), ("data", "b"), ("end", "b"), ("data", "c")) == [
        "abc"
    ]
    row = [("start", "tr"), ("start", "td"), ("data", "a"), ("end", "td"), ("start", "td")]
    assert events(*row, ("data", "b"), ("end", "td"), ("end", "tr"), ("start", "tr")) == ["a b"]


def test_white_space_is_that_of_html():
    assert events(("data", " \t\n\f\ra \u00a0\u3000b ")) == ["a \u00a0\u3000b"]
    assert events(("data", "Wort\u00adteil")) == ["Wortteil"]
    pre = [
        ("start", "pre"),
        ("data", "a\r\nb"),
        ("data", "\n\nc"),
        ("end", "pre"),
        ("data", "d\ne"),
    ]
    assert events(*pre) == ["a", "b", "c", "", "d e"]


def test_hidden_parts_end_where_they_do():
    hidden = [
        ("start", "div hidden="),
        ("start", "p"),
        ("data", "x"),
        ("start", "br"),
        ("end", "p"),
    ]
    assert events(*hidden, ("end", "div"), ("data", "a")) == ["a"]
    # The inner element is never closed; an element without content is never open.
    assert events(*hidden[:2], ("end", "div"), ("data", "a")) == ["a"]
    assert events(("start", "img hidden="), ("data", "a")) == ["a"]
    assert events(("start", "span style=color:red; Display : NONE"), ("data", "a")) == []
    assert events(("start", "script"), ("data", "a"), ("end", "b"), ("data", "c")) == []


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("a.html", b"", True),
        ("a.HTM.gz", b"text", True),
        ("a.xhtml.zst", b"", True),
        ("a.html.txt", b"", False),
        ("html", b"", False),
        ("-", b"<!doctype HTML>", True),
        ("-", b"\xef\xbb\xbf \n<html lang=zh>", True),
        ("-", b"<?xml version='1.0'?><!-- a\nb --><!DOCTYPE html PUBLIC", True),
        ("-", "\ufeff<html>".encode("utf-16-le"), True),
        ("-", "<html>".encode("utf-16-be"), True),
        ("-", b"<htmlx>", False),
        ("-", b"<p>html</p>", False),
        ("-", b"a <html>", False),
    ],
)
def test_what_a_page_is(name, head, expected):
    assert is_page(name, head) is expected


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        (b'<meta charset="gb2312">', "gb18030"),
        (b"<META CHARSET = big5 >", "cp950"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS">', "cp932"),
        (b"<meta content='text/html; charset=iso-8859-1'>", "cp1252"),
        (b"<?xml version='1.0' encoding='euc-kr'?>", "cp949"),
        (b"<meta charset=windows-1251>", "cp1251"),
        (b"<meta charset=utf-8>", ""),
        (b"<meta charset=utf-16>", ""),
        (b"<meta charset=nonsense>", ""),
        (b"<meta charset=unicode_escape>", ""),
        (b"<meta charset=rot13>", ""),
        (b"<meta charset=hex>", ""),
        (b"<p>charset=big5", ""),
    ],
)
def test_what_a_page_declares(head, encoding):
    assert declared_encoding(b"<html>" + head) == encoding


def test_without_lxml(monkeypatch):
    monkeypatch.setitem(sys.modules, "lxml", None)
    with pytest.raises(
        InputError, match=r"^standard input: an HTML page.*'nplm-cli\[html\]'.*--markup"
    ):
        lines(b"<html><p>a</p>")
    source = "<html><p>a</p>"
    assert lines(source.encode(), markup="text") == [source]
    with pytest.raises(InputError, match="nplm-cli"):
        lines(b"a", markup="html")


def test_the_visible_text_of_a_page():
    pytest.importorskip("lxml")
    for encoding in ("utf-8", "gb2312", "utf-16"):
        data = PAGE.replace("à", "a").replace("{}", encoding).replace("{{", "{").replace("}}", "}")
        told = []
        codec = {"gb2312": "gb18030"}.get(encoding, encoding)
        assert lines(data.encode(codec), on_event=told.append) == SHOWN
        assert "standard input: an HTML page, its visible text is read" in told


def test_what_a_page_declares_is_about_its_bytes():
    """The parser gets text that is decoded already and must not decode it again."""
    pytest.importorskip("lxml")
    for declared in ("gb2312", "big5", "iso-8859-1", "utf-16"):
        page = f"<html><meta charset={declared}><p>昨天下午 déjà</p>"
        assert lines(page.encode()) == ["昨天下午 déjà"]
        assert lines(page.encode("utf-8"), encoding="utf-8") == ["昨天下午 déjà"]
    page = "<html><meta charset=windows-1251><p>Вчера днём</p>"
    assert lines(page.encode("cp1251")) == ["Вчера днём"]


def test_pages_of_any_kind():
    pytest.importorskip("lxml")
    assert lines(b"", markup="html") == []
    assert lines(b" \n", markup="html") == []
    assert lines(b"no tags, 3 < 4 & 5", markup="html") == ["no tags, 3 < 4 & 5"]
    assert lines(b"<html>" + b"<div>" * 3000 + b"deep") == ["deep"]
    # A page of many megabytes goes through in pieces.
    long = "<html>" + "<p>第一段，有字。</p>" * 100_000
    assert lines(long.encode()) == ["第一段，有字。", ""] * 99_999 + ["第一段，有字。"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *[
                    "<p>",
                    "</p>",
                    "</div>",
                    "<br",
                    ">",
                    "<!--",
                    "-->",
                    "<script>",
                    "</scr",
                    "&amp",
                    "&#xffffff;",
                    "&#0;",
                    "<pre>",
                    "中文",
                    "]]>",
                    "<?x",
                ],
                "<div hidden>",
                "\n",
                "a b",
                "<![CDATA[",
            ]
        )
        | st.text(max_size=5),
        max_size=30,
    ),
    st.sampled_from([1, 3, 1000]),
)
def test_any_source_in_any_cut(parts, size):
    pytest.importorskip("lxml")
    source = "".join(parts).encode("utf-8", "ignore").decode()
    blocks = [source[i : i + size] for i in range(0, len(source), size)]
    for line in visible_text(iter(blocks), "x"):
        assert line.endswith("\n")
        assert line.strip(" \t\n\f\r")  # of HTML; Python takes more for white space


def test_comments_before_something_else_are_looked_at_once():
    comments = b"<!---->" * 500
    assert not is_page("x", comments + b"text")
    assert not is_page("x", comments + b"<!-- <html>")
    assert is_page("x", b"<?xml version='1'?>\n" + comments + b"\n<!DOCTYPE  html>")
