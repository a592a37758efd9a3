"""Lines become sentences of tokens, in this process or in several side by side.

A worker is a Python process started afresh (``cutting_worker.py``), never a fork, so that it works
on every system and beside threads. It is asked through its standard input and ends when that
closes, be the reason Ctrl-C or a kill. Its answers are taken in the order of the text, so that
nobody can tell how many workers there were.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, Self

from nplm_cli import errors
from nplm_cli.corpus.readers import STDIN, Line
from nplm_cli.corpus.recipe import TextRecipe
from nplm_cli.corpus.tokenizers import Span
from nplm_cli.errors import NplmError
from nplm_cli.threads import available_cores

# Characters that a worker is given at a time: a fifth of a second of work for jieba.
CHUNK_CHARACTERS = 1 << 16
# Chunks on their way for each worker; they and the tokens made of them are in memory.
CHUNKS_AHEAD = 2
# From this size of the files on several workers are worth the second that they take to start ...
AUTOMATIC_BYTES = 16_000_000
# ... and each takes 150 MB of memory, which nobody may have meant to give to sixty.
AUTOMATIC_WORKERS = 4
# Whoever asks for hundreds gets no more for each core: they would only wait for one another.
WORKERS_A_CORE = 4

Sentences = Iterable[list[Span]] | Iterable[list[str]]


def automatic_workers(files: Sequence[str]) -> int:
    """Number of workers for the text of ``files``: one unless it is large and there are cores.

    Standard input, whose size nobody knows, has one.
    """
    size = sum(os.path.getsize(name) for name in files if name != STDIN and os.path.isfile(name))
    return min(available_cores(), AUTOMATIC_WORKERS) if size >= AUTOMATIC_BYTES else 1


def cut_lines(
    recipe: TextRecipe, lines: Iterable[Line], *, spans: bool = False, workers: int = 1
) -> Iterator[tuple[Line, Sentences]]:
    """Yield each line with its sentences, lists of tokens or (``spans``) of tokens and offsets.

    Only raw text is worth more than one worker; text whose words are separated is cut faster than
    it could be sent. Raises what reading the lines raises, when all lines before are out.
    """
    workers = min(workers, WORKERS_A_CORE * available_cores())
    if workers > 1 and recipe.format == "raw" and recipe.lang != "char":
        yield from _side_by_side(recipe, lines, spans, workers)
        return
    cut = recipe.split_spans if spans else recipe.split
    for line in lines:
        yield line, cut(line.text)


def _side_by_side(
    recipe: TextRecipe, lines: Iterable[Line], spans: bool, workers: int
) -> Iterator[tuple[Line, Sentences]]:
    chunks: Iterator[list[Line]] | None = _chunks(lines)
    pending: deque[tuple[list[Line], Future[list[Any]]]] = deque()
    failure: NplmError | None = None
    with _Workers(recipe, spans, workers) as pool:
        while True:
            while chunks is not None and len(pending) < CHUNKS_AHEAD * workers:
                try:
                    chunk = next(chunks)
                    pending.append((chunk, pool.cut([line.text for line in chunk])))
                except StopIteration:
                    chunks = None
                except NplmError as error:
                    chunks, failure = None, error
            if not pending:
                break
            chunk, answer = pending.popleft()
            yield from zip(chunk, _result(answer), strict=True)
    if failure is not None:
        raise failure


def _chunks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Lines in lists of some size; before an error come the lines that were read."""
    chunk: list[Line] = []
    size = 0
    try:
        for line in lines:
            chunk.append(line)
            size += len(line.text) + 1
            if size >= CHUNK_CHARACTERS:
                yield chunk
                chunk, size = [], 0
    except NplmError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _result(answer: "Future[list[Any]]") -> list[Any]:
    while True:
        try:
            return answer.result(timeout=1)
        except TimeoutError:  # waiting for ever, Windows would not see Ctrl-C
            continue


class _Workers:
    """Processes, and a thread for each that waits for its answers; a context manager."""

    def __init__(self, recipe: TextRecipe, spans: bool, count: int):
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count)
        self._all: list[_Worker] = []
        self._order = {"recipe": recipe.to_json(), "spans": spans}
        self._count = count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._all:
            worker.kill()  # what waits for an answer gets none
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._all:
            worker.close()

    def cut(self, texts: list[str]) -> "Future[list[Any]]":
        """Sentences of each text, when a worker has cut them; each call starts one, up to all."""
        if len(self._all) < self._count:
            worker = _Worker(self._order)
            self._all.append(worker)
            self._free.put(worker)
        return self._threads.submit(self._ask, texts)

    def _ask(self, texts: list[str]) -> list[Any]:
        worker = self._free.get()
        try:
            return worker.ask(texts)
        finally:
            self._free.put(worker)


class _Worker:
    """A process that cuts what it is given."""

    def __init__(self, order: dict[str, Any]):
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close)
        # -P: the user's folder may hold a jieba.py, which is not to be executed.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "nplm_cli.corpus.cutting_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,  # Ctrl-C is for the parent
        )
        self._order: dict[str, Any] | None = order

    def ask(self, request: Any) -> list[Any]:
        """Sentences of each text; raises the NplmError that the worker met."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if self._order is not None:  # with the first texts: it starts while they are read
                self._process.stdin.write(encode(self._order))
                self._order = None
            self._process.stdin.write(encode(request))
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except (OSError, ValueError):  # it is gone
            answer = b""
        if not answer.endswith(b"\n"):
            raise self._death()
        found = decode(answer)
        if isinstance(found, dict):
            raise getattr(errors, found["error"], NplmError)(found["text"])
        return list(found)

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()

    def close(self) -> None:
        """Wait until it is gone, and let go of its pipes."""
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what it was not there to read any more
                    pipe.close()

    def _death(self) -> NplmError:
        code = self._process.wait()
        self._stderr.seek(0)
        said = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        if code == -9:
            why = "was killed, as the system does when memory runs out"
        else:
            why = f"ended with code {code} ({said[-1] if said else 'no message'})"
        return NplmError(f"a process that cuts text {why}: --workers 1 needs none")


def encode(value: Any) -> bytes:
    """Return a line of JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass") + b"\n"


def decode(line: bytes) -> Any:
    """Return what ``encode`` was given, but for lists in the place of tuples."""
    return json.loads(line.decode("utf-8", "surrogatepass"))
