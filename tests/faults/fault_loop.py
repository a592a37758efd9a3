"""Commands on a faulty disk: each fails at its n-th change of the disk, then is run again.

After every fault there is the old result or the new one, whole; after the next command the result
is the one of a run that nothing disturbed, byte for byte but for what the clock says, and nothing
else is left.
"""

import contextlib
import errno
import functools
import hashlib
import io
import json
import os
import shutil
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import typer
from faulty_disk import Fault, FaultyDisk, PowerCut
from faulty_reads import FaultyReads

from nplm_cli.artifacts import TensorFile
from nplm_cli.cli.app import run as nplm

# What the clock says; everything else has to be equal.
CLOCK = {
    "metrics.jsonl": ("seconds", "tokens_per_second"),
    "report.json": ("seconds",),
    "checkpoint.safetensors": ("seconds", "seconds_a_token", "save_seconds"),
    "results.json": ("finished", "wall_seconds", "seconds", "tokens_per_second"),
}
TINY = (
    "--dim", "4", "--hidden", "4", "--order", "3", "--threads", "1", "--batch", "8", "--steps",
    "8", "--eval-every", "4", "--checkpoint-every", "0", "--baseline-order", "2", "-q",
)  # fmt: skip


# Made once for the many runs of a loop.
_PARSER = functools.cache(typer.main.get_command)


def command(*words: object) -> tuple[int, str, str]:
    """Run a command line in this process; returns exit code, stdout and stderr."""
    out, err = io.BytesIO(), io.BytesIO()
    old = sys.stdout, sys.stderr, sys.argv
    sys.stdout, sys.stderr = io.TextIOWrapper(out, "utf-8"), io.TextIOWrapper(err, "utf-8")
    sys.argv = ["nplm", *map(str, words)]
    try:
        with mock.patch("typer.main.get_command", _PARSER):
            code = nplm([str(word) for word in words])
        sys.stdout.flush()
        sys.stderr.flush()
        return code, out.getvalue().decode(), err.getvalue().decode()
    finally:
        sys.stdout, sys.stderr, sys.argv = old


def digest(path: Path) -> str:
    """Digest of a file without what the clock says."""
    clock = CLOCK.get(path.name, ())
    data = path.read_bytes()
    if path.suffix == ".jsonl":
        with contextlib.suppress(ValueError):  # half a line
            data = repr([_timeless(json.loads(line), clock) for line in data.splitlines()]).encode()
    elif path.name in ("report.html", "report.md"):
        # Full of times and of what depends on them: not compared, but whole.
        assert data.endswith((b"</html>\n", b"</html>") if path.suffix == ".html" else b"\n"), path
        data = b""
    elif path.suffix == ".json" and clock and "nplm-tmp" not in str(path):
        data = repr(_timeless(json.loads(data), clock)).encode()
    elif clock and "nplm-tmp" not in str(path):
        tensors = TensorFile(path, verify=True)
        progress = _timeless(json.loads(tensors.metadata["progress"]), clock)
        (size,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + size])
        del header["__metadata__"]  # names, types, shapes and places stay
        data = repr((progress, tensors.metadata["sha256"], sorted(header.items()))).encode()
    return hashlib.sha256(data).hexdigest()


def _timeless(value: Any, clock: Iterable[str]) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v, clock) for k, v in value.items() if k not in clock}
    return [_timeless(v, clock) for v in value] if isinstance(value, list) else value


def check_silence(run: Path, err: str) -> None:
    """Raise AssertionError unless a run that does not answer says why, and that is so."""
    lines = [line for line in err.splitlines() if not line.startswith("nplm: warning: ")]
    assert len(lines) == 1, err
    absent = {
        "no such directory": run,
        "no config.json": run / "config.json",
        "no weights yet": run / "model.safetensors",
    }
    why = [path for reason, path in absent.items() if f": {reason}: " in lines[0]]
    assert why, f"does not answer: {err}"
    assert not why[0].exists(), f"{why[0]} is there: {err}"


def digests(folder: Path) -> dict[str, str]:
    """Digest of each file below a folder; that of a folder is empty."""
    return {
        str(path.relative_to(folder)): "" if path.is_dir() else digest(path)
        for path in sorted(folder.rglob("*"))
    }


@dataclass
class Loss(Exception):
    """A fault after which something is not what it should be."""

    point: int
    kind: str
    path: str
    what: str

    def __str__(self) -> str:
        return f"change {self.point} ({self.kind} {self.path}): {self.what}"


