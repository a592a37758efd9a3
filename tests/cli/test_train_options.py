"""No option of ``nplm train`` is accepted and ignored.

Each option is set to something else than its default, in a context where it has a meaning, for a
few steps: the bytes of the weights change, or what the option is for does. An option that is not
in the table fails the first test.
"""

import dataclasses
import json
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from nplm_cli.cli.app import command_line
from nplm_cli.config import SECTIONS


@dataclass(frozen=True)
class Trained:
    """What a training left behind."""

    folder: Path
    result: Any

    @cached_property
    def weights(self) -> bytes:
        return (self.folder / "model.safetensors").read_bytes()

    def file(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text("utf-8"))

    @property
    def metrics(self) -> list[Any]:
        return [json.loads(x) for x in (self.folder / "metrics.jsonl").read_text().splitlines()]


def weights(a: Trained, b: Trained) -> None:
    assert a.weights != b.weights


def stops_earlier(a: Trained, b: Trained) -> None:
    assert a.file("report.json")["training"]["stopped"] == "length"
    training = b.file("report.json")["training"]
    assert training["stopped"] == "converged"
    assert training["steps"] < a.file("report.json")["training"]["steps"]


def best_elsewhere(a: Trained, b: Trained) -> None:
    steps = [t.file("report.json")["training"]["best_step"] for t in (a, b)]
    assert steps[0] < steps[1]
    assert a.weights != b.weights


def evaluates_more(a: Trained, b: Trained) -> None:
    assert [m["step"] for m in b.metrics] == [7, 14, 20]
    assert [m["step"] for m in a.metrics] != [7, 14, 20]


def says_device(a: Trained, b: Trained) -> None:
    # Without a GPU the same device is chosen; a wrong one is refused (test_bad_input.py).
    assert a.file("config.json")["settings"]["training"]["device"] == "auto"
    assert b.file("config.json")["settings"]["training"]["device"] == "cpu"


def says_threads(a: Trained, b: Trained) -> None:
    assert [t.file("config.json")["environment"]["threads"] for t in (a, b)] == [1, 2]


def baseline(a: Trained, b: Trained) -> None:
    names = [t.file("report.json")["valid"]["baselines"]["kneser_ney"] for t in (a, b)]
    assert [n["order"] for n in names] == [3, 2]
    assert names[0]["ppl"] != names[1]["ppl"]
    assert a.weights == b.weights


def stops_by_the_clock(a: Trained, b: Trained) -> None:
    training = b.file("report.json")["training"]
    assert training["stopped"] == "budget"
    assert training["seconds"] < 30
    weights(a, b)


def k_matters(a: Trained, b: Trained) -> None:
    weights(a, b)
    ppl = [t.file("report.json")["valid"]["ppl"] for t in (a, b)]
    assert ppl[0] != ppl[1]


def valid_ppl(a: Trained, b: Trained) -> None:
    ppl = [t.file("report.json")["valid"]["ppl"] for t in (a, b)]
    assert ppl[0] != ppl[1]


def reports_valid(a: Trained, b: Trained) -> None:
    assert (
        b.file("report.json")["valid"]["sentences"]
        == 150
        != a.file("report.json")["valid"]["sentences"]
    )
    weights(a, b)


def reports_test(a: Trained, b: Trained) -> None:
    assert (
        b.file("report.json")["test"]["sentences"]
        == 150
        != a.file("report.json")["test"]["sentences"]
    )


def replaces(a: Trained, b: Trained) -> None:
    weights(a, b)
    assert "U+FFFD" in b.file("report.json")["notes"][0]
    assert not any("U+FFFD" in note for note in a.file("report.json")["notes"])


def reads_the_source(a: Trained, b: Trained) -> None:
    weights(a, b)
    assert "\n<\t" in (b.folder / "vocabulary.tsv").read_text("utf-8")


def replaced(a: Trained, b: Trained) -> None:
    assert a.result.code == b.result.code == 0
    weights(a, b)


def writes_json(a: Trained, b: Trained) -> None:
    assert b.result.json == b.file("report.json")
    assert a.result.out.startswith("figure\t")


