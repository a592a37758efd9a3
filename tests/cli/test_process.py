"""How nplm behaves as a process: pipes, encodings, terminals, hash seeds, no network, full disks."""

import contextlib
import os
import pty
import re
import resource
import select
import shutil
import subprocess
import sys
import time

import pytest

NPLM = [sys.executable, "-m", "nplm_cli"]


def shell(command, env, **options):
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        env=env,
        timeout=60,
        check=False,
        **options,
    )


@pytest.mark.parametrize(
    "command",
    [
        "neighbors {ffn} --random 25 -k 25",
        "neighbors {ffn} --random 25 --json",
        "score {ffn} --file {big} --per-token -q",
        "score {ffn} - --json < {big}",
        "tokenize {big} -q",
        "vocab {big} --json -q",
        "predict {ffn} 我 -k 30",
        "export {ffn} -",
        "train --help",
    ],
)
def test_a_closed_pipe_is_quiet(ffn, texts, tmp_path, environment, command):
    big = tmp_path / "big.txt"
    big.write_bytes((texts / "seg.txt").read_bytes() * 20)
    line = command.format(ffn=ffn, big=big)
    done = shell(f"{sys.executable} -m nplm_cli {line} | head -n 1", environment())
    told = done.stderr.decode().splitlines()
    assert [line for line in told if not line.startswith("nplm: warning: ")] == []
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 1


def test_a_reader_that_never_reads(ffn, environment, texts):
    line = f"{sys.executable} -m nplm_cli score {ffn} --file {texts / 'seg.txt'} --per-token | true"
    done = shell(line, environment())
    assert b"Traceback" not in done.stderr
    assert b"Broken" not in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    "line",
    [
        "tokenize {text}",
        "tokenize {text} {text} {text} {text}",
        "score {ffn} --file {text}",
        "score {ffn} 我",
        "score {ffn} 我 --format table",
        "eval {ffn} {text}",
        "predict {ffn} 我",
        "generate {ffn}",
        "export {ffn} -",
    ],
)
def test_a_full_device_is_said(ffn, texts, environment, line):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    command = line.format(ffn=ffn, text=texts / "seg.txt")
    done = shell(f"{sys.executable} -m nplm_cli {command} > /dev/full", environment())
    told = done.stderr.decode()
    assert done.returncode == 1
    expected = "nplm: cannot write to standard output: No space left on device"
    assert told.splitlines()[-1] == expected
    assert "Traceback" not in told
    assert "Exception ignored" not in told


def test_streams_that_are_closed(ffn, texts, environment, tmp_path):
    """As daemons start programs; a file is written all the same."""
    nplm = f"{sys.executable} -m nplm_cli"
    for command in (f"tokenize {texts / 'seg.txt'}", f"vocab {texts / 'seg.txt'} --json"):
        done = shell(f"{nplm} {command} -q >&-", environment())
        told = done.stderr.decode().splitlines()
        closed = "nplm: cannot write to standard output: it is closed; redirect it to a file"
        assert (done.returncode, told[-1:]) == (1, [closed])
        assert not [line for line in told if not line.startswith("nplm: ")]
    done = shell(f"{nplm} score {ffn} - <&-", environment())
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    out = tmp_path / "tokens"
    done = shell(f"{nplm} tokenize {texts / 'seg.txt'} -o {out} <&- >&- 2>&-", environment())
    assert done.returncode == 0
    assert out.read_bytes() == (texts / "seg.txt").read_bytes().replace(
        "１９９８".encode(), b"1998"
    )


HARD_CASES = {
    "help": (("--help",), None),
    "help of train": (("train", "--help"), None),
    "score": (("score", "RUN", "我 🙂 ½ é 书", "--per-token"), None),
    "kenlm": (("score", "RUN", "我 🙂 é 书", "--format", "kenlm"), None),
    "table": (("score", "RUN", "我 🙂 é 书", "--format", "table"), None),
    "neighbors": (("neighbors", "RUN", "书", "🙂"), None),
    "unknown": (("neighbors", "RUN", "🙂é"), 2),
    "predict": (("predict", "RUN", "我 🙂"), None),
    "json": (("score", "RUN", "我 🙂", "--json"), None),
    "info": (("info", "RUN"), None),
    "tokenize": (("tokenize", "-", "--format", "segmented", "-q"), None),
}


