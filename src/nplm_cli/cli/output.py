"""What a person or a program sees: data on stdout, everything else on stderr.

On a terminal a table; otherwise tab-separated lines with a header; with ``--json`` one object
(or one a line). Rich is loaded only where a table or a bar is drawn.
"""

import codecs
import contextlib
import errno
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, NoReturn, TextIO, cast

from nplm_cli.atomic import atomic_write
from nplm_cli.errors import ConfigError, NplmError
from nplm_cli.plain import json_plain, plain


def prepare_streams() -> None:
    """LF on all systems; a console that cannot show a character gets an escape, not a crash."""
    _open_closed()
    for stream, errors in ((sys.stdout, "strict"), (sys.stderr, "backslashreplace")):
        if not hasattr(stream, "reconfigure"):
            continue
        utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
        stream.reconfigure(errors=errors if utf8 else "backslashreplace", newline="\n")


def _open_closed() -> None:
    """Let a stream that was closed before the start fail when it is used, not where it is named."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 (to the end of the process)
    if sys.stdout is None:
        sys.stdout = cast(TextIO, _Closed())
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


class _Closed(io.TextIOBase):
    """Standard output that is closed: whoever writes learns so."""

    @property
    def buffer(self) -> "_Closed":
        """The same for bytes."""
        return self

    def write(self, data: object) -> int:
        """Refuse."""
        raise OSError(errno.EBADF, "it is closed; redirect it to a file")


def refuse_same_file(path: Path | None, inputs: Iterable[str]) -> None:
    """Raise ConfigError when the file to be written is one that is read, or a part of a run."""
    if path is None or str(path) == "-" or not path.exists():
        return
    from nplm_cli.placement import refuse_artifact

    refuse_artifact(path)
    for name in inputs:
        if name != "-" and os.path.exists(name) and os.path.samefile(path, name):
            raise ConfigError(f"{path} is read here, and would be lost: name another file to write")


def to_terminal(stream: TextIO | None = None) -> bool:
    """Whether the stream is a terminal that can show a table."""
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def to_stdout() -> Iterator[None]:
    """Name standard output in errors that name no file: it could not be written to."""
    try:
        yield
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    # The reader of a closed pipe has seen enough.
    if isinstance(error, BrokenPipeError) or error.filename is not None:
        raise error
    raise NplmError(f"cannot write to standard output: {error.strerror or error}") from error


@contextlib.contextmanager
def data_out(path: Path | None) -> Iterator[IO[bytes]]:
    """Open a file that is written whole or not at all, or (None, ``-``) standard output."""
    if path is None or str(path) == "-":
        with to_stdout():
            sys.stdout.flush()
            yield cast(IO[bytes], _Shown(sys.stdout)) if sys.stdout.isatty() else sys.stdout.buffer
            sys.stdout.flush()
            sys.stdout.buffer.flush()
    else:
        with atomic_write(path) as file:
            yield file


def flush() -> None:
    """Send what is written on its way."""
    with to_stdout():
        sys.stdout.flush()


class _Shown:
    """What takes bytes of UTF-8 and shows them on a terminal as text that drives nothing."""

    def __init__(self, terminal: TextIO):
        self._terminal = terminal
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(self, data: bytes) -> int:
        """Show the bytes; a character cut in two waits for its rest."""
        lines = self._decoder.decode(data).split("\n")
        self._terminal.write("\n".join("\t".join(map(plain, x.split("\t"))) for x in lines))
        return len(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        """Show them one after another."""
        for line in lines:
            self.write(line)


def write_line(text: str) -> None:
    """Write one line of data."""
    try:  # not to_stdout, which takes as long as the line itself
        sys.stdout.write(text + "\n")
    except OSError as error:
        _refuse(error)


def write_json(value: Any) -> None:
    """Write one object on one line; a number that JSON cannot hold becomes null."""
    write_line(json_text(value))


def json_text(value: Any) -> str:
    """One object on one line; a number that JSON cannot hold becomes null."""
    # JSON can spell what is no UTF-8 (half surrogates, of a file name) or drives a terminal.
    return json_plain(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def cell(value: Any) -> str:
    """Text of one value: figures to six digits, no negative zero, nothing for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        return f"{value + 0.0:.6g}"
    return plain(str(value))


def write_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str | None = None,
    style: str = "auto",
) -> None:
    """Write rows as a table on a terminal (or ``style`` table), else as TSV with a header."""
    if style == "tsv" or (style == "auto" and not to_terminal()):
        ahead = iter(rows)
        first = next(ahead, None)  # what fails before the first row leaves nothing on stdout
        write_line("\t".join(columns))
        for row in chain([] if first is None else [first], ahead):
            write_line("\t".join(cell(value) for value in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title, title_justify="left", header_style="" if os.environ.get("NO_COLOR") else "bold"
    )
    kept = [list(row) for row in rows]
    for i, column in enumerate(columns):
        figures = all(isinstance(row[i], int | float | None) for row in kept)
        table.add_column(column, justify="right" if figures else "left", overflow="fold")
    for row in kept:
        # Text, not markup: a word such as [bold] is shown as it is.
        table.add_row(*(Text(cell(value)) for value in row))
    console = Console(file=sys.stdout, highlight=False)
    with to_stdout():
        console.print(table)


def note(text: str) -> None:
    """Tell the user something on stderr; where nobody listens any more, the work goes on."""
    try:
        print(f"nplm: {plain(text)}", file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (to the end of the process)


def warn(text: str) -> None:
    """Warn on stderr."""
    note(f"warning: {text}")


def teller(quiet: bool) -> Callable[[str], None]:
    """What takes the lines of the readers: tells all, or the warnings alone."""

    def tell(text: str) -> None:
        if not quiet or text.startswith("warning: "):
            note(text)

    return tell
