"""``nplm lesson``: listed without torch, worked out, changed by --set, told in two languages."""

import subprocess
import sys

import pytest

from nplm_cli.cli.page import table_lines, width_of, wrapped
from nplm_cli.lessons.catalogue import CATALOGUE


def test_the_list(nplm):
    table = nplm("lesson").ok().table
    assert [row["lesson"] for row in table] == [entry.name for entry in CATALOGUE]
    assert set(table[0]) == {"lesson", "title", "topic"}


def test_the_list_as_json(nplm):
    record = nplm("lesson", "--json", "--lang", "zh").ok().json
    assert record["schema"] == 1
    [ffn] = [entry for entry in record["lessons"] if entry["lesson"] == "ffn"]
    assert ffn["title"] == "前馈神经网络语言模型：从头到尾"
    assert ffn["examples"][0] == "W-10"
    assert "宗成庆" in ffn["source"]


def test_the_list_loads_no_torch(spawn):
    code = (
        "import sys; from nplm_cli.cli.app import run; run(['lesson']); "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'jieba', 'rich'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[-1] == "[]"


def test_a_lesson(nplm):
    out = nplm("lesson", "ffn").ok().out
    assert "  乏味  0.191541  0.196097\n" in out
    assert "-ln p(乏味) = 1.629146" in out
    assert "holds: the probabilities sum to 1" in out
    assert "nplm_cli.training.losses.OutputLoss.__call__" in out


def test_a_lesson_in_chinese(nplm):
    out = nplm("lesson", "ffn", "--lang", "zh").ok().out
    assert "3. 得分，以及五个词上的 softmax\n" in out
    assert "成立：概率之和为 1" in out


def test_the_environment_chooses_the_language(nplm, monkeypatch):
    monkeypatch.setenv("NPLM_LANG", "zh_CN.UTF-8")
    assert "单个神经元" in nplm("lesson", "neuron").ok().out
    assert "A single unit" in nplm("lesson", "neuron", "--lang", "en").ok().out


def test_json_has_all_digits(nplm):
    record = nplm("lesson", "ffn", "--json").ok().json
    assert record["schema"] == 1
    assert record["parameters"]["word"] == "乏味"
    values = {k: v for step in record["steps"] for k, v in step["values"].items()}
    assert values["nll"] == pytest.approx(1.629146, abs=1e-6)
    assert len(str(values["nll"])) > 12


def test_numbers_move(nplm):
    relu = nplm("lesson", "ffn", "--set", "activation=relu", "--json").ok().json
    [h] = [step["values"]["h"] for step in relu["steps"] if "h" in step["values"]]
    assert h == pytest.approx([0.38, 0.44])


def test_a_claim_that_fails_is_said(nplm):
    out = nplm("lesson", "ffn", "--set", "vectors=0,0;0,0;0,0;0,0;0,0").ok().out
    assert "DOES NOT HOLD: the word has become likelier" in out


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (("lesson", "xr"), ("'xr'", "did you mean 'xor'?", "nplm lesson lists them")),
        (
            ("lesson", "ffn", "--set", "lr=much"),
            ("lr='much'", "expected a number from 1e-06 to 1000"),
        ),
        (("lesson", "ffn", "--set", "lr=nan"), ("expected a number",)),
        (("lesson", "ffn", "--set", "lrr=1"), ("it has: vectors, W,", "did you mean 'lr'?")),
        (("lesson", "ffn", "--set", "W=1,2;3,4"), ("expected the shape of",)),
        (("lesson", "ffn", "--set", "context=这 本 猫 很"), ("'猫' is none of 这, 本",)),
        (("lesson", "ffn", "--set", "activation=tan"), ("one of tanh", "did you mean 'tanh'?")),
        (("lesson", "neuron", "--set", "x"), ("expected x=VALUE",)),
        (("lesson", "neuron", "--set", "x=" + "1," * 128 + "1"), ("1 to 128 values, found 129",)),
        (("lesson", "neuron", "--set", "x=1,2"), ("x has 2 numbers and w 3",)),
        (("lesson", "--set", "x=1"), ("name one",)),
        (("lesson", "neuron", "--lang", "fr"), ("'fr'", "zh or en")),
    ],
)
def test_refused(nplm, line, parts):
    nplm(*line).refused(*parts)


def test_a_hostile_setting_drives_no_terminal(nplm):
    done = nplm("lesson", "ffn", "--set", "context=\x1b[31m 本 书 很")
    assert "\x1b" not in done.refused("context")


def test_wrapped_text_fits_and_loses_nothing():
    text = (
        "词向量（word vectors）是表中的一行，而“查表”等于与独热向量相乘。 A word, then more words."
    )
    for width in (10, 17, 30, 80):
        lines = list(wrapped(text, width))
        assert all(width_of(line) <= width + 2 for line in lines)  # a closing sign may hang over
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert not any(line.startswith(tuple("，。）”")) for line in lines)
        assert not any(line.endswith(tuple("（“")) for line in lines)


def test_columns_are_aligned_with_chinese_in_them():
    lines = list(table_lines(["词", "p"], [["乏味", 0.25], ["a", -1.5]], 2))
    assert lines == ["词        p", "乏味   0.25", "a     -1.50"]
    assert len({width_of(line) for line in lines}) == 1


def test_numbers_too_small_for_their_places_keep_their_digits():
    shown = [line.strip() for line in table_lines(["x"], [[1e-9], [0.0], [-1e-12], [2.5e12]], 3)]
    assert shown == ["x", "1.000e-09", "0.000", "-1.000e-12", "2.500e+12"]


def test_text_follows_a_narrow_terminal(nplm, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = [line for line in nplm("lesson", "neuron").ok().lines if not line.startswith(" ")]
    assert 40 < max(map(width_of, text)) <= 60


def test_upper_case_is_a_near_miss(nplm):
    nplm("lesson", "LSTM").refused("did you mean 'lstm'?")