SETTINGS = {
    "gbk": {"PYTHONIOENCODING": "gbk"},
    "C": {"LC_ALL": "C"},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
SOME = ("score", "unknown", "help of train", "neighbors")
CONSOLES = [(c, s) for c in HARD_CASES for s in SETTINGS if s == "gbk" or c in SOME]


@pytest.mark.parametrize(("case", "setting"), CONSOLES)
def test_a_console_that_cannot_show_everything(spawn, ffn, case, setting):
    line, code = HARD_CASES[case]
    # What tokenize writes is a file of UTF-8, whatever the console.
    encoding = "gbk" if setting == "gbk" and case != "tokenize" else "utf-8"
    result = spawn(
        *[ffn if word == "RUN" else word for word in line],
        stdin="我 🙂 书 。\n".encode(),
        env=SETTINGS[setting],
        encoding=encoding,
    )
    assert "Traceback" not in result.err
    assert "codec" not in result.err
    assert result.code == (code or 0)
    if case == "score" and setting == "gbk":
        assert "\\U0001f642" in result.out
        assert "我" in result.out
    if case == "tokenize":
        assert result.out == "我 🙂 书 。\n"


def on_a_terminal(line, env, columns=100):
    """Run with a pseudo-terminal as all three streams; returns the exit code and what it showed."""
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [*NPLM, *map(str, line)],
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        env={**env, "COLUMNS": str(columns), "TERM": env.get("TERM", "xterm")},
        start_new_session=True,
    )
    os.close(secondary)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([primary], [], [], 1)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            block = os.read(primary, 65536)
        except OSError:
            break
        if not block:
            break
        shown += block
    code = process.wait(10)
    os.close(primary)
    return code, shown.decode("utf-8", "replace")


def test_a_terminal_gets_tables_and_a_bar(ffn, texts, environment, tmp_path):
    code, shown = on_a_terminal(("neighbors", ffn, "书", "-k", 3), environment())
    assert code == 0
    assert "━" in shown
    assert "query" in shown
    options = ("--dim", 4, "--hidden", 4, "--threads", 1, "--steps", 300)
    line = ("train", texts / "seg.txt", "-o", tmp_path / "run", *options)
    code, shown = on_a_terminal(line, environment())
    assert code == 0
    assert "Traceback" not in shown
    assert "training" in shown
    assert "tokens/s" in shown
    assert "kneser_ney ppl" in shown


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color_and_no_terminal(ffn, environment, setting):
    code, shown = on_a_terminal(("neighbors", ffn, "书", "-k", 3), environment(**setting))
    assert code == 0
    assert not re.search(r"\x1b\[[\d;]*3\dm", shown)
    if "TERM" in setting:
        assert shown.startswith("query\trank")
        assert "\x1b" not in shown


def test_no_network_is_touched_and_no_terminal_needed(spawn, texts, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import socket\n"
        "def refuse(*args, **options):\n"
        "    raise RuntimeError('the network was asked for')\n"
        "socket.socket.connect = socket.socket.connect_ex = refuse\n"
        "socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse\n"
    )
    old = os.environ.get("PYTHONPATH")
    env = {"PYTHONPATH": f"{site}:{old}" if old else str(site)}
    run = tmp_path / "run"
    options = ("--dim", 4, "--hidden", 4, "--threads", 1, "--steps", 3)
    result = spawn("train", texts / "zh.txt", "-o", run, *options, env=env).ok()
    # Neither stream is a terminal: plain lines, each with the name of the program.
    assert not set("\x1b\r") & set(result.err + result.out)
    assert all(line.startswith("nplm: ") for line in result.err.splitlines())
    spawn("neighbors", run, "--random", 2, env=env).ok()
    spawn("score", run, "今天我买书。", env=env).ok()


