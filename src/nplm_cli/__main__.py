"""``python -m nplm_cli`` and the ``nplm`` command."""

import signal
import sys
from types import FrameType


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """What Ctrl-C does now: batch systems end a job so, and so does a terminal that is closed."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(number, frame)


def main() -> None:
    """Run the command line and exit with its code."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # not under nohup
            signal.signal(number, _as_ctrl_c)
    try:
        from nplm_cli.cli.app import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # before the command line has taken over
        sys.stderr.write("nplm: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
