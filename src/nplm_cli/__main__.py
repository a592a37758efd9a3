"""``python -m nplm_cli`` and the ``nplm`` command."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from nplm_cli.cli.app import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # before the command line has taken over
        sys.stderr.write("nplm: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
