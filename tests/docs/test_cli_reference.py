"""docs/cli.md is what docs/make_cli_reference.py writes, whatever the terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("columns", ["40", "200"])
def test_reference_is_up_to_date_at_any_width(repository: Path, columns: str) -> None:
    done = subprocess.run(
        [sys.executable, repository / "docs" / "make_cli_reference.py", "--check"],
        env={**os.environ, "COLUMNS": columns, "TERMINAL_WIDTH": columns},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), "run make docs"


def test_reference_names_every_option(repository: Path, options: dict[str, set[str]]) -> None:
    text = (repository / "docs" / "cli.md").read_text("utf-8")
    sections = {part.split("\n", 1)[0]: part for part in text.split("\n## nplm ")[1:]}
    assert sorted(sections) == sorted(name for name in options if name)
    for command, part in sections.items():
        missing = {o for o in options[command] - {"--help", "-h"} if o[0] == "-"}
        missing -= {o for o in missing if f"`{o}`" in part}
        assert not missing, f"nplm {command}: {missing}"