@dataclass
class Case:
    """A command that writes below ``place``, and the commands that went before it.

    ``place`` is made anew for every fault. ``result`` names the run directory, or the files that
    belong together; ``again`` gives the command that comes after a fault.
    """

    name: str
    place: Path
    words: tuple[object, ...]
    result: tuple[str, ...]
    before: tuple[tuple[object, ...], ...] = ()
    resume: tuple[object, ...] = ()
    question: tuple[object, ...] = ()
    children: bool = False  # processes of its own write, too: pipes here, and files that are theirs
    template: Path = field(init=False)
    old: dict[str, str] = field(init=False)
    new: dict[str, str] = field(init=False)
    known: dict[str, set[str]] = field(init=False, default_factory=dict)
    changes: list[tuple[str, str | None]] = field(init=False)
    answers: set[str] = field(init=False, default_factory=set)
    notes: list[str] = field(init=False, default_factory=list)

    def prepare(self) -> None:
        """Run the commands before, then the command itself on a disk that never fails."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        for words in self.before:
            _done(command(*words), words)
        self.template = self.place.with_name(self.place.name + ".template")
        shutil.rmtree(self.template, ignore_errors=True)
        shutil.copytree(self.place, self.template)
        self.old = digests(self.place)
        for name, value in self.old.items():
            self.known.setdefault(name, set()).add(value)
        self._ask()
        disk = FaultyDisk(self.place)
        disk.after = self._note
        counted = _bytes_written()
        with disk:
            done = command(*self.words)
        _done(done, self.words)
        if counted is not None and not self.children:
            assert _bytes_written() == counted + disk.written, "bytes that nobody counted"
        assert not disk.unseen, disk.unseen
        self.changes = disk.changes
        self.new = digests(self.place)
        with contextlib.suppress(OSError):  # there is none
            self.notes = json.loads((self.place / self.result[0] / "report.json").read_bytes())[
                "notes"
            ]
        self._ask()
        unflushed = [
            path
            for name in self.new
            if self.old.get(name) != self.new[name]
            and (path := str(self.place / name)) in disk.unflushed()
        ]
        assert not unflushed, f"never flushed to the disk: {unflushed}"

    def _note(self, kind: str, path: str) -> None:
        """Note every content of a file in its place, and every answer, while all goes well."""
        if (kind == "rename" or path.endswith(".jsonl")) and ".nplm-tmp" not in path:
            for name, value in digests(self.place).items():
                self.known.setdefault(name, set()).add(value)
            if os.path.basename(path) in (*self.result, "model.safetensors", "config.json"):
                self._ask()

    def _ask(self) -> None:
        if self.question:
            code, answer, err = command(*self.question)
            if code == 0:
                self.answers.add(answer)
            else:
                check_silence(self.place / self.result[0], err)

    def restore(self) -> None:
        """Make the place what it was before the command."""
        shutil.rmtree(self.place)
        shutil.copytree(self.template, self.place)

    def points(self, fault: Fault) -> list[int]:
        """Numbers of the changes that a fault can hit: one of half a write hits writes alone.

        A power cut comes after the last one, too: what a command has told to be done is done.
        """
        if fault.locks:
            return [1]
        if fault.reads:
            return list(range(1, len(self.reads) + 1))
        points = [
            number
            for number, (kind, _) in enumerate(self.changes, 1)
            if kind == "write" or fault.cuts or not fault.half
        ]
        return [*points, len(self.changes) + 1] if fault.lossy else points

    def fail_at(self, fault: Fault, point: int) -> None:
        """Let one change fail; raises Loss."""
        if fault.locks:
            kind, path = "lock", None
        else:
            kind, path = [*(self.reads if fault.reads else self.changes), ("end", None)][point - 1]
        try:
            if fault.locks:
                self._fail_without_locks()
            elif fault.reads:
                self._fail_to_read(point)
            else:
                self._fail_at(fault, point)
        except (AssertionError, Loss) as error:
            raise Loss(point, kind, str(path or ""), f"{fault.name}: {error}") from error

    @functools.cached_property
    def reads(self) -> list[tuple[str, str]]:
        """What the command reads, of its own place and of what is given beside that."""
        self.restore()
        with FaultyReads(self.place.parent) as disk:
            _done(command(*self.words), self.words)
        return disk.reads

    def _fail_to_read(self, point: int) -> None:
        self.restore()
        with FaultyReads(self.place.parent, point) as disk:
            code, out, err = command(*self.words)
        assert point <= len(disk.reads), "no such read"
        self._check_message(code, out, err, self.place.parent)
        if code == 0:
            self._take_back_notes(err)
        self._check_state(code == 0, False)
        self._check_next()

    def _take_back_notes(self, err: str) -> None:
        """Take out of a report what it says of a file that could not be read, if it is told, too.

        A check that is of use and not needed (has the training seen this text?) may go without.
        """
        path = self.place / self.result[0] / "report.json"
        if not path.exists():
            return
        report = json.loads(path.read_bytes())
        unread = [note for note in report.get("notes", ()) if os.strerror(errno.EIO) in note]
        for note in unread:
            assert f"nplm: warning: {note}" in err.splitlines(), f"noted, not told: {note}"
        if unread:
            path.write_text(
                json.dumps({**report, "notes": self.notes}, ensure_ascii=False), "utf-8"
            )

    def _fail_without_locks(self) -> None:
        import fcntl

        self.restore()
        error = OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        with mock.patch.object(fcntl, "flock", side_effect=error):
            _done(command(*self.words), self.words)
        self._check_state(True, False)
        assert digests(self.place) == self.new

    def _fail_at(self, fault: Fault, point: int) -> None:
        self.restore()
        code: int | None = None
        err = ""
        with FaultyDisk(self.place, fault, point) as disk:
            try:
                code, out, err = command(*self.words)
            except PowerCut:
                assert fault.cuts
            if point > len(self.changes):
                assert not disk.dead, "one more change"
                disk.cut()
        assert disk.at <= len(disk.changes) + 1, "no such change"
        if not fault.cuts:
            assert code is not None
            self._check_message(code, out, err)
        self._check_state(code == 0, fault.cuts)
        self._check_next()

    def _check_message(self, code: int, out: str, err: str, root: Path | None = None) -> None:
        told = [line for line in err.splitlines() if not line.startswith("nplm: warning: ")]
        assert "Traceback" not in err, err
        if code == 0:
            return
        assert code in (1, 2), f"exit {code}"
        assert not out, f"on stdout: {out}"
        assert len(told) == 1, told
        assert told[0].startswith("nplm: "), told
        assert str(root or self.place) in told[0], f"names no file: {told[0]}"
        assert ".nplm-" not in told[0], f"names a temporary file: {told[0]}"

    def _found(self) -> dict[str, str]:
        """What stands in the place of the result."""
        return {
            name: value
            for name, value in digests(self.place).items()
            if any(name == own or name.startswith(own + "/") for own in self.result)
            and ".nplm-tmp" not in name
        }

    def _check_state(self, done: bool, cut: bool) -> None:
        if self.question:
            code, answer, err = command(*self.question)
            assert code in (0, 2), f"exit {code}: {err}"
            if code == 0:
                assert answer in self.answers, f"answers {answer!r}"
            else:
                check_silence(self.place / self.result[0], err)
                if any(name in self.old for name in self.result):
                    # Without an answer there is the new run, whose training is not that far.
                    assert "no weights yet" in err, err
        found = self._found()
        old = {n: v for n, v in self.old.items() if n in found or n.split("/")[0] in self.result}
        new = {n: v for n, v in self.new.items() if n in found or n.split("/")[0] in self.result}
        if found in (old, new):
            assert not done or found == new, "exit 0 without the new result"
            return
        assert not done, f"exit 0 and half a result: {_difference(found, new)}"
        if cut and len(self.result) > 1 and self.result[0] not in found:
            return  # of files that belong together, the one without which the others say nothing
        assert self.resume, f"half a result: {_difference(found, new)}"
        for name, value in found.items():
            if name.endswith("metrics.jsonl") and cut:
                continue  # its last line may be half; the next training drops it
            assert value in self.known.get(name, ()), f"{name} is none of its states"

    def _check_next(self) -> None:
        """Check that the same command, or going on, gives what it would have given."""
        words = self.words
        if self.resume:
            config = f"{self.result[0]}/config.json"
            found = self._found().get(config)
            if found is not None and found != self.old.get(config):
                words = self.resume
            elif found is None and config not in self.old and "--resume" in self.resume:
                assert command(*self.resume)[0] == 2
        _done(command(*words), words)
        found = digests(self.place)
        assert found == self.new, f"after {words[:2]}: {_difference(found, self.new)}"


def _difference(found: dict[str, str], expected: dict[str, str]) -> str:
    missing, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    others = sorted(n for n in found if n in expected and found[n] != expected[n])
    parts = (("missing", missing), ("left over", more), ("different", others))
    return "; ".join(f"{what} {names}" for what, names in parts if names)


def _done(result: tuple[int, str, str], words: tuple[object, ...]) -> None:
    assert result[0] == 0, f"{words[:2]}: exit {result[0]}: {result[2]}"


def _bytes_written() -> int | None:
    """Bytes that this process has given to the system so far, where it counts them."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    return int(dict(line.split(": ") for line in lines)["wchar"])


