"""``python -m nplm_cli`` and the ``nplm`` command."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from nplm_cli.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
