"""Settings of a model's shape."""

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any, Literal, Self

from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.config.section import Section, option
from nplm_cli.errors import ConfigError


@dataclass(frozen=True)
class ModelConfig(Section):
    """The shape of a model and its first weights.

    Settings that are None take the default of the architecture in ``resolved``.
    """

    arch: Literal["ffn", "rnn", "gru", "lstm", "attention", "transformer", "ngram"] = option(
        "ffn",
        "Architecture: feedforward window model, recurrent (simple, GRU, LSTM), self-attention, "
        "Transformer, or n-gram counts.",
    )
    order: int = option(5, "Of ffn and ngram: order n sees n-1 words.", low=1, high=512)
    combine: Literal["concat", "sum", "mean"] = option(
        "concat", "Of ffn: how the vectors of the context words become one."
    )
    far: int = option(
        0,
        "Of ffn: so many words before the window are seen, too, through --kernels and --averages.",
        low=0,
        high=8192,
    )
    kernels: int = option(
        0,
        "Of ffn --far: learned position kernels, each a weighted sum of the far words.",
        low=0,
        high=64,
    )
    averages: int = option(
        0,
        "Of ffn --far: decaying averages of the far words, weighted by learned importance.",
        low=0,
        high=64,
    )
    dim: int = option(128, "Dimension of the word vectors.", low=1, high=65_536)
    hidden: int = option(
        256,
        "Units of a hidden layer (recurrent: of the state; transformer: of the feedforward block).",
        low=1,
        high=65_536,
    )
    layers: int = option(
        1, "Number of hidden layers or blocks (of ffn 0: log-bilinear).", low=0, high=64
    )
    activation: Literal["tanh", "relu", "sigmoid", "gelu"] | None = option(
        None, "Activation of ffn and rnn (tanh unless given) and of the transformer (gelu)."
    )
    residual: bool = option(False, "Of ffn: add the input of each hidden layer to its output.")
    gate: bool = option(False, "Of ffn: a sigmoid gate on each hidden layer.")
    norm: Literal["none", "pre", "post"] | None = option(
        None,
        "Layer norm of ffn (none unless given) and transformer (pre): before or after a layer.",
    )
    norm_eps: float = option(1e-5, "Added to the variance in layer norm.", low=0)
    peephole: Literal["none", "diagonal", "full"] = option(
        "none", "Of lstm: gates see the cell (Gers & Schmidhuber 2000), each unit its own or all."
    )
    heads: int | None = option(
        None,
        "Attention heads (attention 1, transformer 4, 2 or 1 unless given); divide --dim.",
        low=1,
        high=256,
    )
    positions: Literal["learned", "sinusoidal", "none"] | None = option(
        None, "Positions (attention sinusoidal, transformer learned unless given)."
    )
    window: int = option(
        128, "Of attention and transformer: words that a prediction sees.", low=1, high=65_536
    )
    stride: int | None = option(
        None,
        "Of attention and transformer: when the window is full it moves on by so many words "
        "(half a window unless given; in training always a whole one).",
        low=1,
    )
    tie: bool | None = option(
        None,
        "Output layer shares the word vectors, through a projection if sizes differ "
        "(attention tied, the others not, unless given).",
    )
    output_bias: bool = option(True, "A bias for each word in the output layer.")
    softmax: Literal["full", "adaptive"] = option(
        "full",
        "One softmax over all words, or (adaptive, for large vocabularies) one over the frequent "
        "words and clusters of the others, and one in each cluster (Grave et al. 2017).",
    )
    cutoffs: str = option(
        "4000,20000,100000",
        "Of --softmax adaptive: ids, by falling frequency, at which the clusters begin; those "
        "beyond the vocabulary are left out.",
        metavar="N,N...",
    )
    tail_division: float = option(
        4.0,
        "Of --softmax adaptive without --tie: by how much each cluster's rows are shorter than "
        "those of the one before.",
        low=1,
    )
    hidden_bias: bool = option(True, "Biases in the hidden layers.")
    init: Literal["small", "counts", "uniform01", "gaussian01", "zero"] = option(
        "small",
        "First weights: small and random around 0; the same, but word vectors and output biases "
        "counted in the text; uniform in 0..1; gaussian in 0..1 (mean 0.5, clipped); all zero.",
    )
    init_scale: float = option(1.0, "Factor on the first weights.", above=0)
    vectors: str | None = option(
        None, "Start from these word vectors (word2vec, GloVe, npy or safetensors).", metavar="FILE"
    )
    freeze_vectors: bool = option(False, "Do not train the word vectors.", no="tune-vectors")
    smoothing: Literal["kn", "mle", "addk"] = option(
        "kn",
        "Of --arch ngram: interpolated modified Kneser-Ney, relative frequencies, or add-k.",
    )
    k: float = option(1.0, "Of --smoothing addk: what is added to each count.", above=0)

    def __post_init__(self) -> None:
        """Also check what depends on two settings."""
        super().__post_init__()
        if self.arch == "ffn" and self.order < 2:
            raise ConfigError(
                f"--order {self.order} sees no word: expected at least 2 "
                "(or --arch ngram for a unigram model)"
            )
        if self.arch not in ("ffn", "ngram") and self.layers < 1:
            raise ConfigError(f"--layers {self.layers}: --arch {self.arch} has at least one")
        parse_cutoffs(self.cutoffs)
        own = ARCHITECTURES[self.arch].settings
        if "far" in own and self.far and not (self.kernels or self.averages):
            raise ConfigError(f"--far {self.far} needs --kernels or --averages to see the words")
        if "heads" in own and self.heads is not None and self.dim % self.heads:
            raise ConfigError(
                f"--heads {self.heads} does not divide --dim {self.dim}: expected a divisor"
            )
        if "stride" in own and self.stride is not None and self.stride > self.window:
            raise ConfigError(f"--stride {self.stride}: expected at most --window ({self.window})")

    def softmax_bounds(self, vocabulary_size: int) -> tuple[int, ...]:
        """Where the head's words end, then those of each cluster; V alone of a full softmax."""
        if self.softmax == "full":
            return (vocabulary_size,)
        return (*(n for n in parse_cutoffs(self.cutoffs) if n < vocabulary_size), vocabulary_size)

    def tail_width(self, width: int, number: int) -> int:
        """Width of the rows of cluster ``number`` (from 0) where the head's rows are ``width``."""
        return max(1, int(width / self.tail_division ** (number + 1)))

    @property
    def neural(self) -> bool:
        """Whether a network is trained."""
        return ARCHITECTURES[self.arch].neural

    @property
    def context(self) -> int | None:
        """How many previous tokens a prediction can see; None when unbounded."""
        return ARCHITECTURES[self.arch].context(self)

    def seen(self, read: int) -> int:
        """How many tokens the prediction after ``read`` tokens of a sentence or file sees."""
        if self.context is None or read <= self.context:
            return read
        if "stride" not in ARCHITECTURES[self.arch].settings:
            return self.context
        stride = self.stride or self.defaults()["stride"]
        return int(self.window - stride + 1 + (read - self.window - 1) % stride)

    def defaults(self) -> dict[str, Any]:
        """Values that the architecture gives to settings which are None."""
        return {
            name: default(self) if callable(default) else default
            for name, default in ARCHITECTURES[self.arch].defaults.items()
        }

    def resolved(self) -> Self:
        """Fill in what is None by the architecture's defaults."""
        open_ones = {k: v for k, v in self.defaults().items() if getattr(self, k) is None}
        return dataclasses.replace(self, **open_ones) if open_ones else self


def parse_cutoffs(text: str) -> tuple[int, ...]:
    """Ids of ``4000,20000``; raises ConfigError unless they are positive and rise."""
    try:
        cutoffs = tuple(int(piece) for piece in text.split(","))
    except ValueError:
        cutoffs = ()
    if not cutoffs or cutoffs[0] < 1 or any(a >= b for a, b in itertools.pairwise(cutoffs)):
        raise ConfigError(
            f"--cutoffs {text!r}: expected numbers of words that rise, such as 4000,20000"
        )
    return cutoffs