def is_quiet(a: Trained, b: Trained) -> None:
    assert "step 20" in a.result.err
    assert all(line.startswith("nplm: warning: ") for line in b.result.err.splitlines())


def nearer_to_1(a: Trained, b: Trained) -> None:
    weights(a, b)
    assert a.file("report.json")["valid"]["self_normalisation"] is None
    figures = b.file("report.json")["valid"]["self_normalisation"]
    assert abs(figures["log_z_mean"]) < 1 < np.log(30)  # log Z of scores that are all 0: ln V
    assert 0 < figures["log_z_sd"] <= figures["log_z_abs_max"] + abs(figures["log_z_mean"])


# Name: options that give it a meaning (TEXT names another text), the option itself, what changes.
Row = tuple[tuple[str, ...], tuple[str, ...], Any]
NGRAM = ("--arch", "ngram")
LSTM = ("--arch", "lstm")
ATTENTION = ("--arch", "attention")
ADAPTIVE = ("--softmax", "adaptive", "--cutoffs", "3,6")
SGD = ("--optimizer", "sgd", "--lr", "1")
FAR = ("--valid", "FAR", *SGD, "--eval-every", "2", "--schedule", "constant", "--patience", "0")
TABLE: dict[str, Row] = {
    "lang": (("TEXT=zh.txt",), ("--lang", "char"), weights),
    "format": (("TEXT=en.txt",), ("--format", "segmented"), weights),
    "encoding": (("TEXT=en.txt", "--lang", "en"), ("--encoding", "cp1252"), weights),
    "errors": (("TEXT=en.txt", "--lang", "en"), ("--errors", "replace"), replaces),
    "markup": (("TEXT=en.txt", "--lang", "en"), ("--markup", "text"), reads_the_source),
    "sentences": (("TEXT=en.txt",), ("--sentences", "line"), weights),
    "blank_lines": (("TEXT=en.txt",), ("--blank-lines", "keep"), weights),
    "compounds": (("TEXT=tagged.gbk.txt",), ("--compounds", "join"), weights),
    "keep_pos": (("TEXT=tagged.gbk.txt",), ("--keep-pos",), weights),
    "lowercase": (("TEXT=en.txt",), ("--lowercase",), weights),
    "fold_width": ((), ("--no-fold-width",), weights),
    "fold_numbers": (("TEXT=en.txt",), ("--fold-numbers",), weights),
    "user_dict": (("TEXT=zh.txt",), ("--user-dict", "DICT"), weights),
    "split_by": ((), ("--split-by", "order"), weights),
    "valid_share": ((), ("--valid-share", "0.3"), weights),
    "test_share": ((), ("--test-share", "0.3"), weights),
    "max_size": ((), ("--max-size", "10"), weights),
    "min_count": ((), ("--min-count", "25"), weights),
    "vocab": ((), ("--vocab", "VOCAB"), weights),
    "arch": ((), NGRAM, weights),
    "order": ((), ("--order", "4"), weights),
    "combine": ((), ("--combine", "mean"), weights),
    "far": (("--far", "3", "--kernels", "1"), ("--far", "4"), weights),
    "kernels": (("--far", "3", "--averages", "1"), ("--kernels", "1"), weights),
    "averages": (("--far", "3", "--kernels", "1"), ("--averages", "1"), weights),
    "dim": ((), ("--dim", "5"), weights),
    "hidden": ((), ("--hidden", "7"), weights),
    "layers": ((), ("--layers", "2"), weights),
    "activation": ((), ("--activation", "relu"), weights),
    "residual": (("--layers", "2"), ("--residual",), weights),
    "gate": ((), ("--gate",), weights),
    "norm": ((), ("--norm", "pre"), weights),
    "norm_eps": (("--norm", "post"), ("--norm-eps", "0.5"), weights),
    "peephole": (LSTM, ("--peephole", "diagonal"), weights),
    "heads": (ATTENTION, ("--heads", "2"), weights),
    "positions": (ATTENTION, ("--positions", "learned"), weights),
    "window": ((*ATTENTION, "--window", "6"), ("--window", "4"), weights),
    "stride": ((*ATTENTION, "--window", "4"), ("--stride", "1"), valid_ppl),
    "tie": ((), ("--tie",), weights),
    "output_bias": ((), ("--no-output-bias",), weights),
    "hidden_bias": ((), ("--no-hidden-bias",), weights),
    "softmax": ((), ("--softmax", "adaptive", "--cutoffs", "3,6"), weights),
    "cutoffs": (ADAPTIVE, ("--cutoffs", "4,6"), weights),
    "tail_division": (ADAPTIVE, ("--tail-division", "2"), weights),
    "init": ((), ("--init", "uniform01"), weights),
    "init_scale": ((), ("--init-scale", "2"), weights),
    "vectors": ((), ("--vectors", "VECTORS"), weights),
    "freeze_vectors": (("--vectors", "VECTORS"), ("--freeze-vectors",), weights),
    "smoothing": (NGRAM, ("--smoothing", "mle"), weights),
    "k": ((*NGRAM, "--smoothing", "addk"), ("--k", "0.5"), k_matters),
    "context": ((), ("--context", "stream"), weights),
    "optimizer": ((), ("--optimizer", "adagrad"), weights),
    "lr": ((), ("--lr", "0.01"), weights),
    "momentum": (("--optimizer", "momentum"), ("--momentum", "0.5"), weights),
    "l2": ((), ("--l2", "0.1"), weights),
    "dropout": ((), ("--dropout", "0.2"), weights),
    "dropout_input": ((), ("--dropout-input", "0.2"), weights),
    "dropout_hidden": (("--layers", "2"), ("--dropout-hidden", "0.2"), weights),
    "dropout_output": ((), ("--dropout-output", "0.2"), weights),
    "dropout_embedding": ((), ("--dropout-embedding", "0.2"), weights),
    "word_dropout": ((), ("--word-dropout", "0.2"), weights),
    "locked_dropout": (("--dropout", "0.2"), ("--locked-dropout",), weights),
    "weight_drop": (LSTM, ("--weight-drop", "0.2"), weights),
    "ar": ((), ("--ar", "2"), weights),
    "tar": ((), ("--tar", "2"), weights),
    "dropout_ramp": (("--dropout", "0.2"), ("--dropout-ramp", "0.9"), weights),
    "loss": ((), ("--loss", "sampled", "--samples", "5"), weights),
    "samples": (("--loss", "sampled", "--samples", "5"), ("--samples", "9"), weights),
    "full_from": (("--loss", "sampled", "--samples", "5"), ("--full-from", "0.5"), weights),
    "self_normalize": ((), ("--self-normalize", "0.5"), nearer_to_1),
    "precision": ((), ("--precision", "bf16"), weights),
    "average": ((), ("--average", "ema"), weights),
    "average_decay": (("--average", "ema"), ("--average-decay", "0.5"), weights),
    "average_from": (("--average", "tail"), ("--average-from", "0.8"), weights),
    "batch": ((), ("--batch", "8"), weights),
    "bptt": (("--context", "stream", "--batch", "4"), ("--bptt", "5"), weights),
    "clip": (SGD, ("--clip", "0.01"), weights),
    "schedule": ((), ("--schedule", "cosine"), weights),
    "warmup": ((), ("--warmup", "0.5"), weights),
    "epochs": (("NO STEPS", "--epochs", "1"), ("--epochs", "2"), weights),
    "steps": ((), ("--steps", "10"), weights),
    "budget": (("NO STEPS", "--epochs", "1"), ("--budget", "BUDGET"), stops_by_the_clock),
    "patience": ((*FAR, "--tolerance", "9"), ("--patience", "1"), stops_earlier),
    "stop_on": (FAR, ("--stop-on", "train"), best_elsewhere),
    "tolerance": (
        ("--eval-every", "2", "--patience", "1", "--schedule", "constant", "--lr", "0.001"),
        ("--tolerance", "9"),
        stops_earlier,
    ),
    "eval_every": ((), ("--eval-every", "7"), evaluates_more),
    "seed": ((), ("--seed", "2"), weights),
    "device": ((), ("--device", "cpu"), says_device),
    "threads": (("--steps", "2"), ("--threads", "2"), says_threads),
    "baseline_order": ((), ("--baseline-order", "2"), baseline),
    "valid": ((), ("--valid", "SAME"), reports_valid),
    "test": ((), ("--test", "SAME"), reports_test),
    "preset": (("NOT TINY",), ("--preset", "homework"), weights),
    "config_file": (("NOT TINY",), ("--config", "CONFIG"), weights),
    "json": ((), ("--json",), writes_json),
    "quiet": ((), ("-q",), is_quiet),
}
# These have tests of their own, below or in the files named.
ELSEWHERE = {
    "inputs": "test_commands.py",
    "folder": "test_commands.py",
    "resume": "test_interruption.py",
    "force": "test_bad_input.py",
    "checkpoint_every": "test_checkpoint_every",
    "progress": "test_progress",
    "tokenizer": "test_tokenize.py",
    "workers": "test_tokenize.py",
}


