"""Which modules a command loads: of this package by name, of others the packages.

python benchmarks/modules.py neighbors RUN word
python benchmarks/modules.py score RUN "a sentence"
"""

import json
import subprocess
import sys

from machine import environment

_ASK = """
import json, sys
from nplm_cli.cli.app import run
code = run(sys.argv[1:])
sys.stderr.write("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


def loaded(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Modules of this package, without its name, and packages that are not Python's own."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK, *arguments],
        env=environment(),
        capture_output=True,
        check=True,
        text=True,
    )
    code, names = json.loads(done.stderr.splitlines()[-1])
    if code:
        sys.exit(done.stderr.rpartition("\n")[0])
    own = [name.removeprefix("nplm_cli.") for name in names if name.startswith("nplm_cli.")]
    tops = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    return own, sorted(tops & set(_installed()) - {"nplm_cli"})


def _installed() -> list[str]:
    from importlib.metadata import packages_distributions

    return list(packages_distributions())


def main() -> None:
    """Print both lists."""
    if not sys.argv[1:] or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    own, packages = loaded(sys.argv[1:])
    print(f"nplm_cli  {len(own)} modules: {', '.join(own)}")
    print(f"packages  {', '.join(packages) or 'none'}")


if __name__ == "__main__":
    main()
