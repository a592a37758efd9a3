"""Putting damaged inputs through a reader: counted, timed, within a bound of memory.

Each reader runs in a child process, whose address space is limited; what an input does is seen
from outside too, so that a crash or a call that never returns costs that input alone.
"""

import json
import mmap
import os
import random
import re
import resource
import signal
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from nplm_cli.errors import NplmError

# Longer than any line that a person reads.
LONGEST_MESSAGE = 4_000
# Beyond its time, an input that does not even heed the alarm is given so many seconds.
GRACE = 10.0
# A kind with so many failures is given up: more of them tell nothing new.
ENOUGH = 20

Read = Callable[[bytes], None]
Make = Callable[[random.Random], bytes]


class TooLong(BaseException):
    """An input took more than its time."""


@dataclass
class Tally:
    """What became of the inputs of one reader."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    peak_mib: float = 0.0
    messages: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Take in what a child counted."""
        self.inputs += other.inputs
        self.accepted += other.accepted
        self.refused += other.refused
        self.failures += other.failures
        self.slowest = max(self.slowest, other.slowest)
        self.peak_mib = max(self.peak_mib, other.peak_mib)
        for message, number in other.messages.items():
            self.messages[message] = self.messages.get(message, 0) + number

    def most_frequent(self, number: int = 3) -> list[tuple[str, int]]:
        """Return the most frequent refusals, and how many inputs each of them met."""
        return sorted(self.messages.items(), key=lambda pair: (-pair[1], pair[0]))[:number]


@dataclass(frozen=True)
class Limits:
    """What an input may take, and where those that fail are kept."""

    seconds: float
    memory_mib: int
    keep: Path


def run(kind: str, number: int, seed: int, make: Make, read: Read, limits: Limits) -> Tally:
    """Put ``number`` inputs through ``read``; the same seed gives the same inputs.

    An input must be read or refused by an error for the user of one line; anything else is a
    failure.
    """
    total = Tally()
    begin = 0
    while begin < number and len(total.failures) < ENOUGH:
        found, stopped_at = _in_child(kind, begin, number, seed, make, read, limits)
        total.add(found)
        begin = number if stopped_at is None else stopped_at + 1
    return total


def _in_child(
    kind: str, begin: int, end: int, seed: int, make: Make, read: Read, limits: Limits
) -> tuple[Tally, int | None]:
    """Run inputs ``begin`` to ``end``; also the number of the one that ended the process, if any.

    Each input has a seed of its own, so that the others do not depend on it.
    """
    at = mmap.mmap(-1, 16)  # shared: the input at hand, and when it began
    report, into = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(report)
        try:
            _child(kind, range(begin, end), seed, make, read, limits, at, into)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:  # never back into the parent's own ends
            os._exit(1)
    os.close(into)
    lines = b""
    os.set_blocking(report, False)
    stopped_at = None
    while True:
        try:
            piece = os.read(report, 1 << 16)
        except BlockingIOError:
            number, began = struct.unpack("qd", at[:16])
            if began and time.monotonic() - began > limits.seconds + GRACE:
                os.kill(child, signal.SIGKILL)
                stopped_at = number
                os.waitpid(child, 0)
                break
            time.sleep(0.02)
            continue
        if not piece:
            _, status = os.waitpid(child, 0)
            if status:
                stopped_at = struct.unpack("q", at[:8])[0]
            break
        lines += piece
    os.close(report)
    tally = Tally()
    for line in lines.splitlines():
        tally.add(Tally(**json.loads(line)))
    if stopped_at is not None:
        data = make(random.Random(f"{seed} {kind} {stopped_at}"))
        tally.inputs = stopped_at - begin + 1
        why = "the process died, or never came back"
        tally.failures.append(kept(kind, stopped_at, data, limits.keep, why))
    return tally, stopped_at


def _child(
    kind: str,
    numbers: range,
    seed: int,
    make: Make,
    read: Read,
    limits: Limits,
    at: mmap.mmap,
    into: int,
) -> None:
    """Run the inputs and tell what became of them."""
    signal.signal(signal.SIGALRM, _stop)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + (limits.memory_mib << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    warnings.simplefilter("error")  # a command would show more than its one line
    tally = Tally()
    told, failures = time.monotonic(), 0
    for number in numbers:
        if failures == ENOUGH:
            break
        at[:16] = struct.pack("qd", number, time.monotonic())
        data = make(random.Random(f"{seed} {kind} {number}"))
        why = _one(data, read, limits.seconds, tally)
        if why is not None:
            failures += 1
            tally.failures.append(kept(kind, number, data, limits.keep, why))
        if tally.failures or time.monotonic() - told > 1:
            os.write(into, json.dumps(vars(tally)).encode() + b"\n")
            tally, told = Tally(), time.monotonic()
    tally.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    os.write(into, json.dumps(vars(tally)).encode() + b"\n")


def _one(data: bytes, read: Read, seconds: float, tally: Tally) -> str | None:
    """What is wrong with how one input was treated; None: nothing."""
    began = time.perf_counter()
    tally.inputs += 1
    why = None
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            read(data)
            tally.accepted += 1
        except NplmError as error:
            tally.refused += 1
            message = str(error)
            short = shortened(message)
            tally.messages[short] = tally.messages.get(short, 0) + 1
            if len(message.splitlines()) != 1:
                why = f"a message of several lines: {message!r:.400}"
            elif len(message) > LONGEST_MESSAGE:
                why = f"a message of {len(message):,} characters: {message:.200}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException:
        why = traceback.format_exc(limit=-6)
    tally.slowest = max(tally.slowest, time.perf_counter() - began)
    return why


def shortened(message: str) -> str:
    """The first words of a refusal, without the names and numbers that differ between inputs."""
    message = re.sub(r"'(?:[^'\\]|\\.)*'|\"[^\"]*\"", "_", message[:1000])
    message = re.sub(r"^(nplm: )?/.*?(?=: |$)", "FILE", message)
    message = re.sub(r"\S*/\S*", "FILE", message)
    words = re.sub(r"\S*[\d_]\S*", "_", message).split()
    return " ".join(words[:9])


def kept(kind: str, number: int, data: bytes, keep: Path, why: str) -> str:
    """Keep an input that was not treated as it should be, and say where."""
    keep.mkdir(parents=True, exist_ok=True)
    path = keep / f"{kind.replace(', ', '-').replace(' ', '-')}-{number}"
    path.write_bytes(data)
    return f"{kind} {number} ({path}): {why}"


def _stop(number: int, frame: FrameType | None) -> None:
    """End the input at hand."""
    raise TooLong


def table_head() -> str:
    """Names of the columns of ``table_row``."""
    return "kind\tinputs\taccepted\trefused\tfailed\tslowest_ms\tpeak_rss_mib\tseconds"


def table_row(kind: str, tally: Tally, seconds: float) -> str:
    """One kind of input in figures."""
    return (
        f"{kind}\t{tally.inputs}\t{tally.accepted}\t{tally.refused}\t{len(tally.failures)}\t"
        f"{1000 * tally.slowest:.0f}\t{tally.peak_mib:.0f}\t{seconds:.1f}"
    )
