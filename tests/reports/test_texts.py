"""Both languages say the same things, and nothing is said that no page shows."""

import re
import string
from importlib.resources import files

import pytest

from nplm_cli.bilingual import LANGUAGES
from nplm_cli.reports.texts import Texts, load


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_all_keys_and_placeholders():
    zh, en = load("zh"), load("en")
    assert list(zh) == list(en)
    assert {key: fields(text) for key, text in zh.items()} == {
        key: fields(text) for key, text in en.items()
    }


@pytest.mark.parametrize("lang", LANGUAGES)
def test_strings_are_whole(lang):
    for key, text in load(lang).items():
        assert text.strip() == text != "", key
        if key != "notes" and not key.endswith("columns"):
            assert text[-1] not in ",:;，：；", key


def test_tables_have_as_many_columns_in_both_languages():
    zh, en = load("zh"), load("en")
    columns = [key for key in en if key.endswith(".columns")]
    assert len(columns) > 9
    for key in columns:
        assert zh[key].count("|") == en[key].count("|"), key


def test_chinese_is_chinese():
    kept = {
        "html_lang",
        "corpus",
        "figure.pca.title",
        "figure.tsne.title",
        "model.kneser_ney",
        "matches",
    }  # names alone
    for key, text in load("zh").items():
        assert key in kept or re.search("[\u4e00-\u9fff]", text), key


def test_every_string_is_used():
    """A key stands in the code whole, or begins with what the code puts a value behind."""
    root = files("nplm_cli.reports")
    sources = [
        p
        for p in [*root.iterdir(), *(root / "templates").iterdir()]
        if p.name.endswith((".py", ".j2", ".js"))
    ]
    code = "\n".join(p.read_text(encoding="utf-8") for p in sources)
    built = re.findall(r'[("]f?"?([a-z_]+(?:\.[a-z_]+)*)\.(?:\{|" ?[+~])', code)
    built += [*re.findall(r'named\("([a-z_]+)"', code), "judge", "table"]
    unused = [
        key for key in load("en")
        if f'"{key}"' not in code and not any(key.startswith(prefix + ".") for prefix in built)
    ]  # fmt: skip
    assert unused == []


def test_texts_fill_and_refuse():
    texts = Texts("en")
    assert texts("model.sees", n=4) == "sees 4 words before"
    assert texts.named("combine", "mean") == "averaged"
    assert texts.named("combine", "<new>") == "<new>"
    assert (Texts("zh").listed(["a", "b"]), texts.listed(["a", "b"])) == ("a、b", "a, b")
    with pytest.raises(KeyError):
        texts("model.sees")
    with pytest.raises(KeyError):
        texts("no.such.key")
