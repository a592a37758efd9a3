"""What holds for every lesson: both languages, 80 columns, true claims, numbers of real code."""

import json

import pytest

from nplm_cli.bilingual import LANGUAGES
from nplm_cli.cli.lesson_command import show
from nplm_cli.cli.page import WIDTH, width_of
from nplm_cli.errors import ConfigError
from nplm_cli.lessons import parameters_of, run_lesson
from nplm_cli.lessons.catalogue import CATALOGUE, TOPICS, find
from nplm_cli.lessons.parameters import Parameter, read_settings, shown

NAMES = [entry.name for entry in CATALOGUE]
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def worked():
    """Lessons with their defaults, each worked out once."""
    kept = {}

    def get(name):
        if name not in kept:
            kept[name] = run_lesson(name)
        return kept[name]

    return get


def test_the_catalogue_names_each_lesson_once():
    assert len(set(NAMES)) == len(NAMES)
    assert {entry.topic for entry in CATALOGUE} == set(TOPICS)


@pytest.fixture(scope="module")
def short():
    """Lessons that learn for a few steps alone, each worked out once."""
    kept = {}

    def get(name):
        if name not in kept:
            kept[name] = run_lesson(name, few_steps(name))
        return kept[name]

    return get


def few_steps(name):
    steps = parameters_of(find(name)).get("steps")
    return {"steps": max(5, int(steps.low))} if steps else {}


@each
@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_is_wider_than_80_columns(name, lang, worked, capsys):
    show(worked(name), lang)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert [line for line in lines if width_of(line) > WIDTH] == []


@each
def test_every_claim_holds(name, worked):
    claims = [claim for step in worked(name).steps for claim in step.claims]
    assert [claim.text.en for claim in claims if not claim.holds] == []
    assert all(type(claim.holds) is bool for claim in claims)


@each
def test_values_are_named_once_and_are_numbers(name, worked):
    steps = worked(name).steps
    names = [key for step in steps for key in step.values]
    assert names
    assert len(set(names)) == len(names)
    json.dumps(worked(name).record("en"))
    assert all(map(_is_value, worked(name).values.values()))


def _is_value(value):
    if isinstance(value, list | tuple):
        return all(map(_is_value, value))
    return isinstance(value, int | float | str | None) and value == value


@each
def test_both_languages_say_as_much(name, worked):
    for step in worked(name).steps:
        for text in (step.title, step.text, *(c.text for c in step.claims)):
            assert bool(text.en) == bool(text.zh)
        assert step.text.zh == "" or any("\u4e00" <= c <= "\u9fff" for c in step.text.zh)


@each
def test_the_same_again(name, short):
    assert run_lesson(name, few_steps(name)).record("en") == short(name).record("en")


@each
def test_its_numbers_come_from_the_code_that_it_names(name, short, disturbed):
    runs, before = short(name).runs, short(name).values
    assert runs
    unmoved = []
    for dotted in runs:
        with disturbed(dotted):
            if run_lesson(name, few_steps(name)).values == before:
                unmoved.append(dotted)
    assert unmoved == []


@each
def test_every_parameter_moves_something(name, short):
    entry, unmoved = short(name).entry, []
    for key, parameter in parameters_of(entry).items():
        changed = _changed(parameter)
        if run_lesson(name, few_steps(name) | {key: changed}).values == short(name).values:
            unmoved.append(key)
    assert unmoved == []


def _changed(parameter: Parameter):
    """Another value that the parameter may have."""
    default = parameter.default
    if parameter.choices and isinstance(default, str):
        return next(c for c in parameter.choices if c != default)
    if isinstance(default, tuple) and isinstance(default[0], str):
        return (*default[:-1], default[0]) if default[0] != default[-1] else (*default[:-1],)
    return _moved(default, parameter)


def _moved(value, parameter):
    if isinstance(value, tuple):
        return (_moved(value[0], parameter), *value[1:])
    if isinstance(value, int):
        return value + 1 if value + 1 <= parameter.high else value - 1
    if isinstance(value, float):
        moved = value + (abs(value) or 1.0) / 4
        return moved if moved <= parameter.high else value - (abs(value) or 1.0) / 4
    raise AssertionError(f"change {value!r} by hand")


@each
def test_what_is_shown_can_be_set(name, worked):
    given = worked(name).given
    settings = [f"{key}={shown(value)}" for key, value in given.items()]
    again = read_settings(name, parameters_of(find(name)), settings)
    assert list(again) == list(given)
    for a, b in zip(_flat(list(again.values())), _flat(list(given.values())), strict=True):
        assert a == (pytest.approx(b, rel=1e-9) if isinstance(b, float) else b)


def _flat(value):
    if isinstance(value, list | tuple):
        return [inner for item in value for inner in _flat(item)]
    return [value]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("vanishing", {"steps": 0}),
        ("dropout", {"p": 2.0}),
        ("rnn", {"W": "abc"}),
        ("ffn", {"activation": 3}),
        ("ffn", {"columns": 2.5}),
        ("neuron", {"weights": (1.0,)}),
        ("vanishing", {"steps": "5"}),
        ("neuron", {"w": ("1", "2", "3")}),
    ],
)
def test_impossible_values_are_refused_from_python_too(name, values):
    with pytest.raises(ConfigError):
        run_lesson(name, values)
