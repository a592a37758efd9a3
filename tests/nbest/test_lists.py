"""Lists come back byte for byte but for what is added; what is out of step is named by its line."""

import json
import math
import re

import pytest

from nplm_cli.errors import ConfigError, InputError
from nplm_cli.nbest.layouts import Names, figure

ENCODINGS = ["utf-8", "utf-8-sig", "gb18030", "utf-16"]


def whole(found, scores, totals=None):
    lines = [
        found.line(entry, score, None if totals is None else totals[i])
        for i, (entry, score) in enumerate(zip(found.entries, scores, strict=True))
    ]
    return found.head(totals is not None) + b"".join(lines)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_without_the_score_the_bytes_are_the_same(nbest, layout, encoding, end):
    name, text = layout
    text = text.replace("\r\n", "\n").replace("\n", end)
    found = nbest(text, encoding=encoding)
    assert found.format == name
    scores = [-12.25 - i for i in range(len(found.entries))]
    written = whole(found, scores).decode(encoding)
    for i, score in enumerate(scores):
        added = {
            "moses": rf" nplm= {re.escape(figure(score))}",
            "tsv": rf"\t{re.escape(figure(score))}(?=[\r\n]|$)",
            "jsonl": rf', "nplm_logprob_e": {re.escape(str(score))}',
        }[name]
        written, times = re.subn(added, "", written)
        assert times == 1, (i, written)
    assert written.replace("\tnplm_logprob_e", "") == text


def test_moses_feature_and_total(nbest):
    found = nbest("0 ||| a b ||| LM0= -3 ||| -1.5 ||| 0-0 1-1\n0 ||| c|||||| -2 |||\n")
    assert [entry.fields for entry in found.entries] == [("0", "a b", -1.5), ("0", "c", -2.0)]
    assert whole(found, [-12.3456789012, -math.inf], [-7.25, 0.0]).decode() == (
        "0 ||| a b ||| LM0= -3 nplm= -12.345679 ||| -7.25 ||| 0-0 1-1\n"
        "0 ||| c||| nplm= -inf ||| 0 |||\n"
    )


def test_tsv_columns(nbest):
    found = nbest("x\tid\thyp\n1\ta\tb c\n", "auto", Names(hypothesis="hyp", unit="logprob_log10"))
    assert found.entries[0].fields == ("a", "b c", None)
    assert not found.has_totals
    assert whole(found, [-0.5]).decode() == "x\tid\thyp\tnplm_logprob_log10\n1\ta\tb c\t-0.5\n"


def test_json_keys(nbest):
    found = nbest('{"id": 3, "hypothesis": "a }", "total": 2}\n', allow_missing=True)
    [record] = [json.loads(line) for line in whole(found, [-1 / 3], [5.0]).splitlines()]
    assert record == {
        "id": 3, "hypothesis": "a }", "total": 2, "nplm_logprob_e": -1 / 3, "nplm_total": 5.0,
    }  # fmt: skip
    assert b'"nplm_logprob_e": null' in whole(found, [-math.inf])


def test_starts_of_ids(nbest):
    found = nbest("".join(f"{i} ||| w ||| ||| -1\n" for i in (1, 1, 2, 3, 3, 3)))
    assert (found.ids, found.starts) == (["1", "2", "3"], [0, 2, 3, 6])
    assert found.groups() == [(0, 2), (2, 3), (3, 6)]


