"""Write docs/cli.md, the reference of all commands and options, from the command line itself.

    python docs/make_cli_reference.py            # write the file again
    python docs/make_cli_reference.py --check    # is the file what the program says?

The text is taken from the parameters and not from ``--help``, so that neither the terminal's
width nor the version of the option parser changes it.
"""

import argparse
import inspect
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from nplm_cli.cli.app import command_line
from nplm_cli.config import SECTIONS

REFERENCE = Path(__file__).with_name("cli.md")
HEADER = """\
# Command reference

Written by `docs/make_cli_reference.py` from the program; do not edit it by hand.

Every command has `--help` (`-h`). `nplm --version` shows the version, and
`nplm --install-completion` and `nplm --show-completion` set up the completion of your shell.
Data go to standard output, everything else to standard error. Exit codes: 0 done, 1 failed while
running, 2 wrong usage or input, 130 interrupted ([conventions.md](conventions.md)). A word that
begins with `-` follows `--`.
"""
TYPE_NAMES = {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}
# Bounds of a setting, as the settings name them, in words.
BOUNDS = {"low": "at least", "above": "more than", "high": "at most", "below": "less than"}


def reference() -> str:
    """The whole reference as Markdown."""
    app = command_line()
    group: Any = typer.main.get_command(app)
    functions = {command.name: command.callback for command in app.registered_commands}
    contents = "\n".join(
        f"- [`nplm {name}`](#nplm-{name}): {_summary(command)}"
        for name, command in group.commands.items()
    )
    commands = "\n".join(
        _command(name, command, functions[name]) for name, command in group.commands.items()
    )
    return f"{HEADER}\n{contents}\n\n{commands}"


def _summary(command: Any) -> str:
    return " ".join(command.help.split())


def _command(name: str, command: Any, function: Any) -> str:
    hints = {key: _bare(hint) for key, hint in typing.get_type_hints(function).items()}
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join(["nplm", name, "[OPTIONS]", *map(_argument_name, arguments)])
    lines = [f"## nplm {name}", "", _summary(command), "", "```", usage, "```", ""]
    for argument in arguments:
        needed = "" if argument.required else " (may be left out)"
        lines.append(f"- `{_argument_name(argument)}`{needed}: {_sentence(argument.help)}")
    panels: dict[str, list[Any]] = {}
    for option in options:
        if option.name != "help":
            panels.setdefault(getattr(option, "rich_help_panel", None) or "", []).append(option)
    for panel, members in panels.items():
        if panel:
            lines += ["", f"### {name}: {panel.lower()}"]
        lines += ["", "| option | meaning | default |", "|---|---|---|"]
        lines += ["| " + " | ".join(_cells(p, hints[p.name])) + " |" for p in members]
    return "\n".join([*lines, ""])


def _bare(hint: Any) -> Any:
    """The type of one value: of ``list[str] | None`` it is ``str``."""
    while inner := [kind for kind in typing.get_args(hint) if kind is not type(None)]:
        hint = inner[0]
    return hint


def _argument_name(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return f"{name}..." if argument.nargs == -1 and "..." not in name else name


def _cells(option: Any, kind: Any) -> Iterator[str]:
    metavar = option.metavar or TYPE_NAMES.get(kind, "")
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    value = f" `{metavar}`" if metavar and kind is not bool else ""
    yield (names + value).replace("|", r"\|")
    remarks = [_sentence(option.help)]
    bounds = [f"{words} {bound}" for words, bound in _bounds(option)]
    if bounds:
        remarks.append(f"({', '.join(bounds)})")
    if option.multiple:
        remarks.append("May be given several times.")
    yield " ".join(remarks).replace("|", r"\|")
    yield _default(option, kind)


def _sentence(text: str) -> str:
    # Markdown would take </s> for HTML.
    return " ".join(text.split()).replace("<", "&lt;")


def _bounds(option: Any) -> Iterator[tuple[str, str]]:
    for section in SECTIONS.values():
        field = section.__dataclass_fields__.get(option.name)
        if field is not None and option.rich_help_panel:
            for key, words in BOUNDS.items():
                if field.metadata.get(key) is not None:
                    yield words, f"{field.metadata[key]:,}"
            return
    for key, words in (("min", "at least"), ("max", "at most")):
        bound = getattr(option, key, None)
        if bound is None:
            bound = getattr(getattr(option, "type", None), key, None)
        if bound is not None:
            yield words, f"{bound:,}"


def _default(option: Any, kind: Any) -> str:
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    if shown is None or shown is False or shown in ([], ()):
        return ""
    if kind is bool:
        flag = option.opts[0] if shown is True else f"--{shown}"
        return f"`{flag}`"
    return f"`{shown}`"


def main() -> int:
    """Write or check the file; returns the exit code."""
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]))
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    text = reference()
    if not check:
        REFERENCE.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if REFERENCE.exists() and REFERENCE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{REFERENCE} is not up to date: run make docs", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
