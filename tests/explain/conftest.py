"""Small trained runs of every architecture and of what changes how one is read."""

import random

import pytest

from nplm_cli.cli.app import run as run_command
from nplm_cli.query.run import Run

NETWORKS = {
    "ffn": (),
    "ffn-tied-projection": ("--tie",),
    "ffn-no-layer": ("--layers", 0),
    "ffn-relu-no-biases": ("--activation", "relu", "--no-hidden-bias", "--no-output-bias"),
    "ffn-mean-3-layers-post": ("--combine", "mean", "--layers", 3, "--norm", "post", "--residual"),
    "ffn-sum-residual": ("--combine", "sum", "--residual", "--dim", 6, "--hidden", 6),
    "ffn-gate": ("--gate", "--activation", "sigmoid"),
    "ffn-modern": (
        *("--far", 4, "--kernels", 1, "--averages", 1, "--gate", "--residual"),
        *("--norm", "pre", "--layers", 2, "--order", 3),
    ),
    "ffn-far-no-layer": ("--far", 9, "--kernels", 2, "--layers", 0),
    "ffn-adaptive": ("--softmax", "adaptive", "--cutoffs", "6,15", "--tail-division", 2),
    "rnn": (),
    # These would grow from word to word.
    "rnn-gelu-tied": ("--activation", "gelu", "--tie", "--init-scale", 1),
    "rnn-relu-2-layers": ("--activation", "relu", "--layers", 2, "--init-scale", 1),
    "gru": (),
    "gru-3-layers-tied": ("--layers", 3, "--tie", "--hidden", 6),
    "lstm": (),
    "lstm-diagonal": ("--peephole", "diagonal"),
    "lstm-full-2-layers": ("--peephole", "full", "--layers", 2, "--no-hidden-bias"),
    "lstm-adaptive-tied": ("--softmax", "adaptive", "--cutoffs", "6", "--tie"),
    "attention": ("--heads", 2),
    "attention-window": ("--window", 4, "--stride", 2, "--heads", 2, "--layers", 2),
    "attention-learned-untied": ("--positions", "learned", "--no-tie", "--window", 5),
    "transformer": (),
    "transformer-window": ("--window", 4, "--stride", 2, "--layers", 2),
    "transformer-post": ("--norm", "post", "--positions", "sinusoidal", "--window", 5),
    "transformer-adaptive": (
        *("--norm", "none", "--positions", "none", "--softmax", "adaptive"),
        *("--cutoffs", "6,15", "--no-hidden-bias"),
    ),
}
COUNTS = {
    "kn": ("--smoothing", "kn"),
    "mle": ("--smoothing", "mle"),
    "addk": ("--smoothing", "addk", "--k", 0.5),
}
SMALL = ("--dim", 6, "--hidden", 8, "--order", 4, "--steps", 3, "--init-scale", 2.5)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Sentences of a few words, with some that a vocabulary of 24 leaves out."""
    r = random.Random(3)
    who, verb = ["我", "你", "他", "老师", "学生"], ["买", "看见", "喜欢", "找"]
    what, when = ["书", "茶", "猫", "苹果", "电影"], ["今天", "昨天", "明天"]
    lines = []
    for i in range(120):
        words = [r.choice(when), r.choice(who), r.choice(verb), r.choice(what)]
        words += ["和", r.choice(what)] if i % 3 == 0 else []
        words += [f"少{chr(0x4E00 + i)}"] if i % 4 == 0 else []
        lines.append(" ".join([*words, "。"]))
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="session")
def folder_of(corpus, tmp_path_factory):
    """Folders of the runs above by name, each trained once."""
    kept = {}

    def get(name):
        if name not in kept:
            kept[name] = tmp_path_factory.mktemp(name) / "run"
            arch = "ngram" if name in COUNTS else name.split("-")[0]
            own = COUNTS.get(name) or (*SMALL, *NETWORKS.get(name, ()))
            order = ("--order", 3) if name in COUNTS else ()
            options = ["--arch", arch, *order, *own, "--max-size", 24, "--threads", 1, "-q"]
            assert (
                run_command(["train", str(corpus), "-o", str(kept[name]), *map(str, options)]) == 0
            )
        return kept[name]

    return get


@pytest.fixture
def run_of(folder_of):
    return lambda name: Run(folder_of(name))


@pytest.fixture(params=NETWORKS)
def network(request, run_of):
    """A run of every network."""
    return run_of(request.param)
