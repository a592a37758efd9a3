"""What the tests of the command line share: small texts, two ways to run nplm, trained runs.

``nplm`` runs a command line in this process (cheap, for results and messages); ``spawn`` starts a
process (for what only a process has: pipes, signals, encodings, loaded modules).
"""

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TINY = ("--dim", "4", "--hidden", "6", "--order", "3", "--threads", "1", "-q")
STEPS = ("--steps", "20")


@dataclass(frozen=True)
class Result:
    """Exit code and both streams of a command."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def records(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]

    @property
    def table(self) -> list[dict[str, str]]:
        head, *rows = (line.split("\t") for line in self.lines)
        return [dict(zip(head, row, strict=True)) for row in rows]

    def ok(self) -> "Result":
        assert self.code == 0, (self.code, self.err)
        return self

    def refused(self, *parts: str, code: int = 2) -> str:
        """One line of explanation (besides warnings), nothing on stdout; returns the line."""
        assert self.code == code, (self.code, self.out, self.err)
        assert self.out == ""
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if not line.startswith("nplm: warning: ")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("nplm: ")
        for part in parts:
            assert part in lines[0], (part, lines[0])
        return lines[0]


def _in_process(*args: object, stdin: bytes | str = b"", encoding: str = "utf-8") -> Result:
    from nplm_cli.cli.app import run

    data = stdin.encode() if isinstance(stdin, str) else stdin
    out, err = io.BytesIO(), io.BytesIO()
    old = sys.stdin, sys.stdout, sys.stderr, sys.argv
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        sys.stdin = io.TextIOWrapper(file, "utf-8")
        sys.stdout = io.TextIOWrapper(out, encoding)
        sys.stderr = io.TextIOWrapper(err, encoding, errors="backslashreplace")
        sys.argv = ["nplm", *map(str, args)]
        try:
            code = run([str(a) for a in args])
            sys.stdout.flush()
            sys.stderr.flush()
            shown = out.getvalue().decode(encoding), err.getvalue().decode(encoding)
        finally:
            sys.stdin.detach()
            sys.stdin, sys.stdout, sys.stderr, sys.argv = old
    return Result(code, *shown)


def _environment(**changes: str | None) -> dict[str, str]:
    drop = ("PYTHONIOENCODING", "NO_COLOR", "LC_ALL", "PYTHONHASHSEED", "TERM", "COLUMNS")
    env = {k: v for k, v in os.environ.items() if k not in drop and not k.startswith("COV_")}
    env |= {k: v for k, v in changes.items() if v is not None}
    return env


def _spawn(
    *args: object,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
    encoding: str = "utf-8",
    timeout: float = 60,
    **options: Any,
) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "nplm_cli", *map(str, args)],
        input=stdin,
        capture_output=True,
        env=_environment(**(env or {})),
        timeout=timeout,
        check=False,
        **options,
    )
    return Result(done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding))


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the dictionary cache of the segmenter out of the home folder, one for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="session")
def nplm() -> Callable[..., Result]:
    return _in_process


@pytest.fixture(scope="session")
def spawn() -> Callable[..., Result]:
    return _spawn


@pytest.fixture(scope="session")
def environment() -> Callable[..., dict[str, str]]:
    return _environment


@pytest.fixture(scope="session")
def train() -> Callable[..., Result]:
    """Train something tiny; options given later win over the tiny ones."""

    def run(
        text: object, folder: object, *options: object, steps: bool = True, tiny: bool = True
    ) -> Result:
        before = [*(TINY if tiny else ()), *(STEPS if steps else ())]
        return _in_process("train", text, "-o", folder, *before, *options)

    return run


@pytest.fixture(scope="session")
def sha256() -> Callable[[Path], str]:
    return lambda path: hashlib.sha256(Path(path).read_bytes()).hexdigest()


ZH = {
    "who": ["我", "你", "他", "我们", "老师", "学生", "妈妈", "孩子"],
    "verb": ["喜欢", "看见", "买", "找", "想要"],
    "what": ["苹果", "书", "茶", "猫", "北京", "电影", "汽车"],
    "when": ["今天", "昨天", "明天", "早上"],
}
EN = {
    "who": ["the cat", "a dog", "Mr. Smith", "the old king", "our mother-in-law", "she"],
    "verb": ["sees", "likes", "doesn't#like", "finds", "eats"],
    "what": ["an apple", "the red book", "some tea", "the city", "1,000 coins"],
    "when": ["today", "yesterday", "again", "now"],
}


def _rare(i: int) -> str:
    return "稀" + chr(0x4E00 + 37 * i)


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own text in every form: seg.txt, zh.txt, en.txt, tagged.gbk.txt and kin."""
    folder = tmp_path_factory.mktemp("texts")
    r = random.Random(7)
    segmented, raw, tagged = [], [], []
    for i in range(150):
        words = [r.choice(ZH["when"]), r.choice(ZH["who"]), r.choice(ZH["verb"])]
        words += [r.choice(ZH["what"])]
        if i % 5 == 0:
            words += ["和", _rare(i)]
        if i % 7 == 0:
            words += ["１９９８", "年"]
        if i % 14 == 0:
            words += ["1998", "年"]
        words.append("。")
        segmented.append(" ".join(words))
        raw.append("".join(words))
        pairs = [f"{w}/{'w' if w == '。' else 'n' if k % 2 else 'v'}" for k, w in enumerate(words)]
        head = f"19980101-01-{i // 5 + 1:03d}-{i % 5 + 1:03d}/m"
        compound = "[中央/n  人民/n  广播/vn  电台/n]nt" if i % 6 == 0 else ""
        tagged.append("  ".join([head, *([compound] if compound else []), *pairs]))
    english = []
    for i in range(150):
        words = [r.choice(EN["who"]), r.choice(EN["verb"]).replace("#", " "), r.choice(EN["what"])]
        words += [r.choice(EN["when"])] + (
            [f"with zebra{i}s" if i % 4 else "with z"] * (i % 3 == 0)
        )
        text = " ".join(words)
        english.append(text[0].upper() + text[1:] + r.choice([".", "!", ", isn't it?"]))
    pairs_of = zip(english[::2], english[1::2], strict=True)

    def write(name: str, text: str, encoding: str = "utf-8") -> None:
        (folder / name).write_bytes(text.encode(encoding))

    write("seg.txt", "\n".join(segmented) + "\n")
    write("zh.txt", "\n".join(a + b for a, b in zip(raw[::2], raw[1::2], strict=True)) + "\n")
    write("en.txt", "\n\n".join(f"{a} {b}" for a, b in pairs_of) + "\n")
    write("tagged.gbk.txt", "\r\n".join(tagged) + "\r\n", "gbk")
    return folder


@pytest.fixture(scope="session")
def ffn(texts: Path, tmp_path_factory: pytest.TempPathFactory, train: Any) -> Path:
    """A window model of the segmented Chinese text that leaves words unknown. Read only."""
    folder = tmp_path_factory.mktemp("ffn") / "run"
    train(texts / "seg.txt", folder, "--max-size", 30).ok()
    return folder


@pytest.fixture(scope="session")
def ngram(texts: Path, tmp_path_factory: pytest.TempPathFactory, train: Any) -> Path:
    """Relative frequencies of order 3 of the same text. Read only."""
    folder = tmp_path_factory.mktemp("ngram") / "run"
    train(texts / "seg.txt", folder, "--arch", "ngram", "--smoothing", "mle", "--max-size", 30).ok()
    return folder


@pytest.fixture(scope="session")
def english(texts: Path, tmp_path_factory: pytest.TempPathFactory, train: Any) -> Path:
    """A window model of raw English. Read only."""
    folder = tmp_path_factory.mktemp("english") / "run"
    train(texts / "en.txt", folder).ok()
    return folder