def limited_to(size):
    def limit():
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.slow
def test_a_full_disk_while_training_keeps_the_old_files(
    spawn, nplm, train, texts, tmp_path, sha256
):
    # Files of more than a few kilobytes cannot be written: the checkpoint is the first of them.
    whole, run, again = tmp_path / "whole", tmp_path / "run", tmp_path / "again"
    options = ("--dim", "32", "--eval-every", "10")
    train(texts / "seg.txt", whole, *options).ok()
    shutil.copytree(whole, run)
    shutil.copytree(whole, again)
    names = ("model.safetensors", "checkpoint.safetensors", "vocabulary.tsv")
    before = [sha256(run / name) for name in names]
    limit = (whole / "checkpoint.safetensors").stat().st_size // 2
    line = ("train", "--resume", "-o", run, "--steps", 40, "-q")
    result = spawn(*line, preexec_fn=limited_to(limit))
    assert result.code == 1
    assert "Traceback" not in result.err
    assert len(result.err.splitlines()) == 1
    assert "File too large" in result.err or "space" in result.err
    assert str(run) in result.err or "checkpoint" in result.err
    assert [sha256(run / name) for name in names[1:]] == before[1:]
    assert not [p for p in run.iterdir() if p.name.endswith(".nplm-tmp")]
    nplm("neighbors", run, "书").ok()
    # With room again the same command goes on, and ends where it would have ended.
    nplm(*line).ok()
    nplm("train", "--resume", "-o", again, "--steps", 40, "-q").ok()
    name = "model.safetensors"
    assert sha256(run / name) == sha256(again / name)


def test_a_full_disk_while_reading_leaves_nothing(spawn, texts, tmp_path):
    big = tmp_path / "big.txt"
    big.write_bytes((texts / "seg.txt").read_bytes() * 40)
    out = tmp_path / "out"
    result = spawn("train", big, "-o", out / "run", "-q", preexec_fn=limited_to(20_000))
    assert result.code == 1
    assert len(result.err.splitlines()) == 1
    assert "Traceback" not in result.err
    with contextlib.suppress(FileNotFoundError):
        assert os.listdir(out) == []
    result = spawn("tokenize", big, "-o", tmp_path / "t.txt", "-q", preexec_fn=limited_to(20_000))
    assert result.code == 1
    assert not (tmp_path / "t.txt").exists()
    assert {p.name for p in tmp_path.iterdir()} <= {"big.txt", "out"}


def test_standard_input_is_answered_line_by_line(ffn, environment):
    process = subprocess.Popen(
        [*NPLM, "score", str(ffn), "-", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        for text in ("我 买 书", "今天 我"):
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 20)[0], "no answer before the end"
            assert text in process.stdout.readline().decode()
        process.stdin.close()
    assert process.returncode == 0


def test_what_has_arrived_is_scored_together(monkeypatch):
    """A fast pipe is read in blocks: all whole lines of a block are one batch, in order."""
    from nplm_cli.cli import score_input

    text = "".join(f"line {number}\n" for number in range(5000)).encode()
    size = score_input._BLOCK_BYTES
    blocks = [text[at : at + size] for at in range(0, len(text), size)]
    monkeypatch.setattr(score_input, "_stdin_blocks", lambda: iter(blocks))
    batches = list(score_input.batches_of_lines(["-"], [], "auto", whole=False))
    assert len(batches) <= len(blocks) + 1
    assert [line for lines, _ in batches for line in lines] == text.decode().splitlines()


def test_ctrl_c_before_the_command_line_is_there(monkeypatch, capsys):
    """While modules are loaded: also where a library wraps it in an error of its own."""
    from nplm_cli import __main__ as entry
    from nplm_cli.cli import app

    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "run", interrupted)
    with pytest.raises(SystemExit) as caught:
        entry.main()
    assert caught.value.code == 130
    assert capsys.readouterr().err == "nplm: interrupted\n"


def test_ctrl_c_wrapped_by_a_library(nplm, ffn, monkeypatch):
    from nplm_cli.query import describe

    def wrapped(run):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise RuntimeError("Error calling __set_name__") from error

    monkeypatch.setattr(describe, "describe", wrapped)
    result = nplm("info", ffn)
    assert (result.code, result.out, result.err) == (130, "", "nplm: interrupted\n")


@pytest.mark.parametrize(
    "closed", ["2>&1 >/dev/null | head -n 1", pytest.param("2>/dev/full", marks=pytest.mark.slow)]
)
def test_nobody_listens_to_what_a_training_tells(texts, environment, tmp_path, closed):
    run = tmp_path / "run"
    line = f"train {texts / 'seg.txt'} -o {run} --dim 4 --hidden 4 --steps 20 --eval-every 2 --threads 1"
    done = shell(
        f"({sys.executable} -m nplm_cli {line}; echo $? > {run}.code) {closed}", environment()
    )
    assert (tmp_path / "run.code").read_text() == "0\n", done
    assert (run / "report.json").exists()
