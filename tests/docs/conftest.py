"""The repository and the options that its commands have."""

from pathlib import Path

import pytest
import typer

from nplm_cli.cli.app import command_line


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def options() -> dict[str, set[str]]:
    """Long and short options of each command; those of ``nplm`` itself under ``""``."""
    group = typer.main.get_command(command_line())
    found = {
        name: {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        | {"--help", "-h"}
        for name, command in group.commands.items()
    }
    found[""] = {option for p in group.params for option in p.opts} | {"--help", "-h"}
    return found