def test_the_table_is_complete():
    command = typer.main.get_command(command_line()).commands["train"]
    names = {parameter.name for parameter in command.params} - {"help"}
    settings = {
        field.name for section in SECTIONS.values() for field in dataclasses.fields(section)
    }
    assert settings <= names, "a setting without an option"
    assert set(TABLE) | set(ELSEWHERE) == names
    assert not set(TABLE) & set(ELSEWHERE)


@pytest.fixture(scope="module")
def files(texts, nplm, ffn, tmp_path_factory):
    """Files that options name."""
    folder = tmp_path_factory.mktemp("files")
    nplm("vocab", texts / "seg.txt", "-o", folder / "v.tsv", "--max-size", 12, "-q").ok()
    nplm("export", ffn, folder / "v.txt", "-q").ok()
    (folder / "far.txt").write_text("我 我 我 我 我 我\n" * 5, "utf-8")
    (folder / "d.txt").write_text("我喜欢\n他看见 5\n喜欢苹果\n", "utf-8")
    (folder / "c.json").write_text('{"model": {"dim": 3, "hidden": 5}}')
    return {
        "VOCAB": folder / "v.tsv",
        "VECTORS": folder / "v.txt",
        "FAR": folder / "far.txt",
        "CONFIG": folder / "c.json",
        "DICT": folder / "d.txt",
        "SAME": texts / "seg.txt",
    }


