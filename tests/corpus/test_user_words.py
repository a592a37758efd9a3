"""User dictionaries: what a line may be, and how a bad one is named."""

import json

import pytest

from nplm_cli.corpus.user_words import MAX_CHARACTERS, UserWords, parse_entry, read_user_words
from nplm_cli.errors import ConfigError, InputError


@pytest.mark.parametrize(
    ("line", "word", "frequency"),
    [
        ("台中", "台中", None),
        ("创新办 3 i", "创新办", 3),
        ("云计算 5", "云计算", 5),
        ("好用   300  ", "好用", 300),
        ("凱特琳 nz", "凱特琳", None),
        ("easy_install 3 eng", "easy_install", 3),
        ("Edu Trust认证 2000", "Edu Trust认证", 2000),
        ("New York", "New York", None),
        ("machine learning", "machine learning", None),
        ("New York 12 ns", "New York", 12),
        ("Python 3.5", "Python 3.5", None),
        ("vitamin c", "vitamin c", None),
        ("卡拉 OK", "卡拉 OK", None),
        ("李 Ning", "李 Ning", None),
        ("词 7 MyTag_1", "词", 7),
        ("2024", "2024", None),
        ("全角\u3000５", "全角", 5),
        # The word ends at the first tab.
        ("iPhone 12\t", "iPhone 12", None),
        ("iPhone 12\t30", "iPhone 12", 30),
        ("iPhone  12\t30\tn", "iPhone 12", 30),
        ("使命召唤 4.0\t\tnz", "使命召唤 4.0", None),
        ("平台 tech\tn", "平台 tech", None),
        ("\ufeff词"[1:], "词", None),
    ],
)
def test_lines(line, word, frequency):
    assert parse_entry(line) == (word, frequency)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("云计算 3.5", "frequency '3.5': expected a whole number"),
        ("云计算 -5", "frequency '-5'"),
        ("云计算 1,000", "frequency '1,000'"),
        ("云计算 1e5", "frequency '1e5'"),
        ("云计算\t3.5\tn", "frequency '3.5'"),
        ("云计算 0 n", "frequency 0: expected at least 1"),
        ("云计算 " + "9" * 12, "expected 1 to 1,000,000,000"),
        ("云计算 " + "9" * 5000, "frequency 999999999999999999...: expected 1 to"),
        ("云计算 tech", "'tech' may be a tag or belong to the word: put a tab after the word"),
        ("a\t1\tb\tc", "3 fields before the tag"),
        ("\t5", "expected a word"),
        ("字" * (MAX_CHARACTERS + 1), "a word of 101 characters"),
    ],
)
def test_bad_lines(line, message):
    with pytest.raises(ConfigError) as caught:
        parse_entry(line)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200


def dictionary(folder, data, name="d.txt"):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_bytes_of_all_kinds(tmp_path, encoding, end):
    lines = ["云计算 5 n", "", "深度学习", "  ", "New York", "ＡＩ芯片 7", "云计算"]
    told = []
    path = dictionary(tmp_path, end.join(lines).encode(encoding))
    found = read_user_words([path], on_event=told.append)
    assert found.to_json() == {"云计算": 5, "深度学习": None, "New York": None, "AI芯片": 7}
    assert told[-1] == f"user dictionary {path}: 5 words, 2 with a frequency"
    assert "ＡＩ芯片" in read_user_words([path], fold=False)


def test_several_dictionaries_are_one(tmp_path):
    paths = [
        dictionary(tmp_path, "一 1\n二 2\n三 3\n", "a"),
        dictionary(tmp_path, "二 22\n三\n四\n", "b"),
    ]
    found = read_user_words(paths)
    assert found.to_json() == {"一": 1, "二": 22, "三": 3, "四": None}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("好 1\n坏 x.5\n云 3.5\n", ":3: frequency '3.5'"),
        ("\ufeff好 0\r\n", ":1: frequency 0"),
        ("\n \n", ": no word in it"),
        ("", ": no word in it"),
        (b"\xe5\xa5\xbd 1\n\xff\xfe\xff\n", ":2: "),
        ("好\n" + "字" * 5000, ":2: a word of 5,000 characters"),
    ],
)
def test_a_bad_dictionary_is_named_with_its_line(tmp_path, data, message):
    path = dictionary(tmp_path, data)
    with pytest.raises(InputError) as caught:
        read_user_words([path])
    assert str(caught.value).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    "data",
    [
        "镕 砼\n".encode("gb18030"),  # or Big5
        "小说\n".encode("gbk"),  # or UTF-8
        "Général\n".encode("cp1252"),
        ("云计算\n" * 20).encode("gbk") + b"\xff\n",
        b"a\0b\n" * 20,
    ],
)
def test_a_dictionary_in_no_sure_encoding_is_refused(tmp_path, data):
    with pytest.raises(InputError, match=r"; save the dictionary as UTF-8$") as caught:
        read_user_words([dictionary(tmp_path, data)])
    assert "--e" not in str(caught.value)


def test_a_dictionary_is_a_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_user_words([str(tmp_path / "gone")])
    with pytest.raises(ConfigError, match="--user-dict -: a dictionary is a file"):
        read_user_words(["-"])


def test_json_and_back():
    found = UserWords({"云计算": 5, "New York": None})
    again = UserWords.from_json(json.loads(json.dumps(found.to_json())), "x")
    assert again == found
    assert hash(again) == hash(found)
    assert UserWords({"New York": None, "云计算": 5}) == found
    assert UserWords({"New York": None, "云计算": 6}) != found
    assert UserWords({"New York": 5, "云计算": None}) != found
    assert UserWords() != found
    assert not UserWords()


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        "词",
        {"": None},
        {" 词": None},
        {"a  b": None},
        {"a\tb": None},
        {"a\u3000b": None},
        {"字" * 101: None},
        {"词": "5"},
        {"词": 5.0},
        {"词": True},
        {"词": 0},
        {"词": -1},
        {"词": 10**10},
        {"词": [5]},
    ],
)
def test_words_of_a_stranger_are_checked(values):
    with pytest.raises(ConfigError, match=r"^tokenizer\.json: "):
        UserWords.from_json(values, "tokenizer.json")
