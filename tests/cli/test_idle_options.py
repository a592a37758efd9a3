"""An option that does nothing beside the others is named in a warning, and no other is."""

import pytest

from nplm_cli.cli.options import idle_options
from nplm_cli.config import Config

IDLE = {
    "order of a recurrent model": ({"arch": "lstm", "order": 4}, ["order"]),
    "window of a window model": ({"arch": "ffn", "window": 9}, ["window"]),
    "peephole of a gru": ({"arch": "gru", "peephole": "full"}, ["peephole"]),
    "activation of an lstm": ({"arch": "lstm", "activation": "relu"}, ["activation"]),
    "hidden of attention": ({"arch": "attention", "hidden": 9}, ["hidden"]),
    "norm of attention": ({"arch": "attention", "norm": "pre"}, ["norm"]),
    "weight drop of a transformer": ({"arch": "transformer", "weight_drop": 0.1}, ["weight_drop"]),
    "hidden without layers": ({"layers": 0, "hidden": 9, "gate": True}, ["gate", "hidden"]),
    "kernels without far": ({"kernels": 2}, ["kernels"]),
    "eps without norm": ({"norm_eps": 0.1}, ["norm_eps"]),
    "dropout between one layer": ({"arch": "gru", "dropout_hidden": 0.1}, ["dropout_hidden"]),
    "locked without dropout": ({"locked_dropout": True}, ["locked_dropout"]),
    "residual without a layer as wide": ({"residual": True, "dim": 4}, ["residual"]),
    "scale of zeros": ({"init": "zero", "init_scale": 2.0}, ["init_scale"]),
    "combining one word": ({"order": 2, "combine": "mean"}, ["combine"]),
    "stride of a window model": ({"stride": 5}, ["stride"]),
    "ramp without dropout": ({"dropout_ramp": 0.5}, ["dropout_ramp"]),
    "sample of a full softmax": ({"samples": 5, "full_from": 0.5}, ["full_from", "samples"]),
    "cutoffs of a full softmax": (
        {"cutoffs": "5", "tail_division": 2.0},
        ["cutoffs", "tail_division"],
    ),
    "division of tied clusters": (
        {"softmax": "adaptive", "tie": True, "tail_division": 2.0},
        ["tail_division"],
    ),
    "normalisation of samples alone": (
        {"loss": "sampled", "self_normalize": 0.1},
        ["self_normalize"],
    ),
    "normalisation of counts": ({"arch": "ngram", "self_normalize": 0.1}, ["self_normalize"]),
    "decay without average": ({"average_decay": 0.5}, ["average_decay"]),
    "start of an average that decays": ({"average": "ema", "average_from": 0.2}, ["average_from"]),
    "training of counts": ({"arch": "ngram", "lr": 0.1, "dim": 3, "ar": 1.0}, ["ar", "dim", "lr"]),
    "k of Kneser-Ney": ({"arch": "ngram", "k": 0.5}, ["k"]),
}
BUSY = {
    "recurrent": {"arch": "lstm", "hidden": 9, "layers": 2, "peephole": "full", "weight_drop": 0.1},
    "between two layers": {"arch": "gru", "layers": 2, "dropout_hidden": 0.1},
    "attention": {"arch": "attention", "heads": 2, "window": 9, "stride": 3, "positions": "none"},
    "transformer": {"arch": "transformer", "hidden": 9, "norm": "post", "dropout_hidden": 0.1},
    "window": {"order": 4, "layers": 2, "far": 8, "averages": 1, "residual": True, "gate": True, "norm": "pre"},
    "counts": {"arch": "ngram", "order": 2, "smoothing": "addk", "k": 0.5, "context": "stream"},
    "residual of one layer": {"order": 2, "dim": 8, "hidden": 8, "residual": True},
    "normalised": {"self_normalize": 0.1},
    "normalised at the end": {"loss": "sampled", "full_from": 0.5, "self_normalize": 0.1},
    "sampled": {"loss": "sampled", "samples": 5, "full_from": 0.5},
    "contrastive": {"loss": "nce", "samples": 5, "full_from": 0.5},
    "adaptive": {"softmax": "adaptive", "cutoffs": "5", "tail_division": 2.0},
    "noise": {"dropout": 0.1, "dropout_ramp": 0.5, "locked_dropout": True, "word_dropout": 0.1, "tar": 1.0},
}  # fmt: skip


@pytest.mark.parametrize("name", IDLE)
def test_what_does_nothing_is_named(name):
    options, expected = IDLE[name]
    assert sorted(idle_options(Config().replace(**options), options)) == expected


@pytest.mark.parametrize("name", BUSY)
def test_what_works_is_not(name):
    assert idle_options(Config().replace(**BUSY[name]), BUSY[name]) == []


def test_the_user_is_told(nplm, texts, tmp_path):
    line = ("train", texts / "seg.txt", "-o", tmp_path / "run", "--arch", "gru", "--dim", 4)
    result = nplm(*line, "--hidden", 5, "--steps", 2, "--order", 3, "-q").ok()
    assert "--order has no effect" in result.err