@pytest.fixture(scope="module")
def run(nplm, texts, files, tmp_path_factory):
    """Train with options; the same options are trained once."""
    done: dict[tuple[str, ...], Trained] = {}

    def train(options: tuple[str, ...]) -> Trained:
        if options not in done:
            folder = tmp_path_factory.mktemp("option") / "run"
            text = next((o[5:] for o in options if o.startswith("TEXT=")), "seg.txt")
            given = [] if "NOT TINY" in options else ["--dim", "4", "--hidden", "6"]
            given += ["--order", "3", "--threads", "1", "--valid-share", "0.1"]
            given += (
                [] if {"NO STEPS", "--budget", "--epochs"} & set(options) else ["--steps", "20"]
            )
            given += [
                str(files.get(o, o))
                for o in options
                if not o.startswith("TEXT=") and o not in ("NOT TINY", "NO STEPS")
            ]
            result = nplm("train", texts / text, "-o", folder, *given).ok()
            done[options] = Trained(folder, result)
        return done[options]

    return train


@pytest.mark.parametrize("name", TABLE)
def test_each_option_changes_what_it_is_for(run, name, monkeypatch, request):
    context, option, check = TABLE[name]
    changed = (*context, *option)
    if name in OTHER_TEXTS:
        changed = (f"TEXT={OTHER_TEXTS[name]}", *changed[1:])
    if name == "budget":
        # A training's clock starts with its process, of which this one is no fair example.
        monkeypatch.setattr("nplm_cli.cli.train_command.process_age", lambda: 0.0)
        changed = ("NO STEPS", "--budget", "0.5s")
    if name == "epochs":
        changed = ("NO STEPS", *option)
    check(run(context), run(changed))


