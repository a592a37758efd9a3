"""The textbook's worked examples, W-01 to W-39, by the lessons that show them.

One file an example in ``examples/``: source, what it is (PRINTED: the source prints the output;
INPUT: it gives the inputs; FIG: it stood in a figure; EXTRA: it gives the formula, the numbers are
chosen), and each number, exact (float64) and as printed.

    lesson, set          how nplm works it out: nplm lesson LESSON --set ... (an example without a
                         lesson has a test of its own, which reads the file)
    expect.value         the value's name in the lesson (--json)
    expect.exact         asserted to ``within`` (1e-6 unless it says otherwise)
    expect.printed       what the source prints, asserted to ``printed_within``
    expect.erratum       why the source prints something else, where it does
"""

import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from nplm_cli.lessons import run_lesson
from nplm_cli.lessons.catalogue import CATALOGUE

FOLDER = Path(__file__).parent / "examples"
EXAMPLES = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in FOLDER.glob("W-*.toml")}
EXPECTED = [
    (id, i)
    for id, example in sorted(EXAMPLES.items())
    if "lesson" in example  # others: a test of their own reads the file
    for i in range(len(example["expect"]))
]
KEYS = {"id", "title", "source", "status", "note", "lesson", "set", "pairs", "expect"}
EXPECT = {"value", "exact", "within", "printed", "printed_within", "erratum"}


@cache
def values(lesson: str, *settings: str) -> dict[str, object]:
    return run_lesson(lesson, settings=settings).values


@pytest.mark.parametrize(("id", "number"), EXPECTED, ids=[f"{a}-{b}" for a, b in EXPECTED])
def test_example(id, number):
    example = EXAMPLES[id]
    expect = example["expect"][number]
    by_name = values(example["lesson"], *example.get("set", ()))
    value = np.array(by_name[expect["value"]], dtype=float)
    exact = np.array(expect["exact"], dtype=float)
    assert value.shape == exact.shape
    np.testing.assert_allclose(value, exact, rtol=0, atol=expect.get("within", 1e-6))
    if "printed" in expect:
        printed = np.array(expect["printed"], dtype=float)
        off = np.abs(value - printed) > expect["printed_within"]
        assert bool(off.any()) == ("erratum" in expect), "an erratum is where they differ"


@pytest.mark.parametrize("id", EXAMPLES)
def test_files_say_what_they_are(id):
    example = EXAMPLES[id]
    assert set(example) <= KEYS
    assert example["id"] == id
    assert example["source"]
    assert set(example["status"].split(", ")) <= {"PRINTED", "INPUT", "FIG", "EXTRA"}
    for expect in example["expect"]:
        assert set(expect) <= EXPECT
        assert ("printed" in expect) == ("printed_within" in expect)
    if "lesson" not in example:
        return
    entry = next(e for e in CATALOGUE if e.name == example["lesson"])
    assert id in entry.examples


def test_every_example_of_a_lesson_has_its_file():
    assert {id for entry in CATALOGUE for id in entry.examples} <= set(EXAMPLES)
