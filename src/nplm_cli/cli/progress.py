"""Events of the library as a bar on a terminal, or as plain lines with the time elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from nplm_cli import events
from nplm_cli.cli import output

# Seconds between plain lines about work that goes on.
PLAIN_INTERVAL = 30.0


class ProgressView:
    """Shows events; use as a context manager and pass it as ``on_event``."""

    def __init__(self, style: str = "auto", quiet: bool = False):
        if style == "auto":
            style = "bar" if output.to_terminal(sys.stderr) else "plain"
        self.style = "none" if quiet else style
        self.quiet = quiet
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._last_line = time.monotonic()
        self._began: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: events.Event) -> None:
        """Show one event."""
        match event:
            case events.Message(text, warning):
                if warning:
                    self._line(f"warning: {text}")
                elif not self.quiet:
                    self._line(text)
            case events.Evaluated(record):
                if not self.quiet:
                    self._line(_record_line(record))
            case events.Progress():
                self._progress(event)

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(f"nplm: {output.plain(text)}", markup=False, highlight=False)
        else:
            output.note(text)

    def _progress(self, event: events.Progress) -> None:
        now = time.monotonic()
        self._began.setdefault(event.what, now)
        if self.style == "bar":
            self._draw(event)
        elif self.style == "plain" and now - self._last_line >= PLAIN_INTERVAL:
            self._last_line = now
            share = f" {event.done / event.total:.0%}" if event.total else ""
            left = self._left(event, now)
            left = f", {left} left" if left else ""
            stamp = time.strftime("%H:%M:%S")
            detail = f": {event.detail}" if event.detail else ""
            output.note(f"{stamp} {event.what}{share}{detail}{left}")

    def _left(self, event: events.Progress, now: float) -> str:
        """Time that the work still takes, as far as anybody can tell."""
        seconds = event.seconds_left
        if seconds is None:
            elapsed = now - self._began[event.what]
            if not event.total or event.done <= 0:
                return ""
            seconds = elapsed * (event.total / event.done - 1)
        return _duration(max(seconds, 0.0))

    def _draw(self, event: events.Progress) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[left]}"),
                TextColumn("{task.fields[detail]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
        if event.what not in self._tasks:
            for task in self._tasks.values():
                self._bar.update(task, visible=False)
            self._tasks[event.what] = self._bar.add_task(
                event.what, total=event.total, detail="", left=""
            )
        self._bar.update(
            self._tasks[event.what],
            completed=event.done,
            total=event.total,
            detail=event.detail,
            left=self._left(event, time.monotonic()),
        )


def _record_line(record: dict[str, Any]) -> str:
    valid = record["valid_ppl"]
    shown = f", valid ppl {valid:.2f}" if valid is not None else ""
    star = " *" if record["best"] else ""
    return (
        f"epoch {record['epoch']:.4g}, step {record['step']}: train ppl "
        f"{record['train_ppl']:.2f}{shown}, lr {record['lr']:.3g}, "
        f"{record['tokens_per_second']:,.0f} tokens/s, {_duration(record['seconds'])}{star}"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