# Texts that cannot be read without the option.
OTHER_TEXTS = {"encoding": "western.txt", "errors": "damaged.txt", "markup": "page.html"}


@pytest.fixture(scope="module", autouse=True)
def other_texts(texts):
    """English in an encoding of its own, with a bad byte, and as a page."""
    text = (texts / "en.txt").read_text("utf-8")
    (texts / "western.txt").write_bytes(text.replace("a", "\xe9").encode("cp1252"))
    (texts / "damaged.txt").write_bytes(text.encode().replace(b"book", b"b\xffk", 2))
    (texts / "page.html").write_text("<html>\n<p>" + text.replace("\n", "\n<p>"), "utf-8")


def test_the_options_are_needed(nplm, texts, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lxml", None)
    for option, text in OTHER_TEXTS.items():
        line = ("train", texts / text, "-o", tmp_path / "run", "-q")
        nplm(*line).refused(f"--{option}")


def test_checkpoint_every(nplm, texts, tmp_path, monkeypatch):
    from nplm_cli.training import loop

    saved: list[int] = []
    real = loop.save_checkpoint
    monkeypatch.setattr(loop, "save_checkpoint", lambda *a: (saved.append(a[-1].step), real(*a)))
    line = (
        "train",
        texts / "seg.txt",
        "-q",
        "--dim",
        4,
        "--threads",
        1,
        "--steps",
        6,
        "--eval-every",
        3,
    )
    nplm(*line, "-o", tmp_path / "a").ok()
    seldom = sorted(set(saved))
    saved.clear()
    nplm(*line, "-o", tmp_path / "b", "--checkpoint-every", 0).ok()
    assert seldom == [0, 3, 6]
    assert sorted(set(saved)) == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("style", ["auto", "bar", "plain", "none"])
def test_progress(nplm, texts, tmp_path, monkeypatch, style):
    from nplm_cli.cli import progress

    drawn: list[str] = []
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.0)
    monkeypatch.setattr(
        progress.ProgressView, "_draw", lambda self, event: drawn.append(event.what)
    )
    line = ("train", texts / "seg.txt", "-o", tmp_path / "run", "--dim", 4, "--threads", 1)
    result = nplm(*line, "--steps", 4, "--progress", style).ok()
    plain = [
        row
        for row in result.err.splitlines()
        if (" training " in row and "% " in row) or " left" in row
    ]
    assert ("training" in drawn) == (style == "bar")
    assert bool(plain) == (style in ("auto", "plain"))  # not on a terminal, auto is plain


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("combine", ("concat", "sum", "mean")),
        ("activation", ("tanh", "relu", "sigmoid", "gelu")),
        ("loss", ("full", "sampled", "nce")),
        ("optimizer", ("sgd", "momentum", "adam", "adamw", "rmsprop", "adagrad")),
        ("schedule", ("constant", "linear", "cosine", "plateau")),
        ("init", ("small", "counts", "uniform01", "gaussian01", "zero")),
        ("split-by", ("hash", "order", "none")),
    ],
)
def test_every_choice_differs_from_every_other(run, option, values):
    # plateau is constant until an evaluation brings nothing: the tolerance sees to that.
    extra = (
        ("--tolerance", "9", "--patience", "0", "--eval-every", "5") if option == "schedule" else ()
    )
    if option == "loss":
        extra = ("--samples", "5")
    if option == "optimizer":
        extra = ("--l2", "0.1", "--lr", "0.01")
    found = {value: run((*extra, f"--{option}", value)).weights for value in values}
    assert len(set(found.values())) == len(values)


@pytest.mark.parametrize("smoothing", ["kn", "mle", "addk"])
def test_every_smoothing_differs(run, smoothing):
    ppl = {
        s: run((*NGRAM, "--smoothing", s)).file("report.json")["valid"]["ppl"]
        for s in ("kn", "mle", "addk")
    }
    assert [s for s, value in ppl.items() if value == ppl[smoothing]] == [smoothing]
