"""What each architecture is: its settings, its defaults and how far back it sees.

The one place, besides the tables of classes in ``models`` and of numpy twins in ``query``, that
knows architectures by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nplm_cli.config import ModelConfig


@dataclass(frozen=True)
class Architecture:
    """One value of ``--arch``.

    ``settings`` are the settings that act on it alone or on some architectures only; ``defaults``
    are values of settings that are None until the architecture is known.
    """

    title: str
    context: Callable[["ModelConfig"], int | None]
    settings: frozenset[str]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    neural: bool = True


def _unbounded(config: "ModelConfig") -> None:
    return None


def _largest_head_count(config: "ModelConfig") -> int:
    return next(heads for heads in (4, 2, 1) if config.dim % heads == 0)


def _half_window(config: "ModelConfig") -> int:
    return max(1, config.window // 2)


# Settings that act on some architectures only; every other one acts on all neural models.
_RECURRENT = frozenset({"hidden", "layers", "hidden_bias", "weight_drop", "dropout_hidden"})
_ATTENTION = frozenset({"layers", "heads", "positions", "window", "stride", "dropout_hidden"})

ARCHITECTURES: dict[str, Architecture] = {
    "ffn": Architecture(
        "feedforward window model (Bengio et al. 2003)",
        lambda config: config.order - 1 + config.far,
        frozenset(
            {"order", "combine", "far", "kernels", "averages", "hidden", "layers", "hidden_bias"}
            | {"activation", "residual", "gate", "norm", "norm_eps", "dropout_hidden"}
        ),
        {"activation": "tanh", "tie": False, "norm": "none"},
    ),
    "rnn": Architecture(
        "simple recurrent network (Elman 1990)",
        _unbounded,
        _RECURRENT | {"activation"},
        {"activation": "tanh", "tie": False},
    ),
    "gru": Architecture(
        "gated recurrent units (Cho et al. 2014)", _unbounded, _RECURRENT, {"tie": False}
    ),
    "lstm": Architecture(
        "long short-term memory (Hochreiter & Schmidhuber 1997)",
        _unbounded,
        _RECURRENT | {"peephole"},
        {"tie": False},
    ),
    "attention": Architecture(
        "self-attention alone, as in the lecture",
        lambda config: config.window,
        _ATTENTION,
        {"tie": True, "positions": "sinusoidal", "heads": 1, "stride": _half_window},
    ),
    "transformer": Architecture(
        "decoder-only Transformer (Vaswani et al. 2017, Radford et al. 2018)",
        lambda config: config.window,
        _ATTENTION | {"hidden", "hidden_bias", "activation", "norm", "norm_eps"},
        {
            "activation": "gelu",
            "tie": False,
            "norm": "pre",
            "positions": "learned",
            "heads": _largest_head_count,
            "stride": _half_window,
        },
    ),
    "ngram": Architecture(
        "n-gram counts, no network",
        lambda config: config.order - 1,
        frozenset({"order", "smoothing", "k"}),
        {"tie": False},
        neural=False,
    ),
}

# Every setting that some architecture does without.
SPECIAL_SETTINGS = frozenset().union(*(a.settings for a in ARCHITECTURES.values()))