def cases(given: Path, place: Path) -> list[Case]:
    """All cases; ``given`` holds ``text.txt`` and the runs ``ffn`` and ``kn``."""
    text, run = given / "text.txt", place / "run"
    made = [
        Case("tokenize", place, ("tokenize", text, "-o", place / "out", "-q"), ("out",)),
        Case("vocab", place, ("vocab", text, "-o", place / "out", "-q"), ("out",)),
    ]
    for form, files in (
        ("word2vec", ("out",)), ("word2vec-bin", ("out",)), ("glove", ("out.gz",)),
        ("safetensors", ("out",)), ("npy", ("out.npy", "out.words.txt")),
        ("projector", ("out.vectors.tsv", "out.metadata.tsv")),
    ):  # fmt: skip
        words = ("export", given / "ffn", place / files[0], "--format", form, "-q")
        made.append(Case(f"export {form}", place, words, files))
    for form in ("arpa", "nplm"):
        words = ("export", given / "ffn", place / "out", "--format", form, "-q")
        made.append(Case(f"export {form}", place, words, ("out",)))
    scored = given / "ffn"
    made += [
        Case("compile", place, ("compile", scored, "-o", place / "out", "--dtype", "int8", "-q"),
             ("out",)),
        Case("rescore", place, ("rescore", scored, given / "nbest.txt", "-o", place / "out", "-q"),
             ("out",)),
        Case("surprisal", place, ("surprisal", scored, given / "items.tsv", "--text-column",
             "sentence", "-o", place / "out", "-q"), ("out",)),
        Case("align", place, ("align", scored, given / "other", "--dictionary", given / "pairs.txt",
             "--folds", 2, "--permutations", 0, "--words", 20, "-o", place / "out.vec", "-q"),
             ("out.source.vec", "out.target.vec")),
    ]  # fmt: skip
    # The same again, onto an old file.
    for case in made[:]:
        old = tuple(
            given / "other.txt" if word == text else given / "other" if word == given / "ffn"
            else word for word in case.words
        )  # fmt: skip
        made.append(Case(f"{case.name}, over an old file", place, case.words, case.result, (old,)))
    train = ("train", text, "-o", run, *TINY)
    other = ("train", given / "other.txt", "-o", run, *TINY)
    resume = ("train", "--resume", "-o", run, "-q")
    ask = ("score", run, "今天 我 买 书 。", "--json")
    counts = ("--arch", "ngram", "--smoothing", "kn")
    mix = (
        "mix",
        given / "ffn",
        given / "kn",
        "--tune",
        given / "tune.txt",
        "-o",
        run,
        "-q",
        "--force",
    )
    homework = ("homework", text, "-o", run, "--preset", "none", "--archs", "ffn", "--seeds", 1,
                "--random", 2, "--band", "1-20", "--min-count", 1, *TINY)  # fmt: skip
    run_cases = [
        Case("train", place, train, ("run",), (), resume, ask),
        Case("train --force", place, (*train, "--force"), ("run",), (other,), resume, ask),
        Case("train --resume", place, (*resume, "--steps", 12), ("run",), (train,), resume, ask),
        Case("train --arch ngram", place, (*train, *counts), ("run",), (), resume, ask),
        Case("train --arch ngram --force", place, (*train, *counts, "--force"), ("run",), (other,),
             resume, ask),
        Case("homework", place, homework, ("run",), (), homework, children=True),
        Case("mix", place, mix, ("run",), (), mix, ask),
        Case("mix --force", place, mix, ("run",), (other,), mix, ask),
    ]  # fmt: skip
    return made + run_cases