def ids(*own):
    return "".join(f"{i} ||| w ||| f= 1 ||| -1\n" for i in own)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (ids(0, 1, 0), 3, "id 0 again, after id 1"),
        (ids(0, 2, 1), 2, "id 1 is missing"),
        (ids(0, 1, 5), 3, "ids 2 to 4 are missing"),
        (ids(2, 3), 1, "ids 0 to 1 are missing"),
        (ids(0, ""), 2, "no id"),
        (ids("b", "a", "b"), 3, "id b again"),
        ("0 ||| a ||| f ||| -1\na b c\n", 2, "1 field between"),
        ("0 ||| a ||| f ||| -1\n0 ||| a ||| f\n", 2, "3 fields between"),
        ("0 ||| a ||| f ||| -1\n0 ||| a ||| b ||| f ||| -1\n", 2, "5 fields between"),
        ("0 ||| a ||| f ||| -1\n\n0 ||| b ||| f ||| -1\n", 2, "blank line"),
        ("0 ||| a ||| f ||| x\n", 1, "total 'x' is no number"),
        ("0 ||| a ||| f ||| nan\n", 1, "total 'nan' is no number"),
        ("0 ||| a ||| f ||| 1_0\n", 1, "total '1_0' is no number"),
        ("0 ||| a ||| nplm= -1 ||| -1\n", 1, "nplm= already"),
        ("id\ttext\n0\ta\n", 1, "no column 'hypothesis'"),
        ("id\thypothesis\tid\n0\ta\t1\n", 1, "more than one column 'id'"),
        ("id\thypothesis\n0\n", 2, "1 column, the header has 2"),
        ("7\ta b\n8\tc\n", 1, "the first line must be a header"),
        ("id\thypothesis\n0\ta\tb\n", 2, "3 columns, the header has 2"),
        ("id\thypothesis\ttotal\n0\ta\tb\n", 2, "no number"),
        ("id\thypothesis\tnplm_total\n0\ta\tb\n", 1, "nplm_total is there already"),
        ('{"id": 0, "hypothesis": "a"\n', 1, "delimiter, column 28)"),
        ('{"id": 0, "hypothesis": "a"}\n[1]\n', 2, "expected a JSON object"),
        ('{"id": 0, "text": "a"}\n', 1, "no key 'hypothesis'"),
        ('{"id": null, "hypothesis": "a"}\n', 1, "id None"),
        ('{"id": true, "hypothesis": "a"}\n', 1, "id True"),
        ('{"id": 0, "hypothesis": 1}\n', 1, "hypothesis 1 is no text"),
        ('{"id": 0, "id": 1, "hypothesis": "a"}\n', 1, "'id' stands there twice"),
        ('{"id": 0, "hypothesis": "a", "total": NaN}\n', 1, "total nan"),
        ('{"id": 0, "hypothesis": "a", "total": "1"}\n', 1, "total '1'"),
        ('{"id": 0, "hypothesis": "a", "total": 1' + "0" * 400 + "}\n", 1, "total inf"),
        ('{"id": 0, "hypothesis": "a", "nplm_logprob_e": 1}\n', 1, "there already"),
        ('{"id": 0, "hypothesis": "a", "x": ' + "[" * 100_000 + "\n", 1, "not JSON"),
        ("just text\n", 1, "no n-best list"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(nbest, text, line, why):
    with pytest.raises(InputError, match=f"^standard input:{line}: ") as caught:
        nbest(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_empty_lists(nbest):
    for text in ("", "id\thypothesis\n"):
        with pytest.raises(InputError, match="standard input"):
            nbest(text)


def test_ids_that_are_left_out_on_purpose(nbest):
    assert nbest(ids(0, 4, 9), allow_missing=True).ids == ["0", "4", "9"]
    with pytest.raises(InputError, match="ids go up"):
        nbest(ids(4, 0), allow_missing=True)
    assert nbest(ids("utt2", "utt1")).ids == ["utt2", "utt1"]


def test_totals_that_some_lines_lack(nbest):
    found = nbest("id\thypothesis\ttotal\na\tx\t1\na\ty\t\n")
    with pytest.raises(InputError, match=r"^standard input:3: no total"):
        _ = found.has_totals


def test_names_and_formats(nbest):
    with pytest.raises(ConfigError, match="--name"):
        Names(score="a b")
    with pytest.raises(ConfigError, match="--format 'xml'"):
        nbest(ids(0), "xml")
    with pytest.raises(InputError, match="1 field"):
        nbest('{"id": 0}\n', "moses")
