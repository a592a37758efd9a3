"""Ctrl-C during a training: once asks it to stop with a checkpoint, twice stops at once."""

import signal
from types import FrameType
from typing import Any, Self

from nplm_cli.cli import output


class SigintFlag:
    """As a context manager, whether Ctrl-C was pressed; until somebody asks, it acts at once.

    Whoever asks goes on asking as long as the work can be stopped. A Ctrl-C that nobody asked
    about any more acts when the context ends.
    """

    def __init__(self) -> None:
        self._set = False
        self._training = False
        self._old: Any = None

    def __enter__(self) -> Self:
        self._old = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        signal.signal(signal.SIGINT, self._old)
        if self._set and kind is None:
            raise KeyboardInterrupt

    def __call__(self) -> bool:
        """Whether Ctrl-C was pressed; from now on it waits to be asked."""
        self._training = True
        return self._set

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._set or not self._training:
            raise KeyboardInterrupt
        self._set = True
        output.note("stopping after this step or batch (Ctrl-C again stops at once)")
