"""Plain command lines are read without typer, and as typer reads them."""

import random
from pathlib import Path

import pytest
import typer
from typer._click.exceptions import UsageError
from typer.main import get_command

from nplm_cli.cli import app, parameters
from nplm_cli.cli.parameters import Parameter, plain_values

COMMANDS = ("neighbors", "score", "predict", "eval", "count", "info")


def functions():
    return {name: app._functions(app.COMMANDS[name])[name] for name in COMMANDS}


def values_of_typer(name, arguments, monkeypatch):
    """What the function of a command is given by typer; None where typer refuses the line."""
    group = get_command(app.command_line(name))
    command = group.commands[name]
    seen = []
    monkeypatch.setattr(command, "callback", lambda **values: seen.append(values))
    try:
        with group.make_context("nplm", [name, *arguments]) as context:
            group.invoke(context)
    except (typer.Exit, UsageError):
        return None
    return seen[0]


PLAIN = [
    ("neighbors", "RUN 书"),
    ("neighbors", "RUN 书 我 -k 3 --metric euclidean --json"),
    ("neighbors", "--top 3 RUN 书 -q --vectors=output"),
    ("neighbors", "RUN -"),
    ("neighbors", "RUN --random 5 --seed 2 --band 1-9 --all-tokens"),
    ("score", "RUN a b"),
    ("score", "RUN --file x --file y --no-eos --base e"),
    ("score", "RUN --given a --word b --word c"),
    ("score", "RUN a --cache neural --cache-size 20 --cache-theta 0.25 --cache-weight 1"),
    ("predict", "RUN a -k 7"),
    ("eval", "RUN a b --stride 4"),
    ("count", "RUN a --word b"),
    ("info", "RUN --json"),
]


@pytest.mark.parametrize(("name", "line"), PLAIN)
def test_plain_lines_are_read_as_typer_reads_them(name, line, monkeypatch):
    values = plain_values(functions()[name], line.split())
    assert values is not None
    assert same(values) == same(values_of_typer(name, line.split(), monkeypatch))


def same(values):
    # Typer gives None or an empty list of what may be given several times and was not.
    return {name: (type(v), v) if v not in (None, [], ()) else None for name, v in values.items()}


@pytest.mark.parametrize(
    "line",
    [
        "RUN 书 --help",
        "RUN 书 -h",
        "RUN 书 --to 3",
        "RUN 书 -k3",
        "RUN 书 -k -1",
        "RUN 书 -k",
        "RUN 书 -k 0",
        "RUN 书 -k ٣",
        "RUN 书 -k 1_0",
        "RUN 书 -k 1 -k 2",
        "RUN 书 --json=1",
        "RUN -- -k",
        "",
    ],
)
def test_other_lines_are_left_to_typer(line):
    assert plain_values(functions()["neighbors"], line.split()) is None


@pytest.mark.parametrize("name", COMMANDS)
def test_random_lines_are_never_read_otherwise(name, monkeypatch):
    function = functions()[name]
    flags = [
        flag
        for hint in function.__annotations__.values()
        for record in getattr(hint, "__metadata__", ())
        if isinstance(record, Parameter)
        for flag in "/".join(record.flags).split("/")
        if flag
    ]
    pieces = [
        *flags,
        *flags,
        "RUN",
        "a",
        "7",
        "0.5",
        "0",
        "-1",
        "-",
        "1e3",
        "",
        "--nope",
        "--seed=3",
    ]
    chosen = random.Random(1)
    read = 0
    for _ in range(150):
        line = ["RUN", *chosen.choices(pieces, k=chosen.randint(0, 4))]
        values = plain_values(function, line)
        if values is not None:
            read += 1
            assert same(values) == same(values_of_typer(name, line, monkeypatch)), line
    assert read > 5


def test_what_is_no_record_of_ours_is_left_to_typer():
    def function(run: Path, json: bool = False) -> None:
        pass

    assert plain_values(function, ["x"]) is None
    assert parameters.with_typer(function) is function


def test_the_table_is_what_the_modules_register():
    registered = {
        name: module
        for module in dict.fromkeys(app.COMMANDS.values())
        for name in app._functions(module)
    }
    assert list(registered.items()) == list(app.COMMANDS.items())
    assert list(get_command(app.command_line()).commands) == list(app.COMMANDS)


def test_one_command_alone_has_the_same_options():
    def options(command):
        return [(p.name, p.opts, p.secondary_opts, p.help, p.default) for p in command.params]

    whole = get_command(app.command_line())
    for name in app.COMMANDS:
        alone = get_command(app.command_line(name))
        assert list(alone.commands) == [name]
        assert options(alone.commands[name]) == options(whole.commands[name])


def test_unknown_names_are_met_with_all_commands(nplm):
    nplm("neighbours").refused("did you mean 'neighbors'?")
    nplm("neighbors", "x", "--tops").refused("did you mean '--top'?")
