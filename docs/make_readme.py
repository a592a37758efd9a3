"""Run the commands of the READMEs' console blocks and put what they print below them.

A block looks like this; lines that begin with ``$ `` (continued while they end in a backslash)
are run in order from the top of the repository, everything else in the block is replaced:

    ```console
    $ nplm predict runs/demo-en "The old farmer" -k 5
    rank  word ...
    ```

The tour asks the models of ``make demo``, which is run first: the figures of an older model would
pass for this one's.

    python docs/make_readme.py            rewrite README.md and README.zh-CN.md
    python docs/make_readme.py --check    fail where a command fails or prints other columns
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.MULTILINE)
# Progress on stderr is told by the clock; of a README's reader only the results matter.
_CACHE: dict[str, str] = {}


def run(command: str) -> str:
    """Return what a command prints on stdout, tabs aligned; SystemExit when it fails."""
    if command not in _CACHE:
        environment = dict(os.environ)
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        # Whoever reads the README has no such run yet; here it may stand from the last time.
        again = " --force" if command.startswith(("nplm train", "nplm mix")) else ""
        done = subprocess.run(
            command + again,
            shell=True,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"exit {done.returncode}: {command}\n{done.stderr}")
        _CACHE[command] = aligned(done.stdout)
    return _CACHE[command]


def aligned(text: str) -> str:
    """Set tab-separated columns under each other; a Chinese character is two columns wide."""
    from rich.cells import cell_len

    rows = [line.split("\t") for line in text.splitlines()]
    if not any(len(row) > 1 for row in rows):
        return text
    widths = [
        max(cell_len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))
    ]
    lines = (
        "  ".join(cell + " " * (widths[i] - cell_len(cell)) for i, cell in enumerate(row)).rstrip()
        for row in rows
    )
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    """Return the README with the outputs of its commands."""

    def block(match: re.Match[str]) -> str:
        pieces = []
        for command in COMMAND.findall(match.group(1)):
            pieces.append(f"$ {command}\n{run(command.replace(chr(92) + chr(10), ' '))}")
        return "```console\n" + "".join(pieces) + "```"

    return BLOCK.sub(block, text)


def columns(text: str) -> list[list[str]]:
    """Headers of all tables: what must agree on every machine, whatever the figures."""
    return [
        next(line.split() for line in match.splitlines() if not line.startswith(("$", " ")))
        for match in BLOCK.findall(text)
        if any(not line.startswith(("$", " ")) for line in match.splitlines())
    ]


def main() -> None:
    """Rewrite or check the READMEs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, compare columns")
    check = parser.parse_args().check
    subprocess.run(["make", "demo"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    for name in READMES:
        path = ROOT / name
        old = path.read_text("utf-8")
        new = filled(old)
        if check and columns(old) != columns(new):
            sys.exit(f"{name}: the columns changed: run python docs/make_readme.py")
        if not check:
            path.write_text(new, "utf-8", newline="\n")


if __name__ == "__main__":
    main()
