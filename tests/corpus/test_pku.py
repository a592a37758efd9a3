import pytest

from nplm_cli.corpus.pku import parse_line

ID = "19980101-01-001-001/m"


def words(text, compounds="open"):
    return [item.word for item in parse_line(text, compounds).items]


def tagged(text, compounds="open"):
    return [f"{item.word}|{item.tag}" for item in parse_line(text, compounds).items]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{ID}  我们/rr  党/n  。/wj", "我们|rr 党|n 。|wj"),
        ("我们/rr  党/n\r", "我们|rr 党|n"),
        ("[中国/ns  政府/n]nt  说/v", "中国|ns 政府|n 说|v"),
        ("[中国/ns]nt", "中国|ns"),
        ("[中国/ns  政府/n]/nt", "中国|ns 政府|n"),
        ("上{shang5}/f  当时{dang1shi2}/t  女{nü3}/n", "上|f 当时|t 女|n"),
        ("[上{shang4}/f  海/n]ns", "上|f 海|n"),
        ("年/l/%  月/t/w", "年|l 月|t"),
        ("//w", "/|w"),
        ("［/w  [/w  ]/w  {/w  }/w", "［|w [|w ]|w {|w }|w"),
        ("１９９８年/t  ３．１４/m", "１９９８年|t ３．１４|m"),
        ("2000/m  1998-01/m", "2000|m 1998-01|m"),
        (ID, ""),
        ("", ""),
    ],
)
def test_words_and_tags(text, expected):
    paragraph = parse_line(text)
    assert tagged(text) == expected.split()
    assert paragraph.faults == []


def test_compounds_joined():
    text = "在/p  [中国/ns  政府/n]nt  [上{shang4}/f  海/n]ns  说/v"
    assert tagged(text, "join") == ["在|p", "中国政府|nt", "上海|ns", "说|v"]


def test_article_is_the_first_three_groups_of_the_id():
    assert parse_line(f"{ID}  我/rr").article == "19980101-01-001"
    assert parse_line("19980101-01-001-002  我/rr").article == "19980101-01-001"
    assert parse_line("我/rr").article is None


@pytest.mark.parametrize(
    ("text", "kept", "fault"),
    [
        ("我/rr 没有 党/n", "我 没有 党", "a word without a tag: '没有'"),
        ("我/", "我", "a word without a tag"),
        ("/n 我/rr", "我", "a tag without a word: '/n'"),
        ("为{ 我/rr", "为 我", "a word without a tag"),
        ("[中国/ns 政府/n", "中国 政府", "a bracket not closed"),
        ("中国/ns 政府/n]nt", "中国 政府", "a bracket closed that was not opened"),
        ("[中国/ns [人民/n 政府/n]nt 好/a", "中国 人民 政府 好", "a bracket opened twice"),
        ("[中国/ns 政府]nt", "中国 政府", "a word without a tag: '政府]nt'"),
    ],
)
def test_faults_are_listed_and_leave_no_markup(text, kept, fault):
    assert words(text) == kept.split()
    assert fault in parse_line(text).faults[0]


def test_offsets_point_to_the_word_in_the_source():
    text = f"{ID}  [上{{shang4}}/f  海/n]ns  说/v"
    items = parse_line(text).items
    assert [text[item.start : item.end] for item in items] == ["上", "海", "说"]
    joined = parse_line(text, "join").items[0]
    assert text[joined.start : joined.end] == "上{shang4}/f  海"