def make_given(given: Path) -> None:
    """Texts and runs that the commands read."""
    given.mkdir(parents=True)
    for name, seed in (("text", 0), ("other", 7), ("tune", 3)):
        lines = [_sentence(seed + number) for number in range(40)]
        (given / f"{name}.txt").write_text("\n".join(lines) + "\n", "utf-8")
    sentences = [_sentence(number).strip() for number in range(6)]
    rows = [f"{i // 2} ||| {text} ||| a= -1 ||| -1" for i, text in enumerate(sentences)]
    (given / "nbest.txt").write_text("\n".join(rows) + "\n", "utf-8")
    (given / "items.tsv").write_text("\n".join(["sentence", *sentences]) + "\n", "utf-8")
    words = sorted({word for number in range(40) for word in _sentence(number).split()})
    (given / "pairs.txt").write_text("".join(f"{word}\t{word}\n" for word in words), "utf-8")
    for name, text, options in (
        ("ffn", "text", ()), ("kn", "text", ("--arch", "ngram", "--smoothing", "kn")),
        ("other", "other", ()),
    ):  # fmt: skip
        words = ("train", given / f"{text}.txt", "-o", given / name, *TINY, *options)
        _done(command(*words), words)


def _sentence(number: int) -> str:
    who, verb, what = "我你他她", ("喜欢", "看见", "买"), ("苹果", "书", "茶", "猫", "电影")
    return (
        f"今天 {who[number % 4]} {verb[number // 2 % 3]} {what[number * 7 % 5]} "
        f"{'了 ' * (number % 3 == 0)}。"
    )
